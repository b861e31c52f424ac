/* Name spaces made and dropped by request. */
#include <errno.h>
#include <unistd.h>

#include "servers/fs/fs.h"

static void space_answer(struct reply *reply, int error, uint64_t id)
{
    Hirsel__FsSpace space = HIRSEL__FS_SPACE__INIT;

    space.space = id;
    if (error)
        reply_error(reply, error);
    else
        rpc_reply(reply, &space.base, NULL, 0);
}

/* The network of a new space: as its origin's, or narrower. What is wider, or needs a slice of the
 * loopback, is net's to grant afterwards; until then there is none. */
static int network_choose(const struct asker *asker, uint32_t wanted, const struct space *origin,
                          struct space_net *net)
{
    *net = *table_net(&origin->table);
    if (wanted == 255 || wanted == net->mode)
        return 0;
    if (wanted > SPACE_NET_PRIVATE)
        return EINVAL;
    /* Outside every tree it is the user. */
    if (wanted == SPACE_NET_HOST && (asker->in_tree || asker->guarded))
        return EPERM;
    net->mode = wanted == SPACE_NET_HOST ? SPACE_NET_HOST : SPACE_NET_NONE;
    net->slice = 0;
    return 0;
}

void space_request_make(struct port *port, ProtobufCMessage *request, struct msg *raw,
                        struct reply *reply, void *context)
{
    const Hirsel__FsSpaceMake *wanted = (const Hirsel__FsSpaceMake *)request;
    const struct asker *asker = asker_of(port);
    struct fs *fs = fs_of(context);
    struct space *origin, *made;
    struct space_net net;
    struct once once;
    int error = asker_choose(fs, asker, wanted->origin, &origin);

    /* Its name space is what a confined program is known by. */
    if (!error && policy_of(fs, asker))
        error = EPERM;
    if (error || once_ended(&once, &fs->journal, raw, &error)) {
        space_answer(reply, error, error ? 0 : once.value);
        return;
    }
    spaces_sweep(&fs->names);
    once_begin(&once, once.repeat ? once.value : journal_next(&fs->journal, JOURNAL_SPACES));
    error = network_choose(asker, wanted->network, origin, &net);
    if (!error)
        error = space_make(&fs->names, once.value, origin, &net, asker->pid, &made);
    once_end(&once, error);
    space_answer(reply, error, once.value);
}

void space_request_drop(struct port *port, ProtobufCMessage *request, struct msg *raw,
                        struct reply *reply, void *context)
{
    const Hirsel__FsSpace *wanted = (const Hirsel__FsSpace *)request;
    struct fs *fs = fs_of(context);
    struct space *space = space_find(&fs->names, wanted->space);

    (void)raw;
    /* init's alone: a name space lasts as long as its trees. */
    if (port_peer(port).pid != getppid()) {
        reply_error(reply, EPERM);
        return;
    }
    if (space)
        space_drop(&fs->names, space);
    rpc_reply(reply, NULL, NULL, 0);
}
