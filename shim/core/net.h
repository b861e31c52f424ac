/* The socket calls of a space whose network is not the host's.
 *
 * `none`: nothing is reached and nothing is bound. `private`: TCP and UDP over IPv4 among the
 * programs of the slice, see net_name.h. Sockets of other kinds that reach beyond the machine's
 * own programs are refused; AF_UNIX and AF_NETLINK (how libc asks for the interfaces) are left
 * alone. Every socket is the kernel's own: only names are mapped, data goes natively.
 *
 * Freestanding; no state; safe in signal handlers and threads. */
#ifndef HIRSEL_NET_H
#define HIRSEL_NET_H

#include <stdbool.h>

#include "shim/core/space.h"

/* Run a socket call with raw arguments: the raw result, a value or -errno. For socket, bind,
 * listen, connect, accept, accept4, getsockname, getpeername, sendto, recvfrom, sendmsg, recvmsg,
 * sendmmsg and recvmmsg; any other number goes to the kernel as it is. */
long net_call(const volatile struct space_net *net, long number, const long arguments[6]);

/* Whether a program of the host has this port (of SOCK_STREAM or SOCK_DGRAM, as the kernel counts
 * it) on all addresses, so that it would be reached by those of the slice. */
bool net_port_is_hosts(uint32_t slice, int type, uint16_t port);

#endif
