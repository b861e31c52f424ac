/* What the filter costs a call that it lets through: nanoseconds with and without it, in
 * turn. The least of many short rounds: what else the machine does only adds. */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "fence/fence.h"
#include "shim/core/lane.h"

enum { ROUNDS = 41, CALLS = 10000 };

static int zero;

static long call_getppid(void)
{
    return system_call(SYS_getppid, 0, 0, 0, 0, 0, 0);
}

static long call_read(void)
{
    char byte;
    return system_call(SYS_read, zero, (long)&byte, 1, 0, 0, 0);
}

static long call_fstat(void)
{
    struct stat status;
    return system_call(SYS_fstat, zero, (long)&status, 0, 0, 0, 0);
}

static long call_fstat_libc(void)
{
    struct stat status;
    return system_call(SYS_newfstatat, zero, (long)"", (long)&status, AT_EMPTY_PATH, 0, 0);
}

static long call_dup_close(void)
{
    return system_call(SYS_close, system_call(SYS_dup, zero, 0, 0, 0, 0, 0), 0, 0, 0, 0, 0);
}

static long call_ioctl(void)
{
    return system_call(SYS_ioctl, zero, FIONREAD, 0, 0, 0, 0);
}

static long call_prctl(void)
{
    return system_call(SYS_prctl, PR_GET_DUMPABLE, 0, 0, 0, 0, 0);
}

static long call_open_close(void)
{
    long file = lane_call(SYS_openat, AT_FDCWD, (long)"/usr/lib/os-release", O_RDONLY, 0, 0);
    return system_call(SYS_close, file, 0, 0, 0, 0, 0);
}

static long call_access(void)
{
    return lane_call(SYS_faccessat, AT_FDCWD, (long)"/usr/lib/os-release", R_OK, 0, 0);
}

static const struct {
    const char *name;
    long (*call)(void);
    bool confined; /* not asked of a confined tree */
} calls[] = {
    {"getppid", call_getppid, true},
    {"read 1 byte", call_read, true},
    {"fstat", call_fstat, true},
    {"fstat by AT_EMPTY_PATH", call_fstat_libc, false},
    {"dup, close", call_dup_close, true},
    {"ioctl", call_ioctl, true},
    {"prctl", call_prctl, true},
    {"faccessat, laned", call_access, false},
    {"openat, laned, close", call_open_close, true},
};
enum { KINDS = sizeof calls / sizeof calls[0] };

static double nanoseconds(long (*call)(void))
{
    struct timespec start, end;

    clock_gettime(CLOCK_MONOTONIC, &start);
    for (int i = 0; i < CALLS; i++)
        call();
    clock_gettime(CLOCK_MONOTONIC, &end);
    return ((double)(end.tv_sec - start.tv_sec) * 1e9 + (double)(end.tv_nsec - start.tv_nsec)) /
           CALLS;
}

/* In a child: the filter is for ever. */
static void round_run(const struct fence_options *options, double *results)
{
    int status;
    pid_t pid = fork();

    if (pid < 0) {
        perror("fork");
        exit(1);
    }
    if (pid == 0) {
        int listener;
        if (options && fence_filter_install(options, &listener) != 0)
            _exit(1);
        for (int i = 0; i < KINDS; i++)
            if (!options || !options->confined || calls[i].confined)
                results[i] = nanoseconds(calls[i].call);
        _exit(0);
    }
    if (waitpid(pid, &status, 0) != pid || status != 0) {
        fprintf(stderr, "fence_bench: the filter can't be installed here\n");
        exit(1);
    }
}

int main(void)
{
    static const struct fence_options open_tree = {0};
    static const struct fence_options confined = {.confined = true, .report = true, .landlock = 6};
    static const struct fence_options *const modes[] = {NULL, &open_tree, &confined};
    double(*results)[ROUNDS][KINDS] =
        mmap(NULL, 3 * sizeof *results, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    zero = open("/dev/zero", O_RDONLY | O_CLOEXEC);
    if (zero < 0 || results == MAP_FAILED) {
        perror("fence_bench");
        return 1;
    }
    for (int round = 0; round < ROUNDS; round++)
        for (int mode = 0; mode < 3; mode++)
            round_run(modes[mode], results[mode][round]);
    printf("%-24s %8s %8s %8s\n", "ns a call", "without", "session", "confined");
    for (int i = 0; i < KINDS; i++) {
        printf("%-24s", calls[i].name);
        for (int mode = 0; mode < 3; mode++) {
            double least = results[mode][0][i];
            for (int round = 1; round < ROUNDS; round++)
                if (results[mode][round][i] < least)
                    least = results[mode][round][i];
            printf(" %8.0f", least);
        }
        putchar('\n');
    }
    return 0;
}
