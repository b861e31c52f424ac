#include <errno.h>
#include <fcntl.h>

#include "shim/core/host.h"
#include "shim/core/node.h"
#include "shim/core/restrict.h"
#include "shim/core/text.h"
#include "shim/core/walk.h"

const char *walk_rest(const struct walk *walk, size_t *length)
{
    if (walk->name_length <= walk->node_name_length) {
        *length = 0;
        return "";
    }
    *length = walk->name_length - walk->node_name_length - 1;
    return walk->name + walk->node_name_length + 1;
}

/* host = base + the part of the name behind `covered`. */
static long host_set(struct walk *walk, struct table_text base, size_t covered)
{
    size_t rest = walk->name_length - covered;
    if (base.length == 1 && base.bytes[0] == '/')
        base.length = 0;
    if (base.length + rest >= PATH_LIMIT)
        return -ENAMETOOLONG;
    bytes_copy(walk->host, base.bytes, base.length);
    bytes_copy(walk->host + base.length, walk->name + covered, rest);
    walk->host_length = base.length + rest;
    if (walk->host_length == 0)
        walk->host[walk->host_length++] = '/';
    walk->host[walk->host_length] = '\0';
    return 0;
}

static void node_set(struct walk *walk, uint64_t translator, size_t name_length)
{
    walk->place = PLACE_NODE;
    walk->touched = true;
    walk->node.translator = translator;
    walk->node_name_length = name_length;
}

/* Find out where the walk's name is: after a start and after "..". A node that the walk entered
 * by its record holds as long as the name lies below it. */
static long place_set(struct walk *walk)
{
    walk->missing = false;
    walk->entry = NULL;
    walk->read_only = false;
    if (walk->place == PLACE_NODE && walk->name_length >= walk->node_name_length)
        return 0;
    walk->place = PLACE_HOST;
    if (!walk->caller->core->bare &&
        text_below(walk->name, walk->name_length, RESERVED_ROOT, sizeof RESERVED_ROOT - 1)) {
        walk->place = PLACE_RESERVED;
        return 0;
    }
    const struct space_entry *cover =
        walk->table == NULL ? NULL : table_mount(walk->table, walk->name, walk->name_length);
    size_t covered = cover == NULL ? 0 : table_path(walk->table, cover).length;
    if (covered > walk->name_length)
        return -ENOENT; /* the table is being written over */
    walk->mount_length = covered;
    if (cover == NULL)
        return host_set(walk, (struct table_text){"", 0}, 0);
    walk->touched = true;
    walk->read_only = (cover->flags & SPACE_READ_ONLY) != 0;
    if (covered == walk->name_length)
        walk->entry = cover;
    if (cover->kind == SPACE_BIND)
        return host_set(walk, table_target(walk->table, cover), covered);
    node_set(walk, cover->translator, covered);
    return 0;
}

static long name_push(struct walk *walk, const char *component, size_t length)
{
    if (length > 255 && walk->place != PLACE_HOST)
        return -ENAMETOOLONG;
    if (walk->name_length + 1 + length >= PATH_LIMIT)
        return -ENAMETOOLONG;
    walk->name[walk->name_length++] = '/';
    bytes_copy(walk->name + walk->name_length, component, length);
    walk->name_length += length;
    walk->name[walk->name_length] = '\0';
    return 0;
}

static void name_pop(struct walk *walk)
{
    while (walk->name_length > 0 && walk->name[--walk->name_length] != '/')
        ;
    walk->name[walk->name_length] = '\0';
}

/* Up by one. Below its mount the walk goes up on the host, as the kernel does: the name may be
 * that of something else by now, which was hidden or bound over where the walk started. */
static long go_up(struct walk *walk)
{
    bool inside = walk->place == PLACE_HOST && walk->name_length > walk->mount_length;
    bool leaves = walk->place == PLACE_NODE ? walk->name_length == walk->node_name_length
                                            : !inside && walk->name_length > 0;
    long allowed = leaves ? restrict_mount(walk) : 0;
    if (allowed < 0)
        return allowed;
    name_pop(walk);
    if (!inside)
        return place_set(walk);
    walk->missing = false;
    walk->entry = NULL;
    while (walk->host_length > 1 && walk->host[--walk->host_length] != '/')
        ;
    walk->host[walk->host_length] = '\0';
    return 0;
}

static bool todo_is_last(const struct walk *walk)
{
    for (size_t i = walk->todo_at; i < walk->todo_length; i++)
        if (walk->todo[i] != '/')
            return false;
    return true;
}

static long start_set(struct walk *walk, int directory);

/* Go on from the root, or from what is the root to this walk. */
static long root_set(struct walk *walk)
{
    if (walk->resolve & RESOLVE_IN_ROOT)
        return start_set(walk, walk->directory);
    walk->name_length = 0;
    walk->name[0] = '\0';
    walk->place = PLACE_HOST;
    return place_set(walk);
}

/* Put a symlink's text in front of what is still to be walked. */
static long todo_splice(struct walk *walk, const char *text, size_t length)
{
    if (++walk->links > LINKS_LIMIT)
        return -ELOOP;
    size_t rest = walk->todo_length - walk->todo_at;
    long allowed = restrict_link(walk, length > 0 && text[0] == '/');
    if (allowed < 0)
        return allowed;
    if (length == 0)
        return -ENOENT;
    if (length + 1 + rest >= sizeof walk->todo)
        return -ENAMETOOLONG;
    char *start = walk->todo;
    /* The rest moves to its new place first; the regions may overlap. */
    size_t gap = length + (rest > 0 ? 1 : 0);
    if (gap <= walk->todo_at) {
        for (size_t i = 0; i < rest; i++)
            start[gap + i] = start[walk->todo_at + i];
    } else {
        for (size_t i = rest; i-- > 0;)
            start[gap + i] = start[walk->todo_at + i];
    }
    bytes_copy(start, text, length);
    if (rest > 0)
        start[length] = '/';
    else if (text[length - 1] == '/')
        walk->slash = true; /* what the text of a last symlink ends with counts as well */
    walk->todo_at = 0;
    walk->todo_length = gap + rest;
    start[walk->todo_length] = '\0';
    /* The text may lie in walk->link, which root_set uses. */
    if (start[0] == '/') {
        long result = root_set(walk);
        if (result == 0 && walk->place == PLACE_HOST && todo_is_last(walk))
            result = host_status(walk->host, &walk->status);
        return result;
    }
    return 0;
}

/* The next component, or false at the end. */
static bool todo_next(struct walk *walk, const char **component, size_t *length)
{
    while (walk->todo_at < walk->todo_length && walk->todo[walk->todo_at] == '/')
        walk->todo_at++;
    if (walk->todo_at == walk->todo_length)
        return false;
    *component = walk->todo + walk->todo_at;
    *length = 0;
    while (walk->todo_at < walk->todo_length && walk->todo[walk->todo_at] != '/') {
        walk->todo_at++;
        (*length)++;
    }
    return true;
}

/* ".." from inside a translator's tree: what it leaves must be a directory, and a symlink there
 * is the translator's to tell. If it tells of one, the walk goes on along it to its end, ".."
 * included: *ended is set. */
static long node_leave(struct walk *walk, bool *ended)
{
    size_t behind = walk->todo_at;
    struct stat status;
    *ended = false;
    walk->todo_at -= 2; /* ".." is walked again behind the symlink */
    long result = node_status(walk, true, &status, ended);
    if (result < 0 || *ended)
        return result == -ENOKEY ? -ENOENT : result; /* a symlink that dangles */
    walk->todo_at = behind;
    return S_ISDIR(status.st_mode) ? 0 : -ENOTDIR;
}

/* Whether the symlink just read is one of procfs that leads to an object and not along its text:
 * cwd, root, exe, fd/N, map_files/…. The others there (self, net, mounts) have relative texts. */
static bool is_magic(const struct walk *walk, size_t length)
{
    bool object = walk->link[0] == '/';
    for (size_t i = 0; i + 1 < length && !object; i++)
        object = walk->link[i] == ':';
    return object && text_begins(walk->host, walk->host_length, "/proc/", 6) &&
           host_is_proc(&walk->status);
}

/* procfs's own "self" and "thread-self" are the caller's, which may be another process: its text
 * put in place of the one just read. The text's length. */
static long link_of_caller(struct walk *walk, long length)
{
    const struct caller *caller = walk->caller;
    static const char task[] = "/task/";
    bool thread = text_equal(walk->host, walk->host_length, "/proc/thread-self", 17);
    if (!caller->foreign ||
        !(thread || text_equal(walk->host, walk->host_length, "/proc/self", 10)) ||
        !host_is_proc(&walk->status))
        return length;
    const char *number = caller->process + sizeof "/proc/" - 1;
    size_t size = text_length(number), at = size;
    bytes_copy(walk->link, number, size);
    if (thread) {
        bytes_copy(walk->link + at, task, sizeof task - 1);
        at += sizeof task - 1;
        bytes_copy(walk->link + at, number, size);
        at += size;
    }
    walk->link[at] = '\0';
    return (long)at;
}

/* Whether a symlink in the last component is what the path names. */
static bool is_not_followed(const struct walk *walk)
{
    return (walk->options & WALK_NAME) || (!(walk->options & WALK_FOLLOW) && !walk->slash);
}

/* Step onto a symlink of the host: into a node if it is a record, else along its text. */
static long link_enter(struct walk *walk, bool last)
{
    long length = host_link(walk->host, walk->link, sizeof walk->link);
    if (length < 0)
        return length;
    if (!walk->caller->core->bare &&
        text_begins(walk->link, (size_t)length, RECORD_START, RECORD_START_LENGTH)) {
        if (last && (walk->options & WALK_NODE_NAME) && is_not_followed(walk))
            return 0;
        struct node_reference *node = &walk->node;
        node->device = walk->status.st_dev;
        node->inode = walk->status.st_ino;
        bytes_copy(node->text, walk->link, (size_t)length + 1);
        node->text_length = (size_t)length;
        bytes_copy(node->host, walk->host, walk->host_length + 1);
        node->host_length = walk->host_length;
        node_set(walk, 0, walk->name_length);
        return restrict_mount(walk);
    }
    if (last && is_not_followed(walk))
        return 0;
    /* A magic link of procfs is not its text. At the end the kernel follows it; on the way the
     * session's name of where it leads is found from its text. */
    if (is_magic(walk, (size_t)length)) {
        long allowed = restrict_magic(walk);
        if (allowed < 0)
            return allowed;
        if (last || walk->link[0] != '/')
            return 0;
        if (++walk->links > LINKS_LIMIT)
            return -ELOOP;
        walk->fleeting = true;
        long result = walk_from_host(walk, walk->link, (size_t)length);
        if (result == 0 && walk->place == PLACE_HOST &&
            host_status(walk->host, &walk->status) == 0 && !S_ISDIR(walk->status.st_mode))
            return -ENOTDIR;
        return result;
    }
    length = link_of_caller(walk, length);
    long result = go_up(walk);
    return result < 0 ? result : todo_splice(walk, walk->link, (size_t)length);
}

/* Take one component on the host. */
static long host_step(struct walk *walk, bool last)
{
    long result = host_status(walk->host, &walk->status);
    if (result == -ENOENT && last) {
        walk->missing = true;
        return 0;
    }
    if (result == 0)
        result = restrict_host(walk);
    if (result < 0)
        return result;
    if (S_ISLNK(walk->status.st_mode))
        return link_enter(walk, last);
    if (!last && !S_ISDIR(walk->status.st_mode))
        return -ENOTDIR;
    return 0;
}

/* Take one component whose name the table has. */
static long entry_step(struct walk *walk, const struct space_entry *entry, bool last)
{
    walk->entry = entry;
    walk->touched = true;
    walk->read_only = walk->read_only || (entry->flags & SPACE_READ_ONLY) != 0;
    switch (entry->kind) {
    case SPACE_HIDE:
        if (!last)
            return -ENOENT;
        walk->place = PLACE_HOST;
        walk->missing = true;
        return host_set(walk, (struct table_text){"", 0}, 0);
    case SPACE_SYMLINK:
        if (last && is_not_followed(walk))
            return 0;
        name_pop(walk);
        long result = place_set(walk);
        if (result < 0)
            return result;
        struct table_text target = table_target(walk->table, entry);
        return todo_splice(walk, target.bytes, target.length);
    case SPACE_NODE:
        node_set(walk, entry->translator, walk->name_length);
        return restrict_mount(walk);
    default:
        result = restrict_mount(walk);
        if (result < 0)
            return result;
        walk->place = PLACE_HOST;
        walk->mount_length = walk->name_length;
        walk->read_only = (entry->flags & SPACE_READ_ONLY) != 0;
        result = host_set(walk, table_target(walk->table, entry), walk->name_length);
        return result < 0 ? result : host_step(walk, last);
    }
}

/* Looking up "." or ".." takes the right to search the directory, as any other name does. */
static long host_search(struct walk *walk)
{
    size_t length = walk->host_length;
    if (walk->place != PLACE_HOST || length + 2 >= PATH_LIMIT)
        return 0;
    bytes_copy(walk->host + length, "/.", 3);
    long result = host_status(walk->host, &walk->status);
    walk->host[length] = '\0';
    return result == -EACCES ? result : 0;
}

static long step(struct walk *walk, const char *component, size_t length, bool last)
{
    bool dots = component[0] == '.' && (length == 1 || (length == 2 && component[1] == '.'));
    long searched = dots ? host_search(walk) : 0;
    if (searched < 0)
        return searched;
    if (length == 1 && component[0] == '.') {
        if (walk->missing)
            return -ENOENT;
        /* "link/." is what the link leads to, as "link/" is. */
        walk->slash = walk->slash || last;
        return 0;
    }
    if (length == 2 && component[0] == '.' && component[1] == '.') {
        restrict_up(walk);
        if (restrict_is_start(walk))
            return walk->resolve & RESOLVE_BENEATH ? -EXDEV : 0;
        if (walk->place == PLACE_NODE) {
            bool ended;
            long left = node_leave(walk, &ended);
            if (left < 0 || ended)
                return left;
        }
        long result = go_up(walk);
        if (result == 0 && walk->place == PLACE_HOST)
            result = host_status(walk->host, &walk->status);
        return result == 0 ? restrict_host(walk) : result;
    }
    walk->entry = NULL;
    long result = name_push(walk, component, length);
    if (result < 0)
        return result;
    const struct space_entry *entry =
        walk->table == NULL ? NULL : table_find(walk->table, walk->name, walk->name_length);
    if (entry != NULL)
        return entry_step(walk, entry, last);
    if (walk->place == PLACE_HOST && !walk->caller->core->bare &&
        text_equal(walk->name, walk->name_length, RESERVED_ROOT, sizeof RESERVED_ROOT - 1)) {
        walk->place = PLACE_RESERVED;
        return 0;
    }
    if (walk->place != PLACE_HOST)
        return 0;
    if (walk->host_length + 1 + length >= PATH_LIMIT)
        return -ENAMETOOLONG;
    if (walk->host_length > 1)
        walk->host[walk->host_length++] = '/';
    bytes_copy(walk->host + walk->host_length, component, length);
    walk->host_length += length;
    walk->host[walk->host_length] = '\0';
    return host_step(walk, last);
}

static long walk_run(struct walk *walk)
{
    const char *component;
    size_t length;
    long waits = restrict_wait(walk);
    if (waits < 0)
        return waits;
    while (todo_next(walk, &component, &length)) {
        /* The component is copied: a splice overwrites todo. */
        char copy[256];
        if (length > 255)
            return -ENAMETOOLONG;
        bytes_copy(copy, component, length);
        long result = step(walk, copy, length, todo_is_last(walk));
        if (result == 0)
            result = restrict_wait(walk);
        if (result < 0)
            return result;
    }
    return 0;
}

long walk_redirect(struct walk *walk, size_t consumed, const char *target, size_t length)
{
    size_t rest_length;
    walk_rest(walk, &rest_length);
    if (consumed == 0 || consumed > rest_length)
        return -EIO;
    /* What follows the symlink goes in front of what is still to be walked. */
    size_t behind = rest_length - consumed;
    size_t todo = walk->todo_length - walk->todo_at;
    char *rest = walk->name + walk->name_length - behind;
    if (behind + todo + 2 >= sizeof walk->todo)
        return -ENAMETOOLONG;
    bool joined = behind > 0 && todo > 0 && walk->todo[walk->todo_at] != '/';
    for (size_t i = todo; i-- > 0;)
        walk->todo[sizeof walk->todo - 1 - todo + i] = walk->todo[walk->todo_at + i];
    bytes_copy(walk->todo, rest, behind);
    if (joined)
        walk->todo[behind++] = '/';
    for (size_t i = 0; i < todo; i++)
        walk->todo[behind + i] = walk->todo[sizeof walk->todo - 1 - todo + i];
    walk->todo_at = 0;
    walk->todo_length = behind + todo;
    walk->todo[walk->todo_length] = '\0';
    /* Stand in the symlink's directory. */
    walk->name_length -= rest_length - consumed;
    name_pop(walk);
    long result = place_set(walk);
    if (result < 0)
        return result;
    result = todo_splice(walk, target, length);
    return result < 0 ? result : walk_run(walk);
}

/* Where the translator's number is in a path below SESSION/nodes/, or below a confined tree's own
 * SESSION/scratch/PID/nodes/, where such files have a second name to be executed by. NULL: it is
 * none. */
static const char *mirrors_begin(const struct core *core, const char *host, size_t length)
{
    size_t session = core->session_length;
    if (!text_begins(host, length, core->session, session))
        return NULL;
    const char *at = host + session, *end = host + length;
    uint64_t tree;
    if (text_begins(at, (size_t)(end - at), "/scratch/", 9)) {
        at += 9;
        if (!text_get_number(&at, &tree))
            return NULL;
    }
    return text_begins(at, (size_t)(end - at), "/nodes/", 7) ? at + 7 : NULL;
}

/* A path of the session's own mirror directories: NODES/ID/(tree/REST|file). Stands the walk at
 * that node. 1 if it is one, 0 if not, or -errno. */
static long mirror_place(struct walk *walk, const char *host, size_t length)
{
    const struct core *core = walk->caller->core;
    uint64_t translator;
    const char *at = core->bare ? NULL : mirrors_begin(core, host, length);
    if (at == NULL || !text_get_number(&at, &translator) || translator == core->own_node)
        return 0;
    size_t id_end = (size_t)(at - host);
    const char *rest = at;
    size_t rest_length = length - id_end;
    if (text_below(rest, rest_length, "/tree", 5)) {
        rest += 5;
        rest_length -= 5;
    } else if (text_below(rest, rest_length, "/new", 4)) {
        rest += 4;
        rest_length -= 4;
    } else if (text_equal(rest, rest_length, "/file", 5)) {
        rest_length = 0;
    } else {
        return 0;
    }
    /* An opened directory's placeholder lies in the mirror of its directory. */
    if (text_begins(rest, rest_length, "/" PLACEHOLDER_START, sizeof PLACEHOLDER_START)) {
        rest_length = 0;
    } else {
        for (size_t i = rest_length; i-- > 0;)
            if (rest[i] == '/') {
                if (text_begins(rest + i + 1, rest_length - i - 1, PLACEHOLDER_START,
                                sizeof PLACEHOLDER_START - 1))
                    rest_length = i;
                break;
            }
    }
    /* The node's own name: in the table, or in the link that fs keeps beside the mirror. */
    const struct space_entry *entries = walk->table == NULL ? NULL : table_entries(walk->table);
    size_t name_length = 0;
    bool found = false;
    uint32_t count = entries == NULL ? 0 : table_count(walk->table);
    for (uint32_t i = 0; i < count; i++)
        if (entries[i].kind == SPACE_NODE && entries[i].translator == translator) {
            struct table_text name = table_path(walk->table, &entries[i]);
            name_length = name.length;
            bytes_copy(walk->name, name.bytes, name_length);
            found = true;
            break;
        }
    if (!found) {
        char path[SESSION_LIMIT + 40];
        size_t end = core->session_length;
        bytes_copy(path, core->session, end);
        bytes_copy(path + end, "/nodes/", 7);
        end += 7;
        end += text_put_number(path + end, translator);
        bytes_copy(path + end, "/name", 6);
        long got = host_link(path, walk->name, PATH_LIMIT);
        if (got < 0)
            return got;
        name_length = (size_t)got;
    }
    if (name_length + rest_length >= PATH_LIMIT)
        return -ENAMETOOLONG;
    bytes_copy(walk->name + name_length, rest, rest_length);
    walk->name_length = name_length + rest_length;
    walk->name[walk->name_length] = '\0';
    node_set(walk, translator, name_length);
    return 1;
}

long walk_from_host(struct walk *walk, const char *host, size_t length)
{
    bool deleted = length > sizeof DELETED_END - 1 &&
                   text_equal(host + length - (sizeof DELETED_END - 1), sizeof DELETED_END - 1,
                              DELETED_END, sizeof DELETED_END - 1);
    size_t kept = deleted ? length - (sizeof DELETED_END - 1) : length;
    long found = mirror_place(walk, host, kept);
    if (found != 0)
        return found < 0 ? found : 0;
    if (deleted)
        return -ESTALE;
    if (length == 1)
        length = 0; /* the root */
    const struct space_entry *bind =
        walk->table == NULL ? NULL : table_bind_of_host(walk->table, host, length);
    size_t from = 0, base = 0;
    struct table_text name = {"", 0};
    if (bind != NULL) {
        from = table_target(walk->table, bind).length;
        from = from == 1 ? 0 : from;
        name = table_path(walk->table, bind);
        base = name.length;
    }
    if (from > length)
        return -ENOENT; /* the table is being written over */
    if (base + length - from >= PATH_LIMIT)
        return -ENAMETOOLONG;
    bytes_copy(walk->name, name.bytes, base);
    bytes_copy(walk->name + base, host + from, length - from);
    walk->name_length = base + length - from;
    walk->name[walk->name_length] = '\0';
    /* Not place_set: where this name is shadowed by an entry, the descriptor still is where it
     * is on the host. */
    walk->place = PLACE_HOST;
    walk->missing = false;
    walk->entry = NULL;
    walk->mount_length = base;
    walk->touched = walk->touched || bind != NULL;
    walk->read_only = bind != NULL && (bind->flags & SPACE_READ_ONLY) != 0;
    bytes_copy(walk->host, host, length);
    walk->host_length = length;
    if (walk->host_length == 0)
        walk->host[walk->host_length++] = '/';
    walk->host[walk->host_length] = '\0';
    return 0;
}

static void walk_begin(struct walk *walk, const struct caller *caller,
                       const struct space_snapshot *table)
{
    walk->caller = caller;
    walk->table = caller->core->bare ? NULL : table;
    walk->options = 0;
    walk->place = PLACE_HOST;
    walk->name_length = 0;
    walk->name[0] = '\0';
    walk->node_name_length = 0;
    walk->mount_length = 0;
    walk->entry = NULL;
    walk->read_only = false;
    walk->touched = false;
    walk->fleeting = false;
    walk->missing = false;
    walk->slash = false;
    walk->end = END_NAME;
    walk->resolve = 0;
    walk->directory = AT_FDCWD;
    walk->start_length = 0;
    walk->rooted = false;
    walk->host_mount = 0;
    walk->links = 0;
    walk->todo_at = walk->todo_length = 0;
    walk->todo[0] = '\0';
}

/* Stand where the caller's descriptor stands. */
static long start_set(struct walk *walk, int descriptor)
{
    const struct caller *caller = walk->caller;
    char link[64];
    size_t length = text_length(caller->process);
    bytes_copy(link, caller->process, length);
    if (descriptor == AT_FDCWD) {
        bytes_copy(link + length, "/cwd", 5);
    } else {
        if (descriptor < 0)
            return -EBADF;
        bytes_copy(link + length, "/fd/", 4);
        length += 4;
        length += text_put_number(link + length, (uint64_t)descriptor);
        link[length] = '\0';
    }
    long got = host_link(link, walk->link, sizeof walk->link);
    if (got == -EACCES && caller->foreign && caller->place != NULL)
        got = caller->place(descriptor, walk->link, sizeof walk->link);
    /* No such descriptor; or no procfs where this process has put its root. The kernel knows. */
    if (got == -ENOENT)
        return caller->foreign ? -EBADF : -ESTALE;
    if (got < 0)
        return got;
    if (walk->link[0] != '/')
        return -ENOTDIR; /* a pipe, a socket */
    return walk_from_host(walk, walk->link, (size_t)got);
}

long walk_descriptor(struct walk *walk, const struct caller *caller,
                     const struct space_snapshot *table, int descriptor)
{
    walk_begin(walk, caller, table);
    return start_set(walk, descriptor);
}

static enum path_end path_end(const char *path, size_t length)
{
    while (length > 0 && path[length - 1] == '/')
        length--;
    size_t start = length;
    while (start > 0 && path[start - 1] != '/')
        start--;
    if (length == 0)
        return END_ROOT;
    if (path[start] != '.' || length - start > 2 || path[length - 1] != '.')
        return END_NAME;
    return length - start == 1 ? END_DOT : END_DOTS;
}

long walk_path(struct walk *walk, const struct caller *caller, const struct space_snapshot *table,
               int directory, const char *path, unsigned options)
{
    size_t length = text_length(path);
    if (length == 0)
        return -ENOENT;
    if (length >= PATH_LIMIT)
        return -ENAMETOOLONG;
    long result;
    unsigned resolve = options >> WALK_RESOLVE_AT;
    walk_begin(walk, caller, table);
    if (path[0] != '/' || (resolve & RESOLVE_IN_ROOT))
        result = start_set(walk, directory);
    else
        result = resolve & RESOLVE_BENEATH ? -EXDEV : place_set(walk);
    if (result < 0)
        return result;
    walk->options = options;
    walk->resolve = resolve;
    walk->directory = directory;
    walk->slash = path[length - 1] == '/';
    walk->end = path_end(path, length);
    bytes_copy(walk->todo, path, length + 1);
    walk->todo_at = 0;
    walk->todo_length = length;
    if (walk->place == PLACE_HOST) {
        result = host_status(walk->host, &walk->status);
        if (result < 0)
            return result;
        if (!S_ISDIR(walk->status.st_mode))
            return -ENOTDIR;
    }
    restrict_begin(walk, path[0] == '/');
    return walk_run(walk);
}
