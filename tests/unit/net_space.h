/* For the tests of net_call: a slice of one's own, and the calls as a program makes them, with
 * errno. */
#ifndef HIRSEL_TEST_NET_SPACE_H
#define HIRSEL_TEST_NET_SPACE_H

#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "shim/core/net.h"
#include "shim/core/net_name.h"

struct test_space {
    struct space_net net;
    int hold;
};

static inline struct sockaddr_in socket_name_of(uint32_t address, unsigned port)
{
    struct sockaddr_in name = {.sin_family = AF_INET,
                               .sin_port = htons((uint16_t)port),
                               .sin_addr.s_addr = htonl(address)};
    return name;
}

#define LOCALHOST (NET_LOOPBACK | 1)

/* Take a slice as the net server does, so that tests run side by side. */
static inline struct test_space space_private(void)
{
    for (;;) {
        uint32_t random;
        ck_assert_int_eq(getrandom(&random, sizeof random, 0), sizeof random);
        uint32_t index = NET_SLICE_FIRST + random % NET_SLICE_LAST;
        struct test_space space = {{SPACE_NET_PRIVATE, NET_LOOPBACK + index * NET_SLICE_SIZE}, -1};
        struct sockaddr_in hold = socket_name_of(space.net.slice + NET_HOLD_ADDRESS, NET_HOLD_PORT);
        space.hold = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        ck_assert_int_ge(space.hold, 0);
        if (bind(space.hold, (struct sockaddr *)&hold, sizeof hold) == 0)
            return space;
        ck_assert_int_eq(errno, EADDRINUSE);
        close(space.hold);
    }
}

static inline long space_call(const struct test_space *space, long number, long a, long b, long c,
                              long d, long e, long f)
{
    const long arguments[6] = {a, b, c, d, e, f};
    long result = net_call(&space->net, number, arguments);
    if (result < 0 && result > -4096) {
        errno = (int)-result;
        return -1;
    }
    return result;
}

static inline int space_socket(const struct test_space *space, int type)
{
    int result = (int)space_call(space, SYS_socket, AF_INET, type, 0, 0, 0, 0);
    ck_assert_int_ge(result, 0);
    return result;
}

static inline int space_bind(const struct test_space *space, int socket, uint32_t address,
                             unsigned port)
{
    struct sockaddr_in name = socket_name_of(address, port);
    return (int)space_call(space, SYS_bind, socket, (long)&name, sizeof name, 0, 0, 0);
}

static inline int space_connect(const struct test_space *space, int socket, uint32_t address,
                                unsigned port)
{
    struct sockaddr_in name = socket_name_of(address, port);
    return (int)space_call(space, SYS_connect, socket, (long)&name, sizeof name, 0, 0, 0);
}

/* `number`: SYS_getsockname or SYS_getpeername. */
static inline struct sockaddr_in space_name(const struct test_space *space, int socket, long number)
{
    struct sockaddr_in name = {0};
    socklen_t length = sizeof name;
    ck_assert_int_eq(space_call(space, number, socket, (long)&name, (long)&length, 0, 0, 0), 0);
    ck_assert_uint_eq(length, sizeof name);
    ck_assert_int_eq(name.sin_family, AF_INET);
    return name;
}

static inline unsigned space_port(const struct test_space *space, int socket)
{
    return ntohs(space_name(space, socket, SYS_getsockname).sin_port);
}

/* A slice may be one that a test had a moment ago, with connections left in TIME_WAIT. */
static inline void reuse_address(int socket)
{
    int on = 1;
    ck_assert_int_eq(setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on), 0);
}

static inline int space_listener(const struct test_space *space, uint32_t address, unsigned port)
{
    int socket = space_socket(space, SOCK_STREAM);
    reuse_address(socket);
    ck_assert_int_eq(space_bind(space, socket, address, port), 0);
    ck_assert_int_eq(space_call(space, SYS_listen, socket, 5, 0, 0, 0, 0), 0);
    return socket;
}

#define ck_assert_name(name, address, port)                                                        \
    do {                                                                                           \
        ck_assert_uint_eq(ntohl((name).sin_addr.s_addr), (address));                               \
        ck_assert_uint_eq(ntohs((name).sin_port), (port));                                         \
    } while (0)

#endif
