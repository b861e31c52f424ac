/* Hostile and strange handshakes. */
#include <sys/uio.h>

#include "tests/unit/msg_victim.h"

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
    ck_assert_int_eq(msg_call(port, &message, NULL, 60000), ECONNRESET);
    run_until(&world, &hangups.count, 1);
    ck_assert_int_eq(hangups.error, ENOBUFS);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}
END_TEST

static void fill(TCase *tests)
{
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_loop_test(tests, no_hello, WIRE_REQUEST, WIRE_CANCEL + 1);
    tcase_add_loop_test(tests, wrong_versions, 0, 3);
    tcase_add_test(tests, later_versions);
    tcase_add_test(tests, wrong_welcome);
    tcase_add_test(tests, flood_before_welcome);
    tcase_add_test(tests, chatter_instead_of_a_reply);
}

int main(void)
{
    return run_suite("msg_handshake", fill);
}
