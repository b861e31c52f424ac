/* Ways to do more than read with what may be read. */
#include "tests/escape/escape.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

static const char *path_of(char *buffer, const struct outside *outside, const struct trial *trial)
{
    return path_in(buffer, outside->readable, trial->name);
}

/* Open for reading, as it may be. */
static int descriptor_of(const struct outside *outside, struct trial *trial)
{
    char path[PATH_MAX];
    int descriptor = open(path_of(path, outside, trial), O_RDONLY | O_CLOEXEC);

    if (descriptor < 0)
        tell_untried(trial, "it can't be read: %s", strerror(errno));
    return descriptor;
}

static void by_write(const struct outside *outside, struct trial *trial)
{
    char path[PATH_MAX];

    tell_call(trial, open(path_of(path, outside, trial), O_WRONLY | O_CLOEXEC),
              "opened it for writing");
}

static void by_truncation(const struct outside *outside, struct trial *trial)
{
    char path[PATH_MAX];

    tell_call(trial, open(path_of(path, outside, trial), O_RDONLY | O_TRUNC | O_CLOEXEC),
              "truncated it");
}

static void reopen(const struct outside *outside, struct trial *trial, int flags, const char *gain)
{
    int descriptor = descriptor_of(outside, trial);
    char path[64];

    snprintf(path, sizeof path, "/proc/self/fd/%d", descriptor);
    if (descriptor >= 0)
        tell_call(trial, open(path, flags | O_CLOEXEC), gain);
}

static void by_reopen(const struct outside *outside, struct trial *trial)
{
    reopen(outside, trial, O_RDWR, "opened it for writing");
}

static void by_reopen_truncation(const struct outside *outside, struct trial *trial)
{
    reopen(outside, trial, O_RDONLY | O_TRUNC, "truncated it");
}

static void by_chmod(const struct outside *outside, struct trial *trial)
{
    char path[PATH_MAX];

    tell_call(trial, chmod(path_of(path, outside, trial), 0777), "changed its mode");
}

static void by_fchmod(const struct outside *outside, struct trial *trial)
{
    int descriptor = descriptor_of(outside, trial);

    if (descriptor >= 0)
        tell_call(trial, fchmod(descriptor, 0777), "changed its mode");
}

static void by_reopen_chmod(const struct outside *outside, struct trial *trial)
{
    int descriptor = descriptor_of(outside, trial);
    char path[64];

    snprintf(path, sizeof path, "/proc/self/fd/%d", descriptor);
    if (descriptor >= 0)
        tell_call(trial, chmod(path, 0777), "changed its mode");
}

static void by_times(const struct outside *outside, struct trial *trial)
{
    struct timespec times[2] = {{.tv_sec = 1}, {.tv_sec = 1}};
    int descriptor = descriptor_of(outside, trial);

    if (descriptor >= 0)
        tell_call(trial, futimens(descriptor, times), "changed its times");
}

static void by_attribute(const struct outside *outside, struct trial *trial)
{
    int descriptor = descriptor_of(outside, trial);

    if (descriptor >= 0)
        tell_call(trial, fsetxattr(descriptor, "user.escape", "y", 1, 0), "set an attribute");
}

static void by_unlink(const struct outside *outside, struct trial *trial)
{
    char path[PATH_MAX];

    tell_call(trial, unlink(path_of(path, outside, trial)), "removed it");
}

/* To where it could be written. */
static void by_link(const struct outside *outside, struct trial *trial)
{
    char path[PATH_MAX], own[PATH_MAX];

    tell_call(trial, link(path_of(path, outside, trial), path_of_own(own, outside, trial, "")),
              "took it where it may be written");
    unlink(own);
}

static void by_link_of_descriptor(const struct outside *outside, struct trial *trial)
{
    int descriptor = descriptor_of(outside, trial);
    char path[64], own[PATH_MAX];

    snprintf(path, sizeof path, "/proc/self/fd/%d", descriptor);
    if (descriptor >= 0)
        tell_call(trial,
                  linkat(AT_FDCWD, path, AT_FDCWD, path_of_own(own, outside, trial, ""),
                         AT_SYMLINK_FOLLOW),
                  "took it where it may be written");
    unlink(own);
}

static void by_rename(const struct outside *outside, struct trial *trial)
{
    char path[PATH_MAX], own[PATH_MAX];

    tell_call(trial, rename(path_of(path, outside, trial), path_of_own(own, outside, trial, "")),
              "took it where it may be written");
    unlink(own);
}

static void by_execution(const struct outside *outside, struct trial *trial)
{
    char path[PATH_MAX];
    const char *words[] = {path_of(path, outside, trial), NULL};

    tell_output(trial, words, NULL);
}

static void by_mapping(const struct outside *outside, struct trial *trial)
{
    int descriptor = descriptor_of(outside, trial);

    if (descriptor >= 0)
        tell_call(trial,
                  mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0) == MAP_FAILED
                      ? -1
                      : 0,
                  "can write to it in memory");
}

/* A descriptor that is open for writing of an own file when it is asked about. */
struct swing {
    int descriptor, of_readable, of_own;
    bool ended;
};

static void *swing_run(void *context)
{
    struct swing *swing = context;

    while (!__atomic_load_n(&swing->ended, __ATOMIC_RELAXED)) {
        dup2(swing->of_own, swing->descriptor);
        dup2(swing->of_readable, swing->descriptor);
    }
    return NULL;
}

static void by_race(const struct outside *outside, struct trial *trial)
{
    enum { MILLISECONDS = 1000 };
    struct swing swing = {.descriptor = 61,
                          .of_readable = descriptor_of(outside, trial),
                          .of_own = memfd_create("own", 0)};
    struct timespec start, now;
    struct stat wanted, status;
    unsigned tries = 0;
    pthread_t thread;

    if (swing.of_readable < 0 || swing.of_own < 0 || fstat(swing.of_readable, &wanted) != 0 ||
        pthread_create(&thread, NULL, swing_run, &swing) != 0) {
        tell_untried(trial, "no two descriptors and a thread: %s", strerror(errno));
        return;
    }
    clock_gettime(CLOCK_MONOTONIC, &start);
    do {
        int got = open("/proc/self/fd/61", O_RDWR | O_CLOEXEC);

        tries++;
        if (got >= 0 && fstat(got, &status) == 0 && status.st_ino == wanted.st_ino)
            tell_escaped(trial, "opened it for writing at try %u", tries);
        if (got >= 0)
            close(got);
        clock_gettime(CLOCK_MONOTONIC, &now);
    } while (trial->outcome != OUTCOME_ESCAPED &&
             (now.tv_sec - start.tv_sec) * 1000 + (now.tv_nsec - start.tv_nsec) / 1000000 <
                 MILLISECONDS);
    __atomic_store_n(&swing.ended, true, __ATOMIC_RELAXED);
    pthread_join(thread, NULL);
    tell_held(trial, "%u tries", tries);
}

static const struct way ways[] = {
    {"readable-write", by_write, true},
    {"readable-truncate", by_truncation, true},
    {"readable-reopen", by_reopen, true},
    {"readable-reopen-truncate", by_reopen_truncation, true},
    {"readable-race-reopen", by_race, true},
    {"readable-map", by_mapping, false},
    {"readable-chmod", by_chmod, true},
    {"readable-fchmod", by_fchmod, true},
    {"readable-reopen-chmod", by_reopen_chmod, true},
    {"readable-times", by_times, true},
    {"readable-setxattr", by_attribute, false},
    {"readable-unlink", by_unlink, true},
    {"readable-link", by_link, true},
    {"readable-link-descriptor", by_link_of_descriptor, true},
    {"readable-rename", by_rename, true},
    {"readable-execute", by_execution, true},
};

const struct family family_readable = {"readable", ways, sizeof ways / sizeof ways[0]};
