/* Datagrams and messages in a private and in an absent network. */
#include <netdb.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <sys/un.h>

#include "tests/unit/net_space.h"

static int datagram_bound(const struct test_space *space, uint32_t address, unsigned port)
{
    int socket = space_socket(space, SOCK_DGRAM);
    ck_assert_int_eq(space_bind(space, socket, address, port), 0);
    struct timeval time = {5, 0};
    ck_assert_int_eq(setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &time, sizeof time), 0);
    return socket;
}

static long space_sendto(const struct test_space *space, int socket, const char *text,
                         uint32_t address, unsigned port)
{
    struct sockaddr_in name = socket_name_of(address, port);
    return space_call(space, SYS_sendto, socket, (long)text, (long)strlen(text), 0, (long)&name,
                      sizeof name);
}

static struct sockaddr_in space_recvfrom(const struct test_space *space, int socket,
                                         const char *expected)
{
    char text[64];
    struct sockaddr_in name = {0};
    socklen_t length = sizeof name;
    long got = space_call(space, SYS_recvfrom, socket, (long)text, sizeof text, 0, (long)&name,
                          (long)&length);
    ck_assert_int_eq(got, strlen(expected));
    ck_assert_mem_eq(text, expected, strlen(expected));
    ck_assert_uint_eq(length, sizeof name);
    return name;
}

/* Question and answer, as of a name server, from a client that never bound. */
START_TEST(test_question_answer)
{
    static const uint32_t bound[] = {LOCALHOST, 0, LOCALHOST};
    static const uint32_t asked[] = {LOCALHOST, LOCALHOST, 0};
    for (int i = 0; i < 3; i++) {
        struct test_space space = space_private();
        int server = datagram_bound(&space, bound[i], 53);
        int client = space_socket(&space, SOCK_DGRAM);
        for (int turn = 0; turn < 3; turn++) {
            ck_assert_int_eq(space_sendto(&space, client, "who", asked[i], 53), 3);
            struct sockaddr_in from = space_recvfrom(&space, server, "who");
            ck_assert_name(from, LOCALHOST, space_port(&space, client));
            ck_assert_int_eq(space_sendto(&space, server, "me", LOCALHOST, ntohs(from.sin_port)),
                             2);
            from = space_recvfrom(&space, client, "me");
            ck_assert_name(from, LOCALHOST, 53);
        }
    }
}
END_TEST

START_TEST(test_connected)
{
    struct test_space space = space_private();
    int server = datagram_bound(&space, 0, 53);
    int client = space_socket(&space, SOCK_DGRAM);
    ck_assert_int_eq(space_connect(&space, client, LOCALHOST, 53), 0);
    ck_assert_name(space_name(&space, client, SYS_getpeername), LOCALHOST, 53);
    ck_assert_name(space_name(&space, client, SYS_getsockname), LOCALHOST,
                   space_port(&space, client));
    ck_assert_int_eq(send(client, "who", 3, 0), 3);
    struct sockaddr_in from = space_recvfrom(&space, server, "who");
    ck_assert_int_eq(
        space_sendto(&space, server, "me", ntohl(from.sin_addr.s_addr), ntohs(from.sin_port)), 2);
    char text[8];
    ck_assert_int_eq(recv(client, text, sizeof text, 0), 2);
    /* Ended by AF_UNSPEC, as getaddrinfo does; then to the world, which is not there. */
    struct sockaddr none = {.sa_family = AF_UNSPEC};
    ck_assert_int_eq(space_call(&space, SYS_connect, client, (long)&none, sizeof none, 0, 0, 0), 0);
    ck_assert_int_eq(space_connect(&space, client, 0x08080808, 53), -1);
    ck_assert_int_eq(errno, ENETUNREACH);
}
END_TEST

START_TEST(test_same_port_twice)
{
    struct test_space space = space_private(), other = space_private();
    datagram_bound(&space, 0, 53);
    datagram_bound(&other, 0, 53);
    int again = space_socket(&space, SOCK_DGRAM);
    ck_assert_int_eq(space_bind(&space, again, LOCALHOST, 53), -1);
    ck_assert_int_eq(errno, EADDRINUSE);
}
END_TEST

static struct msghdr message_of(struct iovec *part, struct sockaddr_in *name)
{
    struct msghdr message = {
        .msg_iov = part, .msg_iovlen = 1, .msg_name = name, .msg_namelen = sizeof *name};
    return message;
}

START_TEST(test_messages)
{
    struct test_space space = space_private();
    int server = datagram_bound(&space, LOCALHOST, 514);
    int client = space_socket(&space, SOCK_DGRAM);
    struct sockaddr_in name = socket_name_of(LOCALHOST, 514), kept = name;
    char out[] = "one", in[64];
    struct iovec part = {out, 3};
    struct msghdr message = message_of(&part, &name);
    ck_assert_int_eq(space_call(&space, SYS_sendmsg, client, (long)&message, 0, 0, 0, 0), 3);
    ck_assert_mem_eq(&name, &kept, sizeof name);
    ck_assert_ptr_eq(message.msg_name, &name);
    part = (struct iovec){in, sizeof in};
    ck_assert_int_eq(space_call(&space, SYS_recvmsg, server, (long)&message, 0, 0, 0, 0), 3);
    ck_assert_name(name, LOCALHOST, space_port(&space, client));
    ck_assert_uint_eq(message.msg_namelen, sizeof name);
}
END_TEST

START_TEST(test_many_messages)
{
    enum { COUNT = 100 };
    struct test_space space = space_private();
    int servers[2] = {datagram_bound(&space, LOCALHOST, 514),
                      datagram_bound(&space, NET_LOOPBACK | 9, 7000)};
    int client = space_socket(&space, SOCK_DGRAM);
    struct mmsghdr headers[COUNT];
    struct sockaddr_in names[COUNT];
    struct iovec parts[COUNT];
    char bytes[COUNT + 1];
    for (int i = 0; i < COUNT; i++) {
        names[i] = i % 2 ? socket_name_of(NET_LOOPBACK | 9, 7000) : socket_name_of(LOCALHOST, 514);
        parts[i] = (struct iovec){&bytes[i], (size_t)1 + i % 2};
        headers[i] = (struct mmsghdr){message_of(&parts[i], &names[i]), 0};
    }
    ck_assert_int_eq(space_call(&space, SYS_sendmmsg, client, (long)headers, COUNT, 0, 0, 0),
                     COUNT);
    for (int i = 0; i < COUNT; i++)
        ck_assert_uint_eq(headers[i].msg_len, 1 + i % 2);
    for (int k = 0; k < 2; k++) {
        memset(names, 0xaa, sizeof names);
        for (int i = 0; i < COUNT; i++) {
            headers[i] = (struct mmsghdr){message_of(&parts[i], &names[i]), 0};
            /* Some ask for no name, some for a part of it. */
            if (i % 5 == 3)
                headers[i].msg_hdr.msg_name = NULL;
            if (i % 5 == 4)
                headers[i].msg_hdr.msg_namelen = 4;
        }
        ck_assert_int_eq(space_call(&space, SYS_recvmmsg, servers[k], (long)headers, COUNT,
                                    MSG_WAITFORONE, 0, 0),
                         COUNT / 2);
        for (int i = 0; i < COUNT; i++) {
            if (i < COUNT / 2 && i % 5 < 3) {
                ck_assert_name(names[i], LOCALHOST, space_port(&space, client));
            } else if (i < COUNT / 2 && i % 5 == 4) {
                ck_assert_uint_eq(names[i].sin_family, AF_INET);
                ck_assert_uint_eq(names[i].sin_addr.s_addr, 0xaaaaaaaa);
            } else {
                ck_assert_uint_eq(names[i].sin_family, 0xaaaa);
            }
        }
    }
    /* One that can't be sent ends the call; what went before counts. */
    for (int i = 0; i < 3; i++) {
        names[i] = i == 2 ? socket_name_of(0x08080808, 53) : socket_name_of(LOCALHOST, 514);
        headers[i] = (struct mmsghdr){message_of(&parts[i], &names[i]), 0};
    }
    ck_assert_int_eq(space_call(&space, SYS_sendmmsg, client, (long)headers, 3, 0, 0, 0), 2);
    ck_assert_int_eq(space_call(&space, SYS_sendmmsg, client, (long)&headers[2], 1, 0, 0, 0), -1);
    ck_assert_int_eq(errno, ENETUNREACH);
    ck_assert_int_eq(space_call(&space, SYS_sendmmsg, client, (long)headers, 0, 0, 0, 0), 0);
}
END_TEST

START_TEST(test_refused)
{
    struct test_space spaces[2] = {{{SPACE_NET_NONE, 0}, -1}, space_private()};
    static const uint32_t outside[] = {0x08080808, 0xffffffff, 0xe0000001};
    for (int k = 0; k < 2; k++) {
        int socket = space_socket(&spaces[k], SOCK_DGRAM);
        for (size_t i = 0; i < 3; i++) {
            ck_assert_int_eq(space_sendto(&spaces[k], socket, "x", outside[i], 53), -1);
            ck_assert_int_eq(errno, ENETUNREACH);
            ck_assert_int_eq(space_connect(&spaces[k], socket, outside[i], 53), -1);
            ck_assert_int_eq(errno, ENETUNREACH);
            struct sockaddr_in name = socket_name_of(outside[i], 53);
            struct iovec part = {"x", 1};
            struct msghdr message = message_of(&part, &name);
            /* The kernel takes AF_UNSPEC for AF_INET here. */
            for (int family = 0; family <= AF_INET; family += AF_INET) {
                name.sin_family = (sa_family_t)family;
                ck_assert_int_eq(
                    space_call(&spaces[k], SYS_sendmsg, socket, (long)&message, 0, 0, 0, 0), -1);
                ck_assert_int_eq(errno, ENETUNREACH);
            }
        }
    }
    int socket = space_socket(&spaces[0], SOCK_DGRAM);
    ck_assert_int_eq(space_sendto(&spaces[0], socket, "x", LOCALHOST, 53), -1);
    ck_assert_int_eq(errno, ECONNREFUSED);
    ck_assert_int_eq(space_bind(&spaces[0], socket, 0, 53), -1);
    ck_assert_int_eq(errno, EADDRNOTAVAIL);
}
END_TEST

/* A connect in disguise: TCP Fast Open. */
START_TEST(test_fast_open)
{
    struct test_space spaces[2] = {{{SPACE_NET_NONE, 0}, -1}, space_private()};
    for (int k = 0; k < 2; k++) {
        int socket = space_socket(&spaces[k], SOCK_STREAM);
        struct sockaddr_in name = socket_name_of(0x08080808, 53);
        ck_assert_int_eq(space_call(&spaces[k], SYS_sendto, socket, (long)"x", 1, MSG_FASTOPEN,
                                    (long)&name, sizeof name),
                         -1);
        ck_assert_int_eq(errno, EOPNOTSUPP);
        struct iovec part = {"x", 1};
        struct mmsghdr header = {message_of(&part, &name), 0};
        ck_assert_int_eq(space_call(&spaces[k], SYS_sendmsg, socket, (long)&header.msg_hdr,
                                    MSG_FASTOPEN, 0, 0, 0),
                         -1);
        ck_assert_int_eq(errno, EOPNOTSUPP);
        ck_assert_int_eq(
            space_call(&spaces[k], SYS_sendmmsg, socket, (long)&header, 1, MSG_FASTOPEN, 0, 0), -1);
        ck_assert_int_eq(errno, EOPNOTSUPP);
    }
}
END_TEST

/* On a connected stream a name is ignored, as natively. */
START_TEST(test_stream_name_ignored)
{
    struct test_space space = space_private();
    int listener = space_listener(&space, LOCALHOST, 80);
    int client = space_socket(&space, SOCK_STREAM);
    ck_assert_int_eq(space_connect(&space, client, LOCALHOST, 80), 0);
    ck_assert_int_eq(space_sendto(&space, client, "x", 0x08080808, 1), 1);
    int server = (int)space_call(&space, SYS_accept, listener, 0, 0, 0, 0, 0);
    char text[4];
    struct sockaddr_in name;
    memset(&name, 0xaa, sizeof name);
    struct sockaddr_in kept = name;
    socklen_t length = sizeof name;
    ck_assert_int_eq(space_call(&space, SYS_recvfrom, server, (long)text, sizeof text, 0,
                                (long)&name, (long)&length),
                     1);
    ck_assert_uint_eq(length, 0);
    ck_assert_mem_eq(&name, &kept, sizeof name);
}
END_TEST

/* Descriptors in messages over a local pair: libmsg's own traffic in a private space. */
START_TEST(test_local_messages)
{
    struct test_space space = space_private();
    int pair[2];
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
    struct iovec part = {"hello", 5};
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control = {.header = {CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS}};
    memcpy(CMSG_DATA(&control.header), &pair[0], sizeof(int));
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = &control,
                             .msg_controllen = sizeof control};
    ck_assert_int_eq(space_call(&space, SYS_sendmsg, pair[0], (long)&message, 0, 0, 0, 0), 5);
    char text[8];
    struct sockaddr_un name;
    part = (struct iovec){text, sizeof text};
    message.msg_name = &name;
    message.msg_namelen = sizeof name;
    ck_assert_int_eq(space_call(&space, SYS_recvmsg, pair[1], (long)&message, 0, 0, 0, 0), 5);
    ck_assert_uint_eq(message.msg_controllen, sizeof control);
    struct mmsghdr header = {.msg_hdr = {.msg_iov = &part, .msg_iovlen = 1}};
    ck_assert_int_eq(space_call(&space, SYS_sendmmsg, pair[0], (long)&header, 1, 0, 0, 0), 1);
}
END_TEST

START_TEST(test_bad_pointers)
{
    struct test_space space = space_private();
    int server = datagram_bound(&space, LOCALHOST, 53);
    int client = space_socket(&space, SOCK_DGRAM);
    char *page = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ck_assert_int_eq(mprotect(page + 4096, 4096, PROT_NONE), 0);
    const long bad[] = {8, (long)(page + 4096 - 8), (long)(page + 4096), -16,
                        (long)0x8000000000000000ul};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        ck_assert_int_eq(space_call(&space, SYS_sendto, client, (long)"x", 1, 0, bad[i], 16), -1);
        ck_assert_int_eq(errno, EFAULT);
        ck_assert_int_eq(space_call(&space, SYS_sendmsg, client, bad[i], 0, 0, 0, 0), -1);
        ck_assert_int_eq(errno, EFAULT);
        ck_assert_int_eq(space_call(&space, SYS_sendmmsg, client, bad[i], 1, 0, 0, 0), -1);
        ck_assert_int_eq(errno, EFAULT);
        ck_assert_int_eq(space_call(&space, SYS_recvmsg, server, bad[i], 0, 0, 0, 0), -1);
        ck_assert_int_eq(errno, EFAULT);
        ck_assert_int_eq(space_call(&space, SYS_recvmmsg, server, bad[i], 1, 0, 0, 0), -1);
        ck_assert_int_eq(errno, EFAULT);
        struct iovec part = {"x", 1};
        struct msghdr message = {
            .msg_iov = &part, .msg_iovlen = 1, .msg_name = (void *)bad[i], .msg_namelen = 16};
        ck_assert_int_eq(space_call(&space, SYS_sendmsg, client, (long)&message, 0, 0, 0, 0), -1);
        ck_assert_int_eq(errno, EFAULT);
        /* A datagram is lost where its sender's name can't be written, as natively. */
        ck_assert_int_eq(space_sendto(&space, client, "y", LOCALHOST, 53), 1);
        char text[4];
        part = (struct iovec){text, sizeof text};
        ck_assert_int_eq(space_call(&space, SYS_recvmsg, server, (long)&message, 0, 0, 0, 0), -1);
        ck_assert_int_eq(errno, EFAULT);
        ck_assert_int_eq(space_sendto(&space, client, "y", LOCALHOST, 53), 1);
        socklen_t length = 16;
        ck_assert_int_eq(space_call(&space, SYS_recvfrom, server, (long)text, sizeof text, 0,
                                    bad[i], (long)&length),
                         -1);
        ck_assert_int_eq(errno, EFAULT);
    }
    /* Headers that can be read but not written. */
    struct mmsghdr *header = (struct mmsghdr *)page;
    struct sockaddr_in name = socket_name_of(LOCALHOST, 53);
    struct iovec part = {"x", 1};
    *header = (struct mmsghdr){message_of(&part, &name), 0};
    ck_assert_int_eq(mprotect(page, 4096, PROT_READ), 0);
    ck_assert_int_eq(space_call(&space, SYS_sendmmsg, client, (long)header, 1, 0, 0, 0), -1);
    ck_assert_int_eq(errno, EFAULT);
    ck_assert_int_eq(space_call(&space, SYS_sendmsg, client, (long)header, 0, 0, 0, 0), 1);
}
END_TEST

START_TEST(test_short_names)
{
    struct test_space spaces[2] = {{{SPACE_NET_NONE, 0}, -1}, space_private()};
    struct sockaddr_in name = socket_name_of(LOCALHOST, 53);
    struct iovec part = {"x", 1};
    for (int k = 0; k < 2; k++) {
        int client = space_socket(&spaces[k], SOCK_DGRAM);
        for (int length = 1; length < (int)sizeof name; length++) {
            ck_assert_int_eq(
                space_call(&spaces[k], SYS_sendto, client, (long)"x", 1, 0, (long)&name, length),
                -1);
            ck_assert_int_eq(errno, EINVAL);
            struct msghdr message = message_of(&part, &name);
            message.msg_namelen = (socklen_t)length;
            ck_assert_int_eq(
                space_call(&spaces[k], SYS_sendmsg, client, (long)&message, 0, 0, 0, 0), -1);
            ck_assert_int_eq(errno, EINVAL);
        }
    }
    /* Longer than any address the kernel cuts off: still mapped. */
    char page[4096] = {0};
    name = socket_name_of(0x08080808, 53);
    memcpy(page, &name, sizeof name);
    struct msghdr message = message_of(&part, (struct sockaddr_in *)page);
    message.msg_namelen = sizeof page;
    int client = space_socket(&spaces[0], SOCK_DGRAM);
    ck_assert_int_eq(space_call(&spaces[0], SYS_sendmsg, client, (long)&message, 0, 0, 0, 0), -1);
    ck_assert_int_eq(errno, ENETUNREACH);
}
END_TEST

int main(void)
{
    TCase *calls = tcase_create("datagram");
    tcase_set_timeout(calls, 30);
    tcase_add_test(calls, test_question_answer);
    tcase_add_test(calls, test_connected);
    tcase_add_test(calls, test_same_port_twice);
    tcase_add_test(calls, test_messages);
    tcase_add_test(calls, test_many_messages);
    tcase_add_test(calls, test_refused);
    tcase_add_test(calls, test_fast_open);
    tcase_add_test(calls, test_stream_name_ignored);
    tcase_add_test(calls, test_local_messages);
    tcase_add_test(calls, test_bad_pointers);
    tcase_add_test(calls, test_short_names);
    Suite *suite = suite_create("net_message");
    suite_add_tcase(suite, calls);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
