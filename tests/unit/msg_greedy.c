/* Peers that ask for too much, do not read, or leave in the middle: they end by themselves, and
 * everybody else is served on. */
#include <sys/mman.h>

#include "tests/unit/msg_victim.h"

static int memory(size_t size, int seals)
{
    int descriptor = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    ck_assert_int_ge(descriptor, 0);
    ck_assert_int_eq(ftruncate(descriptor, (off_t)size), 0);
    if (seals)
        ck_assert_int_eq(fcntl(descriptor, F_ADD_SEALS, seals), 0);
    return descriptor;
}

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
    ck_assert_int_eq(poll(&ready, 1, 60000), 1);
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
    ck_assert(ev_time() - from < 25);
    close(listener);
}
END_TEST

static void fill(TCase *tests)
{
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, too_many_requests);
    tcase_add_test(tests, too_heavy_requests);
    tcase_add_test(tests, gone_while_not_read);
    tcase_add_test(tests, never_reads);
    tcase_add_test(tests, never_reads_descriptors);
    tcase_add_test(tests, never_reads_notices);
    tcase_add_test(tests, last_words);
    tcase_add_test(tests, lingering_socket);
}

int main(void)
{
    return run_suite("msg_greedy", fill);
}
