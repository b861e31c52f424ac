/* Long messages: inline, in memory of their own, over sockets that hold little. */
#include "tests/unit/msg_support.h"

static struct world world;

static void setup(void)
{
    world_open(&world);
}

static void teardown(void)
{
    world_close(&world);
}

START_TEST(long_messages)
{
    char *path = world_path(&world, "socket");
    pid_t server = serve_elsewhere(path, echo);
    struct port *port;
    ck_assert_int_eq(port_connect(world.set, path, 60000, &port), 0);
    const size_t sizes[] = {0,    1,     911,   912,   1023,   1024,     1025,
                            4096, 65535, 65536, 65537, 212961, 1u << 20, WIRE_BODY_MAX};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        unsigned char *body = malloc(sizes[i] + 1);
        for (size_t k = 0; k < sizes[i]; k++)
            body[k] = (unsigned char)(k * 31 + i);
        struct msg message = {.operation = 7, .body = body, .length = sizes[i]};
        struct msg answer;
        ck_assert_int_eq(msg_call(port, &message, &answer, 60000), 0);
        ck_assert_uint_eq(answer.length, sizes[i]);
        ck_assert(sizes[i] == 0 || !memcmp(answer.body, body, sizes[i]));
        msg_release(&answer);
        free(body);
    }
    serve_end(server, path);
}
END_TEST

START_TEST(small_socket_buffer)
{
    /* A body that goes inline elsewhere goes by memfd where the socket holds less. */
    struct port *one, *other;
    struct outcome outcome = {0};
    int size = 8192;
    char *body = calloc(1, 60000);
    struct msg message = {.operation = 7, .body = body, .length = 60000};
    ck_assert_int_eq(port_pair(world.set, &one, &other), 0);
    ck_assert_int_eq(setsockopt(port_descriptor(one), SOL_SOCKET, SO_SNDBUF, &size, sizeof size),
                     0);
    ck_assert_int_eq(setsockopt(port_descriptor(other), SOL_SOCKET, SO_SNDBUF, &size, sizeof size),
                     0);
    port_on_message(other, echo, NULL);
    for (int i = 0; i < 40; i++)
        ck_assert_int_eq(msg_call_start(one, &message, -1, note_outcome, &outcome, NULL), 0);
    run_until(&world, &outcome.count, 40);
    ck_assert_int_eq(outcome.error, 0);
    ck_assert_int_eq(outcome.length, 60000);
    free(body);
}
END_TEST

static void fill(TCase *tests)
{
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, long_messages);
    tcase_add_test(tests, small_socket_buffer);
}

int main(void)
{
    return run_suite("msg_long", fill);
}
