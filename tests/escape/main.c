/* escape SETTINGS [NAME…]: try all ways, or these. One line each:
 *     held NAME: how          ESCAPED NAME: what it got          untried NAME: why
 * The status is 1 if one escaped. `escape --list` names them, with "natural" after those that every
 * ordinary user succeeds with natively; `escape --port SETTINGS` prints the port that may be
 * reached; `escape --target …` is the other side (target.c). */
#include "tests/escape/escape.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

/* A way that takes longer is held by that. */
#define WAY_SECONDS 60

const struct family *const families[FAMILY_COUNT] = {
    &family_files,   &family_changes, &family_readable, &family_attributes,
    &family_gates,   &family_starts,  &family_races,    &family_processes,
    &family_network, &family_objects, &family_kernel,   &family_servers,
};

static int ways_list(void)
{
    for (size_t i = 0; i < FAMILY_COUNT; i++)
        for (size_t j = 0; j < families[i]->count; j++)
            printf("%s %s%s\n", families[i]->name, families[i]->ways[j].name,
                   families[i]->ways[j].natural ? " natural" : "");
    return EXIT_SUCCESS;
}

static int settings_read(const char *path, struct outside *outside)
{
    int descriptor = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got;

    if (descriptor < 0)
        return errno;
    got = read(descriptor, outside, sizeof *outside);
    close(descriptor);
    return got == (ssize_t)sizeof *outside ? 0 : EINVAL;
}

/* In a process of its own: what it breaks, hangs in or is killed by is its own affair. */
static void way_try(const struct way *way, const struct outside *outside, struct trial *trial)
{
    int status;
    pid_t child;

    memset(trial, 0, sizeof *trial);
    trial->name = way->name;
    fflush(stdout);
    child = fork();
    if (child == 0) {
        setpgid(0, 0);
        alarm(WAY_SECONDS);
        way->attempt(outside, trial);
        _exit(0);
    }
    if (child < 0 || waitpid(child, &status, 0) != child) {
        tell_untried(trial, "no process: %s", strerror(errno));
        return;
    }
    kill(-child, SIGKILL);
    if (trial->outcome != OUTCOME_NONE)
        return;
    if (WIFSIGNALED(status))
        tell_held(trial, "ended by %s", strsignal(WTERMSIG(status)));
    else
        tell_untried(trial, "it said nothing");
}

static bool way_wanted(const char *name, char *const *names)
{
    if (names[0] == NULL)
        return true;
    for (; names[0] != NULL; names++)
        if (strcmp(names[0], name) == 0)
            return true;
    return false;
}

static int ways_try(const struct outside *outside, char *const *names)
{
    static const char *const words[] = {"none", "held", "ESCAPED", "untried"};
    unsigned counts[4] = {0};
    struct trial *trial =
        mmap(NULL, sizeof *trial, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    if (trial == MAP_FAILED)
        return 2;
    for (size_t i = 0; i < FAMILY_COUNT; i++)
        for (size_t j = 0; j < families[i]->count; j++) {
            if (!way_wanted(families[i]->ways[j].name, names))
                continue;
            way_try(&families[i]->ways[j], outside, trial);
            counts[trial->outcome]++;
            printf("%s %s: %s\n", words[trial->outcome], families[i]->ways[j].name, trial->text);
        }
    printf("%u held, %u escaped, %u untried\n", counts[OUTCOME_HELD], counts[OUTCOME_ESCAPED],
           counts[OUTCOME_UNTRIED]);
    munmap(trial, sizeof *trial);
    return counts[OUTCOME_ESCAPED] > 0 ? 1 : 0;
}

/* What ways start this program for: to read a file and tell it. */
static int file_tell(const char *path)
{
    char text[4096];
    int descriptor = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got;

    if (descriptor < 0) {
        printf("%s: %s\n", path, strerror(errno));
        return 1;
    }
    while ((got = read(descriptor, text, sizeof text)) > 0)
        fwrite(text, 1, (size_t)got, stdout);
    close(descriptor);
    return 0;
}

static int port_print(const char *settings)
{
    static struct outside outside;

    if (settings_read(settings, &outside) != 0)
        return 2;
    printf("%u\n", outside.port_allowed);
    return 0;
}

int main(int argc, char **argv)
{
    static struct outside outside;
    int error;

    signal(SIGPIPE, SIG_IGN);
    if (argc == 2 && strcmp(argv[1], "--list") == 0)
        return ways_list();
    if (argc == 3 && strcmp(argv[1], "--port") == 0)
        return port_print(argv[2]);
    if (argc == 3 && strcmp(argv[1], "--tell") == 0)
        return file_tell(argv[2]);
    if (argc > 2 && strcmp(argv[1], "--target") == 0)
        return target_run(argc - 2, argv + 2);
    if (argc < 2) {
        fprintf(stderr, "usage: escape SETTINGS [NAME…]\n");
        return 2;
    }
    error = settings_read(argv[1], &outside);
    if (error != 0) {
        fprintf(stderr, "escape: %s: %s\n", argv[1], strerror(error));
        return 2;
    }
    outside.parent = (uint64_t)getppid();
    return ways_try(&outside, argv + 2);
}
