/* Calls with one path: the kernel first, where its answer can stand. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <linux/stat.h>
#include <unistd.h>

#include "shim/core/lane.h"
#include "shim/core/host.h"
#include "shim/core/text.h"
#include "shim/door/door.h"
#include "shim/door/taught.h"
#include "shim/door/ways.h"

/* Errors that a node, a placeholder or an entry of the table may stand behind. */
static bool error_is_doubtful(long result)
{
    return result == -ENOENT || result == -ELOOP || result == -ENOTDIR;
}

/* What a status says of what it is of. */
struct looks {
    uint32_t mode;
    uint64_t size, links;
};

static inline struct looks looks_of(long number, const void *status)
{
    if (number == SYS_statx) {
        const struct statx *wide = status;
        return (struct looks){wide->stx_mode, wide->stx_size, wide->stx_nlink};
    }
    const struct stat *usual = status;
    return (struct looks){usual->st_mode, (uint64_t)usual->st_size, usual->st_nlink};
}

/* Where a call of VERB_STAT puts what it found. */
static inline void *status_of(long number, const long arguments[6], const struct call_shape *shape)
{
    return (void *)arguments[number == SYS_statx ? 4 : shape->path + 1];
}

/* A native success of stat that may not be the session's answer: a record is a node and no symlink;
 * a removed directory may be a placeholder. */
static long status_review(long number, const long arguments[6], int directory, const char *path,
                          const struct looks *looks)
{
    if (S_ISLNK(looks->mode) && looks->size >= RECORD_LENGTH_MIN && path[0] != '\0') {
        char start[RECORD_START_LENGTH + 1];
        long got = lane_call(SYS_readlinkat, directory, (long)path, (long)start, sizeof start, 0);
        if (got > 0 && text_begins(start, (size_t)got, RECORD_START, RECORD_START_LENGTH))
            return path_slow(number, arguments);
    }
    if (S_ISDIR(looks->mode) && looks->links == 0 &&
        __atomic_load_n(&the_shim.core.header->placeholders, __ATOMIC_RELAXED))
        return path_slow(number, arguments);
    return 0;
}

/* The same of any call; /proc names what the host names. */
static long path_review(long number, const long arguments[6], const struct call_shape *shape,
                        int directory, const char *path, long result)
{
    if (shape->verb == VERB_STAT) {
        struct looks looks = looks_of(number, status_of(number, arguments, shape));
        return status_review(number, arguments, directory, path, &looks);
    }
    if (shape->verb == VERB_READLINK) {
        char *text = (char *)arguments[shape->path + 1];
        size_t size = (size_t)arguments[shape->path + 2];
        if (result > 0 && text[0] == '/')
            return link_translate(directory, path, text, size, result);
    }
    return result;
}

/* Whether a change must be walked before the kernel makes it. Reads `path`. `clear`: way_is_clear.
 */
static bool change_is_doubtful(const struct view *view, const struct call_shape *shape,
                               int directory, const char *path, bool clear)
{
    if (view->table == NULL && !view->places)
        return false;
    if (view->table != NULL &&
        (table_has_read_only(view->table) ||
         ((shape->traits & TRAIT_NAMES) && last_is_named(view->table, path, true))))
        return true;
    return !clear && text_find(view, directory, path) == TEXT_TABLE;
}

static __attribute__((noinline)) long change_call(long number, const long arguments[6],
                                                  const struct call_shape *shape, int directory,
                                                  const char *path, const struct view *view)
{
    if (view->table != NULL || view->places) {
        long checked = path_check(path);
        if (checked < 0)
            return checked;
        bool clear = way_is_clear(view, directory, path);
        if (change_is_doubtful(view, shape, directory, path, clear))
            return path_slow(number, arguments);
        if (links_matter(view, path) &&
            !(call_follows(number, arguments) ? target_is_plain(view, directory, path)
                                              : clear || way_is_plain(view, directory, path)))
            return path_slow(number, arguments);
    }
    /* In a confined tree the trap server counts it, and a refusal too. */
    if (trap_decides() && shape->verb == VERB_MAKE_SYMLINK)
        return path_slow(number, arguments);
    long result = call_plain(number, arguments);
    if (result == 0 && (view->shadows || view->binds) && shape->verb == VERB_MAKE_SYMLINK)
        ways_changed();
    if (!error_is_doubtful(result) && !is_memory_name(path, result) &&
        !(result == -EACCES && trap_decides()))
        return result;
    return path_slow(number, arguments);
}

/* The kernel's answer was to another question: ask again by the walk. What the kernel did is
 * harmless, a watch excepted. */
static long path_again(long number, const long arguments[6], const struct call_shape *shape,
                       long result)
{
    if (shape->verb == VERB_WATCH && result >= 0)
        system_call(SYS_inotify_rm_watch, arguments[0], result, 0, 0, 0, 0);
    return path_slow(number, arguments);
}

/* Whether it is the session's answer, too, that nothing is there (`result`): the kernel went the
 * session's way, or as far as that goes, and no symlink is at its end. */
static bool missing_stands(const struct view *view, int directory, const char *path, bool clear,
                           bool follow, long result)
{
    struct stat status;
    if (result == -ELOOP || missing_is_doubtful(view, directory, path))
        return false;
    long way = clear ? 1 : way_look(view, directory, path);
    return way == result ||
           (way == 1 && (!follow || lane_call(SYS_newfstatat, directory, (long)path, (long)&status,
                                              AT_SYMLINK_NOFOLLOW, 0) == result));
}

/* stat where names are shadowed: lstat first, which is as quick and tells of a symlink. */
static long shadowed_stat(long number, const long arguments[6], const struct call_shape *shape,
                          int directory, const char *path, const struct view *view)
{
    void *status = status_of(number, arguments, shape);
    long flags = shape->flags >= 0 ? arguments[shape->flags] | AT_SYMLINK_NOFOLLOW
                                   : (long)AT_SYMLINK_NOFOLLOW;
    long result =
        number == SYS_statx
            ? lane_call(SYS_statx, directory, (long)path, flags, arguments[3], (long)status)
            : lane_call(SYS_newfstatat, directory, (long)path, (long)status, flags, 0);
    if (result < 0 && result != -ENOENT && result != -ENOTDIR && result != -ELOOP &&
        result != -EACCES)
        return result;
    bool clear = way_is_clear(view, directory, path);
    if (!clear && text_find(view, directory, path) == TEXT_TABLE)
        return path_slow(number, arguments);
    if (result < 0)
        return missing_stands(view, directory, path, clear, false, result)
                   ? result
                   : path_slow(number, arguments);
    struct looks looks = looks_of(number, status);
    if (S_ISLNK(looks.mode) && call_follows(number, arguments)) {
        if (!target_is_plain(view, directory, path))
            return path_slow(number, arguments);
        result = call_plain(number, arguments);
        if (result < 0)
            return result;
        looks = looks_of(number, status);
    } else if (!clear && !way_is_plain(view, directory, path)) {
        return path_slow(number, arguments);
    } else if (S_ISDIR(looks.mode)) {
        way_learn_directory(view, directory, path);
    } else if (!S_ISLNK(looks.mode)) {
        return result;
    }
    return status_review(number, arguments, directory, path, &looks);
}

/* Where a program is is its own to change; yet in a confined tree the trap server is asked. */
static long call_here(long number, const long arguments[6], const struct call_shape *shape)
{
    if (shape->verb == VERB_CHDIR && trap_decides())
        return call_asked(number, arguments);
    return call_plain(number, arguments);
}

/* A call that changes nothing, where names are shadowed: the kernel first, then whether what it
 * did was the right thing. */
static __attribute__((noinline)) long shadowed_call(long number, const long arguments[6],
                                                    const struct call_shape *shape, int directory,
                                                    const char *path, const struct view *view)
{
    if (shape->verb == VERB_CHDIR || shape->verb == VERB_WATCH) {
        /* What these do stays done: the question comes first. */
        long checked = path_check(path);
        if (checked < 0)
            return checked;
        if (text_find(view, directory, path) == TEXT_TABLE ||
            (!trap_decides() && !target_is_plain(view, directory, path)))
            return path_slow(number, arguments);
        long result = call_here(number, arguments, shape);
        if (result == 0 && shape->verb == VERB_CHDIR)
            ways_moved();
        return result;
    }
    long result = call_plain(number, arguments);
    /* readlink's EINVAL is about what is there, unless there is no room to say it. */
    bool told = shape->verb == VERB_READLINK && (int)arguments[shape->path + 2] > 0;
    if (result == -EFAULT || (result == -EINVAL && !told) || result == -ENAMETOOLONG)
        return result;
    bool follow = call_follows(number, arguments);
    if (result >= 0 && follow && target_is_known(view, directory, path))
        return result;
    bool clear = way_is_clear(view, directory, path);
    if (!clear && text_find(view, directory, path) == TEXT_TABLE)
        return path_slow(number, arguments);
    if (result < 0 && error_is_doubtful(result))
        return missing_stands(view, directory, path, clear, follow, result)
                   ? result
                   : path_slow(number, arguments);
    if (!(follow ? target_is_plain(view, directory, path)
                 : clear || way_is_plain(view, directory, path)))
        return path_slow(number, arguments);
    return result < 0 ? result : path_review(number, arguments, shape, directory, path, result);
}

long fchdir_call(long number, const long arguments[6])
{
    long result = call_plain(number, arguments);
    if (result == 0)
        ways_moved();
    return result;
}

long unshare_call(long number, const long arguments[6])
{
    if (number == SYS_unshare && (arguments[0] & CLONE_FILES))
        list_part();
    /* The kernel parts the directories with any of these. */
    if (number == SYS_setns || (arguments[0] & (CLONE_FS | CLONE_NEWNS | CLONE_NEWUSER)))
        ways_parted();
    long result = call_plain(number, arguments);
    if (number != SYS_unshare || (arguments[0] & (CLONE_NEWNS | CLONE_NEWUSER)))
        ways_world_changed();
    return result;
}

long path_call(long number, const long arguments[6])
{
    const struct call_shape *shape = &call_shapes[number];
    if (shape->verb == VERB_OPEN) {
        long descriptor = open_call(number, arguments);
        list_forget((int)descriptor);
        return descriptor;
    }
    const char *path = (const char *)arguments[shape->path];
    int directory = shape->directory >= 0 ? (int)arguments[shape->directory] : AT_FDCWD;
    if (path == NULL)
        return call_plain(number, arguments);
    if (trap_decides()) {
        if (number == SYS_newfstatat && arguments[3] == AT_EMPTY_PATH && directory >= 0 &&
            path_check(path) == 0 && path[0] == '\0') {
            /* libc's fstat. What the trap server must ask about the filter cannot tell from it. */
            const long by_descriptor[6] = {directory, arguments[2]};
            return fstat_call(SYS_fstat, by_descriptor);
        }
        if (!(shape->traits & TRAIT_NAMES) && shape->verb != VERB_SIZE &&
            shape->verb != VERB_CHDIR && shape->verb != VERB_CHROOT)
            return shape->verb == VERB_STAT || shape->verb == VERB_ACCESS ||
                           shape->verb == VERB_READLINK
                       ? taught_call(number, arguments)
                       : call_asked(number, arguments);
    }
    if ((shape->traits & TRAIT_EMPTY_PATH) && (arguments[shape->flags] & AT_EMPTY_PATH)) {
        long result = call_plain(number, arguments);
        if (result < 0 && result != -ENOENT && result != -ELOOP)
            return result;
        if (path[0] == '\0') {
            if (result == 0 && number == SYS_newfstatat)
                list_prepare(directory, status_of(number, arguments, shape));
            if (result == 0 && shape->verb == VERB_STAT)
                return path_review(number, arguments, shape, directory, path, result);
            return result;
        }
    }
    struct view view = view_get();
    if (shape->verb == VERB_ACCESS && (arguments[shape->path + 1] & W_OK) && view.table != NULL &&
        table_has_read_only(view.table)) {
        long checked = path_check(path);
        return checked < 0 ? checked : path_slow(number, arguments);
    }
    if (shape->traits & TRAIT_CHANGES)
        return change_call(number, arguments, shape, directory, path, &view);
    if (links_matter(&view, path))
        return shape->verb == VERB_STAT
                   ? shadowed_stat(number, arguments, shape, directory, path, &view)
                   : shadowed_call(number, arguments, shape, directory, path, &view);
    if (view.places && shape->verb == VERB_CHDIR) {
        /* A walk from where chdir led would start at the wrong place. */
        long checked = path_check(path);
        if (checked < 0)
            return checked;
        if (text_find(&view, directory, path) == TEXT_TABLE)
            return path_slow(number, arguments);
    }
    long result = call_here(number, arguments, shape);
    if (result < 0 && !error_is_doubtful(result))
        return result;
    /* From here on the kernel has read the path: it is safe to read. */
    if (view.places && text_find(&view, directory, path) == TEXT_TABLE)
        return path_again(number, arguments, shape, result);
    if (result >= 0) {
        if (shape->verb == VERB_CHDIR)
            ways_moved();
        return path_review(number, arguments, shape, directory, path, result);
    }
    if (view.table != NULL && text_find(&view, directory, path) == TEXT_TABLE)
        return path_slow(number, arguments);
    if (missing_is_doubtful(&view, directory, path))
        return path_slow(number, arguments);
    long direct = path_is_direct(directory, path, call_follows(number, arguments));
    if (direct == -ENOENT || direct == -ENOTDIR)
        return result;
    return path_slow(number, arguments);
}

long chroot_call(long number, const long arguments[6])
{
    long result = path_call(number, arguments);
    ways_moved();
    ways_world_changed();
    return result;
}
