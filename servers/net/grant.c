#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "servers/lib/process.h"
#include "servers/net/net.h"

/* How much a mode holds back. */
static int narrowness(uint32_t mode)
{
    switch (mode) {
    case SPACE_NET_HOST:
        return 0;
    case SPACE_NET_PRIVATE:
        return 1;
    default:
        return 2;
    }
}

/* Translators are init's descendants below no tree's root. They serve a space; they are not its
 * user. */
static bool is_translator(const struct net *net, pid_t pid)
{
    return process_is_below(pid, port_peer(net->server->control).pid);
}

uint64_t space_of(const struct net *net, pid_t pid)
{
    const struct tree *tree = tree_of_asker(net->server, pid);

    return tree == NULL ? 0 : tree->space;
}

static int grant_allowed(const struct net *net, pid_t caller, uint64_t space, uint32_t mode)
{
    const struct tree *tree = tree_of_asker(net->server, caller);
    struct space_net own;
    int error;

    if (net->server->control == NULL)
        return ECONNRESET;
    /* Outside every tree it is the user: the session is theirs. */
    if (tree == NULL)
        return is_translator(net, caller) ? EPERM : 0;
    if (tree->confined || !space_descends(net, space, tree->space))
        return EPERM;
    error = space_read(net, tree->space, &own);
    if (error != 0)
        return error;
    return narrowness(mode) < narrowness(own.mode) ? EPERM : 0;
}

/* Whether a space has its slice from the space that it was copied from. */
static bool slice_is_inherited(const struct net *net, uint64_t space, uint32_t slice)
{
    uint64_t origin;
    struct space_net row;

    return space_origin(net, space, &origin) == 0 && space_read(net, origin, &row) == 0 &&
           row.mode == SPACE_NET_PRIVATE && row.slice == slice;
}

static int grant_private(struct net *net, uint64_t space, struct space_net *row)
{
    struct slice *slice;
    int error;

    /* Asked for again, by a caller who missed the answer. */
    if (row->mode == SPACE_NET_PRIVATE && slice_find(net, row->slice) != NULL &&
        !slice_is_inherited(net, space, row->slice))
        return 0;
    error = slice_claim(net, &slice);
    if (error != 0) {
        log_line("no slice of 127/8 for space %" PRIu64 ": %s", space, strerror(error));
        return error;
    }
    *row = (struct space_net){SPACE_NET_PRIVATE, slice->address};
    /* The table before init's duplicate: a table without a holder is found at the next start, a
     * holder without a table would never be. */
    error = space_write(net, space, row);
    if (error == 0)
        error = slice_keep(net, slice);
    if (error != 0)
        log_line("space %" PRIu64 " gets no private network: %s", space, strerror(error));
    return error;
}

int grant(struct net *net, pid_t caller, uint64_t space, uint32_t mode, struct space_net *row)
{
    struct space_net before;
    int error;

    if (mode != SPACE_NET_HOST && mode != SPACE_NET_NONE && mode != SPACE_NET_PRIVATE)
        return EINVAL;
    error = space_read(net, space, row);
    if (error != 0)
        return error;
    error = grant_allowed(net, caller, space, mode);
    if (error != 0) {
        log_line("process %d may not set the network of space %" PRIu64 ": %s", (int)caller, space,
                 strerror(error));
        return error;
    }
    before = *row;
    if (mode == SPACE_NET_PRIVATE) {
        error = grant_private(net, space, row);
        if (error != 0)
            space_write(net, space, &before);
    } else if (row->mode != mode) {
        *row = (struct space_net){mode, 0};
        error = space_write(net, space, row);
    }
    slices_sweep(net);
    return error;
}
