/* The writer's side of shim/core/space.h: a name space's table in shared memory. */
#ifndef HIRSEL_FS_TABLE_H
#define HIRSEL_FS_TABLE_H

#include "servers/fs/entry.h"
#include "shim/core/space.h"

struct table {
    int descriptor;
    struct space_header *header; /* the whole file, mapped shared */
};

/* Make the file `path` (which must not exist), with `entries` published. `net` (may be NULL) is
 * copied in. */
int table_create(const char *path, uint64_t id, const struct entries *entries,
                 const struct space_net *net, struct table *table);

/* Map an existing one and read its entries. EBADMSG: it is damaged. */
int table_open(const char *path, uint64_t id, struct table *table, struct entries *entries);

/* Publish `entries`. On an error (ENOSPC: too many; or a full disk) the old snapshot stays. */
int table_publish(struct table *table, const struct entries *entries);

/* The active snapshot as entries; EBADMSG: damaged. */
int table_read(const struct table *table, struct entries *entries);

struct space_net *table_net(const struct table *table);
void table_close(struct table *table);

#endif
