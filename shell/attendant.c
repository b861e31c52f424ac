/* The root of a process tree: starts the command, reaps whatever comes to it, and ends when nothing
 * is left below it. */
#include "shell/tree.h"

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
#include "shell/shell.h"

/* The command's words that go into a report. */
#define REPORT_WORDS 16
#define REPORT_WORD_MAX 256
#define WAKE_AGAIN_MS 20

struct attendant {
    const struct tree_plan *plan;
    int front; /* -1: the front is gone */
    pid_t front_process;
    struct port *init;
    pid_t command;
    bool running;
    bool stopped;         /* the command is */
    unsigned front_stops; /* that the front was told of, and has not said to be over */
};

static void event_send(struct attendant *attendant, int kind, int value, int descriptor)
{
    struct tree_event event = {.kind = kind, .value = value};
    struct iovec part = {.iov_base = &event, .iov_len = sizeof event};
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof(int))];
    } control = {0};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};

    if (attendant->front < 0)
        return;
    if (descriptor >= 0) {
        message.msg_control = &control;
        message.msg_controllen = sizeof control;
        control.header.cmsg_level = SOL_SOCKET;
        control.header.cmsg_type = SCM_RIGHTS;
        control.header.cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(&control.header), &descriptor, sizeof(int));
    }
    /* Where the front is gone attendant_wait hears of it, and ends the command. */
    sendmsg(attendant->front, &message, MSG_NOSIGNAL);
}

static _Noreturn void attendant_fail(struct attendant *attendant, int error, const char *what)
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
    error = rpc_call(*init, HIRSEL__INIT_OPERATION__INIT_TREE_OPEN, &tree.base, NULL, 0, NULL, NULL,
                     NULL, SESSION_TIMEOUT_MS);
    if (error != 0)
        shell_say(error, "session '%s' refuses a process tree", plan->session->name);
    return error;
}

/* The session's door in front of what the user has in LD_LIBRARY_PATH. */
static void door_set(const struct tree_plan *plan)
{
    char door[PATH_MAX + 64];
    const char *old = getenv("LD_LIBRARY_PATH");
    char *value;

    snprintf(door, sizeof door, "%s/spaces/%llu/lib", plan->session->directory,
             (unsigned long long)plan->space);
    if (access(door, F_OK) != 0)
        return;
    if (old == NULL || *old == '\0') {
        setenv("LD_LIBRARY_PATH", door, 1);
    } else if (asprintf(&value, "%s:%s", door, old) > 0) {
        setenv("LD_LIBRARY_PATH", value, 1);
        free(value);
    }
}

static size_t words_count(char **words)
{
    size_t count = 0;

    while (words[count] != NULL)
        count++;
    return count;
}

static _Noreturn void program_become(const struct tree_plan *plan, int report)
{
    char program[PATH_MAX], number[16];
    size_t count = words_count(plan->command);
    char **arguments = calloc(count + 3, sizeof(char *));
    int error = ENOMEM;

    if (arguments != NULL)
        error = shell_installed("libexec/hirsel/enter", program, sizeof program);
    if (error == 0) {
        arguments[0] = (char *)"enter";
        arguments[1] = number;
        memcpy(arguments + 2, plan->command, count * sizeof(char *));
        fcntl(report, F_SETFD, 0);
        snprintf(number, sizeof number, "%d", report);
        door_set(plan);
        sigaction(SIGCHLD, &plan->child_action, NULL);
        sigprocmask(SIG_SETMASK, &plan->mask, NULL);
        execv(program, arguments);
        error = errno;
        shell_say(error, "cannot run %s", program);
    }
    _exit(SHELL_FAILED);
}

/* How exec went: 0 or its errno. The pipe closes when it worked. */
static int exec_wait(int from)
{
    int error = 0;
    ssize_t length;

    do
        length = read(from, &error, sizeof error);
    while (length < 0 && errno == EINTR);
    return length == sizeof error ? error : 0;
}

static void program_start(struct attendant *attendant)
{
    pid_t group = getpgrp();
    int ends[2];
    int error, pidfd;

    if (pipe2(ends, O_CLOEXEC) != 0)
        attendant_fail(attendant, errno, "cannot start the command");
    attendant->command = fork();
    if (attendant->command < 0)
        attendant_fail(attendant, errno, "cannot start the command");
    if (attendant->command == 0) {
        /* Above 2 and out of the way, should the user have closed some of these. */
        int report = fcntl(ends[1], F_DUPFD_CLOEXEC, 10);

        if (report < 0)
            _exit(SHELL_FAILED);
        setpgid(0, group);
        program_become(attendant->plan, report);
    }
    close(ends[1]);
    attendant->running = true;
    pidfd = (int)syscall(SYS_pidfd_open, attendant->command, 0);
    event_send(attendant, TREE_STARTED, attendant->command, pidfd);
    if (pidfd >= 0)
        close(pidfd);
    /* Out of the terminal's reach: its signals are the command's. */
    setpgid(0, 0);
    error = exec_wait(ends[0]);
    close(ends[0]);
    if (error != 0)
        event_send(attendant, TREE_NO_EXEC, error, -1);
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
        attendant->front_stops++;
        event_send(attendant, TREE_STOPPED, WSTOPSIG(status), -1);
    } else if (WIFCONTINUED(status)) {
        attendant->stopped = false;
        front_wake(attendant);
    } else {
        attendant->stopped = false;
        attendant->running = false;
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
    if (pid < 0 && errno == ECHILD && !(attendant->front >= 0 && attendant->front_stops > 0))
        _exit(0);
}

/* What the user's shell gave us is the command's alone: a pipe must end when the command closes
 * it, a terminal must be free when its session ends. */
static void descriptors_leave(const struct attendant *attendant)
{
    unsigned low = (unsigned)attendant->front, high = (unsigned)port_descriptor(attendant->init);
    int nothing = open("/dev/null", O_RDWR | O_CLOEXEC);

    if (low > high) {
        high = low;
        low = (unsigned)port_descriptor(attendant->init);
    }
    for (int standard = STDIN_FILENO; nothing >= 0 && standard <= STDERR_FILENO; standard++)
        dup2(nothing, standard);
    if (low > STDERR_FILENO + 1)
        close_range(STDERR_FILENO + 1, low - 1, 0);
    if (high > low + 1)
        close_range(low + 1, high - 1, 0);
    close_range(high + 1, ~0u, 0);
    if (chdir("/") != 0)
        return;
}

/* Until nothing is left below: children_reap ends the process. */
static _Noreturn void attendant_wait(struct attendant *attendant)
{
    struct pollfd watched[2] = {{.events = POLLIN}, {.events = POLLIN}};
    sigset_t child;

    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    watched[0].fd = signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK);
    for (;;) {
        struct signalfd_siginfo ignored;

        bool behind;
        int count;

        children_reap(attendant);
        behind = attendant->front_stops > 0 && !attendant->stopped && attendant->front >= 0;
        watched[1].fd = attendant->front;
        /* Woken before it had stopped, the front sleeps on: until it says that it goes on, wake it
         * again. */
        count = poll(watched, 2, behind ? WAKE_AGAIN_MS : watched[0].fd < 0 ? 100 : -1);
        if (count == 0 && behind)
            front_wake(attendant);
        if (count <= 0)
            continue;
        if (watched[1].fd >= 0 && (watched[1].revents & POLLIN) != 0 &&
            recv(attendant->front, &ignored, sizeof ignored, MSG_DONTWAIT) > 0)
            attendant->front_stops -= attendant->front_stops > 0;
        while (watched[0].revents != 0 &&
               read(watched[0].fd, &ignored, sizeof ignored) == sizeof ignored)
            continue;
        if (watched[1].fd >= 0 && (watched[1].revents & (POLLHUP | POLLERR)) != 0) {
            /* Who kills hirsel run means the command. */
            front_leave(attendant);
            if (attendant->running)
                kill(attendant->command, SIGKILL);
        }
    }
}

_Noreturn void attendant_run(const struct tree_plan *plan, int front)
{
    struct attendant attendant = {.plan = plan, .front = front, .front_process = getppid()};
    sigset_t all;

    /* It ends with the last process below it, and for no other reason but SIGKILL. */
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL);
    if (prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0)
        attendant_fail(&attendant, errno, "cannot become a subreaper");
    if (tree_open(plan, &attendant.init) != 0) {
        event_send(&attendant, TREE_FAILED, 0, -1);
        _exit(SHELL_FAILED);
    }
    program_start(&attendant);
    descriptors_leave(&attendant);
    attendant_wait(&attendant);
}
