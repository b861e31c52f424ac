/* refuse WORD… -- COMMAND [ARG…]: run a command where what the words name is refused, as containers
 * and older kernels do:
 *     seccomp    filters (EPERM)                  listener   filters with a listener (EPERM)
 *     landlock   Landlock (ENOSYS)                memory     other processes' memory (EPERM)
 *     trace      ptrace (EPERM) */
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define ANY UINT32_MAX

/* A call; with an argument, only where that has any of these bits or, for prctl, this value. */
struct refusal {
    const char *word;
    uint32_t call;
    uint32_t argument; /* which; ANY: whatever they are */
    uint32_t bits;
    uint32_t error;
};

static const struct refusal refusals[] = {
    {"seccomp", SYS_seccomp, ANY, 0, EPERM},
    {"seccomp", SYS_prctl, 0, PR_SET_SECCOMP, EPERM},
    {"listener", SYS_seccomp, 1, SECCOMP_FILTER_FLAG_NEW_LISTENER, EPERM},
    {"landlock", SYS_landlock_create_ruleset, ANY, 0, ENOSYS},
    {"landlock", SYS_landlock_add_rule, ANY, 0, ENOSYS},
    {"landlock", SYS_landlock_restrict_self, ANY, 0, ENOSYS},
    {"memory", SYS_process_vm_readv, ANY, 0, EPERM},
    {"memory", SYS_process_vm_writev, ANY, 0, EPERM},
    {"trace", SYS_ptrace, ANY, 0, EPERM},
};

static int refusal_install(const struct refusal *refusal)
{
    uint16_t test = BPF_JMP | BPF_K | (refusal->call == SYS_prctl ? BPF_JEQ : BPF_JSET);
    uint32_t argument = refusal->argument == ANY ? 0 : refusal->argument;
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, refusal->call, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
                 (uint32_t)(offsetof(struct seccomp_data, args) + argument * sizeof(uint64_t))),
        BPF_JUMP(test, refusal->bits, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | refusal->error),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {.len = sizeof code / sizeof code[0], .filter = code};

    if (refusal->argument == ANY)
        code[3] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JA, 0, 0, 0);
    return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program);
}

/* Refusing seccomp must come last: after it nothing can be refused any more. */
static int word_refuse(const char *word)
{
    int known = 0;

    for (size_t i = sizeof refusals / sizeof refusals[0]; i-- > 0;)
        if (strcmp(refusals[i].word, word) == 0) {
            known = 1;
            if (refusal_install(&refusals[i]) < 0)
                return errno;
        }
    return known ? 0 : EINVAL;
}

int main(int argc, char **argv)
{
    int i, error = 0;

    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        error = errno;
    for (i = 1; i < argc && error == 0 && strcmp(argv[i], "--") != 0; i++)
        error = word_refuse(argv[i]);
    if (error != 0 || i + 1 >= argc) {
        fprintf(stderr, "refuse: %s: %s\n", i > 1 ? argv[i - 1] : "WORD", strerror(error));
        return 125;
    }
    execvp(argv[i + 1], argv + i + 1);
    fprintf(stderr, "refuse: %s: %s\n", argv[i + 1], strerror(errno));
    return 127;
}
