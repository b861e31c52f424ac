/* What is asked on the session's socket `init`, by hirsel(1) and whoever else the user runs. */
#include "servers/init/init.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "servers/lib/server.h"

/* All that may be asked here is short; init takes no long message apart. */
#define BODY_MAX 65536
#define GRACE_MAX_MS 600000u
#define GRACE_DEFAULT_MS 2000

static void server_describe(Hirsel__InitServer *server, const char *name, pid_t pid,
                            unsigned restarts, uint64_t translator)
{
    hirsel__init_server__init(server);
    server->name = (char *)name;
    server->pid = (uint32_t)pid;
    server->restarts = restarts;
    server->translator = translator;
}

static size_t servers_describe(struct init *init, Hirsel__InitServer *servers)
{
    size_t count = 0;

    server_describe(&servers[count++], "init", getpid(), 0, 0);
    for (int i = 0; i < SLOT_COUNT; i++) {
        const struct slot *slot = &init->slots[i];

        if (!slot->missing && (!slot->lazy || slot->wanted))
            server_describe(&servers[count++], slot->name, slot->child.pid, slot->restarts, 0);
    }
    for (struct translator *translator = init->translators; translator != NULL;
         translator = translator->next)
        if (translator->child.pid > 0)
            server_describe(&servers[count++], translator->name, translator->child.pid, 0,
                            translator->id);
    return count;
}

static size_t trees_describe(struct init *init, Hirsel__InitTree *trees)
{
    size_t count = 0;

    for (struct root *root = init->roots; root != NULL; root = root->next) {
        hirsel__init_tree__init(&trees[count]);
        trees[count].pid = (uint32_t)root->pid;
        trees[count].start_time = root->start_time;
        trees[count].space = root->space;
        count++;
    }
    return count;
}

/* What does not hold in the session, and in which of its trees. */
static void incomplete_describe(const struct init *init, char *text, size_t size)
{
    unsigned count = 0;

    for (const struct root *root = init->roots; root != NULL; root = root->next)
        count += root->untrapped;
    if (count == 0)
        snprintf(text, size, "%s", init->incomplete);
    else
        snprintf(text, size,
                 "%s%sstatic programs and raw system calls are not retargeted in %u of %u process "
                 "trees, which run without the trap server",
                 init->incomplete, init->incomplete[0] != '\0' ? "; " : "", count,
                 init->root_count);
}

void status_answer(struct init *init, struct reply *reply)
{
    char incomplete[sizeof init->incomplete + 256];
    Hirsel__InitStatus status = HIRSEL__INIT_STATUS__INIT;
    size_t translators = 0;
    Hirsel__InitServer *servers;
    Hirsel__InitServer **server_list;
    Hirsel__InitTree *trees;
    Hirsel__InitTree **tree_list;

    for (struct translator *translator = init->translators; translator != NULL;
         translator = translator->next)
        translators++;
    servers = calloc(1 + SLOT_COUNT + translators, sizeof *servers);
    server_list = calloc(1 + SLOT_COUNT + translators, sizeof(Hirsel__InitServer *));
    trees = calloc(init->root_count + 1, sizeof *trees);
    tree_list = calloc(init->root_count + 1, sizeof(Hirsel__InitTree *));
    if (servers == NULL || server_list == NULL || trees == NULL || tree_list == NULL) {
        reply_error(reply, ENOMEM);
        goto out;
    }
    status.n_servers = servers_describe(init, servers);
    for (size_t i = 0; i < status.n_servers; i++)
        server_list[i] = &servers[i];
    status.servers = server_list;
    status.n_trees = trees_describe(init, trees);
    for (size_t i = 0; i < status.n_trees; i++)
        tree_list[i] = &trees[i];
    status.trees = tree_list;
    status.name.data = (uint8_t *)init->name;
    status.name.len = strlen(init->name);
    status.directory.data = (uint8_t *)init->directory;
    status.directory.len = strlen(init->directory);
    status.pid = (uint32_t)getpid();
    status.started_seconds = init->started;
    incomplete_describe(init, incomplete, sizeof incomplete);
    status.incomplete = incomplete;
    rpc_reply(reply, &status.base, NULL, 0);
out:
    free(servers);
    free(server_list);
    free(trees);
    free(tree_list);
}

static void status(struct port *port, ProtobufCMessage *request, struct msg *raw,
                   struct reply *reply, void *context)
{
    (void)port;
    (void)request;
    (void)raw;
    if (reply != NULL)
        status_answer(context, reply);
}

static void stop(struct port *port, ProtobufCMessage *request, struct msg *raw, struct reply *reply,
                 void *context)
{
    uint32_t grace = ((const Hirsel__InitStop *)request)->grace_ms;

    (void)raw;
    if (root_confining(context, port_peer(port).pid) != NULL) {
        log_line("process %d is confined: it may not end the session", port_peer(port).pid);
        if (reply != NULL)
            reply_error(reply, EPERM);
        return;
    }
    log_line("process %d ends the session", port_peer(port).pid);
    stop_begin(context,
               grace == 0             ? GRACE_DEFAULT_MS
               : grace > GRACE_MAX_MS ? GRACE_MAX_MS
                                      : grace,
               reply);
}

static void tree_open(struct port *port, ProtobufCMessage *request, struct msg *raw,
                      struct reply *reply, void *context)
{
    (void)raw;
    if (reply == NULL)
        return;
    /* Remembered with the connection: see tree_report. */
    port_set_context(port, context);
    root_open(context, port_peer(port).pid, (const Hirsel__InitTree *)request, reply);
}

/* The command of a tree ended: proc writes it down. Only the tree's own root is believed; it may be
 * gone by the time that its last word is read. */
static void tree_report(struct port *port, ProtobufCMessage *request, struct msg *raw,
                        struct reply *reply, void *context)
{
    struct init *init = context;
    struct port *proc = init->slots[SLOT_PROC].control;
    bool is_root = port_context(port) == init;

    (void)raw;
    if (is_root && proc != NULL)
        rpc_notice(proc, HIRSEL__INIT_OPERATION__INIT_CHILD_ENDED, request);
    if (reply != NULL)
        reply_error(reply, is_root ? 0 : ESRCH);
    if (is_root && init->once && port_peer(port).pid == init->once_root && init->phase == STOP_NOT)
        stop_begin(init, GRACE_DEFAULT_MS, NULL);
}

/* Only the root of a tree speaks for it. */
static void tree_listener(struct port *port, ProtobufCMessage *request, struct msg *raw,
                          struct reply *reply, void *context)
{
    struct init *init = context;
    const Hirsel__InitListener *told = (const Hirsel__InitListener *)request;
    struct root *root = root_find(init, port_peer(port).pid);

    if (reply == NULL)
        return;
    if (root == NULL || port_context(port) != init ||
        root_confining(init, port_peer(port).pid) != NULL) {
        reply_error(reply, ESRCH);
    } else if (raw->descriptor_count == 0) {
        struct confinement *confinement = confinement_find(init, root->space);

        root->untrapped = true;
        if (confinement != NULL)
            confinement->untrapped = true;
        log_line("the tree of %d runs without the trap server: %s", root->pid,
                 told->error == 0 ? "by its starter's wish" : strerror((int)told->error));
        reply_error(reply, 0);
    } else {
        trapped_add(init, root, raw, reply);
    }
}

static void launch(struct port *port, ProtobufCMessage *request, struct msg *raw,
                   struct reply *reply, void *context)
{
    if (reply == NULL)
        return;
    if (!launch_allowed(context, port_peer(port).pid)) {
        reply_error(reply, EPERM);
        return;
    }
    if (raw->descriptor_count != 1) {
        reply_error(reply, EINVAL);
        return;
    }
    launch_other(context, (const Hirsel__InitLaunch *)request, raw->descriptors[0], reply);
}

static void tree_beside(struct port *port, ProtobufCMessage *request, struct msg *raw,
                        struct reply *reply, void *context)
{
    int passed = msg_take(raw, 0);

    (void)request;
    if (reply != NULL)
        reply_error(reply,
                    passed < 0 ? EBADMSG : trapped_beside(context, port_peer(port).pid, passed));
    if (passed >= 0)
        close(passed);
}

static const struct rpc_operation operations[] = {
    {HIRSEL__INIT_OPERATION__INIT_LAUNCH, &hirsel__init_launch__descriptor, launch},
    {HIRSEL__INIT_OPERATION__INIT_STATUS, NULL, status},
    {HIRSEL__INIT_OPERATION__INIT_STOP, &hirsel__init_stop__descriptor, stop},
    {HIRSEL__INIT_OPERATION__INIT_TREE_OPEN, &hirsel__init_tree__descriptor, tree_open},
    {HIRSEL__INIT_OPERATION__INIT_LISTENER, &hirsel__init_listener__descriptor, tree_listener},
    {HIRSEL__INIT_OPERATION__INIT_TREE_REPORT, &hirsel__init_end__descriptor, tree_report},
    {HIRSEL__INIT_OPERATION__INIT_TREE_BESIDE, NULL, tree_beside},
    {0, NULL, NULL},
};

static void public_message(struct port *port, struct msg *message, struct reply *reply,
                           void *context)
{
    if (message->length > BODY_MAX) {
        log_line("process %d sent a message of %zu bytes; refused", port_peer(port).pid,
                 message->length);
        if (reply != NULL)
            reply_error(reply, EMSGSIZE);
        return;
    }
    rpc_dispatch(operations, port, message, reply, context);
}

static int public_arrival(struct port *port, uint64_t *space, void *context)
{
    (void)space;
    (void)context;
    return port_peer(port).uid == geteuid() ? 0 : EACCES;
}

int public_open(struct init *init)
{
    char path[PATH_MAX];
    int listening;
    int error = path_make(path, sizeof path, "%s/init", init->directory);

    if (error == 0)
        error = socket_listen(path, &listening);
    if (error == 0)
        error = port_listen(init->ports, listening, public_message, init, &init->listener);
    if (error == 0) {
        listener_on_arrival(init->listener, public_arrival, init);
        listener_on_drop(init->listener, log_drop, NULL);
    }
    return error;
}
