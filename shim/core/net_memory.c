#include <arpa/inet.h>
#include <errno.h>
#include <sys/syscall.h>

#include "shim/core/net_calls.h"
#include "shim/core/text.h"

#define BLOCK 8ul
/* No `how` of sigprocmask(2): the kernel copies the set in, then says EINVAL and changes nothing.
 */
#define NO_HOW (-1)

static bool block_readable(unsigned long at)
{
    long block = (long)(at & ~(BLOCK - 1));
    return block != 0 && system_call(SYS_rt_sigprocmask, NO_HOW, block, 0, BLOCK, 0, 0) != -EFAULT;
}

bool memory_read(void *to, long from, size_t length)
{
    unsigned long first = (unsigned long)from;
    unsigned long last = first + length - 1;
    if (length == 0)
        return true;
    if (last < first || !block_readable(first))
        return false;
    /* At most a page: the first and the last byte speak for all between. */
    if (first / 4096 != last / 4096 && !block_readable(last))
        return false;
    bytes_copy(to, (const void *)from, length);
    return true;
}

bool memory_writable(long at, long socket)
{
    socklen_t length = sizeof(int);
    return system_call(SYS_getsockopt, socket, SOL_SOCKET, SO_TYPE, at, (long)&length, 0) == 0;
}

enum net_family address_read(struct net_name *name, long address, long length)
{
    struct sockaddr_in in;
    /* The kernel takes an int; too short for the family, or longer than any, it refuses. */
    int size = (int)length;
    if (size < (int)sizeof in || size > (int)sizeof(struct sockaddr_storage) ||
        !memory_read(&in, address, sizeof in))
        return NET_FAMILY_NATIVE;
    name->address = ntohl(in.sin_addr.s_addr);
    name->port = ntohs(in.sin_port);
    switch (in.sin_family) {
    case AF_INET:
        return NET_FAMILY_INET;
    case AF_INET6:
        return NET_FAMILY_INET6;
    case AF_UNSPEC:
        return NET_FAMILY_UNSPECIFIED;
    default:
        return NET_FAMILY_NATIVE;
    }
}

#define NAME_START offsetof(struct sockaddr_in, sin_port)
_Static_assert(offsetof(struct sockaddr_in, sin_zero) == ADDRESS_NAME_ROOM, "a name's end");

void address_patch(long address, uint32_t room, struct net_name name)
{
    struct sockaddr_in in = socket_address(name);
    size_t end = room < ADDRESS_NAME_ROOM ? room : ADDRESS_NAME_ROOM;
    if (end > NAME_START)
        bytes_copy((char *)address + NAME_START, (char *)&in + NAME_START, end - NAME_START);
}

bool address_name(long address, uint32_t room, struct net_name *name)
{
    struct sockaddr_in in;
    if (room < ADDRESS_NAME_ROOM)
        return false;
    bytes_copy(&in, (const void *)address, ADDRESS_NAME_ROOM);
    if (in.sin_family != AF_INET)
        return false;
    name->address = ntohl(in.sin_addr.s_addr);
    name->port = ntohs(in.sin_port);
    return true;
}
