#include <errno.h>
#include <fcntl.h>
#include <linux/stat.h>
#include <sys/syscall.h>

#include "shim/core/lane.h"
#include "shim/core/restrict.h"
#include "shim/core/text.h"

/* The number of the mount that a host path is on; 0: not known. A device's number would not do:
 * bind mounts on the host share it. */
static uint64_t mount_number(const char *host, unsigned flags)
{
    struct statx status;
    long result =
        lane_call(SYS_statx, AT_FDCWD, (long)host, (long)flags, STATX_MNT_ID, (long)&status);
    return result == 0 && (status.stx_mask & STATX_MNT_ID) ? status.stx_mnt_id : 0;
}

void restrict_begin(struct walk *walk, bool absolute)
{
    walk->start_length = walk->name_length;
    walk->rooted = (walk->resolve & (RESOLVE_BENEATH | RESOLVE_IN_ROOT)) || absolute;
    if ((walk->resolve & RESOLVE_NO_XDEV) && walk->place == PLACE_HOST)
        walk->host_mount = mount_number(walk->host, AT_SYMLINK_NOFOLLOW);
}

void restrict_up(struct walk *walk)
{
    walk->rooted = true;
}

bool restrict_is_start(const struct walk *walk)
{
    return (walk->resolve & (RESOLVE_BENEATH | RESOLVE_IN_ROOT)) &&
           walk->name_length <= walk->start_length;
}

long restrict_link(const struct walk *walk, bool absolute)
{
    if (walk->resolve & RESOLVE_NO_SYMLINKS)
        return -ELOOP;
    if (!absolute || (walk->resolve & RESOLVE_IN_ROOT))
        return 0;
    if (walk->resolve & RESOLVE_BENEATH)
        return -EXDEV;
    /* The kernel compares with a root that it has not looked for, where a relative path has led
     * here without "..": then no absolute symlink is on the root's mount. */
    if (!(walk->resolve & RESOLVE_NO_XDEV))
        return 0;
    bool same = walk->rooted && walk->place == PLACE_HOST && walk->mount_length == 0 &&
                walk->host_mount == mount_number("/", AT_SYMLINK_NOFOLLOW);
    return same ? 0 : -EXDEV;
}

long restrict_magic(const struct walk *walk)
{
    if (walk->resolve & (RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS))
        return -ELOOP;
    if (walk->resolve & (RESOLVE_BENEATH | RESOLVE_IN_ROOT))
        return -EXDEV;
    return (walk->resolve & RESOLVE_NO_XDEV) && mount_number(walk->host, 0) != walk->host_mount
               ? -EXDEV
               : 0;
}

long restrict_mount(const struct walk *walk)
{
    return walk->resolve & RESOLVE_NO_XDEV ? -EXDEV : 0;
}

long restrict_host(const struct walk *walk)
{
    return (walk->resolve & RESOLVE_NO_XDEV) && walk->place == PLACE_HOST &&
                   mount_number(walk->host, AT_SYMLINK_NOFOLLOW) != walk->host_mount
               ? -EXDEV
               : 0;
}

long restrict_wait(const struct walk *walk)
{
    return (walk->resolve & RESOLVE_CACHED) && walk->place == PLACE_NODE ? -EAGAIN : 0;
}
