/* Descriptors in messages. */
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

START_TEST(descriptors)
{
    struct port *one, *other;
    struct outcome outcome = {0};
    int ends[2];
    int all[WIRE_DESCRIPTORS_MAX];
    ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
    for (int i = 0; i < WIRE_DESCRIPTORS_MAX; i++)
        all[i] = ends[1];
    struct msg message = {.operation = 7, .descriptors = all, .descriptor_count = 1};
    ck_assert_int_eq(port_pair(world.set, &one, &other), 0);
    port_on_message(other, echo, NULL);
    const size_t counts[] = {1, 8, 9, WIRE_DESCRIPTORS_MAX};
    for (int i = 0; i < 4; i++) {
        message.descriptor_count = counts[i];
        ck_assert_int_eq(msg_call_start(one, &message, -1, note_outcome, &outcome, NULL), 0);
        run_until(&world, &outcome.count, i + 1);
        ck_assert_int_eq(outcome.error, 0);
        ck_assert_int_eq(outcome.descriptor_count, counts[i]);
    }
    /* and with a long body, which needs one more */
    char *body = calloc(1, 100000);
    message.body = body;
    message.length = 100000;
    ck_assert_int_eq(msg_call_start(one, &message, -1, note_outcome, &outcome, NULL), 0);
    run_until(&world, &outcome.count, 5);
    ck_assert_int_eq(outcome.descriptor_count, WIRE_DESCRIPTORS_MAX);
    ck_assert_int_eq(outcome.length, 100000);
    free(body);
    close(ends[0]);
    close(ends[1]);
}
END_TEST

static void take_one(struct port *port, struct msg *message, struct reply *reply, void *context)
{
    (void)port;
    int *taken = context;
    *taken = msg_take(message, 1);
    ck_assert_int_eq(msg_take(message, 1), -1);
    ck_assert_int_eq(errno, EBADMSG);
    ck_assert_int_eq(msg_take(message, 2), -1);
    reply_error(reply, 0);
}

START_TEST(taking)
{
    struct port *one, *other;
    struct outcome outcome = {0};
    int ends[2];
    int taken = -1;
    ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
    struct msg message = {.operation = 7, .descriptors = ends, .descriptor_count = 2};
    ck_assert_int_eq(port_pair(world.set, &one, &other), 0);
    port_on_message(other, take_one, &taken);
    ck_assert_int_eq(msg_call_start(one, &message, -1, note_outcome, &outcome, NULL), 0);
    run_until(&world, &outcome.count, 1);
    ck_assert_int_ne(taken, ends[1]);
    ck_assert_int_eq(fcntl(taken, F_GETFD), FD_CLOEXEC);
    ck_assert_int_eq(write(taken, "x", 1), 1);
    close(taken);
    /* the same over a local port */
    struct port *local = port_local(world.set, take_one, &taken);
    ck_assert_int_eq(msg_call(local, &message, NULL, -1), 0);
    ck_assert_int_ne(taken, ends[1]);
    ck_assert_int_eq(fcntl(taken, F_GETFD), FD_CLOEXEC);
    close(taken);
    ck_assert_int_eq(msg_take(&message, 0), -1); /* not received */
    close(ends[0]);
    close(ends[1]);
}
END_TEST

static void fill(TCase *tests)
{
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, descriptors);
    tcase_add_test(tests, taking);
}

int main(void)
{
    return run_suite("msg_descriptors", fill);
}
