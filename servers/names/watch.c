/* What becomes of a table's names on the host: somebody outside of the session may make one that
 * did not exist when the entry was made, take away one that did, or put another directory in the
 * place of theirs. The shims let the kernel's answer stand where nothing is shadowed, so the table
 * must soon say what is.
 *
 * The directories that entries lie in are watched with inotify, each for one event: then what the
 * table says of it is looked at anew, and it is left alone for a second. So a directory where much
 * happens costs one event a second, and one where nothing happens costs nothing. */
#include "servers/names/names.h"

#include <errno.h>
#include <mntent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "servers/lib/server.h"

#define WATCHED_MAX 1000
#define PAUSE_SECONDS 1.0
#define EVENTS                                                                                     \
    (IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_DELETE_SELF | IN_MOVE_SELF |         \
     IN_ONLYDIR | IN_ONESHOT)

struct watched {
    struct watched *next;
    int watch; /* -1: it had its event, and is watched again after the pause */
    char directory[];
};

/* ---- looking ---- */

/* The host directory that the entry's name lies in, or NULL. */
static const char *directory_of(const struct entries *entries, const struct entry *entry,
                                char buffer[NAME_PATH_SIZE])
{
    char parent[NAME_PATH_SIZE];
    size_t length = (size_t)(name_last(entry->path) - entry->path);

    if (length > 1)
        length--;
    memcpy(parent, entry->path, length);
    parent[length] = '\0';
    return entries_host(entries, parent, buffer);
}

static bool lies_in(const struct entries *entries, const struct entry *entry, const char *directory)
{
    char buffer[NAME_PATH_SIZE];
    const char *found = directory_of(entries, entry, buffer);

    return found && strcmp(found, directory) == 0;
}

/* What the entry says of the host, as it is now. Whether that is something else. */
static bool entry_renew(struct entry *entry, const char *directory, const struct stat *parent)
{
    char host[NAME_PATH_SIZE];
    struct stat status;
    uint16_t flags = entry->flags | SPACE_SHADOWS;
    bool changed;

    if (name_join(directory, name_last(entry->path), strlen(name_last(entry->path)), host))
        return false;
    if (lstat(host, &status) < 0 && (errno == ENOENT || errno == ENOTDIR))
        flags &= (uint16_t)~SPACE_SHADOWS;
    changed = flags != entry->flags || entry->parent_device != parent->st_dev ||
              entry->parent_inode != parent->st_ino;
    entry->flags = flags;
    entry->parent_device = parent->st_dev;
    entry->parent_inode = parent->st_ino;
    return changed;
}

static void directory_look(struct names *names, const char *directory)
{
    struct stat parent;

    if (stat(directory, &parent) < 0)
        return; /* no walk comes to what is in it */
    for (struct space *space = names->spaces; space; space = space->next) {
        bool changed = false;
        for (size_t i = 0; i < space->entries.count; i++)
            if (lies_in(&space->entries, &space->entries.items[i], directory))
                changed |= entry_renew(&space->entries.items[i], directory, &parent);
        int error = changed ? table_publish(&space->table, &space->entries) : 0;
        if (error)
            log_line("cannot publish what changed in %s: %s", directory, strerror(error));
    }
}

/* ---- watching ---- */

/* Where inotify hears nothing of what others do, and a host call may wait for ever. */
static bool is_remote(const char *directory)
{
    static const char *const kinds[] = {"nfs", "cifs", "smb",    "9p",    "ceph",
                                        "afs", "fuse", "autofs", "lustre"};
    FILE *mounts = setmntent("/proc/self/mounts", "re");
    const struct mntent *mount;
    size_t longest = 0;
    bool remote = false;

    /* Of two on the same directory the later one counts. */
    while (mounts && (mount = getmntent(mounts))) {
        size_t length = strlen(mount->mnt_dir);
        if (length < longest || !name_is_below(directory, mount->mnt_dir))
            continue;
        longest = length;
        remote = false;
        for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
            remote |= strncmp(mount->mnt_type, kinds[i], strlen(kinds[i])) == 0;
    }
    if (mounts)
        endmntent(mounts);
    return remote;
}

static struct watched **watched_find(struct names *names, const char *directory)
{
    struct watched **link = &names->watch.watched;

    while (*link && strcmp((*link)->directory, directory) != 0)
        link = &(*link)->next;
    return link;
}

static void watched_forget(struct names *names, struct watched **link)
{
    struct watched *watched = *link;

    *link = watched->next;
    names->watch.count--;
    free(watched);
}

static bool is_wanted(const struct names *names, const char *directory)
{
    for (const struct space *space = names->spaces; space; space = space->next)
        for (size_t i = 0; i < space->entries.count; i++)
            if (lies_in(&space->entries, &space->entries.items[i], directory))
                return true;
    return false;
}

/* Watch it, then look: what happens in between is an event. */
static bool watched_arm(struct names *names, struct watched *watched)
{
    if (is_remote(watched->directory))
        return false;
    watched->watch = inotify_add_watch(names->watch.descriptor, watched->directory, EVENTS);
    if (watched->watch < 0)
        return false;
    directory_look(names, watched->directory);
    return true;
}

static void pause_over(struct ev_loop *loop, struct ev_timer *timer, int events)
{
    struct names *names = timer->data;
    struct watched **link = &names->watch.watched;

    (void)loop;
    (void)events;
    while (*link) {
        struct watched *watched = *link;
        /* One that is gone is not waited for: its names are found by no walk. */
        if (watched->watch < 0 &&
            (!is_wanted(names, watched->directory) || !watched_arm(names, watched)))
            watched_forget(names, link);
        else
            link = &watched->next;
    }
}

static void event_take(struct names *names, const struct inotify_event *event)
{
    bool lost = event->mask & IN_Q_OVERFLOW, ours = false;

    /* Two names of one directory have one watch. IN_IGNORED, which follows each event, has none. */
    for (struct watched *watched = names->watch.watched; watched; watched = watched->next) {
        if (watched->watch < 0 || (watched->watch != event->wd && !lost))
            continue;
        watched->watch = -1;
        directory_look(names, watched->directory);
        ours = true;
    }
    if (ours && !ev_is_active(&names->watch.pause)) {
        ev_timer_set(&names->watch.pause, PAUSE_SECONDS, 0);
        ev_timer_start(names->server->loop, &names->watch.pause);
    }
}

static void events_come(struct ev_loop *loop, struct ev_io *reader, int revents)
{
    char buffer[4096] __attribute__((aligned(__alignof__(struct inotify_event))));
    ssize_t length = read(reader->fd, buffer, sizeof(buffer));

    (void)loop;
    (void)revents;
    for (ssize_t at = 0; at < length;) {
        const struct inotify_event *event = (const void *)(buffer + at);
        event_take(reader->data, event);
        at += (ssize_t)(sizeof(*event) + event->len);
    }
}

void names_watch(struct names *names, const struct space *space, const struct entry *entry)
{
    char buffer[NAME_PATH_SIZE];
    const char *directory = directory_of(&space->entries, entry, buffer);
    struct watched **link, *watched;
    size_t size;

    if (names->watch.descriptor < 0 || !directory || names->watch.count >= WATCHED_MAX)
        return;
    link = watched_find(names, directory);
    if (*link)
        return;
    size = strlen(directory) + 1;
    watched = malloc(sizeof(*watched) + size);
    if (!watched)
        return;
    watched->next = NULL;
    memcpy(watched->directory, directory, size);
    *link = watched;
    names->watch.count++;
    if (!watched_arm(names, watched))
        watched_forget(names, link);
}

void names_watch_all(struct names *names)
{
    names->watch.descriptor = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    if (names->watch.descriptor < 0) {
        log_line("inotify: %s; names that the host gets later are not noticed", strerror(errno));
        return;
    }
    ev_io_init(&names->watch.reader, events_come, names->watch.descriptor, EV_READ);
    names->watch.reader.data = names;
    ev_io_start(names->server->loop, &names->watch.reader);
    ev_init(&names->watch.pause, pause_over);
    names->watch.pause.data = names;
    for (struct space *space = names->spaces; space; space = space->next)
        for (size_t i = 0; i < space->entries.count; i++)
            names_watch(names, space, &space->entries.items[i]);
}
