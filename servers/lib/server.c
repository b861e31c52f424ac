/* The life of a server between init's fork and its end. */
#include "servers/lib/frame.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "proto/init.pb-c.h"

#define DESCRIPTORS_WANTED 16384
/* What a server needs for itself, beside its connections. */
#define DESCRIPTORS_OWN 256
#define TREES_TIMEOUT_MS 5000

void server_raise_descriptors(struct rlimit *before)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return;
    if (before != NULL)
        *before = limit;
    if (limit.rlim_cur >= DESCRIPTORS_WANTED)
        return;
    limit.rlim_cur = limit.rlim_max < DESCRIPTORS_WANTED ? limit.rlim_max : DESCRIPTORS_WANTED;
    setrlimit(RLIMIT_NOFILE, &limit);
}

static unsigned connections_allowed(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur < 2 * DESCRIPTORS_OWN)
        return DESCRIPTORS_OWN / 2;
    return (unsigned)(limit.rlim_cur < DESCRIPTORS_WANTED ? limit.rlim_cur : DESCRIPTORS_WANTED) -
           DESCRIPTORS_OWN;
}

static struct tree tree_told(const Hirsel__InitTree *told)
{
    return (struct tree){.pid = (pid_t)told->pid,
                         .start_time = told->start_time,
                         .space = told->space,
                         .confined = told->confined,
                         .policy = told->policy.data,
                         .policy_length = told->policy.len};
}

static void tree_added(struct port *port, ProtobufCMessage *request, struct msg *raw,
                       struct reply *reply, void *context)
{
    const Hirsel__InitTree *tree = (const Hirsel__InitTree *)request;
    struct tree added = tree_told(tree);
    struct server *server = context;
    int error = tree_add(server, &added);

    (void)port;
    (void)raw;
    if (error != 0)
        log_line("a process tree is lost: %s", strerror(error));
    else if (server->frame->added != NULL)
        server->frame->added(server, &added);
    /* init tells the root of the tree to go on only when every server knows it. */
    if (reply != NULL)
        reply_error(reply, error);
}

static void tree_removed(struct port *port, ProtobufCMessage *request, struct msg *raw,
                         struct reply *reply, void *context)
{
    const Hirsel__InitTree *tree = (const Hirsel__InitTree *)request;

    (void)port;
    (void)raw;
    tree_remove(context, (pid_t)tree->pid, tree->start_time);
    if (reply != NULL)
        reply_error(reply, 0);
}

static const struct rpc_operation frame_operations[] = {
    {HIRSEL__INIT_OPERATION__INIT_TREE_ADDED, &hirsel__init_tree__descriptor, tree_added},
    {HIRSEL__INIT_OPERATION__INIT_TREE_REMOVED, &hirsel__init_tree__descriptor, tree_removed},
    {0, NULL, NULL},
};

static void control_message(struct port *port, struct msg *message, struct reply *reply,
                            void *context)
{
    struct server *server = context;
    const struct rpc_operation *table = frame_operations;

    if (message->operation != HIRSEL__INIT_OPERATION__INIT_TREE_ADDED &&
        message->operation != HIRSEL__INIT_OPERATION__INIT_TREE_REMOVED &&
        server->control_operations != NULL)
        table = server->control_operations;
    rpc_dispatch(table, port, message, reply, server);
}

static void control_hangup(struct port *port, int error, void *context)
{
    struct server *server = context;

    (void)port;
    (void)error;
    server->control = NULL;
    ev_break(server->loop, EVBREAK_ALL);
}

static void client_message(struct port *port, struct msg *message, struct reply *reply,
                           void *context)
{
    struct server *server = context;

    rpc_dispatch(server->operations, port, message, reply, server);
}

static int client_arrival(struct port *port, uint64_t *space, void *context)
{
    struct server *server = context;

    /* The directory is the user's own; root passes through every directory. */
    if (port_peer(port).uid != geteuid())
        return EACCES;
    return server->arrival == NULL ? 0 : server->arrival(port, space, server);
}

static void terminated(struct ev_loop *loop, ev_signal *watcher, int events)
{
    (void)watcher;
    (void)events;
    ev_break(loop, EVBREAK_ALL);
}

static int trees_fetch(struct server *server)
{
    ProtobufCMessage *answer = NULL;
    const Hirsel__InitTrees *trees;
    int error = rpc_call(server->control, HIRSEL__INIT_OPERATION__INIT_TREES, NULL, NULL, 0,
                         &hirsel__init_trees__descriptor, &answer, NULL, TREES_TIMEOUT_MS);

    if (error != 0)
        return error;
    trees = (const Hirsel__InitTrees *)answer;
    for (size_t i = 0; i < trees->n_trees && error == 0; i++) {
        struct tree tree = tree_told(trees->trees[i]);

        error = tree_add(server, &tree);
    }
    rpc_free(answer);
    return error;
}

/* From init's descriptors to a server that listens. */
static int server_open(struct server *server)
{
    int error;

    server->ports = port_set_new(server->loop);
    if (server->ports == NULL)
        return ENOMEM;
    port_set_limit(server->ports, 0, connections_allowed(), 0);
    error = port_adopt(server->ports, SERVER_CONTROL_DESCRIPTOR, true, &server->control);
    if (error != 0)
        return error;
    port_on_message(server->control, control_message, server);
    port_on_hangup(server->control, control_hangup, server);
    /* Before the first client is heard: who it is follows from the trees. */
    error = trees_fetch(server);
    if (error != 0)
        return error;
    if (server->start != NULL) {
        error = server->start(server);
        if (error != 0)
            return error;
    }
    error = server_fence(server);
    if (error != 0)
        log_line("runs without Landlock: %s", strerror(error));
    error = server_narrow(server->system_calls, server->parts);
    if (error != 0) {
        log_line("runs without its system call filter: %s", strerror(error));
    }
    error = port_listen(server->ports, SERVER_LISTEN_DESCRIPTOR, client_message, server,
                        &server->listener);
    if (error != 0)
        return error;
    listener_on_arrival(server->listener, client_arrival, server);
    listener_on_drop(server->listener, log_drop, NULL);
    return rpc_notice(server->control, HIRSEL__INIT_OPERATION__INIT_READY, NULL);
}

int server_run(struct server *server, int argc, char **argv)
{
    struct server_frame frame = {.status = EXIT_SUCCESS};
    int error;

    log_name(server->name);
    if (argc != 2 || argv[1][0] != '/') {
        log_line("is started by the session's init, not by hand");
        return EXIT_FAILURE;
    }
    server->frame = &frame;
    server->directory = argv[1];
    fcntl(SERVER_LISTEN_DESCRIPTOR, F_SETFD, FD_CLOEXEC);
    fcntl(SERVER_CONTROL_DESCRIPTOR, F_SETFD, FD_CLOEXEC);
    signal(SIGPIPE, SIG_IGN);
    server_raise_descriptors(NULL);
    server->loop = ev_loop_new(EVFLAG_AUTO);
    if (server->loop == NULL) {
        log_line("cannot start: no event loop");
        return EXIT_FAILURE;
    }
    ev_signal_init(&frame.terminate, terminated, SIGTERM);
    ev_signal_start(server->loop, &frame.terminate);
    error = server_open(server);
    if (error != 0) {
        log_line("cannot start: %s", strerror(error));
        frame.status = EXIT_FAILURE;
        goto out;
    }
    ev_run(server->loop, 0);
out:
    if (server->ports != NULL)
        port_set_free(server->ports);
    ev_signal_stop(server->loop, &frame.terminate);
    ev_loop_destroy(server->loop);
    trees_free(&frame);
    return frame.status;
}
