/* What this kernel and container allow, found by trying. What leaves a trace is tried in a child of
 * its own, which tells by its exit status: 0 or an errno. */
#include "fence/fence.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

/* Newer than the headers of Debian 12. */
#ifndef SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
#define SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV (1UL << 5)
#endif
#ifndef SECCOMP_IOCTL_NOTIF_SET_FLAGS
#define SECCOMP_IOCTL_NOTIF_SET_FLAGS SECCOMP_IOW(4, uint64_t)
#endif
#ifndef SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP
#define SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP (1UL << 0)
#endif

/* A process that only waits to be looked at. */
struct subject {
    pid_t pid;
    int life; /* it ends when this is closed */
};

/* The address is the same in every child. */
static volatile const int looked_at = 4711;

static int status_wait(pid_t pid)
{
    int status;

    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return errno;
    /* Killed: a filter above answers so. */
    return WIFEXITED(status) ? WEXITSTATUS(status) : EACCES;
}

static int child_ask(int (*question)(const struct subject *), const struct subject *subject)
{
    pid_t pid = fork();

    if (pid < 0)
        return errno;
    if (pid == 0)
        _exit(question(subject));
    return status_wait(pid);
}

/* Install a filter that lets everything pass. The listener, or -1 and errno. */
static int listener_make(unsigned long flags)
{
    struct sock_filter pass[] = {BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
    const struct sock_fprog code = {.len = 1, .filter = pass};

    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return -1;
    return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &code);
}

static int ask_filter(const struct subject *subject)
{
    (void)subject;
    return listener_make(0) < 0 ? errno : 0;
}

static int ask_listener(const struct subject *subject)
{
    (void)subject;
    return listener_make(SECCOMP_FILTER_FLAG_NEW_LISTENER) < 0 ? errno : 0;
}

static int ask_wait_killable(const struct subject *subject)
{
    (void)subject;
    return listener_make(SECCOMP_FILTER_FLAG_NEW_LISTENER |
                         SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV) < 0
               ? errno
               : 0;
}

static int ask_sync_wake_up(const struct subject *subject)
{
    int listener = listener_make(SECCOMP_FILTER_FLAG_NEW_LISTENER);

    (void)subject;
    if (listener < 0)
        return errno;
    return ioctl(listener, SECCOMP_IOCTL_NOTIF_SET_FLAGS, SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP) == 0
               ? 0
               : errno;
}

static int ask_add_descriptor(const struct subject *subject)
{
    struct seccomp_notif_addfd add = {.id = 1, .flags = SECCOMP_ADDFD_FLAG_SEND};
    int listener = listener_make(SECCOMP_FILTER_FLAG_NEW_LISTENER);

    (void)subject;
    if (listener < 0)
        return errno;
    /* There is no such notification: that it says so shows that it knows the flag. */
    if (ioctl(listener, SECCOMP_IOCTL_NOTIF_ADDFD, &add) == 0 || errno == ENOENT)
        return 0;
    return errno;
}

static int ask_namespace(const struct subject *subject)
{
    (void)subject;
    return unshare(CLONE_NEWUSER) == 0 ? 0 : errno;
}

static int memory_read(const struct subject *subject)
{
    int found = 0;
    struct iovec here = {.iov_base = &found, .iov_len = sizeof found};
    struct iovec there = {.iov_base = (void *)(uintptr_t)&looked_at, .iov_len = sizeof found};

    if (process_vm_readv(subject->pid, &here, 1, &there, 1, 0) < 0)
        return errno;
    return found == looked_at ? 0 : EIO;
}

/* As an ancestor does it for the trap server where the call is refused. */
static int memory_file_read(const struct subject *subject)
{
    char path[32];
    int found = 0, memory, error = 0;

    snprintf(path, sizeof path, "/proc/%d/mem", subject->pid);
    memory = open(path, O_RDONLY | O_CLOEXEC);
    if (memory < 0)
        return errno;
    if (pread(memory, &found, sizeof found, (off_t)(uintptr_t)&looked_at) < 0)
        error = errno;
    close(memory);
    return error != 0 ? error : found == looked_at ? 0 : EIO;
}

static int ask_trace(const struct subject *subject)
{
    /* The tracer's end lets it go. */
    return ptrace(PTRACE_SEIZE, subject->pid, NULL, NULL) == 0 ? 0 : errno;
}

static int descriptor_take(const struct subject *subject)
{
    int process = (int)syscall(SYS_pidfd_open, subject->pid, 0);
    int taken, error;

    if (process < 0)
        return errno;
    taken = (int)syscall(SYS_pidfd_getfd, process, 0, 0);
    /* EBADF: it was let look, and there was none. */
    error = taken < 0 && errno != EBADF ? errno : 0;
    if (taken >= 0)
        close(taken);
    close(process);
    return error;
}

static int subject_start(struct subject *subject)
{
    int life[2], error;
    char byte;

    if (pipe2(life, O_CLOEXEC) != 0)
        return errno;
    *subject = (struct subject){.pid = fork(), .life = life[1]};
    if (subject->pid == 0) {
        close(life[1]);
        while (read(life[0], &byte, 1) < 0 && errno == EINTR)
            ;
        _exit(0);
    }
    error = errno;
    close(life[0]);
    if (subject->pid < 0) {
        close(life[1]);
        return error;
    }
    return 0;
}

static void subject_end(const struct subject *subject)
{
    close(subject->life);
    /* A tracer may have left it stopped. */
    kill(subject->pid, SIGKILL);
    status_wait(subject->pid);
}

static int yama_read(void)
{
    char text[8];
    int file = open("/proc/sys/kernel/yama/ptrace_scope", O_RDONLY | O_CLOEXEC);
    ssize_t length;

    if (file < 0)
        return -1;
    length = read(file, text, sizeof text - 1);
    close(file);
    if (length <= 0)
        return -1;
    text[length] = '\0';
    return atoi(text);
}

static void landlock_probe(struct fence_probe *probe)
{
    probe->landlock = fence_landlock_version();
    if (probe->landlock == 0) {
        struct fence_landlock none;
        probe->landlock_error = fence_landlock_begin(&none, FENCE_HOLD_FILES);
        fence_landlock_end(&none);
    }
}

static int all_probe(struct fence_probe *probe)
{
    struct subject subject = {.life = -1};
    struct utsname names;
    int error = subject_start(&subject);

    if (error != 0)
        return error;
    if (uname(&names) == 0)
        memcpy(probe->release, names.release, sizeof probe->release);
    probe->no_new_privs = prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1;
    probe->filter_error = child_ask(ask_filter, &subject);
    probe->listener_error = child_ask(ask_listener, &subject);
    probe->wait_killable = child_ask(ask_wait_killable, &subject) == 0;
    probe->sync_wake_up = child_ask(ask_sync_wake_up, &subject) == 0;
    probe->add_descriptor = child_ask(ask_add_descriptor, &subject) == 0;
    probe->namespace_error = child_ask(ask_namespace, &subject);
    probe->sibling_error = child_ask(memory_read, &subject);
    probe->trace_error = child_ask(ask_trace, &subject);
    probe->child_error = memory_read(&subject);
    if (probe->child_error != 0)
        probe->child_error = memory_file_read(&subject);
    probe->descriptor_error = descriptor_take(&subject);
    landlock_probe(probe);
    subject_end(&subject);
    return 0;
}

int fence_probe_run(struct fence_probe *probe)
{
    struct sigaction usual = {.sa_handler = SIG_DFL}, before;
    int error;

    /* Where it is ignored nobody can be waited for. */
    sigaction(SIGCHLD, &usual, &before);
    *probe = (struct fence_probe){.yama = yama_read()};
    error = all_probe(probe);
    sigaction(SIGCHLD, &before, NULL);
    return error;
}

size_t fence_probe_confine(const struct fence_probe *probe, const char *reasons[FENCE_REASONS])
{
    size_t count = 0;

    if (probe->filter_error != 0)
        reasons[count++] = "no seccomp filter can be installed";
    else if (probe->listener_error == EBUSY)
        reasons[count++] = "another trap server is above this session, and there can be one only";
    else if (probe->listener_error != 0)
        reasons[count++] = "a seccomp filter can't have a listener";
    else if (!probe->add_descriptor)
        reasons[count++] = "the trap server can't hand out descriptors";
    if (probe->landlock == 0)
        reasons[count++] = "there is no Landlock";
    if (probe->child_error != 0)
        reasons[count++] = "the memory of programs can't be read, not by their ancestors either";
    if (probe->yama >= 3)
        reasons[count++] = "Yama forbids all tracing";
    reasons[count] = NULL;
    return count;
}
