/* The stream socket calls of a private and of an absent network, as an unprivileged program makes
 * them; where it matters compared with what the kernel does natively. */
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/un.h>

#include "tests/unit/net_space.h"

static int accept_from(const struct test_space *space, int listener, struct sockaddr_in *peer)
{
    socklen_t length = sizeof *peer;
    int socket = (int)space_call(space, SYS_accept4, listener, (long)peer, (long)&length,
                                 SOCK_CLOEXEC, 0, 0);
    ck_assert_int_ge(socket, 0);
    ck_assert_uint_eq(length, sizeof *peer);
    return socket;
}

/* Connect to `asked`:port where a listener on `bound` is; check what each end calls itself. */
static void check_connection(const struct test_space *space, uint32_t bound, uint32_t asked,
                             unsigned port, int type)
{
    int listener = space_listener(space, bound, port);
    ck_assert_name(space_name(space, listener, SYS_getsockname), bound, port);
    int client = space_socket(space, SOCK_STREAM | type);
    int result = space_connect(space, client, asked, port);
    if (type & SOCK_NONBLOCK) {
        ck_assert_int_eq(result, -1);
        ck_assert_int_eq(errno, EINPROGRESS);
        struct pollfd poll_client = {.fd = client, .events = POLLOUT};
        ck_assert_int_eq(poll(&poll_client, 1, 60000), 1);
        ck_assert_int_eq(poll_client.revents, POLLOUT);
        int error = -1;
        socklen_t length = sizeof error;
        ck_assert_int_eq(getsockopt(client, SOL_SOCKET, SO_ERROR, &error, &length), 0);
        ck_assert_int_eq(error, 0);
    } else {
        ck_assert_msg(result == 0, "connect: %s", strerror(errno));
    }
    struct sockaddr_in peer;
    int server = accept_from(space, listener, &peer);
    uint32_t reached = asked == 0 ? LOCALHOST : asked;
    unsigned client_port = space_port(space, client);
    ck_assert_name(peer, LOCALHOST, client_port);
    ck_assert_name(space_name(space, client, SYS_getsockname), LOCALHOST, client_port);
    ck_assert_name(space_name(space, client, SYS_getpeername), reached, port);
    ck_assert_name(space_name(space, server, SYS_getpeername), LOCALHOST, client_port);
    ck_assert_name(space_name(space, server, SYS_getsockname), reached, port);
    ck_assert_int_eq(write(client, "x", 1), 1);
    char byte = 0;
    ck_assert_int_eq(read(server, &byte, 1), 1);
    ck_assert_int_eq(byte, 'x');
    close(client);
    close(server);
    close(listener);
}

static const uint32_t bound_addresses[] = {LOCALHOST, 0, LOCALHOST, NET_LOOPBACK | 7, 0, 0, 0};
static const uint32_t asked_addresses[] = {
    LOCALHOST, LOCALHOST, 0, NET_LOOPBACK | 7, NET_LOOPBACK | 9, NET_LOOPBACK | 0x101, 0};

START_TEST(test_connection)
{
    struct test_space space = space_private();
    for (unsigned port = 1; port < 65536; port = port < 80 ? 80 : port * 3 + 1) {
        check_connection(&space, bound_addresses[_i], asked_addresses[_i], port, 0);
        check_connection(&space, bound_addresses[_i], asked_addresses[_i], port, SOCK_NONBLOCK);
    }
    check_connection(&space, bound_addresses[_i], asked_addresses[_i], 65535, 0);
    check_connection(&space, bound_addresses[_i], asked_addresses[_i], 65432, 0);
}
END_TEST

/* The kernel's own: an unbound client is 127.0.0.1 whatever it asks for. */
START_TEST(test_native_client_address)
{
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in name = socket_name_of(0, 0);
    ck_assert_int_eq(bind(listener, (struct sockaddr *)&name, sizeof name), 0);
    ck_assert_int_eq(listen(listener, 1), 0);
    socklen_t length = sizeof name;
    ck_assert_int_eq(getsockname(listener, (struct sockaddr *)&name, &length), 0);
    int client = socket(AF_INET, SOCK_STREAM, 0);
    name.sin_addr.s_addr = htonl(NET_LOOPBACK | 7);
    ck_assert_int_eq(connect(client, (struct sockaddr *)&name, sizeof name), 0);
    ck_assert_int_eq(getsockname(client, (struct sockaddr *)&name, &length), 0);
    ck_assert_uint_eq(ntohl(name.sin_addr.s_addr), LOCALHOST);
}
END_TEST

START_TEST(test_two_slices_one_port)
{
    struct test_space one = space_private(), other = space_private();
    int listeners[2] = {space_listener(&one, LOCALHOST, 80), space_listener(&other, 0, 80)};
    int client = space_socket(&one, SOCK_STREAM);
    ck_assert_int_eq(space_connect(&one, client, LOCALHOST, 80), 0);
    struct pollfd polls[2] = {{.fd = listeners[0], .events = POLLIN},
                              {.fd = listeners[1], .events = POLLIN}};
    ck_assert_int_eq(poll(polls, 2, 60000), 1);
    ck_assert_int_eq(polls[0].revents, POLLIN);
    client = space_socket(&other, SOCK_STREAM | SOCK_NONBLOCK);
    ck_assert_int_eq(space_connect(&other, client, LOCALHOST, 80), -1);
    ck_assert_int_eq(errno, EINPROGRESS);
    ck_assert_int_eq(poll(&polls[1], 1, 60000), 1);
}
END_TEST

START_TEST(test_refused)
{
    struct test_space space = space_private();
    int client = space_socket(&space, SOCK_STREAM);
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(space_connect(&space, client, LOCALHOST, 80), -1);
        ck_assert_int_eq(errno, ECONNREFUSED);
    }
    /* After a refusal the same socket reaches a listener that came later. */
    int listener = space_listener(&space, 0, 80);
    ck_assert_int_eq(space_connect(&space, client, LOCALHOST, 80), 0);
    close(listener);

    client = space_socket(&space, SOCK_STREAM | SOCK_NONBLOCK);
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(space_connect(&space, client, LOCALHOST, 81), -1);
        if (errno == EINPROGRESS) {
            struct pollfd poll_client = {.fd = client, .events = POLLOUT};
            ck_assert_int_eq(poll(&poll_client, 1, 60000), 1);
            int error = 0;
            socklen_t length = sizeof error;
            ck_assert_int_eq(getsockopt(client, SOL_SOCKET, SO_ERROR, &error, &length), 0);
            ck_assert_int_eq(error, ECONNREFUSED);
        } else {
            ck_assert_int_eq(errno, ECONNREFUSED);
        }
    }
}
END_TEST

/* Calls connect until it says how it went. The kernel may take its time. */
static int connect_settled(const struct test_space *space, int client)
{
    struct pollfd poll_client = {.fd = client, .events = POLLOUT};
    int result = space_connect(space, client, LOCALHOST, 80);

    for (int i = 0; i < 10 && result < 0 && (errno == EINPROGRESS || errno == EALREADY); i++) {
        ck_assert_int_eq(poll(&poll_client, 1, 60000), 1);
        result = space_connect(space, client, LOCALHOST, 80);
    }
    return result;
}

/* Programs that call connect again to learn the outcome, as connect(2) allows. */
START_TEST(test_connect_again)
{
    struct test_space space = space_private();
    int client = space_socket(&space, SOCK_STREAM | SOCK_NONBLOCK);
    int result = connect_settled(&space, client);
    ck_assert_int_eq(result, -1);
    ck_assert_int_eq(errno, ECONNREFUSED);
    space_listener(&space, 0, 80);
    result = connect_settled(&space, client);
    ck_assert_int_eq(result, 0);
    ck_assert_int_eq(space_connect(&space, client, LOCALHOST, 80), -1);
    ck_assert_int_eq(errno, EISCONN);
}
END_TEST

/* The exact address comes before the wildcard, as natively. */
START_TEST(test_exact_before_wildcard)
{
    struct test_space space = space_private();
    int listeners[2];
    for (int i = 0; i < 2; i++) {
        int on = 1;
        listeners[i] = space_socket(&space, SOCK_STREAM);
        reuse_address(listeners[i]);
        ck_assert_int_eq(setsockopt(listeners[i], SOL_SOCKET, SO_REUSEPORT, &on, sizeof on), 0);
        ck_assert_int_eq(space_bind(&space, listeners[i], i ? NET_LOOPBACK | 2 : 0, 80), 0);
        ck_assert_int_eq(space_call(&space, SYS_listen, listeners[i], 5, 0, 0, 0, 0), 0);
    }
    int client = space_socket(&space, SOCK_STREAM);
    ck_assert_int_eq(space_connect(&space, client, NET_LOOPBACK | 2, 80), 0);
    struct pollfd polls[2] = {{.fd = listeners[0], .events = POLLIN},
                              {.fd = listeners[1], .events = POLLIN}};
    ck_assert_int_eq(poll(polls, 2, 60000), 1);
    ck_assert_int_eq(polls[1].revents, POLLIN);
}
END_TEST

/* A full queue: a connect that does not wait comes back soon and stays in progress. */
START_TEST(test_full_queue)
{
    struct test_space space = space_private();
    int listener = space_listener(&space, LOCALHOST, 80);
    ck_assert_int_eq(space_call(&space, SYS_listen, listener, 0, 0, 0, 0, 0), 0);
    int pending = 0;
    for (int i = 0; i < 8; i++) {
        int client = space_socket(&space, SOCK_STREAM | SOCK_NONBLOCK);
        ck_assert_int_eq(space_connect(&space, client, LOCALHOST, 80), -1);
        ck_assert_int_eq(errno, EINPROGRESS);
        struct pollfd poll_client = {.fd = client, .events = POLLOUT};
        pending += poll(&poll_client, 1, 0) == 0;
    }
    ck_assert_int_gt(pending, 0);
}
END_TEST

START_TEST(test_in_use)
{
    static const uint32_t addresses[] = {LOCALHOST, 0};
    for (int held = 0; held < 2; held++) {
        for (int wanted = 0; wanted < 2; wanted++) {
            for (int port = 80; port < 65536; port += 64000) {
                struct test_space space = space_private();
                int listener = space_listener(&space, addresses[held], (unsigned)port);
                int other = space_socket(&space, SOCK_STREAM);
                ck_assert_int_eq(space_bind(&space, other, addresses[wanted], (unsigned)port), -1);
                ck_assert_int_eq(errno, EADDRINUSE);
                reuse_address(other);
                ck_assert_int_eq(space_bind(&space, other, addresses[wanted], (unsigned)port), -1);
                ck_assert_int_eq(errno, EADDRINUSE);
                close(listener);
                ck_assert_int_eq(space_bind(&space, other, addresses[wanted], (unsigned)port), 0);
                ck_assert_int_eq(space_bind(&space, other, addresses[wanted], (unsigned)port), -1);
                ck_assert_int_eq(errno, EINVAL);
                ck_assert_int_eq(space_bind(&space, other, addresses[!wanted], (unsigned)port), -1);
                ck_assert_int_eq(errno, EINVAL);
            }
        }
    }
}
END_TEST

/* A server that starts again at once, with connections of its former self in TIME_WAIT. */
START_TEST(test_reuse_address)
{
    struct test_space space = space_private();
    for (int i = 0; i < 4; i++) {
        int listener = space_listener(&space, i % 2 ? LOCALHOST : 0, 80);
        int client = space_socket(&space, SOCK_STREAM);
        ck_assert_int_eq(space_connect(&space, client, LOCALHOST, 80), 0);
        struct sockaddr_in peer;
        int server = accept_from(&space, listener, &peer);
        close(server);
        char byte;
        ck_assert_int_eq(read(client, &byte, 1), 0);
        close(client);
        close(listener);
    }
}
END_TEST

START_TEST(test_reuse_port)
{
    struct test_space space = space_private();
    for (int i = 0; i < 3; i++) {
        int socket = space_socket(&space, SOCK_STREAM), on = 1;
        reuse_address(socket);
        ck_assert_int_eq(setsockopt(socket, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on), 0);
        ck_assert_int_eq(space_bind(&space, socket, 0, 80), 0);
        ck_assert_int_eq(space_call(&space, SYS_listen, socket, 5, 0, 0, 0, 0), 0);
    }
}
END_TEST

START_TEST(test_ephemeral)
{
    struct test_space space = space_private();
    int sockets[200];
    unsigned ports[200];
    for (int i = 0; i < 200; i++) {
        sockets[i] = space_socket(&space, SOCK_STREAM);
        ck_assert_int_eq(space_bind(&space, sockets[i], i % 2 ? LOCALHOST : 0, 0), 0);
        ports[i] = space_port(&space, sockets[i]);
        ck_assert_uint_ge(ports[i], 1024);
        for (int j = 0; j < i; j++)
            ck_assert_uint_ne(ports[i], ports[j]);
    }
    /* Found free by one socket, then bound by another. */
    close(sockets[0]);
    ck_assert_int_eq(space_bind(&space, space_socket(&space, SOCK_STREAM), LOCALHOST, ports[0]), 0);
}
END_TEST

/* listen(2) without bind must not reach out to the host's addresses. */
START_TEST(test_listen_unbound)
{
    struct test_space space = space_private();
    int listener = space_socket(&space, SOCK_STREAM);
    ck_assert_int_eq(space_call(&space, SYS_listen, listener, 5, 0, 0, 0, 0), 0);
    unsigned port = space_port(&space, listener);
    ck_assert_name(space_name(&space, listener, SYS_getsockname), 0, port);
    struct sockaddr_in kernel;
    socklen_t length = sizeof kernel;
    ck_assert_int_eq(getsockname(listener, (struct sockaddr *)&kernel, &length), 0);
    ck_assert(net_name_in_slice(space.net.slice, ntohl(kernel.sin_addr.s_addr)));
    ck_assert_int_eq(space_connect(&space, space_socket(&space, SOCK_STREAM), LOCALHOST, port), 0);
}
END_TEST

START_TEST(test_bound_client)
{
    struct test_space space = space_private();
    int listener = space_listener(&space, LOCALHOST, 80);
    int client = space_socket(&space, SOCK_STREAM);
    reuse_address(client);
    ck_assert_int_eq(space_bind(&space, client, NET_LOOPBACK | 3, 513), 0);
    ck_assert_int_eq(space_connect(&space, client, LOCALHOST, 80), 0);
    struct sockaddr_in peer;
    accept_from(&space, listener, &peer);
    ck_assert_name(peer, NET_LOOPBACK | 3, 513);
}
END_TEST

START_TEST(test_outside)
{
    struct test_space space = space_private();
    int socket = space_socket(&space, SOCK_STREAM);
    ck_assert_int_eq(space_connect(&space, socket, 0x5db8d822, 80), -1);
    ck_assert_int_eq(errno, ENETUNREACH);
    ck_assert_int_eq(space_connect(&space, socket, NET_LOOPBACK | 0x20001, 80), -1);
    ck_assert_int_eq(errno, ECONNREFUSED);
    ck_assert_int_eq(space_bind(&space, socket, 0x5db8d822, 80), -1);
    ck_assert_int_eq(errno, EADDRNOTAVAIL);
    ck_assert_int_eq(space_bind(&space, socket, NET_LOOPBACK | 0x20001, 80), -1);
    ck_assert_int_eq(errno, EADDRNOTAVAIL);
    /* The host's own loopback and another slice are outside. */
    struct test_space other = space_private();
    space_listener(&other, LOCALHOST, 80);
    ck_assert_int_eq(space_connect(&space, socket, LOCALHOST, 80), -1);
    ck_assert_int_eq(errno, ECONNREFUSED);
}
END_TEST

START_TEST(test_none)
{
    struct test_space space = {{SPACE_NET_NONE, 0}, -1};
    int socket = space_socket(&space, SOCK_STREAM);
    ck_assert_int_eq(space_connect(&space, socket, LOCALHOST, 80), -1);
    ck_assert_int_eq(errno, ECONNREFUSED);
    ck_assert_int_eq(space_connect(&space, socket, 0, 80), -1);
    ck_assert_int_eq(errno, ECONNREFUSED);
    ck_assert_int_eq(space_connect(&space, socket, 0x5db8d822, 80), -1);
    ck_assert_int_eq(errno, ENETUNREACH);
    ck_assert_int_eq(space_bind(&space, socket, LOCALHOST, 8080), -1);
    ck_assert_int_eq(errno, EADDRNOTAVAIL);
    ck_assert_int_eq(space_bind(&space, socket, 0, 8080), -1);
    ck_assert_int_eq(errno, EADDRNOTAVAIL);
    ck_assert_int_eq(space_call(&space, SYS_listen, socket, 5, 0, 0, 0, 0), -1);
    ck_assert_int_eq(errno, EADDRNOTAVAIL);
}
END_TEST

/* A table that names no good slice gives no network, never the host's. */
START_TEST(test_bad_slice)
{
    static const uint32_t slices[] = {0, NET_LOOPBACK, 0x0a000000, NET_LOOPBACK + 3, 0x7fffe000};
    for (size_t i = 0; i < sizeof slices / sizeof *slices; i++) {
        struct test_space space = {{SPACE_NET_PRIVATE, slices[i]}, -1};
        int socket = space_socket(&space, SOCK_STREAM);
        ck_assert_int_eq(space_bind(&space, socket, LOCALHOST, 8080), -1);
        ck_assert_int_eq(errno, EADDRNOTAVAIL);
    }
}
END_TEST

static const int socket_tries[][4] = {
    {AF_INET6, SOCK_STREAM, 0, EAFNOSUPPORT},
    {AF_INET6, SOCK_DGRAM, 0, EAFNOSUPPORT},
    {AF_INET, SOCK_RAW, IPPROTO_ICMP, EPERM},
    {AF_INET, SOCK_DGRAM, IPPROTO_ICMP, EACCES},
    {AF_INET, SOCK_STREAM, 132, EPROTONOSUPPORT},
    {AF_INET, SOCK_STREAM, 262, EPROTONOSUPPORT},
    {AF_PACKET, SOCK_DGRAM, 0, EPERM},
    {AF_VSOCK, SOCK_STREAM, 0, EAFNOSUPPORT},
    {AF_UNIX, SOCK_STREAM, 0, 0},
    {AF_NETLINK, SOCK_RAW, 0, 0},
    {AF_INET, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_TCP, 0},
    {AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, IPPROTO_UDP, 0},
};

START_TEST(test_socket_kinds)
{
    struct test_space spaces[2] = {{{SPACE_NET_NONE, 0}, -1}, space_private()};
    for (size_t i = 0; i < 2; i++) {
        for (size_t k = 0; k < sizeof socket_tries / sizeof *socket_tries; k++) {
            const int *try = socket_tries[k];
            long result = space_call(&spaces[i], SYS_socket, try[0], try[1], try[2], 0, 0, 0);
            ck_assert_int_eq(result < 0 ? errno : 0, try[3]);
        }
    }
}
END_TEST

/* Sockets that came from outside the space. */
START_TEST(test_inherited)
{
    struct test_space space = space_private();
    int six = socket(AF_INET6, SOCK_STREAM, 0);
    if (six >= 0) {
        struct sockaddr_in6 name = {
            .sin6_family = AF_INET6, .sin6_port = htons(80), .sin6_addr = IN6ADDR_LOOPBACK_INIT};
        ck_assert_int_eq(space_call(&space, SYS_connect, six, (long)&name, sizeof name, 0, 0, 0),
                         -1);
        ck_assert_int_eq(errno, ENETUNREACH);
        ck_assert_int_eq(space_call(&space, SYS_bind, six, (long)&name, sizeof name, 0, 0, 0), -1);
        ck_assert_int_eq(errno, EADDRNOTAVAIL);
        ck_assert_int_eq(space_call(&space, SYS_listen, six, 1, 0, 0, 0, 0), -1);
    }
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in host = socket_name_of(LOCALHOST, 0);
    ck_assert_int_eq(bind(listener, (struct sockaddr *)&host, sizeof host), 0);
    ck_assert_int_eq(listen(listener, 1), 0);
    socklen_t length = sizeof host;
    ck_assert_int_eq(getsockname(listener, (struct sockaddr *)&host, &length), 0);
    ck_assert_name(space_name(&space, listener, SYS_getsockname), LOCALHOST, ntohs(host.sin_port));
}
END_TEST

static const long number_tries[] = {SYS_bind, SYS_connect};
static const long ask_tries[] = {SYS_getsockname, SYS_getpeername, SYS_accept, SYS_accept4};

START_TEST(test_bad_descriptors)
{
    struct test_space spaces[2] = {{{SPACE_NET_NONE, 0}, -1}, space_private()};
    int file = open("/dev/null", O_RDWR);
    int local = socket(AF_UNIX, SOCK_STREAM, 0);
    struct sockaddr_in name = socket_name_of(0x5db8d822, 80);
    socklen_t length = sizeof name;
    for (size_t i = 0; i < 2; i++) {
        for (size_t k = 0; k < 2; k++) {
            long number = number_tries[k];
            ck_assert_int_eq(space_call(&spaces[i], number, -1, (long)&name, sizeof name, 0, 0, 0),
                             -1);
            ck_assert_int_eq(errno, EBADF);
            ck_assert_int_eq(
                space_call(&spaces[i], number, file, (long)&name, sizeof name, 0, 0, 0), -1);
            ck_assert_int_eq(errno, ENOTSOCK);
            ck_assert_int_eq(
                space_call(&spaces[i], number, local, (long)&name, sizeof name, 0, 0, 0), -1);
            ck_assert_int_eq(errno, EINVAL);
        }
        for (size_t k = 0; k < 4; k++) {
            ck_assert_int_eq(
                space_call(&spaces[i], ask_tries[k], -1, (long)&name, (long)&length, 0, 0, 0), -1);
            ck_assert_int_eq(errno, EBADF);
        }
        ck_assert_int_eq(space_call(&spaces[i], SYS_listen, -1, 1, 0, 0, 0, 0), -1);
        ck_assert_int_eq(errno, EBADF);
    }
}
END_TEST

/* Addresses that can't be read or written: behind a page's end, at null, in the kernel. */
START_TEST(test_bad_pointers)
{
    struct test_space space = space_private();
    char *pages = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ck_assert_int_eq(mprotect(pages + 4096, 4096, PROT_NONE), 0);
    char *closed = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    int socket = space_socket(&space, SOCK_STREAM);
    int listener = space_listener(&space, LOCALHOST, 80);
    struct sockaddr_in name = socket_name_of(LOCALHOST, 81);
    memcpy(pages + 4088, &name, 8);
    const long bad[] = {
        0,  8,     (long)(pages + 4088), (long)(pages + 4096),      (long)(pages + 4096 + 3),
        -8, -4096, (long)0x7ffffffffff8, (long)0x8000000000000000ul};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        for (size_t k = 0; k < 2; k++) {
            ck_assert_int_eq(
                space_call(&space, number_tries[k], socket, bad[i], sizeof name, 0, 0, 0), -1);
            ck_assert_int_eq(errno, EFAULT);
        }
        socklen_t length = sizeof name;
        if (bad[i] != 0) {
            ck_assert_int_eq(
                space_call(&space, SYS_getsockname, listener, bad[i], (long)&length, 0, 0, 0), -1);
            ck_assert_int_eq(errno, EFAULT);
        }
        if (bad[i] != (long)(pages + 4088)) {
            ck_assert_int_eq(
                space_call(&space, SYS_getsockname, listener, (long)&name, bad[i], 0, 0, 0), -1);
            ck_assert_int_eq(errno, EFAULT);
        }
    }
    /* Readable, not writable. */
    socklen_t length = sizeof name;
    ck_assert_int_eq(
        space_call(&space, SYS_getsockname, listener, (long)closed, (long)&length, 0, 0, 0), -1);
    ck_assert_int_eq(errno, EFAULT);
    /* At the very end of a page all is well. */
    memcpy(pages + 4096 - sizeof name, &name, sizeof name);
    ck_assert_int_eq(space_call(&space, SYS_bind, socket, (long)(pages + 4096 - sizeof name),
                                sizeof name, 0, 0, 0),
                     0);
}
END_TEST

START_TEST(test_short_addresses)
{
    struct test_space space = space_private();
    int listener = space_listener(&space, 0, 80);
    struct sockaddr_in name = socket_name_of(LOCALHOST, 81);
    for (int length = -1; length < (int)sizeof name; length++) {
        int socket = space_socket(&space, SOCK_STREAM);
        ck_assert_int_eq(space_call(&space, SYS_bind, socket, (long)&name, length, 0, 0, 0), -1);
        ck_assert_int_eq(errno, EINVAL);
        ck_assert_int_eq(space_call(&space, SYS_connect, socket, (long)&name, length, 0, 0, 0), -1);
        ck_assert_int_eq(errno, EINVAL);
        close(socket);
    }
    ck_assert_int_eq(space_call(&space, SYS_bind, listener, (long)&name, 4096, 0, 0, 0), -1);
    ck_assert_int_eq(errno, EINVAL);

    struct sockaddr_in whole = space_name(&space, listener, SYS_getsockname);
    for (socklen_t room = 0; room <= sizeof name + 4; room++) {
        unsigned char buffer[32], expected[32];
        memset(buffer, 0xaa, sizeof buffer);
        memset(expected, 0xaa, sizeof expected);
        memcpy(expected, &whole, room < sizeof whole ? room : sizeof whole);
        socklen_t length = room;
        ck_assert_int_eq(
            space_call(&space, SYS_getsockname, listener, (long)buffer, (long)&length, 0, 0, 0), 0);
        ck_assert_uint_eq(length, sizeof whole);
        ck_assert_mem_eq(buffer, expected, sizeof buffer);
    }
    for (socklen_t room = 0; room <= sizeof name + 4; room++) {
        int client = space_socket(&space, SOCK_STREAM);
        ck_assert_int_eq(space_connect(&space, client, LOCALHOST, 80), 0);
        whole = space_name(&space, client, SYS_getsockname);
        unsigned char buffer[32], expected[32];
        memset(buffer, 0xaa, sizeof buffer);
        memset(expected, 0xaa, sizeof expected);
        memcpy(expected, &whole, room < sizeof whole ? room : sizeof whole);
        socklen_t length = room;
        int server =
            (int)space_call(&space, SYS_accept, listener, (long)buffer, (long)&length, 0, 0, 0);
        ck_assert_int_ge(server, 0);
        ck_assert_uint_eq(length, sizeof whole);
        ck_assert_mem_eq(buffer, expected, sizeof buffer);
        close(server);
        close(client);
    }
    socklen_t negative = (socklen_t)-1;
    ck_assert_int_eq(
        space_call(&space, SYS_getsockname, listener, (long)&name, (long)&negative, 0, 0, 0), -1);
    ck_assert_int_eq(errno, EINVAL);
}
END_TEST

/* Local sockets pass through untouched. */
START_TEST(test_local_sockets)
{
    struct test_space space = space_private();
    int listener = (int)space_call(&space, SYS_socket, AF_UNIX, SOCK_STREAM, 0, 0, 0, 0);
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    socklen_t length = sizeof(sa_family_t);
    ck_assert_int_eq(space_call(&space, SYS_bind, listener, (long)&name, length, 0, 0, 0), 0);
    ck_assert_int_eq(space_call(&space, SYS_listen, listener, 1, 0, 0, 0, 0), 0);
    length = sizeof name;
    ck_assert_int_eq(
        space_call(&space, SYS_getsockname, listener, (long)&name, (long)&length, 0, 0, 0), 0);
    int client = (int)space_call(&space, SYS_socket, AF_UNIX, SOCK_STREAM, 0, 0, 0, 0);
    ck_assert_int_eq(space_call(&space, SYS_connect, client, (long)&name, length, 0, 0, 0), 0);
    unsigned char peer[sizeof name];
    memset(peer, 0xaa, sizeof peer);
    length = sizeof peer;
    ck_assert_int_ge(space_call(&space, SYS_accept, listener, (long)peer, (long)&length, 0, 0, 0),
                     0);
    ck_assert_uint_eq(length, sizeof(sa_family_t));
    ck_assert_uint_eq(peer[2], 0xaa);
}
END_TEST

static void interrupt(int signal)
{
    (void)signal;
}

/* A blocking accept is one system call of the kernel's: a signal interrupts it. */
START_TEST(test_accept_interrupted)
{
    struct test_space space = space_private();
    int listener = space_listener(&space, LOCALHOST, 80);
    struct sigaction action = {.sa_handler = interrupt};
    ck_assert_int_eq(sigaction(SIGALRM, &action, NULL), 0);
    ualarm(20000, 20000);
    struct sockaddr_in peer;
    socklen_t length = sizeof peer;
    ck_assert_int_eq(space_call(&space, SYS_accept, listener, (long)&peer, (long)&length, 0, 0, 0),
                     -1);
    ck_assert_int_eq(errno, EINTR);
    ualarm(0, 0);
}
END_TEST

struct storm {
    struct test_space space;
    int failures;
};

static void *storm_client(void *argument)
{
    struct storm *storm = argument;
    for (int i = 0; i < 300; i++) {
        int type = i % 2 ? SOCK_NONBLOCK : 0;
        int client =
            (int)space_call(&storm->space, SYS_socket, AF_INET, SOCK_STREAM | type, 0, 0, 0, 0);
        struct sockaddr_in name = socket_name_of(LOCALHOST, 80);
        long result =
            space_call(&storm->space, SYS_connect, client, (long)&name, sizeof name, 0, 0, 0);
        struct pollfd poll_client = {.fd = client, .events = POLLIN};
        char byte = 0;
        if ((result < 0 && errno != EINPROGRESS) || poll(&poll_client, 1, 60000) != 1 ||
            read(client, &byte, 1) != 1)
            storm->failures++;
        close(client);
    }
    return NULL;
}

/* Many connections at once to a wildcard listener: none is refused. */
START_TEST(test_storm)
{
    struct test_space space = space_private();
    int listener = space_listener(&space, 0, 80);
    ck_assert_int_eq(space_call(&space, SYS_listen, listener, 128, 0, 0, 0, 0), 0);
    struct storm storms[4];
    pthread_t threads[4];
    for (int i = 0; i < 4; i++) {
        storms[i] = (struct storm){space, 0};
        ck_assert_int_eq(pthread_create(&threads[i], NULL, storm_client, &storms[i]), 0);
    }
    for (int i = 0; i < 4 * 300; i++) {
        struct sockaddr_in peer;
        int server = accept_from(&space, listener, &peer);
        ck_assert_int_eq(write(server, "x", 1), 1);
        close(server);
    }
    for (int i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
        ck_assert_int_eq(storms[i].failures, 0);
    }
}
END_TEST

int main(void)
{
    TCase *calls = tcase_create("stream");
    tcase_set_timeout(calls, 60);
    tcase_add_loop_test(calls, test_connection, 0,
                        sizeof bound_addresses / sizeof *bound_addresses);
    tcase_add_test(calls, test_native_client_address);
    tcase_add_test(calls, test_two_slices_one_port);
    tcase_add_test(calls, test_refused);
    tcase_add_test(calls, test_connect_again);
    tcase_add_test(calls, test_exact_before_wildcard);
    tcase_add_test(calls, test_full_queue);
    tcase_add_test(calls, test_in_use);
    tcase_add_test(calls, test_reuse_address);
    tcase_add_test(calls, test_reuse_port);
    tcase_add_test(calls, test_ephemeral);
    tcase_add_test(calls, test_listen_unbound);
    tcase_add_test(calls, test_bound_client);
    tcase_add_test(calls, test_outside);
    tcase_add_test(calls, test_none);
    tcase_add_test(calls, test_bad_slice);
    tcase_add_test(calls, test_socket_kinds);
    tcase_add_test(calls, test_inherited);
    tcase_add_test(calls, test_bad_descriptors);
    tcase_add_test(calls, test_bad_pointers);
    tcase_add_test(calls, test_short_addresses);
    tcase_add_test(calls, test_local_sockets);
    tcase_add_test(calls, test_accept_interrupted);
    tcase_add_test(calls, test_storm);
    Suite *suite = suite_create("net_call");
    suite_add_tcase(suite, calls);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
