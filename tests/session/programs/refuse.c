/* refuse WHAT… -- COMMAND…: COMMAND on a kernel, or in a container, that refuses what is named:
 *   seccomp    no filter can be installed
 *   landlock   it knows no Landlock
 *   reading    nobody reads another's memory by process_vm_readv (Yama's rule, by number)
 *   ptrace     nobody traces
 *   listener   somebody else's listener is above it
 * A filter does it, so that all that COMMAND starts meets the same. */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/filter.h>
#include <linux/seccomp.h>

enum { RULES = 16 };

struct rule {
    int number;
    int error;
};

struct refusals {
    struct rule rules[RULES];
    unsigned count;
    int listener;
};

static void refuse(struct refusals *refusals, int number, int error)
{
    refusals->rules[refusals->count++] = (struct rule){number, error};
}

static int refusals_add(struct refusals *refusals, const char *what)
{
    if (strcmp(what, "seccomp") == 0) {
        refuse(refusals, SYS_seccomp, EPERM);
    } else if (strcmp(what, "landlock") == 0) {
        for (int number = 444; number <= 446; number++)
            refuse(refusals, number, ENOSYS);
    } else if (strcmp(what, "reading") == 0) {
        refuse(refusals, SYS_process_vm_readv, EPERM);
        refuse(refusals, SYS_process_vm_writev, EPERM);
    } else if (strcmp(what, "ptrace") == 0) {
        refuse(refusals, SYS_ptrace, EPERM);
    } else if (strcmp(what, "listener") == 0) {
        refusals->listener = 1;
    } else {
        return -1;
    }
    return 0;
}

/* The filter; its listener, if there is to be one. */
static int install(const struct refusals *refusals)
{
    struct sock_filter program[2 * RULES + 4];
    unsigned short length = 0;

    program[length++] =
        (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
    for (unsigned i = 0; i < refusals->count; i++) {
        const struct rule *rule = &refusals->rules[i];
        program[length++] =
            (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)rule->number, 0, 1);
        program[length++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K,
                                                         SECCOMP_RET_ERRNO | (uint32_t)rule->error);
    }
    if (refusals->listener) {
        /* A call that nobody makes: the listener itself is what is in the way. */
        program[length++] =
            (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_uselib, 0, 1);
        program[length++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF);
    }
    program[length++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    struct sock_fprog filter = {.len = length, .filter = program};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return -1;
    return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER,
                        refusals->listener ? SECCOMP_FILTER_FLAG_NEW_LISTENER : 0, &filter);
}

/* While COMMAND runs: exec would close the listener, and then nothing is in the way any more. */
static int listener_keep(void)
{
    pid_t parent = getpid();
    pid_t keeper = fork();

    if (keeper == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        while (getppid() == parent)
            pause();
        _exit(0);
    }
    return keeper < 0 ? -1 : 0;
}

int main(int argc, char **argv)
{
    struct refusals refusals = {0};
    int at = 1;

    for (; at < argc && strcmp(argv[at], "--") != 0; at++)
        if (refusals_add(&refusals, argv[at]) != 0)
            break;
    if (at >= argc || strcmp(argv[at], "--") != 0 || !argv[at + 1]) {
        fprintf(stderr, "refuse: seccomp, landlock, reading, ptrace, listener -- COMMAND\n");
        return 125;
    }
    if (install(&refusals) < 0 || (refusals.listener && listener_keep() != 0)) {
        fprintf(stderr, "refuse: %s\n", strerror(errno));
        return 125;
    }
    execvp(argv[at + 1], argv + at + 1);
    fprintf(stderr, "refuse: %s: %s\n", argv[at + 1], strerror(errno));
    return 127;
}
