/* What an installed filter really does with calls that must not be made: each is tried in children
 * of which a second filter holds back whatever the first one lets through.
 *
 * Of the verdicts of two filters the kernel takes the strictest: an errno before a question to the
 * listener, that before "ask the tracer", and of two errnos the younger filter's. So one child runs
 * with "ask the tracer" (there is none: ENOSYS) over the filter, which shows what is asked; another
 * with an errno of its own below it, which shows what is refused. The rest is native. */
#ifndef FENCE_TRY_H
#define FENCE_TRY_H

#include <check.h>
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fence/fence.h"

enum {
    TRY_NATIVE = 0,
    TRY_ASKED = -1, /* else a positive number: refused with that errno */
    TRY_MARK = ENOTNAM,
    TRY_ANSWER = 4242,
    TRY_LEAVE = 0x7e57, /* the sixth argument of the child's own last call */
};

struct attempt {
    uint32_t number;
    long arguments[6];
    int met;
};

struct trial {
    volatile int ready;
    volatile int listener;
    volatile int wrong_number;
    volatile uint32_t current;
    long results[2048];
};

/* A filter that answers everything but the child's last call with `action`. */
static inline int hold_back(uint32_t action)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[5])),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, TRY_LEAVE, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        BPF_STMT(BPF_RET | BPF_K, action),
    };
    const struct sock_fprog program = {.len = sizeof code / sizeof code[0], .filter = code};

    /* The sixth argument lets this very call through a filter below. */
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return errno;
    return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program, 0, 0, TRY_LEAVE) == 0 ? 0
                                                                                            : errno;
}

static inline void attempts_make(struct trial *trial, const struct attempt *attempts, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const long *a = attempts[i].arguments;
        trial->current = attempts[i].number;
        errno = 0;
        trial->results[i] =
            syscall((long)(int)attempts[i].number, a[0], a[1], a[2], a[3], a[4], a[5]);
        if (trial->results[i] == -1)
            trial->results[i] = -errno;
    }
    syscall(SYS_exit_group, 0, 0, 0, 0, 0, TRY_LEAVE);
}

static inline void questions_answer(struct trial *trial)
{
    struct pollfd wait = {.fd = trial->listener, .events = POLLIN};

    for (;;) {
        struct seccomp_notif question = {0};
        struct seccomp_notif_resp answer = {.val = TRY_ANSWER};

        if (poll(&wait, 1, 10000) <= 0 || !(wait.revents & POLLIN))
            return;
        if (ioctl(trial->listener, SECCOMP_IOCTL_NOTIF_RECV, &question) != 0)
            continue;
        if ((uint32_t)question.data.nr != trial->current)
            trial->wrong_number = 1;
        answer.id = question.id;
        ioctl(trial->listener, SECCOMP_IOCTL_NOTIF_SEND, &answer);
    }
}

/* A child that shares our descriptors: what it installs we can listen to. */
static inline pid_t child_start(void)
{
    return (pid_t)syscall(SYS_clone, CLONE_FILES | SIGCHLD, 0, 0, 0, 0);
}

static inline void trial_asked(struct trial *trial, const struct fence_options *options,
                               const struct attempt *attempts, size_t count)
{
    pid_t pid = child_start();
    int status;

    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        int listener;
        if (fence_filter_install(options, &listener) != 0 || hold_back(SECCOMP_RET_TRACE) != 0)
            _exit(1);
        trial->listener = listener;
        __atomic_store_n(&trial->ready, 1, __ATOMIC_RELEASE);
        attempts_make(trial, attempts, count);
    }
    while (!__atomic_load_n(&trial->ready, __ATOMIC_ACQUIRE) && waitpid(pid, &status, WNOHANG) == 0)
        sched_yield();
    ck_assert_int_eq(trial->ready, 1);
    questions_answer(trial);
    close(trial->listener);
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_int_eq(status, 0);
    ck_assert_int_eq(trial->wrong_number, 0);
}

static inline void trial_refused(struct trial *trial, const struct fence_options *options,
                                 const struct attempt *attempts, size_t count)
{
    pid_t pid = fork();
    int status;

    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        struct fence_program program;
        struct sock_fprog code;
        /* Installed by hand: the filter below lets only what carries its mark through, and a
         * question is hidden by that filter's errno, so that no listener is needed. */
        fence_program_build(options, &program);
        code = (struct sock_fprog){.len = program.count, .filter = program.code};
        if (hold_back(SECCOMP_RET_ERRNO | TRY_MARK) != 0 ||
            syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &code, 0, 0, TRY_LEAVE) != 0)
            _exit(1);
        attempts_make(trial, attempts, count);
    }
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_int_eq(status, 0);
}

/* Set `met` of each attempt. */
static inline void attempts_try(const struct fence_options *options, struct attempt *attempts,
                                size_t count)
{
    struct trial *trial =
        mmap(NULL, sizeof *trial, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    ck_assert_ptr_ne(trial, MAP_FAILED);
    ck_assert_uint_le(count, sizeof trial->results / sizeof trial->results[0]);
    trial_asked(trial, options, attempts, count);
    for (size_t i = 0; i < count; i++)
        attempts[i].met = trial->results[i] == TRY_ANSWER ? TRY_ASKED : TRY_NATIVE;
    trial_refused(trial, options, attempts, count);
    for (size_t i = 0; i < count; i++)
        if (trial->results[i] != -TRY_MARK)
            attempts[i].met = (int)-trial->results[i];
    munmap(trial, sizeof *trial);
}

#endif
