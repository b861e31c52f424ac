/* What a private network costs: a loopback connection made, accepted, one byte sent over it and
 * closed, and the calls it is made of; natively and as a program of a private space makes them
 * (net_call, without the few nanoseconds of the way into it). The two take turns in batches; each
 * figure is the median of its batches, each ratio the median of the ratios of neighbours. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "shim/arch/x86_64/syscall.h"
#include "shim/core/net.h"
#include "shim/core/net_name.h"

#define BATCHES_MAX 199
#define PORT 18080

struct side {
    bool private;
    struct space_net net;
    struct sockaddr_in name; /* of the listener, as a program says it */
    int listener;
    int local[2];
};

static void die(const char *what, int error)
{
    fprintf(stderr, "net_bench: %s: %s\n", what, strerror(error));
    exit(1);
}

static long call(const struct side *side, long number, long a, long b, long c, long d, long e,
                 long f)
{
    const long arguments[6] = {a, b, c, d, e, f};
    long result = side->private ? net_call(&side->net, number, arguments)
                                : system_call(number, a, b, c, d, e, f);

    if (system_failed(result))
        die("a call", (int)-result);
    return result;
}

/* Connect, accept, send a byte, close. A reset at the end keeps TIME_WAIT from piling up. */
static void connection(const struct side *side)
{
    const struct linger reset = {1, 0};
    struct sockaddr_in peer;
    socklen_t length = sizeof peer;
    char byte = 'x';
    int client = (int)call(side, SYS_socket, AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0, 0, 0, 0);

    call(side, SYS_connect, client, (long)&side->name, sizeof side->name, 0, 0, 0);
    int server = (int)call(side, SYS_accept4, side->listener, (long)&peer, (long)&length,
                           SOCK_CLOEXEC, 0, 0);
    if (write(client, &byte, 1) != 1 || read(server, &byte, 1) != 1)
        die("a byte", errno);
    setsockopt(client, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    close(client);
    close(server);
}

static void name_asked(const struct side *side)
{
    struct sockaddr_in name;
    socklen_t length = sizeof name;

    call(side, SYS_getsockname, side->listener, (long)&name, (long)&length, 0, 0, 0);
}

/* A message over a Unix socket: what every other program of a private space pays. */
static void local_message(const struct side *side)
{
    char byte = 'x';
    struct iovec part = {&byte, 1};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};

    call(side, SYS_sendmsg, side->local[0], (long)&message, 0, 0, 0, 0);
    call(side, SYS_recvmsg, side->local[1], (long)&message, 0, 0, 0, 0);
}

struct work {
    const char *name;
    void (*run)(const struct side *side);
    int count;        /* in a batch */
    uint32_t address; /* that the listener is bound to */
};

static const struct work works[] = {
    {"connect, accept, 1 byte, close", connection, 200, NET_LOOPBACK | 1},
    {"the same, listener on 0.0.0.0", connection, 200, 0},
    {"getsockname", name_asked, 2000, NET_LOOPBACK | 1},
    {"sendmsg+recvmsg, Unix socket", local_message, 2000, NET_LOOPBACK | 1},
};

static void listener_open(struct side *side, uint32_t address)
{
    int on = 1;
    struct sockaddr_in name = {.sin_family = AF_INET,
                               .sin_port = htons(side->private ? PORT : 0),
                               .sin_addr.s_addr = htonl(address)};
    socklen_t length = sizeof name;

    side->listener = (int)call(side, SYS_socket, AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0, 0, 0, 0);
    setsockopt(side->listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    call(side, SYS_bind, side->listener, (long)&name, sizeof name, 0, 0, 0);
    if (listen(side->listener, 16) < 0)
        die("listen", errno);
    call(side, SYS_getsockname, side->listener, (long)&name, (long)&length, 0, 0, 0);
    side->name = name;
    side->name.sin_addr.s_addr = htonl(NET_LOOPBACK | 1);
}

static double batch(const struct work *work, const struct side *side)
{
    struct timespec from, to;

    clock_gettime(CLOCK_MONOTONIC, &from);
    for (int i = 0; i < work->count; i++)
        work->run(side);
    clock_gettime(CLOCK_MONOTONIC, &to);
    return ((double)(to.tv_sec - from.tv_sec) * 1e9 + (double)(to.tv_nsec - from.tv_nsec)) /
           work->count;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *samples, int count)
{
    qsort(samples, (size_t)count, sizeof *samples, compare);
    return samples[count / 2];
}

static void measure(const struct work *work, struct side sides[2], int batches)
{
    double samples[2][BATCHES_MAX], ratios[BATCHES_MAX];

    for (int i = 0; i < 2; i++) {
        listener_open(&sides[i], work->address);
        batch(work, &sides[i]); /* warm */
    }
    for (int b = 0; b < batches; b++) {
        for (int i = 0; i < 2; i++)
            samples[i][b] = batch(work, &sides[i]);
        ratios[b] = samples[1][b] / samples[0][b];
    }
    printf("%-32s %10.0f %10.0f %8.2f\n", work->name, median(samples[0], batches),
           median(samples[1], batches), median(ratios, batches));
    for (int i = 0; i < 2; i++)
        close(sides[i].listener);
}

/* A slice that nobody has, held as the net server holds it. */
static uint32_t slice_take(void)
{
    for (uint32_t index = NET_SLICE_LAST; index >= NET_SLICE_FIRST; index--) {
        uint32_t slice = NET_LOOPBACK + index * NET_SLICE_SIZE;
        struct sockaddr_in name = {.sin_family = AF_INET,
                                   .sin_port = htons(NET_HOLD_PORT),
                                   .sin_addr.s_addr = htonl(slice + NET_HOLD_ADDRESS)};
        int holder = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (bind(holder, (struct sockaddr *)&name, sizeof name) == 0)
            return slice;
        close(holder);
    }
    die("a slice", EADDRINUSE);
    return 0;
}

int main(int argc, char **argv)
{
    int batches = argc > 1 ? atoi(argv[1]) : 51;
    struct side sides[2] = {{.private = false}, {.private = true}};

    if (batches < 1 || batches > BATCHES_MAX) {
        fprintf(stderr, "usage: net_bench [BATCHES]   (1 to %d, default 51)\n", BATCHES_MAX);
        return 2;
    }
    sides[1].net = (struct space_net){SPACE_NET_PRIVATE, slice_take()};
    for (int i = 0; i < 2; i++)
        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sides[i].local) < 0)
            die("a pair", errno);
    printf("%-32s %10s %10s %8s   ns (medians)\n", "sockets", "native", "private", "ratio");
    for (size_t i = 0; i < sizeof works / sizeof *works; i++)
        measure(&works[i], sides, batches);
    return 0;
}
