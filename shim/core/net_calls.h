/* Between the files of net_call. */
#ifndef HIRSEL_NET_CALLS_H
#define HIRSEL_NET_CALLS_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "shim/core/lane.h"
#include "shim/core/net_name.h"
#include "shim/core/space.h"

struct net_view {
    uint32_t mode; /* enum space_network, not SPACE_NET_HOST */
    uint32_t slice;
};

/* The call as the program made it, as decided: past the trap server. But for sendto and recvfrom,
 * whose sixth argument is taken. */
static inline long call_native(long number, const long arguments[6])
{
    bool taken = number == SYS_sendto || number == SYS_recvfrom;
    return system_call(number, arguments[0], arguments[1], arguments[2], arguments[3], arguments[4],
                       taken ? arguments[5] : (long)LANE_COOKIE);
}

/* net_memory.c: socket addresses in the program's memory. */

/* What a program's socket address is for us. */
enum net_family {
    NET_FAMILY_NATIVE, /* not ours, or malformed: the kernel has the right answer */
    NET_FAMILY_INET,
    NET_FAMILY_INET6,
    NET_FAMILY_UNSPECIFIED, /* AF_UNSPEC in the form of AF_INET */
};
enum net_family address_read(struct net_name *name, long address, long length);
/* The least room that holds a whole name: family, port, address. */
#define ADDRESS_NAME_ROOM 8u
/* Put the port and address of `name` where the kernel has just written a socket address, in a
 * buffer of `room` bytes. */
void address_patch(long address, uint32_t room, struct net_name name);
/* The IPv4 name in a socket address that the kernel has just written; false for another family. */
bool address_name(long address, uint32_t room, struct net_name *name);

/* net_socket.c: questions to the kernel. */

struct sockaddr_in socket_address(struct net_name name);
/* IPPROTO_TCP, IPPROTO_UDP, ...; 0 for families without; -EBADF, -ENOTSOCK. */
long socket_protocol(long descriptor);
/* `number` is SYS_getsockname or SYS_getpeername. False where it has none, or none of IPv4. */
bool socket_name(long descriptor, long number, struct net_name *name);
long socket_option(long descriptor, int level, int option);
long socket_bind(long descriptor, struct net_name name);
long socket_connect(long descriptor, struct net_name name);
/* Whether it has an address; its port says nothing: it outlives a refused connect. */
bool socket_bound(long descriptor);

/* net_bind.c */

/* Give a datagram socket that has no name one in the slice, so that it can be answered. */
long bind_datagram_source(struct net_view view, long descriptor);
long call_bind(struct net_view view, const long arguments[6]);
long call_listen(struct net_view view, const long arguments[6]);

/* net_connect.c */

/* 0 where a program may reach `program`, else why not, as an empty or missing network says. */
long reach_refused(struct net_view view, struct net_name program);
long call_connect(struct net_view view, const long arguments[6]);

/* net_message.c */
long call_sendto(struct net_view view, const long arguments[6]);
long call_recvfrom(struct net_view view, const long arguments[6]);
/* recvfrom with room for an address, as a message: it has none for the lane's cookie. */
long receive_from(const long arguments[6], uint32_t room);
long call_sendmsg(struct net_view view, const long arguments[6]);
long call_recvmsg(struct net_view view, const long arguments[6]);
long call_sendmmsg(struct net_view view, const long arguments[6]);
long call_recvmmsg(struct net_view view, const long arguments[6]);

/* Datagrams have no fallback to a wildcard: 0.0.0.0 is 127.0.0.1 for them. */
struct net_name datagram_name(struct net_view view, struct net_name program);

#endif
