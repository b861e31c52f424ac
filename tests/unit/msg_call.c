/* Calls over sockets, their replies, notices and cancels. */
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

START_TEST(pair_call)
{
    struct port *one, *other;
    struct outcome outcome = {0};
    struct call *call;
    struct msg message = {.operation = 7, .body = "ping", .length = 5};
    ck_assert_int_eq(port_pair(world.set, &one, &other), 0);
    port_on_message(other, echo, NULL);
    ck_assert_int_eq(msg_call_start(one, &message, 60000, note_outcome, &outcome, &call), 0);
    ck_assert_ptr_nonnull(call);
    run_until(&world, &outcome.count, 1);
    ck_assert_int_eq(outcome.error, 0);
    ck_assert_str_eq(outcome.body, "ping");
    /* and the other way round */
    port_on_message(one, echo, NULL);
    ck_assert_int_eq(msg_call_start(other, &message, -1, note_outcome, &outcome, NULL), 0);
    run_until(&world, &outcome.count, 2);
    ck_assert_int_eq(port_peer(one).pid, getpid());
    ck_assert_int_ge(port_descriptor(one), 0);
    ck_assert_ptr_eq(port_owner(one), world.set);
    port_set_context(one, &world);
    ck_assert_ptr_eq(port_context(one), &world);
}
END_TEST

START_TEST(no_handler)
{
    struct port *one, *other;
    struct outcome outcome = {0};
    struct msg message = {.operation = 7};
    ck_assert_int_eq(port_pair(world.set, &one, &other), 0);
    ck_assert_int_eq(msg_call_start(one, &message, 60000, note_outcome, &outcome, NULL), 0);
    ck_assert_int_eq(msg_send(one, &message), 0);
    run_until(&world, &outcome.count, 1);
    ck_assert_int_eq(outcome.error, ENOSYS);
}
END_TEST

START_TEST(reply_later)
{
    struct port *one, *other;
    struct outcome outcome = {0};
    struct held held = {0};
    struct msg message = {.operation = 7, .body = "kept", .length = 5};
    ck_assert_int_eq(port_pair(world.set, &one, &other), 0);
    port_on_message(other, hold, &held);
    ck_assert_int_eq(msg_call_start(one, &message, -1, note_outcome, &outcome, NULL), 0);
    run_until(&world, &held.count, 1);
    ck_assert_ptr_eq(reply_port(held.reply), other);
    ck_assert_str_eq(held.message.body, "kept");
    reply_send(held.reply, &held.message);
    msg_release(&held.message);
    run_until(&world, &outcome.count, 1);
    ck_assert_str_eq(outcome.body, "kept");
}
END_TEST

START_TEST(answer_twice)
{
    struct port *one, *other;
    struct outcome outcome = {0};
    struct held held = {0};
    struct msg message = {.operation = 7};
    ck_assert_int_eq(port_pair(world.set, &one, &other), 0);
    port_on_message(other, hold, &held);
    ck_assert_int_eq(msg_call_start(one, &message, -1, note_outcome, &outcome, NULL), 0);
    run_until(&world, &held.count, 1);
    reply_error(held.reply, 0);
    ck_assert_ptr_nonnull(freopen("/dev/null", "w", stderr));
    /* It aborts: no teardown runs. */
    ck_assert_int_eq(rmdir(world.directory), 0);
    reply_error(held.reply, 0);
}
END_TEST

START_TEST(many_calls)
{
    struct port *one, *other;
    struct outcome outcome = {0};
    ck_assert_int_eq(port_pair(world.set, &one, &other), 0);
    port_on_message(other, echo, NULL);
    /* More than may be unanswered, and more than the socket holds: the rest waits. */
    for (int i = 0; i < 2000; i++) {
        char body[512] = {0};
        struct msg message = {.operation = 7, .body = body, .length = sizeof body};
        ck_assert_int_eq(msg_call_start(one, &message, 60000, note_outcome, &outcome, NULL), 0);
    }
    run_until(&world, &outcome.count, 2000);
    ck_assert_int_eq(outcome.error, 0);
}
END_TEST

START_TEST(cancel)
{
    struct port *one, *other;
    struct outcome outcome = {0};
    struct held held = {0};
    struct call *call;
    struct msg message = {.operation = 7};
    ck_assert_int_eq(port_pair(world.set, &one, &other), 0);
    port_on_message(other, hold, &held);
    ck_assert_int_eq(msg_call_start(one, &message, -1, note_outcome, &outcome, &call), 0);
    run_until(&world, &held.count, 1);
    call_cancel(call);
    ck_assert_int_eq(outcome.count, 1);
    ck_assert_int_eq(outcome.error, ECANCELED);
    run_until(&world, &held.cancelled, 1);
    /* The one reply still goes; it reaches nobody, and the connection lives on. */
    reply_error(held.reply, 0);
    port_on_message(other, echo, NULL);
    ck_assert_int_eq(msg_call_start(one, &message, -1, note_outcome, &outcome, NULL), 0);
    run_until(&world, &outcome.count, 2);
    ck_assert_int_eq(outcome.error, 0);
}
END_TEST

START_TEST(cancel_before_told)
{
    /* Who asks to be told when it has happened already is told at once. */
    struct port *one, *other;
    struct outcome outcome = {0};
    struct held held = {0};
    struct call *call;
    struct msg message = {.operation = 7};
    ck_assert_int_eq(port_pair(world.set, &one, &other), 0);
    port_on_message(other, hold, &held);
    ck_assert_int_eq(msg_call_start(one, &message, -1, note_outcome, &outcome, &call), 0);
    run_until(&world, &held.count, 1);
    reply_on_cancel(held.reply, NULL, NULL);
    call_cancel(call);
    run_ready(&world);
    ck_assert_int_eq(held.cancelled, 0);
    held.answer_on_cancel = true;
    reply_on_cancel(held.reply, hold_cancelled, &held);
    ck_assert_int_eq(held.cancelled, 1);
}
END_TEST

START_TEST(deadline)
{
    struct port *one, *other;
    struct outcome outcome = {0};
    struct held held = {.answer_on_cancel = true};
    struct msg message = {.operation = 7};
    ck_assert_int_eq(port_pair(world.set, &one, &other), 0);
    port_on_message(other, hold, &held);
    ck_assert_int_eq(msg_call_start(one, &message, 20, note_outcome, &outcome, NULL), 0);
    run_until(&world, &outcome.count, 1);
    ck_assert_int_eq(outcome.error, ETIMEDOUT);
    run_until(&world, &held.cancelled, 1);
}
END_TEST

static void cancel_itself(int error, struct msg *answer, void *context)
{
    (void)error;
    (void)answer;
    struct call **call = context;
    call_cancel(*call); /* harmless: it has ended */
    *call = NULL;
}

START_TEST(cancel_in_done)
{
    struct port *one, *other;
    struct outcome outcome = {0};
    struct call *call;
    struct msg message = {.operation = 7};
    ck_assert_int_eq(port_pair(world.set, &one, &other), 0);
    port_on_message(other, echo, NULL);
    ck_assert_int_eq(msg_call_start(one, &message, -1, cancel_itself, &call, &call), 0);
    ck_assert_int_eq(msg_call_start(one, &message, -1, note_outcome, &outcome, NULL), 0);
    run_until(&world, &outcome.count, 1);
    ck_assert_ptr_null(call);
}
END_TEST

START_TEST(notices)
{
    struct port *one, *other;
    struct held held = {0};
    struct msg message = {.operation = 7, .body = "x", .length = 1};
    ck_assert_int_eq(port_pair(world.set, &one, &other), 0);
    port_on_message(other, hold, &held);
    for (int i = 0; i < 1000; i++)
        ck_assert_int_eq(msg_send(one, &message), 0);
    run_until(&world, &held.notices, 1000);
}
END_TEST

START_TEST(errors_of_sending)
{
    struct port *one, *other;
    struct outcome outcome = {0};
    struct msg message = {.operation = 7, .body = &world, .length = WIRE_BODY_MAX + 1u};
    struct msg many = {.operation = 7, .descriptors = (int[300]){0}, .descriptor_count = 253};
    struct msg bad = {.operation = 7, .descriptors = (int[1]){-1}, .descriptor_count = 1};
    struct msg answer;
    ck_assert_int_eq(port_pair(world.set, &one, &other), 0);
    port_on_message(other, echo, NULL);
    ck_assert_int_eq(msg_send(one, &message), EMSGSIZE);
    ck_assert_int_eq(msg_call(one, &message, &answer, 100), EMSGSIZE);
    ck_assert_int_eq(msg_call_start(one, &many, 100, note_outcome, &outcome, NULL), EMSGSIZE);
    ck_assert_int_eq(msg_send(one, &bad), EBADF);
    port_close(other);
    message.length = 0;
    ck_assert_int_eq(msg_send(one, &message), ENOTCONN);
    ck_assert_int_eq(msg_call(one, &message, &answer, 100), ENOTCONN);
    ck_assert_int_eq(outcome.count, 0);
}
END_TEST

static void answer_badly(struct port *port, struct msg *message, struct reply *reply, void *context)
{
    (void)port;
    (void)context;
    struct msg long_one = {.body = &world, .length = WIRE_BODY_MAX + 1u};
    struct msg bad = {.descriptors = (int[1]){-1}, .descriptor_count = 1};
    struct msg negative = {.error = -EPERM};
    reply_send(reply, message->operation == 1   ? &long_one
                      : message->operation == 2 ? &bad
                                                : &negative);
}

START_TEST(answers_that_cannot_be_sent)
{
    struct port *one, *other;
    struct outcome outcome = {0};
    const int expected[] = {EMSGSIZE, EBADF, EIO};
    struct port *local = port_local(world.set, answer_badly, NULL);
    ck_assert_int_eq(port_pair(world.set, &one, &other), 0);
    port_on_message(other, answer_badly, NULL);
    for (int i = 0; i < 3; i++) {
        struct msg message = {.operation = (uint32_t)i + 1};
        ck_assert_int_eq(msg_call_start(one, &message, -1, note_outcome, &outcome, NULL), 0);
        run_until(&world, &outcome.count, i + 1);
        ck_assert_int_eq(outcome.error, expected[i]);
        ck_assert_int_eq(msg_call(local, &message, NULL, -1), expected[i]);
    }
}
END_TEST

static void close_own_port(struct port *port, struct msg *message, struct reply *reply,
                           void *context)
{
    (void)message;
    (void)context;
    port_close(port);
    reply_error(reply, EPERM);
}

START_TEST(handler_closes_port)
{
    struct port *one, *other;
    struct outcome outcome = {0};
    struct hangups hangups = {0};
    struct msg message = {.operation = 7};
    struct port *local = port_local(world.set, close_own_port, NULL);
    ck_assert_int_eq(msg_call(local, &message, NULL, -1), ECANCELED);
    local = port_local(world.set, close_own_port, NULL);
    ck_assert_int_eq(msg_call_start(local, &message, -1, note_outcome, &outcome, NULL), 0);
    ck_assert_int_eq(outcome.error, ECANCELED);
    local = port_local(world.set, close_own_port, NULL);
    ck_assert_int_eq(msg_send(local, &message), 0);

    ck_assert_int_eq(port_pair(world.set, &one, &other), 0);
    port_on_message(other, close_own_port, NULL);
    port_on_hangup(one, note_hangup, &hangups);
    ck_assert_int_eq(msg_call_start(one, &message, -1, note_outcome, &outcome, NULL), 0);
    run_until(&world, &hangups.count, 1);
    ck_assert_int_eq(outcome.count, 2);
    ck_assert_int_eq(outcome.error, ECONNRESET);
}
END_TEST

static void fill(TCase *tests)
{
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, pair_call);
    tcase_add_test(tests, no_handler);
    tcase_add_test(tests, reply_later);
    tcase_add_test_raise_signal(tests, answer_twice, SIGABRT);
    tcase_add_test(tests, many_calls);
    tcase_add_test(tests, cancel);
    tcase_add_test(tests, cancel_before_told);
    tcase_add_test(tests, deadline);
    tcase_add_test(tests, cancel_in_done);
    tcase_add_test(tests, notices);
    tcase_add_test(tests, errors_of_sending);
    tcase_add_test(tests, answers_that_cannot_be_sent);
    tcase_add_test(tests, handler_closes_port);
}

int main(void)
{
    return run_suite("msg_call", fill);
}
