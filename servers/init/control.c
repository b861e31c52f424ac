/* What servers ask on their control channels. */
#include "servers/init/init.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proto/trap.pb-c.h"
#include "servers/lib/server.h"

static void ready(struct port *port, ProtobufCMessage *request, struct msg *raw,
                  struct reply *reply, void *context)
{
    struct slot *slot = context;

    (void)port;
    (void)request;
    (void)raw;
    slot->ready = true;
    slot->once_ready = true;
    if (slot->restarts > 0)
        log_line("%s is back as %d", slot->name, slot->child.pid);
    if (slot == &slot->init->slots[SLOT_TRAP])
        trapped_serve(slot->init);
    if (slots_ready(slot->init))
        starter_tell(slot->init, NULL);
    if (reply != NULL)
        reply_error(reply, 0);
}

/* Translators are the business of fs. */
static bool is_fs(const struct slot *slot)
{
    return slot == &slot->init->slots[SLOT_FS];
}

static void spawn(struct port *port, ProtobufCMessage *request, struct msg *raw,
                  struct reply *reply, void *context)
{
    struct slot *slot = context;
    int directory = raw->descriptor_count > 0 ? msg_take(raw, 0) : -1;

    (void)port;
    if (reply == NULL) {
        if (directory >= 0)
            close(directory);
        return;
    }
    if (!is_fs(slot)) {
        if (directory >= 0)
            close(directory);
        reply_error(reply, EPERM);
        return;
    }
    translator_spawn(slot, (const Hirsel__InitSpawn *)request, directory, reply);
    if (directory >= 0)
        close(directory);
}

static void answer(struct reply *reply, int error)
{
    if (reply != NULL)
        reply_error(reply, error);
}

static void kill_translator(struct port *port, ProtobufCMessage *request, struct msg *raw,
                            struct reply *reply, void *context)
{
    struct slot *slot = context;
    const Hirsel__InitKill *wanted = (const Hirsel__InitKill *)request;

    (void)port;
    (void)raw;
    answer(reply, !is_fs(slot) ? EPERM
                  : wanted->signal > 64u
                      ? EINVAL
                      : translator_signal(slot->init, wanted->translator, (int)wanted->signal));
}

static void forget_translator(struct port *port, ProtobufCMessage *request, struct msg *raw,
                              struct reply *reply, void *context)
{
    struct slot *slot = context;
    const Hirsel__InitKill *wanted = (const Hirsel__InitKill *)request;

    (void)port;
    (void)raw;
    answer(reply, !is_fs(slot) ? EPERM : translator_forget(slot->init, wanted->translator));
}

static void trees(struct port *port, ProtobufCMessage *request, struct msg *raw,
                  struct reply *reply, void *context)
{
    struct slot *slot = context;
    struct init *init = slot->init;
    Hirsel__InitTrees list = HIRSEL__INIT_TREES__INIT;
    Hirsel__InitTree *items;
    Hirsel__InitTree **pointers;

    (void)port;
    (void)request;
    (void)raw;
    if (reply == NULL)
        return;
    items = calloc(init->root_count + 1, sizeof *items);
    pointers = calloc(init->root_count + 1, sizeof(Hirsel__InitTree *));
    if (items == NULL || pointers == NULL) {
        reply_error(reply, ENOMEM);
        goto out;
    }
    for (struct root *root = init->roots; root != NULL; root = root->next) {
        Hirsel__InitTree *item = &items[list.n_trees];

        hirsel__init_tree__init(item);
        item->pid = (uint32_t)root->pid;
        item->start_time = root->start_time;
        item->space = root->space;
        item->confined = root->policy != NULL;
        item->policy.data = root->policy;
        item->policy.len = root->policy_length;
        pointers[list.n_trees++] = item;
    }
    list.trees = pointers;
    rpc_reply(reply, &list.base, NULL, 0);
out:
    free(items);
    free(pointers);
}

static void keep(struct port *port, ProtobufCMessage *request, struct msg *raw, struct reply *reply,
                 void *context)
{
    struct slot *slot = context;
    const Hirsel__InitKeep *wanted = (const Hirsel__InitKeep *)request;

    (void)port;
    answer(reply, kept_put(slot->init, slot, wanted->name,
                           raw->descriptor_count > 0 ? msg_take(raw, 0) : -1));
}

static void kept(struct port *port, ProtobufCMessage *request, struct msg *raw, struct reply *reply,
                 void *context)
{
    struct slot *slot = context;
    const Hirsel__InitKeep *wanted = (const Hirsel__InitKeep *)request;
    int descriptor = kept_get(slot->init, slot, wanted->name);

    (void)port;
    (void)raw;
    if (reply == NULL)
        return;
    if (descriptor < 0)
        reply_error(reply, ENOENT);
    else
        rpc_reply(reply, NULL, &descriptor, 1);
}

static void trap_ended(struct port *port, ProtobufCMessage *request, struct msg *raw,
                       struct reply *reply, void *context)
{
    struct slot *slot = context;
    bool is_trap = slot == &slot->init->slots[SLOT_TRAP];

    (void)port;
    (void)raw;
    if (is_trap)
        trapped_end(slot->init, ((const Hirsel__TrapEnded *)request)->id);
    answer(reply, is_trap ? 0 : EPERM);
}

static void look_copy(struct port *port, ProtobufCMessage *request, struct msg *raw,
                      struct reply *reply, void *context)
{
    struct slot *slot = context;

    (void)port;
    (void)request;
    (void)raw;
    libc_look(slot->init);
    answer(reply, 0);
}

static void status(struct port *port, ProtobufCMessage *request, struct msg *raw,
                   struct reply *reply, void *context)
{
    struct slot *slot = context;

    (void)port;
    (void)request;
    (void)raw;
    if (reply != NULL)
        status_answer(slot->init, reply);
}

static const struct rpc_operation operations[] = {
    {HIRSEL__INIT_OPERATION__INIT_READY, NULL, ready},
    {HIRSEL__INIT_OPERATION__INIT_SPAWN, &hirsel__init_spawn__descriptor, spawn},
    {HIRSEL__INIT_OPERATION__INIT_KILL, &hirsel__init_kill__descriptor, kill_translator},
    {HIRSEL__INIT_OPERATION__INIT_FORGET, &hirsel__init_kill__descriptor, forget_translator},
    {HIRSEL__INIT_OPERATION__INIT_TREES, NULL, trees},
    {HIRSEL__INIT_OPERATION__INIT_KEEP, &hirsel__init_keep__descriptor, keep},
    {HIRSEL__INIT_OPERATION__INIT_KEPT, &hirsel__init_keep__descriptor, kept},
    {HIRSEL__INIT_OPERATION__INIT_COPY, NULL, look_copy},
    {HIRSEL__TRAP_OPERATION__TRAP_ENDED, &hirsel__trap_ended__descriptor, trap_ended},
    {HIRSEL__INIT_OPERATION__INIT_STATUS, NULL, status},
    {0, NULL, NULL},
};

void control_message(struct port *port, struct msg *message, struct reply *reply, void *context)
{
    rpc_dispatch(operations, port, message, reply, context);
}
