/* Calls with one path whose walk ended at a node: what a translator is asked. */
#include "shim/door/slow.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>
#include <utime.h>

#include "proto/node.pb-c.h"

#include "shim/core/node.h"
#include "shim/core/text.h"
#include "shim/door/ways.h"

/* The times that a call sets; none given: now. */
static void times_read(struct node_change *change, long number, long given)
{
    change->has_times = true;
    change->times[1] = change->times[3] = UTIME_NOW;
    if (given == 0)
        return;
    if (number == SYS_utime) {
        const struct utimbuf *times = (const struct utimbuf *)given;
        change->times[0] = times->actime;
        change->times[2] = times->modtime;
        change->times[1] = change->times[3] = 0;
    } else if (number == SYS_utimensat) {
        const struct timespec *times = (const struct timespec *)given;
        change->times[0] = times[0].tv_sec;
        change->times[1] = times[0].tv_nsec;
        change->times[2] = times[1].tv_sec;
        change->times[3] = times[1].tv_nsec;
    } else {
        const struct timeval *times = (const struct timeval *)given;
        change->times[0] = times[0].tv_sec;
        change->times[1] = times[0].tv_usec * 1000;
        change->times[2] = times[1].tv_sec;
        change->times[3] = times[1].tv_usec * 1000;
    }
}

static long change_on_node(struct slow *slow, long number, const long arguments[6], bool *ended)
{
    const struct call_shape *shape = &call_shapes[number];
    struct node_change change = {.follow = call_follows(number, arguments)};
    const long *rest = arguments + shape->path + 1;
    switch (shape->verb) {
    case VERB_MAKE_DIRECTORY:
        change.change = HIRSEL__NODE_CHANGE__CHANGE_MAKE_DIRECTORY;
        change.mode = (unsigned)rest[0];
        break;
    case VERB_MAKE_NODE:
        change.change = HIRSEL__NODE_CHANGE__CHANGE_MAKE_NODE;
        change.mode = (unsigned)rest[0];
        change.device = (uint64_t)rest[1];
        break;
    case VERB_MAKE_SYMLINK:
        change.change = HIRSEL__NODE_CHANGE__CHANGE_SYMLINK;
        change.other = (const char *)arguments[0];
        change.other_length = text_length(change.other);
        break;
    case VERB_UNLINK:
    case VERB_REMOVE_DIRECTORY:
        change.change = call_removes_directory(number, arguments)
                            ? HIRSEL__NODE_CHANGE__CHANGE_REMOVE_DIRECTORY
                            : HIRSEL__NODE_CHANGE__CHANGE_UNLINK;
        break;
    case VERB_MODE:
        change.change = HIRSEL__NODE_CHANGE__CHANGE_MODE;
        change.mode = (unsigned)rest[0];
        break;
    case VERB_OWNER:
        change.change = HIRSEL__NODE_CHANGE__CHANGE_OWNER;
        change.user = (unsigned)rest[0];
        change.group = (unsigned)rest[1];
        break;
    case VERB_SIZE:
        change.change = HIRSEL__NODE_CHANGE__CHANGE_SIZE;
        change.size = (uint64_t)rest[0];
        break;
    case VERB_TIMES:
        change.change = HIRSEL__NODE_CHANGE__CHANGE_TIMES;
        times_read(&change, number, rest[0]);
        break;
    default:
        return -EOPNOTSUPP;
    }
    return node_change(slow->walk, &change, ended);
}

/* A call that node.proto has no word for: let the kernel do it on what an open of the node gives.
 */
static long by_descriptor(struct slow *slow, long number, const long arguments[6], bool *ended)
{
    const struct call_shape *shape = &call_shapes[number];
    unsigned follow = call_follows(number, arguments) ? 0 : O_NOFOLLOW;
    long descriptor = node_open(slow->walk, O_PATH | O_CLOEXEC | follow, 0, ended);
    if (descriptor < 0 || *ended)
        return descriptor;
    long changed[6];
    bytes_copy(changed, arguments, sizeof changed);
    bytes_copy(slow->path, "/proc/self/fd/", 14);
    slow->path[14 + text_put_number(slow->path + 14, (uint64_t)descriptor)] = '\0';
    changed[shape->path] = (long)slow->path;
    if (shape->directory >= 0)
        changed[shape->directory] = AT_FDCWD;
    long result = call_plain(number, changed);
    system_call(SYS_close, descriptor, 0, 0, 0, 0, 0);
    return result;
}

static long chdir_on_node(struct slow *slow, bool *ended)
{
    long descriptor = node_open(slow->walk, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0, ended);
    if (descriptor < 0 || *ended)
        return descriptor;
    long result = system_call(SYS_fchdir, descriptor, 0, 0, 0, 0, 0);
    ways_moved();
    system_call(SYS_close, descriptor, 0, 0, 0, 0, 0);
    return result;
}

static long access_on_node(struct walk *walk, unsigned mode, bool follow, bool *ended)
{
    struct stat status;
    long result = node_access(walk, mode, follow, ended);
    /* Whether a policy allows to execute a file is another question than who may search a
     * directory. */
    if (result < 0 || *ended || !(mode & X_OK) || the_shim.caller.host_call == NULL)
        return result;
    result = node_status(walk, follow, &status, ended);
    if (result < 0 || *ended || !S_ISREG(status.st_mode))
        return result;
    return node_executable(walk, follow, ended);
}

long node_act(struct slow *slow, long number, const long arguments[6], bool *ended)
{
    const struct call_shape *shape = &call_shapes[number];
    struct walk *walk = slow->walk;
    struct stat status;
    long result;
    *ended = false;
    if (walk->slash && shape->verb != VERB_STAT && shape->verb != VERB_OPEN &&
        !(shape->traits & TRAIT_NAMES)) {
        result = node_status(walk, true, &status, ended);
        if (result < 0 || *ended)
            return result;
        if (!S_ISDIR(status.st_mode))
            return -ENOTDIR;
    }
    switch (shape->verb) {
    case VERB_STAT: {
        result = node_status(walk, call_follows(number, arguments) || walk->slash, &status, ended);
        if (result < 0 || *ended)
            return result;
        if (walk->slash && !S_ISDIR(status.st_mode))
            return -ENOTDIR;
        return status_write(number == SYS_statx, call_status(number, arguments), &status);
    }
    case VERB_OPEN: {
        struct open_how how = call_how(number, arguments);
        unsigned flags = (unsigned)how.flags;
        if (walk->slash)
            flags = (flags | O_DIRECTORY) & ~(unsigned)O_NOFOLLOW;
        return node_open(walk, flags, (unsigned)how.mode, ended);
    }
    case VERB_ACCESS:
        return access_on_node(walk, (unsigned)arguments[shape->path + 1],
                              call_follows(number, arguments), ended);
    case VERB_READLINK: {
        if (arguments[shape->path + 2] <= 0)
            return -EINVAL;
        result = node_link(walk, slow->text, sizeof slow->text, ended);
        if (result < 0 || *ended)
            return result;
        return link_write(shape, arguments, slow->text, (size_t)result);
    }
    case VERB_CHDIR:
        return chdir_on_node(slow, ended);
    case VERB_QUERY:
        if (number == SYS_statfs)
            return node_filesystem(walk, (void *)arguments[1], ended);
        /* Extended attributes and handles: nodes have none, and must not be started to say so. */
        return -EOPNOTSUPP;
    case VERB_WATCH:
        return by_descriptor(slow, number, arguments, ended);
    default:
        return change_on_node(slow, number, arguments, ended);
    }
}
