/* The listeners of filtered process trees. init holds each from its coming to its end, so that the
 * trap server loses none by being killed: a call that waits in the kernel waits on. */
#include "servers/init/init.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "proto/trap.pb-c.h"
#include "servers/lib/server.h"

enum { LISTENER, OPENER, JOURNAL };

#define TRAPPED_MAX 1024
/* In it the trap server's workers note what they have in hand; see servers/trap/journal.h. */
#define JOURNAL_SIZE 65536
#define SERVE_TIMEOUT_MS 20000

static void trapped_free(struct trapped *trapped)
{
    struct trapped **link = &trapped->init->trapped;

    while (*link != NULL && *link != trapped)
        link = &(*link)->next;
    if (*link != NULL) {
        *link = trapped->next;
        trapped->init->trapped_count--;
    }
    for (size_t i = 0; i < sizeof trapped->descriptors / sizeof trapped->descriptors[0]; i++)
        if (trapped->descriptors[i] >= 0)
            close(trapped->descriptors[i]);
    free(trapped->policy);
    free(trapped);
}

static void trapped_refuse_one(struct trapped *trapped, int error)
{
    if (!trapped->ended)
        log_line("the listener of the tree of %d is not served: %s", trapped->root,
                 strerror(error));
    reply_error(trapped->waiting, error);
    trapped_free(trapped);
}

static void trapped_served(int error, ProtobufCMessage *answer, struct msg *raw, void *context)
{
    struct trapped *trapped = context;

    (void)answer;
    (void)raw;
    trapped->call = NULL;
    if (trapped->ended) {
        trapped_refuse_one(trapped, ESRCH);
        return;
    }
    /* It hangs: programs that wait for it are better served by its next life. */
    if (error == ETIMEDOUT) {
        slot_kill(&trapped->init->slots[SLOT_TRAP]);
        return;
    }
    /* Killed in the middle: its next life is asked. */
    if (error == ECONNRESET || error == ECANCELED)
        return;
    if (error != 0) {
        trapped_refuse_one(trapped, error);
        return;
    }
    reply_error(trapped->waiting, 0);
    trapped->waiting = NULL;
}

static void trapped_serve_one(struct trapped *trapped)
{
    struct slot *slot = &trapped->init->slots[SLOT_TRAP];
    Hirsel__TrapServe serve = HIRSEL__TRAP_SERVE__INIT;
    int error;

    if (!slot->ready || slot->control == NULL || trapped->call != NULL)
        return;
    serve.id = trapped->id;
    serve.root_pid = (uint32_t)trapped->root;
    serve.space = trapped->space;
    serve.policy.data = trapped->policy;
    serve.policy.len = trapped->policy_length;
    error = rpc_call_start(slot->control, HIRSEL__TRAP_OPERATION__TRAP_SERVE, &serve.base,
                           trapped->descriptors, 3, NULL, SERVE_TIMEOUT_MS, trapped_served, trapped,
                           &trapped->call);
    /* A channel that broke: the server is ended for it, and the next one asked. */
    if (error != 0 && error != ENOTCONN && error != ECONNRESET && error != ENOBUFS)
        trapped_refuse_one(trapped, error);
}

void trapped_serve(struct init *init)
{
    struct trapped *next;

    for (struct trapped *trapped = init->trapped; trapped != NULL; trapped = next) {
        next = trapped->next;
        trapped_serve_one(trapped);
    }
}

void trapped_refuse(struct init *init, int error)
{
    struct trapped *next;

    for (struct trapped *trapped = init->trapped; trapped != NULL; trapped = next) {
        next = trapped->next;
        if (trapped->waiting != NULL && trapped->call == NULL)
            trapped_refuse_one(trapped, error);
    }
}

/* -1 with errno. */
static int journal_make(void)
{
    int journal = memfd_create("hirsel-trap-journal", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    int error;

    if (journal < 0)
        return -1;
    if (ftruncate(journal, JOURNAL_SIZE) == 0 &&
        fcntl(journal, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == 0)
        return journal;
    error = errno;
    close(journal);
    errno = error;
    return -1;
}

static int trapped_fill(struct trapped *trapped, const struct root *root, struct msg *raw)
{
    if (raw->descriptor_count != 2)
        return EINVAL;
    trapped->descriptors[LISTENER] = msg_take(raw, 0);
    trapped->descriptors[OPENER] = msg_take(raw, 1);
    trapped->descriptors[JOURNAL] = journal_make();
    if (trapped->descriptors[JOURNAL] < 0)
        return errno;
    trapped->root = root->pid;
    trapped->space = root->space;
    if (root->policy == NULL)
        return 0;
    /* The tree's last programs may outlive its root. */
    trapped->policy = malloc(root->policy_length);
    if (trapped->policy == NULL)
        return ENOMEM;
    memcpy(trapped->policy, root->policy, root->policy_length);
    trapped->policy_length = root->policy_length;
    return 0;
}

void trapped_add(struct init *init, const struct root *root, struct msg *raw, struct reply *reply)
{
    struct slot *slot = &init->slots[SLOT_TRAP];
    struct trapped *trapped;
    int error = 0;

    if (init->phase != STOP_NOT)
        error = ESHUTDOWN;
    else if (slot->missing)
        error = ENOENT;
    else if (init->trapped_count >= TRAPPED_MAX)
        error = EAGAIN;
    trapped = error == 0 ? calloc(1, sizeof *trapped) : NULL;
    if (trapped == NULL) {
        reply_error(reply, error != 0 ? error : ENOMEM);
        return;
    }
    *trapped =
        (struct trapped){.init = init, .id = ++init->trapped_last, .descriptors = {-1, -1, -1}};
    error = trapped_fill(trapped, root, raw);
    if (error != 0) {
        trapped_free(trapped);
        reply_error(reply, error);
        return;
    }
    trapped->waiting = reply;
    trapped->next = init->trapped;
    init->trapped = trapped;
    init->trapped_count++;
    slot_want(slot);
    trapped_serve_one(trapped);
}

void trapped_end(struct init *init, uint64_t id)
{
    for (struct trapped *trapped = init->trapped; trapped != NULL; trapped = trapped->next) {
        if (trapped->id != id)
            continue;
        if (trapped->call != NULL)
            trapped->ended = true;
        else
            trapped_free(trapped);
        return;
    }
}

void trapped_close(struct init *init)
{
    struct trapped *next;

    for (struct trapped *trapped = init->trapped; trapped != NULL; trapped = next) {
        next = trapped->next;
        call_cancel(trapped->call);
        if (trapped->waiting != NULL)
            reply_error(trapped->waiting, ESHUTDOWN);
        trapped_free(trapped);
    }
}
