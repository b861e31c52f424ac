/* What a confined program is taught: where the walk of its question came to, and what else is in
 * that directory. It can't find that out by itself (shim/door/ways.h), and each name would be a
 * question more. */
#include "servers/trap/teach.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "fence/fence.h"
#include "shim/core/text.h"
#include "shim/door/ways.h"

/* Directories that were listed not long ago; how long that is, and how much of one is taught. Where
 * names are asked about all the same there are new ones in it: it is listed again after so many
 * questions, and then after so many times more. */
enum { LISTED = 64, LISTED_SECONDS = 5, NAMES_MAX = 2048, ASKED_FIRST = 16, ASKED_MORE = 4 };

static struct {
    struct listed {
        uint64_t directory;
        time_t when;
        unsigned asked, enough;
    } listed[LISTED];
} memory;

static bool is_listed(uint64_t directory)
{
    struct listed *at = &memory.listed[directory / 2 % LISTED];
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    if (at->directory != directory || now.tv_sec - at->when >= LISTED_SECONDS) {
        *at = (struct listed){.directory = directory, .when = now.tv_sec, .enough = ASKED_FIRST};
        return false;
    }
    if (++at->asked < at->enough)
        return true;
    at->asked = 0;
    at->enough *= ASKED_MORE;
    return false;
}

/* A tree's own shared memory is elsewhere (confine.c, memory_map): nothing that the kernel says of
 * this name is so. */
static bool is_memory(const char *host, size_t length, const char *name)
{
    static const char place[] = FENCE_MEMORY;
    size_t parent = sizeof place - 1;

    while (place[parent - 1] != '/')
        parent--;
    return length >= parent - 1 && strncmp(host, place, parent - 1) == 0 &&
           (length == parent - 1 || length == parent) && strcmp(name, place + parent) == 0;
}

/* Teach the names of the directory that `path` has its last component in. */
static void names_teach(const struct view *view, const char *path, size_t way, const char *host,
                        size_t host_length)
{
    char name[PATH_LIMIT];
    struct dirent *entry;
    size_t length;
    DIR *directory;

    if (way + NAME_MAX + 2 > sizeof name || host_length >= sizeof name)
        return;
    memcpy(name, host, host_length);
    name[host_length] = '\0';
    directory = opendir(name);
    if (directory == NULL)
        return;
    memcpy(name, path, way);
    for (int i = 0; i < NAMES_MAX && (entry = readdir(directory)) != NULL; i++) {
        length = strlen(entry->d_name);
        if (entry->d_name[0] == '.' && (length == 1 || strcmp(entry->d_name, "..") == 0))
            continue;
        /* Of such a name the table may have more to say. */
        if (view->table != NULL && table_names(view->table, entry->d_name, length))
            continue;
        if (is_memory(host, host_length, entry->d_name))
            continue;
        memcpy(name + way, entry->d_name, length + 1);
        if (entry->d_type == DT_REG || entry->d_type == DT_DIR)
            way_teach_name(view, name, way + length, entry->d_type == DT_DIR);
    }
    closedir(directory);
}

void teach(const struct view *view, const char *path, const char *whole, const struct walk *walk,
           bool found, bool looks)
{
    size_t way, length = strlen(path), parent = walk->host_length;

    way_teach(view, path, whole, walk, found);
    /* Only of a directory whose own name is right: that a symlink leads to is listed elsewhere. */
    if (!looks || !found || strcmp(walk->host, whole) != 0 || path[length - 1] == '/')
        return;
    for (way = length; way > 0 && path[way - 1] != '/'; way--)
        parent--;
    if (parent == 0 || is_listed(way_number(view, WAY_DIRECT, AT_FDCWD, way > 0 ? path : "x", way)))
        return;
    names_teach(view, path, way, walk->host, parent);
}
