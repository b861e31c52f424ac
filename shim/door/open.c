/* open, openat, creat, openat2. */
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "shim/core/lane.h"
#include "shim/core/restrict.h"
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

/* What is to be opened. */
struct opening {
    int directory;
    const char *path;
    const char *text; /* the path as the table is asked about it: where RESOLVE_IN_ROOT makes the
                       * start the root, it starts there */
    unsigned flags;
    unsigned mode;
    uint64_t resolve; /* the program's own restrictions, by openat2 */
    bool clear;       /* of the text nothing need be asked: way_is_clear */
};

static long open_restricted(const struct opening *opening, uint64_t resolve)
{
    unsigned flags = opening->flags;
    struct open_how how = {.resolve = resolve};
    how.flags = (flags & FLAGS_KNOWN) | KERNEL_LARGEFILE;
    if (flags & O_PATH)
        how.flags = flags & FLAGS_OF_PATH;
    if (flags & (O_CREAT | KERNEL_TMPFILE))
        how.mode = opening->mode & 07777;
    return lane_call(SYS_openat2, opening->directory, (long)opening->path, (long)&how, sizeof how,
                     0);
}

static long open_plain(const struct opening *opening)
{
    if (opening->resolve != 0)
        return open_restricted(opening, opening->resolve);
    return lane_call(SYS_openat, opening->directory, (long)opening->path, (long)opening->flags,
                     (long)opening->mode, 0);
}

/* The same on a way without symlinks: -ELOOP if there is one. */
static long open_direct(const struct opening *opening)
{
    if (the_shim.core.no_openat2)
        return -ELOOP;
    long result = open_restricted(opening, opening->resolve | RESOLVE_NO_SYMLINKS);
    openat2_note(result);
    return result;
}

/* O_PATH|O_NOFOLLOW opens a symlink itself, and a record with it. */
static bool opened_is_record(const struct opening *opening, long descriptor)
{
    const unsigned itself = O_PATH | O_NOFOLLOW;
    if ((opening->flags & itself) != itself)
        return false;
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

/* In a confined tree: on a way that the trap server has found plain the call is the kernel's, and
 * Landlock's to check; a symlink at its end is seen by refusing to follow it. All else is asked. */
static long open_taught(long number, const long arguments[6], const struct view *view,
                        const struct opening *opening)
{
    bool follow = call_follows(number, arguments);
    int directory = opening->directory;
    const char *path = opening->path;
    struct opening nofollow = *opening;
    nofollow.flags |= O_NOFOLLOW;
    /* What shadows nothing can't be led to by a symlink: a success stands. */
    bool held = links_matter(view, path);
    bool plain = way_is_plain(view, directory, path);
    if ((opening->flags & O_PATH) || (held && !plain))
        return path_slow(number, arguments);
    long result = open_plain(held ? &nofollow : opening);
    if (result == -ELOOP && follow &&
        way_is_known(way_number(view, WAY_FOLLOWED, directory, path, text_length(path))))
        result = open_plain(opening);
    else if (result == -ENOENT && !plain)
        return path_slow(number, arguments);
    else if (result == -ENOENT && !held)
        /* Is nothing there, or what only the session sees through? */
        result = open_plain(&nofollow);
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

/* No symlink was on the way, which the kernel went `result` far. */
static long direct_settle(long number, const long arguments[6], const struct view *view,
                          const struct opening *opening, long result)
{
    unsigned flags = opening->flags;
    if (result >= 0) {
        if (opened_is_record(opening, result))
            return open_again_slowly(number, arguments, result);
        if (!view->shadows || opening->resolve != 0)
            return result;
        if (!opening->clear)
            way_learn_direct(view, opening->directory, opening->path);
        if (flags & O_DIRECTORY)
            way_learn_directory(view, opening->directory, opening->path);
        return result;
    }
    /* A record is no directory to the kernel, where the node may be one. */
    bool link =
        result == -ENOTDIR && (flags & (O_NOFOLLOW | O_DIRECTORY)) == (O_NOFOLLOW | O_DIRECTORY);
    if (link || missing_is_doubtful(view, opening->directory, opening->text))
        return path_slow(number, arguments);
    return result;
}

/* Whether a symlink on the way may lead the program elsewhere than the kernel. */
static bool links_mislead(long number, const long arguments[6], const struct view *view,
                          const struct opening *opening)
{
    /* By another root a symlink's text is another place than the one that is known of it, and a
     * record's text could be one. */
    if (opening->resolve & RESOLVE_IN_ROOT)
        return true;
    return links_matter(view, opening->text) &&
           !(call_follows(number, arguments) &&
             target_is_plain(view, opening->directory, opening->path));
}

/* Whether the path's text is, or may be, a name of the table. */
static bool text_meets_table(const struct view *view, struct opening *opening)
{
    opening->clear = opening->resolve == 0 && way_is_clear(view, opening->directory, opening->path);
    return !opening->clear && text_find(view, opening->directory, opening->text) == TEXT_TABLE;
}

/* The kernel first, where its answer can stand. */
static long open_by(long number, const long arguments[6], struct opening *opening)
{
    int directory = opening->directory;
    const char *path = opening->path;
    unsigned flags = opening->flags;
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
        if ((read_only && changes) || text_meets_table(&view, opening))
            return path_slow(number, arguments);
    }
    if (trap_decides())
        return open_taught(number, arguments, &view, opening);
    long result = open_direct(opening);
    if (result == -EINTR || result == -EFAULT)
        return result;
    if (!changes && (view.table != NULL || view.places) && text_meets_table(&view, opening))
        return open_again_slowly(number, arguments, result);
    if (result >= 0 || result == -ENOENT || result == -ENOTDIR)
        return direct_settle(number, arguments, &view, opening, result);
    if (result == -ELOOP && links_mislead(number, arguments, &view, opening))
        return path_slow(number, arguments);
    if (result == -ELOOP || result == -ENOSYS || result == -EPERM || result == -EINVAL) {
        /* A symlink is on the way: it can't lead through a node, so a success stands. A record is
         * an absolute symlink to the kernel, and none here. */
        result = open_plain(opening);
        if (result == -ENOENT || result == -ELOOP || result == -ENOTDIR || result == -EXDEV)
            return path_slow(number, arguments);
        if (result >= 0 && opened_is_record(opening, result))
            return open_again_slowly(number, arguments, result);
    }
    if (is_memory_name(path, result))
        return system_call(SYS_openat, directory, (long)path, (long)flags, (long)opening->mode, 0,
                           0);
    return result;
}

long how_take(struct open_how *how, const void *from, size_t size)
{
    bytes_copy(how, from, sizeof *how);
    for (size_t i = sizeof *how; i < size; i++)
        if (((const char *)from)[i] != 0)
            return -E2BIG;
    return how->resolve & ~(uint64_t)RESOLVE_KNOWN ? -EINVAL : 0;
}

/* The program's own openat2. */
static long open_wide(const long arguments[6])
{
    struct open_how how;
    /* The kernel looks at `how` before it looks for the path, and finds no empty one. */
    long checked = -ENOSYS;
    if (!the_shim.core.no_openat2) {
        checked = lane_call(SYS_openat2, -1, (long)"", arguments[2], arguments[3], 0);
        openat2_note(checked);
    }
    /* In a confined tree it is the trap server's. */
    if (checked == -ENOSYS)
        return call_whole(SYS_openat2, arguments);
    if (checked == -ENOENT)
        checked = how_take(&how, (const void *)arguments[2], (size_t)arguments[3]);
    if (checked < 0)
        return checked;
    struct opening opening = {
        .directory = (int)arguments[0],
        .path = (const char *)arguments[1],
        .text = (const char *)arguments[1],
        .flags = (unsigned)how.flags,
        .mode = (unsigned)how.mode,
        .resolve = how.resolve,
    };
    if (how.resolve == 0) {
        const long open[6] = {arguments[0], arguments[1], (long)how.flags, (long)how.mode};
        return open_by(SYS_openat, open, &opening);
    }
    if (how.resolve & RESOLVE_IN_ROOT) {
        checked = opening.path == NULL ? -EFAULT : path_check(opening.path);
        if (checked < 0)
            return checked;
        while (*opening.text == '/')
            opening.text++;
    }
    const long open[6] = {arguments[0], arguments[1], (long)&how, sizeof how};
    return open_by(SYS_openat2, open, &opening);
}

long open_call(long number, const long arguments[6])
{
    const struct call_shape *shape = &call_shapes[number];
    if (number == SYS_openat2)
        return open_wide(arguments);
    struct opening opening = {
        .directory = shape->directory >= 0 ? (int)arguments[shape->directory] : AT_FDCWD,
        .path = (const char *)arguments[shape->path],
        .text = (const char *)arguments[shape->path],
        .flags =
            number == SYS_creat ? O_CREAT | O_WRONLY | O_TRUNC : (unsigned)arguments[shape->flags],
        .mode = (unsigned)arguments[number == SYS_creat ? 1 : shape->flags + 1],
    };
    return open_by(number, arguments, &opening);
}
