#include <arpa/inet.h>
#include <sys/syscall.h>

#include "shim/core/net_calls.h"

struct sockaddr_in socket_address(struct net_name name)
{
    struct sockaddr_in in = {.sin_family = AF_INET,
                             .sin_port = htons(name.port),
                             .sin_addr.s_addr = htonl(name.address)};
    return in;
}

long socket_option(long descriptor, int level, int option)
{
    int value = 0;
    socklen_t length = sizeof value;
    long result =
        system_call(SYS_getsockopt, descriptor, level, option, (long)&value, (long)&length, 0);
    return system_failed(result) ? result : value;
}

long socket_protocol(long descriptor)
{
    return socket_option(descriptor, SOL_SOCKET, SO_PROTOCOL);
}

bool socket_name(long descriptor, long number, struct net_name *name)
{
    struct sockaddr_in in;
    socklen_t length = sizeof in;
    if (system_failed(lane_call(number, descriptor, (long)&in, (long)&length, 0, 0)))
        return false;
    return address_name((long)&in, length < sizeof in ? length : sizeof in, name);
}

long socket_bind(long descriptor, struct net_name name)
{
    struct sockaddr_in in = socket_address(name);
    return lane_call(SYS_bind, descriptor, (long)&in, sizeof in, 0, 0);
}

long socket_connect(long descriptor, struct net_name name)
{
    struct sockaddr_in in = socket_address(name);
    return lane_call(SYS_connect, descriptor, (long)&in, sizeof in, 0, 0);
}

bool socket_bound(long descriptor)
{
    struct net_name name;
    return socket_name(descriptor, SYS_getsockname, &name) && name.address != 0;
}
