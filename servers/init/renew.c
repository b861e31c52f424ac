/* The C library may be replaced under a running session, as an upgrade does: its copy would no
 * longer fit the dynamic linker, and no program would start. So a new copy is made of the new one
 * and all doors are turned to it. Programs that run keep theirs. */
#include "servers/init/init.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "servers/lib/door.h"
#include "servers/lib/server.h"

void libc_identify(const struct libc *libc, struct libc_identity *identity)
{
    const char *names[] = {libc->original, libc->linker};

    /* Compared as bytes. */
    memset(identity, 0, sizeof *identity);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        struct stat status;

        if (stat(names[i], &status) != 0)
            continue;
        identity->files[i].device = status.st_dev;
        identity->files[i].inode = status.st_ino;
        identity->files[i].changed = status.st_mtim;
        identity->files[i].size = status.st_size;
    }
}

/* In the middle of an upgrade it may be gone for an instant; its successor is told of. */
static bool identity_is_whole(const struct libc_identity *identity)
{
    return identity->files[0].inode != 0 && identity->files[1].inode != 0;
}

typedef int door_step(const char *directory, const char *copy);

static int doors_each(const struct init *init, door_step *step, const char *copy)
{
    char path[PATH_MAX];
    int error = path_make(path, sizeof path, "%s/spaces", init->directory);
    DIR *spaces = error == 0 ? opendir(path) : NULL;
    struct dirent *entry;

    if (spaces == NULL)
        return error != 0 ? error : errno;
    while (error == 0 && (entry = readdir(spaces)) != NULL) {
        int outcome;

        if (entry->d_name[0] == '.')
            continue;
        error = path_make(path, sizeof path, "%s/spaces/%s", init->directory, entry->d_name);
        if (error != 0)
            break;
        /* A name space that is just being dropped has no directory any more. */
        outcome = step(path, copy);
        if (outcome != 0 && outcome != ENOENT)
            error = outcome;
    }
    closedir(spaces);
    return error;
}

static int step_close(const char *directory, const char *copy)
{
    (void)copy;
    door_close(directory);
    return 0;
}

static int door_read(const struct init *init, uint64_t space, char *copy)
{
    char path[PATH_MAX];
    ssize_t length;
    int error = path_make(path, sizeof path, "%s/spaces/%llu/lib/libc.so.6", init->directory,
                          (unsigned long long)space);

    if (error != 0)
        return error;
    length = readlink(path, copy, PATH_MAX - 1);
    if (length < 0)
        return errno;
    copy[length] = '\0';
    return 0;
}

/* In a process of its own: making a copy takes its time. */
static int renew(struct init *init)
{
    char old[PATH_MAX], copy[PATH_MAX];
    int error;

    /* Until there is a new one: programs that start as without a session are better than programs
     * that do not start. */
    if (door_read(init, 0, old) == 0 && copy_try(old) != 0)
        doors_each(init, step_close, NULL);
    error = copy_make(init, copy, sizeof copy);
    if (error == 0)
        error = doors_each(init, door_turn, copy);
    return error;
}

static void renew_ended(struct child *child, pid_t pid, int status)
{
    struct init *init = child->init;
    struct libc *libc = &init->libc;
    bool replaced = memcmp(&libc->identity, &libc->next, sizeof libc->next) != 0;

    (void)pid;
    libc->identity = libc->next;
    if (init->phase != STOP_NOT)
        return;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0 && replaced)
        log_line("%s was replaced; programs that start from now on have a copy of the new one",
                 libc->original);
    else if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        log_line("%s: no copy could be made of what it is now: %s", libc->original,
                 WIFEXITED(status) ? strerror(WEXITSTATUS(status)) : strsignal(WTERMSIG(status)));
    if (libc->look_again)
        libc_look(init);
}

static void renew_begin(struct init *init)
{
    struct libc *libc = &init->libc;
    int error;

    libc->look_again = false;
    libc->renewer.ended = renew_ended;
    error = child_fork(init, &libc->renewer, renew);
    if (error != 0)
        log_line("cannot look after the copy of %s: %s", libc->original, strerror(error));
}

void libc_look(struct init *init)
{
    struct libc *libc = &init->libc;
    struct libc_identity now;

    if (init->phase != STOP_NOT)
        return;
    libc_identify(libc, &now);
    if (libc->renewer.pid > 0) {
        libc->look_again = true;
        return;
    }
    if (!identity_is_whole(&now) || memcmp(&now, &libc->identity, sizeof now) == 0)
        return;
    libc->next = now;
    renew_begin(init);
}

void libc_look_for(struct init *init, uint64_t space)
{
    char first[PATH_MAX], own[PATH_MAX];

    libc_look(init);
    /* fs makes a door by what the default space's was an instant ago. */
    if (init->libc.renewer.pid > 0 || space == 0 || door_read(init, 0, first) != 0 ||
        (door_read(init, space, own) == 0 && strcmp(own, first) == 0))
        return;
    init->libc.next = init->libc.identity;
    renew_begin(init);
}

static void directory_changed(struct ev_loop *loop, ev_io *watcher, int events)
{
    struct init *init = watcher->data;
    char told[4096];

    (void)loop;
    (void)events;
    /* What it is does not matter: a look costs less than to compare names. */
    while (read(init->libc.watch, told, sizeof told) > 0)
        continue;
    libc_look(init);
}

static int directory_watch(struct libc *libc, const char *file)
{
    char path[PATH_MAX];

    if (realpath(file, path) == NULL)
        return errno;
    *strrchr(path, '/') = '\0';
    return inotify_add_watch(libc->watch, path,
                             IN_MOVED_TO | IN_CREATE | IN_CLOSE_WRITE | IN_ONLYDIR) < 0
               ? errno
               : 0;
}

/* Where nothing can be watched (a user has only so many of these) trees that begin look. The watch
 * ends with init: its closing takes the kernel tens of milliseconds. */
void libc_watch(struct init *init)
{
    struct libc *libc = &init->libc;
    int error = 0;

    libc->watch = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    if (libc->watch < 0)
        error = errno;
    if (error == 0)
        error = directory_watch(libc, libc->original);
    if (error == 0)
        error = directory_watch(libc, libc->linker);
    if (error != 0)
        log_line("cannot watch for a new %s: %s", libc->original, strerror(error));
    ev_io_init(&libc->watcher, directory_changed, libc->watch, EV_READ);
    libc->watcher.data = init;
    if (libc->watch >= 0)
        ev_io_start(init->loop, &libc->watcher);
}
