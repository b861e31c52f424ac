/* What ld.so asks at each program's start, before there is a shim. */
#ifndef HIRSEL_LINKER_H
#define HIRSEL_LINKER_H

#include "fence/fence.h"

/* Add to the options those of ld.so's calls that need not be asked about: its looks at
 * /etc/ld.so.preload and /etc/ld.so.cache, where they are the same in this name space as on the
 * host. ld.so is the one that started this program. None where this program has no patched libc
 * below it, whose header knows ld.so's calls. */
void linker_calls_add(struct fence_options *options);

#endif
