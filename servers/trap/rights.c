/* no_new_privs, which a filter needs, takes its rights from a program with the setuid or setgid bit
 * or with capabilities. The kernel starts it all the same, and such programs have all kinds of
 * words for what they then miss: so it is said here. */
#include "servers/trap/rights.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "servers/lib/process.h"
#include "servers/lib/server.h"
#include "shim/core/host.h"
#include "shim/core/text.h"
#include "shim/door/door.h"

static bool has_capabilities(int descriptor)
{
    char link[32];

    /* By its name: what is open as O_PATH alone has no attributes for anybody. */
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    return getxattr(link, "security.capability", NULL, 0) > 0;
}

/* What this program would have here and now; NULL: no more than its caller. */
static const char *kind_of(const struct worker *worker, int descriptor)
{
    struct stat status, caller;
    struct statvfs mount;

    if (fstat(descriptor, &status) != 0 || !S_ISREG(status.st_mode) ||
        stat(worker->client.process, &caller) != 0 || fstatvfs(descriptor, &mount) != 0 ||
        (mount.f_flag & ST_NOSUID))
        return NULL;
    if ((status.st_mode & S_ISUID) && status.st_uid != caller.st_uid)
        return "setuid";
    /* Without the group's right to execute this bit means a lock. */
    if ((status.st_mode & (S_ISGID | S_IXGRP)) == (S_ISGID | S_IXGRP) &&
        status.st_gid != caller.st_gid)
        return "setgid";
    return caller.st_uid != 0 && has_capabilities(descriptor) ? "capabilities" : NULL;
}

/* Whether this is the first that is told of this file. Where there is no more room all was told. */
static bool is_news(struct journal *journal, const struct stat *status)
{
    uint64_t key = (uint64_t)status->st_ino ^ (uint64_t)status->st_dev << 40 ^ 1u << 31;

    for (unsigned i = 0; i < RIGHTS_TOLD; i++) {
        uint64_t free = 0;

        if (__atomic_compare_exchange_n(&journal->rights_told[i], &free, key, false,
                                        __ATOMIC_RELAXED, __ATOMIC_RELAXED))
            return true;
        if (free == key)
            return false;
    }
    return false;
}

/* Whether it is the filter that takes the rights: there may be others above the tree. */
static bool is_ours(const struct worker *worker)
{
    static const char field[] = "\nNoNewPrivs:\t";
    char text[4096];
    ssize_t length = process_read(worker->root, "status", text, sizeof text - 1);
    const char *line;

    if (length <= 0)
        return false;
    text[length] = '\0';
    line = strstr(text, field);
    return line != NULL && line[sizeof field - 1] == '0';
}

void rights_look(struct worker *worker, int descriptor)
{
    char link[32], path[PATH_LIMIT];
    const char *kind = worker->policy == NULL ? kind_of(worker, descriptor) : NULL;
    struct stat status;

    if (kind == NULL || fstat(descriptor, &status) != 0 || !is_ours(worker) ||
        !is_news(worker->journal, &status))
        return;
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    if (host_link(link, path, sizeof path) <= 0)
        return;
    log_line("%s (%s) has no more rights in this session than process %d, which starts it: hirsel "
             "run --no-trap gives it its own",
             path, kind, worker->client.tid);
    if (strcmp(kind, "setuid") == 0)
        client_tell(&worker->client, strrchr(path, '/') + 1);
}

bool rights_named(const char *path, int *descriptor)
{
    const char *at = path + sizeof RIGHTS_NAME - 1;
    uint64_t number;

    if (strncmp(path, RIGHTS_NAME, sizeof RIGHTS_NAME - 1) != 0 || !text_get_number(&at, &number) ||
        *at != '\0' || number > INT_MAX)
        return false;
    *descriptor = (int)number;
    return true;
}
