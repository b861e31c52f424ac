/* Starting a program and learning how it went and how it ended. */
#include "servers/init/init.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "servers/lib/server.h"

/* Out of the way of the descriptors that a child gets. */
#define DESCRIPTOR_ASIDE 10

static _Noreturn void child_fail(int pipe_end, int error)
{
    ssize_t written = write(pipe_end, &error, sizeof error);

    _exit(written == sizeof error ? 127 : 126);
}

/* In the child, between fork and exec. */
static _Noreturn void child_become(const struct init *init, const struct child_plan *plan,
                                   pid_t parent, int pipe_end)
{
    int listening, control = -1;
    sigset_t none;

    pipe_end = fcntl(pipe_end, F_DUPFD_CLOEXEC, DESCRIPTOR_ASIDE);
    if (pipe_end < 0)
        _exit(126);
    /* init killed: what it started goes with it. The check: it may be dead already. */
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0)
        child_fail(pipe_end, errno);
    if (getppid() != parent)
        child_fail(pipe_end, ESRCH);
    setpgid(0, 0);
    signal(SIGPIPE, SIG_DFL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    if (plan->own_limits) {
        umask(init->umask_before);
        setrlimit(RLIMIT_NOFILE, &init->files_before);
    }
    if (plan->directory >= 0 && fchdir(plan->directory) != 0)
        child_fail(pipe_end, errno);
    /* Either may be where the other is to go. */
    listening = fcntl(plan->listening, F_DUPFD_CLOEXEC, DESCRIPTOR_ASIDE);
    if (plan->control >= 0)
        control = fcntl(plan->control, F_DUPFD_CLOEXEC, DESCRIPTOR_ASIDE);
    if (listening < 0 || dup2(listening, SERVER_LISTEN_DESCRIPTOR) < 0)
        child_fail(pipe_end, errno);
    if (plan->control >= 0 && (control < 0 || dup2(control, SERVER_CONTROL_DESCRIPTOR) < 0))
        child_fail(pipe_end, errno);
    execve(plan->program, plan->arguments, plan->environment);
    child_fail(pipe_end, errno);
}

/* What the pipe says: nothing more to say means that exec closed it. */
static void exec_result(struct child *child)
{
    int error = 0;
    ssize_t length;

    if (child->exec_pipe < 0)
        return;
    do
        length = read(child->exec_pipe, &error, sizeof error);
    while (length < 0 && errno == EINTR);
    if (length < 0 && errno == EAGAIN)
        return;
    if (length != sizeof error)
        error = 0;
    ev_io_stop(child->init->loop, &child->exec_watcher);
    close(child->exec_pipe);
    child->exec_pipe = -1;
    child->started(child, error);
}

static void exec_readable(struct ev_loop *loop, ev_io *watcher, int events)
{
    (void)loop;
    (void)events;
    exec_result(watcher->data);
}

int child_start(struct init *init, struct child *child, const struct child_plan *plan)
{
    pid_t self = getpid();
    int ends[2];

    if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0)
        return errno;
    child->pid = fork();
    if (child->pid < 0) {
        int error = errno;

        close(ends[0]);
        close(ends[1]);
        child->pid = 0;
        return error;
    }
    if (child->pid == 0)
        child_become(init, plan, self, ends[1]);
    close(ends[1]);
    child->init = init;
    child->exec_pipe = ends[0];
    /* Not waited for: a program on a file system that hangs must not hang init. */
    ev_io_init(&child->exec_watcher, exec_readable, ends[0], EV_READ);
    child->exec_watcher.data = child;
    ev_io_start(init->loop, &child->exec_watcher);
    child->next = init->children;
    init->children = child;
    return 0;
}

int child_fork(struct init *init, struct child *child, int (*run)(struct init *init))
{
    pid_t self = getpid();

    child->pid = fork();
    if (child->pid < 0) {
        child->pid = 0;
        return errno;
    }
    if (child->pid == 0) {
        /* It holds what init holds, the lock too. */
        if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || getppid() != self)
            _exit(ESRCH);
        signal(SIGCHLD, SIG_DFL);
        signal(SIGTERM, SIG_DFL);
        _exit(run(init));
    }
    child->init = init;
    child->exec_pipe = -1;
    child->next = init->children;
    init->children = child;
    return 0;
}

static void orphan_ended(struct init *init, pid_t pid, int status)
{
    Hirsel__InitEnd end = HIRSEL__INIT_END__INIT;

    end.pid = (uint32_t)pid;
    end.status = status;
    if (init->slots[SLOT_PROC].control != NULL)
        rpc_notice(init->slots[SLOT_PROC].control, HIRSEL__INIT_OPERATION__INIT_CHILD_ENDED,
                   &end.base);
}

void children_reap(struct init *init)
{
    int status;
    pid_t pid;

    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        struct child **link = &init->children;

        while (*link != NULL && (*link)->pid != pid)
            link = &(*link)->next;
        if (*link == NULL) {
            orphan_ended(init, pid, status);
        } else {
            struct child *child = *link;

            *link = child->next;
            exec_result(child);
            child->pid = 0;
            child->ended(child, pid, status);
        }
    }
}
