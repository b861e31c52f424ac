/* Socket addresses in the program's memory. */
#include <arpa/inet.h>

#include "shim/core/memory.h"
#include "shim/core/net_calls.h"
#include "shim/core/text.h"

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
