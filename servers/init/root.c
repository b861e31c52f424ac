/* Process trees: their roots, watched until they end. */
#include "servers/init/init.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "servers/lib/process.h"
#include "servers/lib/server.h"

#define ROOTS_MAX 4096
#define POLICY_MAX 32768
#define SERVERS_TIMEOUT_MS 3000

/* An INIT_TREE_OPEN that is answered when every server knows of the tree: until then the root must
 * not start anything, or fs would take its children for strangers. */
struct opening {
    struct reply *reply;
    unsigned pending;
};

static Hirsel__InitTree tree_message(const struct root *root)
{
    Hirsel__InitTree tree = HIRSEL__INIT_TREE__INIT;

    tree.pid = (uint32_t)root->pid;
    tree.start_time = root->start_time;
    tree.space = root->space;
    tree.confined = root->policy != NULL;
    tree.policy.data = root->policy;
    tree.policy.len = root->policy_length;
    return tree;
}

struct root *root_find(struct init *init, pid_t pid)
{
    struct root *root = init->roots;

    while (root != NULL && root->pid != pid)
        root = root->next;
    return root;
}

static void root_close(struct root *root)
{
    struct init *init = root->init;
    struct root **link = &init->roots;

    while (*link != root)
        link = &(*link)->next;
    *link = root->next;
    init->root_count--;
    confinement_leave(init, root);
    ev_io_stop(init->loop, &root->watcher);
    close(root->pidfd);
    free(root->policy);
    free(root);
}

const struct root *root_confining(const struct init *init, pid_t pid)
{
    const struct root *confined = init->roots;

    while (confined != NULL && confined->policy == NULL)
        confined = confined->next;
    if (confined == NULL)
        return NULL;
    for (int depth = 0; depth < PROCESS_DEPTH_MAX && pid > 1; depth++) {
        pid_t parent;
        const struct root *root = init->roots;

        if (process_stat(pid, &parent, NULL) != 0)
            return confined;
        while (root != NULL && root->pid != parent)
            root = root->next;
        if (root != NULL && root->policy != NULL)
            return root;
        pid = parent;
    }
    return NULL;
}

/* 0, or an errno: from within a confined tree another one may be opened, with the same confinement
 * and the same name space. */
static int root_confine(struct root *root, const struct root *outer, const Hirsel__InitTree *wanted)
{
    const uint8_t *policy = outer != NULL ? outer->policy : wanted->policy.data;
    size_t length = outer != NULL ? outer->policy_length : wanted->policy.len;

    if (outer != NULL && outer->space != wanted->space)
        return EPERM;
    if (length > POLICY_MAX)
        return EMSGSIZE;
    if (length == 0)
        return 0;
    root->policy = malloc(length);
    if (root->policy == NULL)
        return ENOMEM;
    memcpy(root->policy, policy, length);
    root->policy_length = length;
    root->best_effort = outer != NULL ? outer->best_effort : wanted->best_effort;
    return 0;
}

static void root_ended(struct ev_loop *loop, ev_io *watcher, int events)
{
    struct root *root = watcher->data;
    struct init *init = root->init;
    Hirsel__InitTree tree = tree_message(root);
    bool was_once = init->once && root->pid == init->once_root;

    (void)loop;
    (void)events;
    /* It goes with the root; and nobody needs it any more. */
    tree.policy = (ProtobufCBinaryData){0};
    root_close(root);
    for (int i = 0; i < SLOT_COUNT; i++)
        if (init->slots[i].control != NULL)
            rpc_notice(init->slots[i].control, HIRSEL__INIT_OPERATION__INIT_TREE_REMOVED,
                       &tree.base);
    if (init->phase != STOP_NOT)
        stop_advance(init);
    else if (was_once)
        stop_begin(init, 0, NULL);
}

static void opening_settle(struct opening *opening)
{
    if (--opening->pending > 0)
        return;
    rpc_reply(opening->reply, NULL, NULL, 0);
    free(opening);
}

static void server_told(int error, ProtobufCMessage *answer, struct msg *raw, void *context)
{
    (void)error; /* a server that died asks for all trees when it is back */
    (void)answer;
    (void)raw;
    opening_settle(context);
}

static void servers_tell(struct init *init, const struct root *root, struct opening *opening)
{
    Hirsel__InitTree tree = tree_message(root);

    opening->pending = 1;
    for (int i = 0; i < SLOT_COUNT; i++) {
        struct call *call;

        if (init->slots[i].control == NULL)
            continue;
        opening->pending++;
        if (rpc_call_start(init->slots[i].control, HIRSEL__INIT_OPERATION__INIT_TREE_ADDED,
                           &tree.base, NULL, 0, NULL, SERVERS_TIMEOUT_MS, server_told, opening,
                           &call) != 0)
            opening->pending--;
    }
    opening_settle(opening);
}

void root_open(struct init *init, pid_t pid, const Hirsel__InitTree *wanted, struct reply *reply)
{
    struct root *root = NULL;
    struct opening *opening = NULL;
    int error = 0;

    if (init->phase != STOP_NOT)
        error = ESHUTDOWN;
    else if (root_find(init, pid) != NULL)
        error = EEXIST;
    else if (init->root_count >= ROOTS_MAX)
        error = EAGAIN;
    if (error != 0)
        goto refuse;
    root = calloc(1, sizeof *root);
    opening = calloc(1, sizeof *opening);
    error = ENOMEM;
    if (root == NULL || opening == NULL)
        goto refuse;
    root->init = init;
    root->pid = pid;
    root->space = wanted->space;
    error = root_confine(root, root_confining(init, pid), wanted);
    if (error != 0)
        goto refuse;
    root->pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    if (root->pidfd < 0) {
        error = errno;
        goto refuse;
    }
    error = process_stat(pid, NULL, &root->start_time);
    if (error != 0) {
        close(root->pidfd);
        goto refuse;
    }
    ev_io_init(&root->watcher, root_ended, root->pidfd, EV_READ);
    root->watcher.data = root;
    ev_io_start(init->loop, &root->watcher);
    root->next = init->roots;
    init->roots = root;
    init->root_count++;
    error = confinement_add(init, root);
    if (error != 0) {
        root_close(root);
        free(opening);
        reply_error(reply, error);
        return;
    }
    if (init->once_root == 0) {
        init->once_root = pid;
        lease_end(init);
    }
    libc_look_for(init, wanted->space);
    opening->reply = reply;
    servers_tell(init, root, opening);
    return;
refuse:
    if (root != NULL)
        free(root->policy);
    free(root);
    free(opening);
    reply_error(reply, error);
}

void roots_close(struct init *init)
{
    while (init->roots != NULL)
        root_close(init->roots);
}
