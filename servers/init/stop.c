/* The end of a session, in this order: programs, translators, servers, the directory. Each gets a
 * chance to end by itself. */
#include "servers/init/init.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "servers/lib/process.h"
#include "servers/lib/server.h"

#define TICK_SECONDS 0.01
#define TERMINALS_SECONDS 0.1
#define TRANSLATORS_GRACE_SECONDS 1.0
#define SERVERS_GRACE_SECONDS 0.5
/* Past its grace a phase kills; past this too it is left behind: what survives SIGKILL so long
 * hangs in the kernel. */
#define KILLED_SECONDS 5.0

static bool is_server(const struct init *init, pid_t pid)
{
    for (int i = 0; i < SLOT_COUNT; i++)
        if (init->slots[i].child.pid == pid)
            return true;
    return false;
}

static bool is_program(const struct init *init, const struct process_entry *entries, size_t count,
                       pid_t pid)
{
    for (const struct root *root = init->roots; root != NULL; root = root->next)
        if (process_descends(entries, count, pid, root->pid))
            return true;
    return false;
}

static bool is_helper(const struct init *init, const struct process_entry *entries, size_t count,
                      pid_t pid)
{
    return !is_server(init, pid) && process_descends(entries, count, pid, getpid());
}

/* How hard a phase asks. */
enum asking { ASK_NOT, ASK_FIRST, ASK_TERMINAL, ASK_KILL };

static void entry_signal(const struct process_entry *entry, enum asking asking)
{
    uint64_t start = entry->details.start_time;

    switch (asking) {
    case ASK_NOT:
        break;
    case ASK_FIRST:
        process_signal(entry->pid, start, SIGTERM);
        /* What is stopped hears nothing. */
        process_signal(entry->pid, start, SIGCONT);
        break;
    case ASK_TERMINAL:
        /* Interactive shells do not mind SIGTERM, but the end of their terminal. */
        if (entry->details.terminal != 0)
            process_signal(entry->pid, start, SIGHUP);
        break;
    case ASK_KILL:
        process_signal(entry->pid, start, SIGKILL);
        break;
    }
}

/* Signal what the phase ends; how many are left. */
static size_t phase_signal(struct init *init, enum asking asking)
{
    struct process_entry *entries;
    size_t count, left = 0;

    if (process_scan(&entries, &count) != 0)
        return 0;
    for (size_t i = 0; i < count; i++) {
        pid_t pid = entries[i].pid;

        if (pid == getpid() || entries[i].details.state == 'Z')
            continue;
        if (init->phase == STOP_PROGRAMS ? !is_program(init, entries, count, pid)
                                         : !is_helper(init, entries, count, pid))
            continue;
        entry_signal(&entries[i], asking);
        left++;
    }
    free(entries);
    return left;
}

static void phase_enter(struct init *init, enum stop_phase phase)
{
    init->phase = phase;
    init->asked_terminals = false;
    init->phase_began = ev_now(init->loop);
}

static enum asking phase_asking(struct init *init, ev_tstamp passed, ev_tstamp grace, bool first)
{
    if (passed >= grace)
        return ASK_KILL;
    if (first)
        return ASK_FIRST;
    if (passed < TERMINALS_SECONDS || init->asked_terminals)
        return ASK_NOT;
    init->asked_terminals = true;
    return ASK_TERMINAL;
}

/* Whether the programs are gone, and the roots of their trees, which end by themselves when
 * nothing is below them. */
static bool programs_ended(struct init *init, bool first)
{
    ev_tstamp passed = ev_now(init->loop) - init->phase_began;
    ev_tstamp grace = init->grace_ms / 1000.0;

    if (init->roots == NULL)
        return true;
    phase_signal(init, phase_asking(init, passed, grace, first));
    if (passed >= grace + SERVERS_GRACE_SECONDS)
        for (struct root *root = init->roots; root != NULL; root = root->next)
            process_signal(root->pid, root->start_time, SIGKILL);
    return passed >= grace + KILLED_SECONDS;
}

static bool translators_ended(struct init *init, bool first)
{
    ev_tstamp passed = ev_now(init->loop) - init->phase_began;

    if (!init->spawned_any)
        return true;
    return phase_signal(init, phase_asking(init, passed, TRANSLATORS_GRACE_SECONDS, first)) == 0 ||
           passed >= TRANSLATORS_GRACE_SECONDS + KILLED_SECONDS;
}

static bool servers_ended(struct init *init, bool first)
{
    ev_tstamp passed = ev_now(init->loop) - init->phase_began;
    bool left = false;

    for (int i = 0; i < SLOT_COUNT; i++)
        left = left || init->slots[i].child.pid > 0;
    if (!left)
        return true;
    if (first)
        slots_end(init, SIGTERM);
    else if (passed >= SERVERS_GRACE_SECONDS)
        slots_end(init, SIGKILL);
    return passed >= SERVERS_GRACE_SECONDS + KILLED_SECONDS;
}

/* One step; `first`: the phase was just entered. Goes on to the next phase at once where nothing
 * is to be waited for. */
static void stop_step(struct init *init, bool first)
{
    if (init->phase == STOP_PROGRAMS) {
        if (!programs_ended(init, first))
            return;
        phase_enter(init, STOP_TRANSLATORS);
        first = true;
    }
    if (init->phase == STOP_TRANSLATORS) {
        if (!translators_ended(init, first))
            return;
        phase_enter(init, STOP_SERVERS);
        first = true;
    }
    if (servers_ended(init, first))
        ev_break(init->loop, EVBREAK_ALL);
}

void stop_advance(struct init *init)
{
    ev_now_update(init->loop);
    stop_step(init, false);
}

static void stop_tick(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)loop;
    (void)events;
    stop_advance(timer->data);
}

void stop_begin(struct init *init, unsigned grace_ms, struct reply *reply)
{
    if (reply != NULL) {
        struct stop_waiter *waiter = calloc(1, sizeof *waiter);

        if (waiter != NULL) {
            waiter->reply = reply;
            waiter->next = init->stop_waiters;
            init->stop_waiters = waiter;
        } else {
            reply_error(reply, 0);
        }
    }
    if (init->phase != STOP_NOT) {
        if (grace_ms < init->grace_ms)
            init->grace_ms = grace_ms;
        return;
    }
    init->grace_ms = grace_ms;
    lease_end(init);
    ev_now_update(init->loop);
    phase_enter(init, STOP_PROGRAMS);
    ev_timer_init(&init->stop_timer, stop_tick, TICK_SECONDS, TICK_SECONDS);
    init->stop_timer.data = init;
    ev_timer_start(init->loop, &init->stop_timer);
    stop_step(init, true);
}
