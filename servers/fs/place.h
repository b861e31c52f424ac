/* The place of an entry or a node: a name in a directory that exists. */
#ifndef HIRSEL_FS_PLACE_H
#define HIRSEL_FS_PLACE_H

#include "servers/fs/space.h"
#include "servers/fs/walk.h"

struct place {
    char path[NAME_PATH_SIZE];      /* in the session: canonical parent + name */
    char host[NAME_PATH_SIZE];      /* the name on the host, in the parent's host directory */
    char directory[NAME_PATH_SIZE]; /* the parent's host directory */
    struct stat parent;
    struct stat status; /* lstat of host, if it exists */
    bool exists;        /* on the host; also where that can't be told */
    bool told;          /* status holds */
    bool read_only;     /* below a read-only bind */
};

/* Find the place that the absolute `path` names in `space`. ENOENT: there is no such directory;
 * ENOTDIR; EINVAL: the root, or a name of dots. */
int place_find(struct fs *fs, const struct space *space, pid_t self, const char *path,
               struct place *place);

/* The fields of a table's entry at this place; path is the place's own. */
void place_entry(const struct place *place, struct entry *entry);

#endif
