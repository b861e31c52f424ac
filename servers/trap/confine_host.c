/* What the shim's functions would have the kernel do on the host, done for a confined tree: on a
 * descriptor of the place that the walk came to, if the policy allows it there. What the caller's
 * memory says may change at any time, and what its names lead to; what is held does not. What the
 * kernel would find wrong before it asked Landlock comes first, as there. */
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "servers/trap/act.h"
#include "servers/trap/confine.h"
#include "servers/trap/policy.h"

/* ---- one place, held ---- */

static unsigned access_wanted(unsigned mode, const struct stat *status)
{
    unsigned access = 0;

    if (mode & R_OK)
        access |= FENCE_READ;
    if (mode & W_OK)
        access |= FENCE_WRITE;
    if (mode & X_OK)
        access |= S_ISDIR(status->st_mode) ? FENCE_READ : FENCE_EXECUTE;
    return access;
}

static long access_held(const struct worker *worker, const struct hold *hold,
                        const long arguments[6])
{
    long number = worker->call.number;
    unsigned mode = (unsigned)arguments[call_shapes[number].path + 1];
    long flags = number == SYS_faccessat2 ? arguments[3] & AT_EACCESS : 0;
    /* A directory on the way to a rule may be searched. */
    bool search = S_ISDIR(hold->status.st_mode) && (mode & (R_OK | W_OK)) == 0;
    long result = search ? 0 : hold_allows(worker, hold, access_wanted(mode, &hold->status));

    if (result < 0)
        return result;
    return syscall(SYS_faccessat2, hold->descriptor, "", (int)mode, flags | AT_EMPTY_PATH) == 0
               ? 0
               : -errno;
}

static long status_held(long number, const long arguments[6], const struct hold *hold)
{
    long result;

    if (number == SYS_statx)
        result = syscall(SYS_statx, hold->descriptor, "",
                         AT_EMPTY_PATH | (arguments[2] & AT_STATX_SYNC_TYPE), arguments[3],
                         arguments[4]);
    else
        result = fstat(hold->descriptor, (struct stat *)call_status(number, arguments));
    return result == 0 ? 0 : -errno;
}

static long link_held(struct worker *worker, const struct hold *hold)
{
    const struct call *call = &worker->call;
    const struct call_shape *shape = &call_shapes[call->number];
    char *to = (char *)call->arguments[shape->path + 1];
    size_t size = (size_t)call->arguments[shape->path + 2];
    ssize_t length;

    if ((int)call->given[shape->path + 2] <= 0)
        return -EINVAL;
    /* Of what is held the kernel would say what it says of an empty path. realpath goes by this. */
    if (!S_ISLNK(hold->status.st_mode))
        return call->paths[0][0] != '\0' ? -EINVAL : -ENOENT;
    /* procfs's "self" is whoever asks. */
    if (strcmp(hold->real, "/proc/self") == 0 || strcmp(hold->real, "/proc/thread-self") == 0) {
        char text[64];
        long group = client_group(&worker->client);

        if (group < 0)
            return group;
        length = strcmp(hold->real, "/proc/self") == 0
                     ? snprintf(text, sizeof text, "%ld", group)
                     : snprintf(text, sizeof text, "%ld/task/%d", group, worker->client.tid);
        if ((size_t)length > size)
            length = (ssize_t)size;
        memcpy(to, text, (size_t)length);
        return length;
    }
    length = readlinkat(hold->descriptor, "", to, size);
    return length < 0 ? -errno : length;
}

/* The same call on what is held, by the name that procfs gives it. */
static long same_held(long number, const long given[6], const struct hold *hold)
{
    const struct call_shape *shape = &call_shapes[number];
    long arguments[6];

    memcpy(arguments, given, sizeof arguments);
    arguments[shape->path] = (long)hold->link;
    if (shape->directory >= 0)
        arguments[shape->directory] = AT_FDCWD;
    /* The name leads to a symlink itself, where one is held: it is always to be followed. */
    if (shape->flags >= 0)
        arguments[shape->flags] = 0;
    switch (number) {
    case SYS_lchown:
        number = SYS_chown;
        break;
    case SYS_lgetxattr:
        number = SYS_getxattr;
        break;
    case SYS_llistxattr:
        number = SYS_listxattr;
        break;
    case SYS_lsetxattr:
        number = SYS_setxattr;
        break;
    case SYS_lremovexattr:
        number = SYS_removexattr;
        break;
    default:
        break;
    }
    return system_call(number, arguments[0], arguments[1], arguments[2], arguments[3], arguments[4],
                       0);
}

static long watch_held(const struct worker *worker, const struct hold *hold,
                       const long arguments[6])
{
    long result = hold_allows(worker, hold, FENCE_READ);

    if (result < 0)
        return result;
    result = inotify_add_watch((int)arguments[0], hold->link,
                               (uint32_t)arguments[2] & ~(uint32_t)IN_DONT_FOLLOW);
    return result < 0 ? -errno : result;
}

long confine_held(struct worker *worker, const struct hold *hold, const long arguments[6])
{
    long result, number = worker->call.number;

    switch (call_shapes[number].verb) {
    case VERB_STAT:
        return status_held(number, arguments, hold);
    case VERB_ACCESS:
        return access_held(worker, hold, arguments);
    case VERB_READLINK:
        return link_held(worker, hold);
    case VERB_WATCH:
        return watch_held(worker, hold, arguments);
    case VERB_QUERY:
        /* Handles are names that no filter sees. */
        return number == SYS_name_to_handle_at ? -EOPNOTSUPP : same_held(number, arguments, hold);
    case VERB_CHDIR:
    case VERB_CHROOT:
        return -EPERM; /* the caller's own to do, never ours */
    default:
        result = hold_allows(worker, hold, FENCE_WRITE);
        if (result < 0 && terminal_is_made(worker, hold))
            result = 0;
        return result < 0 ? result : same_held(number, arguments, hold);
    }
}

/* ---- opens ---- */

static unsigned access_of_open(unsigned flags)
{
    unsigned access = 0;

    switch (flags & O_ACCMODE) {
    case O_RDONLY:
        access = FENCE_READ;
        break;
    case O_WRONLY:
        access = FENCE_WRITE;
        break;
    default:
        access = FENCE_READ | FENCE_WRITE;
    }
    if (flags & (O_TRUNC | (O_TMPFILE & ~O_DIRECTORY)))
        access |= FENCE_WRITE;
    return access;
}

/* Whether a descriptor of the caller's own allows as much on what is held: what is opened anew
 * through /proc/self/fd gains nothing. It may have become another one meanwhile: so a duplicate of
 * it is looked at, and must be of the same file. */
static bool is_own_descriptor(struct worker *worker, const struct walk *walk, unsigned flags,
                              const struct hold *hold)
{
    struct stat status;
    bool same;
    int file, own, number;

    if (!hold_is_own(worker, walk, &number))
        return false;
    file = (int)client_descriptor(&worker->client, number);
    if (file < 0)
        return false;
    own = fcntl(file, F_GETFL);
    same = fstat(file, &status) == 0 && status.st_dev == hold->status.st_dev &&
           status.st_ino == hold->status.st_ino;
    close(file);
    if (!same || own < 0 || (own & O_PATH))
        return false;
    own &= O_ACCMODE;
    if ((flags & O_TRUNC) && own != O_RDWR && own != O_WRONLY)
        return false;
    flags &= O_ACCMODE;
    return (int)flags == own || (own == O_RDWR && flags != O_ACCMODE);
}

static unsigned open_mode(const struct call *call)
{
    return (unsigned)call_how(call->number, call->arguments).mode;
}

/* O_PATH. A descriptor of this kind has to be led to its caller, which takes long: of what may be
 * read, and has no effect when it is, one that can be read will do. */
static long open_place(struct worker *worker, unsigned flags, struct hold *hold)
{
    int descriptor = -1;

    if ((S_ISREG(hold->status.st_mode) || S_ISDIR(hold->status.st_mode)) &&
        hold_allows(worker, hold, FENCE_READ) == 0)
        descriptor = open(hold->link, (int)(flags & O_DIRECTORY) | O_RDONLY | O_CLOEXEC);
    if (descriptor < 0) {
        descriptor = hold->descriptor;
        hold->descriptor = -1;
    }
    return descriptor;
}

static long open_held(struct worker *worker, const struct walk *walk, unsigned flags,
                      struct hold *hold)
{
    bool folder = S_ISDIR(hold->status.st_mode), nameless = (flags & O_TMPFILE) == O_TMPFILE;
    long result;
    int descriptor;

    if ((flags & O_DIRECTORY) && !folder)
        return -ENOTDIR;
    if (flags & O_PATH)
        return open_place(worker, flags, hold);
    if ((flags & (O_CREAT | O_EXCL)) == (O_CREAT | O_EXCL))
        return -EEXIST;
    if (S_ISLNK(hold->status.st_mode))
        return -ELOOP;
    if (folder && !nameless && ((flags & O_CREAT) || (flags & O_ACCMODE) != O_RDONLY))
        return -EISDIR;
    result = hold_allows(worker, hold, access_of_open(flags));
    if (result < 0 && !is_own_descriptor(worker, walk, flags, hold)) {
        long other = terminal_open(worker, hold, flags);

        if (other == -ENOENT)
            other = memory_open(worker, hold, flags);
        return other == -ENOENT ? result : other;
    }
    descriptor =
        open(hold->link, (int)(flags & ~(unsigned)(O_CREAT | O_NOFOLLOW)) | O_CLOEXEC | O_NOCTTY,
             open_mode(&worker->call));
    return descriptor < 0 ? -errno : descriptor;
}

static long open_missing(struct worker *worker, const struct walk *walk, unsigned flags)
{
    struct hold parent;
    long result;

    if (!(flags & O_CREAT) || (flags & O_PATH))
        return -ENOENT;
    result = hold_take_parent(worker, walk, &parent);
    if (result < 0)
        return result;
    result = hold_allows(worker, &parent, FENCE_WRITE);
    if (result == 0) {
        result = openat(parent.descriptor, parent.name, (int)flags | O_NOFOLLOW | O_CLOEXEC,
                        open_mode(&worker->call));
        if (result < 0)
            result = -errno;
    }
    hold_give(&parent);
    return result;
}

static long open_on_host(struct worker *worker, const struct walk *walk)
{
    unsigned flags = act_open_flags(&worker->call);
    struct hold hold;
    long result;

    if (walk->missing)
        return open_missing(worker, walk, flags);
    result = hold_take(worker, walk, &hold);
    if (result < 0)
        return result;
    result = walk->slash && !S_ISDIR(hold.status.st_mode) ? -ENOTDIR
                                                          : open_held(worker, walk, flags, &hold);
    hold_give(&hold);
    return result;
}

/* ---- what makes and takes away names ---- */

static bool makes(unsigned verb)
{
    return verb == VERB_MAKE_DIRECTORY || verb == VERB_MAKE_NODE || verb == VERB_MAKE_SYMLINK;
}

static long change_run(long number, const long arguments[6], const struct hold *parent)
{
    const struct call_shape *shape = &call_shapes[number];
    const long *rest = arguments + shape->path + 1;
    int directory = parent->descriptor;

    switch (shape->verb) {
    case VERB_MAKE_DIRECTORY:
        return system_call(SYS_mkdirat, directory, (long)parent->name, rest[0], 0, 0, 0);
    case VERB_MAKE_NODE:
        return system_call(SYS_mknodat, directory, (long)parent->name, rest[0], rest[1], 0, 0);
    case VERB_MAKE_SYMLINK:
        return system_call(SYS_symlinkat, arguments[0], directory, (long)parent->name, 0, 0, 0);
    default:
        return system_call(SYS_unlinkat, directory, (long)parent->name,
                           call_removes_directory(number, arguments) ? AT_REMOVEDIR : 0, 0, 0, 0);
    }
}

/* Its name as the kernel is to see it: what a slash behind it means, that knows best. It follows no
 * symlink for it in any call that makes, takes away or renames. */
static long name_take(struct worker *worker, const struct walk *walk, struct hold *parent)
{
    long result = hold_take_parent(worker, walk, parent);

    if (result == 0 && walk->slash)
        strcat(parent->name, "/");
    return result;
}

static long change_on_host(struct worker *worker, const struct walk *walk, const long arguments[6])
{
    long number = worker->call.number, result;
    struct hold parent;

    result = name_take(worker, walk, &parent);
    if (result < 0)
        return result;
    result = hold_allows(worker, &parent, FENCE_WRITE);
    if (result == 0)
        result = change_run(number, arguments, &parent);
    else if (makes(call_shapes[number].verb) && !walk->missing)
        result = -EEXIST;
    else if (!makes(call_shapes[number].verb) && walk->missing)
        result = -ENOENT;
    hold_give(&parent);
    return result;
}

/* ---- two names ---- */

/* As Landlock: what is moved or linked must not be allowed more at its new place. It may have a
 * rule of its own. */
static long rights_compare(const struct worker *worker, const struct hold *from,
                           const struct hold *to)
{
    static const unsigned rights[] = {FENCE_READ, FENCE_WRITE, FENCE_EXECUTE};
    char moved[PATH_LIMIT + sizeof from->name];

    snprintf(moved, sizeof moved, "%s/%s", from->real[1] == '\0' ? "" : from->real, from->name);
    moved[strlen(moved) - (moved[strlen(moved) - 1] == '/')] = '\0';
    for (size_t i = 0; i < sizeof rights / sizeof *rights; i++)
        if (hold_allows(worker, to, rights[i]) == 0 &&
            !fence_policy_allows(&worker->policy->rules, moved, rights[i]))
            return -EXDEV;
    return 0;
}

static long pair_allows(const struct worker *worker, const struct hold *from, const struct hold *to,
                        long flags)
{
    long result = hold_allows(worker, from, FENCE_WRITE);
    if (result == 0)
        result = hold_allows(worker, to, FENCE_WRITE);
    if (result == 0)
        result = rights_compare(worker, from, to);
    if (result == 0 && (flags & RENAME_EXCHANGE))
        result = rights_compare(worker, to, from);
    return result;
}

static long pair_run(const struct worker *worker, const long arguments[6], const struct hold *from,
                     const struct hold *to)
{
    long number = worker->call.number;
    long flags = number == SYS_renameat2 ? arguments[4] : 0;
    long result = pair_allows(worker, from, to, flags);

    if (result < 0)
        return result;
    return number == SYS_link || number == SYS_linkat
               ? system_call(SYS_linkat, from->descriptor, (long)from->name, to->descriptor,
                             (long)to->name, 0, 0)
               : system_call(SYS_renameat2, from->descriptor, (long)from->name, to->descriptor,
                             (long)to->name, flags, 0);
}

/* What a link of procfs leads to, an open file, gets a name: as Landlock, by the directory that it
 * has a name in, or was made in without one. */
static long object_link(struct worker *worker, const struct walk *from, const struct walk *to)
{
    struct hold object, here, there;
    char *name;
    long result = hold_take(worker, from, &object);

    if (result < 0)
        return result;
    result = name_take(worker, to, &there);
    if (result < 0)
        goto out;
    here = object;
    name = strrchr(here.real, '/');
    if (hold_is_nameless(&object) || name == NULL) {
        result = -EXDEV;
    } else {
        snprintf(here.name, sizeof here.name, "%s", name + 1);
        name[name == here.real] = '\0';
        result = pair_allows(worker, &here, &there, 0);
    }
    if (result == 0)
        result = system_call(SYS_linkat, AT_FDCWD, (long)object.link, there.descriptor,
                             (long)there.name, AT_SYMLINK_FOLLOW, 0);
    hold_give(&there);
out:
    hold_give(&object);
    return result;
}

static long pair_on_host(struct worker *worker, const struct walk *from, const struct walk *to,
                         const long arguments[6])
{
    bool link = worker->call.number == SYS_link || worker->call.number == SYS_linkat;
    struct hold here, there;

    if (link && (from->options & WALK_FOLLOW) && S_ISLNK(from->status.st_mode))
        return object_link(worker, from, to);
    /* To link's first name a slash would be one to follow a symlink by; that it is a directory's
     * has been seen. */
    long result = link ? hold_take_parent(worker, from, &here) : name_take(worker, from, &here);

    if (result < 0)
        return result;
    result = name_take(worker, to, &there);
    if (result == 0) {
        result = pair_run(worker, arguments, &here, &there);
        hold_give(&there);
    }
    hold_give(&here);
    return result;
}

/* ---- all of them ---- */

static long on_host(void *holder, long number, const long arguments[6], const struct walk *walk,
                    const struct walk *to)
{
    struct worker *worker = holder;
    const struct call_shape *shape = &call_shapes[number];
    struct hold hold;
    long result;

    if (to != NULL)
        return pair_on_host(worker, walk, to, arguments);
    if (shape->verb == VERB_OPEN)
        return open_on_host(worker, walk);
    if (shape->traits & TRAIT_NAMES)
        return change_on_host(worker, walk, arguments);
    result = hold_take(worker, walk, &hold);
    if (result < 0)
        return result;
    /* Where a path ends with a slash, a directory is meant. */
    result = walk->slash && !S_ISDIR(hold.status.st_mode) ? -ENOTDIR
                                                          : confine_held(worker, &hold, arguments);
    hold_give(&hold);
    return result;
}

void confine_begin(struct worker *worker)
{
    the_shim.caller.host_call = on_host;
    the_shim.caller.holder = worker;
}
