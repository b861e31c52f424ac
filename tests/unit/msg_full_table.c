/* A process that can open no descriptor more sends and receives messages with some. */
#include <sys/resource.h>

#include "tests/unit/msg_victim.h"

/* Take all descriptors that may be opened; the number of those taken. */
static int take_all(int *taken, int size, struct rlimit *limit)
{
    int count = 0;
    struct rlimit tight;
    getrlimit(RLIMIT_NOFILE, limit);
    tight = (struct rlimit){100, limit->rlim_max};
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &tight), 0);
    while (count < size && (taken[count] = fcntl(0, F_DUPFD_CLOEXEC, 0)) >= 0)
        count++;
    ck_assert_int_lt(count, size);
    return count;
}

static void serve_long(struct port *port, struct msg *message, struct reply *reply, void *context)
{
    (void)port;
    (void)message;
    struct msg answer = {.body = context, .length = 100000};
    reply_send(reply, &answer);
}

START_TEST(no_descriptor_to_send_with)
{
    struct rlimit limit;
    int taken[200];
    char *body = calloc(1, 100000);
    struct outcome outcome = {0};
    struct msg message = {.operation = 1, .body = body, .length = 100000};
    struct msg carrying = {.operation = 1, .descriptors = &raw, .descriptor_count = 1};
    fill_way();
    int count = take_all(taken, 200, &limit);
    /* no memfd for a long body, no duplicate for the queue, none for a local port */
    ck_assert_int_eq(msg_send(client, &message), EMFILE);
    ck_assert_int_eq(msg_call_start(client, &message, -1, note_outcome, &outcome, NULL), EMFILE);
    ck_assert_int_eq(msg_send(victim, &carrying), EMFILE);
    struct port *local = port_local(world.set, echo, NULL);
    ck_assert_int_eq(msg_call(local, &carrying, NULL, -1), EMFILE);
    ck_assert_int_eq(msg_send(local, &carrying), EMFILE);
    /* an answer that can't be made tells why */
    port_on_message(server, serve_long, body);
    message.length = 0;
    ck_assert_int_eq(msg_call_start(client, &message, -1, note_outcome, &outcome, NULL), 0);
    run_until(&world, &outcome.count, 1);
    ck_assert_int_eq(outcome.error, EMFILE);
    struct port *one, *other;
    ck_assert_int_eq(port_pair(world.set, &one, &other), EMFILE);
    for (int i = 0; i < count; i++)
        close(taken[i]);
    setrlimit(RLIMIT_NOFILE, &limit);
    ck_assert_int_eq(msg_call_start(client, &message, -1, note_outcome, &outcome, NULL), 0);
    run_until(&world, &outcome.count, 2);
    ck_assert_uint_eq(outcome.length, 100000);
    ck_assert_int_eq(hangups.count, 0);
    port_on_message(server, echo, NULL);
    free(body);
}
END_TEST

START_TEST(reply_descriptors_lost)
{
    /* to a call that was started: it is told, the connection goes on */
    struct rlimit limit;
    int taken[200];
    struct wire_header header;
    char body[8];
    struct outcome outcome = {0};
    struct msg message = {.operation = 9};
    ck_assert_int_eq(msg_call_start(victim, &message, -1, note_outcome, &outcome, NULL), 0);
    ck_assert_int_eq(raw_await(&world, raw, &header, body, sizeof body), 48);
    int count = take_all(taken, 200, &limit);
    /* Sent under the wider limit: what others of this user have in flight counts against it. */
    struct rlimit tight;
    getrlimit(RLIMIT_NOFILE, &tight);
    setrlimit(RLIMIT_NOFILE, &limit);
    header.kind = WIRE_REPLY;
    header.descriptors = 2;
    ck_assert_int_eq(raw_send(raw, &header, NULL, 0, (int[]){0, 1}, 2), 0);
    /* and a notice, which is lost */
    header.kind = WIRE_NOTICE;
    ck_assert_int_eq(raw_send(raw, &header, NULL, 0, (int[]){0, 1}, 2), 0);
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &tight), 0);
    run_until(&world, &outcome.count, 1);
    ck_assert_int_eq(outcome.error, EMFILE);
    expect_life();
    ck_assert_int_eq(seen.notices, 0);
    for (int i = 0; i < count; i++)
        close(taken[i]);
    setrlimit(RLIMIT_NOFILE, &limit);
}
END_TEST

static void fill(TCase *tests)
{
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, no_descriptor_to_send_with);
    tcase_add_test(tests, reply_descriptors_lost);
}

int main(void)
{
    turn_await();
    return run_suite("msg_full_table", fill);
}
