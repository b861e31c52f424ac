/* The calls of a confined tree. What Landlock checks again may be left to the kernel: opens, and
 * what makes, takes away and renames names. All else is done here, on a descriptor of the place
 * that the path led to, if the policy allows it there: the caller's memory may change at any time,
 * what is held does not. */
#include "servers/trap/confine.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/stat.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "servers/lib/process.h"
#include "servers/trap/act.h"
#include "servers/trap/credentials.h"
#include "servers/trap/policy.h"
#include "servers/trap/swap.h"
#include "shim/core/text.h"
#include "shim/door/ways.h"

/* ioprio_set(2)'s "which" of one process. */
#define PRIORITY_OF_PROCESS 1

static void refuse(struct answer *answer, long error)
{
    answer->refused = true;
    answer->result = error;
}

/* A policy's no is counted; that something is not there is none. */
static void give_checked(struct answer *answer, long result)
{
    if (result == -EACCES || result == -EPERM)
        refuse(answer, result);
    else
        answer->result = result;
}

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

static long access_held(const struct worker *worker, const struct hold *hold, unsigned mode)
{
    /* A directory on the way to a rule may be searched. */
    bool search = S_ISDIR(hold->status.st_mode) && (mode & (R_OK | W_OK)) == 0;
    long result = search ? 0 : hold_allows(worker, hold, access_wanted(mode, &hold->status));

    if (result < 0)
        return result;
    return syscall(SYS_faccessat2, hold->descriptor, "", (int)mode, AT_EMPTY_PATH) == 0 ? 0
                                                                                        : -errno;
}

static long status_held(const struct call *call, const struct hold *hold)
{
    const long *arguments = call->arguments;
    long result;

    if (call->number == SYS_statx)
        result = syscall(SYS_statx, hold->descriptor, "",
                         AT_EMPTY_PATH | (arguments[2] & AT_STATX_SYNC_TYPE), arguments[3],
                         arguments[4]);
    else
        result =
            fstat(hold->descriptor, (struct stat *)arguments[call_shapes[call->number].path + 1]);
    return result == 0 ? 0 : -errno;
}

static long link_held(struct worker *worker, const struct hold *hold)
{
    const struct call *call = &worker->call;
    const struct call_shape *shape = &call_shapes[call->number];
    char *to = (char *)call->arguments[shape->path + 1];
    size_t size = (size_t)call->arguments[shape->path + 2];
    const struct walk *walk = &worker->walk;
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
    if (length < 0)
        return -errno;
    return the_shim.core.bare ? length : link_translate(AT_FDCWD, walk->host, to, size, length);
}

/* The same call on what is held, by the name that procfs gives it. */
static long same_held(const struct worker *worker, const struct hold *hold)
{
    const struct call *call = &worker->call;
    const struct call_shape *shape = &call_shapes[call->number];
    long arguments[6];
    long number = call->number;

    memcpy(arguments, call->arguments, sizeof arguments);
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

static long watch_held(struct worker *worker, const struct hold *hold)
{
    long result = hold_allows(worker, hold, FENCE_READ);
    long queue =
        result < 0 ? result : client_descriptor(&worker->client, (int)worker->call.given[0]);

    if (queue < 0)
        return queue;
    result = inotify_add_watch((int)queue, hold->link,
                               (uint32_t)worker->call.given[2] & ~(uint32_t)IN_DONT_FOLLOW);
    if (result < 0)
        result = -errno;
    close((int)queue);
    return result;
}

/* Where a path ends with a slash, a directory is meant. */
static bool slash_holds(const struct walk *walk, const struct hold *hold)
{
    return !walk->slash || S_ISDIR(hold->status.st_mode);
}

static long run_held(struct worker *worker, const struct hold *hold)
{
    const struct call *call = &worker->call;
    const struct call_shape *shape = &call_shapes[call->number];
    long result;

    if (!slash_holds(&worker->walk, hold))
        return -ENOTDIR;
    switch (shape->verb) {
    case VERB_STAT:
        return status_held(call, hold);
    case VERB_ACCESS:
        return access_held(worker, hold, (unsigned)call->arguments[shape->path + 1]);
    case VERB_READLINK:
        return link_held(worker, hold);
    case VERB_WATCH:
        return watch_held(worker, hold);
    case VERB_QUERY:
        /* Handles are names that no filter sees. */
        return call->number == SYS_name_to_handle_at ? -EOPNOTSUPP : same_held(worker, hold);
    default:
        if (worker->walk.read_only)
            return -EROFS;
        result = hold_allows(worker, hold, FENCE_WRITE);
        return result < 0 ? result : same_held(worker, hold);
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
    if (flags & (O_TRUNC | O_CREAT | (O_TMPFILE & ~O_DIRECTORY)))
        access |= FENCE_WRITE;
    return access;
}

/* Whether a descriptor of the caller's own allows as much on what is held: what is opened anew
 * through /proc/self/fd gains nothing. It may have become another one meanwhile: so a duplicate of
 * it is looked at, and must be of the same file. */
static bool is_own_descriptor(struct worker *worker, unsigned flags, const struct hold *hold)
{
    struct stat status;
    bool same;
    int file, own, number;

    if (!hold_is_own(worker, &number))
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

static long open_held(struct worker *worker, unsigned flags, const struct hold *hold)
{
    long result = hold_allows(worker, hold, access_of_open(flags));
    int descriptor;

    if ((flags & (O_CREAT | O_EXCL)) == (O_CREAT | O_EXCL))
        return -EEXIST;
    if (result < 0 && !is_own_descriptor(worker, flags, hold)) {
        long other = terminal_open(worker, hold, flags);

        if (other == -ENOENT)
            other = memory_open(worker, hold, flags);
        return other == -ENOENT ? result : other;
    }
    if (!slash_holds(&worker->walk, hold) ||
        ((flags & O_DIRECTORY) && !S_ISDIR(hold->status.st_mode)))
        return -ENOTDIR;
    /* libc's fchmodat opens a symlink itself, and says so of it. */
    if (S_ISLNK(hold->status.st_mode))
        return (act_open_flags(&worker->call) & O_PATH) ? -EOPNOTSUPP : -ELOOP;
    if (worker->walk.read_only && (access_of_open(flags) & FENCE_WRITE))
        return -EROFS;
    descriptor =
        open(hold->link, (int)(flags & ~(unsigned)(O_CREAT | O_NOFOLLOW)) | O_CLOEXEC | O_NOCTTY);
    return descriptor < 0 ? -errno : descriptor;
}

static long open_missing(struct worker *worker, unsigned flags, unsigned mode)
{
    struct hold hold;
    mode_t before;
    long result, mask;

    if (!(flags & O_CREAT))
        return -ENOENT;
    result = hold_take_parent(worker, &hold);
    if (result < 0)
        return result;
    result = hold_allows(worker, &hold, FENCE_WRITE);
    mask = client_status(&worker->client, "Umask", 8);
    if (result == 0 && mask < 0)
        result = -ESRCH;
    if (result == 0 && worker->walk.read_only)
        result = -EROFS;
    if (result == 0) {
        before = umask((mode_t)mask);
        result = openat(hold.descriptor, hold.name, (int)flags | O_NOFOLLOW | O_CLOEXEC, mode);
        umask(before);
        if (result < 0)
            result = -errno;
    }
    hold_give(&hold);
    return result;
}

static unsigned open_mode(const struct call *call)
{
    if (call->number == SYS_creat)
        return (unsigned)call->arguments[1];
    return (unsigned)call->arguments[call_shapes[call->number].flags + 1];
}

/* An open that Landlock checks again, as the caller makes it. */
static bool open_is_checked(const struct worker *worker, unsigned flags)
{
    return worker->policy->landlock >= 3 && !(flags & O_PATH) && (flags & O_ACCMODE) != O_ACCMODE;
}

/* A place that may not be read, but be known: by a descriptor that is no more than its name. It
 * goes with a directory on the way to what is allowed. */
static bool open_as_path(struct worker *worker, struct answer *answer, const struct hold *hold)
{
    unsigned flags = act_open_flags(&worker->call);

    if (!(flags & O_PATH) || S_ISLNK(hold->status.st_mode) || !slash_holds(&worker->walk, hold) ||
        ((flags & O_DIRECTORY) && !S_ISDIR(hold->status.st_mode)))
        return false;
    act_guided(answer, act_pass(worker, hold->descriptor));
    return true;
}

static void confine_open(struct worker *worker, struct answer *answer, bool touched)
{
    unsigned flags = act_open_flags(&worker->call);
    const struct walk *walk = &worker->walk;
    bool own = text_begins(walk->host, walk->host_length, "/proc/", 6) ||
               text_begins(walk->host, walk->host_length, "/dev/pts/", 9);
    struct hold hold;
    long result;

    /* What Landlock checks goes to the kernel. But it does not know that a descriptor's file is the
     * caller's already. */
    if (!touched && open_is_checked(worker, flags) && !own) {
        answer->proceed = true;
        return;
    }
    if (touched && act_open_waits(worker) && open_is_checked(worker, flags)) {
        act_guided(answer, act_guide_path(worker, walk->host));
        return;
    }
    /* An O_PATH descriptor that the caller made itself might be of anything, and to have it led to
     * receive one takes long: it gets one that can be read, where it may read. */
    flags &= ~(unsigned)O_PATH;
    if (walk->missing) {
        result = open_missing(worker, flags, open_mode(&worker->call));
    } else {
        result = hold_take(worker, &hold);
        if (result == 0) {
            bool passed;

            result = open_held(worker, flags, &hold);
            passed = result == -EACCES && open_as_path(worker, answer, &hold);
            hold_give(&hold);
            if (passed)
                return;
        }
    }
    if (result == -EACCES && own && !touched && open_is_checked(worker, flags)) {
        answer->proceed = true; /* a device, a terminal of its own: Landlock knows */
        return;
    }
    if (result < 0) {
        give_checked(answer, result);
        return;
    }
    answer->descriptor = (int)result;
    answer->close_on_exec = (act_open_flags(&worker->call) & O_CLOEXEC) != 0;
}

/* ---- what makes and takes away names ---- */

static long change_run(struct worker *worker, const struct hold *parent)
{
    const struct call *call = &worker->call;
    const struct call_shape *shape = &call_shapes[call->number];
    const long *rest = call->arguments + shape->path + 1;
    int directory = parent->descriptor;
    bool folder;

    switch (shape->verb) {
    case VERB_MAKE_DIRECTORY:
        return system_call(SYS_mkdirat, directory, (long)parent->name, rest[0], 0, 0, 0);
    case VERB_MAKE_NODE:
        return system_call(SYS_mknodat, directory, (long)parent->name, rest[0], rest[1], 0, 0);
    case VERB_MAKE_SYMLINK:
        return system_call(SYS_symlinkat, call->arguments[0], directory, (long)parent->name, 0, 0,
                           0);
    default:
        folder = shape->verb == VERB_REMOVE_DIRECTORY ||
                 (call->number == SYS_unlinkat && (call->arguments[2] & AT_REMOVEDIR));
        return system_call(SYS_unlinkat, directory, (long)parent->name, folder ? AT_REMOVEDIR : 0,
                           0, 0, 0);
    }
}

static long change_held(struct worker *worker)
{
    struct hold parent;
    mode_t before = 0;
    long mask, result = worker->walk.end != END_NAME ? -EBUSY : hold_take_parent(worker, &parent);

    if (result < 0)
        return result;
    result = hold_allows(worker, &parent, FENCE_WRITE);
    mask = client_status(&worker->client, "Umask", 8);
    if (result == 0 && mask < 0)
        result = -ESRCH;
    if (result == 0 && worker->walk.read_only)
        result = -EROFS;
    if (result == 0) {
        worker->slot->step = STEP_CHANGING;
        before = umask((mode_t)mask);
        result = act_repeat_settle(worker, change_run(worker, &parent));
        umask(before);
    }
    hold_give(&parent);
    return result;
}

/* ---- one path ---- */

/* libc's and ld.so's fstat, which names no path: what the descriptor tells is its owner's. */
static bool status_plain(struct worker *worker, long *result)
{
    const struct call *call = &worker->call;
    int file;

    if (call->number != SYS_newfstatat || (int)call->given[0] < 0)
        return false;
    file = (int)client_descriptor(&worker->client, (int)call->given[0]);
    if (file < 0)
        return false;
    *result = fstat(file, (struct stat *)call->arguments[2]) == 0 ? 0 : -errno;
    close(file);
    return true;
}

/* By descriptor alone: "" with AT_EMPTY_PATH, or no path at all. */
static long run_descriptor(struct worker *worker)
{
    const struct call *call = &worker->call;
    const struct call_shape *shape = &call_shapes[call->number];
    int directory = shape->directory >= 0 ? (int)call->given[shape->directory] : AT_FDCWD;
    struct hold hold;
    long result;

    if (status_plain(worker, &result))
        return result;
    worker->walk.slash = false;
    worker->walk.read_only = false;
    if (directory == AT_FDCWD) {
        struct view view = view_get();

        result = walk_descriptor(&worker->walk, &the_shim.caller, view.table, AT_FDCWD);
        if (result < 0)
            return result == -ESTALE ? -ENOENT : result;
        worker->walk.status.st_mode = S_IFDIR;
        result = worker->walk.place == PLACE_HOST ? hold_take(worker, &hold) : -EACCES;
    } else {
        result = hold_take_descriptor(worker, directory, &hold);
    }
    if (result < 0)
        return result;
    result = run_held(worker, &hold);
    hold_give(&hold);
    return result;
}

static bool is_by_descriptor(const struct call *call, long brought)
{
    const struct call_shape *shape = &call_shapes[call->number];

    if (brought == 1)
        return (shape->traits & TRAIT_NULL_PATH) != 0;
    return call->paths[0][0] == '\0' && (shape->traits & TRAIT_EMPTY_PATH) &&
           (call->given[shape->flags] & AT_EMPTY_PATH);
}

/* What a walk's failure tells of places that the policy does not show: nothing. */
static long walk_failed(struct worker *worker, long error)
{
    const struct walk *walk = &worker->walk;

    return walk->place == PLACE_HOST && walk->host_length > 0 &&
                   !fence_policy_shows(&worker->policy->rules, walk->host)
               ? hold_hide(worker)
               : error;
}

static void confine_place(struct worker *worker, struct answer *answer, bool touched)
{
    struct call *call = &worker->call;
    const struct call_shape *shape = &call_shapes[call->number];
    struct hold hold;
    long result;

    if (shape->verb == VERB_OPEN) {
        confine_open(worker, answer, touched);
        return;
    }
    if (shape->traits & TRAIT_NAMES) {
        /* A new symlink may lead known ways elsewhere. Only once it is there can that be told. */
        bool symlink = shape->verb == VERB_MAKE_SYMLINK;

        if (!touched && worker->policy->landlock > 0 && !symlink)
            answer->proceed = true;
        else
            give_checked(answer, change_held(worker));
        if (symlink)
            ways_changed();
        return;
    }
    result = hold_take(worker, &hold);
    if (result < 0) {
        give_checked(answer, result);
        return;
    }
    if (shape->verb == VERB_CHROOT) {
        refuse(answer, -EPERM);
    } else if (shape->verb == VERB_CHDIR) {
        /* It confers nothing. */
        if (touched)
            act_move(worker, answer);
        else
            answer->proceed = true;
    } else {
        result = run_held(worker, &hold);
        give_checked(answer, call_return(call, &worker->client, result));
    }
    hold_give(&hold);
}

/* The tree has a directory of its own where others share memory: a name there leads into it. Not
 * where the name space has something there. True: it was one. */
static bool memory_map(const struct worker *worker, const struct view *view, char path[PATH_LIMIT])
{
    const size_t start = sizeof FENCE_MEMORY - 1;
    const char *own = worker->policy->rules.memory;
    size_t length, rest;

    if (own == NULL || strncmp(path, FENCE_MEMORY, start) != 0 ||
        (path[start] != '/' && path[start] != '\0') || strstr(path, "/..") != NULL ||
        (view->table != NULL && text_find(view->table, AT_FDCWD, path) == TEXT_TABLE))
        return false;
    length = strlen(own);
    rest = strlen(path + start);
    if (length + rest >= PATH_LIMIT)
        return false;
    memmove(path + length, path + start, rest + 1);
    memcpy(path, own, length);
    return true;
}

static void confine_path(struct worker *worker, struct answer *answer)
{
    struct call *call = &worker->call;
    const struct call_shape *shape = &call_shapes[call->number];
    long brought = call_bring_paths(call, &worker->client);
    long result = brought < 0 ? brought : call_bring_rest(call, &worker->client);
    struct view view;
    bool touched, mapped;

    if (result < 0 || (brought == 1 && !is_by_descriptor(call, brought))) {
        act_bring_failed(worker, answer, result < 0 ? result : -EFAULT);
        return;
    }
    if (!act_is_still_there(worker)) {
        answer->sent = true;
        return;
    }
    if (is_by_descriptor(call, brought)) {
        give_checked(answer, call_return(call, &worker->client, run_descriptor(worker)));
        return;
    }
    /* Its flags are in memory: what was looked at is not what the kernel would read, and of O_PATH
     * Landlock says nothing. Programs have another way. */
    if (call->number == SYS_openat2) {
        refuse(answer, -ENOSYS);
        return;
    }
    view = view_get();
    mapped = memory_map(worker, &view, call->paths[0]);
    result = decide_walk(worker, &view, 0, &touched);
    touched = touched || mapped;
    if (result < 0) {
        answer->result = walk_failed(worker, result);
        return;
    }
    if (!touched && shape->verb == VERB_OPEN && swap_open(worker, act_open_flags(call), answer))
        return;
    if (worker->walk.place == PLACE_HOST && !act_entry_decides(worker)) {
        confine_place(worker, answer, touched);
        return;
    }
    if (shape->verb == VERB_CHDIR)
        act_move(worker, answer);
    else
        act_slow(worker, answer);
}

/* One of two names: held by its directory. */
static long name_take(struct worker *worker, const struct walk *walk, struct hold *parent)
{
    long result;

    if (walk->end != END_NAME || walk->entry != NULL ||
        (walk->table != NULL && table_has_below(walk->table, walk->name, walk->name_length)))
        return -EBUSY;
    if (walk->read_only)
        return -EROFS;
    result = hold_take_parent(worker, parent);
    if (result < 0)
        return result;
    result = hold_allows(worker, parent, FENCE_WRITE);
    if (result < 0)
        hold_give(parent);
    return result;
}

static long pair_run(struct worker *worker, const struct hold *from, const struct hold *to)
{
    const struct call *call = &worker->call;
    bool link = call->number == SYS_link || call->number == SYS_linkat;
    long flags = call->number == SYS_renameat2 ? call->arguments[4] : 0;

    worker->slot->step = STEP_CHANGING;
    return act_repeat_settle(worker,
                             link ? system_call(SYS_linkat, from->descriptor, (long)from->name,
                                                to->descriptor, (long)to->name, 0, 0)
                                  : system_call(SYS_renameat2, from->descriptor, (long)from->name,
                                                to->descriptor, (long)to->name, flags, 0));
}

/* Of two names on the host one is another one's than the kernel would find: the worker walks to
 * both again, since it has but one walk. */
static long pair_held(struct worker *worker, const struct view *view)
{
    struct hold from, to;
    size_t mount;
    bool touched;
    long result = decide_walk(worker, view, 0, &touched);

    if (result < 0)
        return result;
    mount = worker->walk.mount_length;
    result = name_take(worker, &worker->walk, &from);
    if (result < 0)
        return result;
    result = decide_walk(worker, view, 1, &touched);
    if (result >= 0)
        result =
            worker->walk.mount_length != mount ? -EXDEV : name_take(worker, &worker->walk, &to);
    if (result >= 0) {
        result = pair_run(worker, &from, &to);
        hold_give(&to);
    }
    hold_give(&from);
    return result;
}

/* Whether what the walk is at may lead known ways elsewhere when it has another name: anything but
 * a file. */
static bool pair_moves_ways(const struct worker *worker)
{
    const struct call *call = &worker->call;

    if (call->number == SYS_link || call->number == SYS_linkat || worker->walk.missing)
        return false;
    return !S_ISREG(worker->walk.status.st_mode) ||
           (call->number == SYS_renameat2 && (call->given[4] & RENAME_EXCHANGE));
}

static void confine_two_paths(struct worker *worker, struct answer *answer)
{
    struct call *call = &worker->call;
    long result = call_bring_paths(call, &worker->client);
    struct view view;
    bool touched, plain = worker->policy->landlock > 0, host = true, moves = false;

    if (result != 0) {
        act_bring_failed(worker, answer, result == 1 ? -EFAULT : result);
        return;
    }
    if (call->number == SYS_linkat && call->paths[0][0] == '\0') {
        if (plain)
            answer->proceed = true;
        else
            refuse(answer, -EACCES);
        return;
    }
    view = view_get();
    for (unsigned which = 0; which < 2 && result >= 0; which++) {
        plain = !memory_map(worker, &view, call->paths[which]) && plain;
        result = decide_walk(worker, &view, which, &touched);
        host = host && worker->walk.place == PLACE_HOST;
        plain = plain && !touched;
        if (which == 0)
            moves = pair_moves_ways(worker);
    }
    if (result < 0)
        answer->result = walk_failed(worker, result);
    else if (plain && !moves)
        answer->proceed = true; /* Landlock checks it */
    else if (host)
        give_checked(answer, pair_held(worker, &view));
    else
        act_two(worker, answer);
    if (moves)
        ways_changed();
}

/* ---- others ---- */

/* fchmod, fchown, fsetxattr, fremovexattr: the descriptor may be open for reading only. Done on
 * what it is open on now, by the name that procfs gives that. */
static long descriptor_run(const struct worker *worker, const struct hold *hold)
{
    const long *arguments = worker->call.arguments;
    long number;

    switch (worker->call.number) {
    case SYS_fchmod:
        number = SYS_chmod;
        break;
    case SYS_fchown:
        number = SYS_chown;
        break;
    case SYS_fsetxattr:
        number = SYS_setxattr;
        break;
    default:
        number = SYS_removexattr;
    }
    return system_call(number, (long)hold->link, arguments[1], arguments[2], arguments[3],
                       arguments[4], 0);
}

static void confine_descriptor(struct worker *worker, struct answer *answer)
{
    struct hold hold;
    long result = call_bring_rest(&worker->call, &worker->client);

    if (result < 0) {
        act_bring_failed(worker, answer, result);
        return;
    }
    result = hold_take_descriptor(worker, (int)worker->call.given[0], &hold);
    if (result == 0) {
        result = hold_allows(worker, &hold, FENCE_WRITE);
        if (result == 0)
            result = descriptor_run(worker, &hold);
        hold_give(&hold);
    }
    give_checked(answer, result);
}

/* A process group of the tree: with a member from elsewhere it is none. */
static bool group_is_ours(const struct worker *worker, int group)
{
    struct process_entry *entries;
    size_t count;
    bool ours = false;

    if (process_scan(&entries, &count) != 0)
        return false;
    for (size_t i = 0; i < count; i++) {
        if (entries[i].details.group != group)
            continue;
        ours = tree_holds(worker, entries[i].pid);
        if (!ours)
            break;
    }
    free(entries);
    return ours;
}

static int own_group(const struct worker *worker)
{
    struct process_details details;

    return process_details(worker->client.tid, &details) == 0 ? details.group : -1;
}

/* Calls that name a process: it must be of the tree. Its number is in a register, which nobody can
 * change: the kernel does the rest. */
static bool process_is_ours(const struct worker *worker)
{
    const long *given = worker->call.given;
    int pid = (int)given[0];

    switch (worker->call.number) {
    case SYS_kill:
        if (pid == -1)
            return false;
        if (pid <= 0)
            return group_is_ours(worker, pid == 0 ? own_group(worker) : -pid);
        break;
    case SYS_setpriority:
        if (given[0] != PRIO_PROCESS)
            return false;
        pid = (int)given[1];
        break;
    case SYS_ioprio_set:
        if (given[0] != PRIORITY_OF_PROCESS)
            return false;
        pid = (int)given[1];
        break;
    case SYS_tgkill:
    case SYS_rt_tgsigqueueinfo:
        if (!tree_holds(worker, (int)given[1]))
            return false;
        break;
    default:
        break;
    }
    return pid > 0 && tree_holds(worker, pid);
}

static void confine_process(struct worker *worker, struct answer *answer)
{
    if (process_is_ours(worker))
        answer->proceed = true;
    else
        refuse(answer, worker->call.number == SYS_kill ? -EPERM : -ESRCH);
}

static void confine_other(struct worker *worker, struct answer *answer)
{
    switch (worker->call.number) {
    case SYS_fchmod:
    case SYS_fchown:
    case SYS_fsetxattr:
    case SYS_fremovexattr:
        confine_descriptor(worker, answer);
        return;
    case SYS_kill:
    case SYS_tkill:
    case SYS_tgkill:
    case SYS_rt_sigqueueinfo:
    case SYS_rt_tgsigqueueinfo:
    case SYS_setpriority:
    case SYS_ioprio_set:
    case SYS_sched_setparam:
    case SYS_sched_setscheduler:
    case SYS_sched_setaffinity:
    case SYS_sched_setattr:
    case SYS_prlimit64:
        confine_process(worker, answer);
        return;
    case SYS_getdents:
        act_list(worker, answer);
        return;
    default:
        refuse(answer, -ENOSYS);
    }
}

static bool network_is_own(void)
{
    return __atomic_load_n(&the_shim.core.net->mode, __ATOMIC_RELAXED) != SPACE_NET_HOST;
}

void confine(struct worker *worker, struct answer *answer)
{
    struct call *call = &worker->call;
    uint32_t verdict;

    call_begin(call, &worker->slot->notification);
    verdict = fence_program_verdict(&worker->policy->programs[network_is_own()],
                                    &worker->slot->notification.data);
    if ((verdict & SECCOMP_RET_ACTION_FULL) == SECCOMP_RET_ERRNO) {
        refuse(answer, -(long)(verdict & SECCOMP_RET_DATA));
        return;
    }
    if (!credentials_take(&worker->client)) {
        refuse(answer, -EPERM);
        return;
    }
    if (!call_is_known(call->number)) {
        confine_other(worker, answer);
        return;
    }
    switch (call_kinds[call->number]) {
    case CALL_PATH:
    case CALL_ROOT:
        confine_path(worker, answer);
        return;
    case CALL_TWO_PATHS:
        confine_two_paths(worker, answer);
        return;
    case CALL_EXECUTE:
        act_execute(worker, answer);
        return;
    case CALL_GETCWD:
        act_getcwd(worker, answer);
        return;
    case CALL_LIST:
        act_list(worker, answer);
        return;
    case CALL_SOCKET:
        confine_network(worker, answer);
        return;
    case CALL_FCHDIR:
    case CALL_FSTAT:
    case CALL_FSTATFS:
        answer->proceed = true; /* their own descriptors */
        return;
    default:
        confine_other(worker, answer);
    }
}
