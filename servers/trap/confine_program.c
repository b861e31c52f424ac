/* What a confined tree executes of translators' files. They lie where no rule of its Landlock
 * domain is: whether one of them may be executed is said by its name in the session. Where the
 * policy says so, the file gets a second name in a directory of the tree's own, in which everything
 * may be read and executed, and nothing changed. It stays the same file: what its mode forbids
 * then, it forbids by that name as well. */
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "servers/lib/directory.h"
#include "servers/trap/act.h"
#include "servers/trap/confine.h"
#include "servers/trap/policy.h"
#include "shim/core/host.h"
#include "shim/core/node.h"
#include "shim/core/text.h"

/* Others of this tree's workers may make, or renew, the same name meanwhile. */
enum { ATTEMPTS = 8 };

/* Whether it is below SESSION/nodes/. */
static bool is_mirrored(const char *host)
{
    size_t session = the_shim.core.session_length;

    return text_begins(host, strlen(host), the_shim.core.session, session) &&
           strncmp(host + session, "/nodes/", sizeof "/nodes/" - 1) == 0;
}

/* Whether `host` is a translator's file; if so the worker's walk stands there. 0: it is none. */
static long file_place(struct worker *worker, char host[PATH_LIMIT])
{
    struct walk *walk = &worker->walk;
    struct view view = view_get();
    char real[PATH_LIMIT];
    long result;

    /* A walk ends at procfs's link to an open file. */
    if (strncmp(host, "/proc/", sizeof "/proc/" - 1) == 0 &&
        host_link(host, real, sizeof real) > 0 && is_mirrored(real))
        strcpy(host, real);
    if (!is_mirrored(host))
        return 0;
    walk->caller = &the_shim.caller;
    walk->table = view.table;
    walk->todo_at = walk->todo_length = 0;
    walk->todo[0] = '\0';
    result = walk_from_host(walk, host, strlen(host));
    return result < 0 ? result : walk->place == PLACE_NODE;
}

/* The file, and not what a translator, which may be the tree's own, put in its place to lead us
 * elsewhere. */
static int file_hold(const char *host, struct stat *status)
{
    struct open_how how = {.flags = O_PATH | O_CLOEXEC | O_NOFOLLOW,
                           .resolve = RESOLVE_NO_SYMLINKS};
    char link[32], real[PATH_LIMIT];
    int file = (int)syscall(SYS_openat2, AT_FDCWD, host, &how, sizeof how);

    if (file < 0)
        return errno == ELOOP ? -EACCES : -errno;
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    if (fstat(file, status) == 0 && S_ISREG(status->st_mode) &&
        host_link(link, real, sizeof real) > 0 && strcmp(real, host) == 0)
        return file;
    close(file);
    return -EACCES;
}

/* The directories that `path` is in, from `begin` on. A file in the way is a former one's name. */
static int directories_make(char *path, size_t begin)
{
    for (char *at = strchr(path + begin + 1, '/'); at != NULL; at = strchr(at + 1, '/')) {
        struct stat status;
        int error = 0;

        *at = '\0';
        if (mkdir(path, 0700) != 0)
            error = errno;
        if (error == EEXIST && lstat(path, &status) == 0 && !S_ISDIR(status.st_mode))
            error = unlink(path) == 0 && mkdir(path, 0700) == 0 ? 0 : errno;
        *at = '/';
        if (error != 0 && error != EEXIST)
            return error;
    }
    return 0;
}

static bool is_same(const char *path, const struct stat *status)
{
    struct stat there;

    return lstat(path, &there) == 0 && there.st_dev == status->st_dev &&
           there.st_ino == status->st_ino;
}

/* In the place of what bears the name: a file that the translator has no more, or a directory. */
static int name_renew(const struct worker *worker, const char *link, const char *path)
{
    char other[PATH_LIMIT];
    int error = 0;

    if ((size_t)snprintf(other, sizeof other, "%s/new-%d", worker->policy->rules.programs,
                         getpid()) >= sizeof other)
        return ENAMETOOLONG;
    unlink(other); /* a killed worker's with the same number */
    if (linkat(AT_FDCWD, link, AT_FDCWD, other, AT_SYMLINK_FOLLOW) != 0)
        return errno;
    if (rename(other, path) != 0) {
        error = errno;
        if (error == EISDIR || error == ENOTEMPTY || error == EEXIST)
            error = directory_remove(path, NULL);
        if (error == 0 && rename(other, path) != 0)
            error = errno;
    }
    unlink(other);
    return error;
}

/* Give what is held the name `path` below `begin`. */
static int name_give(const struct worker *worker, int file, const struct stat *status, char *path,
                     size_t begin)
{
    char link[32];
    int error = ENOENT;

    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    for (int i = 0; i < ATTEMPTS && !is_same(path, status); i++) {
        error = linkat(AT_FDCWD, link, AT_FDCWD, path, AT_SYMLINK_FOLLOW) == 0 ? 0 : errno;
        if (error == ENOENT || error == ENOTDIR)
            error = directories_make(path, begin);
        else if (error == EEXIST)
            error = name_renew(worker, link, path);
        if (error != 0)
            return error;
    }
    return is_same(path, status) ? 0 : EACCES;
}

/* `host` becomes the second name. */
static long name_make(const struct worker *worker, char host[PATH_LIMIT])
{
    const char *own = worker->policy->rules.programs;
    const char *below = host + the_shim.core.session_length + sizeof "/nodes" - 1;
    size_t length = strlen(own), rest = strlen(below);
    char path[PATH_LIMIT];
    struct stat status;
    int file, error;

    if (length + rest >= sizeof path)
        return -ENAMETOOLONG;
    memcpy(path, own, length);
    memcpy(path + length, below, rest + 1);
    file = file_hold(host, &status);
    if (file < 0)
        return file;
    error = name_give(worker, file, &status, path, length);
    close(file);
    if (error != 0)
        return -error;
    memcpy(host, path, length + rest + 1);
    return 0;
}

long confine_program(struct worker *worker, char host[PATH_LIMIT])
{
    bool ended = false;
    long result;

    if (worker->policy == NULL || worker->policy->rules.programs == NULL)
        return 0;
    result = file_place(worker, host);
    if (result <= 0)
        return result;
    /* fs knows what the policy says of the node's place on the host, the translator the mode. */
    result = node_executable(&worker->walk, false, &ended);
    if (result == 0)
        result = ended ? -EACCES : name_make(worker, host);
    return result == 0 ? 1 : result;
}

bool confine_program_asked(struct worker *worker, struct answer *answer)
{
    struct call *call = &worker->call;
    const char *name = call->paths[0] + sizeof PROGRAM_NAME - 1;
    char host[PATH_LIMIT];
    long result;

    if (call->number != SYS_readlink ||
        !text_begins(call->paths[0], strlen(call->paths[0]), PROGRAM_NAME,
                     sizeof PROGRAM_NAME - 1) ||
        name[0] != '/')
        return false;
    result = path_to_host(AT_FDCWD, name, WALK_FOLLOW, host, NULL);
    if (result == 0)
        result = confine_program(worker, host);
    if (result == 0)
        result = -EINVAL; /* the kernel may be asked */
    if (result > 0) {
        /* Without room for it there is no copy of the caller's buffer here. */
        result = call->result_count == 0                          ? -EINVAL
                 : strlen(host) < (size_t)call->results[0].length ? (long)strlen(host)
                                                                  : -ENAMETOOLONG;
        if (result > 0)
            memcpy(call->results[0].from, host, (size_t)result);
    }
    answer->refused = result == -EACCES;
    answer->result = call_return(call, &worker->client, result);
    return true;
}
