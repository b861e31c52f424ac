/* timed COMMAND…: run it and print to descriptor 3, in nanoseconds, how long it took, how much
 * processor time it used, and the instant (CLOCK_MONOTONIC) at which this program's main began. */
#include <errno.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

static int64_t now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

int main(int argc, char **argv)
{
    int64_t began = now();
    int status = 0;
    if (argc > 1) {
        pid_t pid;
        int error = posix_spawnp(&pid, argv[1], NULL, NULL, argv + 1, environ);
        if (error) {
            fprintf(stderr, "%s: %s\n", argv[1], strerror(error));
            return 127;
        }
        while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
            ;
    }
    int64_t taken = now() - began;
    struct rusage used;
    getrusage(RUSAGE_CHILDREN, &used);
    int64_t processor = (int64_t)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) * 1000000000 +
                        (int64_t)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) * 1000;
    dprintf(3, "%lld %lld %lld\n", (long long)taken, (long long)processor, (long long)began);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
