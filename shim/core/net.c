#include <errno.h>
#include <linux/if_alg.h>
#include <sys/syscall.h>

#include "shim/core/memory.h"
#include "shim/core/net.h"
#include "shim/core/net_calls.h"

static long call_socket(const long arguments[6])
{
    int type = (int)arguments[1] & ~(SOCK_CLOEXEC | SOCK_NONBLOCK);
    int protocol = (int)arguments[2];
    switch ((int)arguments[0]) {
    case AF_UNIX:
    case AF_NETLINK: /* libc asks for interfaces and addresses */
    case AF_ALG:     /* the kernel's ciphers */
        return call_native(SYS_socket, arguments);
    case AF_PACKET:
        return -EPERM;
    case AF_INET:
        break;
    default: /* AF_INET6 too: programs go on with IPv4 */
        return -EAFNOSUPPORT;
    }
    if (type == SOCK_RAW || type == SOCK_PACKET)
        return -EPERM;
    if (protocol == 0 || (type == SOCK_STREAM && protocol == IPPROTO_TCP) ||
        (type == SOCK_DGRAM && protocol == IPPROTO_UDP))
        return call_native(SYS_socket, arguments);
    /* Ping's sockets are an administrator's grant (ping_group_range). */
    return protocol == IPPROTO_ICMP ? -EACCES : -EPROTONOSUPPORT;
}

/* The room that the program has for an address; false where the kernel must complain. */
static bool room_read(uint32_t *room, long address, long length)
{
    return address != 0 && length != 0 && memory_read(room, length, sizeof *room);
}

static long call_accept(struct net_view view, long number, const long arguments[6])
{
    uint32_t room;
    bool wanted = room_read(&room, arguments[1], arguments[2]);
    long result = call_native(number, arguments);
    if (!wanted || system_failed(result))
        return result;
    /* A buffer for a part of the name is no place to read it from. */
    struct net_name name;
    bool known = room < ADDRESS_NAME_ROOM ? socket_name(result, SYS_getpeername, &name)
                                          : address_name(arguments[1], room, &name);
    if (known)
        address_patch(arguments[1], room, net_name_out(view.slice, name, true, NULL));
    return result;
}

static long call_name(struct net_view view, long number, const long arguments[6])
{
    uint32_t room;
    bool wanted = room_read(&room, arguments[1], arguments[2]);
    long result = call_native(number, arguments);
    struct net_name name, other;
    if (!wanted || system_failed(result) || !socket_name(arguments[0], number, &name) ||
        !net_name_in_slice(view.slice, name.address))
        return result;
    long opposite = number == SYS_getsockname ? SYS_getpeername : SYS_getsockname;
    bool other_known = socket_name(arguments[0], opposite, &other);
    bool connected = number == SYS_getpeername || other_known;
    name = net_name_out(view.slice, name, connected, other_known ? &other : NULL);
    address_patch(arguments[1], room, name);
    return result;
}

long net_call(const volatile struct space_net *net, long number, const long arguments[6])
{
    struct net_view view;
    view.mode = __atomic_load_n(&net->mode, __ATOMIC_ACQUIRE);
    view.slice = net->slice;
    /* No slice, no network: a table that is not as net writes it must not open the host's. */
    if (view.mode == SPACE_NET_PRIVATE && !net_slice_valid(view.slice))
        view.mode = SPACE_NET_NONE;

    switch (number) {
    case SYS_socket:
        return call_socket(arguments);
    case SYS_bind:
        return call_bind(view, arguments);
    case SYS_listen:
        return call_listen(view, arguments);
    case SYS_connect:
        return call_connect(view, arguments);
    case SYS_sendto:
        return call_sendto(view, arguments);
    case SYS_sendmsg:
        return call_sendmsg(view, arguments);
    case SYS_sendmmsg:
        return call_sendmmsg(view, arguments);
    default:
        break;
    }
    if (view.mode != SPACE_NET_PRIVATE)
        return call_native(number, arguments);
    switch (number) {
    case SYS_accept:
    case SYS_accept4:
        return call_accept(view, number, arguments);
    case SYS_getsockname:
    case SYS_getpeername:
        return call_name(view, number, arguments);
    case SYS_recvfrom:
        return call_recvfrom(view, arguments);
    case SYS_recvmsg:
        return call_recvmsg(view, arguments);
    case SYS_recvmmsg:
        return call_recvmmsg(view, arguments);
    default:
        return call_native(number, arguments);
    }
}
