/* Requests for nodes: checked, answered here where no translator is needed, else passed on. */
#include "servers/fs/node.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct leaving {
    struct stopper stopper;
    struct reply *reply;
};

static void left(struct stopper *stopper, int error)
{
    struct leaving *leaving = (struct leaving *)stopper;

    if (error)
        reply_error(leaving->reply, error);
    else
        rpc_reply(leaving->reply, NULL, NULL, 0);
    free(leaving);
}

static void go_away(struct translator *translator, bool force, struct reply *reply)
{
    struct leaving *leaving = calloc(1, sizeof(*leaving));

    if (!leaving) {
        reply_error(reply, ENOMEM);
        return;
    }
    leaving->stopper.force = force;
    leaving->stopper.stopped = left;
    leaving->reply = reply;
    life_stop(translator, &leaving->stopper);
}

static int request_check(const Hirsel__NodeRequest *request, uint32_t operation)
{
    int error = name_below(request->path.data, request->path.len);

    if (error || operation != HIRSEL__NODE_OPERATION__NODE_CHANGE)
        return error;
    if (request->change == HIRSEL__NODE_CHANGE__CHANGE_RENAME ||
        request->change == HIRSEL__NODE_CHANGE__CHANGE_LINK)
        return name_below(request->other.data, request->other.len);
    if (request->other.len >= NAME_PATH_SIZE)
        return ENAMETOOLONG;
    return request->other.len && memchr(request->other.data, '\0', request->other.len) ? EINVAL : 0;
}

void node_request(struct port *port, ProtobufCMessage *body, struct msg *raw, struct reply *reply,
                  void *context)
{
    Hirsel__NodeRequest *request = (Hirsel__NodeRequest *)body;
    struct fs *fs = fs_of(context);
    const struct asker *asker = asker_of(port);
    uint64_t space = asker_space_for(fs, asker, request->space);
    struct translator *translator = NULL;
    struct asking asking;
    bool self;
    int error;

    if (!reply)
        return;
    error = request_check(request, raw->operation);
    if (!error && request->translator)
        error = node_by_id(fs, space, request->translator, &translator);
    else if (!error && request->record)
        error = node_by_record(fs, space, request->record, &translator);
    else if (!error)
        error = EINVAL;
    self = !error && asker->guarded && asker->guarded == translator->pid;
    if (!error && !self)
        error = policy_check_node(policy_of_node_asker(fs, asker, space), translator, request,
                                  raw->operation);
    if (error) {
        reply_error(reply, error);
        return;
    }
    /* Its own process asks: what it waits for here it can't serve meanwhile. */
    if (self && node_answered_underlying(translator, request, raw->operation, reply))
        return;
    if ((translator->state != TRANSLATOR_RUNNING || self) &&
        node_answered_here(translator, request, raw->operation, reply))
        return;
    if (raw->operation == HIRSEL__NODE_OPERATION__NODE_GO_AWAY) {
        go_away(translator, request->flags & 1, reply);
        return;
    }
    if (raw->operation == HIRSEL__NODE_OPERATION__NODE_OPEN && translator->record.kind == 'd')
        spaces_mark_placeholders(&fs->names);
    asking =
        (struct asking){.space = space,
                        .guarded = asker->guarded,
                        .of_directory = raw->operation == HIRSEL__NODE_OPERATION__NODE_STAT &&
                                        request->path.len == 0 && translator->record.kind == 'd'};
    life_pass(translator, raw, reply, &asking);
}
