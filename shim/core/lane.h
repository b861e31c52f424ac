/* The native lane: how a seccomp filter knows a call that this core has decided.
 *
 * No call that names a path has a sixth argument; the core puts this number there, and the filter
 * of a session lets such a call through to the kernel instead of the trap server. The same in every
 * session, so that a session may run inside another. It is no secret: where programs are confined
 * only what Landlock checks again passes by it. */
#ifndef HIRSEL_LANE_H
#define HIRSEL_LANE_H

#include "shim/arch/x86_64/syscall.h"

#define LANE_COOKIE 0x6c616e654869726cul

static inline __attribute__((always_inline)) long lane_call(long number, long a, long b, long c,
                                                            long d, long e)
{
    return system_call(number, a, b, c, d, e, (long)LANE_COOKIE);
}

#endif
