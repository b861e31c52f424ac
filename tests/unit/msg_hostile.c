/* What a hostile or broken peer may send, written onto the wire by hand. Each time: the right end
 * for that peer, and everybody else is served on. */
#include <stdint.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/uio.h>

#include "tests/unit/msg_support.h"

static struct world world;
static struct port *victim;
static int raw;
static struct hangups hangups;

/* Beside the victim: somebody who must not notice anything. */
static struct port *client, *server;

struct seen {
    int requests;
    int notices;
    int cancelled;
    struct reply *held[256];
    size_t descriptors;
};

static struct seen seen;

static void note_cancelled(struct reply *reply, void *context)
{
    (void)reply;
    (void)context;
    seen.cancelled++;
}

/* Operation 1 is answered, 2 is held. */
static void serve(struct port *port, struct msg *message, struct reply *reply, void *context)
{
    if (!reply) {
        seen.notices++;
        return;
    }
    seen.descriptors = message->descriptor_count;
    if (message->operation == 2) {
        seen.held[seen.requests] = reply;
        reply_on_cancel(reply, note_cancelled, NULL);
    } else {
        echo(port, message, reply, context);
    }
    seen.requests++;
}

static void setup(void)
{
    world_open(&world);
    victim = raw_port(&world, &raw);
    port_on_message(victim, serve, NULL);
    port_on_hangup(victim, note_hangup, &hangups);
    ck_assert_int_eq(port_pair(world.set, &client, &server), 0);
    port_on_message(server, echo, NULL);
    hangups = (struct hangups){0};
    seen = (struct seen){0};
}

static void others_are_served(void)
{
    struct outcome outcome = {0};
    struct msg message = {.operation = 1, .body = "fine", .length = 5};
    ck_assert_int_eq(msg_call_start(client, &message, 5000, note_outcome, &outcome, NULL), 0);
    run_until(&world, &outcome.count, 1);
    ck_assert_int_eq(outcome.error, 0);
}

static void teardown(void)
{
    others_are_served();
    close(raw);
    world_close(&world);
}

static void send_bytes(const void *bytes, size_t length)
{
    ck_assert_int_eq(send(raw, bytes, length, MSG_NOSIGNAL), (ssize_t)length);
}

static void send_header(const struct wire_header *header, size_t body_length)
{
    static char body[WIRE_INLINE_MAX + 4096];
    ck_assert_int_eq(raw_send(raw, header, body, body_length, NULL, 0), 0);
}

static void expect_drop(int error)
{
    run_until(&world, &hangups.count, 1);
    ck_assert_int_eq(hangups.error, error);
    struct wire_header header;
    char body[64];
    ck_assert_int_eq(raw_await(&world, raw, &header, body, sizeof body), 0);
}

/* The connection lives: a request is answered. */
static void expect_life(void)
{
    struct wire_header header = raw_header(WIRE_REQUEST, 0xabcdef, 0);
    char body[64];
    send_header(&header, 0);
    ck_assert_int_eq(raw_await(&world, raw, &header, body, sizeof body), sizeof header);
    ck_assert_int_eq(header.kind, WIRE_REPLY);
    ck_assert_uint_eq(header.tag, 0xabcdef);
    ck_assert_uint_eq(header.operation, 1);
    ck_assert_int_eq(header.error, 0);
    ck_assert_int_eq(hangups.count, 0);
}

START_TEST(zero_length)
{
    send_bytes("", 0);
    run_until(&world, &hangups.count, 1);
    ck_assert_int_eq(hangups.error, 0); /* it reads like the end */
}
END_TEST

START_TEST(zero_length_with_descriptors)
{
    union {
        struct cmsghdr align;
        unsigned char space[CMSG_SPACE(sizeof(int))];
    } control = {.align = {.cmsg_level = SOL_SOCKET,
                           .cmsg_type = SCM_RIGHTS,
                           .cmsg_len = CMSG_LEN(sizeof(int))}};
    struct msghdr message = {.msg_control = &control, .msg_controllen = sizeof control};
    memcpy(CMSG_DATA(&control.align), &raw, sizeof raw);
    ck_assert_int_eq(sendmsg(raw, &message, MSG_NOSIGNAL), 0);
    run_until(&world, &hangups.count, 1);
}
END_TEST

START_TEST(truncated_header)
{
    struct wire_header header = raw_header(WIRE_REQUEST, 1, 0);
    send_bytes(&header, (size_t)_i);
    expect_drop(EPROTO);
}
END_TEST

/* Headers that no well-behaved peer sends. */
static const struct {
    struct wire_header header;
    size_t body;
    int error;
} bad_headers[] = {
    {{.version = 2, .kind = WIRE_REQUEST}, 0, EPROTO},
    {{.version = 0, .kind = WIRE_REQUEST}, 0, EPROTO},
    {{.version = 65535, .kind = WIRE_NOTICE}, 0, EPROTO},
    {{.version = 1, .kind = 0}, 0, EPROTO},
    {{.version = 1, .kind = 7}, 0, EPROTO},
    {{.version = 1, .kind = 65535}, 0, EPROTO},
    {{.version = 1, .kind = WIRE_REQUEST, .length = 10}, 0, EPROTO},
    {{.version = 1, .kind = WIRE_REQUEST, .length = 10}, 9, EPROTO},
    {{.version = 1, .kind = WIRE_REQUEST, .length = 10}, 11, EPROTO},
    {{.version = 1, .kind = WIRE_REQUEST, .length = UINT32_MAX}, 10, EPROTO},
    {{.version = 1, .kind = WIRE_REQUEST, .length = 0}, 1, EPROTO},
    {{.version = 1, .kind = WIRE_REQUEST, .length = WIRE_INLINE_MAX + 1},
     WIRE_INLINE_MAX + 1,
     EMSGSIZE},
    {{.version = 1, .kind = WIRE_REQUEST, .descriptors = 1}, 0, EPROTO},
    {{.version = 1, .kind = WIRE_REQUEST, .descriptors = 65535}, 0, EPROTO},
    {{.version = 1, .kind = WIRE_REQUEST, .flags = 2}, 0, EPROTO},
    {{.version = 1, .kind = WIRE_REQUEST, .flags = WIRE_LONG, .length = 5}, 0, EPROTO},
    {{.version = 1, .kind = WIRE_REQUEST, .flags = WIRE_LONG, .length = 5}, 5, EPROTO},
    {{.version = 1, .kind = WIRE_REQUEST, .flags = WIRE_LONG, .length = WIRE_BODY_MAX + 1u},
     0,
     EMSGSIZE},
    {{.version = 1, .kind = WIRE_REQUEST, .reserved = 1}, 0, EPROTO},
    {{.version = 1, .kind = WIRE_REQUEST, .error = 5}, 0, EPROTO},
    {{.version = 1, .kind = WIRE_NOTICE, .error = -5}, 0, EPROTO},
    {{.version = 1, .kind = WIRE_REPLY, .error = -5}, 0, EPROTO},
    {{.version = 1, .kind = WIRE_REPLY, .error = INT32_MAX}, 0, EPROTO},
    {{.version = 1, .kind = WIRE_CANCEL, .length = 3}, 3, EPROTO},
    {{.version = 1, .kind = WIRE_HELLO, .length = sizeof(struct wire_hello)},
     sizeof(struct wire_hello),
     EPROTO},
    {{.version = 1, .kind = WIRE_WELCOME, .length = sizeof(struct wire_hello)},
     sizeof(struct wire_hello),
     EPROTO},
    {{.version = 1, .kind = WIRE_HELLO, .length = 3}, 3, EPROTO},
};

#define BAD_HEADERS ((int)(sizeof bad_headers / sizeof *bad_headers))

START_TEST(bad_header)
{
    send_header(&bad_headers[_i].header, bad_headers[_i].body);
    expect_drop(bad_headers[_i].error);
    ck_assert_int_eq(seen.requests + seen.notices, 0);
}
END_TEST

START_TEST(wrong_descriptor_counts)
{
    /* more came than the header says */
    int null[3];
    for (int i = 0; i < 3; i++)
        null[i] = open("/dev/null", O_RDONLY | O_CLOEXEC);
    struct wire_header header = raw_header(WIRE_REQUEST, 1, 0);
    header.descriptors = (uint16_t)_i;
    ck_assert_int_eq(raw_send(raw, &header, NULL, 0, null, 3), 0);
    expect_drop(EPROTO);
    for (int i = 0; i < 3; i++)
        close(null[i]);
}
END_TEST

static int memory(size_t size, int seals)
{
    int descriptor = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    ck_assert_int_ge(descriptor, 0);
    ck_assert_int_eq(ftruncate(descriptor, (off_t)size), 0);
    if (seals)
        ck_assert_int_eq(fcntl(descriptor, F_ADD_SEALS, seals), 0);
    return descriptor;
}

static void send_long(int descriptor, uint32_t length)
{
    struct wire_header header = raw_header(WIRE_REQUEST, 1, length);
    header.flags = WIRE_LONG;
    header.descriptors = 1;
    ck_assert_int_eq(raw_send(raw, &header, NULL, 0, &descriptor, 1), 0);
    close(descriptor);
}

START_TEST(long_body)
{
    struct wire_header header;
    static char body[WIRE_INLINE_MAX];
    send_long(memory(100, _i ? F_SEAL_SHRINK | F_SEAL_WRITE : 0), 100);
    ck_assert_int_eq(raw_await(&world, raw, &header, body, sizeof body), sizeof header + 100);
    expect_life();
}
END_TEST

START_TEST(long_body_too_short)
{
    send_long(memory(99, 0), 100);
    expect_drop(EPROTO);
}
END_TEST

START_TEST(long_body_not_memory)
{
    int ends[2];
    ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
    send_long(_i == 0   ? open("/dev/zero", O_RDONLY | O_CLOEXEC)
              : _i == 1 ? open("/etc/passwd", O_RDONLY | O_CLOEXEC)
              : _i == 2 ? fcntl(ends[0], F_DUPFD_CLOEXEC, 3)
              : _i == 3 ? fcntl(raw, F_DUPFD_CLOEXEC, 3)
                        : open("/", O_PATH | O_CLOEXEC),
              1);
    expect_drop(EPROTO);
    close(ends[0]);
    close(ends[1]);
}
END_TEST

START_TEST(unknown_tags)
{
    struct wire_header header = raw_header(WIRE_REPLY, 77, 0);
    send_header(&header, 0);
    header.tag = 0;
    send_header(&header, 0);
    header = raw_header(WIRE_CANCEL, 99, 0);
    send_header(&header, 0);
    expect_life();
}
END_TEST

START_TEST(duplicate_tag)
{
    struct wire_header header = raw_header(WIRE_REQUEST, 5, 0);
    header.operation = 2;
    send_header(&header, 0);
    send_header(&header, 0);
    expect_drop(EPROTO);
    ck_assert_int_eq(seen.requests, 1);
    ck_assert_int_eq(seen.cancelled, 1);
    ck_assert_ptr_null(reply_port(seen.held[0]));
    reply_error(seen.held[0], 0);
}
END_TEST

START_TEST(tag_used_again)
{
    for (int i = 0; i < 3; i++)
        expect_life();
}
END_TEST

START_TEST(cancelled_twice)
{
    struct wire_header header = raw_header(WIRE_REQUEST, 5, 0);
    char body[8];
    header.operation = 2;
    send_header(&header, 0);
    header = raw_header(WIRE_CANCEL, 5, 0);
    send_header(&header, 0);
    send_header(&header, 0);
    expect_life();
    ck_assert_int_eq(seen.cancelled, 1);
    reply_error(seen.held[0], ECANCELED);
    ck_assert_int_eq(raw_await(&world, raw, &header, body, sizeof body), sizeof header);
    ck_assert_int_eq(header.error, ECANCELED);
}
END_TEST

START_TEST(reply_twice)
{
    struct outcome outcome = {0};
    struct msg message = {.operation = 9};
    struct wire_header header;
    char body[8];
    ck_assert_int_eq(msg_call_start(victim, &message, -1, note_outcome, &outcome, NULL), 0);
    ck_assert_int_eq(raw_await(&world, raw, &header, body, sizeof body), sizeof header);
    header.kind = WIRE_REPLY;
    send_header(&header, 0);
    send_header(&header, 0);
    run_until(&world, &outcome.count, 1);
    expect_life();
    ck_assert_int_eq(outcome.count, 1);
}
END_TEST

START_TEST(too_many_requests)
{
    /* More than the limit are not run until some are answered, and none is lost. */
    port_set_limit(world.set, 0, 0, 8);
    struct wire_header header = raw_header(WIRE_REQUEST, 0, 0);
    header.operation = 2;
    for (uint32_t i = 0; i < 40; i++) {
        header.tag = i;
        send_header(&header, 0);
    }
    run_ready(&world);
    ck_assert_int_eq(seen.requests, 8);
    /* A cancel right behind them is still heard where it was sent before the last one. */
    for (int answered = 0; answered < 40; answered++) {
        ck_assert_int_lt(answered, seen.requests);
        reply_error(seen.held[answered], 0);
        run_until(&world, &seen.requests, answered + 9 < 40 ? answered + 9 : 40);
    }
    ck_assert_int_eq(seen.requests, 40);
}
END_TEST

START_TEST(too_heavy_requests)
{
    /* Unanswered requests may not hold any amount of memory or descriptors. */
    int nulls[8] = {0};
    struct wire_header header = raw_header(WIRE_REQUEST, 0, 0);
    port_set_limit(world.set, 1 << 20, 0, 0);
    header.operation = 2;
    header.descriptors = 8;
    for (uint32_t i = 0; i < 6; i++) {
        header.tag = i;
        ck_assert_int_eq(raw_send(raw, &header, NULL, 0, nulls, 8), 0);
    }
    run_ready(&world);
    ck_assert_int_eq(seen.requests, 2); /* 2 × 8 × 64 KiB */
    for (int answered = 0; answered < 6; answered++) {
        reply_error(seen.held[answered], 0);
        run_until(&world, &seen.requests, answered + 3 < 6 ? answered + 3 : 6);
    }
    /* long ones */
    for (uint32_t i = 0; i < 4; i++) {
        header = raw_header(WIRE_REQUEST, i, 600000);
        header.operation = 2;
        header.flags = WIRE_LONG;
        header.descriptors = 1;
        int body = memory(600000, 0);
        ck_assert_int_eq(raw_send(raw, &header, NULL, 0, &body, 1), 0);
        close(body);
    }
    run_ready(&world);
    ck_assert_int_eq(seen.requests, 8);
    reply_error(seen.held[6], 0);
    run_until(&world, &seen.requests, 9);
    reply_error(seen.held[7], 0);
    reply_error(seen.held[8], 0);
    run_until(&world, &seen.requests, 10);
    reply_error(seen.held[9], 0);
    run_ready(&world);
    char body[8];
    for (int i = 0; i < 10; i++)
        ck_assert_int_eq(raw_await(&world, raw, &header, body, sizeof body), sizeof header);
    expect_life();
}
END_TEST

START_TEST(gone_while_not_read)
{
    /* It asked for more than it may and left: this is noticed though nothing is read. */
    port_set_limit(world.set, 0, 0, 8);
    struct wire_header header = raw_header(WIRE_REQUEST, 0, 0);
    header.operation = 2;
    for (uint32_t i = 0; i < 40; i++) {
        header.tag = i;
        send_header(&header, 0);
    }
    run_ready(&world);
    ck_assert_int_eq(seen.requests, 8);
    shutdown(raw, SHUT_RDWR);
    run_until(&world, &hangups.count, 1);
    ck_assert_int_eq(seen.requests, 40); /* what it asked before is heard */
    ck_assert_int_eq(seen.cancelled, 40);
    for (int i = 0; i < 40; i++)
        reply_error(seen.held[i], 0);
}
END_TEST

START_TEST(never_reads)
{
    /* Answers that it does not read: it is not served any more, and nobody waits for it. */
    struct wire_header header = raw_header(WIRE_REQUEST, 0, 60000);
    static char body[60000];
    int sent = 0;
    for (int round = 0; round < 50; round++) {
        for (;;) {
            header.tag = (uint32_t)sent;
            if (raw_send(raw, &header, body, sizeof body, NULL, 0))
                break;
            sent++;
        }
        run_ready(&world);
    }
    ck_assert_int_lt(sent, 200);
    others_are_served();
    /* It begins to read: all answers are there. */
    for (int got = 0; got < sent; got++) {
        ck_assert_int_eq(raw_await(&world, raw, &header, body, sizeof body),
                         sizeof header + sizeof body);
        ck_assert_uint_eq(header.tag, (uint32_t)got);
    }
    ck_assert_int_eq(hangups.count, 0);
}
END_TEST

START_TEST(never_reads_descriptors)
{
    /* Unread answers with descriptors must not use up the table. */
    struct wire_header header = raw_header(WIRE_REQUEST, 0, 0);
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    int before = count_descriptors();
    header.descriptors = 1;
    for (uint32_t i = 0; i < 5000; i++) {
        header.tag = i;
        if (raw_send(raw, &header, NULL, 0, &null, 1))
            break;
        ev_run(world.loop, EVRUN_NOWAIT);
    }
    ck_assert_int_le(count_descriptors(), before + 300);
    others_are_served();
    close(null);
}
END_TEST

START_TEST(never_reads_notices)
{
    /* Notices that it does not read: in the end it is dropped. */
    static char body[60000];
    struct msg message = {.operation = 3, .body = body, .length = sizeof body};
    int error, sent = 0;
    port_set_limit(world.set, 1 << 20, 0, 0);
    while (!(error = msg_send(victim, &message)))
        ck_assert_int_lt(++sent, 100);
    ck_assert_int_eq(error, ENOBUFS);
    ck_assert_int_eq(msg_send(victim, &message), ENOTCONN);
    ck_assert_int_eq(hangups.count, 0); /* not from within the call */
    run_until(&world, &hangups.count, 1);
    ck_assert_int_eq(hangups.error, ENOBUFS);
}
END_TEST

static void serve_descriptor(struct port *port, struct msg *message, struct reply *reply,
                             void *context)
{
    (void)port;
    (void)message;
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    struct msg answer = {.descriptors = &null, .descriptor_count = 1};
    reply_send(reply, &answer);
    close(null);
    ++*(int *)context;
}

START_TEST(too_many_in_flight)
{
    /* The kernel counts the descriptors of a user that nobody has received yet (ETOOMANYREFS). */
    struct rlimit limit, tight;
    struct wire_header header;
    char body[8];
    int served = 0, refused = 0;
    port_on_message(victim, serve_descriptor, &served);
    getrlimit(RLIMIT_NOFILE, &limit);
    tight = (struct rlimit){40, limit.rlim_max};
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &tight), 0);
    for (uint32_t i = 0; i < 60; i++) {
        header = raw_header(WIRE_REQUEST, i, 0);
        ck_assert_int_eq(raw_send(raw, &header, NULL, 0, NULL, 0), 0);
        run_until(&world, &served, (int)i + 1);
    }
    struct msg notice = {.operation = 3, .descriptors = &raw, .descriptor_count = 1};
    int error = msg_send(victim, &notice);
    /* Each got its answer: the descriptor, or the reason. */
    for (uint32_t i = 0; i < 60; i++) {
        ck_assert_int_ge(raw_await(&world, raw, &header, body, sizeof body), 48);
        ck_assert_uint_eq(header.tag, i);
        ck_assert(header.error == 0 || header.error == ETOOMANYREFS);
        refused += header.error != 0;
    }
    setrlimit(RLIMIT_NOFILE, &limit);
    if (geteuid() == 0) {
        ck_assert_int_eq(refused, 0); /* who is privileged has no such limit */
    } else {
        ck_assert_int_gt(refused, 0);
        ck_assert_int_eq(error, ETOOMANYREFS);
    }
    ck_assert_int_eq(hangups.count, 0);
}
END_TEST

/* Fill the way to the raw end until packets are queued. */
static int fill_way(void)
{
    static char body[60000];
    struct msg message = {.operation = 3, .body = body, .length = sizeof body};
    int count = 0;
    while (count < 10) {
        ck_assert_int_eq(msg_send(victim, &message), 0);
        count++;
    }
    return count;
}

START_TEST(too_many_in_flight_while_queued)
{
    /* The same found only when the queue moves: the reply and the request say so, each to whom
     * it concerns; for a notice there is nobody to tell but the peer. */
    struct rlimit limit, tight;
    struct wire_header header;
    static char body[60000];
    int served = 0;
    int flight[2];
    int zeros[64] = {0};
    struct outcome outcome = {0};
    struct msg message = {.operation = 9, .descriptors = zeros, .descriptor_count = 1};
    if (geteuid() == 0)
        return; /* who is privileged has no such limit */
    port_on_message(victim, serve_descriptor, &served);
    int notices = fill_way();
    header = raw_header(WIRE_REQUEST, 5, 0);
    send_header(&header, 0);
    run_until(&world, &served, 1);
    ck_assert_int_eq(msg_call_start(victim, &message, -1, note_outcome, &outcome, NULL), 0);

    getrlimit(RLIMIT_NOFILE, &limit);
    tight = (struct rlimit){40, limit.rlim_max};
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, flight), 0);
    header = raw_header(WIRE_NOTICE, 0, 0);
    ck_assert_int_eq(raw_send(flight[0], &header, NULL, 0, zeros, 64), 0);
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &tight), 0);
    for (int i = 0; i < notices; i++)
        ck_assert_int_gt(raw_await(&world, raw, &header, body, sizeof body), 48);
    ck_assert_int_eq(raw_await(&world, raw, &header, body, sizeof body), 48);
    ck_assert_int_eq(header.kind, WIRE_REPLY);
    ck_assert_uint_eq(header.tag, 5);
    ck_assert_int_eq(header.error, ETOOMANYREFS);
    ck_assert_uint_eq(header.descriptors, 0);
    run_until(&world, &outcome.count, 1);
    ck_assert_int_eq(outcome.error, ETOOMANYREFS);
    ck_assert_int_eq(hangups.count, 0);

    setrlimit(RLIMIT_NOFILE, &limit);
    notices = fill_way();
    ck_assert_int_eq(msg_send(victim, &message), 0);
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &tight), 0);
    for (int i = 0; i < notices; i++)
        ck_assert_int_gt(raw_await(&world, raw, &header, body, sizeof body), 48);
    run_until(&world, &hangups.count, 1);
    ck_assert_int_eq(hangups.error, ETOOMANYREFS);
    setrlimit(RLIMIT_NOFILE, &limit);
    close(flight[0]);
    close(flight[1]);
}
END_TEST

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
    header.kind = WIRE_REPLY;
    header.descriptors = 2;
    ck_assert_int_eq(raw_send(raw, &header, NULL, 0, (int[]){0, 1}, 2), 0);
    /* and a notice, which is lost */
    header.kind = WIRE_NOTICE;
    ck_assert_int_eq(raw_send(raw, &header, NULL, 0, (int[]){0, 1}, 2), 0);
    run_until(&world, &outcome.count, 1);
    ck_assert_int_eq(outcome.error, EMFILE);
    expect_life();
    ck_assert_int_eq(seen.notices, 0);
    for (int i = 0; i < count; i++)
        close(taken[i]);
    setrlimit(RLIMIT_NOFILE, &limit);
}
END_TEST

START_TEST(last_words)
{
    /* What was sent before the end is handled before the end. */
    struct wire_header header = raw_header(WIRE_NOTICE, 0, 0);
    for (int i = 0; i < 100; i++)
        send_header(&header, 0);
    shutdown(raw, SHUT_WR);
    run_until(&world, &hangups.count, 1);
    ck_assert_int_eq(hangups.error, 0);
    ck_assert_int_eq(seen.notices, 100);
}
END_TEST

START_TEST(lingering_socket)
{
    /* A descriptor whose close would block. */
    struct linger slow = {.l_onoff = 1, .l_linger = 30};
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(listen(listener, 1), 0);
    struct sockaddr_storage address;
    socklen_t size = sizeof address;
    ck_assert_int_eq(getsockname(listener, (struct sockaddr *)&address, &size), 0);
    int sender = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    connect(sender, (struct sockaddr *)&address, size);
    struct pollfd ready = {.fd = sender, .events = POLLOUT};
    ck_assert_int_eq(poll(&ready, 1, 5000), 1);
    ck_assert_int_eq(setsockopt(sender, SOL_SOCKET, SO_LINGER, &slow, sizeof slow), 0);
    static char body[65536];
    while (send(sender, body, sizeof body, MSG_NOSIGNAL) > 0)
        ;
    fcntl(sender, F_SETFL, 0);
    struct wire_header header = raw_header(WIRE_NOTICE, 0, 0);
    header.descriptors = 1;
    ck_assert_int_eq(raw_send(raw, &header, NULL, 0, &sender, 1), 0);
    close(sender);
    double from = ev_time();
    run_until(&world, &seen.notices, 1);
    expect_life();
    ck_assert(ev_time() - from < 10);
    close(listener);
}
END_TEST

/* ---- before the handshake ---- */

static struct port *fresh(bool starts, int *other)
{
    int ends[2];
    struct port *port;
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
    ck_assert_int_eq(port_adopt(world.set, ends[0], starts, &port), 0);
    port_on_message(port, serve, NULL);
    port_on_hangup(port, note_hangup, &hangups);
    *other = ends[1];
    return port;
}

START_TEST(no_hello)
{
    int other;
    fresh(false, &other);
    struct wire_header header = raw_header((uint16_t)_i, 1, 0);
    ck_assert_int_eq(raw_send(other, &header, NULL, 0, NULL, 0), 0);
    run_until(&world, &hangups.count, 1);
    ck_assert_int_eq(hangups.error, EPROTO);
    ck_assert_int_eq(seen.requests + seen.notices, 0);
    close(other);
}
END_TEST

START_TEST(wrong_versions)
{
    const struct wire_hello hellos[] = {{2, 9, 0, 0}, {0, 0, 0, 0}, {9, 2, 0, 0}};
    int other;
    fresh(false, &other);
    struct wire_header header = raw_header(WIRE_HELLO, 0, sizeof hellos[0]);
    struct wire_hello welcome;
    ck_assert_int_eq(raw_send(other, &header, &hellos[_i], sizeof hellos[0], NULL, 0), 0);
    run_until(&world, &hangups.count, 1);
    ck_assert_int_eq(hangups.error, EPROTO);
    /* it is told why */
    ck_assert_int_gt(raw_receive(other, &header, &welcome, sizeof welcome), 0);
    ck_assert_int_eq(header.kind, WIRE_WELCOME);
    ck_assert_int_eq(header.error, EPROTO);
    ck_assert_uint_eq(welcome.version_max, 0);
    ck_assert_int_eq(raw_receive(other, &header, &welcome, sizeof welcome), 0);
    close(other);
}
END_TEST

START_TEST(later_versions)
{
    /* A program of a later time speaks 1 to 7: 1 is settled. */
    struct wire_hello hello = {.version_min = 1, .version_max = 7, .features = ~0u};
    int other;
    fresh(false, &other);
    struct wire_header header = raw_header(WIRE_HELLO, 0, sizeof hello);
    header.version = 7;
    ck_assert_int_eq(raw_send(other, &header, &hello, sizeof hello, NULL, 0), 0);
    ck_assert_int_gt(raw_await(&world, other, &header, &hello, sizeof hello), 0);
    ck_assert_int_eq(header.error, 0);
    ck_assert_uint_eq(hello.version_min, 1);
    ck_assert_uint_eq(hello.version_max, 1);
    ck_assert_uint_eq(hello.features, 0);
    close(other);
}
END_TEST

START_TEST(wrong_welcome)
{
    struct wire_hello welcome = {.version_min = 2, .version_max = 2};
    struct wire_header header;
    struct wire_hello hello;
    int other;
    fresh(true, &other);
    ck_assert_int_gt(raw_await(&world, other, &header, &hello, sizeof hello), 0);
    ck_assert_int_eq(header.kind, WIRE_HELLO);
    ck_assert_uint_eq(hello.version_min, 1);
    header = raw_header(WIRE_WELCOME, 0, sizeof welcome);
    ck_assert_int_eq(raw_send(other, &header, &welcome, sizeof welcome, NULL, 0), 0);
    run_until(&world, &hangups.count, 1);
    ck_assert_int_eq(hangups.error, EPROTO);
    close(other);
}
END_TEST

START_TEST(flood_before_welcome)
{
    /* A peer that never says welcome but goes on talking is dropped before it fills the memory. */
    int other;
    static char body[60000];
    fresh(true, &other);
    port_set_limit(world.set, 1 << 20, 0, 0);
    struct wire_header header = raw_header(WIRE_NOTICE, 0, sizeof body);
    for (int i = 0; i < 1000 && hangups.count == 0; i++) {
        raw_send(other, &header, body, sizeof body, NULL, 0);
        run_ready(&world);
    }
    ck_assert_int_eq(hangups.count, 1);
    ck_assert_int_eq(hangups.error, ENOBUFS);
    close(other);
}
END_TEST

START_TEST(chatter_instead_of_a_reply)
{
    /* A call that blocks gets everything but its reply: it ends, and so does the peer. */
    int ends[2];
    struct port *port;
    port_set_limit(world.set, 1 << 20, 0, 0);
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
    pid_t pid = fork();
    if (pid == 0) {
        static char body[60000];
        struct wire_header header = raw_header(WIRE_WELCOME, 0, sizeof(struct wire_hello));
        struct wire_hello hello = {.version_min = 1, .version_max = 1};
        close(ends[0]);
        close(raw);
        raw_send(ends[1], &header, &hello, sizeof hello, NULL, 0);
        header = raw_header(WIRE_REQUEST, 0, sizeof body);
        for (;;) {
            struct iovec parts[2] = {{&header, sizeof header}, {body, sizeof body}};
            if (writev(ends[1], parts, 2) < 0)
                _exit(0);
            header.tag++;
        }
    }
    signal(SIGPIPE, SIG_IGN);
    close(ends[1]);
    ck_assert_int_eq(port_adopt(world.set, ends[0], true, &port), 0);
    port_on_hangup(port, note_hangup, &hangups);
    struct msg message = {.operation = 1};
    ck_assert_int_eq(msg_call(port, &message, NULL, 10000), ECONNRESET);
    run_until(&world, &hangups.count, 1);
    ck_assert_int_eq(hangups.error, ENOBUFS);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}
END_TEST

static void fill(TCase *tests)
{
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, zero_length);
    tcase_add_test(tests, zero_length_with_descriptors);
    tcase_add_loop_test(tests, truncated_header, 1, sizeof(struct wire_header));
    tcase_add_loop_test(tests, bad_header, 0, BAD_HEADERS);
    tcase_add_loop_test(tests, wrong_descriptor_counts, 0, 3);
    tcase_add_loop_test(tests, long_body, 0, 2);
    tcase_add_test(tests, long_body_too_short);
    tcase_add_loop_test(tests, long_body_not_memory, 0, 5);
    tcase_add_test(tests, unknown_tags);
    tcase_add_test(tests, duplicate_tag);
    tcase_add_test(tests, tag_used_again);
    tcase_add_test(tests, cancelled_twice);
    tcase_add_test(tests, reply_twice);
    tcase_add_test(tests, too_many_requests);
    tcase_add_test(tests, too_heavy_requests);
    tcase_add_test(tests, gone_while_not_read);
    tcase_add_test(tests, never_reads);
    tcase_add_test(tests, never_reads_descriptors);
    tcase_add_test(tests, never_reads_notices);
    tcase_add_test(tests, too_many_in_flight);
    tcase_add_test(tests, too_many_in_flight_while_queued);
    tcase_add_test(tests, no_descriptor_to_send_with);
    tcase_add_test(tests, reply_descriptors_lost);
    tcase_add_test(tests, last_words);
    tcase_add_test(tests, lingering_socket);
    tcase_add_loop_test(tests, no_hello, WIRE_REQUEST, WIRE_CANCEL + 1);
    tcase_add_loop_test(tests, wrong_versions, 0, 3);
    tcase_add_test(tests, later_versions);
    tcase_add_test(tests, wrong_welcome);
    tcase_add_test(tests, flood_before_welcome);
    tcase_add_test(tests, chatter_instead_of_a_reply);
}

int main(void)
{
    return run_suite("msg_hostile", fill);
}
