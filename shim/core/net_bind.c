#include <errno.h>
#include <netinet/in.h>
#include <sys/syscall.h>

#include "shim/core/net_calls.h"

/* How often another port is asked for when the kernel's choice for one of the two names turns out
 * to be taken under the other. */
#define EPHEMERAL_ATTEMPTS 16

struct net_name datagram_name(struct net_view view, struct net_name program)
{
    if (program.address == 0)
        program.address = NET_LOOPBACK | 1;
    return net_name_in(view.slice, program);
}

static void option_copy(long from, long to, int option)
{
    int on = socket_option(from, SOL_SOCKET, option) > 0;
    if (on)
        system_call(SYS_setsockopt, to, SOL_SOCKET, option, (long)&on, sizeof on, 0);
}

/* A socket that holds `name` while another one is bound. Its descriptor, or -errno. */
static long guard_open(long descriptor, struct net_name name)
{
    long guard = lane_call(SYS_socket, AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0, 0, 0);
    if (system_failed(guard))
        return guard;
    option_copy(descriptor, guard, SO_REUSEADDR);
    option_copy(descriptor, guard, SO_REUSEPORT);
    long result = socket_bind(guard, name);
    if (system_failed(result)) {
        system_call(SYS_close, guard, 0, 0, 0, 0, 0);
        return result;
    }
    return guard;
}

static long bind_guarded(struct net_view view, long descriptor, struct net_name program)
{
    /* 0.0.0.0 and 127.0.0.x are two addresses of the slice: the kernel sees no conflict. */
    struct net_name opposite = {program.address == 0 ? NET_LOOPBACK | 1 : 0, program.port};
    long guard = guard_open(descriptor, net_name_in(view.slice, opposite));
    if (guard == -EADDRINUSE)
        return socket_bound(descriptor) ? -EINVAL : -EADDRINUSE;
    if (system_failed(guard)) /* no descriptor is left: better without than not at all */
        return socket_bind(descriptor, net_name_in(view.slice, program));
    struct net_name chosen;
    if (program.port == 0 && socket_name(guard, SYS_getsockname, &chosen))
        program.port = chosen.port;
    long result = socket_bind(descriptor, net_name_in(view.slice, program));
    system_call(SYS_close, guard, 0, 0, 0, 0, 0);
    return result;
}

/* Bind a TCP socket so that 0.0.0.0 and 127.0.0.1 exclude each other, as natively. */
static long bind_stream(struct net_view view, long descriptor, struct net_name program)
{
    if (program.port != 0)
        return bind_guarded(view, descriptor, program);
    /* The port is chosen at connect then, among those free for the other end. */
    if (socket_option(descriptor, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT) > 0)
        return socket_bind(descriptor, net_name_in(view.slice, program));
    long result = -EADDRINUSE;
    for (int i = 0; i < EPHEMERAL_ATTEMPTS && result == -EADDRINUSE; i++)
        result = bind_guarded(view, descriptor, program);
    return result;
}

long bind_datagram_source(struct net_view view, long descriptor)
{
    if (socket_bound(descriptor))
        return 0;
    long result = socket_bind(descriptor, datagram_name(view, (struct net_name){0, 0}));
    return result == -EINVAL ? 0 : result; /* bound to 0.0.0.0 of the host's before it came here */
}

long call_bind(struct net_view view, const long arguments[6])
{
    struct net_name program = {0, 0};
    enum net_family family = address_read(&program, arguments[1], arguments[2]);
    /* With AF_UNSPEC the kernel takes 0.0.0.0 and nothing else. */
    if (family == NET_FAMILY_NATIVE || (family == NET_FAMILY_UNSPECIFIED && program.address != 0))
        return call_native(SYS_bind, arguments);
    long protocol = socket_protocol(arguments[0]);
    if (protocol <= 0)
        return call_native(SYS_bind, arguments);
    if (family == NET_FAMILY_INET6) {
        if (socket_option(arguments[0], SOL_SOCKET, SO_DOMAIN) == AF_INET6)
            return -EADDRNOTAVAIL;
        return call_native(SYS_bind, arguments);
    }
    enum net_place place = net_name_place(program.address);
    if (view.mode != SPACE_NET_PRIVATE ||
        (place != NET_PLACE_LOOPBACK && place != NET_PLACE_WILDCARD))
        return -EADDRNOTAVAIL;
    if (protocol == IPPROTO_TCP)
        return bind_stream(view, arguments[0], program);
    if (protocol == IPPROTO_UDP)
        return socket_bind(arguments[0], datagram_name(view, program));
    return -EADDRNOTAVAIL;
}

/* An IPv6 socket can't be made here, but it may come from outside. */
static bool inet6_unbound(long descriptor)
{
    struct sockaddr_in6 in;
    socklen_t length = sizeof in;
    long result = lane_call(SYS_getsockname, descriptor, (long)&in, (long)&length, 0, 0);
    return !system_failed(result) && in.sin6_family == AF_INET6 && in.sin6_port == 0;
}

/* An unbound socket that listens gets 0.0.0.0 and a port from the kernel: the host's. */
long call_listen(struct net_view view, const long arguments[6])
{
    if (socket_protocol(arguments[0]) != IPPROTO_TCP || socket_bound(arguments[0]))
        return call_native(SYS_listen, arguments);
    if (view.mode != SPACE_NET_PRIVATE || inet6_unbound(arguments[0]))
        return -EADDRNOTAVAIL;
    long result = bind_stream(view, arguments[0], (struct net_name){0, 0});
    if (system_failed(result) && result != -EINVAL) /* as above */
        return result;
    return call_native(SYS_listen, arguments);
}
