/* The default profile: what gcc, git and python need beside the directory that they work on. */
#include "fence/fence.h"

#include <errno.h>
#include <limits.h>
#include <unistd.h>

static const char *const programs[] = {
    "/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/etc/alternatives",
};

/* Of /etc what libc, the shells and these programs read: no more, as other files there may name the
 * machine's secrets. And the machine's own facts. */
static const char *const readable[] = {
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/ld.so.preload",
    "/etc/passwd",
    "/etc/group",
    "/etc/nsswitch.conf",
    "/etc/localtime",
    "/etc/timezone",
    "/etc/hosts",
    "/etc/host.conf",
    "/etc/gai.conf",
    "/etc/resolv.conf",
    "/etc/services",
    "/etc/protocols",
    "/etc/hostname",
    "/etc/os-release",
    "/etc/debian_version",
    "/etc/locale.alias",
    "/etc/default/locale",
    "/etc/gitconfig",
    "/etc/mime.types",
    "/etc/magic",
    "/etc/ssl/certs",
    "/etc/ssl/openssl.cnf",
    "/etc/ca-certificates.conf",
    "/etc/terminfo",
    "/etc/inputrc",
    "/etc/profile",
    "/etc/profile.d",
    "/etc/bash.bashrc",
    "/etc/environment",
    "/etc/python3",
    "/etc/python3.11",
    "/etc/python3.12",
    "/etc/python3.13",
    "/etc/perl",
    "/etc/xattr.conf",
    "/etc/login.defs",
    "/etc/shells",
    "/proc",
    "/sys/devices/system/cpu",
    "/sys/devices/system/node",
    "/dev/random",
    "/dev/urandom",
};

static const char *const devices[] = {
    "/dev/null", "/dev/zero", "/dev/full", "/dev/tty", "/dev/ptmx",
};

static int paths_add(struct fence_policy *policy, const char *const *paths, size_t count,
                     unsigned access)
{
    int error = 0;

    for (size_t i = 0; i < count && error == 0; i++) {
        error = fence_policy_add_path(policy, paths[i], access);
        if (error == ENOENT || error == ENOTDIR || error == EACCES)
            error = 0;
    }
    return error;
}

/* The terminals that the program has as its standard streams may be opened by their names, too. Not
 * /dev/pts: the user's other terminals are there, to be read from and typed on. */
static int terminals_add(struct fence_policy *policy)
{
    char name[PATH_MAX];
    int error = 0;

    for (int i = 0; i <= STDERR_FILENO && error == 0; i++)
        if (ttyname_r(i, name, sizeof name) == 0)
            error = fence_policy_add_path(policy, name, FENCE_READ | FENCE_WRITE);
    return error == ENOENT || error == EACCES ? 0 : error;
}

int fence_policy_add_default(struct fence_policy *policy, const char *directory,
                             const char *scratch)
{
    int error = paths_add(policy, programs, sizeof programs / sizeof programs[0],
                          FENCE_READ | FENCE_EXECUTE);

    if (error == 0)
        error = paths_add(policy, readable, sizeof readable / sizeof readable[0], FENCE_READ);
    if (error == 0)
        error = paths_add(policy, devices, sizeof devices / sizeof devices[0],
                          FENCE_READ | FENCE_WRITE);
    if (error == 0)
        error = terminals_add(policy);
    if (error == 0)
        error = fence_policy_add_path(policy, directory, FENCE_READ | FENCE_WRITE | FENCE_EXECUTE);
    if (error == 0 && scratch)
        error = fence_policy_add_path(policy, scratch, FENCE_READ | FENCE_WRITE | FENCE_EXECUTE);
    return error;
}
