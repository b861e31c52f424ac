/* Giving up what serving does not take, before anything of a stranger's is parsed: by Landlock all
 * files but the node's directory, by seccomp all calls but those of reading, writing and answering.
 * Descriptors that are open stay so. */
#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* <seccomp.h> brings <elf.h>, whose macros would break <ev.h> after it. */
#include "servers/lib/narrow.h"
#include "translators/lib/library.h"

#include <seccomp.h>

/* Not in Debian 12's headers' first version of the interface. */
#ifndef LANDLOCK_ACCESS_FS_REFER
#define LANDLOCK_ACCESS_FS_REFER (1ULL << 13)
#endif
#ifndef LANDLOCK_ACCESS_FS_TRUNCATE
#define LANDLOCK_ACCESS_FS_TRUNCATE (1ULL << 14)
#endif

/* All rights that the first version knows: its thirteen bits. */
#define LANDLOCK_FIRST ((1ULL << 13) - 1)

static int files_narrow(void)
{
    struct landlock_ruleset_attr rules = {.handled_access_fs = LANDLOCK_FIRST};
    struct landlock_path_beneath_attr beneath = {.parent_fd = library.node_descriptor};
    long version = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    int ruleset, error = 0;

    /* Version 1 can't allow links between directories: hard links would break. */
    if (version < 2)
        return ENOTSUP;
    rules.handled_access_fs |= LANDLOCK_ACCESS_FS_REFER;
    if (version >= 3)
        rules.handled_access_fs |= LANDLOCK_ACCESS_FS_TRUNCATE;
    beneath.allowed_access = rules.handled_access_fs & ~(uint64_t)LANDLOCK_ACCESS_FS_EXECUTE;
    ruleset = (int)syscall(SYS_landlock_create_ruleset, &rules, sizeof(rules), 0);
    if (ruleset < 0)
        return errno;
    if (syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &beneath, 0) != 0 ||
        syscall(SYS_landlock_restrict_self, ruleset, 0) != 0)
        error = errno;
    close(ruleset);
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
    error = files_narrow();
    if (error != 0)
        translator_log("runs without Landlock: errno %d", error);
    return narrow_calls(filling_calls, NULL, NARROW_PARENT_DEATH);
}
