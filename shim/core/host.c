#include <errno.h>
#include <fcntl.h>
#include <sys/syscall.h>

#include "shim/core/lane.h"
#include "shim/arch/x86_64/syscall.h"
#include "shim/core/host.h"

long host_status(const char *path, struct stat *status)
{
    return lane_call(SYS_newfstatat, AT_FDCWD, (long)path, (long)status, AT_SYMLINK_NOFOLLOW, 0);
}

long host_link(const char *path, char *text, size_t size)
{
    long length = lane_call(SYS_readlinkat, AT_FDCWD, (long)path, (long)text, (long)size, 0);
    if (length < 0)
        return length;
    if ((size_t)length >= size)
        return -ENAMETOOLONG;
    text[length] = '\0';
    return length;
}

bool host_is_proc(const struct stat *status)
{
    /* Not statfs of the path itself: that would follow a magic link to what it leads to. */
    struct stat root;
    return host_status("/proc/", &root) == 0 && root.st_dev == status->st_dev;
}
