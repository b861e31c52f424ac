/* Every message comes in here: to be run now, or to wait until the translator is ready. */
#include <errno.h>
#include <stdlib.h>

#include "translators/lib/library.h"

static const struct rpc_operation operations[] = {
    {HIRSEL__NODE_OPERATION__NODE_STAT, &hirsel__node_request__descriptor, serve_stat},
    {HIRSEL__NODE_OPERATION__NODE_OPEN, &hirsel__node_request__descriptor, serve_open},
    {HIRSEL__NODE_OPERATION__NODE_READLINK, &hirsel__node_request__descriptor, serve_readlink},
    {HIRSEL__NODE_OPERATION__NODE_LIST, &hirsel__node_request__descriptor, serve_list},
    {HIRSEL__NODE_OPERATION__NODE_CHANGE, &hirsel__node_request__descriptor, serve_change},
    {HIRSEL__NODE_OPERATION__NODE_ACCESS, &hirsel__node_request__descriptor, serve_access},
    {HIRSEL__NODE_OPERATION__NODE_OPTIONS, &hirsel__node_request__descriptor, serve_options},
    {HIRSEL__NODE_OPERATION__NODE_GO_AWAY, &hirsel__node_request__descriptor, serve_go_away},
    {HIRSEL__NODE_OPERATION__NODE_FILESYSTEM, &hirsel__node_request__descriptor, serve_filesystem},
    {0, NULL, NULL},
};

static void held_cancelled(struct reply *reply, void *context)
{
    struct held *held = context;

    TAILQ_REMOVE(&library.held, held, entry);
    msg_release(&held->message);
    free(held);
    reply_error(reply, ECANCELED);
}

static void message_hold(struct msg *message, struct reply *reply)
{
    struct held *held = calloc(1, sizeof(*held));

    if (!held) {
        reply_error(reply, ENOMEM);
        return;
    }
    msg_keep(message, &held->message);
    held->reply = reply;
    TAILQ_INSERT_TAIL(&library.held, held, entry);
    reply_on_cancel(reply, held_cancelled, held);
}

/* Whether an operation is about the translator and not about what it shows. */
static bool operation_is_control(uint32_t operation)
{
    return operation == HIRSEL__NODE_OPERATION__NODE_OPTIONS ||
           operation == HIRSEL__NODE_OPERATION__NODE_GO_AWAY;
}

void library_serve(struct port *port, struct msg *message, struct reply *reply, void *context)
{
    bool control = operation_is_control(message->operation);

    (void)context;
    /* Nothing is told by notice. */
    if (!reply)
        return;
    if (library.holding && !control)
        message_hold(message, reply);
    else if (library.broken != 0 && !control)
        reply_error(reply, library.broken);
    else
        rpc_dispatch(operations, port, message, reply, &library);
}

void translator_hold(void)
{
    library.holding = true;
}

void translator_ready(int error)
{
    struct held *held;

    library.holding = false;
    library.broken = error;
    while ((held = TAILQ_FIRST(&library.held))) {
        TAILQ_REMOVE(&library.held, held, entry);
        reply_on_cancel(held->reply, NULL, NULL);
        library_serve(reply_port(held->reply), &held->message, held->reply, NULL);
        msg_release(&held->message);
        free(held);
    }
}
