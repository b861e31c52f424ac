/* net: which network a name space's programs have. It writes that into the space's table, and
 * holds the slices of 127/8 that private networks live in. After that the data path, and the
 * mapping of names (shim/core/net.h), are the programs' own. */
#ifndef HIRSEL_NET_SERVER_H
#define HIRSEL_NET_SERVER_H

#include <ev.h>

#include "servers/lib/server.h"
#include "shim/core/net_name.h"
#include "shim/core/space.h"

/* A slice that this session holds. The kernel is the register of all sessions' and users' slices:
 * the holder is bound to a name in the slice. init keeps a duplicate, so that the slice stays ours
 * while net is started again. */
struct slice {
    struct slice *next;
    uint32_t address;
    int holder;
};

struct net {
    struct server *server;
    struct slice *slices;
    struct ev_timer sweep;
};

/* ---- space.c: what a space's files say ---- */

/* 0, ENOENT where there is no such space, EBADMSG where its table is none. */
int space_read(const struct net *net, uint64_t id, struct space_net *row);
int space_write(const struct net *net, uint64_t id, const struct space_net *row);
/* The space that `id` was copied from. ENOENT for the default one. */
int space_origin(const struct net *net, uint64_t id, uint64_t *origin);
/* Whether `id` is `ancestor` or was copied from it, directly or not. */
bool space_descends(const struct net *net, uint64_t id, uint64_t ancestor);
/* All spaces' ids, ascending; *ids is to be freed. */
int space_list(const struct net *net, uint64_t **ids, size_t *count);

/* ---- slice.c ---- */

struct slice *slice_find(const struct net *net, uint32_t address);
/* Take a slice that nobody has. ENOSPC: there is none. */
int slice_claim(struct net *net, struct slice **slice);
/* Give it to init to keep. */
int slice_keep(struct net *net, const struct slice *slice);
/* Take back the slices that the spaces' tables name. */
int slices_load(struct net *net);
/* Release those that no table names. */
void slices_sweep(struct net *net);

/* ---- grant.c ---- */

/* Set the mode of `space` for the process `caller`. EPERM where it has no say. */
int grant(struct net *net, pid_t caller, uint64_t space, uint32_t mode, struct space_net *row);
/* The space of a process by descent. */
uint64_t space_of(const struct net *net, pid_t pid);

#endif
