/* Short messages with at most one descriptor, on sockets between a parent and its children. */
#ifndef HIRSEL_SERVER_PASSING_H
#define HIRSEL_SERVER_PASSING_H

#include <stddef.h>
#include <sys/types.h>

/* As sendmsg; `descriptor` -1: none. Where the user has too many in flight (ETOOMANYREFS) it tries
 * again for ten seconds, with MSG_DONTWAIT for one. */
ssize_t passing_send(int to, const void *bytes, size_t length, int descriptor, int flags);
/* As recvmsg without waiting; *descriptor is the one that came, or -1. */
ssize_t passing_receive(int from, void *bytes, size_t size, int *descriptor);

#endif
