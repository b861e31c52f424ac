/* inject PID CALL…: make system calls in another process, as one would who had taken it over. A
 * CALL is one argument, "NUMBER ARGUMENT…": words that begin with a digit or '-' are numbers,
 * others the address of their text. Each result is printed on a line. */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

enum { RED_ZONE = 128, TEXT_ROOM = 4096, CODE = 0xcc050f /* syscall; int3 */ };

struct victim {
    pid_t pid;
    struct user_regs_struct before;
    long code; /* what was where the call is made */
};

static void fail(const char *what)
{
    fprintf(stderr, "inject: %s: %s\n", what, strerror(errno));
    exit(2);
}

static void stop_await(pid_t pid)
{
    int status;

    if (waitpid(pid, &status, 0) != pid || !WIFSTOPPED(status)) {
        fprintf(stderr, "inject: %d ended\n", pid);
        exit(2);
    }
}

static void victim_stop(struct victim *victim)
{
    if (ptrace(PTRACE_SEIZE, victim->pid, 0, 0) != 0)
        fail("ptrace");
    if (ptrace(PTRACE_INTERRUPT, victim->pid, 0, 0) != 0)
        fail("interrupt");
    stop_await(victim->pid);
    if (ptrace(PTRACE_GETREGS, victim->pid, 0, &victim->before) != 0)
        fail("registers");
    errno = 0;
    victim->code = ptrace(PTRACE_PEEKTEXT, victim->pid, victim->before.rip, 0);
    if (errno != 0 || ptrace(PTRACE_POKETEXT, victim->pid, victim->before.rip,
                             (victim->code & ~0xffffffl) | CODE) != 0)
        fail("code");
}

static void victim_release(const struct victim *victim)
{
    if (ptrace(PTRACE_POKETEXT, victim->pid, victim->before.rip, victim->code) != 0 ||
        ptrace(PTRACE_SETREGS, victim->pid, 0, &victim->before) != 0 ||
        ptrace(PTRACE_DETACH, victim->pid, 0, 0) != 0)
        fail("release");
}

static uint64_t text_put(const struct victim *victim, uint64_t *top, const char *text)
{
    struct iovec from = {.iov_base = (void *)(uintptr_t)text, .iov_len = strlen(text) + 1}, to;

    *top -= (from.iov_len + 15) & ~15ul;
    to = (struct iovec){.iov_base = (void *)(uintptr_t)*top, .iov_len = from.iov_len};
    if (process_vm_writev(victim->pid, &from, 1, &to, 1, 0) < 0)
        fail("memory");
    return *top;
}

static long victim_call(const struct victim *victim, char *call)
{
    uint64_t words[7] = {0}, top = victim->before.rsp - RED_ZONE - TEXT_ROOM;
    struct user_regs_struct registers = victim->before;
    char *rest = NULL;
    int count = 0;

    for (char *word = strtok_r(call, " ", &rest); word && count < 7;
         word = strtok_r(NULL, " ", &rest))
        words[count++] =
            strchr("-0123456789", word[0]) ? strtoul(word, NULL, 0) : text_put(victim, &top, word);
    registers.rax = words[0];
    registers.orig_rax = (uint64_t)-1; /* no call to be started again */
    registers.rdi = words[1];
    registers.rsi = words[2];
    registers.rdx = words[3];
    registers.r10 = words[4];
    registers.r8 = words[5];
    registers.r9 = words[6];
    if (ptrace(PTRACE_SETREGS, victim->pid, 0, &registers) != 0 ||
        ptrace(PTRACE_CONT, victim->pid, 0, 0) != 0)
        fail("go on");
    stop_await(victim->pid);
    if (ptrace(PTRACE_GETREGS, victim->pid, 0, &registers) != 0)
        fail("result");
    return (long)registers.rax;
}

int main(int count, char **arguments)
{
    struct victim victim;

    if (count < 3)
        return 1;
    victim.pid = atoi(arguments[1]);
    victim_stop(&victim);
    for (int i = 2; i < count; i++) {
        long result = victim_call(&victim, arguments[i]);
        printf("%s\n", result < 0 && result > -4096 ? strerrorname_np((int)-result) : "done");
    }
    victim_release(&victim);
    return 0;
}
