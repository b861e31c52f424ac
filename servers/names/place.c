#include "servers/names/names.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

int place_find(const struct names *names, const struct space *space, pid_t self, const char *path,
               struct place *place)
{
    struct walk walk;
    const struct entry *around;
    int error = walk_path(&space->entries, &names->seal, self, path, WALK_PARENT, &walk);

    if (error)
        return error;
    if (!S_ISDIR(walk.status.st_mode))
        return ENOTDIR;
    error = name_join(walk.path, walk.name, strlen(walk.name), place->path);
    if (!error)
        error = name_join(walk.host, walk.name, strlen(walk.name), place->host);
    if (error)
        return error;
    if (strcmp(place->path, "/.hirsel") == 0)
        return EINVAL; /* the reserved root */
    strcpy(place->directory, walk.host);
    place->parent = walk.status;
    place->told =
        fstatat(AT_FDCWD, place->host, &place->status, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT) == 0;
    /* Where it can't be told, it is taken to exist: that costs time, the other way a wrong answer.
     */
    place->exists = place->told || (errno != ENOENT && errno != ENOTDIR);
    around = entries_prefix(&space->entries, walk.path);
    place->read_only = around && (around->flags & SPACE_READ_ONLY);
    return 0;
}

void place_entry(const struct place *place, struct entry *entry)
{
    memset(entry, 0, sizeof(*entry));
    entry->path = (char *)(uintptr_t)place->path;
    entry->flags = place->exists ? SPACE_SHADOWS : 0;
    entry->parent_device = place->parent.st_dev;
    entry->parent_inode = place->parent.st_ino;
}
