/* net(8): the networks of a session's name spaces. */
#include <errno.h>
#include <stdlib.h>

#include "fence/fence.h"
#include "proto/net.pb-c.h"
#include "servers/net/net.h"

/* fs drops a space a moment after its last tree has ended. */
#define SWEEP_SECONDS 0.5
#define SWEEP_AGAIN_SECONDS 5.0

static Hirsel__NetState state_of(uint64_t space, const struct space_net *row)
{
    Hirsel__NetState state = HIRSEL__NET_STATE__INIT;

    state.space = space;
    state.mode = row->mode;
    state.slice = row->mode == SPACE_NET_PRIVATE ? row->slice : 0;
    return state;
}

static uint64_t space_asked(const struct net *net, struct port *port, uint64_t space)
{
    return space == 0 ? space_of(net, port_peer(port).pid) : space;
}

static void run_status(struct port *port, ProtobufCMessage *request, struct msg *raw,
                       struct reply *reply, void *context)
{
    struct server *server = context;
    struct net *net = server->state;
    uint64_t space = space_asked(net, port, ((const Hirsel__NetSpace *)request)->space);
    struct space_net row;
    int error = space_read(net, space, &row);

    (void)raw;
    if (error != 0) {
        reply_error(reply, error);
        return;
    }
    Hirsel__NetState state = state_of(space, &row);
    rpc_reply(reply, &state.base, NULL, 0);
}

static void run_grant(struct port *port, ProtobufCMessage *request, struct msg *raw,
                      struct reply *reply, void *context)
{
    struct server *server = context;
    struct net *net = server->state;
    const Hirsel__NetSpace *asked = (const Hirsel__NetSpace *)request;
    uint64_t space = space_asked(net, port, asked->space);
    struct space_net row;
    int error = grant(net, port_peer(port).pid, space, asked->mode, &row);

    (void)raw;
    if (error != 0) {
        reply_error(reply, error);
        return;
    }
    Hirsel__NetState state = state_of(space, &row);
    rpc_reply(reply, &state.base, NULL, 0);
}

static void run_list(struct port *port, ProtobufCMessage *request, struct msg *raw,
                     struct reply *reply, void *context)
{
    struct server *server = context;
    struct net *net = server->state;
    Hirsel__NetStates states = HIRSEL__NET_STATES__INIT;
    Hirsel__NetState *rows = NULL;
    uint64_t *ids;
    size_t count;
    int error = space_list(net, &ids, &count);

    (void)port;
    (void)request;
    (void)raw;
    if (error == 0) {
        rows = calloc(count + 1, sizeof *rows);
        states.states = calloc(count + 1, sizeof *states.states);
        if (rows == NULL || states.states == NULL)
            error = ENOMEM;
    }
    if (error != 0) {
        reply_error(reply, error);
        goto out;
    }
    for (size_t i = 0; i < count; i++) {
        struct space_net row;
        if (space_read(net, ids[i], &row) != 0)
            continue; /* dropped meanwhile */
        rows[states.n_states] = state_of(ids[i], &row);
        states.states[states.n_states] = &rows[states.n_states];
        states.n_states++;
    }
    rpc_reply(reply, &states.base, NULL, 0);
out:
    free(rows);
    free(states.states);
    free(ids);
}

static void sweep_due(struct ev_loop *loop, struct ev_timer *timer, int events)
{
    struct net *net = timer->data;

    (void)loop;
    (void)events;
    slices_sweep(net);
    /* Once more while there is one that no tree uses: its space may just not be dropped yet. */
    for (const struct slice *slice = net->slices; slice != NULL; slice = slice->next) {
        const struct tree *trees;
        size_t count = tree_list(net->server, &trees);
        struct space_net row;
        bool used = space_read(net, 0, &row) == 0 && row.slice == slice->address;
        for (size_t i = 0; i < count && !used; i++)
            used = space_read(net, trees[i].space, &row) == 0 && row.slice == slice->address;
        if (!used) {
            timer->repeat = SWEEP_AGAIN_SECONDS;
            ev_timer_again(net->server->loop, timer);
            return;
        }
    }
    ev_timer_stop(net->server->loop, timer);
}

static void tree_gone(struct server *server, const struct tree *tree)
{
    struct net *net = server->state;

    (void)tree;
    if (net->slices == NULL)
        return;
    net->sweep.repeat = SWEEP_SECONDS;
    ev_timer_again(server->loop, &net->sweep);
}

static int start(struct server *server)
{
    struct net *net = server->state;

    net->server = server;
    ev_init(&net->sweep, sweep_due);
    net->sweep.data = net;
    tree_on_removed(server, tree_gone);
    return slices_load(net);
}

static const struct rpc_operation operations[] = {
    {HIRSEL__NET_OPERATION__NET_STATUS, &hirsel__net_space__descriptor, run_status},
    {HIRSEL__NET_OPERATION__NET_GRANT, &hirsel__net_space__descriptor, run_grant},
    {HIRSEL__NET_OPERATION__NET_LIST, NULL, run_list},
    {0, NULL, NULL},
};

int main(int argc, char **argv)
{
    struct net net = {0};
    struct server server = {
        .name = "net",
        .operations = operations,
        .start = start,
        .parts = NARROW_TCP_SOCKETS, /* a slice's holder */
        .holds = FENCE_HOLD_ALL & ~(unsigned)FENCE_HOLD_BIND,
        .state = &net,
    };

    return server_run(&server, argc, argv);
}
