/* Ports: hang-ups, handles, taps, queues, and what handlers may do to them. */
#include "tests/unit/msg_support.h"

static struct world world;
static struct port *one, *other;

static void setup(void)
{
    world_open(&world);
    ck_assert_int_eq(port_pair(world.set, &one, &other), 0);
}

static void teardown(void)
{
    world_close(&world);
}

/* ---- hang-ups ---- */

START_TEST(hangup_both_ways)
{
    struct hangups hangups = {0};
    struct outcome outcome = {0};
    struct msg message = {.operation = 1};
    port_on_hangup(one, note_hangup, &hangups);
    ck_assert_int_eq(msg_call_start(one, &message, -1, note_outcome, &outcome, NULL), 0);
    port_close(other);
    run_until(&world, &hangups.count, 1);
    ck_assert_int_eq(hangups.error, 0);
    ck_assert_int_eq(outcome.count, 1);
    ck_assert_int_eq(outcome.error, ECONNRESET);
}
END_TEST

START_TEST(no_senders)
{
    /* The hang-up comes when the last duplicate is gone, one in flight included. */
    struct hangups hangups = {0};
    int ends[2];
    struct wire_header header = raw_header(WIRE_NOTICE, 0, 0);
    port_on_hangup(one, note_hangup, &hangups);
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
    int duplicate = port_descriptor(other);
    ck_assert_int_eq(raw_send(ends[0], &header, NULL, 0, &duplicate, 1), 0);
    port_close(other);
    run_ready(&world);
    ck_assert_int_eq(hangups.count, 0);
    close(ends[1]); /* what was in flight is gone with it */
    run_until(&world, &hangups.count, 1);
    close(ends[0]);
}
END_TEST

START_TEST(close_is_silent)
{
    struct hangups hangups = {0};
    struct outcome outcome = {0};
    struct msg message = {.operation = 1};
    port_on_hangup(one, note_hangup, &hangups);
    ck_assert_int_eq(msg_call_start(one, &message, -1, note_outcome, &outcome, NULL), 0);
    port_close(one);
    ck_assert_int_eq(outcome.error, ECANCELED);
    run_ready(&world);
    ck_assert_int_eq(hangups.count, 0);
    port_close(NULL);
}
END_TEST

static void close_in_hangup(struct port *port, int error, void *context)
{
    (void)error;
    int *count = context;
    ++*count;
    port_close(port); /* harmless */
}

START_TEST(close_in_a_hangup)
{
    int count = 0;
    port_on_hangup(one, close_in_hangup, &count);
    port_close(other);
    run_until(&world, &count, 1);
}
END_TEST

static void close_in_done(int error, struct msg *answer, void *context)
{
    (void)answer;
    (void)error;
    struct outcome *outcome = context;
    outcome->count++;
    port_close(one);
}

START_TEST(close_in_a_done)
{
    /* As the answer comes, and as the port goes: then no hang-up is called any more. */
    struct outcome outcome = {0};
    struct hangups hangups = {0};
    struct msg message = {.operation = 1};
    port_on_hangup(one, note_hangup, &hangups);
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(msg_call_start(one, &message, -1, close_in_done, &outcome, NULL), 0);
    if (_i)
        port_close(other);
    else
        port_on_message(other, echo, NULL);
    run_until(&world, &outcome.count, 3);
    run_ready(&world);
    ck_assert_int_eq(hangups.count, 0);
}
END_TEST

static void call_in_done(int error, struct msg *answer, void *context)
{
    (void)error;
    (void)answer;
    struct outcome *outcome = context;
    struct msg message = {.operation = 1};
    outcome->count++;
    outcome->error = msg_call_start(one, &message, -1, note_outcome, outcome, NULL);
}

START_TEST(call_from_an_ended_port)
{
    struct outcome outcome = {0};
    struct msg message = {.operation = 1};
    ck_assert_int_eq(msg_call_start(one, &message, -1, call_in_done, &outcome, NULL), 0);
    port_close(one);
    ck_assert_int_eq(outcome.count, 1);
    ck_assert_int_eq(outcome.error, ENOTCONN);
}
END_TEST

static void close_everything(struct port *port, struct msg *message, struct reply *reply,
                             void *context)
{
    (void)port;
    (void)message;
    int *count = context;
    ++*count;
    port_close(one);
    port_close(other);
    reply_error(reply, 0);
}

START_TEST(close_all_in_a_handler)
{
    int count = 0;
    struct outcome outcome = {0};
    struct msg message = {.operation = 1};
    port_on_message(other, close_everything, &count);
    ck_assert_int_eq(msg_call_start(one, &message, -1, note_outcome, &outcome, NULL), 0);
    run_until(&world, &count, 1);
    ck_assert_int_eq(outcome.error, ECANCELED);
}
END_TEST

static void free_set(struct port *port, struct msg *message, struct reply *reply, void *context)
{
    (void)port;
    (void)message;
    int *count = context;
    ++*count;
    port_set_free(world.set);
    reply_error(reply, 0);
}

START_TEST(free_the_set_in_a_handler)
{
    int count = 0;
    struct outcome outcome = {0};
    struct listener *listener;
    char *path = world_path(&world, "socket");
    struct msg message = {.operation = 1};
    ck_assert_int_eq(port_publish(world.set, path, echo, NULL, &listener), 0);
    port_on_message(other, free_set, &count);
    ck_assert_int_eq(msg_call_start(one, &message, -1, note_outcome, &outcome, NULL), 0);
    run_until(&world, &count, 1);
    ck_assert_int_eq(outcome.error, ECONNRESET);
    ck_assert_int_eq(access(path, F_OK), -1);
    world.set = NULL;
}
END_TEST

static void keep_reply(struct port *port, struct msg *message, struct reply *reply, void *context)
{
    (void)port;
    (void)message;
    *(struct reply **)context = reply;
}

START_TEST(reply_outlives_the_set)
{
    struct reply *reply = NULL;
    struct reply *local_reply = NULL;
    struct outcome outcome = {0};
    struct msg message = {.operation = 1};
    struct port *local = port_local(world.set, keep_reply, &local_reply);
    port_on_message(other, keep_reply, &reply);
    ck_assert_int_eq(msg_call_start(local, &message, -1, note_outcome, &outcome, NULL), 0);
    ck_assert_int_eq(msg_call_start(one, &message, -1, note_outcome, &outcome, NULL), 0);
    while (!reply)
        ev_run(world.loop, EVRUN_ONCE);
    port_set_free(world.set);
    world.set = NULL;
    ck_assert_int_eq(outcome.count, 2);
    ck_assert_int_eq(outcome.error, ECONNRESET);
    ck_assert_ptr_null(reply_port(reply));
    reply_error(reply, 0);
    reply_error(local_reply, 0);
}
END_TEST

START_TEST(message_outlives_the_set)
{
    struct msg kept, answer;
    const size_t length = (size_t[]){0, 10, 100000}[_i];
    char *body = calloc(1, 100000);
    struct msg message = {.operation = 1, .body = body, .length = length};
    struct port *local = port_local(world.set, echo, NULL);
    ck_assert_int_eq(msg_call(local, &message, &answer, -1), 0);
    msg_keep(&answer, &kept);
    msg_release(&answer); /* a view by now */
    port_set_free(world.set);
    world.set = NULL;
    ck_assert_uint_eq(kept.length, length);
    ck_assert(length == 0 || !memcmp(kept.body, body, kept.length));
    msg_release(&kept);
    msg_release(&kept); /* harmless */
    free(body);
}
END_TEST

static void keep_message(struct port *port, struct msg *message, struct reply *reply, void *context)
{
    (void)port;
    msg_keep(message, context);
    ck_assert_ptr_eq(message->body, ((struct msg *)context)->body);
    reply_error(reply, 0);
}

START_TEST(keeping)
{
    /* A local port's body is the caller's, and gone when the call returns. */
    struct msg kept = {0};
    char body[16] = "mine";
    int null[12];
    for (int i = 0; i < 12; i++)
        null[i] = open("/dev/null", O_RDONLY | O_CLOEXEC);
    struct port *local = port_local(world.set, keep_message, &kept);
    const size_t counts[] = {0, 2, 12};
    for (int i = 0; i < 3; i++) {
        struct msg message = {.operation = 1,
                              .body = body,
                              .length = sizeof body,
                              .descriptors = null,
                              .descriptor_count = counts[i]};
        strcpy(body, "mine");
        ck_assert_int_eq(msg_call(local, &message, NULL, -1), 0);
        memset(body, 0, sizeof body);
        ck_assert_str_eq(kept.body, "mine");
        ck_assert_uint_eq(kept.descriptor_count, counts[i]);
        if (counts[i])
            close(msg_take(&kept, counts[i] - 1));
        msg_release(&kept);
    }
    for (int i = 0; i < 12; i++)
        close(null[i]);
}
END_TEST

/* ---- null replies ---- */

static void answer_anyway(struct port *port, struct msg *message, struct reply *reply,
                          void *context)
{
    /* A request's operation that came as a notice: nothing of this may hurt. */
    int *count = context;
    ++*count;
    ck_assert_ptr_null(reply);
    reply_on_cancel(reply, NULL, NULL);
    ck_assert_ptr_null(reply_port(reply));
    reply_send(reply, message);
    reply_error(reply, EIO);
    (void)port;
}

START_TEST(null_reply)
{
    int count = 0;
    struct msg message = {.operation = 1};
    port_on_message(other, answer_anyway, &count);
    ck_assert_int_eq(msg_send(one, &message), 0);
    run_until(&world, &count, 1);
}
END_TEST

/* ---- handles ---- */

static int released;

static void release(void *object)
{
    released += *(int *)object;
}

START_TEST(handles)
{
    int objects[100];
    uint64_t ids[100];
    for (int i = 0; i < 100; i++) {
        objects[i] = 1;
        ids[i] = handle_new(one, &objects[i], release);
        ck_assert_uint_ne(ids[i], 0);
        for (int k = 0; k < i; k++)
            ck_assert_uint_ne(ids[i], ids[k]);
    }
    for (int i = 0; i < 100; i++)
        ck_assert_ptr_eq(handle_get(one, ids[i]), &objects[i]);
    /* another's handle, no handle, a stale one */
    uint64_t elsewhere = handle_new(other, &objects[0], NULL);
    ck_assert_ptr_null(handle_get(one, elsewhere));
    ck_assert_int_eq(errno, EBADF);
    ck_assert_ptr_null(handle_get(other, ids[0]));
    ck_assert_ptr_null(handle_get(one, 0));
    ck_assert_ptr_null(handle_get(one, UINT64_MAX));
    ck_assert_int_eq(handle_drop(one, elsewhere), EBADF);
    ck_assert_int_eq(handle_drop(one, ids[5]), 0);
    ck_assert_int_eq(released, 1);
    ck_assert_ptr_null(handle_get(one, ids[5]));
    ck_assert_int_eq(handle_drop(one, ids[5]), EBADF);
    uint64_t again = handle_new(one, &objects[5], release);
    ck_assert_uint_ne(again, ids[5]);
    ck_assert_ptr_null(handle_get(one, ids[5]));
    port_close(one);
    ck_assert_int_eq(released, 101);
}
END_TEST

START_TEST(handles_at_hangup)
{
    /* While the hang-up is told they are still there. */
    int object = 1;
    struct hangups hangups = {0};
    handle_new(one, &object, release);
    port_on_hangup(one, note_hangup, &hangups);
    port_close(other);
    run_until(&world, &hangups.count, 1);
    ck_assert_int_eq(released, 1);
}
END_TEST

START_TEST(many_handles)
{
    int object = 0;
    int made = 0;
    while (handle_new(one, &object, release))
        ck_assert_int_le(++made, 65536);
    ck_assert_int_eq(errno, ENOMEM);
    ck_assert_int_eq(made, 65536);
}
END_TEST

START_TEST(request_ids)
{
    uint64_t ids[1000];
    for (int i = 0; i < 1000; i++) {
        ids[i] = request_id_new();
        ck_assert_uint_ne(ids[i], 0);
        for (int k = 0; k < i; k++)
            ck_assert_uint_ne(ids[i], ids[k]);
    }
}
END_TEST

/* ---- taps ---- */

struct tapped {
    int received;
    int sent;
    uint16_t kinds[16];
    int count;
};

static void tap(struct port *port, enum tap_direction direction, uint16_t kind,
                const struct msg *message, uint32_t tag, void *context)
{
    (void)port;
    (void)message;
    (void)tag;
    struct tapped *tapped = context;
    if (direction == TAP_SENT)
        tapped->sent++;
    else
        tapped->received++;
    tapped->kinds[tapped->count++ % 16] = kind;
}

START_TEST(tapping)
{
    struct tapped tapped = {0}, local_tapped = {0};
    struct outcome outcome = {0};
    struct msg message = {.operation = 1};
    port_tap(one, tap, &tapped);
    port_on_message(other, echo, NULL);
    ck_assert_int_eq(msg_call_start(one, &message, -1, note_outcome, &outcome, NULL), 0);
    ck_assert_int_eq(tapped.sent, 1);
    run_until(&world, &outcome.count, 1);
    ck_assert_int_eq(tapped.received, 1);
    ck_assert_int_eq(tapped.kinds[0], WIRE_REQUEST);
    ck_assert_int_eq(tapped.kinds[1], WIRE_REPLY);
    ck_assert_int_eq(msg_send(one, &message), 0);
    ck_assert_int_eq(tapped.kinds[2], WIRE_NOTICE);
    struct call *call;
    ck_assert_int_eq(msg_call_start(one, &message, -1, note_outcome, &outcome, &call), 0);
    call_cancel(call);
    ck_assert_int_eq(tapped.kinds[4], WIRE_CANCEL);
    port_tap(one, NULL, NULL);
    ck_assert_int_eq(msg_send(one, &message), 0);
    ck_assert_int_eq(tapped.count, 5);

    struct port *local = port_local(world.set, echo, NULL);
    port_tap(local, tap, &local_tapped);
    ck_assert_int_eq(msg_call(local, &message, NULL, -1), 0);
    ck_assert_int_eq(local_tapped.received, 1);
    ck_assert_int_eq(local_tapped.sent, 1);
}
END_TEST

/* ---- queues ---- */

static int notices;
static size_t descriptors_seen;

static void count_notice(struct port *port, struct msg *message, struct reply *reply, void *context)
{
    (void)port;
    (void)reply;
    (void)context;
    ck_assert_uint_eq(message->object, (uint64_t)notices);
    descriptors_seen += message->descriptor_count;
    notices++;
}

START_TEST(queue_keeps_order)
{
    /* Inline, long, and with descriptors that the sender closes at once: all queued, all arrive. */
    char *body = calloc(1, 70000);
    port_on_message(other, count_notice, NULL);
    for (int i = 0; i < 600; i++) {
        int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
        struct msg message = {
            .object = (uint64_t)i,
            .body = body,
            .length = i % 100 == 0 ? 70000 : (size_t)(i % 7) * 500,
            .descriptors = &null,
            .descriptor_count = i % 3 == 0 ? 1 : 0,
        };
        ck_assert_int_eq(msg_send(one, &message), 0);
        close(null);
    }
    run_until(&world, &notices, 600);
    ck_assert_uint_eq(descriptors_seen, 200);
    free(body);
}
END_TEST

START_TEST(closed_with_a_full_queue)
{
    static char body[60000];
    struct msg message = {.operation = 1, .body = body, .length = sizeof body};
    struct outcome outcome = {0};
    for (int i = 0; i < 30; i++)
        ck_assert_int_eq(msg_call_start(one, &message, -1, note_outcome, &outcome, NULL), 0);
    if (_i)
        port_close(one);
    else
        port_close(other);
    run_until(&world, &outcome.count, 30);
    ck_assert_int_eq(outcome.error, _i ? ECANCELED : ECONNRESET);
}
END_TEST

START_TEST(fairness)
{
    /* One that floods does not keep another waiting for all of it. */
    struct port *quiet, *quiet_other;
    struct outcome outcome = {0};
    ck_assert_int_eq(port_pair(world.set, &quiet, &quiet_other), 0);
    port_on_message(other, count_notice, NULL);
    port_on_message(quiet_other, echo, NULL);
    for (int i = 0; i < 200; i++) {
        struct msg message = {.object = (uint64_t)i};
        ck_assert_int_eq(msg_send(one, &message), 0);
    }
    struct msg message = {.operation = 1};
    ck_assert_int_eq(msg_call_start(quiet, &message, -1, note_outcome, &outcome, NULL), 0);
    run_until(&world, &outcome.count, 1);
    ck_assert_int_lt(notices, 20);
    run_until(&world, &notices, 200);
}
END_TEST

/* ---- everything at once ---- */

static unsigned seed;

static unsigned draw(unsigned below)
{
    seed = seed * 1103515245u + 12345u;
    return (seed >> 16) % below;
}

#define STORM_PORTS 12
static struct port *storm[STORM_PORTS];
static struct reply *storm_held[64];
static int storm_started, storm_ended;

static void storm_hangup(struct port *port, int error, void *context)
{
    (void)error;
    (void)context;
    for (int i = 0; i < STORM_PORTS; i++)
        if (storm[i] == port)
            storm[i] = NULL;
}

static void storm_close(int i)
{
    struct port *port = storm[i];
    storm[i] = NULL;
    port_close(port);
}

static void storm_done(int error, struct msg *answer, void *context)
{
    (void)error;
    (void)answer;
    (void)context;
    storm_ended++;
    if (draw(40) == 0)
        storm_close((int)draw(STORM_PORTS));
}

static void storm_retry(int error, struct msg *message, struct reply *reply, void *context)
{
    (void)error;
    (void)message;
    (void)context;
    reply_error(reply, EIO);
}

static void storm_handle(struct port *port, struct msg *message, struct reply *reply, void *context)
{
    (void)context;
    unsigned slot = draw(64);
    switch (draw(6)) {
    case 0:
        if (!storm_held[slot] && reply) {
            storm_held[slot] = reply;
            return;
        }
        break;
    case 1: {
        struct port *to = storm[draw(STORM_PORTS)];
        if (to &&
            !msg_forward(to, message, reply, draw(2) ? 5 : -1, draw(2) ? storm_retry : NULL, NULL))
            return;
        break;
    }
    case 2:
        if (draw(20) == 0)
            for (int i = 0; i < STORM_PORTS; i++)
                if (storm[i] == port)
                    storm_close(i);
        break;
    }
    echo(port, message, reply, NULL);
}

static void storm_pair(void)
{
    int a = -1, b = -1;
    for (int i = 0; i < STORM_PORTS; i++) {
        if (storm[i])
            continue;
        if (a < 0)
            a = i;
        else if (b < 0)
            b = i;
    }
    if (a >= 0 && draw(5) == 0) {
        storm[a] = port_local(world.set, storm_handle, NULL);
        return;
    }
    if (b < 0)
        return;
    ck_assert_int_eq(port_pair(world.set, &storm[a], &storm[b]), 0);
    port_on_message(storm[a], storm_handle, NULL);
    port_on_message(storm[b], storm_handle, NULL);
    port_on_hangup(storm[a], storm_hangup, NULL);
    port_on_hangup(storm[b], storm_hangup, NULL);
}

START_TEST(random_storm)
{
    static char body[100000];
    seed = (unsigned)_i;
    port_set_limit(world.set, 1 << 20, 0, 1 + draw(20));
    for (int step = 0; step < 4000; step++) {
        struct port *port = storm[draw(STORM_PORTS)];
        struct msg message = {.operation = 1,
                              .body = body,
                              .length = draw(50) == 0 ? sizeof body : draw(2000),
                              .descriptors = (int[1]){0},
                              .descriptor_count = draw(4) == 0};
        struct call *call;
        switch (draw(8)) {
        case 0:
            storm_pair();
            break;
        case 1:
            if (draw(10) == 0)
                storm_close((int)draw(STORM_PORTS));
            break;
        case 2: {
            unsigned slot = draw(64);
            struct reply *reply = storm_held[slot];
            storm_held[slot] = NULL;
            reply_send(reply, &message);
            break;
        }
        case 3:
            ev_run(world.loop, EVRUN_NOWAIT);
            break;
        case 4:
            if (port && port_descriptor(port) < 0)
                msg_call(port, &message, NULL, (int)draw(3)); /* runs the loop */
            else if (port)
                msg_send(port, &message);
            break;
        default:
            if (port && !msg_call_start(port, &message, draw(3) ? -1 : (int)draw(10), storm_done,
                                        NULL, &call)) {
                storm_started++;
                if (draw(10) == 0)
                    call_cancel(call);
            }
        }
    }
    for (int i = 0; i < 64; i++)
        reply_error(storm_held[i], 0);
    port_set_free(world.set);
    world.set = NULL;
    /* every call ended exactly once, whatever happened */
    ck_assert_int_eq(storm_started, storm_ended);
    ck_assert_int_gt(storm_started, 100);
}
END_TEST

static void fill(TCase *tests)
{
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, hangup_both_ways);
    tcase_add_test(tests, no_senders);
    tcase_add_test(tests, close_is_silent);
    tcase_add_test(tests, close_in_a_hangup);
    tcase_add_loop_test(tests, close_in_a_done, 0, 2);
    tcase_add_test(tests, call_from_an_ended_port);
    tcase_add_test(tests, close_all_in_a_handler);
    tcase_add_test(tests, free_the_set_in_a_handler);
    tcase_add_test(tests, reply_outlives_the_set);
    tcase_add_loop_test(tests, message_outlives_the_set, 0, 3);
    tcase_add_test(tests, keeping);
    tcase_add_test(tests, null_reply);
    tcase_add_test(tests, handles);
    tcase_add_test(tests, handles_at_hangup);
    tcase_add_test(tests, many_handles);
    tcase_add_test(tests, request_ids);
    tcase_add_test(tests, tapping);
    tcase_add_test(tests, queue_keeps_order);
    tcase_add_loop_test(tests, closed_with_a_full_queue, 0, 2);
    tcase_add_test(tests, fairness);
    tcase_add_loop_test(tests, random_storm, 0, 40);
}

int main(void)
{
    return run_suite("msg_port", fill);
}
