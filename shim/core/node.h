/* What the core asks a translator's node, in node.proto's terms. */
#ifndef HIRSEL_NODE_H
#define HIRSEL_NODE_H

#include <linux/stat.h>
#include "shim/core/walk.h"

/* All of these ask about where `walk` stands (PLACE_NODE). If the translator met a symlink on the
 * way, the walk has gone along it to its end, *ended is set and nothing else was done: the caller
 * looks again where the walk stands. -ENOKEY: the record is not this user's. */

/* stat. `follow`: a symlink at the end too. */
long node_status(struct walk *walk, bool follow, struct stat *status, bool *ended);

/* open: a descriptor. `flags` and `mode` as open(2). */
long node_open(struct walk *walk, unsigned flags, unsigned mode, bool *ended);

/* readlink: the text's whole length; at most `size` bytes are put at `text`. */
long node_link(struct walk *walk, char *text, size_t size, bool *ended);

long node_access(struct walk *walk, unsigned mode, bool follow, bool *ended);
/* Whether what is there may be read and executed as a program, by what the asker is confined to,
 * too. */
long node_executable(struct walk *walk, bool follow, bool *ended);

/* getdents64 from `position`: bytes put at `entries`. */
long node_list(struct walk *walk, uint64_t position, void *entries, size_t size, bool *ended);

/* statfs: fills a struct statfs. */
long node_filesystem(struct walk *walk, void *status, bool *ended);

struct node_change {
    int change; /* enum NodeChange of node.proto */
    bool follow;
    unsigned mode;
    unsigned flags;
    uint64_t device;
    const char *other;
    size_t other_length;
    unsigned user, group;
    uint64_t size;
    int64_t times[4];
    bool has_times;
};
long node_change(struct walk *walk, const struct node_change *change, bool *ended);

#endif
