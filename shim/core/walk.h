/* The slow walk: component by component, in the session's view. It is the meaning of a path; all
 * faster ways must give its answer. */
#ifndef HIRSEL_WALK_H
#define HIRSEL_WALK_H

#include "shim/core/core.h"
#include <sys/stat.h>

/* Where a walk stands. */
enum place {
    PLACE_HOST,     /* at walk->host */
    PLACE_NODE,     /* at or below a translator's node: walk->node and walk_rest */
    PLACE_RESERVED, /* in the reserved root */
};

/* A translator's node, known by its id, or by the record in its symlink. */
struct node_reference {
    uint64_t translator; /* 0: by record */
    uint64_t device;
    uint64_t inode;
    size_t text_length;
    size_t host_length;
    char text[PATH_LIMIT]; /* the record */
    char host[PATH_LIMIT]; /* the symlink's host path */
};

enum walk_options {
    WALK_FOLLOW = 1,     /* follow a symlink in the last component */
    WALK_NODE_NAME = 2,  /* a record in the last component is wanted as the host's symlink that
                          * carries it, as for unlink and rename */
    WALK_NAME = 4,       /* the last component is a name to make, change or take away: it is not
                          * followed, not even with a slash behind it */
    WALK_RESOLVE_AT = 8, /* from this bit on: openat2's RESOLVE_ flags (restrict.h) */
};

/* How a path ends: only a name can be made, changed or taken away. */
enum path_end {
    END_NAME,
    END_ROOT,
    END_DOT,
    END_DOTS,
};

struct walk {
    const struct caller *caller;
    const struct space_snapshot *table; /* NULL: nothing published */
    unsigned options;
    enum place place;

    char name[PATH_LIMIT]; /* the session's name of where the walk stands */
    size_t name_length;
    char host[PATH_LIMIT]; /* PLACE_HOST: its host path ("/" for the root) */
    size_t host_length;
    struct node_reference node; /* PLACE_NODE */
    size_t node_name_length;    /* how much of `name` is the node's own name */

    const struct space_entry *entry; /* the table's entry at exactly this name, or NULL */
    bool touched;                    /* the way met the table, a node or a mirror: the kernel
                                      * alone would have gone another one */
    bool fleeting;                   /* the way led on through a link of procfs that leads to an
                                      * object: elsewhere in each process, and at each time */
    size_t mount_length; /* PLACE_HOST: how much of `name` is that of the bind it lies below */
    bool read_only;      /* below a read-only bind */
    bool missing;        /* PLACE_HOST: the last component is not there */
    bool slash;          /* the path ended with a slash */
    enum path_end end;
    struct stat status; /* PLACE_HOST and not missing: lstat of it */

    unsigned resolve;    /* openat2's RESOLVE_ flags */
    int directory;       /* where it started: a descriptor, or AT_FDCWD */
    size_t start_length; /* of the start's name: what must not be left, or the root */
    bool rooted;         /* the kernel would have looked for the root by now (restrict.c) */
    uint64_t host_mount; /* RESOLVE_NO_XDEV: the host's mount that the walk is on */

    unsigned links;
    char todo[2 * PATH_LIMIT]; /* what is still to be walked, from `at` */
    size_t todo_at;
    size_t todo_length;
    char link[PATH_LIMIT];
};

/* Walk `path` from the caller's descriptor `directory` (AT_FDCWD; ignored for absolute paths).
 * 0, or -errno. A last component that is missing is no error (walk->missing). -ESTALE: the start is
 * a directory of the host that was removed, or (for the program itself) what procfs does not tell:
 * only the kernel can walk from it. */
long walk_path(struct walk *walk, const struct caller *caller, const struct space_snapshot *table,
               int directory, const char *path, unsigned options);

/* Stand where the caller's descriptor stands. 0 or -errno; -ESTALE as for walk_path. */
long walk_descriptor(struct walk *walk, const struct caller *caller,
                     const struct space_snapshot *table, int descriptor);

/* "Go on there": the translator met a symlink after `consumed` bytes of the rest. */
long walk_redirect(struct walk *walk, size_t consumed, const char *target, size_t length);

/* Below the node: "" or "a/b" without a leading slash. */
const char *walk_rest(const struct walk *walk, size_t *length);

/* The session's name of a host path (in `host`, `length`): stands the walk there, without any
 * question to the host but for a node's own name. 0 or -errno. */
long walk_from_host(struct walk *walk, const char *host, size_t length);

#endif
