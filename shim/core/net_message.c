#include <errno.h>
#include <netinet/in.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include "shim/core/memory.h"
#include "shim/core/net_calls.h"

#define MESSAGES_MAX 1024u /* as the kernel has it (UIO_MAXIOV) */

/* What to do with a message to `name`. */
enum send_way {
    SEND_NATIVE, /* the name does not matter, or the kernel has the right answer */
    SEND_MAPPED, /* to *name, which is the kernel's now */
    SEND_REFUSED,
};

static enum send_way send_way(struct net_view view, long descriptor, enum net_family family,
                              struct net_name *name, long flags, long *error)
{
    if (family == NET_FAMILY_NATIVE)
        return SEND_NATIVE;
    long protocol = socket_protocol(descriptor);
    if (protocol <= 0)
        return SEND_NATIVE;
    if (protocol == IPPROTO_TCP) {
        /* A connect in disguise. Programs that use it know that it may be missing. */
        *error = -EOPNOTSUPP;
        return flags & MSG_FASTOPEN ? SEND_REFUSED : SEND_NATIVE;
    }
    *error = -ENETUNREACH;
    if (protocol != IPPROTO_UDP)
        return SEND_REFUSED;
    /* On an IPv6 socket AF_UNSPEC means what the connection says. */
    if (socket_option(descriptor, SOL_SOCKET, SO_DOMAIN) != AF_INET)
        return family == NET_FAMILY_UNSPECIFIED ? SEND_NATIVE : SEND_REFUSED;
    if (family == NET_FAMILY_INET6)
        return SEND_NATIVE;
    *error = reach_refused(view, *name);
    if (*error == 0)
        *error = bind_datagram_source(view, descriptor);
    *name = datagram_name(view, *name);
    return system_failed(*error) ? SEND_REFUSED : SEND_MAPPED;
}

long call_sendto(struct net_view view, const long arguments[6])
{
    struct net_name name;
    long error;
    enum net_family family = NET_FAMILY_NATIVE;
    if (arguments[4] != 0)
        family = address_read(&name, arguments[4], arguments[5]);
    switch (send_way(view, arguments[0], family, &name, arguments[3], &error)) {
    case SEND_NATIVE:
        return call_native(SYS_sendto, arguments);
    case SEND_REFUSED:
        return error;
    default:
        break;
    }
    /* As a message: sendto has no room for the lane's cookie. */
    struct sockaddr_in in = socket_address(name);
    struct iovec part = {(void *)arguments[1], (size_t)arguments[2]};
    struct msghdr message = {
        .msg_name = &in, .msg_namelen = sizeof in, .msg_iov = &part, .msg_iovlen = 1};
    return lane_call(SYS_sendmsg, arguments[0], (long)&message, arguments[3], 0, 0);
}

/* The name that a message goes to; longer ones than any the kernel cuts off here. */
static enum net_family message_address(const struct msghdr *message, struct net_name *name)
{
    int length = (int)message->msg_namelen;
    if (message->msg_name == NULL || length < 0)
        return NET_FAMILY_NATIVE;
    if (length > (int)sizeof(struct sockaddr_storage))
        length = sizeof(struct sockaddr_storage);
    return address_read(name, (long)message->msg_name, length);
}

/* Send one message; `native` is the call to make where nothing is to be mapped. */
static long message_send(struct net_view view, long descriptor, struct msghdr *message, long flags,
                         bool *mapped)
{
    struct net_name name;
    long error;
    enum net_family family = message_address(message, &name);
    *mapped = true;
    switch (send_way(view, descriptor, family, &name, flags, &error)) {
    case SEND_NATIVE:
        *mapped = false;
        return 0;
    case SEND_REFUSED:
        return error;
    default:
        break;
    }
    struct sockaddr_in in = socket_address(name);
    message->msg_name = &in;
    message->msg_namelen = sizeof in;
    return lane_call(SYS_sendmsg, descriptor, (long)message, flags, 0, 0);
}

long call_sendmsg(struct net_view view, const long arguments[6])
{
    struct msghdr message;
    bool mapped;
    if (!memory_read(&message, arguments[1], sizeof message))
        return call_native(SYS_sendmsg, arguments);
    long result = message_send(view, arguments[0], &message, arguments[2], &mapped);
    return mapped ? result : call_native(SYS_sendmsg, arguments);
}

long call_sendmmsg(struct net_view view, const long arguments[6])
{
    unsigned long count = (unsigned)arguments[2];
    if (count > MESSAGES_MAX)
        count = MESSAGES_MAX;
    long protocol = socket_protocol(arguments[0]);
    if (protocol != IPPROTO_UDP && protocol != IPPROTO_TCP)
        return call_native(SYS_sendmmsg, arguments);
    unsigned long sent = 0;
    long result = 0;
    for (; sent < count; sent++) {
        long at = arguments[1] + (long)(sent * sizeof(struct mmsghdr));
        long length_at = at + (long)offsetof(struct mmsghdr, msg_len);
        struct mmsghdr header;
        bool mapped;
        result = -EFAULT;
        if (!memory_read(&header, at, sizeof header) || !memory_writable(length_at, arguments[0]))
            break;
        result = message_send(view, arguments[0], &header.msg_hdr, arguments[3], &mapped);
        if (!mapped)
            result = lane_call(SYS_sendmsg, arguments[0], at, arguments[3], 0, 0);
        if (system_failed(result))
            break;
        *(unsigned *)length_at = (unsigned)result;
    }
    return sent > 0 ? (long)sent : result;
}

long receive_from(const long arguments[6], uint32_t room)
{
    struct iovec part = {(void *)arguments[1], (size_t)arguments[2]};
    struct msghdr message = {
        .msg_name = (void *)arguments[4], .msg_namelen = room, .msg_iov = &part, .msg_iovlen = 1};
    /* What the kernel finds wrong with the one and not with the other it is asked itself. */
    if ((int)room < 0 || !memory_writable(arguments[5], arguments[0]))
        return call_native(SYS_recvfrom, arguments);
    *(uint32_t *)arguments[5] = room;
    long result = lane_call(SYS_recvmsg, arguments[0], (long)&message, arguments[3], 0, 0);
    if (!system_failed(result))
        *(uint32_t *)arguments[5] = message.msg_namelen;
    return result;
}

long call_recvfrom(struct net_view view, const long arguments[6])
{
    uint32_t room;
    bool wanted =
        arguments[4] != 0 && arguments[5] != 0 && memory_read(&room, arguments[5], sizeof room);
    if (!wanted)
        return call_native(SYS_recvfrom, arguments);
    long result = receive_from(arguments, room);
    struct net_name name;
    uint32_t length;
    if (system_failed(result) || !memory_read(&length, arguments[5], sizeof length) ||
        length < sizeof(struct sockaddr_in) || !address_name(arguments[4], room, &name))
        return result;
    address_patch(arguments[4], room, net_name_out(view.slice, name, true, NULL));
    return result;
}

/* The room for a name in a message that is about to be received. */
static uint32_t message_room(const struct msghdr *message)
{
    return message->msg_name == NULL ? 0 : message->msg_namelen;
}

/* Map the name of a message that the kernel has just filled in. */
static void message_patch(struct net_view view, const struct msghdr *message, uint32_t room)
{
    struct net_name name;
    if (message->msg_namelen < sizeof(struct sockaddr_in) ||
        !address_name((long)message->msg_name, room, &name))
        return;
    address_patch((long)message->msg_name, room, net_name_out(view.slice, name, true, NULL));
}

long call_recvmsg(struct net_view view, const long arguments[6])
{
    struct msghdr message;
    bool wanted = memory_read(&message, arguments[1], sizeof message);
    uint32_t room = wanted ? message_room(&message) : 0;
    long result = call_native(SYS_recvmsg, arguments);
    if (room != 0 && !system_failed(result))
        message_patch(view, (const struct msghdr *)arguments[1], room);
    return result;
}

long call_recvmmsg(struct net_view view, const long arguments[6])
{
    /* Which messages have room for a whole name: the kernel writes over what they said. */
    uint64_t rooms[MESSAGES_MAX / 64] = {0};
    const struct mmsghdr *headers = (const struct mmsghdr *)arguments[1];
    unsigned long count = (unsigned)arguments[2];
    if (count > MESSAGES_MAX)
        count = MESSAGES_MAX;
    for (unsigned long i = 0; i < count; i++) {
        struct msghdr message;
        if (!memory_read(&message, (long)&headers[i], sizeof message))
            break;
        if (message_room(&message) >= sizeof(struct sockaddr_in))
            rooms[i / 64] |= 1ull << (i % 64);
    }
    long result = call_native(SYS_recvmmsg, arguments);
    for (long i = 0; i < result; i++)
        if (rooms[i / 64] >> (i % 64) & 1)
            message_patch(view, &headers[i].msg_hdr, sizeof(struct sockaddr_in));
    return result;
}
