/* What slow.c and node_call.c share: a call with one path, walked. */
#ifndef HIRSEL_SLOW_H
#define HIRSEL_SLOW_H

#include "shim/core/walk.h"
#include "shim/door/door.h"

/* What a slow call needs besides its stack. */
struct slow {
    struct walk *walk;
    char text[PATH_LIMIT];
    char path[PATH_LIMIT];
};

/* A symlink's text to a program that called readlink: as much as it has room for. */
long link_write(const struct call_shape *shape, const long arguments[6], const char *text,
                size_t length) HIDDEN;

/* ---- node_call.c ---- */

/* The call at the node where the walk stands. *ended: the translator led on from there, the walk
 * stands elsewhere now and nothing was done. */
long node_act(struct slow *slow, long number, const long arguments[6], bool *ended) HIDDEN;

#endif
