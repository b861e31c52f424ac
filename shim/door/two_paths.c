/* rename and link: two paths, one prefix. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "proto/node.pb-c.h"

#include "shim/core/host.h"
#include "shim/core/lane.h"
#include "shim/core/node.h"
#include "shim/core/scratch.h"
#include "shim/core/text.h"
#include "shim/door/door.h"
#include "shim/door/ways.h"

struct pair {
    struct walk from;
    struct walk to;
    bool by_descriptor; /* link's first name is an empty one: `object` stands for it */
    char object[32];
};

/* Where a name's file system is, for EXDEV: the bind that the walk is in. `parent`: that of the
 * directory it is in, though the name be a bind's own. */
static const struct space_entry *prefix_of(const struct walk *walk, bool parent)
{
    const struct space_entry *entry;
    size_t length = walk->mount_length;
    if (walk->table == NULL || length == 0)
        return NULL;
    if (parent && walk->name_length == length) {
        while (length > 0 && walk->name[--length] != '/')
            ;
        entry = table_mount(walk->table, walk->name, length);
    } else {
        entry = table_find(walk->table, walk->name, length);
    }
    return entry != NULL && entry->kind == SPACE_BIND ? entry : NULL;
}

/* The same of what is linked. Behind a link of procfs it is the bind that the object lies in, by
 * its host name. */
static const struct space_entry *prefix_of_source(const struct walk *from, char text[PATH_LIMIT])
{
    if (!(from->options & WALK_FOLLOW) || from->missing || !S_ISLNK(from->status.st_mode))
        return prefix_of(from, false);
    long length = from->table == NULL ? 0 : host_link(from->host, text, PATH_LIMIT);
    if (length <= 0 || text[0] != '/')
        return NULL;
    size_t end = (size_t)length;
    const size_t deleted = sizeof DELETED_END - 1;
    if (end > deleted && text_equal(text + end - deleted, deleted, DELETED_END, deleted))
        end -= deleted;
    return table_bind_of_host(from->table, text, end);
}

static bool is_rename(long number)
{
    return number != SYS_link && number != SYS_linkat;
}

/* What the table says about a name that is to be renamed, replaced or linked. */
static long name_allows(const struct walk *walk, bool target, bool rename)
{
    const struct space_entry *entry = walk->entry;
    if (entry != NULL && entry->kind == SPACE_HIDE)
        return target ? -EPERM : -ENOENT;
    if (entry != NULL && (rename || target))
        return target && !rename ? -EEXIST : -EBUSY;
    if (rename && walk->table != NULL &&
        table_has_below(walk->table, walk->name, walk->name_length))
        return -EBUSY;
    return 0;
}

static long pair_on_node(struct pair *pair, long number, unsigned flags, bool *ended)
{
    struct walk *from = &pair->from, *to = &pair->to;
    size_t other_length;
    bool same = from->node_name_length == to->node_name_length &&
                text_equal(from->name, from->node_name_length, to->name, to->node_name_length);
    *ended = false;
    if (!same)
        return -EXDEV;
    const char *other = walk_rest(is_rename(number) ? to : from, &other_length);
    struct node_change change = {
        .change = is_rename(number) ? HIRSEL__NODE_CHANGE__CHANGE_RENAME
                                    : HIRSEL__NODE_CHANGE__CHANGE_LINK,
        .flags = flags,
        .other = other,
        .other_length = other_length,
    };
    return node_change(is_rename(number) ? from : to, &change, ended);
}

/* A symlink under a new name, or a directory under another: known ways may lead elsewhere. */
static void names_changed(long number, const long arguments[6], int to_directory, const char *to)
{
    struct stat status;
    bool exchanged = number == SYS_renameat2 && (arguments[4] & RENAME_EXCHANGE);
    if (!exchanged &&
        lane_call(SYS_newfstatat, to_directory, (long)to, (long)&status, AT_SYMLINK_NOFOLLOW, 0) ==
            0 &&
        S_ISREG(status.st_mode))
        return;
    ways_changed();
}

/* What link and rename look at before the names themselves, in the kernel's order. */
static long link_allows(struct pair *pair)
{
    struct walk *from = &pair->from;
    const struct walk *to = &pair->to;
    bool host = to->place == PLACE_HOST;
    bool hidden = to->entry != NULL && to->entry->kind == SPACE_HIDE;
    if (to->end != END_NAME || (host && !to->missing) || (to->entry != NULL && !hidden))
        return -EEXIST;
    if (host && to->slash)
        return -ENOENT;
    if (host && to->read_only)
        return -EROFS;
    if (hidden)
        return -EPERM;
    return host && from->place == PLACE_HOST &&
                   prefix_of_source(from, from->link) != prefix_of(to, true)
               ? -EXDEV
               : 0;
}

static long rename_allows(const struct walk *from, const struct walk *to, unsigned flags)
{
    bool host = from->place == PLACE_HOST && to->place == PLACE_HOST;
    if (from->place != to->place || (host && prefix_of(from, true) != prefix_of(to, true)))
        return -EXDEV;
    if (from->end != END_NAME)
        return -EBUSY;
    if (to->end != END_NAME)
        return flags & RENAME_NOREPLACE ? -EEXIST : -EBUSY;
    const struct space_entry *around = prefix_of(from, true);
    if (host && around != NULL && (around->flags & SPACE_READ_ONLY))
        return -EROFS;
    if (from->place == PLACE_HOST && from->missing)
        return -ENOENT;
    bool hidden = to->entry != NULL && to->entry->kind == SPACE_HIDE;
    return host && (flags & RENAME_NOREPLACE) && !to->missing && !hidden ? -EEXIST : 0;
}

/* A slash at the end is the kernel's to judge. */
static void slash_put(struct walk *walk)
{
    if (!walk->slash || walk->host_length + 1 >= PATH_LIMIT)
        return;
    walk->host[walk->host_length++] = '/';
    walk->host[walk->host_length] = '\0';
}

static long pair_on_host(struct pair *pair, long number, const long arguments[6])
{
    const struct call_shape *shape = &call_shapes[number];
    const struct caller *caller = &the_shim.caller;
    struct walk *from = &pair->from, *to = &pair->to;
    if (caller->host_call != NULL)
        return caller->host_call(caller->holder, number, arguments, from, to);
    long changed[6];
    bytes_copy(changed, arguments, sizeof changed);
    slash_put(from);
    slash_put(to);
    changed[shape->path] = (long)from->host;
    changed[shape->path2] = (long)to->host;
    if (shape->directory >= 0) {
        changed[shape->directory] = AT_FDCWD;
        changed[shape->directory2] = AT_FDCWD;
    }
    /* By a descriptor alone only its owner can, and who opened it may. */
    if (pair->by_descriptor && !caller->foreign) {
        changed[shape->directory] = arguments[shape->directory];
        changed[shape->path] = arguments[shape->path];
    } else if (pair->by_descriptor) {
        changed[shape->flags] = AT_SYMLINK_FOLLOW;
    }
    return call_plain(number, changed);
}

static long pair_run(struct pair *pair, long number, const long arguments[6])
{
    const struct call_shape *shape = &call_shapes[number];
    struct walk *from = &pair->from, *to = &pair->to;
    bool rename = is_rename(number);
    unsigned flags = shape->flags >= 0 ? (unsigned)arguments[shape->flags] : 0;
    long result = rename ? rename_allows(from, to, flags) : link_allows(pair);
    if (result == 0)
        result = name_allows(from, false, rename);
    if (result == 0)
        result = name_allows(to, true, rename);
    if (result < 0)
        return result;
    if (from->place == PLACE_RESERVED || to->place == PLACE_RESERVED)
        return -EROFS;
    if (from->place == PLACE_NODE || to->place == PLACE_NODE) {
        if (from->place != to->place)
            return -EXDEV;
        bool ended;
        result = pair_on_node(pair, number, flags, &ended);
        return ended && result == 0 ? -EXDEV : result;
    }
    result = pair_on_host(pair, number, arguments);
    if (result == 0)
        names_changed(number, arguments, AT_FDCWD, to->host);
    return result;
}

/* A walk that ends in a node knows only its text: a symlink in there may lead out again, and a
 * record may be nobody's. */
static long node_settle(struct walk *walk)
{
    bool ended = true;
    if (walk->end == END_DOT)
        return dot_allows(walk);
    while (walk->place == PLACE_NODE && ended) {
        struct stat status;
        long result = node_status(walk, false, &status, &ended);
        if (result == -ENOKEY)
            return -ENOENT;
        if (result == -ENOTDIR || (result < 0 && ended))
            return result;
    }
    return 0;
}

/* What link wants of what is linked, before it looks where to. */
static long source_allows(const struct pair *pair)
{
    const struct walk *from = &pair->from;
    if (from->missing)
        return pair->by_descriptor ? -EBADF : -ENOENT;
    return from->slash && !S_ISDIR(from->status.st_mode) ? -ENOTDIR : 0;
}

bool link_is_by_descriptor(long number, const long arguments[6])
{
    return number == SYS_linkat && (arguments[4] & AT_EMPTY_PATH) &&
           ((const char *)arguments[1])[0] == '\0';
}

/* Its name in procfs. Of the current directory, which no call links, the kernel says so. */
static void object_put(struct pair *pair, int descriptor)
{
    if (descriptor == AT_FDCWD) {
        bytes_copy(pair->object, "/proc/self/cwd", sizeof "/proc/self/cwd");
        return;
    }
    bytes_copy(pair->object, "/proc/self/fd/", 14);
    size_t length = 14;
    if (descriptor < 0)
        pair->object[length++] = '-'; /* nobody's */
    else
        length += text_put_number(pair->object + length, (uint64_t)descriptor);
    pair->object[length] = '\0';
}

long two_paths_slow(long number, const long arguments[6])
{
    if (trap_decides())
        return call_asked(number, arguments);
    const struct call_shape *shape = &call_shapes[number];
    bool has_directories = shape->directory >= 0;
    struct hold hold;
    struct pair *pair = scratch_take(&hold, sizeof *pair);
    if (pair == NULL)
        return -ENOMEM;
    struct view view;
    unsigned options = WALK_NODE_NAME | (call_follows(number, arguments) ? WALK_FOLLOW : 0);
    const char *path = (const char *)arguments[shape->path];
    pair->by_descriptor = link_is_by_descriptor(number, arguments);
    if (pair->by_descriptor) {
        path = pair->object;
        options |= WALK_FOLLOW;
        object_put(pair, (int)arguments[shape->directory]);
    }
    long result = walk_in_view(&pair->from, &view,
                               has_directories ? (int)arguments[shape->directory] : AT_FDCWD, path,
                               options | (is_rename(number) ? WALK_NAME : 0));
    if (result == 0)
        result = node_settle(&pair->from);
    if (result == 0 && !is_rename(number) && pair->from.place == PLACE_HOST)
        result = source_allows(pair);
    if (result == 0)
        result = walk_in_view(&pair->to, &view,
                              has_directories ? (int)arguments[shape->directory2] : AT_FDCWD,
                              (const char *)arguments[shape->path2], WALK_NODE_NAME | WALK_NAME);
    if (result == 0)
        result = node_settle(&pair->to);
    if (result == 0)
        result = pair_run(pair, number, arguments);
    if (result == -ESTALE && !the_shim.caller.foreign)
        result = call_plain(number, arguments);
    scratch_give(&hold, pair, sizeof *pair);
    return result;
}

/* Whether one of the two names may be touched by the table. */
static bool name_is_doubtful(const struct view *view, int directory, const char *path)
{
    if (text_find(view, directory, path) == TEXT_TABLE)
        return true;
    if (view->table == NULL)
        return false;
    if (last_is_named(view->table, path, false))
        return true;
    /* Binds have borders that the kernel does not see; symlinks may lead behind them, and into
     * what is shadowed. */
    if (path[0] != '/' && view->places && !way_starts_plain(view, directory))
        return true;
    return (view->shadows || view->places) && !way_is_plain(view, directory, path);
}

long two_paths_call(long number, const long arguments[6])
{
    const struct call_shape *shape = &call_shapes[number];
    const char *from = (const char *)arguments[shape->path];
    const char *to = (const char *)arguments[shape->path2];
    struct view view = view_get();
    bool has_directories = shape->directory >= 0;
    int from_directory = has_directories ? (int)arguments[shape->directory] : AT_FDCWD;
    int to_directory = has_directories ? (int)arguments[shape->directory2] : AT_FDCWD;
    if (from == NULL || to == NULL)
        return call_plain(number, arguments);
    bool by_descriptor = false;
    if (view.table != NULL || view.places) {
        long checked = path_check(from);
        if (checked == 0)
            checked = path_check(to);
        if (checked < 0)
            return checked;
        by_descriptor = link_is_by_descriptor(number, arguments);
        /* An object lies behind a bind or not, whatever its name says. */
        if (((by_descriptor || (!is_rename(number) && call_follows(number, arguments))) &&
             view.binds) ||
            (!by_descriptor && name_is_doubtful(&view, from_directory, from)) ||
            name_is_doubtful(&view, to_directory, to))
            return two_paths_slow(number, arguments);
    }
    /* In a confined tree the trap server counts it, but for what it said is a file. (A symlink can
     * have a second name by link, too.) */
    bool counts = view.shadows || view.binds;
    if (counts && trap_decides() && !by_descriptor &&
        (number == SYS_renameat2 ||
         !way_is_known(way_number(&view, WAY_FILE, from_directory, from, text_length(from)))))
        return two_paths_slow(number, arguments);
    long result = call_plain(number, arguments);
    if (result == 0 && counts && !trap_decides())
        names_changed(number, arguments, to_directory, to);
    if (!by_descriptor && (is_memory_name(from, result) || is_memory_name(to, result)))
        return call_asked(number, arguments);
    /* Where it refused, the trap server counts that. */
    if (result == -EACCES && trap_decides())
        return call_asked(number, arguments);
    if (by_descriptor || (result != -ENOENT && result != -ENOTDIR && result != -ELOOP))
        return result;
    return two_paths_slow(number, arguments);
}
