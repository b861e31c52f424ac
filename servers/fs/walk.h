/* The slow walk: component by component, in a name space, as fs needs it for binds and nodes. fs
 * itself runs without the shim: every look here is at the host.
 *
 * These are host calls that wait for as long as the host's file system does (lstat and readlink of
 * each component): they are made for bind, unbind, settrans and showtrans, and never for a
 * program's own file calls. */
#ifndef HIRSEL_FS_WALK_H
#define HIRSEL_FS_WALK_H

#include <stdbool.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "servers/fs/entry.h"
#include "servers/fs/name.h"
#include "servers/fs/seal.h"

enum walk_flags {
    WALK_PARENT = 1, /* up to the last component, which is not looked at */
    WALK_FOLLOW = 2, /* a symlink in the last component is followed */
};

enum walk_kind {
    WALK_HOST,   /* something of the host's */
    WALK_RECORD, /* a node: a sealed symlink on the host */
    WALK_ENTRY,  /* a node of the table */
};

struct walk {
    enum walk_kind kind;
    char path[NAME_PATH_SIZE];         /* free of symlinks, in the session's names */
    char host[NAME_PATH_SIZE];         /* the same on the host */
    char name[NAME_COMPONENT_MAX + 1]; /* WALK_PARENT: the last component */
    struct stat status;                /* of host; of the parent with WALK_PARENT */
    char text[NAME_PATH_SIZE];         /* WALK_RECORD: the symlink's text */
    uint64_t translator;               /* WALK_ENTRY */
};

/* Walk the absolute `path` in the name space of `entries`, for a caller with the pid `self` (whose
 * /proc/self it is). Errors: those of lstat(2); EOPNOTSUPP: it leads into a translator's tree;
 * EINVAL: WALK_PARENT and no last component (the root, "..", "."). */
int walk_path(const struct entries *entries, const struct seal *seal, pid_t self, const char *path,
              unsigned flags, struct walk *walk);

#endif
