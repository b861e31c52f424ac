#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "servers/trap/confine.h"
#include "servers/trap/policy.h"
#include "shim/core/host.h"
#include "shim/core/text.h"

/* Procfs shows other programs, too. */
static bool is_foreign_process(const struct worker *worker, const char *real)
{
    const char *at = real + sizeof "/proc/" - 1;
    uint64_t pid;

    return text_begins(real, strlen(real), "/proc/", 6) && text_get_number(&at, &pid) &&
           (*at == '\0' || *at == '/') && (pid > INT32_MAX || !tree_holds(worker, (pid_t)pid));
}

static bool is_shown(const struct worker *worker, const char *real)
{
    return fence_policy_shows(&worker->policy->rules, real) && !is_foreign_process(worker, real);
}

/* Where it is. What has no name in the file tree (a pipe, a memfd) is the caller's own: the
 * descriptor is all there is. */
static long real_find(struct hold *hold)
{
    size_t length;
    long got;

    snprintf(hold->link, sizeof hold->link, "/proc/self/fd/%d", hold->descriptor);
    got = host_link(hold->link, hold->real, sizeof hold->real);
    if (got < 0)
        return got;
    if (fstat(hold->descriptor, &hold->status) != 0)
        return -errno;
    length = (size_t)got;
    if (hold->status.st_nlink == 0 && length > sizeof DELETED_END &&
        strcmp(hold->real + length - (sizeof DELETED_END - 1), DELETED_END) == 0)
        hold->real[length - (sizeof DELETED_END - 1)] = '\0';
    return 0;
}

bool hold_is_nameless(const struct hold *hold)
{
    return hold->real[0] != '/' || strncmp(hold->real, "/memfd:", 7) == 0;
}

/* A way without symlinks: it was walked, and must not lead elsewhere by now. */
static int open_straight(const char *path, uint64_t flags)
{
    struct open_how how = {.flags = flags | O_PATH | O_CLOEXEC, .resolve = RESOLVE_NO_SYMLINKS};

    return (int)syscall(SYS_openat2, AT_FDCWD, path, &how, sizeof how);
}

/* What a node of the session is called (SESSION/nodes/ID/name), which the shim asks for: of nodes
 * that are shown. */
static bool names_shown(const struct worker *worker, const struct hold *hold)
{
    size_t session = strlen(worker->session);
    char name[PATH_LIMIT];
    const char *at = hold->real + session + sizeof "/nodes/" - 1;
    uint64_t id;
    ssize_t length;

    if (strncmp(hold->real, worker->session, session) != 0 ||
        strncmp(hold->real + session, "/nodes/", sizeof "/nodes/" - 1) != 0 ||
        !text_get_number(&at, &id) || strcmp(at, "/name") != 0)
        return false;
    length = readlinkat(hold->descriptor, "", name, sizeof name - 1);
    if (length <= 0)
        return false;
    name[length] = '\0';
    return name[0] == '/' && fence_policy_shows(&worker->policy->rules, name);
}

long hold_hide(struct worker *worker)
{
    worker->hidden = true;
    return -ENOENT;
}

/* A link of procfs that leads to an object, which need not have a name in the file tree: what
 * counts is whose link it is, where it really is. */
static int open_magic(struct worker *worker, const char *path)
{
    const char *name = strrchr(path, '/') + 1;
    char directory[PATH_LIMIT];
    struct hold links;
    int descriptor;
    long error;

    memcpy(directory, path, (size_t)(name - path));
    directory[name - path] = '\0';
    links.descriptor = open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (links.descriptor < 0)
        return -1;
    error = real_find(&links);
    if (error == 0 && !is_shown(worker, links.real))
        error = hold_hide(worker);
    descriptor = error == 0 ? openat(links.descriptor, name, O_PATH | O_CLOEXEC) : -1;
    if (error == 0 && descriptor < 0)
        error = -errno;
    close(links.descriptor);
    errno = (int)-error;
    return descriptor;
}

/* A symlink is shown that leads to what is shown: /bin, /lib64. */
static bool link_shown(const struct worker *worker, const struct hold *hold)
{
    char real[PATH_MAX];

    return S_ISLNK(hold->status.st_mode) && !is_foreign_process(worker, hold->real) &&
           realpath(hold->real, real) != NULL && is_shown(worker, real);
}

static long found(struct hold *hold)
{
    long result = real_find(hold);

    if (result < 0)
        hold_give(hold);
    return result;
}

static long held(struct worker *worker, struct hold *hold)
{
    long result = real_find(hold);

    if (result == 0 && !hold_is_nameless(hold) && !is_shown(worker, hold->real) &&
        !link_shown(worker, hold) && !names_shown(worker, hold))
        result = hold_hide(worker);
    if (result < 0)
        hold_give(hold);
    return result;
}

/* A terminal that the policy does not show, but the caller has open. */
static bool terminal_is_own(struct worker *worker, const struct walk *walk, struct hold *hold)
{
    return text_begins(walk->host, walk->host_length, "/dev/pts/", 9) &&
           !fence_policy_shows(&worker->policy->rules, walk->host) && real_find(hold) == 0 &&
           terminal_is_open(worker, hold);
}

/* An O_PATH descriptor of where the walk stands, or -errno. */
static long place_open(struct worker *worker, const struct walk *walk)
{
    /* The walk stops at a link only if it is not to be followed, or is one of procfs that leads to
     * an object. */
    bool magic = S_ISLNK(walk->status.st_mode) && (walk->options & WALK_FOLLOW);
    int descriptor;

    if (walk->missing)
        return -ENOENT;
    descriptor = magic ? open_magic(worker, walk->host) : open_straight(walk->host, O_NOFOLLOW);
    return descriptor >= 0 ? descriptor : errno == ELOOP ? -EACCES : -errno;
}

bool hold_is_own(const struct worker *worker, const struct walk *walk, int *number)
{
    size_t length = strlen(worker->client.process);
    const char *rest = walk->host + length;
    uint64_t value;

    if (!text_begins(walk->host, walk->host_length, worker->client.process, length) ||
        strncmp(rest, "/fd/", 4) != 0)
        return false;
    rest += 4;
    if (!text_get_number(&rest, &value) || *rest != '\0' || value > INT_MAX)
        return false;
    *number = (int)value;
    return true;
}

/* What the caller has open is no secret to it, wherever it is. */
static bool is_open(const struct worker *worker, const struct walk *walk)
{
    int number;

    return (walk->options & WALK_FOLLOW) && hold_is_own(worker, walk, &number);
}

long hold_take(struct worker *worker, const struct walk *walk, struct hold *hold)
{
    long descriptor = place_open(worker, walk);

    hold->missing = false;
    hold->descriptor = (int)descriptor;
    if (descriptor >= 0 && (is_open(worker, walk) || terminal_is_own(worker, walk, hold)))
        return found(hold);
    return descriptor < 0 ? descriptor : held(worker, hold);
}

long hold_take_unseen(struct worker *worker, const struct walk *walk, struct hold *hold)
{
    long descriptor = place_open(worker, walk);

    hold->missing = false;
    hold->descriptor = (int)descriptor;
    return descriptor < 0 ? descriptor : found(hold);
}

long hold_take_parent(struct worker *worker, const struct walk *walk, struct hold *hold)
{
    char path[PATH_LIMIT];
    size_t length = walk->host_length;

    memcpy(path, walk->host, length + 1);
    while (length > 0 && path[length - 1] == '/')
        path[--length] = '\0';
    while (length > 0 && path[length - 1] != '/')
        length--;
    if (strlen(path + length) > NAME_MAX)
        return -ENAMETOOLONG;
    strcpy(hold->name, path + length);
    path[length > 1 ? length - 1 : length] = '\0';
    hold->missing = walk->missing;
    if (hold->name[0] == '\0')
        return -EBUSY; /* the root */
    hold->descriptor = open_straight(path, O_DIRECTORY);
    if (hold->descriptor < 0)
        return errno == ELOOP ? -EACCES : -errno;
    return held(worker, hold);
}

long hold_take_descriptor(struct worker *worker, int descriptor, struct hold *hold)
{
    if (descriptor < 0 && descriptor != AT_FDCWD)
        return -EBADF;
    hold->missing = false;
    hold->descriptor = client_place(&worker->client, descriptor);
    return hold->descriptor < 0 ? hold->descriptor : found(hold);
}

void hold_give(struct hold *hold)
{
    if (hold->descriptor >= 0)
        close(hold->descriptor);
    hold->descriptor = -1;
}

long hold_allows(const struct worker *worker, const struct hold *hold, unsigned access)
{
    return hold_is_nameless(hold) || fence_policy_allows(&worker->policy->rules, hold->real, access)
               ? 0
               : -EACCES;
}
