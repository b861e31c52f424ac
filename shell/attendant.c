/* The root of a process tree: starts the command, reaps whatever comes to it, and ends when nothing
 * is left below it. */
#include "shell/attendant.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "proto/init.pb-c.h"
#include "servers/lib/directory.h"
#include "servers/lib/opener.h"
#include "servers/lib/passing.h"
#include "shell/beside.h"
#include "shell/shell.h"

/* The command's words that go into a report. */
#define REPORT_WORDS 16
#define REPORT_WORD_MAX 256
#define WAKE_AGAIN_MS 20

void event_send(struct attendant *attendant, int kind, int value, int descriptor)
{
    struct tree_event event = {.kind = kind, .value = value};

    /* Where the front is gone attendant_turn hears of it, and ends the command. */
    if (attendant->front >= 0)
        passing_send(attendant->front, &event, sizeof event, descriptor, 0);
}

_Noreturn void attendant_fail(struct attendant *attendant, int error, const char *what)
{
    shell_say(error, "%s", what);
    event_send(attendant, TREE_FAILED, error, -1);
    _exit(SHELL_FAILED);
}

int tree_open(const struct tree_plan *plan, struct port **init)
{
    Hirsel__InitTree tree = HIRSEL__INIT_TREE__INIT;
    int error;

    *init = session_connect(plan->session, "init");
    if (*init == NULL)
        return errno;
    tree.space = plan->space;
    tree.policy.data = plan->policy;
    tree.policy.len = plan->policy_length;
    tree.best_effort = plan->best_effort;
    error = rpc_call(*init, HIRSEL__INIT_OPERATION__INIT_TREE_OPEN, &tree.base, NULL, 0, NULL, NULL,
                     NULL, SESSION_TIMEOUT_MS);
    if (error != 0)
        shell_say(error, "session '%s' refuses a process tree", plan->session->name);
    return error;
}

/* init, and proc by it, hear how the command ended: only its parent knows on older kernels. */
static void program_report(struct attendant *attendant, int status)
{
    Hirsel__InitEnd end = HIRSEL__INIT_END__INIT;
    ProtobufCBinaryData words[REPORT_WORDS];
    char **command = attendant->plan->command;

    end.pid = (uint32_t)attendant->command;
    end.status = status;
    end.command = words;
    while (end.n_command < REPORT_WORDS && command[end.n_command] != NULL) {
        words[end.n_command].data = (uint8_t *)command[end.n_command];
        words[end.n_command].len = strnlen(command[end.n_command], REPORT_WORD_MAX);
        end.n_command++;
    }
    rpc_notice(attendant->init, HIRSEL__INIT_OPERATION__INIT_TREE_REPORT, &end.base);
}

/* By the trap server's word. Once for the tree: the log has each program. */
static void unprivileged_tell(void *context, const char *name)
{
    struct attendant *attendant = context;
    struct tree_event event = {.kind = TREE_UNPRIVILEGED};

    if (attendant->told || attendant->front < 0)
        return;
    attendant->told = true;
    snprintf(event.name, sizeof event.name, "%s", name);
    passing_send(attendant->front, &event, sizeof event, -1, 0);
}

static void front_leave(struct attendant *attendant)
{
    if (attendant->front >= 0)
        close(attendant->front);
    attendant->front = -1;
}

/* Somebody may have woken the command alone: the front stopped with it. */
static void front_wake(const struct attendant *attendant)
{
    if (attendant->front >= 0 && attendant->front_stops > 0)
        kill(attendant->front_process, SIGCONT);
}

static void child_changed(struct attendant *attendant, pid_t pid, int status)
{
    if (pid != attendant->command || !attendant->running)
        return;
    if (WIFSTOPPED(status)) {
        attendant->stopped = true;
        attendant->stops++;
        attendant->front_stops++;
        event_send(attendant, TREE_STOPPED, WSTOPSIG(status), -1);
    } else if (WIFCONTINUED(status)) {
        attendant->stopped = false;
        front_wake(attendant);
    } else {
        attendant->stopped = false;
        attendant->running = false;
        /* What it said on the way in comes first. */
        entry_read(attendant);
        program_report(attendant, status);
        event_send(attendant, TREE_ENDED, status, -1);
        front_wake(attendant);
    }
}

static void children_reap(struct attendant *attendant)
{
    int status;
    pid_t pid;

    while ((pid = waitpid(-1, &status, WNOHANG | WUNTRACED | WCONTINUED)) > 0)
        child_changed(attendant, pid, status);
    if (pid >= 0 || errno != ECHILD || (attendant->front >= 0 && attendant->front_stops > 0))
        return;
    if (attendant->plan->scratch != NULL)
        directory_remove(attendant->plan->scratch, NULL);
    _exit(0);
}

static int descriptor_compare(const void *one, const void *other)
{
    int a = *(const int *)one, b = *(const int *)other;

    return a < b ? -1 : a > b;
}

/* What the user's shell gave us is the command's alone: a pipe must end when the command closes
 * it, a terminal must be free when its session ends. */
static void descriptors_leave(const struct attendant *attendant)
{
    int own[] = {attendant->front, attendant->signals, attendant->opener,
                 port_descriptor(attendant->init)};
    int nothing = open("/dev/null", O_RDWR | O_CLOEXEC);
    unsigned next = STDERR_FILENO + 1;

    for (int standard = STDIN_FILENO; nothing >= 0 && standard <= STDERR_FILENO; standard++)
        dup2(nothing, standard);
    qsort(own, sizeof own / sizeof own[0], sizeof own[0], descriptor_compare);
    for (size_t i = 0; i < sizeof own / sizeof own[0]; i++) {
        if (own[i] < (int)next)
            continue;
        if (own[i] > (int)next)
            close_range(next, (unsigned)own[i] - 1, 0);
        next = (unsigned)own[i] + 1;
    }
    close_range(next, ~0u, 0);
    if (chdir("/") != 0)
        return;
}

/* A shell wakes the whole process group: the command may have stopped anew by now, for reading the
 * terminal from the background say. Then what woke the front was meant for an earlier stop. */
static void front_woken(struct attendant *attendant, uint32_t stops)
{
    children_reap(attendant);
    if (attendant->running && attendant->stopped && attendant->stops == stops)
        kill(attendant->command, SIGCONT);
}

static void front_read(struct attendant *attendant, short events)
{
    struct tree_word word;

    if ((events & POLLIN) != 0 &&
        recv(attendant->front, &word, sizeof word, MSG_DONTWAIT) == sizeof word) {
        if (word.kind == TREE_GOES_ON)
            attendant->front_stops -= attendant->front_stops > 0;
        else if (word.kind == TREE_WOKEN)
            front_woken(attendant, word.stops);
    }
    if ((events & (POLLHUP | POLLERR)) == 0)
        return;
    /* Who kills hirsel run means the command. */
    front_leave(attendant);
    if (attendant->running)
        kill(attendant->command, SIGKILL);
}

/* Wait for what happens next, and see to it. Ends the process when nothing is left below it. */
static void attendant_turn(struct attendant *attendant)
{
    enum { SIGNALS, FRONT, ENTRY, OPENER, COUNT };
    /* No way leads out of a confined tree. */
    bool confined = attendant->plan->policy_length > 0;
    struct opener_hands hands = {.beside = confined ? NULL : beside_start,
                                 .tell = confined ? NULL : unprivileged_tell,
                                 .context = attendant};
    struct pollfd watched[COUNT];
    struct signalfd_siginfo ignored;
    bool behind;
    int count;

    children_reap(attendant);
    behind = attendant->front_stops > 0 && !attendant->stopped && attendant->front >= 0;
    watched[SIGNALS] = (struct pollfd){.fd = attendant->signals, .events = POLLIN};
    watched[FRONT] = (struct pollfd){.fd = attendant->front, .events = POLLIN};
    watched[ENTRY] = (struct pollfd){.fd = attendant->entry, .events = POLLIN};
    watched[OPENER] = (struct pollfd){.fd = attendant->opener, .events = POLLIN};
    /* Woken before it had stopped, the front sleeps on: until it says that it goes on, wake it
     * again. */
    count = poll(watched, COUNT, behind ? WAKE_AGAIN_MS : attendant->signals < 0 ? 100 : -1);
    if (count == 0 && behind)
        front_wake(attendant);
    if (count <= 0)
        return;
    if (watched[OPENER].revents != 0 && !opener_serve(attendant->opener, &hands)) {
        /* No session any more: nobody will ask again. */
        close(attendant->opener);
        attendant->opener = -1;
    }
    if (watched[ENTRY].revents != 0)
        entry_read(attendant);
    while (watched[SIGNALS].revents != 0 &&
           read(attendant->signals, &ignored, sizeof ignored) == sizeof ignored)
        continue;
    if (watched[FRONT].revents != 0)
        front_read(attendant, watched[FRONT].revents);
}

_Noreturn void attendant_run(const struct tree_plan *plan, int front)
{
    bool is_child = plan->front == 0;
    struct attendant attendant = {.plan = plan,
                                  .front = front,
                                  .front_process = is_child ? getppid() : plan->front,
                                  .entry = -1,
                                  .opener = -1,
                                  .filter = plan->trap,
                                  .group = is_child ? getpgrp() : plan->group};
    sigset_t all, child;

    /* It ends with the last process below it, and for no other reason but SIGKILL. */
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL);
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    attendant.signals = signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK);
    if (prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0)
        attendant_fail(&attendant, errno, "cannot become a subreaper");
    if (tree_open(plan, &attendant.init) != 0) {
        event_send(&attendant, TREE_FAILED, 0, -1);
        _exit(SHELL_FAILED);
    }
    entry_start(&attendant);
    /* Out of the terminal's reach: its signals are the command's. */
    setpgid(0, 0);
    /* Another enter may have to be started: with all that the user's shell gave us. */
    while (attendant.entry >= 0)
        attendant_turn(&attendant);
    descriptors_leave(&attendant);
    for (;;)
        attendant_turn(&attendant);
}
