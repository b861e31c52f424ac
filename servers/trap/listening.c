/* The life of a listener: its workers, its end. */
#include "servers/trap/trap.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "proto/init.pb-c.h"
#include "proto/trap.pb-c.h"
#include "servers/trap/policy.h"
#include "servers/trap/worker.h"

/* Always there. Not more: the kernel wakes all that wait for a notification, and they would tear
 * the one that gets it away from the caller's processor. */
#define WORKERS_MIN 1
/* All workers busy with the same calls for so long: one more. */
#define BUSY_SECONDS 0.05
/* Workers that die more often than this wait a little before they are started again. */
#define DEATHS_AT_ONCE 20
#define DEATHS_SECONDS 10.0
#define REVIVAL_SECONDS 0.5
/* init looks at the system's libc when asked to; not more often than this. */
#define COPY_SECONDS 10.0

/* In a worker: keep what it needs, at these numbers, and nothing of main's connections. */
enum { WORKER_LISTENER = 3, WORKER_OPENER, WORKER_WORDS, WORKER_JOURNAL, WORKER_FREE };

static int descriptors_narrow(const struct listening *listening)
{
    int taken[] = {listening->listener, listening->opener, listening->words[1],
                   listening->journal_file};

    /* First out of the way of each other. */
    for (int i = 0; i < WORKER_FREE - WORKER_LISTENER; i++)
        if (taken[i] >= 0 && (taken[i] = fcntl(taken[i], F_DUPFD_CLOEXEC, WORKER_FREE)) < 0)
            return errno;
    for (int i = 0; i < WORKER_FREE - WORKER_LISTENER; i++) {
        close(WORKER_LISTENER + i);
        if (taken[i] >= 0 && dup3(taken[i], WORKER_LISTENER + i, O_CLOEXEC) < 0)
            return errno;
    }
    return syscall(SYS_close_range, WORKER_FREE, ~0u, 0) == 0 ? 0 : errno;
}

static void signals_reset(void)
{
    sigset_t none;

    signal(SIGTERM, SIG_DFL);
    signal(SIGCHLD, SIG_IGN); /* guides end by themselves */
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

_Noreturn static void worker_start(const struct listening *listening, unsigned index,
                                   pid_t main_pid)
{
    static struct worker worker;

    /* Its main is its master: without it a successor serves. */
    prctl(PR_SET_PDEATHSIG, WORKER_END_SIGNAL);
    if (getppid() != main_pid)
        _exit(EXIT_FAILURE);
    signals_reset();
    if (descriptors_narrow(listening) != 0 || journal_lock(WORKER_JOURNAL, index) != 0)
        _exit(EXIT_FAILURE);
    worker.session = listening->trap->server->directory;
    worker.id = listening->id;
    worker.root = listening->root;
    worker.space = listening->space;
    worker.node = listening->node;
    worker.listener = WORKER_LISTENER;
    worker.opener = listening->opener >= 0 ? WORKER_OPENER : -1;
    worker.words = WORKER_WORDS;
    worker.index = index;
    worker.journal = listening->journal;
    worker.slot = &listening->journal->slots[index];
    worker.homes = listening->trap->homes;
    worker.policy = listening->policy;
    _exit(worker_run(&worker));
}

static int worker_fork(struct listening *listening, unsigned index)
{
    pid_t self = getpid();
    pid_t pid = fork();

    if (pid < 0)
        return errno;
    if (pid == 0)
        worker_start(listening, index, self);
    listening->workers[index] = pid;
    return 0;
}

/* As many as there must be, and one for each slot in which a dead one may have left a call. */
static int workers_fill(struct listening *listening)
{
    int error = 0;

    for (unsigned i = 0; i < WORKERS_MAX && error == 0; i++) {
        const struct slot *slot = &listening->journal->slots[i];

        if (listening->workers[i] == 0 &&
            (i < WORKERS_MIN || slot->notification.id != 0 || slot->worker != 0))
            error = worker_fork(listening, i);
    }
    return error;
}

static bool workers_all_busy(const struct listening *listening)
{
    for (unsigned i = 0; i < WORKERS_MAX; i++)
        if (listening->workers[i] != 0 && listening->journal->slots[i].worker != 0 &&
            listening->journal->slots[i].notification.id == 0)
            return false;
    return true;
}

/* Look again in a while whether they still have in hand what they have now. */
static void busy_watch(struct ev_loop *loop, struct listening *listening)
{
    for (unsigned i = 0; i < WORKERS_MAX; i++)
        listening->seen[i] = listening->journal->slots[i].notification.id;
    /* A timer that ran is over: it must be told its time anew. */
    ev_timer_set(&listening->busy, BUSY_SECONDS, 0);
    ev_timer_start(loop, &listening->busy);
}

static bool workers_get_on(const struct listening *listening)
{
    for (unsigned i = 0; i < WORKERS_MAX; i++)
        if (listening->workers[i] != 0 &&
            listening->journal->slots[i].notification.id != listening->seen[i])
            return true;
    return false;
}

static void busy_due(struct ev_loop *loop, ev_timer *timer, int events)
{
    struct listening *listening = timer->data;

    (void)events;
    /* First, so that who finds nobody waiting from now on says so. */
    __atomic_store_n(&listening->journal->busy_told, 0, __ATOMIC_SEQ_CST);
    if (!workers_all_busy(listening))
        return;
    if (workers_get_on(listening)) {
        __atomic_store_n(&listening->journal->busy_told, 1, __ATOMIC_RELAXED);
        busy_watch(loop, listening);
        return;
    }
    for (unsigned i = 0; i < WORKERS_MAX; i++) {
        if (listening->workers[i] != 0)
            continue;
        if (worker_fork(listening, i) != 0)
            log_line("cannot fork one more worker: %s", strerror(errno));
        /* It may be taken at once, too: then it says so itself. */
        return;
    }
}

static void copy_ask(struct trap *trap)
{
    ev_tstamp now = ev_now(trap->server->loop);

    if (trap->server->control == NULL || now < trap->copy_asked_at + COPY_SECONDS)
        return;
    trap->copy_asked_at = now;
    rpc_notice(trap->server->control, HIRSEL__INIT_OPERATION__INIT_COPY, NULL);
}

static void words_arrived(struct ev_loop *loop, ev_io *watcher, int events)
{
    struct listening *listening = watcher->data;
    char words[64];
    ssize_t count = read(watcher->fd, words, sizeof words);

    (void)events;
    for (ssize_t i = 0; i < count; i++) {
        if (words[i] == WORD_COPY)
            copy_ask(listening->trap);
        else if (words[i] == WORD_BUSY && !ev_is_active(&listening->busy))
            busy_watch(loop, listening);
    }
}

static void listening_free(struct listening *listening)
{
    struct ev_loop *loop = listening->trap->server->loop;

    ev_io_stop(loop, &listening->ended);
    ev_io_stop(loop, &listening->said);
    ev_timer_stop(loop, &listening->busy);
    ev_timer_stop(loop, &listening->revival);
    if (listening->ending >= 0)
        close(listening->ending);
    if (listening->words[0] >= 0) {
        close(listening->words[0]);
        close(listening->words[1]);
    }
    if (listening->journal != NULL)
        journal_unmap(listening->journal);
    policy_free(listening->policy);
    free(listening);
}

static void listening_end(struct listening *listening)
{
    struct trap *trap = listening->trap;
    Hirsel__TrapEnded ended = HIRSEL__TRAP_ENDED__INIT;

    for (unsigned i = 0; i < WORKERS_MAX; i++) {
        if (listening->workers[i] == 0)
            continue;
        /* Not waited for: one may hang in a dead file system. listening_reap takes note of no one.
         */
        kill(listening->workers[i], SIGKILL);
    }
    for (struct listening **at = &trap->listenings; *at != NULL; at = &(*at)->next)
        if (*at == listening) {
            *at = listening->next;
            break;
        }
    close(listening->listener);
    close(listening->journal_file);
    if (listening->opener >= 0)
        close(listening->opener);
    ended.id = listening->id;
    if (trap->server->control != NULL)
        rpc_notice(trap->server->control, HIRSEL__TRAP_OPERATION__TRAP_ENDED, &ended.base);
    listening_free(listening);
}

static void listener_ended(struct ev_loop *loop, ev_io *watcher, int events)
{
    (void)loop;
    (void)events;
    listening_end(watcher->data);
}

static void revival_wait(struct ev_loop *loop, struct listening *listening)
{
    if (ev_is_active(&listening->revival))
        return;
    ev_timer_set(&listening->revival, REVIVAL_SECONDS, 0);
    ev_timer_start(loop, &listening->revival);
}

static void revival_due(struct ev_loop *loop, ev_timer *timer, int events)
{
    struct listening *listening = timer->data;

    (void)events;
    if (workers_fill(listening) != 0)
        revival_wait(loop, listening);
}

static void worker_ended(struct listening *listening, unsigned index, int status)
{
    struct ev_loop *loop = listening->trap->server->loop;
    ev_tstamp now = ev_now(loop);

    listening->workers[index] = 0;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        __atomic_store_n(&listening->journal->slots[index].worker, 0, __ATOMIC_RELEASE);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        if (now > listening->deaths_since + DEATHS_SECONDS) {
            listening->deaths_since = now;
            listening->deaths = 0;
        }
        if (listening->deaths++ == 0)
            log_line("a worker ended with status %#x; another one takes its place",
                     (unsigned)status);
    }
    if (listening->deaths > DEATHS_AT_ONCE || workers_fill(listening) != 0)
        revival_wait(loop, listening);
}

void listening_reap(struct trap *trap)
{
    pid_t pid;
    int status;

    while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
        for (struct listening *at = trap->listenings; at != NULL; at = at->next)
            for (unsigned i = 0; i < WORKERS_MAX; i++)
                if (at->workers[i] == pid)
                    worker_ended(at, i, status);
}

/* A descriptor that becomes readable when the listener hangs up, and not at each notification: its
 * readiness to be read is not asked for. */
static int ending_watch(int listener)
{
    struct epoll_event none = {.events = 0};
    int ending = epoll_create1(EPOLL_CLOEXEC);

    if (ending >= 0 && epoll_ctl(ending, EPOLL_CTL_ADD, listener, &none) != 0) {
        close(ending);
        return -1;
    }
    return ending;
}

static int listening_open(struct listening *listening, const struct serving *serving)
{
    struct ev_loop *loop = listening->trap->server->loop;

    listening->journal = journal_map(serving->journal);
    if (listening->journal == NULL || pipe2(listening->words, O_CLOEXEC | O_NONBLOCK) != 0)
        return errno;
    listening->ending = ending_watch(serving->listener);
    if (listening->ending < 0)
        return errno;
    ev_io_init(&listening->ended, listener_ended, listening->ending, EV_READ);
    ev_io_init(&listening->said, words_arrived, listening->words[0], EV_READ);
    ev_timer_init(&listening->busy, busy_due, BUSY_SECONDS, 0);
    ev_timer_init(&listening->revival, revival_due, REVIVAL_SECONDS, 0);
    listening->ended.data = listening->said.data = listening;
    listening->busy.data = listening->revival.data = listening;
    listening->journal_file = serving->journal;
    listening->journal->busy_told = 0; /* whatever a dead trap was told */
    nesting_scan(listening);
    if (workers_fill(listening) != 0)
        return errno;
    ev_io_start(loop, &listening->ended);
    ev_io_start(loop, &listening->said);
    /* Should the first one have to wait for that of a dead trap, another is needed. */
    busy_watch(loop, listening);
    return 0;
}

int listening_new(struct trap *trap, const struct serving *serving)
{
    struct listening *listening = calloc(1, sizeof *listening);
    int error;

    if (listening == NULL)
        return ENOMEM;
    listening->trap = trap;
    listening->id = serving->id;
    listening->root = serving->root;
    listening->space = serving->space;
    listening->node = serving->node;
    listening->listener = serving->listener;
    listening->opener = serving->opener;
    listening->policy = policy_read(serving->policy, serving->policy_length);
    if (listening->policy == NULL && errno != 0) {
        error = errno;
        free(listening);
        return error;
    }
    listening->words[0] = listening->words[1] = listening->ending = -1;
    /* 0 where it has ended: then nothing is nested below it any more. */
    process_stat(serving->root, NULL, &listening->root_start);
    error = listening_open(listening, serving);
    if (error != 0) {
        for (unsigned i = 0; i < WORKERS_MAX; i++)
            if (listening->workers[i] != 0)
                kill(listening->workers[i], SIGKILL);
        listening_free(listening);
        return error;
    }
    listening->next = trap->listenings;
    trap->listenings = listening;
    return 0;
}
