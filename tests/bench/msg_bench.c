/* What a call costs: over a bare SEQPACKET socket pair, over libmsg, and over D-Bus (sd-bus), with
 * both processes on one core and with the scheduler's choice. The ways take turns in batches, so
 * that what disturbs the machine disturbs all of them; each figure is the median of its batches,
 * each ratio the median of the ratios to a batch of the other right before or after it. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <ev.h>
#include <systemd/sd-bus.h>

#include "libmsg/msg.h"
#include "libmsg/wire.h"

#define BATCHES_MAX 999
/* So few that most batches are not interrupted, even where other work is done. */
#define CALLS 1000
#define LOCAL_CALLS 2000

static void die(const char *what, int error)
{
    fprintf(stderr, "msg_bench: %s: %s\n", what, strerror(error));
    exit(1);
}

/* One way of calling: `serve` runs in a child, on one end of a socket pair. */
struct way {
    const char *name;
    void (*serve)(int descriptor);
    void *(*open)(int descriptor);
    void (*call)(void *state);
    int calls;             /* in a batch */
    const char *reference; /* the way it is compared with */
    const char *also;      /* another, told without a limit; may be NULL */
    double limit;          /* of that comparison, or of the ns; 0: none */
    void *state;
    pid_t server;
    double samples[BATCHES_MAX]; /* ns a call */
    double ratios[BATCHES_MAX];  /* to the reference's batch right beside it */
};

/* ---- bare ---- */

struct bare {
    int descriptor;
};

static void *bare_open(int descriptor)
{
    struct bare *bare = malloc(sizeof *bare);
    if (!bare)
        die("malloc", ENOMEM);
    bare->descriptor = descriptor;
    return bare;
}

static void bare_serve(int descriptor)
{
    unsigned char packet[65536 + 48];
    ssize_t n;
    while ((n = recv(descriptor, packet, sizeof packet, 0)) > 0)
        if (send(descriptor, packet, (size_t)n, MSG_NOSIGNAL) < 0)
            break;
}

static void bare_call(void *state)
{
    struct bare *bare = state;
    struct wire_header header = {0};
    unsigned char packet[65536 + 48];
    if (send(bare->descriptor, &header, sizeof header, MSG_NOSIGNAL) < 0 ||
        recv(bare->descriptor, packet, sizeof packet, 0) <= 0)
        die("bare call", errno);
}

static void bare_send_descriptor(int descriptor, int passed)
{
    struct wire_header header = {0};
    union {
        struct cmsghdr align;
        unsigned char space[CMSG_SPACE(sizeof(int))];
    } control;
    struct iovec part = {&header, sizeof header};
    struct msghdr raw = {.msg_iov = &part,
                         .msg_iovlen = 1,
                         .msg_control = &control,
                         .msg_controllen = sizeof control};
    control.align.cmsg_level = SOL_SOCKET;
    control.align.cmsg_type = SCM_RIGHTS;
    control.align.cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(&control.align), &passed, sizeof passed);
    if (sendmsg(descriptor, &raw, MSG_NOSIGNAL) < 0)
        _exit(1);
}

static void bare_serve_descriptor(int descriptor)
{
    unsigned char packet[48];
    int passed = open("/dev/null", O_RDONLY | O_CLOEXEC);
    while (recv(descriptor, packet, sizeof packet, 0) > 0)
        bare_send_descriptor(descriptor, passed);
}

static void bare_call_descriptor(void *state)
{
    struct bare *bare = state;
    struct wire_header header = {0};
    unsigned char packet[48];
    union {
        struct cmsghdr align;
        unsigned char space[CMSG_SPACE(sizeof(int))];
    } control;
    struct iovec part = {packet, sizeof packet};
    struct msghdr raw = {.msg_iov = &part,
                         .msg_iovlen = 1,
                         .msg_control = &control,
                         .msg_controllen = sizeof control};
    int got;
    if (send(bare->descriptor, &header, sizeof header, MSG_NOSIGNAL) < 0 ||
        recvmsg(bare->descriptor, &raw, MSG_CMSG_CLOEXEC) <= 0)
        die("bare call", errno);
    memcpy(&got, CMSG_DATA(&control.align), sizeof got);
    close(got);
}

/* The least that a server of many connections does, which can't sleep in recv. */
static void bare_readable(struct ev_loop *loop, ev_io *watcher, int events)
{
    (void)events;
    unsigned char packet[65536 + 48];
    ssize_t n = recv(watcher->fd, packet, sizeof packet, MSG_DONTWAIT);
    if (n <= 0 || send(watcher->fd, packet, (size_t)n, MSG_NOSIGNAL) < 0)
        ev_break(loop, EVBREAK_ALL);
}

static void bare_serve_loop(int descriptor)
{
    struct ev_loop *loop = ev_default_loop(0);
    ev_io watcher;
    ev_io_init(&watcher, bare_readable, descriptor, EV_READ);
    ev_io_start(loop, &watcher);
    ev_run(loop, 0);
}

/* ---- libmsg ---- */

static void answer_empty(struct port *port, struct msg *message, struct reply *reply, void *context)
{
    (void)port;
    (void)message;
    (void)context;
    reply_error(reply, 0);
}

static void serve_port(int descriptor, msg_handler *handler, void *context)
{
    struct ev_loop *loop = ev_default_loop(0);
    struct port_set *set = port_set_new(loop);
    struct port *port;
    if (!set || port_adopt(set, descriptor, false, &port))
        _exit(1);
    port_on_message(port, handler, context);
    ev_run(loop, 0); /* until the last port is gone */
}

static void msg_serve_loop(int descriptor)
{
    serve_port(descriptor, answer_empty, NULL);
}

static void serve_waiting(int descriptor, int *passed)
{
    struct port_set *set = port_set_new(ev_default_loop(0));
    struct port *port;
    struct reply *reply = NULL;
    struct msg message, answer = {.descriptors = passed, .descriptor_count = passed ? 1 : 0};
    if (!set || port_adopt(set, descriptor, false, &port))
        _exit(1);
    while (!msg_reply_wait(port, reply, &answer, &message, &reply, -1))
        msg_release(&message);
}

static void msg_serve(int descriptor)
{
    serve_waiting(descriptor, NULL);
}

static void msg_serve_descriptor(int descriptor)
{
    int passed = open("/dev/null", O_RDONLY | O_CLOEXEC);
    serve_waiting(descriptor, &passed);
}

static void *msg_open(int descriptor)
{
    struct port_set *set = port_set_new(ev_loop_new(0));
    struct port *port;
    int error = set ? port_adopt(set, descriptor, true, &port) : ENOMEM;
    if (error)
        die("port_adopt", error);
    return port;
}

static void msg_call_once(void *state)
{
    struct msg message = {.operation = 1};
    struct msg answer;
    int error = msg_call(state, &message, &answer, 10000);
    if (error)
        die("msg_call", error);
    msg_release(&answer);
}

static void msg_call_descriptor(void *state)
{
    struct msg message = {.operation = 1};
    struct msg answer;
    int error = msg_call(state, &message, &answer, 10000);
    if (error)
        die("msg_call", error);
    close(msg_take(&answer, 0));
    msg_release(&answer);
}

/* ---- sd-bus ---- */

static int bus_ping(sd_bus_message *message, void *context, sd_bus_error *error)
{
    (void)context;
    (void)error;
    return sd_bus_reply_method_return(message, NULL);
}

static const sd_bus_vtable bus_table[] = {
    SD_BUS_VTABLE_START(0),
    SD_BUS_METHOD("Call", "", "", bus_ping, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_VTABLE_END,
};

static void bus_serve(int descriptor)
{
    sd_bus *bus;
    sd_id128_t id = {.bytes = {1}};
    if (sd_bus_new(&bus) < 0 || sd_bus_set_fd(bus, descriptor, descriptor) < 0 ||
        sd_bus_set_server(bus, 1, id) < 0 || sd_bus_set_anonymous(bus, 1) < 0 ||
        sd_bus_start(bus) < 0 ||
        sd_bus_add_object_vtable(bus, NULL, "/bench", "org.hirsel.Bench", bus_table, NULL) < 0)
        _exit(1);
    for (;;) {
        int r = sd_bus_process(bus, NULL);
        if (r < 0)
            break;
        if (r == 0 && sd_bus_wait(bus, UINT64_MAX) < 0)
            break;
    }
}

static void *bus_open(int descriptor)
{
    sd_bus *bus;
    if (sd_bus_new(&bus) < 0 || sd_bus_set_fd(bus, descriptor, descriptor) < 0 ||
        sd_bus_set_anonymous(bus, 1) < 0 || sd_bus_start(bus) < 0)
        die("sd_bus_start", EIO);
    return bus;
}

static void bus_call(void *state)
{
    sd_bus_message *reply = NULL;
    int r = sd_bus_call_method(state, NULL, "/bench", "org.hirsel.Bench", "Call", NULL, &reply, "");
    if (r < 0)
        die("sd_bus_call_method", -r);
    sd_bus_message_unref(reply);
}

/* ---- local ---- */

static void *local_open(int descriptor)
{
    close(descriptor);
    struct port_set *set = port_set_new(ev_loop_new(0));
    struct port *port = set ? port_local(set, answer_empty, NULL) : NULL;
    if (!port)
        die("port_local", ENOMEM);
    return port;
}

static struct way ways[] = {
    {.name = "bare SEQPACKET",
     .serve = bare_serve,
     .open = bare_open,
     .call = bare_call,
     .calls = 2000},
    {.name = "libmsg, reply-and-wait",
     .serve = msg_serve,
     .open = msg_open,
     .call = msg_call_once,
     .calls = CALLS,
     .reference = "bare SEQPACKET",
     .limit = 1.15},
    {.name = "bare, server on libev",
     .serve = bare_serve_loop,
     .open = bare_open,
     .call = bare_call,
     .calls = CALLS,
     .reference = "bare SEQPACKET"},
    {.name = "libmsg, server on libev",
     .serve = msg_serve_loop,
     .open = msg_open,
     .call = msg_call_once,
     .calls = CALLS,
     .reference = "bare, server on libev",
     .also = "bare SEQPACKET",
     .limit = 1.15},
    {.name = "bare, a descriptor back",
     .serve = bare_serve_descriptor,
     .open = bare_open,
     .call = bare_call_descriptor,
     .calls = 2000},
    {.name = "libmsg, a descriptor back",
     .serve = msg_serve_descriptor,
     .open = msg_open,
     .call = msg_call_descriptor,
     .calls = CALLS,
     .reference = "bare, a descriptor back",
     .limit = 1.15},
    {.name = "D-Bus (sd-bus, no daemon)",
     .serve = bus_serve,
     .open = bus_open,
     .call = bus_call,
     .calls = CALLS,
     .reference = "bare SEQPACKET"},
    {.name = "libmsg, local port",
     .open = local_open,
     .call = msg_call_once,
     .calls = LOCAL_CALLS,
     .limit = 30},
};

#define WAYS (sizeof ways / sizeof *ways)

static void way_start(struct way *way)
{
    int ends[2];
    int type = way->serve == bus_serve ? SOCK_STREAM : SOCK_SEQPACKET;
    if (socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, ends))
        die("socketpair", errno);
    if (way->serve) {
        way->server = fork();
        if (way->server < 0)
            die("fork", errno);
        if (way->server == 0) {
            /* Other ways' ends would keep their servers alive: die with the parent instead. */
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            close(ends[0]);
            way->serve(ends[1]);
            _exit(0);
        }
    }
    close(ends[1]);
    way->state = way->open(ends[0]);
}

static double clock_ns(clockid_t clock)
{
    struct timespec now;
    if (clock_gettime(clock, &now))
        die("clock_gettime", errno);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

/* Where both share a core one of them runs at any time: their processor time is the time that
 * passes, less what other programs took of it. Elsewhere only the time that passes says something.
 */
static double time_of(const struct way *way, bool shared)
{
    clockid_t server;
    if (!shared)
        return clock_ns(CLOCK_MONOTONIC);
    if (!way->server)
        return clock_ns(CLOCK_PROCESS_CPUTIME_ID);
    int error = clock_getcpuclockid(way->server, &server);
    if (error)
        die("clock_getcpuclockid", error);
    return clock_ns(CLOCK_PROCESS_CPUTIME_ID) + clock_ns(server);
}

static double batch(struct way *way, bool shared)
{
    double from = time_of(way, shared);
    for (int i = 0; i < way->calls; i++)
        way->call(way->state);
    return (time_of(way, shared) - from) / way->calls;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(const double *samples, int count)
{
    double sorted[BATCHES_MAX];
    memcpy(sorted, samples, (size_t)count * sizeof *sorted);
    qsort(sorted, (size_t)count, sizeof *sorted, compare);
    return sorted[count / 2];
}

static struct way *way_named(const char *name)
{
    for (size_t i = 0; i < WAYS; i++)
        if (!strcmp(ways[i].name, name))
            return &ways[i];
    return NULL;
}

/* A row of the table; whether its limit held. */
static bool report(const char *where, const struct way *way, int batches)
{
    double ns = median(way->samples, batches);
    double measured = way->reference ? median(way->ratios, batches) : ns;
    bool held = way->limit <= 0 || measured <= way->limit;
    printf("| %s | %s | %.0f |", where, way->name, ns);
    if (way->reference)
        printf(" %.2f × %s", measured, way->reference);
    if (way->also)
        printf(", %.2f × %s", ns / median(way_named(way->also)->samples, batches), way->also);
    printf(" |");
    if (way->limit > 0)
        printf(" %g | %s |\n", way->limit, held ? "yes" : "no");
    else
        printf(" | |\n");
    if (!held)
        fprintf(stderr, "%s, %s: %.2f where at most %g is wanted\n", way->name, where, measured,
                way->limit);
    return held;
}

static void take_sample(struct way *way, int b, bool shared)
{
    struct way *reference = way->reference ? way_named(way->reference) : NULL;
    double beside = reference && b % 2 ? batch(reference, shared) : 0;
    way->samples[b] = batch(way, shared);
    if (reference && b % 2 == 0)
        beside = batch(reference, shared);
    way->ratios[b] = reference ? way->samples[b] / beside : 0;
}

static bool measure(const char *where, int batches, bool shared)
{
    bool held = true;
    for (size_t i = 0; i < WAYS; i++) {
        way_start(&ways[i]);
        batch(&ways[i], shared); /* warm */
    }
    for (int b = 0; b < batches; b++)
        for (size_t i = 0; i < WAYS; i++)
            take_sample(&ways[i], b, shared);
    for (size_t i = 0; i < WAYS; i++) {
        held = report(where, &ways[i], batches) && held;
        if (ways[i].server) {
            kill(ways[i].server, SIGKILL);
            waitpid(ways[i].server, NULL, 0);
        }
    }
    return held;
}

int main(int argc, char **argv)
{
    int batches = argc > 1 ? atoi(argv[1]) : 75;
    cpu_set_t all, one;

    if (batches < 1 || batches > BATCHES_MAX) {
        fprintf(stderr, "usage: msg_bench [BATCHES]   (1 to %d, default 75)\n", BATCHES_MAX);
        return 2;
    }
    sched_getaffinity(0, sizeof all, &all);
    CPU_ZERO(&one);
    for (size_t cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        if (CPU_ISSET(cpu, &all)) {
            CPU_SET(cpu, &one);
            break;
        }
    }
    printf("## The bus: a call and its answer, nanoseconds, medians of %d batches in turn\n\n"
           "| cores | way | ns | compared | limit | held |\n|---|---|---|---|---|---|\n",
           batches);
    sched_setaffinity(0, sizeof one, &one);
    bool held = measure("same core", batches, true);
    sched_setaffinity(0, sizeof all, &all);
    /* Where the scheduler puts the two is not ours to answer for: no limits here. */
    for (size_t i = 0; i < WAYS; i++)
        ways[i].limit = 0;
    measure("any", batches, false);
    return held ? 0 : 1;
}
