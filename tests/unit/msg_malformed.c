/* Packets that no well-behaved peer sends. Each time: the right end for that peer, and everybody
 * else is served on. */
#include <stdint.h>
#include <sys/mman.h>

#include "tests/unit/msg_victim.h"

static void send_bytes(const void *bytes, size_t length)
{
    ck_assert_int_eq(send(raw, bytes, length, MSG_NOSIGNAL), (ssize_t)length);
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
}

int main(void)
{
    return run_suite("msg_malformed", fill);
}
