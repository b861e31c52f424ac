/* Calls with one path, by the walk in the session's name space. */
#include "shim/door/slow.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <linux/stat.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "shim/core/host.h"
#include "shim/core/node.h"
#include "shim/core/scratch.h"
#include "shim/core/text.h"
#include "shim/door/ways.h"

enum { TABLE_ATTEMPTS = 8 };

/* The same for the kernel, once the walk has led to the end: there is no start to stay below any
 * more. Who wanted to stay there must not be led away by a symlink that was put on the way since.
 */
static uint64_t resolve_at_end(uint64_t resolve)
{
    bool holds = (resolve & (RESOLVE_BENEATH | RESOLVE_IN_ROOT)) != 0;
    return (resolve & (RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS | RESOLVE_CACHED)) |
           (holds ? RESOLVE_NO_SYMLINKS : 0);
}

long link_write(const struct call_shape *shape, const long arguments[6], const char *text,
                size_t length)
{
    long size = arguments[shape->path + 2];
    if (size <= 0)
        return -EINVAL;
    if (length > (size_t)size)
        length = (size_t)size;
    long written =
        the_shim.caller.write(&the_shim.caller, (void *)arguments[shape->path + 1], text, length);
    return written < 0 ? written : (long)length;
}

/* ---- on the host ---- */

/* A removed directory that a native stat found by another way than its own descriptor ("." or
 * /proc/self/fd/N): if it is a placeholder, what it stands for. */
static long status_review(struct slow *slow, long number, const long arguments[6])
{
    struct walk *walk = slow->walk;
    bool wide = number == SYS_statx;
    void *status = call_status(number, arguments);
    uint32_t mode = wide ? ((struct statx *)status)->stx_mode : ((struct stat *)status)->st_mode;
    uint64_t links = wide ? ((struct statx *)status)->stx_nlink : ((struct stat *)status)->st_nlink;
    if (!S_ISDIR(mode) || links != 0)
        return 0;
    if (walk->host_length > 1 && walk->host[walk->host_length - 1] == '/')
        walk->host[--walk->host_length] = '\0'; /* else it is no symlink */
    long length = host_link(walk->host, slow->text, sizeof slow->text);
    if (length < 0 || walk_from_host(walk, slow->text, (size_t)length) < 0 ||
        walk->place != PLACE_NODE)
        return 0;
    bool ended;
    struct stat found;
    long result = node_status(walk, true, &found, &ended);
    return result < 0 || ended ? 0 : status_write(wide, status, &found);
}

static long host_call(struct walk *walk, long number, const long arguments[6])
{
    const struct call_shape *shape = &call_shapes[number];
    const struct caller *caller = &the_shim.caller;
    if (caller->host_call != NULL)
        return caller->host_call(caller->holder, number, arguments, walk, NULL);
    long changed[6];
    bytes_copy(changed, arguments, sizeof changed);
    /* Behind "." or ".." it would make an EISDIR of O_CREAT's EEXIST. */
    if (walk->slash && walk->end == END_NAME && walk->host_length > 1) {
        if (walk->host_length + 1 >= PATH_LIMIT)
            return -ENAMETOOLONG;
        walk->host[walk->host_length++] = '/';
        walk->host[walk->host_length] = '\0';
    }
    changed[shape->path] = (long)walk->host;
    if (shape->directory >= 0)
        changed[shape->directory] = AT_FDCWD;
    struct open_how how;
    if (number == SYS_openat2) {
        how = call_how(number, arguments);
        how.resolve = resolve_at_end(how.resolve);
        changed[2] = (long)&how;
        changed[3] = sizeof how;
    }
    return call_plain(number, changed);
}

static long on_host(struct slow *slow, long number, const long arguments[6])
{
    const struct call_shape *shape = &call_shapes[number];
    struct walk *walk = slow->walk;
    long result = host_call(walk, number, arguments);
    if (result == 0 && shape->verb == VERB_ACCESS && walk->read_only &&
        (arguments[shape->path + 1] & W_OK))
        return -EROFS;
    if (result == 0 && shape->verb == VERB_MAKE_SYMLINK)
        ways_changed();
    if (result == 0 && shape->verb == VERB_CHDIR)
        ways_moved();
    if (result == 0 && shape->verb == VERB_STAT)
        return status_review(slow, number, arguments);
    if (result > 0 && shape->verb == VERB_READLINK && !the_shim.core.bare)
        return link_translate(AT_FDCWD, walk->host, (char *)arguments[shape->path + 1],
                              (size_t)arguments[shape->path + 2], result);
    return result;
}

/* ---- in the reserved root ---- */

static long on_reserved(struct slow *slow, long number, const long arguments[6])
{
    const struct call_shape *shape = &call_shapes[number];
    const struct walk *walk = slow->walk;
    const struct core *core = &the_shim.core;
    size_t root = sizeof RESERVED_ROOT - 1;
    const char *rest = walk->name + root;
    size_t length = 0;
    if (text_equal(rest, walk->name_length - root, "/session", 8)) {
        bytes_copy(slow->text, core->session, core->session_length);
        length = core->session_length;
    } else if (text_equal(rest, walk->name_length - root, "/door", 5)) {
        length = core->session_length;
        bytes_copy(slow->text, core->session, length);
        bytes_copy(slow->text + length, "/spaces/", 8);
        length += 8;
        length += text_put_number(slow->text + length, core->space);
        bytes_copy(slow->text + length, "/lib", 4);
        length += 4;
    } else if (text_equal(rest, walk->name_length - root, "/space", 6)) {
        length = text_put_number(slow->text, core->space);
    } else {
        return -ENOENT;
    }
    if (shape->verb == VERB_READLINK)
        return link_write(shape, arguments, slow->text, length);
    if (shape->verb == VERB_STAT && !call_follows(number, arguments)) {
        struct stat status = {.st_mode = S_IFLNK | 0777,
                              .st_nlink = 1,
                              .st_size = (off_t)length,
                              .st_ino = rest[2] == 'e'   ? 1
                                        : rest[2] == 'p' ? 2
                                                         : 3,
                              .st_blksize = 4096};
        return status_write(number == SYS_statx, call_status(number, arguments), &status);
    }
    if (shape->verb == VERB_ACCESS || shape->verb == VERB_STAT)
        return -ENOENT;
    return -EROFS;
}

/* ---- where the table says something about the name itself ---- */

/* What changes a name fails on ".", ".." and the root, which are none. */
static long end_allows(const struct walk *walk, const struct call_shape *shape, bool removes_folder)
{
    if (walk->end == END_NAME)
        return 0;
    if (removes_folder)
        return walk->end == END_DOT ? -EINVAL : walk->end == END_DOTS ? -ENOTEMPTY : -EBUSY;
    return shape->verb == VERB_UNLINK ? -EISDIR : -EEXIST;
}

long dot_allows(struct walk *walk)
{
    if (walk->end != END_DOT || walk->place != PLACE_NODE)
        return 0;
    struct stat status;
    bool ended;
    long result;
    do
        result = node_status(walk, true, &status, &ended);
    while (result == 0 && ended && walk->place == PLACE_NODE);
    /* A symlink of the translator's led on from there. */
    if (result == 0 && ended && walk->place == PLACE_HOST)
        result = walk->missing ? -ENOENT : host_status(walk->host, &status);
    if (result < 0)
        return result == -ENOKEY ? -ENOENT : result;
    return walk->place == PLACE_RESERVED || S_ISDIR(status.st_mode) || S_ISLNK(status.st_mode)
               ? 0
               : -ENOTDIR;
}

static long entry_allows(const struct walk *walk, const struct call_shape *shape, unsigned flags,
                         bool removes_folder)
{
    bool creates = shape->verb == VERB_MAKE_DIRECTORY || shape->verb == VERB_MAKE_NODE ||
                   shape->verb == VERB_MAKE_SYMLINK;
    bool removes = shape->verb == VERB_UNLINK || shape->verb == VERB_REMOVE_DIRECTORY;
    bool opens_to_write =
        shape->verb == VERB_OPEN && !(flags & O_PATH) &&
        ((flags & O_ACCMODE) != O_RDONLY || (flags & (O_CREAT | O_TRUNC))) &&
        (walk->missing || S_ISREG(walk->status.st_mode)); /* else the kernel has other errors */
    const struct space_entry *entry = walk->entry;
    bool folder = entry != NULL && (entry->flags & SPACE_DIRECTORY);
    if (walk->place == PLACE_HOST && walk->missing && walk->end != END_NAME)
        return -ENOENT; /* behind a symlink that the translator told of last */
    if (entry != NULL && entry->kind == SPACE_HIDE)
        return creates || (shape->verb == VERB_OPEN && (flags & O_CREAT)) ? -EPERM : -ENOENT;
    if (entry != NULL && creates)
        return -EEXIST;
    if (entry != NULL && removes && folder != removes_folder)
        return folder ? -EISDIR : -ENOTDIR;
    if (entry != NULL && removes)
        return -EBUSY;
    if (removes_folder && walk->table != NULL &&
        table_has_below(walk->table, walk->name, walk->name_length))
        return -EBUSY;
    if (walk->place == PLACE_HOST && walk->slash && walk->end == END_NAME && (flags & O_CREAT))
        return -EISDIR;
    if (walk->read_only && !walk->missing && creates)
        return -EEXIST;
    /* What is a symlink behind a slash leads to an object, in procfs: the kernel knows of what
     * kind. */
    if (walk->place == PLACE_HOST && walk->slash && !walk->missing &&
        !S_ISDIR(walk->status.st_mode) && !S_ISLNK(walk->status.st_mode) &&
        !(shape->traits & TRAIT_NAMES) && !(walk->end == END_NAME && (flags & O_CREAT)))
        return -ENOTDIR;
    if (walk->read_only && !walk->missing && (flags & (O_CREAT | O_EXCL)) == (O_CREAT | O_EXCL))
        return -EEXIST;
    if (walk->read_only &&
        (((shape->traits & TRAIT_CHANGES) && (!walk->missing || creates || removes)) ||
         (opens_to_write && !(walk->missing && !(flags & O_CREAT)) &&
          ((flags & O_ACCMODE) != O_RDONLY || (flags & O_TRUNC) || walk->missing))))
        return -EROFS;
    if (entry != NULL && entry->kind == SPACE_SYMLINK && shape->verb == VERB_OPEN)
        return (flags & (O_CREAT | O_EXCL)) == (O_CREAT | O_EXCL) ? -EEXIST : -ELOOP;
    return 0;
}

/* A symlink of the table, looked at itself. */
static long on_symlink_entry(struct slow *slow, long number, const long arguments[6])
{
    const struct call_shape *shape = &call_shapes[number];
    const struct walk *walk = slow->walk;
    struct table_text target = table_target(walk->table, walk->entry);
    if (shape->verb == VERB_READLINK)
        return link_write(shape, arguments, target.bytes, target.length);
    if (shape->verb == VERB_STAT) {
        struct stat status = {.st_mode = S_IFLNK | 0777,
                              .st_nlink = 1,
                              .st_size = (off_t)target.length,
                              .st_ino = table_inode(walk->entry),
                              .st_dev = walk->entry->parent_device,
                              .st_blksize = 4096};
        return status_write(number == SYS_statx, call_status(number, arguments), &status);
    }
    if (shape->verb == VERB_ACCESS)
        return 0;
    return shape->verb == VERB_QUERY ? -EOPNOTSUPP : -EPERM;
}

static long dispatch_place(struct slow *slow, long number, const long arguments[6])
{
    const struct call_shape *shape = &call_shapes[number];
    struct walk *walk = slow->walk;
    bool removes_folder = call_removes_directory(number, arguments);
    unsigned flags = shape->verb == VERB_OPEN ? (unsigned)call_how(number, arguments).flags : 0;
    if ((shape->traits & TRAIT_NAMES) || (flags & O_CREAT)) {
        long allowed = dot_allows(walk);
        if (allowed == 0 && (shape->traits & TRAIT_NAMES))
            allowed = end_allows(walk, shape, removes_folder);
        if (allowed < 0)
            return allowed;
    }
    for (;;) {
        long allowed = entry_allows(walk, shape, flags, removes_folder);
        if (allowed < 0)
            return allowed;
        if (walk->entry != NULL && walk->entry->kind == SPACE_SYMLINK && walk->place == PLACE_HOST)
            return on_symlink_entry(slow, number, arguments);
        if (walk->place == PLACE_RESERVED)
            return on_reserved(slow, number, arguments);
        if (walk->place == PLACE_HOST)
            return on_host(slow, number, arguments);
        bool ended;
        long result = node_act(slow, number, arguments, &ended);
        if (result == -ENOKEY) {
            /* A symlink of this form that the user did not make: it is a dangling symlink. */
            size_t rest_length;
            walk_rest(walk, &rest_length);
            if (rest_length > 0 || (walk->slash && !(shape->traits & TRAIT_NAMES)) ||
                call_follows(number, arguments))
                return shape->verb == VERB_OPEN && rest_length == 0 && !walk->slash &&
                               !call_follows(number, arguments)
                           ? -ELOOP
                           : -ENOENT;
            bytes_copy(walk->host, walk->node.host, walk->node.host_length + 1);
            walk->host_length = walk->node.host_length;
            return on_host(slow, number, arguments);
        }
        if (result < 0 || !ended)
            return result;
    }
}

long path_walked(struct walk *walk, long number, const long arguments[6])
{
    struct hold hold;
    struct slow *slow = scratch_take(&hold, sizeof *slow);
    long result;
    if (slow == NULL)
        return -ENOMEM;
    slow->walk = walk;
    result = dispatch_place(slow, number, arguments);
    scratch_give(&hold, slow, sizeof *slow);
    return result;
}

long path_slow(long number, const long arguments[6])
{
    /* What moves the program itself is done here. */
    int verb = call_shapes[number].verb;
    if (trap_decides() && verb != VERB_CHDIR && verb != VERB_CHROOT)
        return verb == VERB_OPEN ? call_whole(number, arguments) : call_asked(number, arguments);
    const struct call_shape *shape = &call_shapes[number];
    struct hold hold;
    struct whole {
        struct slow slow;
        struct walk walk;
    } *whole = scratch_take(&hold, sizeof *whole);
    if (whole == NULL)
        return -ENOMEM;
    struct walk *walk = whole->slow.walk = &whole->walk;
    const char *path = (const char *)arguments[shape->path];
    int directory = shape->directory >= 0 ? (int)arguments[shape->directory] : AT_FDCWD;
    unsigned options = call_options(number, arguments);
    long result = -EAGAIN;
    for (unsigned i = 0; i < TABLE_ATTEMPTS && result == -EAGAIN; i++) {
        struct view view = view_get();
        if (path[0] == '\0' && (shape->traits & TRAIT_EMPTY_PATH) &&
            (arguments[shape->flags] & AT_EMPTY_PATH))
            result = walk_descriptor(walk, &the_shim.caller, view.table, directory);
        else
            result = walk_path(walk, &the_shim.caller, view.table, directory, path, options);
        if (view.table != NULL && !table_still(&the_shim.core, view.generation)) {
            result = -EAGAIN;
            continue;
        }
        if (result == 0 && walk->resolve == 0)
            way_learn_walk(&view, directory, path, walk);
        if (result == -ENOENT && walk->resolve == 0)
            way_learn_end(&view, directory, path, walk);
        if (result == 0)
            result = dispatch_place(&whole->slow, number, arguments);
        if (result == -ESTALE && !the_shim.caller.foreign)
            result = call_plain(number, arguments);
        if (result == -EAGAIN)
            break;
    }
    scratch_give(&hold, whole, sizeof *whole);
    return result;
}

long walk_in_view(struct walk *walk, struct view *view, int directory, const char *path,
                  unsigned options)
{
    for (unsigned i = 0; i < TABLE_ATTEMPTS; i++) {
        *view = view_get();
        long result = walk_path(walk, &the_shim.caller, view->table, directory, path, options);
        if (view->table == NULL || table_still(&the_shim.core, view->generation))
            return result;
    }
    return -EAGAIN;
}

long path_to_host(int directory, const char *path, unsigned options, char *host, char *name)
{
    struct view view;
    struct hold hold;
    struct whole {
        struct walk walk;
        char path[32];
    } *whole = scratch_take(&hold, sizeof *whole);
    if (whole == NULL)
        return -ENOMEM;
    struct walk *walk = &whole->walk;
    long result = walk_in_view(walk, &view, directory, path, options);
    if (result == 0)
        way_learn_walk(&view, directory, path, walk);
    while (result == 0 && walk->place == PLACE_NODE) {
        bool ended;
        long descriptor = node_open(walk, O_RDONLY | O_CLOEXEC, 0, &ended);
        result = descriptor < 0 ? descriptor : 0;
        if (result == -ENOKEY)
            result = -ENOENT;
        if (result < 0)
            break;
        if (ended)
            continue;
        bytes_copy(whole->path, "/proc/self/fd/", 14);
        whole->path[14 + text_put_number(whole->path + 14, (uint64_t)descriptor)] = '\0';
        result = host_link(whole->path, host, PATH_LIMIT);
        system_call(SYS_close, descriptor, 0, 0, 0, 0, 0);
        if (result > 0)
            result = 0;
        break;
    }
    if (result == 0 && walk->entry != NULL && walk->entry->kind == SPACE_HIDE)
        result = options & WALK_FOLLOW ? -ENOENT : -EPERM;
    if (result == 0 && (options & WALK_NAME) && walk->missing && walk->slash)
        result = -ENOENT;
    if (result == 0 && (options & WALK_NAME) && walk->missing && walk->read_only)
        result = -EROFS;
    if (result == 0 && walk->place == PLACE_RESERVED)
        result = -ENOENT;
    if (result == 0 && walk->place == PLACE_HOST)
        bytes_copy(host, walk->host, walk->host_length + 1);
    if (result == 0 && name != NULL) {
        bytes_copy(name, walk->name, walk->name_length + 1);
        if (walk->name_length == 0)
            bytes_copy(name, "/", 2);
    }
    scratch_give(&hold, whole, sizeof *whole);
    return result;
}
