/* Local ports: the handler runs in the caller's context. */
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

START_TEST(local_call)
{
    struct port *port = port_local(world.set, echo, NULL);
    struct outcome outcome = {0};
    struct call *call;
    struct msg message = {.operation = 7, .object = 5, .body = "ping", .length = 5};
    struct msg answer;
    ck_assert_int_eq(port_descriptor(port), -1);
    ck_assert_int_eq(port_peer(port).uid, getuid());
    ck_assert_int_eq(msg_call(port, &message, &answer, 60000), 0);
    ck_assert_str_eq(answer.body, "ping");
    ck_assert_uint_eq(answer.object, 5);
    msg_release(&answer);
    ck_assert_int_eq(msg_call(port, &message, NULL, 60000), 0);
    ck_assert_int_eq(msg_call_start(port, &message, 60000, note_outcome, &outcome, &call), 0);
    ck_assert_ptr_null(call);
    ck_assert_int_eq(outcome.count, 1);
    ck_assert_str_eq(outcome.body, "ping");
    message.length = WIRE_BODY_MAX + 1u;
    ck_assert_int_eq(msg_call(port, &message, &answer, 60000), EMSGSIZE);
    port_on_message(port, NULL, NULL);
    message.length = 0;
    ck_assert_int_eq(msg_call(port, &message, &answer, 60000), ENOSYS);
    port_close(port);
}
END_TEST

START_TEST(local_notice)
{
    struct held held = {0};
    struct port *port = port_local(world.set, hold, &held);
    struct msg message = {.operation = 7};
    ck_assert_int_eq(msg_send(port, &message), 0);
    ck_assert_int_eq(held.notices, 1);
}
END_TEST

static void answer_held(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)loop;
    (void)events;
    struct held *held = timer->data;
    reply_send(held->reply, &held->message);
}

START_TEST(local_later)
{
    /* The handler keeps the reply: the caller sees the same interface. */
    struct held held = {0};
    struct port *port = port_local(world.set, hold, &held);
    struct msg message = {.operation = 7, .body = "kept", .length = 5};
    struct msg answer;
    ev_timer timer;
    ev_timer_init(&timer, answer_held, 0.01, 0.);
    timer.data = &held;
    ev_timer_start(world.loop, &timer);
    ck_assert_int_eq(msg_call(port, &message, &answer, 60000), 0);
    ck_assert_str_eq(answer.body, "kept");
    msg_release(&answer);
    msg_release(&held.message);

    struct outcome outcome = {0};
    struct call *call;
    ck_assert_int_eq(msg_call_start(port, &message, 60000, note_outcome, &outcome, &call), 0);
    ck_assert_ptr_nonnull(call);
    ck_assert_int_eq(outcome.count, 0);
    reply_send(held.reply, &held.message);
    ck_assert_int_eq(outcome.count, 1);
    ck_assert_str_eq(outcome.body, "kept");
    msg_release(&held.message);
}
END_TEST

START_TEST(local_timeout_and_cancel)
{
    struct held held = {0};
    struct port *port = port_local(world.set, hold, &held);
    struct msg message = {.operation = 7};
    struct msg answer;
    struct outcome outcome = {0};
    struct call *call;
    ck_assert_int_eq(msg_call(port, &message, &answer, 20), ETIMEDOUT);
    ck_assert_int_eq(held.cancelled, 1);
    reply_error(held.reply, 0); /* to nobody */
    ck_assert_int_eq(msg_call_start(port, &message, -1, note_outcome, &outcome, &call), 0);
    call_cancel(call);
    ck_assert_int_eq(outcome.error, ECANCELED);
    ck_assert_int_eq(held.cancelled, 2);
    reply_error(held.reply, 0);
    ck_assert_int_eq(msg_call_start(port, &message, 10, note_outcome, &outcome, &call), 0);
    run_until(&world, &outcome.count, 2);
    ck_assert_int_eq(outcome.error, ETIMEDOUT);
    reply_error(held.reply, 0);
}
END_TEST

START_TEST(local_closed)
{
    struct held held = {0};
    struct port *port = port_local(world.set, hold, &held);
    struct msg message = {.operation = 7};
    struct outcome outcome = {0};
    ck_assert_int_eq(msg_call_start(port, &message, -1, note_outcome, &outcome, NULL), 0);
    port_close(port);
    ck_assert_int_eq(outcome.error, ECANCELED);
    ck_assert_int_eq(held.cancelled, 1);
    ck_assert_ptr_null(reply_port(held.reply));
    reply_error(held.reply, 0);
}
END_TEST

static void break_loop(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)timer;
    (void)events;
    ev_break(loop, EVBREAK_ALL);
}

START_TEST(local_wait_broken)
{
    /* The program's loop is told to end while a call waits in it: both end. */
    struct held held = {0};
    struct port *port = port_local(world.set, hold, &held);
    struct msg message = {.operation = 7};
    ev_timer timer;
    ev_timer_init(&timer, break_loop, 0.01, 0.);
    ev_timer_start(world.loop, &timer);
    ck_assert_int_eq(msg_call(port, &message, NULL, -1), ECANCELED);
    ck_assert_int_eq(held.cancelled, 1);
    reply_error(held.reply, 0);
    /* and when nothing is left that could answer */
    ck_assert_int_eq(msg_call(port, &message, NULL, -1), ECANCELED);
    reply_error(held.reply, 0);
}
END_TEST

/* Calls that wait inside each other, the outer one answered first. */
struct nest {
    struct port *inner;
    struct held outer_held, inner_held;
    int inner_error;
    ev_timer timers[2];
    struct ev_loop *loop;
};

static void nest_inner(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)loop;
    (void)events;
    struct nest *nest = timer->data;
    struct msg message = {.operation = 8};
    nest->inner_error = msg_call(nest->inner, &message, NULL, 60000);
}

static void nest_answer(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)loop;
    (void)events;
    struct held *held = timer->data;
    reply_error(held->reply, 0);
}

START_TEST(local_nested)
{
    struct nest nest = {.inner_error = -1};
    ev_timer answers[2];
    struct msg message = {.operation = 7};
    struct port *outer = port_local(world.set, hold, &nest.outer_held);
    nest.inner = port_local(world.set, hold, &nest.inner_held);
    ev_timer_init(&nest.timers[0], nest_inner, 0.01, 0.);
    nest.timers[0].data = &nest;
    ev_timer_init(&answers[0], nest_answer, 0.03, 0.);
    answers[0].data = &nest.outer_held;
    ev_timer_init(&answers[1], nest_answer, 0.06, 0.);
    answers[1].data = &nest.inner_held;
    ev_timer_start(world.loop, &nest.timers[0]);
    ev_timer_start(world.loop, &answers[0]);
    ev_timer_start(world.loop, &answers[1]);
    ck_assert_int_eq(msg_call(outer, &message, NULL, 60000), 0);
    ck_assert_int_eq(nest.inner_error, 0);
}
END_TEST

static void fill(TCase *tests)
{
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, local_call);
    tcase_add_test(tests, local_notice);
    tcase_add_test(tests, local_later);
    tcase_add_test(tests, local_timeout_and_cancel);
    tcase_add_test(tests, local_closed);
    tcase_add_test(tests, local_wait_broken);
    tcase_add_test(tests, local_nested);
}

int main(void)
{
    return run_suite("msg_local", fill);
}
