/* Ways to change files by their names. */
#include "tests/escape/escape.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static void by_write(const struct outside *outside, struct trial *trial)
{
    char path[PATH_MAX];
    int descriptor = open(path_of_victim(path, outside, trial), O_WRONLY | O_CLOEXEC);

    tell_call(trial, descriptor < 0 ? -1 : write(descriptor, "changed", 7), "wrote to a file");
}

static void by_creat(const struct outside *outside, struct trial *trial)
{
    char path[PATH_MAX];

    tell_call(trial, creat(path_in(path, outside->directory, "created"), 0600), "made a file");
}

static void by_truncating_open(const struct outside *outside, struct trial *trial)
{
    char path[PATH_MAX];

    tell_call(trial, open(path_of_victim(path, outside, trial), O_RDONLY | O_TRUNC | O_CLOEXEC),
              "truncated a file");
}

static void by_truncate(const struct outside *outside, struct trial *trial)
{
    char path[PATH_MAX];

    tell_call(trial, truncate(path_of_victim(path, outside, trial), 1), "truncated a file");
}

static void by_unlink(const struct outside *outside, struct trial *trial)
{
    char path[PATH_MAX];

    tell_call(trial, unlink(path_of_victim(path, outside, trial)), "removed a file");
}

static void by_rename_in(const struct outside *outside, struct trial *trial)
{
    char path[PATH_MAX], own[PATH_MAX];

    tell_call(trial,
              rename(path_of_victim(path, outside, trial), path_of_own(own, outside, trial, "")),
              "took a file in");
    unlink(own);
}

static void by_rename_out(const struct outside *outside, struct trial *trial)
{
    char path[PATH_MAX], own[PATH_MAX];

    if (!file_make(path_of_own(own, outside, trial, ""), "mine", 0600))
        tell_untried(trial, "no file of its own: %s", strerror(errno));
    else
        tell_call(trial, rename(own, path_of_victim(path, outside, trial)), "replaced a file");
    unlink(own);
}

static void by_exchange(const struct outside *outside, struct trial *trial)
{
    char path[PATH_MAX], own[PATH_MAX];

    if (!file_make(path_of_own(own, outside, trial, ""), "mine", 0600))
        tell_untried(trial, "no file of its own: %s", strerror(errno));
    else
        tell_call(trial,
                  renameat2(AT_FDCWD, own, AT_FDCWD, path_of_victim(path, outside, trial),
                            RENAME_EXCHANGE),
                  "exchanged a file");
    unlink(own);
}

static void by_link_out(const struct outside *outside, struct trial *trial)
{
    char path[PATH_MAX], own[PATH_MAX];

    if (!file_make(path_of_own(own, outside, trial, ""), "mine", 0600))
        tell_untried(trial, "no file of its own: %s", strerror(errno));
    else
        tell_call(trial, link(own, path_in(path, outside->directory, "linked")), "linked a file");
    unlink(own);
}

static void by_mkdir(const struct outside *outside, struct trial *trial)
{
    char path[PATH_MAX];

    tell_call(trial, mkdir(path_in(path, outside->directory, "made"), 0700), "made a directory");
}

static void by_rmdir(const struct outside *outside, struct trial *trial)
{
    char path[PATH_MAX];

    tell_call(trial, rmdir(path_in(path, outside->directory, "empty")), "removed a directory");
}

static void by_mknod(const struct outside *outside, struct trial *trial)
{
    char path[PATH_MAX];

    tell_call(trial, mknod(path_in(path, outside->directory, "fifo"), S_IFIFO | 0600, 0),
              "made a FIFO");
}

static void by_symlink_out(const struct outside *outside, struct trial *trial)
{
    char path[PATH_MAX];

    tell_call(trial, symlink("secret", path_in(path, outside->directory, "symlinked")),
              "made a symlink");
}

static void by_temporary_file(const struct outside *outside, struct trial *trial)
{
    tell_call(trial, open(outside->directory, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600),
              "made a file without a name");
}

/* A descriptor for reading that came in is no right to write. */
static void by_inherited_reopen(const struct outside *outside, struct trial *trial)
{
    char path[64];

    (void)outside;
    snprintf(path, sizeof path, "/proc/self/fd/%d", INHERITED_FILE);
    if (fcntl(INHERITED_FILE, F_GETFD) < 0)
        tell_untried(trial, "no descriptor %d came in", INHERITED_FILE);
    else
        tell_call(trial, open(path, O_WRONLY | O_CLOEXEC), "opened it for writing");
}

static void by_inherited_truncation(const struct outside *outside, struct trial *trial)
{
    char path[64];

    (void)outside;
    snprintf(path, sizeof path, "/proc/self/fd/%d", INHERITED_FILE);
    if (fcntl(INHERITED_FILE, F_GETFD) < 0)
        tell_untried(trial, "no descriptor %d came in", INHERITED_FILE);
    else
        tell_call(trial, open(path, O_RDONLY | O_TRUNC | O_CLOEXEC), "truncated a file");
}

static void by_inherited_link(const struct outside *outside, struct trial *trial)
{
    char path[64], own[PATH_MAX];

    snprintf(path, sizeof path, "/proc/self/fd/%d", INHERITED_FILE);
    path_of_own(own, outside, trial, "");
    if (fcntl(INHERITED_FILE, F_GETFD) < 0)
        tell_untried(trial, "no descriptor %d came in", INHERITED_FILE);
    else if (linkat(INHERITED_FILE, "", AT_FDCWD, own, AT_EMPTY_PATH) == 0)
        tell_escaped(trial, "took it in by the descriptor");
    else
        tell_call(trial, linkat(AT_FDCWD, path, AT_FDCWD, own, AT_SYMLINK_FOLLOW), "took it in");
    unlink(own);
}

static void by_inherited_directory(const struct outside *outside, struct trial *trial)
{
    (void)outside;
    if (fcntl(INHERITED_DIRECTORY, F_GETFD) < 0)
        tell_untried(trial, "no descriptor %d came in", INHERITED_DIRECTORY);
    else
        tell_call(trial, unlinkat(INHERITED_DIRECTORY, "victims/unlink-below-inherited", 0),
                  "removed a file");
}

static const struct way ways[] = {
    {"write", by_write, true},
    {"creat", by_creat, true},
    {"open-truncating", by_truncating_open, true},
    {"truncate", by_truncate, true},
    {"unlink", by_unlink, true},
    {"rename-in", by_rename_in, true},
    {"rename-out", by_rename_out, true},
    {"rename-exchange", by_exchange, false},
    {"link-out", by_link_out, true},
    {"mkdir", by_mkdir, true},
    {"rmdir", by_rmdir, true},
    {"mknod", by_mknod, true},
    {"symlink-out", by_symlink_out, true},
    {"temporary-file", by_temporary_file, false},
    {"inherited-reopen", by_inherited_reopen, true},
    {"inherited-truncate", by_inherited_truncation, true},
    {"inherited-link", by_inherited_link, true},
    {"unlink-below-inherited", by_inherited_directory, true},
};

const struct family family_changes = {"changes", ways, sizeof ways / sizeof ways[0]};
