/* The name spaces of a session: SESSION/spaces/ID/{table, lib/libc.so.6, origin}. */
#ifndef HIRSEL_FS_SPACE_H
#define HIRSEL_FS_SPACE_H

#include "servers/fs/fs.h"
#include "servers/fs/table.h"

struct space {
    struct space *next;
    uint64_t id;
    uint64_t origin; /* the space that it was copied from; its own id for the default one */
    pid_t maker;     /* who asked for it, with its start time */
    uint64_t maker_start;
    struct entries entries;
    struct table table;
};

/* Map what is there, make the default space if it is not. */
int spaces_load(struct fs *fs);
struct space *space_find(const struct fs *fs, uint64_t id);
/* Make space `id` as a copy of `origin`, with this network, for `maker`. One that is there already
 * is answered. */
int space_make(struct fs *fs, uint64_t id, const struct space *origin, const struct space_net *net,
               pid_t maker, struct space **space);
/* Not the default one. Translators of that space alone are stopped. */
void space_drop(struct fs *fs, struct space *space);
/* Drop the spaces that no tree is in and whose maker is gone. */
void spaces_sweep(struct fs *fs);

/* Change the table and publish it; on an error nothing has changed. */
int space_add(struct space *space, const struct entry *entry);
int space_remove(struct space *space, const char *path);
/* A translator runs in this space: SPACE_HAS_NODES from now on. */
void space_mark_nodes(struct space *space);
/* A virtual directory's descriptor is about to be handed out, and descriptors travel. */
void spaces_mark_placeholders(struct fs *fs);

/* A record was made or taken away: what the shims remember of ways may lead elsewhere now. */
void spaces_count_change(struct fs *fs);

/* Whether `space` is `ancestor` or was copied from it, directly or not. */
bool space_descends(const struct fs *fs, uint64_t space, uint64_t ancestor);

#endif
