#include <stddef.h>

#include "shim/core/net_name.h"

#define LAST_BYTE 0xffu

enum net_place net_name_place(uint32_t address)
{
    if (address == 0)
        return NET_PLACE_WILDCARD;
    if ((address & ~(LAST_BYTE | 0x100u)) == NET_LOOPBACK)
        return NET_PLACE_LOOPBACK;
    if (address >> 24 == NET_LOOPBACK >> 24)
        return NET_PLACE_UNUSED;
    return NET_PLACE_OUTSIDE;
}

bool net_slice_valid(uint32_t slice)
{
    uint32_t index = (slice - NET_LOOPBACK) / NET_SLICE_SIZE;
    return slice % NET_SLICE_SIZE == 0 && index >= NET_SLICE_FIRST && index <= NET_SLICE_LAST;
}

bool net_name_in_slice(uint32_t slice, uint32_t address)
{
    return (address & ~(NET_SLICE_SIZE - 1)) == slice;
}

/* The last byte and the bit for 127.0.1.x. 0.0.0.0 is reached as 127.0.0.1. */
static uint32_t asked_bits(uint32_t address)
{
    if (address == 0)
        return 1;
    return (address & LAST_BYTE) | (address & 0x100u ? NET_BIT_SECOND : 0);
}

static uint32_t asked_address(uint32_t bits)
{
    return NET_LOOPBACK | (bits & LAST_BYTE) | (bits & NET_BIT_SECOND ? 0x100u : 0);
}

struct net_name net_name_in(uint32_t slice, struct net_name program)
{
    struct net_name name = {slice | asked_bits(program.address), program.port};
    if (program.address == 0)
        name.address |= NET_BIT_WILDCARD;
    if (program.port != 0 && program.port < NET_PORT_PRIVILEGED) {
        name.address |= NET_BIT_LOW_PORT;
        name.port = (uint16_t)(program.port + NET_PORT_SHIFT);
    }
    return name;
}

struct net_name net_name_client(uint32_t slice, struct net_name program)
{
    return (struct net_name){slice | NET_BIT_CLIENT | asked_bits(program.address), 0};
}

struct net_name net_name_out(uint32_t slice, struct net_name name, bool connected,
                             const struct net_name *other)
{
    struct net_name program = name;
    if (!net_name_in_slice(slice, name.address))
        return program;
    if (name.address & NET_BIT_LOW_PORT)
        program.port = (uint16_t)(name.port - NET_PORT_SHIFT);
    if (name.address & NET_BIT_CLIENT)
        program.address = NET_LOOPBACK | 1; /* as the kernel chooses for any unbound client */
    else if (!(name.address & NET_BIT_WILDCARD))
        program.address = asked_address(name.address);
    else if (!connected)
        program.address = 0;
    else if (other != NULL && net_name_in_slice(slice, other->address) &&
             other->address & NET_BIT_CLIENT)
        program.address = asked_address(other->address);
    else
        program.address = NET_LOOPBACK | 1;
    return program;
}
