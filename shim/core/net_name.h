/* Socket names (IPv4 address and port) of a space with a private network.
 *
 * A space has a slice of 127/8. What its programs call 127.0.0.x is an address of the slice; the
 * bits between the slice's own and the last byte say what the program asked for, so that the way
 * back needs no table that could go stale:
 *
 *    31      24 23         13  12   11      10         9         8      7       0
 *   | 127      | slice       | - | client | low port | second | wildcard | last byte |
 *
 * wildcard: bound to 0.0.0.0.   second: 127.0.1.x, where Debian puts a host's own name.
 * low port: the program's port is below 1024, which only root may bind; it lives 64512 higher. A
 *           bit, and not a swap of the two ranges: ports above 64512 would become privileged.
 * client:   the unbound end of a connection to a wildcard listener; the rest is the address that
 * was asked for, which the listener's own address can't tell. Bit 12 is for IPv6. No program can
 * name an address with all five set: there net_server holds the slice. All numbers are in host byte
 * order. No libc here. */
#ifndef HIRSEL_NET_NAME_H
#define HIRSEL_NET_NAME_H

#include <stdbool.h>
#include <stdint.h>

#define NET_SLICE_BITS 11
#define NET_SLICE_SIZE (1u << (24 - NET_SLICE_BITS))
/* The first is the host's own 127.0.0.x, the last holds the broadcast address. */
#define NET_SLICE_FIRST 1u
#define NET_SLICE_LAST ((1u << NET_SLICE_BITS) - 2)
#define NET_LOOPBACK 0x7f000000u

#define NET_BIT_WILDCARD (1u << 8)
#define NET_BIT_SECOND (1u << 9)
#define NET_BIT_LOW_PORT (1u << 10)
#define NET_BIT_CLIENT (1u << 11)

#define NET_PORT_SHIFT 64512u
#define NET_PORT_PRIVILEGED 1024u

/* Where a slice's owner is bound as long as it is taken. */
#define NET_HOLD_ADDRESS 0x1ffeu
#define NET_HOLD_PORT 64512u
/* By which it is found out who has a port on all addresses: bound for a moment. */
#define NET_PROBE_ADDRESS 0x1ffdu

struct net_name {
    uint32_t address;
    uint16_t port;
};

enum net_place {
    NET_PLACE_LOOPBACK, /* 127.0.0.x, 127.0.1.x */
    NET_PLACE_WILDCARD, /* 0.0.0.0 */
    NET_PLACE_UNUSED,   /* the rest of 127/8: nobody has it */
    NET_PLACE_OUTSIDE,  /* the world */
};

enum net_place net_name_place(uint32_t address);

/* Whether `slice` can be a slice's first address. */
bool net_slice_valid(uint32_t slice);
bool net_name_in_slice(uint32_t slice, uint32_t address);

/* What the kernel calls a program's 127.0.0.x, 127.0.1.x or 0.0.0.0. */
struct net_name net_name_in(uint32_t slice, struct net_name program);
/* The source of a connection to a wildcard listener that was asked for as `program`. */
struct net_name net_name_client(uint32_t slice, struct net_name program);

/* What the program calls the kernel's `name`; a name outside the slice is its own.
 * `connected`: of a connection's end, which is never 0.0.0.0. `other`: its other end where that is
 * known, else NULL: it may tell which address was asked for. */
struct net_name net_name_out(uint32_t slice, struct net_name name, bool connected,
                             const struct net_name *other);

#endif
