/* The part of `hirsel run` that the user's shell waits for: it stands for the command, so that
 * signals, stops and the exit status pass as if the command itself had been started. */
#include "shell/tree.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fence/fence.h"
#include "servers/lib/process.h"
#include "shell/beside.h"
#include "shell/shell.h"

struct front {
    const struct tree_plan *plan;
    int events;    /* the socket from the attendant */
    int signals;   /* a signalfd */
    int pidfd;     /* the command's; -1: not started */
    pid_t command; /* 0: not started */
    pid_t attendant;
    int status;     /* -1: the command runs */
    uint32_t stops; /* of the command, that we were told of */
    sigset_t early; /* signals that came before the command was there */
    bool orphaned;  /* the attendant was killed: the command is our own child now */
    bool apart;     /* the command is in another session of terminals */
};

/* Those that a program gets from its own faults are left alone. */
static void signals_choose(sigset_t *set)
{
    static const int own[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP, SIGSYS, SIGXCPU};

    sigfillset(set);
    for (size_t i = 0; i < sizeof own / sizeof own[0]; i++)
        sigdelset(set, own[i]);
}

static int status_exit(int status)
{
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

static bool command_goes_on(const struct front *front)
{
    struct process_details details;

    return process_details(front->command, &details) == 0 && strchr("RSD", details.state) != NULL;
}

/* The command stopped: so do we, in the same way, for the shell above to see. It may go on again
 * already, and then nobody would wake us. A SIGCONT for the process group reaches the command first
 * (the youngest of it); so one that comes before the look is seen by it, and one that comes after
 * takes the pending signal away. SIGSTOP can't be pending: the attendant wakes us from that. */
static void front_stop(const struct front *front, int signal_number)
{
    static const struct timespec at_once;
    sigset_t one;

    if (signal_number != SIGTSTP && signal_number != SIGTTIN && signal_number != SIGTTOU) {
        if (!command_goes_on(front))
            raise(SIGSTOP);
        return;
    }
    sigemptyset(&one);
    sigaddset(&one, signal_number);
    raise(signal_number);
    if (command_goes_on(front)) {
        sigtimedwait(&one, NULL, &at_once);
        return;
    }
    sigprocmask(SIG_UNBLOCK, &one, NULL);
    sigprocmask(SIG_BLOCK, &one, NULL);
}

static void word_send(const struct front *front, enum tree_word_kind kind)
{
    struct tree_word word = {.kind = kind, .stops = front->stops};

    send(front->events, &word, sizeof word, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void signal_pass(struct front *front, const struct signalfd_siginfo *information)
{
    int number = (int)information->ssi_signo;

    if (number == SIGCHLD)
        return;
    if (front->pidfd < 0) {
        sigaddset(&front->early, number);
        return;
    }
    /* What the kernel sends (from the terminal) goes to the whole group, the command included. */
    if (information->ssi_code == SI_KERNEL && !front->apart)
        return;
    if (number == SIGCONT && information->ssi_pid == (uint32_t)front->attendant)
        return;
    if (number == SIGCONT && front->events >= 0) {
        word_send(front, TREE_WOKEN);
        return;
    }
    syscall(SYS_pidfd_send_signal, front->pidfd, number, NULL, 0);
}

/* What came before there was a command to pass it to. */
static void early_pass(struct front *front)
{
    for (int number = 1; number <= SIGRTMAX; number++)
        if (sigismember(&front->early, number) == 1)
            syscall(SYS_pidfd_send_signal, front->pidfd, number, NULL, 0);
    sigemptyset(&front->early);
}

static void signals_read(struct front *front)
{
    struct signalfd_siginfo information;
    int status;

    while (read(front->signals, &information, sizeof information) == sizeof information)
        signal_pass(front, &information);
    if (!front->orphaned)
        return;
    while (waitpid(front->command, &status, WNOHANG | WUNTRACED) > 0) {
        if (WIFSTOPPED(status))
            front_stop(front, WSTOPSIG(status));
        else
            front->status = status_exit(status);
    }
}

/* The attendant was killed: what was below it is below us now. */
static void front_take_over(struct front *front)
{
    struct port *init;

    close(front->events);
    front->events = -1;
    /* Beside our tree it has a keeper, who ends what was below it. */
    if (front->plan->beside != NULL) {
        shell_say(0, "the process tree's root was killed");
        front->status = SHELL_FAILED;
        return;
    }
    front->orphaned = true;
    waitpid(front->attendant, NULL, 0);
    if (front->command == 0) {
        shell_say(0, "the process tree's root was killed");
        front->status = SHELL_FAILED;
        return;
    }
    tree_open(front->plan, &init);
    /* It may have ended before anybody waited for it. */
    raise(SIGCHLD);
}

/* Why there is no filter, or nobody to serve it. */
static const char *filter_error_text(int error)
{
    switch (error) {
    case EBUSY:
        return "a filter that is not Hirsel's answers system calls here already";
    case EPERM:
    case EACCES:
    case ENOSYS:
        return "this system refuses a seccomp filter";
    case EINVAL:
        return "this kernel has no user notification of system calls";
    case ENOENT:
        return "the trap server (libexec/hirsel/trap) is not installed";
    default:
        return strerror(error);
    }
}

static void unfenced_say(struct front *front, unsigned missing)
{
    char text[256] = "";

    for (unsigned hold = 1; hold != 0 && hold <= missing; hold <<= 1)
        if ((missing & hold) != 0)
            snprintf(text + strlen(text), sizeof text - strlen(text), "%s%s",
                     text[0] != '\0' ? ", " : "", fence_hold_name((enum fence_hold)hold));
    if (front->plan->best_effort) {
        shell_say(0, "'%s' is not confined in everything: Landlock here does not hold %s",
                  front->plan->command[0], text);
        return;
    }
    shell_say(0,
              "cannot confine '%s': Landlock here does not hold %s (hirsel doctor explains; "
              "--best-effort confines as far as this system allows)",
              front->plan->command[0], text);
    front->status = SHELL_FAILED;
}

static void event_run(struct front *front, const struct tree_event *event)
{
    switch (event->kind) {
    case TREE_STARTED:
        front->command = event->value;
        early_pass(front);
        break;
    case TREE_STOPPED:
        front->stops++;
        front_stop(front, event->value);
        word_send(front, TREE_GOES_ON);
        break;
    case TREE_ENDED:
        if (front->status < 0)
            front->status = status_exit(event->value);
        break;
    case TREE_UNTRAPPED:
        shell_say(0,
                  "static programs and raw system calls are not retargeted: %s (hirsel doctor "
                  "explains; --no-trap says nothing)",
                  filter_error_text(event->value));
        break;
    case TREE_UNHELD:
        shell_say(
            0,
            "cannot confine '%s': %s (hirsel doctor explains; --best-effort confines as far as "
            "this system allows)",
            front->plan->command[0], filter_error_text(event->value));
        front->status = SHELL_FAILED;
        break;
    case TREE_UNFENCED:
        unfenced_say(front, (unsigned)event->value);
        break;
    case TREE_UNPRIVILEGED:
        /* For who looks on: in a script the program's own words must do. */
        if (isatty(STDERR_FILENO))
            shell_say(
                0,
                "'%.*s' has no more rights here than you: setuid programs work with hirsel run "
                "--no-trap",
                (int)sizeof event->name, event->name);
        break;
    case TREE_NO_EXEC:
        shell_say(event->value, "cannot run '%s'", front->plan->command[0]);
        front->status = event->value == ENOENT ? SHELL_NOT_FOUND : SHELL_CANNOT_EXECUTE;
        break;
    default:
        front->status = SHELL_FAILED;
        break;
    }
}

static void event_read(struct front *front)
{
    struct tree_event event;
    struct iovec part = {.iov_base = &event, .iov_len = sizeof event};
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof(int))];
    } control;
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = &control,
                             .msg_controllen = sizeof control};
    ssize_t length = recvmsg(front->events, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);

    if (length < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (length != sizeof event) {
        front_take_over(front);
        return;
    }
    if (message.msg_controllen >= CMSG_LEN(sizeof(int)))
        memcpy(&front->pidfd, CMSG_DATA(&control.header), sizeof(int));
    event_run(front, &event);
}

/* A command that was killed may leave the terminal to a process group that is no more. */
static void terminal_take_back(int terminal, pid_t group)
{
    pid_t now = tcgetpgrp(terminal);

    if (now > 0 && now != group && kill(-now, 0) != 0 && errno == ESRCH)
        tcsetpgrp(terminal, group);
}

static int front_wait(struct front *front)
{
    int terminal = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
    bool foreground = terminal >= 0 && tcgetpgrp(terminal) == getpgrp();

    while (front->status < 0) {
        struct pollfd watched[2] = {{.fd = front->signals, .events = POLLIN},
                                    {.fd = front->events, .events = POLLIN}};

        if (poll(watched, 2, -1) < 0)
            continue;
        /* Signals first: one that came before the command was there must not be taken for one
         * that the command got itself. */
        signals_read(front);
        if (front->status < 0 && watched[1].fd >= 0 && watched[1].revents != 0)
            event_read(front);
    }
    if (foreground)
        terminal_take_back(terminal, getpgrp());
    if (terminal >= 0)
        close(terminal);
    return front->status;
}

static int front_beside(struct front *front)
{
    const struct beside *beside = front->plan->beside;
    int error = beside_give(beside, front->plan);

    if (error != 0) {
        shell_say(error, "cannot start a process tree");
        return SHELL_FAILED;
    }
    front->attendant = beside->ready.pid;
    front->events = beside->socket;
    front->apart = getsid(front->attendant) != getsid(0);
    return front_wait(front);
}

int tree_run(struct tree_plan *plan)
{
    struct front front = {.plan = plan, .pidfd = -1, .status = -1};
    struct sigaction usual = {.sa_handler = SIG_DFL};
    sigset_t watched;
    int ends[2];

    sigemptyset(&front.early);
    signals_choose(&watched);
    sigprocmask(SIG_BLOCK, &watched, &plan->mask);
    /* A shell may have started us with SIGCHLD ignored: then nobody could be waited for. */
    sigaction(SIGCHLD, &usual, &plan->child_action);
    front.signals = signalfd(-1, &watched, SFD_CLOEXEC | SFD_NONBLOCK);
    if (front.signals >= 0 && plan->beside != NULL)
        return front_beside(&front);
    if (front.signals < 0 || prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0 ||
        socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) {
        shell_say(errno, "cannot start a process tree");
        return SHELL_FAILED;
    }
    front.attendant = fork();
    if (front.attendant < 0) {
        shell_say(errno, "cannot start a process tree");
        return SHELL_FAILED;
    }
    if (front.attendant == 0) {
        close(ends[0]);
        attendant_run(plan, ends[1]);
    }
    close(ends[1]);
    front.events = ends[0];
    return front_wait(&front);
}
