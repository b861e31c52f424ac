/* open, openat, creat, openat2. */
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "shim/core/lane.h"
#include "shim/core/text.h"
#include "shim/door/door.h"
#include "shim/door/ways.h"

/* The kernel's own value: libc's is 0 on x86-64, openat sets it by itself, openat2 does not. */
#define KERNEL_LARGEFILE 0100000
#define KERNEL_TMPFILE 020000000
#define FLAGS_KNOWN                                                                                \
    (O_ACCMODE | O_CREAT | O_EXCL | O_NOCTTY | O_TRUNC | O_APPEND | O_NONBLOCK | O_SYNC |          \
     O_ASYNC | O_DIRECT | KERNEL_LARGEFILE | O_DIRECTORY | O_NOFOLLOW | O_NOATIME | O_CLOEXEC |    \
     O_PATH | KERNEL_TMPFILE)
#define FLAGS_OF_PATH (O_DIRECTORY | O_NOFOLLOW | O_PATH | O_CLOEXEC)

static long open_plain(int directory, const char *path, unsigned flags, unsigned mode)
{
    return lane_call(SYS_openat, directory, (long)path, (long)flags, (long)mode, 0);
}

/* The same on a way without symlinks: -ELOOP if there is one. */
static long open_direct(int directory, const char *path, unsigned flags, unsigned mode)
{
    struct open_how how = {.resolve = RESOLVE_NO_SYMLINKS};
    how.flags = (flags & FLAGS_KNOWN) | KERNEL_LARGEFILE;
    if (flags & O_PATH)
        how.flags = flags & FLAGS_OF_PATH;
    if (flags & (O_CREAT | KERNEL_TMPFILE))
        how.mode = mode & 07777;
    return lane_call(SYS_openat2, directory, (long)path, (long)&how, sizeof how, 0);
}

/* O_PATH|O_NOFOLLOW opens a symlink itself, and a record with it. */
static bool opened_is_record(long descriptor)
{
    char start[RECORD_START_LENGTH + 1];
    long got = lane_call(SYS_readlinkat, descriptor, (long)"", (long)start, sizeof start, 0);
    return got > 0 && text_begins(start, (size_t)got, RECORD_START, RECORD_START_LENGTH);
}

static long open_again_slowly(long number, const long arguments[6], long descriptor)
{
    if (descriptor >= 0)
        system_call(SYS_close, descriptor, 0, 0, 0, 0, 0);
    return path_slow(number, arguments);
}

/* The program's own openat2: its restrictions are the kernel's to keep; without any it is openat.
 */
static long open_restricted(const long arguments[6])
{
    const struct open_how *how = (const struct open_how *)arguments[2];
    /* The kernel looks at `how` before it looks for the path, and finds no empty one. */
    long checked = lane_call(SYS_openat2, -1, (long)"", arguments[2], arguments[3], 0);
    if (checked != -ENOENT)
        return checked;
    if (how->resolve != 0)
        return call_plain(SYS_openat2, arguments);
    const long open[6] = {arguments[0], arguments[1], (long)how->flags, (long)how->mode};
    return open_call(SYS_openat, open);
}

/* In a confined tree: on a way that the trap server has found plain the call is the kernel's, and
 * Landlock's to check; a symlink at its end is seen by refusing to follow it. All else is asked. */
static long open_taught(long number, const long arguments[6], const struct view *view,
                        int directory, const char *path, unsigned flags, unsigned mode)
{
    bool follow = call_follows(number, arguments);
    /* What shadows nothing can't be led to by a symlink: a success stands. */
    unsigned held = links_matter(view, path) ? O_NOFOLLOW : 0;
    bool plain = way_is_plain(view, directory, path);
    if ((flags & O_PATH) || (held != 0 && !plain))
        return path_slow(number, arguments);
    long result = open_plain(directory, path, flags | held, mode);
    if (result == -ELOOP && follow &&
        way_is_known(way_number(view, WAY_FOLLOWED, directory, path, text_length(path))))
        result = open_plain(directory, path, flags, mode);
    else if (result == -ENOENT && !plain)
        return path_slow(number, arguments);
    else if (result == -ENOENT && held == 0)
        /* Is nothing there, or what only the session sees through? */
        result = open_plain(directory, path, flags | O_NOFOLLOW, mode);
    switch (result) {
    case -ENOENT:
        return missing_is_doubtful(view, directory, path) ? path_slow(number, arguments) : result;
    case -ELOOP:
    case -ENOTDIR:
    case -EACCES:
        return path_slow(number, arguments);
    default:
        return result;
    }
}

long open_call(long number, const long arguments[6])
{
    const struct call_shape *shape = &call_shapes[number];
    if (number == SYS_openat2)
        return open_restricted(arguments);
    int directory = shape->directory >= 0 ? (int)arguments[shape->directory] : AT_FDCWD;
    const char *path = (const char *)arguments[shape->path];
    unsigned flags =
        number == SYS_creat ? O_CREAT | O_WRONLY | O_TRUNC : (unsigned)arguments[shape->flags];
    unsigned mode = (unsigned)arguments[number == SYS_creat ? 1 : shape->flags + 1];
    struct view view = view_get();
    bool changes = (flags & (O_CREAT | O_TRUNC | KERNEL_TMPFILE)) != 0 ||
                   ((flags & O_ACCMODE) != O_RDONLY && !(flags & O_PATH));
    if (path == NULL)
        return -EFAULT;
    if ((changes && (view.table != NULL || view.places)) || the_shim.core.no_openat2) {
        /* What it would do must not be done to the wrong file: the text comes first. */
        long checked = path_check(path);
        if (checked < 0)
            return checked;
        bool read_only = view.table != NULL && table_has_read_only(view.table);
        if ((read_only && changes) || text_find(view.table, directory, path) == TEXT_TABLE)
            return path_slow(number, arguments);
    }
    if (trap_decides())
        return open_taught(number, arguments, &view, directory, path, flags, mode);
    long result = the_shim.core.no_openat2 ? -ELOOP : open_direct(directory, path, flags, mode);
    openat2_note(result);
    if (result == -EINTR || result == -EFAULT)
        return result;
    if (!changes && (view.table != NULL || view.places) &&
        text_find(view.table, directory, path) == TEXT_TABLE)
        return open_again_slowly(number, arguments, result);
    if (result >= 0) {
        if ((flags & (O_PATH | O_NOFOLLOW)) == (O_PATH | O_NOFOLLOW) && opened_is_record(result))
            return open_again_slowly(number, arguments, result);
        if ((flags & O_DIRECTORY) && view.shadows)
            way_learn_directory(&view, directory, path);
        return result;
    }
    if (result == -ENOENT || result == -ENOTDIR) {
        /* A record is no directory to the kernel, where the node may be one. */
        bool link = result == -ENOTDIR &&
                    (flags & (O_NOFOLLOW | O_DIRECTORY)) == (O_NOFOLLOW | O_DIRECTORY);
        if (link || missing_is_doubtful(&view, directory, path))
            return path_slow(number, arguments);
        return result;
    }
    if (result == -ELOOP && links_matter(&view, path) &&
        !(call_follows(number, arguments) && target_is_plain(&view, directory, path)))
        return path_slow(number, arguments);
    if (result == -ELOOP || result == -ENOSYS || result == -EPERM || result == -EINVAL) {
        /* A symlink is on the way: it can't lead through a node, so a success stands. */
        result = open_plain(directory, path, flags, mode);
        if (result == -ENOENT || result == -ELOOP || result == -ENOTDIR)
            return path_slow(number, arguments);
    }
    if (is_memory_name(path, result))
        return system_call(SYS_openat, directory, (long)path, (long)flags, (long)mode, 0, 0);
    return result;
}
