/* A server gives up what it does not need, so that one that was taken over can do little. So does a
 * translator: what both need is said here alone. */
#include "servers/lib/narrow.h"

#include <errno.h>
#include <sched.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#include <seccomp.h>

/* What libc, libev and libmsg need to serve who is connected. */
static const int common_calls[] = {
    SCMP_SYS(read),
    SCMP_SYS(write),
    SCMP_SYS(readv),
    SCMP_SYS(writev),
    SCMP_SYS(pread64),
    SCMP_SYS(pwrite64),
    SCMP_SYS(recvmsg),
    SCMP_SYS(sendmsg),
    SCMP_SYS(recvfrom),
    SCMP_SYS(sendto),
    SCMP_SYS(close),
    SCMP_SYS(accept4),
    SCMP_SYS(accept),
    SCMP_SYS(shutdown),
    SCMP_SYS(getsockopt),
    SCMP_SYS(setsockopt),
    SCMP_SYS(getsockname),
    SCMP_SYS(poll),
    SCMP_SYS(ppoll),
    SCMP_SYS(epoll_ctl),
    SCMP_SYS(epoll_wait),
    SCMP_SYS(epoll_pwait),
    SCMP_SYS(dup),
    SCMP_SYS(fcntl),
    SCMP_SYS(memfd_create),
    SCMP_SYS(ftruncate),
    SCMP_SYS(openat),
    SCMP_SYS(open),
    SCMP_SYS(stat),
    SCMP_SYS(lstat),
    SCMP_SYS(fstat),
    SCMP_SYS(newfstatat),
    SCMP_SYS(statx),
    SCMP_SYS(readlink),
    SCMP_SYS(readlinkat),
    SCMP_SYS(lseek),
    SCMP_SYS(munmap),
    SCMP_SYS(mremap),
    SCMP_SYS(madvise),
    SCMP_SYS(brk),
    SCMP_SYS(futex),
    SCMP_SYS(rt_sigaction),
    SCMP_SYS(rt_sigprocmask),
    SCMP_SYS(rt_sigreturn),
    SCMP_SYS(sigaltstack),
    SCMP_SYS(tgkill),
    SCMP_SYS(getpid),
    SCMP_SYS(gettid),
    SCMP_SYS(getppid),
    SCMP_SYS(getuid),
    SCMP_SYS(geteuid),
    SCMP_SYS(getgid),
    SCMP_SYS(getegid),
    SCMP_SYS(getrandom),
    SCMP_SYS(clock_gettime),
    SCMP_SYS(clock_nanosleep),
    SCMP_SYS(gettimeofday),
    SCMP_SYS(time),
    SCMP_SYS(restart_syscall),
    SCMP_SYS(sched_yield),
    SCMP_SYS(sched_getaffinity),
    SCMP_SYS(sysinfo),
    SCMP_SYS(exit),
    SCMP_SYS(exit_group),
    -1,
};

/* A server besides makes connections, timers and pipes, and lists directories. */
static const int server_calls[] = {
    SCMP_SYS(recvmmsg),       SCMP_SYS(sendmmsg),        SCMP_SYS(connect),
    SCMP_SYS(bind),           SCMP_SYS(listen),          SCMP_SYS(getpeername),
    SCMP_SYS(select),         SCMP_SYS(pselect6),        SCMP_SYS(epoll_create),
    SCMP_SYS(epoll_create1),  SCMP_SYS(epoll_pwait2),    SCMP_SYS(eventfd2),
    SCMP_SYS(timerfd_create), SCMP_SYS(timerfd_settime), SCMP_SYS(timerfd_gettime),
    SCMP_SYS(signalfd4),      SCMP_SYS(pipe2),           SCMP_SYS(dup2),
    SCMP_SYS(dup3),           SCMP_SYS(getdents64),      SCMP_SYS(clock_getres),
    SCMP_SYS(nanosleep),      SCMP_SYS(set_robust_list), SCMP_SYS(rseq),
    SCMP_SYS(getrlimit),      SCMP_SYS(uname),           -1,
};

static int calls_allow(scmp_filter_ctx filter, const int *calls)
{
    int error = 0;

    for (; calls != NULL && *calls != -1 && error == 0; calls++)
        error = seccomp_rule_add(filter, SCMP_ACT_ALLOW, *calls, 0);
    return -error;
}

/* Calls that are harmless with some arguments alone. */
static int calls_allow_in_part(scmp_filter_ctx filter, unsigned parts)
{
    int error = 0;

    error |= seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1,
                              SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
    error |= seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 1,
                              SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
    if (parts & NARROW_UNIX_SOCKETS) {
        error |= seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(socket), 1,
                                  SCMP_A0(SCMP_CMP_EQ, AF_UNIX, 0));
        error |= seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(socketpair), 1,
                                  SCMP_A0(SCMP_CMP_EQ, AF_UNIX, 0));
    }
    if (parts & NARROW_TCP_SOCKETS)
        error |= seccomp_rule_add(
            filter, SCMP_ACT_ALLOW, SCMP_SYS(socket), 3, SCMP_A0(SCMP_CMP_EQ, AF_INET, 0),
            SCMP_A1(SCMP_CMP_EQ, SOCK_STREAM | SOCK_CLOEXEC, 0), SCMP_A2(SCMP_CMP_EQ, 0, 0));
    if (parts & NARROW_OWN_LIMITS)
        error |= seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(prlimit64), 2,
                                  SCMP_A0(SCMP_CMP_EQ, 0, 0), SCMP_A2(SCMP_CMP_EQ, 0, 0));
    if (parts & NARROW_THREADS) {
        /* The flags of clone3 are in memory, where no filter sees them: libc goes on with clone
         * after ENOSYS. */
        error |= seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1,
                                  SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, CLONE_THREAD));
        error |= seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
    }
    if (parts & NARROW_PARENT_DEATH)
        error |= seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(prctl), 1,
                                  SCMP_A0(SCMP_CMP_EQ, PR_SET_PDEATHSIG, 0));
    return error == 0 ? 0 : EINVAL;
}

int narrow_calls(const int *more, const int *still_more, unsigned parts)
{
    /* Refused, not killed: a library may try something and do without it. */
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
    int error;

    if (filter == NULL)
        return ENOMEM;
    error = calls_allow(filter, common_calls);
    if (error == 0)
        error = calls_allow(filter, more);
    if (error == 0)
        error = calls_allow(filter, still_more);
    if (error == 0)
        error = calls_allow_in_part(filter, parts);
    if (error != 0)
        goto out;
    /* What is refused shows in the kernel's log. Kernels and audit set-ups that lack it: fine. */
    seccomp_attr_set(filter, SCMP_FLTATR_CTL_LOG, 1);
    error = -seccomp_load(filter);
out:
    seccomp_release(filter);
    return error;
}

int server_narrow(const int *system_calls, unsigned parts)
{
    return narrow_calls(server_calls, system_calls,
                        parts | NARROW_UNIX_SOCKETS | NARROW_OWN_LIMITS | NARROW_THREADS);
}
