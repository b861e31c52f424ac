/* Giving up what serving does not take, before anything of a stranger's is parsed: by Landlock all
 * files but the node's directory, all ports, sockets and signals, by seccomp all calls but those of
 * reading, writing and answering. Descriptors that are open stay so. */
#include <errno.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <time.h>

/* <seccomp.h> brings <elf.h>, whose macros would break <ev.h> after it. */
#include "fence/fence.h"
#include "servers/lib/narrow.h"
#include "translators/lib/library.h"

#include <seccomp.h>

static int files_narrow(void)
{
    struct fence_landlock fence;
    int error;

    /* Version 1 can't allow links between directories: hard links would break. */
    if (fence_landlock_version() < 2)
        return ENOTSUP;
    error = fence_landlock_begin(&fence, FENCE_HOLD_ALL);
    if (error != 0)
        return error;
    error = fence_landlock_allow_at(&fence, library.node_descriptor, FENCE_READ | FENCE_WRITE);
    if (error == 0)
        return fence_landlock_enforce(&fence);
    fence_landlock_end(&fence);
    return error;
}

/* Besides what every server needs: filling mirrors, and the helper that fills them. */
static const int filling_calls[] = {
    SCMP_SYS(statfs),
    SCMP_SYS(fstatfs),
    SCMP_SYS(mkdirat),
    SCMP_SYS(mkdir),
    SCMP_SYS(mknodat),
    SCMP_SYS(mknod),
    SCMP_SYS(symlinkat),
    SCMP_SYS(linkat),
    SCMP_SYS(unlinkat),
    SCMP_SYS(unlink),
    SCMP_SYS(rmdir),
    SCMP_SYS(renameat),
    SCMP_SYS(renameat2),
    SCMP_SYS(utimensat),
    SCMP_SYS(fchmod),
    SCMP_SYS(fchmodat),
    SCMP_SYS(faccessat),
    SCMP_SYS(faccessat2),
    SCMP_SYS(inotify_add_watch),
    SCMP_SYS(wait4),
    SCMP_SYS(flock),
    SCMP_SYS(sendfile),
    /* What the shim asks of the kernel for these and for opening. */
    SCMP_SYS(openat2),
    SCMP_SYS(getcwd),
    SCMP_SYS(process_vm_writev),
    -1,
};

int narrow(void)
{
    int error;

    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return errno;
    /* The log's times: libc reads the zone's file when it first needs it. */
    tzset();
    error = files_narrow();
    if (error != 0)
        translator_log("runs without Landlock: errno %d", error);
    return narrow_calls(filling_calls, NULL, NARROW_PARENT_DEATH);
}
