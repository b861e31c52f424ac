/* Ways to read a file by its name. */
#include "tests/escape/escape.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static void by_open(const struct outside *outside, struct trial *trial)
{
    tell_descriptor(trial, open(outside->secret, O_RDONLY | O_CLOEXEC));
}

static void by_raw_open(const struct outside *outside, struct trial *trial)
{
    tell_descriptor(trial, (int)syscall(SYS_openat, AT_FDCWD, outside->secret, O_RDONLY, 0));
}

static void by_old_open(const struct outside *outside, struct trial *trial)
{
    tell_descriptor(trial, (int)syscall(SYS_open, outside->secret, O_RDONLY, 0));
}

static void by_openat2(const struct outside *outside, struct trial *trial)
{
    struct open_how how = {.flags = O_RDONLY};

    tell_descriptor(trial, (int)syscall(SYS_openat2, AT_FDCWD, outside->secret, &how, sizeof how));
}

static void by_dotdot(const struct outside *outside, struct trial *trial)
{
    char path[3 * PATH_MAX];

    /* As many as there can be: the way goes by the root. */
    snprintf(path, sizeof path, "%s/../../../../../../../../../../../../../../../..%s",
             outside->allowed, outside->secret);
    tell_descriptor(trial, open(path, O_RDONLY | O_CLOEXEC));
}

static void by_descriptor(const struct outside *outside, struct trial *trial)
{
    int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);

    tell_descriptor(trial, openat(root, outside->secret + 1, O_RDONLY | O_CLOEXEC));
}

static void by_current_directory(const struct outside *outside, struct trial *trial)
{
    if (chdir(outside->directory) != 0)
        tell_held(trial, "chdir: %s", strerror(errno));
    else
        tell_descriptor(trial, open("secret", O_RDONLY | O_CLOEXEC));
}

static void by_fchdir(const struct outside *outside, struct trial *trial)
{
    int directory = open(outside->directory, O_PATH | O_CLOEXEC);

    if (directory < 0 || fchdir(directory) != 0)
        tell_held(trial, "to the directory: %s", strerror(errno));
    else
        tell_descriptor(trial, open("secret", O_RDONLY | O_CLOEXEC));
}

static void by_path_descriptor(const struct outside *outside, struct trial *trial)
{
    int descriptor = open(outside->secret, O_PATH | O_CLOEXEC);
    char path[64];

    if (descriptor < 0) {
        tell_held(trial, "%s", strerror(errno));
        return;
    }
    snprintf(path, sizeof path, "/proc/self/fd/%d", descriptor);
    tell_descriptor(trial, open(path, O_RDONLY | O_CLOEXEC));
}

static void by_dev_fd(const struct outside *outside, struct trial *trial)
{
    int descriptor = (int)syscall(SYS_openat, AT_FDCWD, outside->directory, O_PATH, 0);
    char path[64];

    snprintf(path, sizeof path, "/dev/fd/%d/secret", descriptor);
    tell_descriptor(trial, open(path, O_RDONLY | O_CLOEXEC));
}

static void by_symlink(const struct outside *outside, struct trial *trial)
{
    char own[PATH_MAX];

    if (symlink(outside->secret, path_of_own(own, outside, trial, "")) != 0)
        tell_untried(trial, "no symlink: %s", strerror(errno));
    else
        tell_descriptor(trial, open(own, O_RDONLY | O_CLOEXEC));
    unlink(own);
}

static void by_symlinked_directory(const struct outside *outside, struct trial *trial)
{
    char own[PATH_MAX], path[PATH_MAX];

    if (symlink(outside->directory, path_of_own(own, outside, trial, "")) != 0)
        tell_untried(trial, "no symlink: %s", strerror(errno));
    else
        tell_descriptor(trial, open(path_in(path, own, "secret"), O_RDONLY | O_CLOEXEC));
    unlink(own);
}

static void by_hard_link(const struct outside *outside, struct trial *trial)
{
    char own[PATH_MAX];

    if (link(outside->secret, path_of_own(own, outside, trial, "")) != 0)
        tell_held(trial, "link: %s", strerror(errno));
    else
        tell_descriptor(trial, open(own, O_RDONLY | O_CLOEXEC));
    unlink(own);
}

static void by_link_of_descriptor(const struct outside *outside, struct trial *trial)
{
    char own[PATH_MAX], from[64];
    int descriptor = open(outside->secret, O_PATH | O_CLOEXEC);

    if (descriptor < 0) {
        tell_held(trial, "%s", strerror(errno));
        return;
    }
    snprintf(from, sizeof from, "/proc/self/fd/%d", descriptor);
    if (linkat(AT_FDCWD, from, AT_FDCWD, path_of_own(own, outside, trial, ""), AT_SYMLINK_FOLLOW) !=
        0)
        tell_held(trial, "link: %s", strerror(errno));
    else
        tell_descriptor(trial, open(own, O_RDONLY | O_CLOEXEC));
    unlink(own);
}

static void by_process_root(const struct outside *outside, struct trial *trial)
{
    char path[2 * PATH_MAX];

    snprintf(path, sizeof path, "/proc/self/root%s", outside->secret);
    tell_descriptor(trial, open(path, O_RDONLY | O_CLOEXEC));
}

static void by_thread_root(const struct outside *outside, struct trial *trial)
{
    char path[2 * PATH_MAX];

    snprintf(path, sizeof path, "/proc/thread-self/task/../root%s", outside->secret);
    if (access("/proc/thread-self/root", F_OK) == 0)
        snprintf(path, sizeof path, "/proc/thread-self/root%s", outside->secret);
    tell_descriptor(trial, open(path, O_RDONLY | O_CLOEXEC));
}

static void by_list(const struct outside *outside, struct trial *trial)
{
    char entries[4096];
    int directory = open(outside->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (directory < 0)
        tell_held(trial, "%s", strerror(errno));
    else
        tell_call(trial, syscall(SYS_getdents64, directory, entries, sizeof entries),
                  "listed a directory");
}

static void by_handle(const struct outside *outside, struct trial *trial)
{
    struct {
        struct file_handle head;
        unsigned char bytes[MAX_HANDLE_SZ];
    } handle;
    int mount = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC), id;

    handle.head.handle_bytes = MAX_HANDLE_SZ;
    if (mount < 0)
        mount = open(outside->allowed, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (name_to_handle_at(AT_FDCWD, outside->secret, &handle.head, &id, 0) != 0)
        tell_held(trial, "no handle: %s", strerror(errno));
    else
        tell_descriptor(trial, open_by_handle_at(mount, &handle.head, O_RDONLY));
}

static void by_open_tree(const struct outside *outside, struct trial *trial)
{
    int tree = (int)syscall(SYS_open_tree, AT_FDCWD, outside->directory, O_CLOEXEC);

    if (tree < 0)
        tell_held(trial, "%s", strerror(errno));
    else
        tell_descriptor(trial, openat(tree, "secret", O_RDONLY | O_CLOEXEC));
}

static void by_inherited_directory(const struct outside *outside, struct trial *trial)
{
    (void)outside;
    if (fcntl(INHERITED_DIRECTORY, F_GETFD) < 0)
        tell_untried(trial, "no descriptor %d came in", INHERITED_DIRECTORY);
    else
        tell_descriptor(trial, openat(INHERITED_DIRECTORY, "secret", O_RDONLY | O_CLOEXEC));
}

static void by_inherited_fchdir(const struct outside *outside, struct trial *trial)
{
    (void)outside;
    if (fcntl(INHERITED_DIRECTORY, F_GETFD) < 0)
        tell_untried(trial, "no descriptor %d came in", INHERITED_DIRECTORY);
    else if (fchdir(INHERITED_DIRECTORY) != 0)
        tell_held(trial, "%s", strerror(errno));
    else
        tell_descriptor(trial, open("./secret", O_RDONLY | O_CLOEXEC));
}

/* The kernel writes it with the program's own rights, in the directory that it is in. */
static void by_core_dump(const struct outside *outside, struct trial *trial)
{
    struct rlimit all = {RLIM_INFINITY, RLIM_INFINITY};
    char path[PATH_MAX], name[32];
    struct stat status;
    pid_t child;

    if (setrlimit(RLIMIT_CORE, &all) != 0) {
        tell_untried(trial, "no core dumps: %s", strerror(errno));
        return;
    }
    child = fork();
    if (child == 0) {
        if (chdir(outside->directory) != 0 && fchdir(INHERITED_DIRECTORY) != 0)
            _exit(0);
        signal(SIGABRT, SIG_DFL);
        abort();
    }
    waitpid(child, NULL, 0);
    snprintf(name, sizeof name, "core.%d", child);
    if (stat(path_in(path, outside->directory, "core"), &status) == 0 ||
        stat(path_in(path, outside->directory, name), &status) == 0)
        tell_escaped(trial, "a core file was made outside");
    else
        tell_held(trial, "no core file can be seen: %s", strerror(errno));
}

static const struct way ways[] = {
    {"open", by_open, true},
    {"open-raw", by_raw_open, true},
    {"open-old", by_old_open, true},
    {"openat2", by_openat2, true},
    {"open-dotdot", by_dotdot, true},
    {"open-below-root", by_descriptor, true},
    {"open-after-chdir", by_current_directory, true},
    {"open-after-fchdir", by_fchdir, true},
    {"reopen-path-descriptor", by_path_descriptor, true},
    {"dev-fd", by_dev_fd, true},
    {"symlink", by_symlink, true},
    {"symlinked-directory", by_symlinked_directory, true},
    {"hard-link", by_hard_link, true},
    {"link-descriptor", by_link_of_descriptor, true},
    {"proc-self-root", by_process_root, true},
    {"proc-thread-root", by_thread_root, true},
    {"list", by_list, true},
    {"open-by-handle", by_handle, false},
    {"open-tree", by_open_tree, true},
    {"inherited-directory", by_inherited_directory, true},
    {"inherited-fchdir", by_inherited_fchdir, true},
    {"core-dump", by_core_dump, false},
};

const struct family family_files = {"files", ways, sizeof ways / sizeof ways[0]};
