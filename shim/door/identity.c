/* Calls that reveal what a descriptor or a link of procfs stands for. */
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/stat.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>

#include "shim/core/lane.h"
#include "shim/core/host.h"
#include "shim/core/node.h"
#include "shim/core/scratch.h"
#include "shim/core/text.h"
#include "shim/door/door.h"

static void statx_time(struct statx_timestamp *to, const struct timespec *from)
{
    to->tv_sec = from->tv_sec;
    to->tv_nsec = (uint32_t)from->tv_nsec;
}

long status_write(bool statx, void *to, const struct stat *status)
{
    if (!statx)
        return the_shim.caller.write(&the_shim.caller, to, status, sizeof *status);
    struct statx wide = {
        .stx_mask = STATX_BASIC_STATS,
        .stx_blksize = (uint32_t)status->st_blksize,
        .stx_nlink = (uint32_t)status->st_nlink,
        .stx_uid = status->st_uid,
        .stx_gid = status->st_gid,
        .stx_mode = (uint16_t)status->st_mode,
        .stx_ino = status->st_ino,
        .stx_size = (uint64_t)status->st_size,
        .stx_blocks = (uint64_t)status->st_blocks,
        .stx_dev_major = major(status->st_dev),
        .stx_dev_minor = minor(status->st_dev),
        .stx_rdev_major = major(status->st_rdev),
        .stx_rdev_minor = minor(status->st_rdev),
    };
    statx_time(&wide.stx_atime, &status->st_atim);
    statx_time(&wide.stx_mtime, &status->st_mtim);
    statx_time(&wide.stx_ctime, &status->st_ctim);
    return the_shim.caller.write(&the_shim.caller, to, &wide, sizeof wide);
}

/* Stand where a descriptor of a virtual directory stands. */
static long node_of_descriptor(struct walk *walk, int descriptor)
{
    struct view view = view_get();
    long result = walk_descriptor(walk, &the_shim.caller, view.table, descriptor);
    if (result < 0)
        return result;
    return walk->place == PLACE_NODE ? 0 : -ENOENT;
}

/* The node status of an opened virtual directory; -ENOENT if the descriptor is none. */
static long descriptor_status(int descriptor, struct stat *status)
{
    struct hold hold;
    struct walk *walk = scratch_take(&hold, sizeof *walk);
    if (walk == NULL)
        return -ENOMEM;
    bool ended;
    long result = node_of_descriptor(walk, descriptor);
    if (result == 0)
        result = node_status(walk, true, status, &ended);
    scratch_give(&hold, walk, sizeof *walk);
    return result;
}

long fstat_call(long number, const long arguments[6])
{
    struct stat *status = (struct stat *)arguments[1];
    long result = call_plain(number, arguments);
    if (result == 0)
        list_prepare((int)arguments[0], status);
    if (result != 0 || !S_ISDIR(status->st_mode) || status->st_nlink != 0 ||
        !__atomic_load_n(&the_shim.core.header->placeholders, __ATOMIC_RELAXED))
        return result;
    struct stat found;
    if (descriptor_status((int)arguments[0], &found) == 0)
        return status_write(false, status, &found);
    return 0;
}

long fstatfs_call(long number, const long arguments[6])
{
    long result = call_plain(number, arguments);
    if (result != 0 || !__atomic_load_n(&the_shim.core.header->placeholders, __ATOMIC_RELAXED) ||
        !start_is_removed((int)arguments[0]))
        return result;
    struct hold hold;
    struct walk *walk = scratch_take(&hold, sizeof *walk);
    if (walk == NULL)
        return result;
    bool ended;
    if (node_of_descriptor(walk, (int)arguments[0]) == 0)
        node_filesystem(walk, (void *)arguments[1], &ended);
    scratch_give(&hold, walk, sizeof *walk);
    return 0;
}

/* Put a name that the kernel's getcwd would: with its NUL, which counts. */
static long name_write(const struct walk *walk, char *to, size_t size)
{
    const char *name = walk->name_length == 0 ? "/" : walk->name;
    size_t length = text_length(name) + 1;
    if (length > size)
        return -ERANGE;
    long result = the_shim.caller.write(&the_shim.caller, to, name, length);
    return result < 0 ? result : (long)length;
}

long getcwd_call(long number, const long arguments[6])
{
    char *to = (char *)arguments[0];
    size_t size = (size_t)arguments[1];
    struct view view = view_get();
    long result = call_plain(number, arguments);
    if (!view.places)
        return result;
    if (result > 0 && view.table != NULL &&
        table_bind_of_host(view.table, to, (size_t)result - 1) == NULL)
        return result;
    /* Removed: maybe a placeholder. Or the host's name of a bind's target; -ERANGE may be the
     * host's name being longer than the session's. */
    if (result < 0 && result != -ENOENT && result != -ERANGE)
        return result;
    struct hold hold;
    struct walk *walk = scratch_take(&hold, sizeof *walk);
    if (walk == NULL)
        return -ENOMEM;
    long found = walk_descriptor(walk, &the_shim.caller, view.table, AT_FDCWD);
    if (found == 0)
        result = name_write(walk, to, size);
    scratch_give(&hold, walk, sizeof *walk);
    return result;
}

/* Put the name where the walk stands over the kernel's text, `got` bytes that are there already.
 * Its length, or -errno. */
static long link_write(struct walk *walk, char *text, size_t size, size_t got)
{
    const char *name = walk->name_length == 0 ? "/" : walk->name;
    size_t length = text_length(name) < size ? text_length(name) : size;
    long result = the_shim.caller.write(&the_shim.caller, text, name, length);
    if (result == 0 && length < got) {
        /* Some take what is behind as ended by the NUL that they put there before. */
        bytes_clear(walk->todo, got - length);
        result = the_shim.caller.write(&the_shim.caller, text + length, walk->todo, got - length);
    }
    return result < 0 ? result : (long)length;
}

long link_translate(int directory, const char *path, char *text, size_t size, long length)
{
    const struct core *core = &the_shim.core;
    size_t got = (size_t)length;
    if (text_begins(text, got, RECORD_START, RECORD_START_LENGTH)) {
        /* A node is no symlink, if it is one of ours. */
        struct view view = view_get();
        struct hold hold;
        struct walk *walk = scratch_take(&hold, sizeof *walk);
        if (walk == NULL)
            return -ENOMEM;
        struct stat status;
        bool ended = false;
        long result = walk_path(walk, &the_shim.caller, view.table, directory, path, 0);
        if (result == 0 && walk->place == PLACE_NODE)
            result = node_status(walk, false, &status, &ended);
        else
            result = -ENOKEY;
        scratch_give(&hold, walk, sizeof *walk);
        return result == 0 && !ended ? -EINVAL : length;
    }
    struct view view = view_get();
    bool ours = text_begins(text, got, core->session, core->session_length);
    if (!ours && (view.table == NULL || table_bind_of_host(view.table, text, got) == NULL))
        return length;
    /* Only procfs's links name objects; any other symlink's text is its own. */
    struct statfs status;
    long descriptor =
        lane_call(SYS_openat, directory, (long)path, O_PATH | O_NOFOLLOW | O_CLOEXEC, 0, 0);
    if (descriptor < 0)
        return length;
    bool proc = system_call(SYS_fstatfs, descriptor, (long)&status, 0, 0, 0, 0) == 0 &&
                status.f_type == PROC_SUPER_MAGIC;
    struct hold hold;
    struct walk *walk = proc ? scratch_take(&hold, sizeof *walk) : NULL;
    if (walk != NULL) {
        walk->caller = &the_shim.caller;
        walk->table = view.table;
        long whole =
            lane_call(SYS_readlinkat, descriptor, (long)"", (long)walk->todo, PATH_LIMIT, 0);
        if (whole > 0 && whole < PATH_LIMIT) {
            walk->todo[whole] = '\0';
            if (walk_from_host(walk, walk->todo, (size_t)whole) == 0)
                length = link_write(walk, text, size, got);
        }
        scratch_give(&hold, walk, sizeof *walk);
    }
    system_call(SYS_close, descriptor, 0, 0, 0, 0, 0);
    return length;
}
