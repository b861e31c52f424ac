/* In a confined tree: what only looks, made of what Landlock checks.
 *
 * Landlock fences opens, but not stat, access and readlink: those are the trap server's to answer,
 * at some 8 µs each. But what can be opened for reading can be looked at, so where an open has no
 * effect of its own the answer is found by one: of directories always, of files once the trap
 * server has said that the name is a file's. (To open a FIFO would wake who waits at its other
 * end.) Everything else is asked.
 *
 * One thing an open and a close do: of the two, close gives up all the locks of fcntl(2) that the
 * process has on the file. So a process that locks looks no more in this way. */
#include "shim/door/taught.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/stat.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "shim/core/text.h"
#include "shim/door/ways.h"

/* How long a thread that wants a lock waits for others that look. Not for ever: it may be a signal
 * handler, and have interrupted one; which then keeps its descriptor open. */
enum { LOOKS_AWAITED = 20000 };

static struct {
    unsigned looks; /* files held open at this moment, only to be looked at */
    bool locks;     /* the process has, or had, locks of fcntl */
} memory IN_DATA;

long control_call(long number, const long arguments[6])
{
    if ((arguments[1] == F_SETLK || arguments[1] == F_SETLKW) && trap_decides() &&
        !__atomic_exchange_n(&memory.locks, true, __ATOMIC_SEQ_CST))
        for (int i = 0; i < LOOKS_AWAITED && __atomic_load_n(&memory.looks, __ATOMIC_SEQ_CST) != 0;
             i++)
            system_call(SYS_sched_yield, 0, 0, 0, 0, 0, 0);
    return call_whole(number, arguments);
}

/* Whether somebody has locks on the file: it may be us, by a call that did not come this way. Asked
 * as the file's own owner, to whom all others' locks are in the way. */
static bool is_locked(long file)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    return system_call(SYS_fcntl, file, F_OFD_GETLK, (long)&lock, 0, 0, 0) != 0 ||
           lock.l_type != F_UNLCK;
}

struct look {
    const struct view *view;
    int directory;
    const char *path;
    bool clear;  /* the way is known to be plain: way_is_clear */
    bool file;   /* `descriptor` is of a file, not of a directory */
    bool denied; /* something is there that may not be opened */
    long descriptor;
};

static bool look_knows(const struct look *look, enum way_kind kind)
{
    return way_is_known(
        way_number(look->view, kind, look->directory, look->path, text_length(look->path)));
}

static void look_close(const struct look *look)
{
    if (look->file && !memory.locks && is_locked(look->descriptor))
        memory.locks = true;
    /* What is locked stays open, once: from now on nothing is looked at in this way. */
    if (!look->file || !__atomic_load_n(&memory.locks, __ATOMIC_SEQ_CST))
        system_call(SYS_close, look->descriptor, 0, 0, 0, 0, 0);
}

static void look_end(const struct look *look)
{
    if (look->descriptor >= 0)
        look_close(look);
    if (look->file)
        __atomic_sub_fetch(&memory.looks, 1, __ATOMIC_SEQ_CST);
}

/* 0: `descriptor` is what the path leads to, and no symlink was followed on its last component.
 * -ENOENT: nothing is there. Else it must be asked about. */
static long look_begin(struct look *look)
{
    unsigned flags = O_RDONLY | O_NOFOLLOW | O_CLOEXEC;

    look->descriptor = -1;
    look->file = look->denied = false;
    if (!look->clear && !way_is_plain(look->view, look->directory, look->path))
        return -EAGAIN;
    if (look_knows(look, WAY_FILE)) {
        look->file = true;
        __atomic_add_fetch(&memory.looks, 1, __ATOMIC_SEQ_CST);
        if (__atomic_load_n(&memory.locks, __ATOMIC_SEQ_CST))
            return -EAGAIN;
        flags |= O_NONBLOCK | O_NOCTTY;
    } else {
        flags |= O_DIRECTORY;
    }
    look->descriptor = lane_call(SYS_openat, look->directory, (long)look->path, (long)flags, 0, 0);
    look->denied = look->descriptor == -EACCES;
    if (look->descriptor == -ENOENT && missing_is_doubtful(look->view, look->directory, look->path))
        return -EAGAIN;
    return look->descriptor >= 0 || look->descriptor == -ENOENT ? 0 : -EAGAIN;
}

static long look_status(const struct look *look, long number, const long arguments[6])
{
    const struct call_shape *shape = &call_shapes[number];
    long result;

    if (number == SYS_statx) {
        /* Without a path: by the descriptor (since Linux 6.11). */
        result = lane_call(SYS_statx, look->descriptor, 0,
                           AT_EMPTY_PATH | (arguments[2] & AT_STATX_SYNC_TYPE), arguments[3],
                           arguments[4]);
        if (result == 0 && !(((const struct statx *)arguments[4])->stx_mask & STATX_NLINK))
            return -EAGAIN;
        if (result == 0 && ((const struct statx *)arguments[4])->stx_nlink == 0)
            return -EAGAIN;
        return result == -EFAULT ? -EAGAIN : result;
    }
    result = system_call(SYS_fstat, look->descriptor, arguments[shape->path + 1], 0, 0, 0, 0);
    /* Removed: maybe a placeholder. */
    if (result == 0 && ((const struct stat *)arguments[shape->path + 1])->st_nlink == 0)
        return -EAGAIN;
    return result;
}

static bool flags_are_usual(long number, const long arguments[6])
{
    const struct call_shape *shape = &call_shapes[number];
    long usual = AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT;

    if (shape->flags < 0)
        return true;
    if (number == SYS_statx)
        usual |= AT_STATX_SYNC_TYPE;
    return (arguments[shape->flags] & ~usual) == 0;
}

/* What the call says of what was opened, or -EAGAIN. */
static long look_answer(const struct look *look, long number, const long arguments[6])
{
    const struct call_shape *shape = &call_shapes[number];

    switch (shape->verb) {
    case VERB_STAT:
        return look_status(look, number, arguments);
    case VERB_ACCESS:
        /* It can be read, as was just seen. */
        return (arguments[shape->path + 1] & ~(long)R_OK) == 0 ? 0 : -EAGAIN;
    default:
        return -EINVAL; /* no symlink */
    }
}

/* Whether what may not be opened was a directory or a file a moment ago: then it is no symlink. gcc
 * asks this of each component of each header's path, also of those that may not be read. */
static bool is_no_link(const struct look *look)
{
    size_t length = text_length(look->path);

    return look->denied &&
           (way_is_recent(
                way_number(look->view, WAY_FOLDER, look->directory, look->path, length)) ||
            way_is_recent(way_number(look->view, WAY_FILE, look->directory, look->path, length)));
}

long taught_call(long number, const long arguments[6])
{
    const struct call_shape *shape = &call_shapes[number];
    const char *path = (const char *)arguments[shape->path];
    int directory = shape->directory >= 0 ? (int)arguments[shape->directory] : AT_FDCWD;
    struct view view = view_get();
    struct look look = {.view = &view, .directory = directory, .path = path};
    long result;

    if (!flags_are_usual(number, arguments) || path_check(path) < 0 || path[0] == '\0')
        return call_asked(number, arguments);
    look.clear = way_is_clear(&view, directory, path);
    if (!look.clear && text_find(&view, directory, path) == TEXT_TABLE)
        return call_asked(number, arguments);
    if (shape->verb != VERB_READLINK || (int)arguments[shape->path + 2] > 0) {
        result = look_begin(&look);
        if (result == 0)
            result = look.descriptor < 0 ? -ENOENT : look_answer(&look, number, arguments);
        else if (shape->verb == VERB_READLINK && is_no_link(&look))
            result = -EINVAL;
        look_end(&look);
        if (result != -EAGAIN)
            return result;
    }
    return call_asked(number, arguments);
}
