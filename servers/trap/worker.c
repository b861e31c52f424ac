#include "servers/trap/worker.h"
#include "shim/core/lane.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "servers/trap/confine.h"
#include "servers/trap/credentials.h"
#include "servers/trap/identity.h"
#include "servers/trap/placement.h"
#include "shim/door/ways.h"

/* A call that so many workers died of is not tried again. */
#define TRIES_MAX 3
/* To be given a notification that was there already takes less than this, 3 µs at 3.3 GHz. */
#define WAITED_TICKS 10000
/* Further workers leave when this many others wait. */
#define WAITING_ENOUGH 1

static struct call_count *count_of(const struct worker *worker, int number)
{
    unsigned at = number >= 0 && number < CALLS_COUNTED ? (unsigned)number : 0;

    return &worker->journal->counts[at];
}

static bool slot_waits(const struct slot *slot)
{
    return __atomic_load_n(&slot->worker, __ATOMIC_SEQ_CST) != 0 &&
           __atomic_load_n(&slot->notification.id, __ATOMIC_RELAXED) == 0;
}

/* Whether at least so many workers wait. */
static bool workers_wait(const struct worker *worker, unsigned wanted)
{
    for (unsigned i = 0; i < WORKERS_MAX && wanted > 0; i++)
        wanted -= slot_waits(&worker->journal->slots[i]);
    return wanted == 0;
}

/* Whether the others are enough. Several may ask themselves at the same time: who goes is no longer
 * counted, and comes back if too few are left then. */
static bool leaves(const struct worker *worker)
{
    if (!workers_wait(worker, WAITING_ENOUGH + 1))
        return false;
    __atomic_store_n(&worker->slot->worker, 0, __ATOMIC_SEQ_CST);
    if (workers_wait(worker, WAITING_ENOUGH))
        return true;
    __atomic_store_n(&worker->slot->worker, getpid(), __ATOMIC_SEQ_CST);
    return false;
}

static void slot_clear(struct slot *slot)
{
    uint64_t none = 0;

    /* First what says that it is in use, so that a successor never believes half of it. */
    __atomic_store(&slot->notification.id, &none, __ATOMIC_RELEASE);
    memset(slot->room, 0, sizeof slot->room);
    slot->step = STEP_NONE;
    slot->tries = 0;
    slot->request = 0;
}

static void forget(const struct worker *worker)
{
    count_add(&worker->journal->forgotten);
}

static void response_send(const struct worker *worker, long result, uint32_t flags)
{
    struct seccomp_notif_resp response = {.id = worker->slot->notification.id, .flags = flags};

    if (result < 0)
        response.error = (int32_t)result;
    else
        response.val = result;
    /* ENOENT: killed meanwhile. */
    if (ioctl(worker->listener, SECCOMP_IOCTL_NOTIF_SEND, &response) != 0 && errno == ENOENT)
        forget(worker);
}

/* Hand a descriptor over as the call's result, in one step. Linux has the caller return 0 without
 * any descriptor if this is interrupted by a signal before the caller took it (seen on 6.18). */
static void descriptor_send(const struct worker *worker, const struct answer *answer)
{
    struct seccomp_notif_addfd add = {.id = worker->slot->notification.id,
                                      .flags = SECCOMP_ADDFD_FLAG_SEND,
                                      .srcfd = (uint32_t)answer->descriptor,
                                      .newfd_flags = answer->close_on_exec ? O_CLOEXEC : 0};
    sigset_t end, before;
    int error;

    sigemptyset(&end);
    sigaddset(&end, WORKER_END_SIGNAL);
    sigprocmask(SIG_BLOCK, &end, &before);
    error = ioctl(worker->listener, SECCOMP_IOCTL_NOTIF_ADDFD, &add) < 0 ? errno : 0;
    sigprocmask(SIG_SETMASK, &before, NULL);
    close(answer->descriptor);
    if (error == ENOENT)
        forget(worker);
    else if (error != 0)
        response_send(worker, -error, 0); /* EMFILE: the caller's own limit */
}

static void answer_send(const struct worker *worker, const struct answer *answer)
{
    struct call_count *count = count_of(worker, worker->slot->notification.data.nr);

    if (answer->proceed) {
        count_add(&count->continued);
        response_send(worker, 0, SECCOMP_USER_NOTIF_FLAG_CONTINUE);
        return;
    }
    count_add(answer->refused || worker->hidden ? &count->refused : &count->answered);
    if (answer->sent)
        return;
    if (answer->descriptor >= 0)
        descriptor_send(worker, answer);
    else
        response_send(worker, answer->result, 0);
}

/* Be in the name space of who calls. */
static int caller_enter(struct worker *worker, pid_t tid)
{
    struct home home;
    char session[SESSION_LIMIT];
    int error;

    if (homes_any(worker->homes, worker->id) &&
        home_of(worker->homes, worker->id, worker->root, tid, &home, session))
        error = identity_enter(session[0] != '\0' ? session : worker->session, home.space);
    else
        error = identity_enter(worker->session, worker->space);
    the_shim.core.own_node = worker->node;
    return error;
}

/* Of another pid name space; or its names are gone. */
static void strange(const struct worker *worker, struct answer *answer)
{
    answer->proceed = worker->policy == NULL;
    answer->refused = worker->policy != NULL;
    answer->result = -EACCES;
}

/* Answer what is in the slot. */
static void slot_answer(struct worker *worker)
{
    struct slot *slot = worker->slot;
    struct answer answer = {.descriptor = -1};
    pid_t tid = (pid_t)slot->notification.pid;

    client_begin(&worker->client, tid, worker->opener);
    identity_become(&worker->client, &slot->request);
    roots_note(worker, slot->notification.data.nr);
    worker->hidden = false;
    if (slot->tries >= TRIES_MAX)
        answer.result = -EIO;
    else if (tid == 0 || caller_enter(worker, tid) != 0)
        strange(worker, &answer);
    else if (worker->policy != NULL) {
        /* The caller's own shim has decided what the path means, and asks for the host's place. It
         * is believed in that alone: what may be done there the policy says. */
        the_shim.core.bare = slot->notification.data.args[5] == LANE_COOKIE;
        confine(worker, &answer);
    } else
        act(worker, &answer);
    credentials_give();
    answer_send(worker, &answer);
    client_end(&worker->client);
    slot_clear(slot);
}

/* Nobody is left to take the next one, should this one take long. */
static void busy_tell(const struct worker *worker)
{
    char word = WORD_BUSY;

    if (workers_wait(worker, 1) ||
        __atomic_exchange_n(&worker->journal->busy_told, 1, __ATOMIC_RELAXED) != 0)
        return;
    if (write(worker->words, &word, 1) != 1)
        __atomic_store_n(&worker->journal->busy_told, 0, __ATOMIC_RELAXED);
}

static bool listener_ended(const struct worker *worker)
{
    struct pollfd watched = {.fd = worker->listener, .events = 0};

    return poll(&watched, 1, 0) == 1 && (watched.revents & (POLLHUP | POLLERR | POLLNVAL));
}

int worker_run(struct worker *worker)
{
    struct slot *slot = worker->slot;
    struct placement placement;

    placement_begin(&placement, worker->listener);
    identity_begin();
    the_shim.teaches = worker->policy != NULL;
    if (the_shim.teaches)
        confine_begin(worker);
    else
        ways_parted(); /* relative ways are another caller's each time */
    list_part();       /* and so are descriptors */
    slot->worker = getpid();
    if (slot->notification.id != 0) {
        slot->tries++;
        slot_answer(worker);
    }
    for (;;) {
        if (worker->index >= WAITING_ENOUGH && leaves(worker))
            return 0;
        uint64_t before = time_stamp();
        if (ioctl(worker->listener, SECCOMP_IOCTL_NOTIF_RECV, &slot->notification) != 0) {
            /* ENOENT: the caller was killed before it could be told of, or nobody is left. */
            if (errno != EINTR && errno != ENOENT)
                return 1;
            memset(slot->room, 0, sizeof slot->room);
            if (listener_ended(worker))
                return 0;
            continue;
        }
        placement_note(&placement, (pid_t)slot->notification.pid,
                       time_stamp() - before < WAITED_TICKS);
        busy_tell(worker);
        slot_answer(worker);
    }
}
