/* Calls, replies, notices, cancels: over sockets and over local ports. */
#include <sys/time.h>

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

/* ---- handlers ---- */

struct held {
    int count;
    int cancelled;
    int notices;
    struct reply *reply;
    struct msg message;
    bool answer_on_cancel;
};

static void cancelled(struct reply *reply, void *context)
{
    struct held *held = context;
    held->cancelled++;
    if (held->answer_on_cancel) {
        held->reply = NULL;
        reply_error(reply, ECANCELED);
    }
}

static void hold(struct port *port, struct msg *message, struct reply *reply, void *context)
{
    (void)port;
    struct held *held = context;
    if (!reply) {
        held->notices++;
        return;
    }
    held->count++;
    held->reply = reply;
    reply_on_cancel(reply, cancelled, held);
    msg_keep(message, &held->message);
}

/* ---- sockets ---- */

START_TEST(pair_call)
{
    struct port *one, *other;
    struct outcome outcome = {0};
    struct call *call;
    struct msg message = {.operation = 7, .body = "ping", .length = 5};
    ck_assert_int_eq(port_pair(world.set, &one, &other), 0);
    port_on_message(other, echo, NULL);
    ck_assert_int_eq(msg_call_start(one, &message, 1000, note_outcome, &outcome, &call), 0);
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
    ck_assert_int_eq(msg_call_start(one, &message, 1000, note_outcome, &outcome, NULL), 0);
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
        ck_assert_int_eq(msg_call_start(one, &message, 10000, note_outcome, &outcome, NULL), 0);
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
    reply_on_cancel(held.reply, cancelled, &held);
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

START_TEST(long_messages)
{
    char *path = world_path(&world, "socket");
    pid_t server = serve_elsewhere(path, echo);
    struct port *port;
    ck_assert_int_eq(port_connect(world.set, path, 5000, &port), 0);
    const size_t sizes[] = {0,    1,     911,   912,   1023,   1024,     1025,
                            4096, 65535, 65536, 65537, 212961, 1u << 20, WIRE_BODY_MAX};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        unsigned char *body = malloc(sizes[i] + 1);
        for (size_t k = 0; k < sizes[i]; k++)
            body[k] = (unsigned char)(k * 31 + i);
        struct msg message = {.operation = 7, .body = body, .length = sizes[i]};
        struct msg answer;
        ck_assert_int_eq(msg_call(port, &message, &answer, 10000), 0);
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

/* ---- blocking calls ---- */

enum { OPERATION_NEVER = 100, OPERATION_CHATTER, OPERATION_EXIT, OPERATION_ASK };

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
    ck_assert_int_eq(port_connect(world.set, path, 5000, &port), 0);
    port_on_message(port, hold, &held);
    port_on_hangup(port, note_hangup, &hangups);

    struct msg message = {.operation = 1, .object = 99, .body = "hi", .length = 3};
    for (int i = 0; i < 100; i++) {
        ck_assert_int_eq(msg_call(port, &message, &answer, i % 2 ? 5000 : -1), 0);
        ck_assert_str_eq(answer.body, "hi");
        ck_assert_uint_eq(answer.object, 99);
        msg_release(&answer);
    }
    ck_assert_int_eq(msg_call(port, &message, NULL, 5000), 0);

    message.operation = OPERATION_NEVER;
    ck_assert_int_eq(msg_call(port, &message, &answer, 30), ETIMEDOUT);
    ck_assert_int_eq(msg_call(port, &message, &answer, 0), ETIMEDOUT);

    /* What arrives meanwhile is kept, and handled by the loop. */
    message.operation = OPERATION_CHATTER;
    ck_assert_int_eq(msg_call(port, &message, &answer, 5000), 0);
    ck_assert_int_eq(held.notices, 0);
    message.operation = 1;
    ck_assert_int_eq(msg_call(port, &message, &answer, 5000), 0);
    msg_release(&answer);
    run_until(&world, &held.notices, 10);
    run_until(&world, &held.count, 1);
    reply_error(held.reply, 0);
    msg_release(&held.message);

    message.operation = OPERATION_EXIT;
    ck_assert_int_eq(msg_call(port, &message, &answer, 5000), ECONNRESET);
    ck_assert_int_eq(hangups.count, 0);
    ck_assert_int_eq(msg_call(port, &message, &answer, 5000), ENOTCONN);
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
    ck_assert_int_eq(port_connect(world.set, path, 5000, &port), 0);
    for (int i = 0; i < 100; i++)
        ck_assert_int_eq(msg_call_start(port, &message, 10000, note_outcome, &outcome, NULL), 0);
    ck_assert_int_eq(msg_call(port, &message, &answer, 10000), 0);
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
    ck_assert_int_eq(port_connect(world.set, path, 5000, &port), 0);
    ck_assert_int_eq(msg_call(port, &message, NULL, 1), ETIMEDOUT);
    message.operation = 1;
    for (int i = 0; i < 70000; i++)
        ck_assert_int_eq(msg_call(port, &message, NULL, 5000), 0);
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
    ck_assert_int_eq(port_connect(world.set, path, 5000, &port), 0);
    ck_assert_int_eq(msg_call_start(port, &message, 5000, note_outcome, &outcome, NULL), 0);
    ck_assert_int_eq(msg_call(port, &message, &answer, 5000), 0);
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
    ck_assert_int_eq(port_connect(world.set, path, 5000, &port), 0);
    sigaction(SIGALRM, &action, NULL);
    setitimer(ITIMER_REAL, &soon, NULL);
    double from = ev_time();
    ck_assert_int_eq(msg_call(port, &message, &answer, 200), ETIMEDOUT);
    double took = ev_time() - from;
    setitimer(ITIMER_REAL, &never, NULL);
    ck_assert_int_gt(alarms, 2);
    ck_assert(took > 0.15 && took < 5);
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
        while (!msg_reply_wait(port, reply, &answer, &message, &reply, 5000)) {
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
        ck_assert_int_eq(msg_call(port, &message, &answer, 5000), 0);
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
    ck_assert_int_eq(msg_wait(one, &got, &reply, 1000), 0);
    ck_assert_ptr_null(reply);
    ck_assert_str_eq(got.body, "a");
    msg_release(&got);
    ck_assert_int_eq(msg_call_start(other, &message, -1, note_outcome, &outcome, NULL), 0);
    ck_assert_int_eq(msg_wait(one, &got, &reply, 1000), 0);
    ck_assert_ptr_nonnull(reply);
    reply_send(reply, &got);
    msg_release(&got);
    /* its reply is handled while the other side waits */
    ck_assert_int_eq(msg_wait(other, &got, &reply, 20), ETIMEDOUT);
    ck_assert_int_eq(outcome.count, 1);
    port_close(other);
    ck_assert_int_eq(msg_wait(one, &got, &reply, 1000), ECONNRESET);
    port_close(one);
    struct port *local = port_local(world.set, echo, NULL);
    ck_assert_int_eq(msg_wait(local, &got, &reply, 0), ENOTCONN);
}
END_TEST

/* ---- local ports ---- */

START_TEST(local_call)
{
    struct port *port = port_local(world.set, echo, NULL);
    struct outcome outcome = {0};
    struct call *call;
    struct msg message = {.operation = 7, .object = 5, .body = "ping", .length = 5};
    struct msg answer;
    ck_assert_int_eq(port_descriptor(port), -1);
    ck_assert_int_eq(port_peer(port).uid, getuid());
    ck_assert_int_eq(msg_call(port, &message, &answer, 1000), 0);
    ck_assert_str_eq(answer.body, "ping");
    ck_assert_uint_eq(answer.object, 5);
    msg_release(&answer);
    ck_assert_int_eq(msg_call(port, &message, NULL, 1000), 0);
    ck_assert_int_eq(msg_call_start(port, &message, 1000, note_outcome, &outcome, &call), 0);
    ck_assert_ptr_null(call);
    ck_assert_int_eq(outcome.count, 1);
    ck_assert_str_eq(outcome.body, "ping");
    message.length = WIRE_BODY_MAX + 1u;
    ck_assert_int_eq(msg_call(port, &message, &answer, 1000), EMSGSIZE);
    port_on_message(port, NULL, NULL);
    message.length = 0;
    ck_assert_int_eq(msg_call(port, &message, &answer, 1000), ENOSYS);
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
    ck_assert_int_eq(msg_call(port, &message, &answer, 5000), 0);
    ck_assert_str_eq(answer.body, "kept");
    msg_release(&answer);
    msg_release(&held.message);

    struct outcome outcome = {0};
    struct call *call;
    ck_assert_int_eq(msg_call_start(port, &message, 5000, note_outcome, &outcome, &call), 0);
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
    nest->inner_error = msg_call(nest->inner, &message, NULL, 5000);
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
    ck_assert_int_eq(msg_call(outer, &message, NULL, 5000), 0);
    ck_assert_int_eq(nest.inner_error, 0);
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
    tcase_add_test(tests, descriptors);
    tcase_add_test(tests, taking);
    tcase_add_test(tests, long_messages);
    tcase_add_test(tests, small_socket_buffer);
    tcase_add_test(tests, blocking);
    tcase_add_test(tests, blocking_behind_a_queue);
    tcase_add_test(tests, many_tags);
    tcase_add_test(tests, blocking_beside_started);
    tcase_add_test(tests, blocking_with_signals);
    tcase_add_test(tests, reply_and_wait);
    tcase_add_test(tests, waiting);
    tcase_add_test(tests, local_call);
    tcase_add_test(tests, local_notice);
    tcase_add_test(tests, local_later);
    tcase_add_test(tests, local_timeout_and_cancel);
    tcase_add_test(tests, local_closed);
    tcase_add_test(tests, local_wait_broken);
    tcase_add_test(tests, local_nested);
    tcase_add_test(tests, handler_closes_port);
}

int main(void)
{
    return run_suite("msg_call", fill);
}
