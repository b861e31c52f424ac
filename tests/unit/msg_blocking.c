/* Calls that block, and serving without a loop. */
#include <sys/time.h>

#include "tests/unit/msg_hold.h"

static struct world world;

static void setup(void)
{
    world_open(&world);
}

static void teardown(void)
{
    world_close(&world);
}

enum { OPERATION_NEVER = 100, OPERATION_CHATTER, OPERATION_EXIT };

static void note_nothing(int error, struct msg *answer, void *context)
{
    (void)error;
    (void)answer;
    (void)context;
}

static void behave(struct port *port, struct msg *message, struct reply *reply, void *context)
{
    struct msg notice = {.operation = 55};
    switch (message->operation) {
    case OPERATION_NEVER:
        break;
    case OPERATION_CHATTER:
        for (int i = 0; i < 10; i++)
            msg_send(port, &notice);
        msg_call_start(port, &notice, -1, note_nothing, NULL, NULL);
        reply_error(reply, 0);
        break;
    case OPERATION_EXIT:
        _exit(0);
    default:
        echo(port, message, reply, context);
    }
}

START_TEST(blocking)
{
    char *path = world_path(&world, "socket");
    pid_t server = serve_elsewhere(path, behave);
    struct port *port;
    struct hangups hangups = {0};
    struct held held = {0};
    struct msg answer;
    ck_assert_int_eq(port_connect(world.set, path, 60000, &port), 0);
    port_on_message(port, hold, &held);
    port_on_hangup(port, note_hangup, &hangups);

    struct msg message = {.operation = 1, .object = 99, .body = "hi", .length = 3};
    for (int i = 0; i < 100; i++) {
        ck_assert_int_eq(msg_call(port, &message, &answer, i % 2 ? 60000 : -1), 0);
        ck_assert_str_eq(answer.body, "hi");
        ck_assert_uint_eq(answer.object, 99);
        msg_release(&answer);
    }
    ck_assert_int_eq(msg_call(port, &message, NULL, 60000), 0);

    message.operation = OPERATION_NEVER;
    ck_assert_int_eq(msg_call(port, &message, &answer, 30), ETIMEDOUT);
    ck_assert_int_eq(msg_call(port, &message, &answer, 0), ETIMEDOUT);

    /* What arrives meanwhile is kept, and handled by the loop. */
    message.operation = OPERATION_CHATTER;
    ck_assert_int_eq(msg_call(port, &message, &answer, 60000), 0);
    ck_assert_int_eq(held.notices, 0);
    message.operation = 1;
    ck_assert_int_eq(msg_call(port, &message, &answer, 60000), 0);
    msg_release(&answer);
    run_until(&world, &held.notices, 10);
    run_until(&world, &held.count, 1);
    reply_error(held.reply, 0);
    msg_release(&held.message);

    message.operation = OPERATION_EXIT;
    ck_assert_int_eq(msg_call(port, &message, &answer, 60000), ECONNRESET);
    ck_assert_int_eq(hangups.count, 0);
    ck_assert_int_eq(msg_call(port, &message, &answer, 60000), ENOTCONN);
    run_until(&world, &hangups.count, 1);
    ck_assert_int_eq(hangups.error, 0);
    serve_end(server, path);
}
END_TEST

START_TEST(blocking_behind_a_queue)
{
    /* What is queued before it goes out while it waits. */
    char *path = world_path(&world, "socket");
    pid_t server = serve_elsewhere(path, echo);
    static char body[60000];
    struct port *port;
    struct outcome outcome = {0};
    struct msg answer;
    struct msg message = {.operation = 1, .body = body, .length = sizeof body};
    ck_assert_int_eq(port_connect(world.set, path, 60000, &port), 0);
    for (int i = 0; i < 100; i++)
        ck_assert_int_eq(msg_call_start(port, &message, 60000, note_outcome, &outcome, NULL), 0);
    ck_assert_int_eq(msg_call(port, &message, &answer, 60000), 0);
    ck_assert_uint_eq(answer.length, sizeof body);
    msg_release(&answer);
    ck_assert_int_eq(outcome.count, 0);
    run_until(&world, &outcome.count, 100);
    serve_end(server, path);
}
END_TEST

START_TEST(many_tags)
{
    /* More calls than there are serials, one of them never answered. */
    char *path = world_path(&world, "socket");
    pid_t server = serve_elsewhere(path, behave);
    struct port *port;
    struct msg message = {.operation = OPERATION_NEVER};
    ck_assert_int_eq(port_connect(world.set, path, 60000, &port), 0);
    ck_assert_int_eq(msg_call(port, &message, NULL, 1), ETIMEDOUT);
    message.operation = 1;
    for (int i = 0; i < 70000; i++)
        ck_assert_int_eq(msg_call(port, &message, NULL, 60000), 0);
    serve_end(server, path);
}
END_TEST

START_TEST(blocking_beside_started)
{
    /* The reply to a call that was started arrives during one that blocks: it is told later. */
    char *path = world_path(&world, "socket");
    pid_t server = serve_elsewhere(path, behave);
    struct port *port;
    struct outcome outcome = {0};
    struct msg answer;
    struct msg message = {.operation = 1, .body = "hi", .length = 3};
    ck_assert_int_eq(port_connect(world.set, path, 60000, &port), 0);
    ck_assert_int_eq(msg_call_start(port, &message, 60000, note_outcome, &outcome, NULL), 0);
    ck_assert_int_eq(msg_call(port, &message, &answer, 60000), 0);
    msg_release(&answer);
    ck_assert_int_eq(outcome.count, 0);
    run_until(&world, &outcome.count, 1);
    ck_assert_str_eq(outcome.body, "hi");
    serve_end(server, path);
}
END_TEST

static volatile sig_atomic_t alarms;

static void on_alarm(int number)
{
    (void)number;
    alarms = alarms + 1;
}

START_TEST(blocking_with_signals)
{
    char *path = world_path(&world, "socket");
    pid_t server = serve_elsewhere(path, behave);
    struct port *port;
    struct msg answer;
    struct msg message = {.operation = OPERATION_NEVER};
    struct sigaction action = {.sa_handler = on_alarm};
    struct itimerval soon = {.it_value.tv_usec = 20000, .it_interval.tv_usec = 20000};
    struct itimerval never = {0};
    ck_assert_int_eq(port_connect(world.set, path, 60000, &port), 0);
    sigaction(SIGALRM, &action, NULL);
    setitimer(ITIMER_REAL, &soon, NULL);
    double from = ev_time();
    /* Long enough for a process that is not given the processor each time. */
    ck_assert_int_eq(msg_call(port, &message, &answer, 1000), ETIMEDOUT);
    double took = ev_time() - from;
    setitimer(ITIMER_REAL, &never, NULL);
    ck_assert_int_gt(alarms, 2);
    ck_assert(took > 0.95 && took < 30);
    serve_end(server, path);
}
END_TEST

/* ---- serving without a loop ---- */

START_TEST(reply_and_wait)
{
    int ends[2];
    struct port *port;
    struct msg message, answer;
    struct reply *reply = NULL;
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
    pid_t pid = fork();
    if (pid == 0) {
        close(ends[0]);
        if (port_adopt(world.set, ends[1], false, &port))
            _exit(1);
        answer = (struct msg){0};
        while (!msg_reply_wait(port, reply, &answer, &message, &reply, 60000)) {
            answer = (struct msg){.object = message.object + 1};
            msg_release(&message);
        }
        _exit(0);
    }
    close(ends[1]);
    ck_assert_int_eq(port_adopt(world.set, ends[0], true, &port), 0);
    for (uint64_t i = 1; i < 100; i++) {
        message = (struct msg){.operation = 1, .object = i, .body = &i, .length = sizeof i};
        ck_assert_int_eq(msg_send(port, &message), 0);
        ck_assert_int_eq(msg_call(port, &message, &answer, 60000), 0);
        ck_assert_uint_eq(answer.object, i + 1);
        msg_release(&answer);
    }
    port_close(port);
    int status;
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_int_eq(status, 0);
}
END_TEST

START_TEST(waiting)
{
    struct port *one, *other;
    struct msg message = {.operation = 7, .body = "a", .length = 2};
    struct msg got;
    struct reply *reply;
    struct outcome outcome = {0};
    ck_assert_int_eq(port_pair(world.set, &one, &other), 0);
    ck_assert_int_eq(msg_wait(one, &got, &reply, 20), ETIMEDOUT);
    ck_assert_int_eq(msg_send(other, &message), 0);
    ck_assert_int_eq(msg_wait(one, &got, &reply, 60000), 0);
    ck_assert_ptr_null(reply);
    ck_assert_str_eq(got.body, "a");
    msg_release(&got);
    ck_assert_int_eq(msg_call_start(other, &message, -1, note_outcome, &outcome, NULL), 0);
    ck_assert_int_eq(msg_wait(one, &got, &reply, 60000), 0);
    ck_assert_ptr_nonnull(reply);
    reply_send(reply, &got);
    msg_release(&got);
    /* its reply is handled while the other side waits */
    ck_assert_int_eq(msg_wait(other, &got, &reply, 20), ETIMEDOUT);
    ck_assert_int_eq(outcome.count, 1);
    port_close(other);
    ck_assert_int_eq(msg_wait(one, &got, &reply, 60000), ECONNRESET);
    port_close(one);
    struct port *local = port_local(world.set, echo, NULL);
    ck_assert_int_eq(msg_wait(local, &got, &reply, 0), ENOTCONN);
}
END_TEST

static void fill(TCase *tests)
{
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, blocking);
    tcase_add_test(tests, blocking_behind_a_queue);
    tcase_add_test(tests, many_tags);
    tcase_add_test(tests, blocking_beside_started);
    tcase_add_test(tests, blocking_with_signals);
    tcase_add_test(tests, reply_and_wait);
    tcase_add_test(tests, waiting);
}

int main(void)
{
    return run_suite("msg_blocking", fill);
}
