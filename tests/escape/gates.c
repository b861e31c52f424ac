/* Other gates into the kernel, and ways to be taken for somebody whose calls are decided already.
 */
#include "tests/escape/escape.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/io_uring.h>
#include <linux/openat2.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shim/core/lane.h"

/* Bit 30 of a number: the ABI of 32-bit pointers. */
#define X32 0x40000000L

/* A copy of the path that 32 bits can point to. */
static char *low_copy(const char *path)
{
    char *low = mmap(NULL, PATH_MAX, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);

    if (low == MAP_FAILED)
        return NULL;
    snprintf(low, PATH_MAX, "%s", path);
    return low;
}

static long old_gate(long number, const void *one, long two, long three)
{
    long result;

    __asm__ volatile("int $0x80"
                     : "=a"(result)
                     : "a"(number), "b"(one), "c"(two), "d"(three)
                     : "memory", "r8", "r9", "r10", "r11");
    if (result < 0 && result > -4096) {
        errno = (int)-result;
        return -1;
    }
    return result;
}

static void by_int80(const struct outside *outside, struct trial *trial)
{
    enum { OPEN_OF_I386 = 5 };
    char *path = low_copy(outside->secret);

    if (path == NULL)
        tell_untried(trial, "no memory below 4 GiB: %s", strerror(errno));
    else
        tell_descriptor(trial, (int)old_gate(OPEN_OF_I386, path, O_RDONLY, 0));
}

static void by_int80_chmod(const struct outside *outside, struct trial *trial)
{
    enum { CHMOD_OF_I386 = 15 };
    char victim[PATH_MAX];
    char *path = low_copy(path_of_victim(victim, outside, trial));

    if (path == NULL)
        tell_untried(trial, "no memory below 4 GiB: %s", strerror(errno));
    else
        tell_call(trial, old_gate(CHMOD_OF_I386, path, 0666, 0), "changed a mode");
}

static void by_x32(const struct outside *outside, struct trial *trial)
{
    tell_descriptor(trial, (int)syscall(X32 | SYS_openat, AT_FDCWD, outside->secret, O_RDONLY, 0));
}

static void by_x32_stat(const struct outside *outside, struct trial *trial)
{
    struct stat status;

    tell_call(trial, syscall(X32 | SYS_stat, outside->secret, &status), "told its attributes");
}

struct ring {
    struct io_uring_params parameters;
    int descriptor;
    char *submissions, *completions;
    struct io_uring_sqe *entry;
};

static bool ring_make(struct ring *ring)
{
    struct io_uring_params *p = &ring->parameters;
    size_t in, out;

    memset(ring, 0, sizeof *ring);
    ring->descriptor = (int)syscall(SYS_io_uring_setup, 4, p);
    if (ring->descriptor < 0)
        return false;
    in = p->sq_off.array + p->sq_entries * sizeof(uint32_t);
    out = p->cq_off.cqes + p->cq_entries * sizeof(struct io_uring_cqe);
    ring->submissions = mmap(NULL, in, PROT_READ | PROT_WRITE, MAP_SHARED, ring->descriptor,
                             (off_t)IORING_OFF_SQ_RING);
    ring->completions = mmap(NULL, out, PROT_READ | PROT_WRITE, MAP_SHARED, ring->descriptor,
                             (off_t)IORING_OFF_CQ_RING);
    ring->entry = mmap(NULL, p->sq_entries * sizeof *ring->entry, PROT_READ | PROT_WRITE,
                       MAP_SHARED, ring->descriptor, (off_t)IORING_OFF_SQES);
    return ring->submissions != MAP_FAILED && ring->completions != MAP_FAILED &&
           ring->entry != MAP_FAILED;
}

static int ring_submit(struct ring *ring)
{
    const struct io_uring_params *p = &ring->parameters;
    const struct io_uring_cqe *done =
        (const struct io_uring_cqe *)(const void *)(ring->completions + p->cq_off.cqes);

    *(uint32_t *)(void *)(ring->submissions + p->sq_off.array) = 0;
    __atomic_store_n((uint32_t *)(void *)(ring->submissions + p->sq_off.tail), 1u,
                     __ATOMIC_RELEASE);
    if (syscall(SYS_io_uring_enter, ring->descriptor, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0) < 0)
        return -1;
    if (done->res < 0) {
        errno = -done->res;
        return -1;
    }
    return done->res;
}

static void by_ring(const struct outside *outside, struct trial *trial)
{
    struct ring ring;

    if (!ring_make(&ring)) {
        tell_held(trial, "no ring: %s", strerror(errno));
        return;
    }
    ring.entry->opcode = IORING_OP_OPENAT;
    ring.entry->fd = AT_FDCWD;
    ring.entry->addr = (uint64_t)(uintptr_t)outside->secret;
    ring.entry->open_flags = O_RDONLY;
    tell_descriptor(trial, ring_submit(&ring));
}

static void by_ring_unlink(const struct outside *outside, struct trial *trial)
{
    char path[PATH_MAX];
    struct ring ring;

    if (!ring_make(&ring)) {
        tell_held(trial, "no ring: %s", strerror(errno));
        return;
    }
    ring.entry->opcode = IORING_OP_UNLINKAT;
    ring.entry->fd = AT_FDCWD;
    ring.entry->addr = (uint64_t)(uintptr_t)path_of_victim(path, outside, trial);
    tell_call(trial, ring_submit(&ring), "removed a file");
}

/* The lane's cookie is no secret: whoever knows it may send it along. */
static void by_cookie_open(const struct outside *outside, struct trial *trial)
{
    tell_descriptor(
        trial, (int)syscall(SYS_openat, AT_FDCWD, outside->secret, O_RDONLY, 0, 0, LANE_COOKIE));
}

static void by_cookie_old_open(const struct outside *outside, struct trial *trial)
{
    tell_descriptor(trial, (int)syscall(SYS_open, outside->secret, O_RDONLY, 0, 0, 0, LANE_COOKIE));
}

static void by_cookie_openat2(const struct outside *outside, struct trial *trial)
{
    struct open_how how = {.flags = O_PATH};
    int descriptor =
        (int)syscall(SYS_openat2, AT_FDCWD, outside->secret, &how, sizeof how, 0, LANE_COOKIE);
    struct stat status;

    if (descriptor < 0)
        tell_held(trial, "%s", strerror(errno));
    else
        tell_call(trial, fstat(descriptor, &status), "told its attributes");
}

/* O_PATH is not checked by Landlock; fstat is native. */
static void by_cookie_path(const struct outside *outside, struct trial *trial)
{
    int descriptor = (int)syscall(SYS_openat, AT_FDCWD, outside->secret, O_PATH, 0, 0, LANE_COOKIE);
    struct stat status;

    if (descriptor < 0)
        tell_held(trial, "%s", strerror(errno));
    else
        tell_call(trial, fstat(descriptor, &status), "told its attributes");
}

/* Neither for reading nor for writing, but to control what is there: Landlock lets that pass. */
static void by_cookie_control(const struct outside *outside, struct trial *trial)
{
    enum { CONTROL = 3 };
    char path[PATH_MAX];
    int descriptor = (int)syscall(SYS_openat, AT_FDCWD, path_of_victim(path, outside, trial),
                                  CONTROL, 0, 0, LANE_COOKIE);
    struct stat status;

    if (descriptor < 0)
        tell_held(trial, "%s", strerror(errno));
    else
        tell_call(trial, fstat(descriptor, &status), "told its attributes");
}

static void by_cookie_stat(const struct outside *outside, struct trial *trial)
{
    struct stat status;

    tell_call(trial, syscall(SYS_newfstatat, AT_FDCWD, outside->secret, &status, 0, 0, LANE_COOKIE),
              "told its attributes");
}

static void by_cookie_access(const struct outside *outside, struct trial *trial)
{
    tell_call(trial, syscall(SYS_access, outside->secret, R_OK, 0, 0, 0, LANE_COOKIE),
              "told that it can be read");
}

static void by_cookie_chmod(const struct outside *outside, struct trial *trial)
{
    char path[PATH_MAX];

    tell_call(trial,
              syscall(SYS_chmod, path_of_victim(path, outside, trial), 0666, 0, 0, 0, LANE_COOKIE),
              "changed a mode");
}

static void by_cookie_truncate(const struct outside *outside, struct trial *trial)
{
    char path[PATH_MAX];

    tell_call(trial,
              syscall(SYS_truncate, path_of_victim(path, outside, trial), 1, 0, 0, 0, LANE_COOKIE),
              "truncated a file");
}

static void by_cookie_unlink(const struct outside *outside, struct trial *trial)
{
    char path[PATH_MAX];

    tell_call(trial,
              syscall(SYS_unlink, path_of_victim(path, outside, trial), 0, 0, 0, 0, LANE_COOKIE),
              "removed a file");
}

static void by_cookie_xattr(const struct outside *outside, struct trial *trial)
{
    char names[1024];

    tell_call(trial,
              syscall(SYS_listxattr, outside->secret, names, sizeof names, 0, 0, LANE_COOKIE),
              "listed attributes");
}

static void by_cookie_inotify(const struct outside *outside, struct trial *trial)
{
    int watcher = (int)syscall(SYS_inotify_init1, 0);

    tell_call(trial,
              syscall(SYS_inotify_add_watch, watcher, outside->directory, 2, 0, 0, LANE_COOKIE),
              "watches a directory");
}

static void by_cookie_chdir(const struct outside *outside, struct trial *trial)
{
    if (syscall(SYS_chdir, outside->directory, 0, 0, 0, 0, LANE_COOKIE) != 0)
        tell_held(trial, "%s", strerror(errno));
    else
        tell_descriptor(trial,
                        (int)syscall(SYS_openat, AT_FDCWD, "secret", O_RDONLY, 0, 0, LANE_COOKIE));
}

static bool filter_install(const struct sock_filter *code, unsigned short count, int *listener)
{
    struct sock_fprog program = {.len = count, .filter = (struct sock_filter *)(uintptr_t)code};
    long result;

    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    result = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER,
                     listener != NULL ? SECCOMP_FILTER_FLAG_NEW_LISTENER : 0, &program);
    if (listener != NULL)
        *listener = (int)result;
    return result >= 0;
}

/* A filter of one's own that allows everything. */
static void by_own_filter(const struct outside *outside, struct trial *trial)
{
    static const struct sock_filter allow[] = {{.code = BPF_RET | BPF_K, .k = SECCOMP_RET_ALLOW}};

    if (!filter_install(allow, 1, NULL))
        tell_held(trial, "no filter of its own: %s", strerror(errno));
    else
        tell_descriptor(trial, (int)syscall(SYS_openat, AT_FDCWD, outside->secret, O_RDONLY, 0));
}

/* A listener of one's own below the session's: it would be the one that is asked, and lets all go
 * on. */
static void by_own_listener(const struct outside *outside, struct trial *trial)
{
    static const struct sock_filter ask[] = {
        {.code = BPF_LD | BPF_W | BPF_ABS, .k = offsetof(struct seccomp_data, nr)},
        {.code = BPF_JMP | BPF_JEQ | BPF_K, .k = SYS_openat, .jt = 0, .jf = 1},
        {.code = BPF_RET | BPF_K, .k = SECCOMP_RET_USER_NOTIF},
        {.code = BPF_RET | BPF_K, .k = SECCOMP_RET_ALLOW}};
    struct seccomp_notif_resp answer = {.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE};
    struct seccomp_notif question = {0};
    int listener;

    /* The listener is shared with the child that is asked about. */
    if (!filter_install(ask, 4, &listener)) {
        tell_held(trial, "no listener of its own: %s", strerror(errno));
        return;
    }
    if (fork() == 0) {
        tell_descriptor(trial, (int)syscall(SYS_openat, AT_FDCWD, outside->secret, O_RDONLY, 0));
        _exit(0);
    }
    if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &question) == 0) {
        answer.id = question.id;
        ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &answer);
    }
    wait(NULL);
}

/* The child opens an allowed file; its tracer gives it another path when it enters the kernel. */
static void trace_rewritten(const struct outside *outside, struct trial *trial, const char *plain)
{
    struct user_regs_struct registers;
    char text[256];
    int status;
    pid_t child = fork();

    if (child == 0) {
        ptrace(PTRACE_TRACEME, 0, NULL, NULL);
        raise(SIGSTOP);
        tell_descriptor(trial, (int)syscall(SYS_openat, AT_FDCWD, plain, O_RDONLY, 0));
        _exit(0);
    }
    snprintf(text, sizeof text, "%s", "no stop at the call");
    while (waitpid(child, &status, 0) == child && WIFSTOPPED(status)) {
        if (ptrace(PTRACE_GETREGS, child, NULL, &registers) == 0 &&
            registers.orig_rax == SYS_openat &&
            registers.rsi == (unsigned long long)(uintptr_t)plain) {
            /* Both have this memory at the same place. */
            registers.rsi = (unsigned long long)(uintptr_t)outside->secret;
            if (ptrace(PTRACE_SETREGS, child, NULL, &registers) == 0)
                snprintf(text, sizeof text, "%s", "rewritten");
        }
        if (ptrace(PTRACE_SYSCALL, child, NULL, NULL) != 0)
            break;
    }
    if (trial->outcome == OUTCOME_NONE)
        tell_held(trial, "%s", text);
}

static void by_trace(const struct outside *outside, struct trial *trial)
{
    char own[PATH_MAX];

    if (!file_make(path_of_own(own, outside, trial, ""), "plain", 0600))
        tell_untried(trial, "no file of its own: %s", strerror(errno));
    else
        trace_rewritten(outside, trial, own);
    unlink(own);
}

/* As a child that jumps out by the tracer's changing the number: allowed getpid becomes openat. */
static void by_trace_number(const struct outside *outside, struct trial *trial)
{
    struct user_regs_struct registers;
    int status;
    pid_t child = fork();

    if (child == 0) {
        ptrace(PTRACE_TRACEME, 0, NULL, NULL);
        raise(SIGSTOP);
        tell_descriptor(trial, (int)syscall(SYS_getppid));
        _exit(0);
    }
    while (waitpid(child, &status, 0) == child && WIFSTOPPED(status)) {
        if (ptrace(PTRACE_GETREGS, child, NULL, &registers) == 0 &&
            registers.orig_rax == SYS_getppid) {
            registers.orig_rax = SYS_openat;
            registers.rdi = (unsigned long long)(long long)AT_FDCWD;
            registers.rsi = (unsigned long long)(uintptr_t)outside->secret;
            registers.rdx = O_RDONLY;
            ptrace(PTRACE_SETREGS, child, NULL, &registers);
        }
        if (ptrace(PTRACE_SYSCALL, child, NULL, NULL) != 0)
            break;
    }
    if (trial->outcome == OUTCOME_NONE)
        tell_held(trial, "not traced");
}

/* Numbers that the table does not know, one of them with an openat's arguments. */
static void by_unknown_number(const struct outside *outside, struct trial *trial)
{
    static const long numbers[] = {470, 511, 512, 547, 600, 1023, 4096, 1L << 31};

    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        long result = syscall(numbers[i], AT_FDCWD, outside->secret, O_RDONLY, 0);

        if (result >= 0)
            tell_escaped(trial, "number %ld did something", numbers[i]);
    }
    tell_held(trial, "%s", strerror(errno));
}

static const struct way ways[] = {
    {"int80", by_int80, false},
    {"int80-chmod", by_int80_chmod, false},
    {"x32", by_x32, false},
    {"x32-stat", by_x32_stat, false},
    {"io-uring", by_ring, false},
    {"io-uring-unlink", by_ring_unlink, false},
    {"cookie-open", by_cookie_open, true},
    {"cookie-open-old", by_cookie_old_open, true},
    {"cookie-openat2", by_cookie_openat2, true},
    {"cookie-path", by_cookie_path, true},
    {"cookie-control", by_cookie_control, true},
    {"cookie-stat", by_cookie_stat, true},
    {"cookie-access", by_cookie_access, true},
    {"cookie-chmod", by_cookie_chmod, true},
    {"cookie-truncate", by_cookie_truncate, true},
    {"cookie-unlink", by_cookie_unlink, true},
    {"cookie-listxattr", by_cookie_xattr, false},
    {"cookie-inotify", by_cookie_inotify, true},
    {"cookie-chdir", by_cookie_chdir, true},
    {"own-filter", by_own_filter, true},
    {"own-listener", by_own_listener, true},
    {"traced-path", by_trace, true},
    {"traced-number", by_trace_number, true},
    {"unknown-number", by_unknown_number, false},
};

const struct family family_gates = {"gates", ways, sizeof ways / sizeof ways[0]};
