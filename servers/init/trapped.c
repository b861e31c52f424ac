/* The listeners of filtered process trees. init holds each from its coming to its end, so that the
 * trap server loses none by being killed: a call that waits in the kernel waits on. */
#include "servers/init/init.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proto/trap.pb-c.h"
#include "servers/lib/opener.h"
#include "servers/lib/passing.h"
#include "servers/lib/process.h"
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
    if (trapped->opener >= 0) {
        ev_io_stop(trapped->init->loop, &trapped->opener_watcher);
        close(trapped->opener);
    }
    free(trapped->policy);
    free(trapped);
}

static void trapped_settle(struct trapped *trapped, int error)
{
    trapped_settled *settled = trapped->settled;

    trapped->settled = NULL;
    if (settled != NULL)
        settled(trapped->context, error);
}

static void trapped_refuse_one(struct trapped *trapped, int error)
{
    if (!trapped->ended)
        log_line("the listener of the tree of %d is not served: %s", trapped->root,
                 strerror(error));
    trapped_settle(trapped, error);
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
    trapped_settle(trapped, 0);
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
    serve.node = trapped->node;
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
        if (trapped->settled != NULL && trapped->call == NULL)
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

/* What goes with a listener: who its programs descend from, and what they are held to. */
struct subject {
    pid_t root;
    uint64_t space;
    uint64_t node;
    const uint8_t *policy;
    size_t policy_length;
};

static int trapped_fill(struct trapped *trapped, const struct subject *subject)
{
    if (trapped->descriptors[LISTENER] < 0 || trapped->descriptors[OPENER] < 0)
        return EINVAL;
    trapped->descriptors[JOURNAL] = journal_make();
    if (trapped->descriptors[JOURNAL] < 0)
        return errno;
    trapped->root = subject->root;
    trapped->space = subject->space;
    trapped->node = subject->node;
    if (subject->policy == NULL)
        return 0;
    /* The tree's last programs may outlive its root. */
    trapped->policy = malloc(subject->policy_length);
    if (trapped->policy == NULL)
        return ENOMEM;
    memcpy(trapped->policy, subject->policy, subject->policy_length);
    trapped->policy_length = subject->policy_length;
    return 0;
}

/* NULL with errno. */
static struct trapped *trapped_new(struct init *init, int listener, int opener)
{
    struct trapped *trapped = calloc(1, sizeof *trapped);

    if (trapped == NULL) {
        if (listener >= 0)
            close(listener);
        if (opener >= 0)
            close(opener);
        errno = ENOMEM;
        return NULL;
    }
    trapped->init = init;
    trapped->id = ++init->trapped_last;
    trapped->descriptors[LISTENER] = listener;
    trapped->descriptors[OPENER] = opener;
    trapped->descriptors[JOURNAL] = -1;
    trapped->opener = -1;
    return trapped;
}

/* 0: somebody will be told, perhaps has been already. Or an errno: `trapped` is gone. */
static int trapped_start(struct trapped *trapped, const struct subject *subject,
                         trapped_settled *settled, void *context)
{
    struct init *init = trapped->init;
    struct slot *slot = &init->slots[SLOT_TRAP];
    int error = 0;

    if (init->phase != STOP_NOT)
        error = ESHUTDOWN;
    else if (slot->missing)
        error = ENOENT;
    else if (init->trapped_count >= TRAPPED_MAX)
        error = EAGAIN;
    if (error == 0)
        error = trapped_fill(trapped, subject);
    if (error != 0) {
        trapped_free(trapped);
        return error;
    }
    trapped->settled = settled;
    trapped->context = context;
    trapped->next = init->trapped;
    init->trapped = trapped;
    init->trapped_count++;
    slot_want(slot);
    trapped_serve_one(trapped);
    return 0;
}

static void reply_settled(void *context, int error)
{
    reply_error(context, error);
}

void trapped_add(struct init *init, const struct root *root, struct msg *raw, struct reply *reply)
{
    struct subject subject = {.root = root->pid,
                              .space = root->space,
                              .policy = root->policy,
                              .policy_length = root->policy_length};
    struct trapped *trapped = trapped_new(init, msg_take(raw, 0), msg_take(raw, 1));
    int error = trapped == NULL ? errno : trapped_start(trapped, &subject, reply_settled, reply);

    if (error != 0)
        reply_error(reply, error);
}

static void opener_asked(struct ev_loop *loop, ev_io *watcher, int events)
{
    static const struct opener_hands none = {0};
    struct trapped *trapped = watcher->data;

    (void)events;
    if (opener_serve(trapped->opener, &none))
        return;
    ev_io_stop(loop, watcher);
    close(trapped->opener);
    trapped->opener = -1;
}

void trapped_add_own(struct translator *translator, int listener, trapped_settled *settled)
{
    struct init *init = translator->init;
    struct subject subject = {.root = translator->child.pid,
                              .space = translator->confinement->space,
                              .node = translator->id,
                              .policy = translator->policy,
                              .policy_length = translator->policy_length};
    int ends[2] = {-1, -1};
    struct trapped *trapped;
    int error = 0;

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) {
        error = errno;
        close(listener);
        settled(translator, error);
        return;
    }
    trapped = trapped_new(init, listener, ends[1]);
    if (trapped == NULL) {
        error = errno;
        close(ends[0]);
        settled(translator, error);
        return;
    }
    trapped->opener = ends[0];
    ev_io_init(&trapped->opener_watcher, opener_asked, ends[0], EV_READ);
    trapped->opener_watcher.data = trapped;
    ev_io_start(init->loop, &trapped->opener_watcher);
    error = trapped_start(trapped, &subject, settled, translator);
    if (error != 0)
        settled(translator, error);
}

/* The innermost tree with a listener that this process is in, or NULL. */
static const struct trapped *trapped_above(const struct init *init, pid_t pid)
{
    for (int depth = 0; depth < PROCESS_DEPTH_MAX && pid > 1; depth++) {
        if (process_stat(pid, &pid, NULL) != 0)
            return NULL;
        for (const struct trapped *trapped = init->trapped; trapped != NULL;
             trapped = trapped->next)
            if (trapped->root == pid && !trapped->ended)
                return trapped;
    }
    return NULL;
}

int trapped_beside(struct init *init, pid_t asker, int passed)
{
    struct opener_request request = {.what = OPENER_BESIDE, .tid = (uint32_t)asker};
    const struct trapped *trapped = trapped_above(init, asker);

    if (root_confining(init, asker) != NULL)
        return EPERM;
    /* A root that is no more, or a translator's: nobody who could. */
    if (trapped == NULL || trapped->opener >= 0 || root_find(init, trapped->root) == NULL)
        return ESRCH;
    if (trapped->policy != NULL)
        return EPERM;
    return passing_send(trapped->descriptors[OPENER], &request, sizeof request, passed,
                        MSG_DONTWAIT) == sizeof request
               ? 0
               : errno;
}

void trapped_unwait(struct init *init, const void *context)
{
    for (struct trapped *trapped = init->trapped; trapped != NULL; trapped = trapped->next)
        if (trapped->context == context)
            trapped->settled = NULL;
}

void trapped_end(struct init *init, uint64_t id)
{
    for (struct trapped *trapped = init->trapped; trapped != NULL; trapped = trapped->next) {
        if (trapped->id != id)
            continue;
        trapped->ended = true;
        if (trapped->call == NULL)
            trapped_refuse_one(trapped, ESRCH);
        return;
    }
}

void trapped_close(struct init *init)
{
    struct trapped *next;

    for (struct trapped *trapped = init->trapped; trapped != NULL; trapped = next) {
        next = trapped->next;
        call_cancel(trapped->call);
        trapped_settle(trapped, ESHUTDOWN);
        trapped_free(trapped);
    }
}
