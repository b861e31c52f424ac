/* ptrace, for one call: the thread is stopped where its call would return, led through the call
 * that is meant, and let go with its own registers and that call's result. If a signal interrupts
 * the call, the result is the kernel's own wish to restart: then the thread repeats what it asked
 * first, and all begins anew.
 *
 * All signals are blocked while the thread is on a way that is not its own, but not in the call
 * itself: it can be interrupted as ever.
 *
 * A process of its own does it, since it lasts as long as the call may block. It is not ended with
 * its worker: a thread left half-way would run on with foreign registers. */
#include "servers/trap/guide.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shim/core/lane.h"

/* What lies below the stack pointer and is in use (the ABI's red zone). */
#define RED_ZONE 128u
/* Some runtimes' stacks end soon: a longer text gets memory of its own. */
#define TEXT_ON_STACK 128u
#define SYSCALL_LENGTH 2u
#define SYSCALL_OPCODE 0x050f

struct guided {
    pid_t thread;
    struct worker *worker;
    const struct guidance *guidance;
    struct user_regs_struct before; /* as its call was to return */
    uint64_t mask;                  /* its blocked signals */
    int error;                      /* why it can't go on; ECHILD: it has ended */
};

static bool stopped_by_event(int status, int event)
{
    return WIFSTOPPED(status) && status >> 16 == event;
}

/* Wait for its next stop that concerns us; a job control stop is waited out. */
static int stop_await(struct guided *guided, int *status)
{
    for (;;) {
        pid_t pid = waitpid(-1, status, __WALL);

        if (pid < 0 && errno == EINTR)
            continue;
        if (pid < 0 || WIFEXITED(*status) || WIFSIGNALED(*status))
            return ECHILD;
        /* An exec gives a thread its process's number. */
        guided->thread = pid;
        if (!stopped_by_event(*status, PTRACE_EVENT_STOP) || WSTOPSIG(*status) == SIGTRAP)
            return 0;
        ptrace(PTRACE_LISTEN, pid, NULL, NULL);
    }
}

static int mask_set(const struct guided *guided, uint64_t mask)
{
    return ptrace(PTRACE_SETSIGMASK, guided->thread, (void *)sizeof mask, &mask) == 0 ? 0 : errno;
}

/* Go on to the next stop at a system call's entry or exit. An event of exec ends the way, too. */
static int step_on(struct guided *guided, bool *executed)
{
    int signal = 0;

    *executed = false;
    for (;;) {
        int status, error;

        if (ptrace(PTRACE_SYSCALL, guided->thread, NULL, (void *)(intptr_t)signal) != 0)
            return errno;
        error = stop_await(guided, &status);
        if (error != 0)
            return error;
        if (stopped_by_event(status, PTRACE_EVENT_EXEC)) {
            *executed = true;
            return 0;
        }
        if (WSTOPSIG(status) == (SIGTRAP | 0x80))
            return 0;
        /* An event stop is over; a signal (a fault of its own) is passed on. */
        signal = status >> 16 == 0 ? WSTOPSIG(status) : 0;
    }
}

/* Lead it through one call, from the stop it is in to the stop at the call's exit. `open`: its
 * signals are its own meanwhile. */
static int call_lead(struct guided *guided, int number, const long arguments[6], bool open,
                     long *result, bool *executed)
{
    struct user_regs_struct registers = guided->before;
    int error;

    registers.rip -= SYSCALL_LENGTH;
    registers.rax = (unsigned long long)number;
    registers.orig_rax = ~0ull; /* not in a call: nothing to restart */
    registers.rdi = (unsigned long long)arguments[0];
    registers.rsi = (unsigned long long)arguments[1];
    registers.rdx = (unsigned long long)arguments[2];
    registers.r10 = (unsigned long long)arguments[3];
    registers.r8 = (unsigned long long)arguments[4];
    registers.r9 = (unsigned long long)arguments[5];
    if (ptrace(PTRACE_SETREGS, guided->thread, NULL, &registers) != 0)
        return errno;
    error = step_on(guided, executed); /* its entry */
    if (error == 0 && open)
        error = mask_set(guided, guided->mask);
    if (error == 0)
        error = step_on(guided, executed);
    if (error != 0 || *executed)
        return error;
    if (open)
        error = mask_set(guided, ~0ull);
    if (error == 0 && ptrace(PTRACE_GETREGS, guided->thread, NULL, &registers) != 0)
        error = errno;
    *result = (long)registers.rax;
    return error;
}

static int memory_put(const struct guided *guided, uint64_t to, const void *from, size_t length)
{
    const char *bytes = from;

    for (size_t at = 0; at < length; at += sizeof(long)) {
        size_t rest = length - at < sizeof(long) ? length - at : sizeof(long);
        long word = 0;

        memcpy(&word, bytes + at, rest);
        if (ptrace(PTRACE_POKEDATA, guided->thread, (void *)(uintptr_t)(to + at), (void *)word) !=
            0)
            return errno;
    }
    return 0;
}

/* Memory of its own for a long text. */
static int memory_take(struct guided *guided, size_t length, uint64_t *at)
{
    const long map[6] = {0, (long)length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
                         0};
    bool executed;
    long result = -EIO;
    int error = call_lead(guided, SYS_mmap, map, false, &result, &executed);

    if (error == 0 && (unsigned long)result > -4096ul)
        error = (int)-result;
    *at = (uint64_t)result;
    return error;
}

/* A call of the guide's own. Its result, or -errno. */
static long own_call(struct guided *guided, int number, long one, long two, long three)
{
    const long arguments[6] = {one, two, three};
    bool executed;
    long result = -EIO;
    int error = call_lead(guided, number, arguments, false, &result, &executed);

    return error != 0 ? -error : result;
}

/* The number that an open would have given it. */
static long descriptor_settle(struct guided *guided, long descriptor, int command)
{
    long lowest = own_call(guided, SYS_fcntl, descriptor, command, 0);

    if (lowest < 0)
        return descriptor;
    own_call(guided, SYS_close, lowest < descriptor ? descriptor : lowest, 0, 0);
    return lowest < descriptor ? lowest : descriptor;
}

/* From its first stop to the last. */
static int lead(struct guided *guided)
{
    const struct guidance *guidance = guided->guidance;
    long arguments[6], result = -EIO;
    uint64_t text = 0;
    bool mapped = false, executed = false;
    int error = 0;

    memcpy(arguments, guidance->arguments, sizeof arguments);
    if (guidance->text_at >= 0) {
        mapped = guidance->text_length > TEXT_ON_STACK;
        if (mapped)
            error = memory_take(guided, guidance->text_length, &text);
        else
            text = (guided->before.rsp - RED_ZONE - guidance->text_length) & ~15ull;
        if (guidance->relocate != NULL)
            guidance->relocate(guidance->text, text);
        if (error == 0)
            error = memory_put(guided, text, guidance->text, guidance->text_length);
        arguments[guidance->text_at] = (long)(text + guidance->text_offset);
        if (guidance->also_offset > 0)
            arguments[guidance->also_at] = (long)(text + guidance->also_offset);
    }
    /* The lane: past the trap server. */
    arguments[5] = (long)LANE_COOKIE;
    if (error == 0)
        error = call_lead(guided, guidance->number, arguments, true, &result, &executed);
    if (executed || error == ECHILD)
        return error;
    if (error != 0)
        result = -error;
    if (error == 0 && guidance->after != NULL)
        guidance->after(guided->worker, guidance, text, &result);
    if (mapped && text != 0)
        own_call(guided, SYS_munmap, (long)text, (long)guidance->text_length, 0);
    if (guidance->descriptor >= 0)
        own_call(guided, SYS_close, arguments[0], 0, 0);
    if (guidance->settle != 0 && result >= 0)
        result = descriptor_settle(guided, result, guidance->settle);
    guided->before.rax = (unsigned long long)result;
    return ptrace(PTRACE_SETREGS, guided->thread, NULL, &guided->before) == 0 ? 0 : errno;
}

/* Its call, as it was to return: the instruction in front must be the one that can be repeated. */
static int registers_take(struct guided *guided, int number)
{
    long word;

    if (ptrace(PTRACE_GETREGS, guided->thread, NULL, &guided->before) != 0 ||
        ptrace(PTRACE_GETSIGMASK, guided->thread, (void *)sizeof guided->mask, &guided->mask) != 0)
        return errno;
    /* A restart of the kernel's own goes back to the call as the program made it. */
    guided->before.orig_rax = (unsigned long long)number;
    errno = 0;
    word = ptrace(PTRACE_PEEKDATA, guided->thread,
                  (void *)(uintptr_t)(guided->before.rip - SYSCALL_LENGTH), NULL);
    if (errno != 0)
        return errno;
    return (word & 0xffff) == SYSCALL_OPCODE ? 0 : EOPNOTSUPP;
}

static int descriptor_hand_over(const struct worker *worker, struct guidance *guidance)
{
    struct seccomp_notif_addfd add = {.id = worker->slot->notification.id,
                                      .srcfd = (uint32_t)guidance->descriptor,
                                      .newfd_flags = O_CLOEXEC};
    int number = ioctl(worker->listener, SECCOMP_IOCTL_NOTIF_ADDFD, &add);

    if (number < 0)
        return errno;
    guidance->arguments[0] = number;
    return 0;
}

static void report(int pipe_end, int error)
{
    if (write(pipe_end, &error, sizeof error) != (ssize_t)sizeof error)
        _exit(1);
}

/* The listener among others: its other end must hang up when the worker lets it go. Not the memory
 * that the thread's root opened for us, by which what it received is read. */
static void others_close(int memory)
{
    if (memory > 3)
        syscall(SYS_close_range, 3, memory - 1, 0);
    syscall(SYS_close_range, memory >= 3 ? memory + 1 : 3, ~0u, 0);
}

/* The guide: takes the thread over, says so, and stays with it until the call is done. */
_Noreturn static void guide_start(struct worker *worker, struct guidance *guidance, int told)
{
    struct guided guided = {.thread = worker->client.tid, .worker = worker, .guidance = guidance};
    struct seccomp_notif_resp response = {.id = worker->slot->notification.id, .error = -EINTR};
    int number = worker->slot->notification.data.nr;
    int status, error = 0;

    signal(SIGCHLD, SIG_DFL);
    prctl(PR_SET_PDEATHSIG, 0);
    setsid();
    if (ptrace(PTRACE_SEIZE, guided.thread, NULL,
               (void *)(PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEEXEC)) != 0)
        error = errno == ESRCH ? ESRCH : EPERM;
    if (error == 0 && guidance->descriptor >= 0)
        error = descriptor_hand_over(worker, guidance);
    if (error == 0 && ptrace(PTRACE_INTERRUPT, guided.thread, NULL, NULL) != 0)
        error = errno;
    if (error != 0) {
        report(told, error);
        _exit(1);
    }
    /* It goes on to its stop. ENOENT: the interruption was enough. */
    ioctl(worker->listener, SECCOMP_IOCTL_NOTIF_SEND, &response);
    report(told, 0);
    others_close(worker->client.memory);
    error = stop_await(&guided, &status);
    if (error == 0)
        error = registers_take(&guided, number);
    if (error == EOPNOTSUPP) {
        guided.before.rax = (unsigned long long)-EOPNOTSUPP;
        ptrace(PTRACE_SETREGS, guided.thread, NULL, &guided.before);
    } else if (error == 0 && mask_set(&guided, ~0ull) == 0) {
        error = lead(&guided);
        if (error != ECHILD)
            mask_set(&guided, guided.mask);
    }
    ptrace(PTRACE_DETACH, guided.thread, NULL, NULL);
    _exit(0);
}

long guide(struct worker *worker, const struct guidance *guidance)
{
    struct guidance copy = *guidance;
    int told[2], error = EIO;
    ssize_t got;
    pid_t pid;

    if (pipe2(told, O_CLOEXEC) != 0)
        return -errno;
    pid = fork();
    if (pid == 0)
        guide_start(worker, &copy, told[1]);
    close(told[1]);
    if (pid < 0) {
        error = errno;
    } else {
        do
            got = read(told[0], &error, sizeof error);
        while (got < 0 && errno == EINTR);
        if (got != (ssize_t)sizeof error)
            error = EIO;
    }
    close(told[0]);
    return -error;
}
