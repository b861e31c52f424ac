/* openat2(2)'s RESOLVE_ flags, as the kernel applies them, in the session's view: a bind's name and
 * a node are mounts, a node's record is no symlink, and what a translator tells of is one.
 *
 * Each function says whether a step may be taken: 0, or the -errno that the walk ends with. */
#ifndef HIRSEL_RESTRICT_H
#define HIRSEL_RESTRICT_H

#include <linux/openat2.h>

#include "shim/core/walk.h"

/* All that is known here. What a later kernel knows besides is refused, as by an older one. */
#define RESOLVE_KNOWN                                                                              \
    (RESOLVE_NO_XDEV | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_SYMLINKS | RESOLVE_BENEATH |             \
     RESOLVE_IN_ROOT | RESOLVE_CACHED)

/* The walk stands where it starts: at the root if the path is `absolute`. */
void restrict_begin(struct walk *walk, bool absolute);

/* Whether ".." would leave the start, which is the root to this walk. */
bool restrict_is_start(const struct walk *walk);

/* "..", anywhere. */
void restrict_up(struct walk *walk);

/* A symlink is followed; `absolute`: its text leads to the root. */
long restrict_link(const struct walk *walk, bool absolute);

/* A link of procfs to an object is followed: walk->host, of walk->status. */
long restrict_magic(const struct walk *walk);

/* A bind's name or a node is entered, or left by "..". */
long restrict_mount(const struct walk *walk);

/* walk->host is another place on the host, below the same bind. */
long restrict_host(const struct walk *walk);

/* RESOLVE_CACHED: a translator would have to be asked. */
long restrict_wait(const struct walk *walk);

#endif
