/* The libc swap: what ld.so opens as libc.so.6 is answered with the patched copy. */
#ifndef HIRSEL_TRAP_SWAP_H
#define HIRSEL_TRAP_SWAP_H

#include "servers/trap/worker.h"

/* Of an open whose way the kernel would go right: whether the copy is the answer. */
bool swap_open(struct worker *worker, unsigned flags, struct answer *answer);

#endif
