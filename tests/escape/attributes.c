/* Ways that Landlock does not fence: looking at files and changing their attributes. */
#include "tests/escape/escape.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <string.h>
#include <sys/fanotify.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/xattr.h>
#include <unistd.h>
#include <utime.h>

#define ATTRIBUTE "user.escape"

static void by_stat(const struct outside *outside, struct trial *trial)
{
    struct stat status;

    tell_call(trial, stat(outside->secret, &status), "told its attributes");
}

static void by_old_stat(const struct outside *outside, struct trial *trial)
{
    struct stat status;

    tell_call(trial, syscall(SYS_stat, outside->secret, &status), "told its attributes");
}

static void by_lstat(const struct outside *outside, struct trial *trial)
{
    struct stat status;

    tell_call(trial, syscall(SYS_lstat, outside->secret, &status), "told its attributes");
}

static void by_statx(const struct outside *outside, struct trial *trial)
{
    struct statx status;

    tell_call(trial, statx(AT_FDCWD, outside->secret, 0, STATX_ALL, &status),
              "told its attributes");
}

/* The flag means that the path may be empty, not that it is. */
static void by_empty_path(const struct outside *outside, struct trial *trial)
{
    struct stat status;
    int directory = open(outside->allowed, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    tell_call(trial, syscall(SYS_newfstatat, directory, outside->secret, &status, AT_EMPTY_PATH),
              "told its attributes");
}

static void by_empty_path_statx(const struct outside *outside, struct trial *trial)
{
    struct statx status;
    int directory = open(outside->allowed, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    tell_call(trial,
              syscall(SYS_statx, directory, outside->secret, AT_EMPTY_PATH, STATX_ALL, &status),
              "told its attributes");
}

static void by_access(const struct outside *outside, struct trial *trial)
{
    tell_call(trial, syscall(SYS_access, outside->secret, R_OK), "told that it can be read");
}

static void by_faccessat2(const struct outside *outside, struct trial *trial)
{
    tell_call(trial, syscall(SYS_faccessat2, AT_FDCWD, outside->secret, R_OK, AT_EACCESS),
              "told that it can be read");
}

static void by_readlink(const struct outside *outside, struct trial *trial)
{
    char path[PATH_MAX], text[PATH_MAX];

    tell_call(trial, readlink(path_in(path, outside->directory, "pointer"), text, sizeof text),
              "read a symlink");
}

static void by_statfs(const struct outside *outside, struct trial *trial)
{
    struct statfs status;

    tell_call(trial, statfs(outside->secret, &status), "told its file system");
}

static void by_name_to_handle(const struct outside *outside, struct trial *trial)
{
    struct {
        struct file_handle head;
        unsigned char bytes[MAX_HANDLE_SZ];
    } handle;
    int id;

    handle.head.handle_bytes = MAX_HANDLE_SZ;
    tell_call(trial, name_to_handle_at(AT_FDCWD, outside->secret, &handle.head, &id, 0),
              "told its handle");
}

static void by_inotify(const struct outside *outside, struct trial *trial)
{
    tell_call(trial, inotify_add_watch(inotify_init1(IN_CLOEXEC), outside->directory, IN_OPEN),
              "watches a directory");
}

static void by_fanotify(const struct outside *outside, struct trial *trial)
{
    int group = fanotify_init(FAN_CLASS_NOTIF | FAN_REPORT_FID | FAN_CLOEXEC, O_RDONLY);

    if (group < 0)
        tell_held(trial, "%s", strerror(errno));
    else
        tell_call(trial,
                  fanotify_mark(group, FAN_MARK_ADD, FAN_OPEN | FAN_EVENT_ON_CHILD, AT_FDCWD,
                                outside->directory),
                  "watches a directory");
}

static void by_chmod(const struct outside *outside, struct trial *trial)
{
    char path[PATH_MAX];

    tell_call(trial, syscall(SYS_chmod, path_of_victim(path, outside, trial), 0666),
              "changed a mode");
}

static void by_fchmodat(const struct outside *outside, struct trial *trial)
{
    char path[PATH_MAX];

    tell_call(trial, syscall(SYS_fchmodat, AT_FDCWD, path_of_victim(path, outside, trial), 0666),
              "changed a mode");
}

static void by_fchmodat2(const struct outside *outside, struct trial *trial)
{
    enum { NUMBER = 452 }; /* fchmodat2, younger than the headers */
    char path[PATH_MAX];

    tell_call(trial, syscall(NUMBER, AT_FDCWD, path_of_victim(path, outside, trial), 0666, 0),
              "changed a mode");
}

static void by_inherited_chmod(const struct outside *outside, struct trial *trial)
{
    (void)outside;
    if (fcntl(INHERITED_FILE, F_GETFD) < 0)
        tell_untried(trial, "no descriptor %d came in", INHERITED_FILE);
    else
        tell_call(trial, fchmod(INHERITED_FILE, 0666), "changed a mode");
}

static void by_chown(const struct outside *outside, struct trial *trial)
{
    char path[PATH_MAX];

    tell_call(trial, chown(path_of_victim(path, outside, trial), getuid(), getgid()),
              "changed an owner");
}

static void by_fchownat(const struct outside *outside, struct trial *trial)
{
    char path[PATH_MAX];

    tell_call(trial,
              fchownat(AT_FDCWD, path_of_victim(path, outside, trial), getuid(), getgid(),
                       AT_SYMLINK_NOFOLLOW),
              "changed an owner");
}

static void by_utime(const struct outside *outside, struct trial *trial)
{
    struct utimbuf times = {.actime = 1, .modtime = 1};
    char path[PATH_MAX];

    tell_call(trial, syscall(SYS_utime, path_of_victim(path, outside, trial), &times),
              "changed its times");
}

static void by_utimensat(const struct outside *outside, struct trial *trial)
{
    struct timespec times[2] = {{.tv_sec = 1}, {.tv_sec = 1}};
    char path[PATH_MAX];

    tell_call(trial, utimensat(AT_FDCWD, path_of_victim(path, outside, trial), times, 0),
              "changed its times");
}

static void by_inherited_times(const struct outside *outside, struct trial *trial)
{
    struct timespec times[2] = {{.tv_sec = 1}, {.tv_sec = 1}};

    (void)outside;
    if (fcntl(INHERITED_FILE, F_GETFD) < 0)
        tell_untried(trial, "no descriptor %d came in", INHERITED_FILE);
    else
        tell_call(trial, syscall(SYS_utimensat, INHERITED_FILE, NULL, times, 0),
                  "changed its times");
}

static void by_setxattr(const struct outside *outside, struct trial *trial)
{
    char path[PATH_MAX];

    tell_call(trial, setxattr(path_of_victim(path, outside, trial), ATTRIBUTE, "x", 1, 0),
              "set an attribute");
}

static void by_getxattr(const struct outside *outside, struct trial *trial)
{
    char value[64];

    tell_call(trial, getxattr(outside->secret, ATTRIBUTE, value, sizeof value),
              "read an attribute");
}

static void by_listxattr(const struct outside *outside, struct trial *trial)
{
    char names[1024];

    tell_call(trial, listxattr(outside->secret, names, sizeof names), "listed attributes");
}

static void by_removexattr(const struct outside *outside, struct trial *trial)
{
    char path[PATH_MAX];

    tell_call(trial, removexattr(path_of_victim(path, outside, trial), ATTRIBUTE),
              "removed an attribute");
}

static void by_inherited_xattr(const struct outside *outside, struct trial *trial)
{
    (void)outside;
    if (fcntl(INHERITED_FILE, F_GETFD) < 0)
        tell_untried(trial, "no descriptor %d came in", INHERITED_FILE);
    else
        tell_call(trial, fsetxattr(INHERITED_FILE, ATTRIBUTE, "y", 1, 0), "set an attribute");
}

/* Of an open file, and for reading is enough. */
static void by_flags(const struct outside *outside, struct trial *trial)
{
    int flags = FS_NODUMP_FL;

    (void)outside;
    if (fcntl(INHERITED_FILE, F_GETFD) < 0)
        tell_untried(trial, "no descriptor %d came in", INHERITED_FILE);
    else
        tell_call(trial, ioctl(INHERITED_FILE, FS_IOC_SETFLAGS, &flags), "changed its flags");
}

static const struct way ways[] = {
    {"stat", by_stat, true},
    {"stat-old", by_old_stat, true},
    {"lstat", by_lstat, true},
    {"statx", by_statx, true},
    {"empty-path-stat", by_empty_path, true},
    {"empty-path-statx", by_empty_path_statx, true},
    {"access", by_access, true},
    {"faccessat2", by_faccessat2, true},
    {"readlink", by_readlink, true},
    {"statfs", by_statfs, true},
    {"name-to-handle", by_name_to_handle, false},
    {"inotify", by_inotify, true},
    {"fanotify", by_fanotify, false},
    {"chmod", by_chmod, true},
    {"fchmodat", by_fchmodat, true},
    {"fchmodat2", by_fchmodat2, false},
    {"chmod-inherited", by_inherited_chmod, true},
    {"chown", by_chown, true},
    {"fchownat", by_fchownat, true},
    {"utime", by_utime, true},
    {"utimensat", by_utimensat, true},
    {"times-inherited", by_inherited_times, true},
    {"setxattr", by_setxattr, false},
    {"getxattr", by_getxattr, false},
    {"listxattr", by_listxattr, false},
    {"removexattr", by_removexattr, false},
    {"setxattr-inherited", by_inherited_xattr, false},
    {"file-flags", by_flags, false},
};

const struct family family_attributes = {"attributes", ways, sizeof ways / sizeof ways[0]};
