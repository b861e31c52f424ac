#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/syscall.h>

#include "shim/core/net.h"
#include "shim/core/net_calls.h"

/* On the loopback a connection is made or refused inside connect(2) itself, unless the kernel puts
 * the packets off to a thread of its own (ksoftirqd), or a full listen queue drops them. */
#define SETTLE_NANOSECONDS 2000000
#define SETTLE_LATE_SECONDS 1

long reach_refused(struct net_view view, struct net_name program)
{
    switch (net_name_place(program.address)) {
    case NET_PLACE_LOOPBACK:
    case NET_PLACE_WILDCARD:
        return view.mode == SPACE_NET_PRIVATE ? 0 : -ECONNREFUSED;
    case NET_PLACE_UNUSED:
        return -ECONNREFUSED;
    default:
        return -ENETUNREACH;
    }
}

/* What became of a connection in progress: POLLERR or POLLHUP where it failed, 0 where it still
 * goes on. Signals wait: an interruption would lose the answer. */
static short settle(long descriptor, long seconds, long nanoseconds)
{
    struct pollfd poll = {.fd = (int)descriptor, .events = POLLOUT};
    struct timespec time = {seconds, nanoseconds};
    uint64_t all_signals = ~0ull;
    long result = system_call(SYS_ppoll, (long)&poll, 1, (long)&time, (long)&all_signals,
                              sizeof all_signals, 0);
    return result == 1 ? poll.revents : 0;
}

/* What bind says of a name; `shared`: those that have it as well and do not listen do not count. */
static long name_probe(int type, struct net_name name, bool shared)
{
    int yes = 1;
    long probe = lane_call(SYS_socket, AF_INET, type | SOCK_CLOEXEC, 0, 0, 0);
    if (system_failed(probe))
        return probe;
    if (shared)
        system_call(SYS_setsockopt, probe, SOL_SOCKET, SO_REUSEADDR, (long)&yes, sizeof yes, 0);
    long result = socket_bind(probe, name);
    system_call(SYS_close, probe, 0, 0, 0, 0, 0);
    return result;
}

/* Whether something is bound to this name. */
static bool name_taken(struct net_name name)
{
    long result = name_probe(SOCK_STREAM, name, false);
    return result == -EADDRINUSE || result == -EMFILE || result == -ENFILE;
}

/* Nobody in the slice can have this address: who is in the way has all. And who listens on all
 * keeps the slice's programs from the port, so that none of theirs is taken for it (but where both
 * share it by SO_REUSEPORT). */
bool net_port_is_hosts(uint32_t slice, int type, uint16_t port)
{
    const struct net_name nobodys = {slice | NET_PROBE_ADDRESS, port};
    return name_probe(type, nobodys, type == SOCK_STREAM) == -EADDRINUSE;
}

/* Connect; a refusal is told even on a socket that does not wait. */
static long connect_settled(long descriptor, struct net_name name, bool must_know)
{
    long result = socket_connect(descriptor, name);
    if (result != -EINPROGRESS)
        return result;
    short events = settle(descriptor, 0, must_know ? SETTLE_NANOSECONDS : 0);
    if (events == 0 && must_know && !name_taken(name))
        events = settle(descriptor, SETTLE_LATE_SECONDS, 0);
    if (!(events & (POLLERR | POLLHUP)))
        return result;
    /* Again: the kernel tells the error and makes the socket fit for the next connect. */
    return socket_connect(descriptor, name);
}

static long connect_stream(struct net_view view, long descriptor, struct net_name program)
{
    struct net_name exact = program, wildcard = program;
    if (exact.address == 0)
        exact.address = NET_LOOPBACK | 1;
    wildcard.address = 0;
    /* As natively, the listener on the very address comes before one on 0.0.0.0. */
    long result = connect_settled(descriptor, net_name_in(view.slice, exact), true);
    if (result != -ECONNREFUSED)
        return result;
    /* The wildcard listener's address can't say which one was asked for: our own does, unless the
     * program bound it. */
    if (exact.address != (NET_LOOPBACK | 1))
        socket_bind(descriptor, net_name_client(view.slice, exact));
    return connect_settled(descriptor, net_name_in(view.slice, wildcard), false);
}

long call_connect(struct net_view view, const long arguments[6])
{
    struct net_name program;
    enum net_family family = address_read(&program, arguments[1], arguments[2]);
    /* AF_UNSPEC ends a connection. */
    if (family == NET_FAMILY_NATIVE || family == NET_FAMILY_UNSPECIFIED)
        return call_native(SYS_connect, arguments);
    long protocol = socket_protocol(arguments[0]);
    if (protocol <= 0)
        return call_native(SYS_connect, arguments);
    if (family == NET_FAMILY_INET6) {
        if (socket_option(arguments[0], SOL_SOCKET, SO_DOMAIN) == AF_INET6)
            return -ENETUNREACH;
        return call_native(SYS_connect, arguments);
    }
    long refused = reach_refused(view, program);
    if (refused != 0)
        return refused;
    /* An address of the slice leads to the host's programs, too, that listen on all. */
    int type = protocol == IPPROTO_TCP ? SOCK_STREAM : SOCK_DGRAM;
    if (net_port_is_hosts(view.slice, type, net_name_in(view.slice, program).port))
        return -ECONNREFUSED;
    if (protocol == IPPROTO_TCP)
        return connect_stream(view, arguments[0], program);
    if (protocol != IPPROTO_UDP)
        return -ENETUNREACH;
    long result = bind_datagram_source(view, arguments[0]);
    if (system_failed(result))
        return result;
    return socket_connect(arguments[0], datagram_name(view, program));
}
