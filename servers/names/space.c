#include "servers/names/names.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "servers/lib/directory.h"
#include "servers/lib/door.h"
#include "servers/lib/server.h"

/* A space is made under such a name and renamed: it is there whole or not at all. */
#define UNFINISHED ".new-"
/* And dropped under such a one. */
#define DROPPED ".old-"

static int path_of(const struct names *names, const char *prefix, uint64_t id, const char *rest,
                   char path[PATH_MAX])
{
    int length = snprintf(path, PATH_MAX, "%s/spaces/%s%" PRIu64 "%s", names->server->directory,
                          prefix, id, rest);

    return length < PATH_MAX ? 0 : ENAMETOOLONG;
}

struct space *space_find(const struct names *names, uint64_t id)
{
    struct space *space = names->spaces;

    while (space && space->id != id)
        space = space->next;
    return space;
}

static void space_free(struct space *space)
{
    table_close(&space->table);
    entries_free(&space->entries);
    free(space);
}

static void space_link(struct names *names, struct space *space)
{
    space->next = names->spaces;
    names->spaces = space;
}

/* ---- what a space's directory says of it ---- */

static int origin_write(const char *path, const struct space *space)
{
    FILE *file = fopen(path, "wxe");
    int error = 0;

    if (!file)
        return errno;
    if (fprintf(file, "%" PRIu64 " %d %" PRIu64 "\n", space->origin, (int)space->maker,
                space->maker_start) < 0)
        error = errno;
    if (fclose(file) != 0 && !error)
        error = errno;
    return error;
}

static void origin_read(const char *path, struct space *space)
{
    FILE *file = fopen(path, "re");
    int maker = 0;

    if (!file)
        return;
    if (fscanf(file, "%" SCNu64 " %d %" SCNu64, &space->origin, &maker, &space->maker_start) != 3)
        maker = 0;
    space->maker = maker;
    fclose(file);
}

/* The door: the same libc copy as the default space's. init makes that one. */
static int door_copy(const struct names *names, const char *directory)
{
    char from[PATH_MAX], text[PATH_MAX];
    ssize_t length;
    int error = path_of(names, "", 0, "/lib/libc.so.6", from);

    if (error)
        return error;
    length = readlink(from, text, sizeof(text) - 1);
    if (length < 0)
        return errno == ENOENT ? 0 : errno; /* a session without a door, as tests have it */
    text[length] = '\0';
    return door_make(directory, text);
}

/* ---- making ---- */

static int space_write(struct names *names, struct space *space, const struct space *origin,
                       const struct space_net *net)
{
    char directory[PATH_MAX], file[PATH_MAX], final[PATH_MAX];
    int error = path_of(names, UNFINISHED, space->id, "", directory);

    if (!error)
        error = path_of(names, "", space->id, "", final);
    if (!error)
        error = path_of(names, UNFINISHED, space->id, "/origin", file);
    if (error)
        return error;
    directory_remove(directory, NULL);
    if (mkdir(directory, 0700) < 0)
        return errno;
    error = origin_write(file, space);
    if (!error)
        error = door_copy(names, directory);
    if (!error)
        error = path_of(names, UNFINISHED, space->id, "/table", file);
    if (!error)
        error = table_create(file, space->id, &space->entries, net, &space->table);
    if (!error) {
        space->table.header->placeholders = origin->table.header->placeholders;
        if (rename(directory, final) < 0)
            error = errno;
    }
    if (error)
        directory_remove(directory, NULL);
    return error;
}

int space_make(struct names *names, uint64_t id, const struct space *origin,
               const struct space_net *net, pid_t maker, struct space **made)
{
    struct space *space = space_find(names, id);
    int error;

    if (space) {
        *made = space;
        return 0;
    }
    space = calloc(1, sizeof(*space));
    if (!space)
        return ENOMEM;
    space->names = names;
    space->id = id;
    space->origin = origin->id;
    space->maker = maker;
    space->table.descriptor = -1;
    if (process_stat(maker, NULL, &space->maker_start))
        space->maker_start = 0;
    error = entries_copy(&space->entries, &origin->entries);
    if (!error)
        error = space_write(names, space, origin, net);
    if (error) {
        space_free(space);
        return error;
    }
    space_link(names, space);
    *made = space;
    return 0;
}

/* ---- starting ---- */

static int default_make(struct names *names, struct space *space)
{
    char directory[PATH_MAX], fresh[PATH_MAX], path[PATH_MAX];
    int error = path_of(names, "", 0, "", directory);

    if (!error)
        error = path_of(names, "", 0, "/table.new", fresh);
    if (!error)
        error = path_of(names, "", 0, "/table", path);
    if (error)
        return error;
    if (mkdir(directory, 0700) < 0 && errno != EEXIST)
        return errno;
    unlink(fresh);
    error = table_create(fresh, 0, &space->entries, NULL, &space->table);
    if (!error && rename(fresh, path) < 0)
        error = errno;
    return error;
}

static int space_load(struct names *names, uint64_t id)
{
    char path[PATH_MAX];
    struct space *space = calloc(1, sizeof(*space));
    int error;

    if (!space)
        return ENOMEM;
    space->names = names;
    space->id = id;
    space->table.descriptor = -1;
    error = path_of(names, "", id, "/origin", path);
    if (!error && id != 0)
        origin_read(path, space);
    if (!error)
        error = path_of(names, "", id, "/table", path);
    if (!error)
        error = table_open(path, id, &space->table, &space->entries);
    /* A table's writer may have died between the two steps of publishing: publish once more. */
    if (!error)
        error = table_publish(&space->table, &space->entries);
    if (error == ENOSPC)
        error = 0; /* a full disk: what is published stands */
    if (error && id == 0) {
        if (error != ENOENT)
            log_line("the default name space's table %s: %s; it begins anew, empty", path,
                     strerror(error));
        error = default_make(names, space);
    }
    if (error) {
        space_free(space);
        return error;
    }
    space_link(names, space);
    journal_skip(names->journal, JOURNAL_SPACES, id);
    return 0;
}

int spaces_load(struct names *names)
{
    char path[PATH_MAX];
    struct dirent *entry;
    DIR *directory;
    int error;

    if (snprintf(path, sizeof(path), "%s/spaces", names->server->directory) >= (int)sizeof(path))
        return ENAMETOOLONG;
    if (mkdir(path, 0700) < 0 && errno != EEXIST)
        return errno;
    error = space_load(names, 0);
    if (error)
        return error;
    directory = opendir(path);
    if (!directory)
        return errno;
    while ((entry = readdir(directory))) {
        char *end;
        char there[PATH_MAX];
        uint64_t id = strtoull(entry->d_name, &end, 10);
        if ((strncmp(entry->d_name, UNFINISHED, strlen(UNFINISHED)) == 0 ||
             strncmp(entry->d_name, DROPPED, strlen(DROPPED)) == 0) &&
            snprintf(there, sizeof(there), "%s/%s", path, entry->d_name) < (int)sizeof(there))
            directory_remove(there, NULL);
        if (id == 0 || *end)
            continue;
        error = space_load(names, id);
        if (error)
            log_line("name space %s/%s: %s; its programs go on with what they have", path,
                     entry->d_name, strerror(error));
    }
    closedir(directory);
    names_watch_all(names);
    return 0;
}

/* ---- ending ---- */

void space_drop(struct names *names, struct space *space)
{
    char path[PATH_MAX], dropped[PATH_MAX];
    struct space **link = &names->spaces;

    if (space->id == 0)
        return;
    while (*link && *link != space)
        link = &(*link)->next;
    if (*link)
        *link = space->next;
    if (!path_of(names, "", space->id, "", path) &&
        !path_of(names, DROPPED, space->id, "", dropped)) {
        int error = rename(path, dropped) < 0 ? errno : directory_remove(dropped, NULL);
        if (error)
            log_line("cannot remove %s: %s", path, strerror(error));
    }
    names->dropped(names, space->id);
    space_free(space);
}

/* ---- changing ---- */

int space_add(struct space *space, const struct entry *entry)
{
    int error = entries_add(&space->entries, entry);

    if (error)
        return error;
    error = table_publish(&space->table, &space->entries);
    if (error)
        entries_remove(&space->entries, entry->path);
    else
        names_watch(space->names, space, entry);
    return error;
}

int space_remove(struct space *space, const char *path)
{
    struct entries changed;
    int error = entries_copy(&changed, &space->entries);

    if (error)
        return error;
    error = entries_remove(&changed, path);
    if (!error)
        error = table_publish(&space->table, &changed);
    if (error) {
        entries_free(&changed);
        return error;
    }
    entries_free(&space->entries);
    space->entries = changed;
    return 0;
}

void space_mark_nodes(struct space *space)
{
    if (space->entries.sticky_flags & SPACE_HAS_NODES)
        return;
    space->entries.sticky_flags |= SPACE_HAS_NODES;
    if (table_publish(&space->table, &space->entries))
        space->entries.sticky_flags &= ~(uint32_t)SPACE_HAS_NODES; /* at the next one then */
}

void spaces_mark_placeholders(struct names *names)
{
    for (struct space *space = names->spaces; space; space = space->next)
        __atomic_store_n(&space->table.header->placeholders, 1, __ATOMIC_RELEASE);
}

void spaces_count_change(struct names *names)
{
    for (struct space *space = names->spaces; space; space = space->next) {
        struct space_changes *changes =
            (void *)((char *)space->table.header + SPACE_CHANGES_OFFSET);
        __atomic_add_fetch(&changes->count, 1, __ATOMIC_ACQ_REL);
    }
}

bool space_descends(const struct names *names, uint64_t space, uint64_t ancestor)
{
    /* Origins are older than their copies, so this ends; a damaged file must not make it loop. */
    while (space != ancestor) {
        const struct space *at = space_find(names, space);
        if (!at || at->origin >= space)
            return ancestor == 0;
        space = at->origin;
    }
    return true;
}

const struct space *space_of_node(const struct names *names, uint64_t translator)
{
    for (const struct space *space = names->spaces; space; space = space->next)
        for (size_t i = 0; i < space->entries.count; i++)
            if (space->entries.items[i].kind == SPACE_NODE &&
                space->entries.items[i].translator == translator)
                return space;
    return NULL;
}
