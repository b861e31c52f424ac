#include "servers/names/names.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* As many as the kernel follows. */
#define SYMLINKS_MAX 40

struct walker {
    const struct entries *entries;
    const struct seal *seal;
    pid_t self;
    unsigned flags;
    unsigned symlinks;
    char todo[NAME_PATH_SIZE]; /* what is still to be walked */
    char *next;                /* in it */
    struct walk *walk;         /* path, host: the directory reached */
};

/* Go on with `text` in front of what is still to be walked, which is empty or starts with a slash.
 */
static int todo_prepend(struct walker *walker, const char *text)
{
    char joined[NAME_PATH_SIZE];
    int length = snprintf(joined, sizeof(joined), "%s%s", text, walker->next);

    if (length >= (int)sizeof(joined))
        return ENAMETOOLONG;
    memcpy(walker->todo, joined, (size_t)length + 1);
    walker->next = walker->todo;
    return 0;
}

static int symlink_follow(struct walker *walker, const char *text)
{
    if (text[0] == '\0')
        return ENOENT;
    if (++walker->symlinks > SYMLINKS_MAX)
        return ELOOP;
    if (text[0] == '/') {
        strcpy(walker->walk->path, "/");
        strcpy(walker->walk->host, "/");
    }
    return todo_prepend(walker, text);
}

static int go_up(struct walker *walker)
{
    struct walk *walk = walker->walk;
    char *slash = strrchr(walk->path, '/');

    slash[slash == walk->path] = '\0';
    /* Not the host path's parent: above a bind lies what the session's name says. */
    return entries_host(walker->entries, walk->path, walk->host) ? 0 : ENOENT;
}

/* The host's symlink at `host`, read. /proc/self is the caller's, not ours. */
static int symlink_read(const struct walker *walker, const char *host, char text[NAME_PATH_SIZE])
{
    ssize_t length;

    if (strcmp(host, "/proc/self") == 0) {
        snprintf(text, NAME_PATH_SIZE, "%d", (int)walker->self);
        return 0;
    }
    if (strcmp(host, "/proc/thread-self") == 0) {
        snprintf(text, NAME_PATH_SIZE, "%d/task/%d", (int)walker->self, (int)walker->self);
        return 0;
    }
    length = readlink(host, text, NAME_PATH_SIZE);
    if (length < 0)
        return errno;
    if (length >= NAME_PATH_SIZE)
        return ENAMETOOLONG;
    text[length] = '\0';
    return 0;
}

static bool symlink_is_record(const struct walker *walker, const char *text)
{
    struct record record;

    if (record_parse(walker->seal, text, strlen(text), &record))
        return false;
    record_free(&record);
    return true;
}

/* One component, `name`. *done: the walk has ended with it. `last`: nothing follows; `directory`:
 * a slash does. */
static int step(struct walker *walker, const char *name, size_t length, bool last, bool directory,
                bool *done)
{
    struct walk *walk = walker->walk;
    char path[NAME_PATH_SIZE], host[NAME_PATH_SIZE];
    const struct entry *entry;
    int error = name_join(walk->path, name, length, path);

    if (error)
        return error;
    entry = entries_at(walker->entries, path);
    if ((entry && entry->kind == SPACE_HIDE) || strcmp(path, "/.hirsel") == 0)
        return ENOENT;
    if (entry && entry->kind == SPACE_NODE) {
        if (!last)
            return EOPNOTSUPP;
        walk->kind = WALK_ENTRY;
        walk->translator = entry->translator;
        strcpy(walk->path, path);
        *done = true;
        return 0;
    }
    if (entry && entry->kind == SPACE_SYMLINK)
        return symlink_follow(walker, entry->target);
    if (entry)
        strcpy(host, entry->target);
    else if ((error = name_join(walk->host, name, length, host)))
        return error;

    if (fstatat(AT_FDCWD, host, &walk->status, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT) < 0)
        return errno;
    if (S_ISLNK(walk->status.st_mode)) {
        error = symlink_read(walker, host, walk->text);
        if (error)
            return error;
        if (symlink_is_record(walker, walk->text)) {
            if (!last)
                return EOPNOTSUPP;
            walk->kind = WALK_RECORD;
        } else if (!last || directory || (walker->flags & WALK_FOLLOW)) {
            return symlink_follow(walker, walk->text);
        }
    } else if ((!last || directory) && !S_ISDIR(walk->status.st_mode)) {
        return ENOTDIR;
    }
    strcpy(walk->path, path);
    strcpy(walk->host, host);
    *done = last;
    return 0;
}

static int parent_end(struct walker *walker, const char *name, size_t length)
{
    struct walk *walk = walker->walk;

    if (length > NAME_COMPONENT_MAX)
        return ENAMETOOLONG;
    memcpy(walk->name, name, length);
    walk->name[length] = '\0';
    return fstatat(AT_FDCWD, walk->host, &walk->status, AT_NO_AUTOMOUNT) < 0 ? errno : 0;
}

int walk_path(const struct entries *entries, const struct seal *seal, pid_t self, const char *path,
              unsigned flags, struct walk *walk)
{
    struct walker walker = {
        .entries = entries, .seal = seal, .self = self, .flags = flags, .walk = walk};
    bool done = false;
    int error;

    memset(walk, 0, sizeof(*walk));
    strcpy(walk->path, "/");
    strcpy(walk->host, "/");
    walker.next = walker.todo;
    error = todo_prepend(&walker, path);
    while (!error && !done) {
        const char *name = walker.next + strspn(walker.next, "/");
        size_t length = strcspn(name, "/");
        size_t slashes = strspn(name + length, "/");
        bool last = name[length + slashes] == '\0';
        bool dots =
            (length == 1 && name[0] == '.') || (length == 2 && name[0] == '.' && name[1] == '.');

        if (length == 0) {
            if (flags & WALK_PARENT)
                return EINVAL;
            return fstatat(AT_FDCWD, walk->host, &walk->status, AT_NO_AUTOMOUNT) < 0 ? errno : 0;
        }
        walker.next = walker.todo + (name - walker.todo) + length;
        if (dots) {
            if (last && (flags & WALK_PARENT))
                return EINVAL;
            error = length == 2 ? go_up(&walker) : 0;
        } else if (last && (flags & WALK_PARENT)) {
            return parent_end(&walker, name, length);
        } else {
            error = step(&walker, name, length, last, slashes > 0, &done);
        }
    }
    return error;
}
