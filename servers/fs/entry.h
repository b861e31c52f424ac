/* The entries of a name space as fs holds them, sorted as the table is. */
#ifndef HIRSEL_FS_ENTRY_H
#define HIRSEL_FS_ENTRY_H

#include <stddef.h>
#include <stdint.h>

#include "shim/core/space.h"

struct entry {
    char *path; /* absolute, normalised; owned */
    size_t path_length;
    char *target; /* of a bind or a symlink; owned, else NULL */
    uint16_t kind;
    uint16_t flags;
    uint64_t translator;
    uint64_t parent_device;
    uint64_t parent_inode;
    uint32_t serial; /* given by entries_add, if it is 0; stays with the entry */
};

struct entries {
    struct entry *items;
    size_t count;
    size_t room;
    uint32_t serial; /* the last one that was given */
    /* SPACE_HAS_NODES once a translator ran in the space: it stays, because a program may still
     * stand in one of its directories. */
    uint32_t sticky_flags;
};

/* Add a copy of `entry`. EEXIST, ENOMEM. */
int entries_add(struct entries *entries, const struct entry *entry);
/* Take the entry at `path` out and free it. ENOENT. */
int entries_remove(struct entries *entries, const char *path);
int entries_copy(struct entries *to, const struct entries *from);
void entries_free(struct entries *entries);

/* The entry at exactly `path`, or NULL. */
const struct entry *entries_at(const struct entries *entries, const char *path);
/* The longest prefix of `path`, or NULL. */
const struct entry *entries_prefix(const struct entries *entries, const char *path);
/* Whether some entry lies below `path` (itself not counted). */
int entries_any_below(const struct entries *entries, const char *path);

/* The host path that stands behind the canonical session path `path`, or NULL where there is none
 * (hidden, a translator's). */
const char *entries_host(const struct entries *entries, const char *path, char buffer[4096]);
/* The session's name of a host path: through a bind if there is one, the longest. */
const char *entries_session(const struct entries *entries, const char *host, char buffer[4096]);

#endif
