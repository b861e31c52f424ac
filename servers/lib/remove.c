/* Removing a tree of files that others made: any depth, any modes. */
#include "servers/lib/directory.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A descriptor is open for each level: deeper trees are first moved up to the top. */
#define LEVELS_MAX 64

struct removal {
    int top;
    unsigned moved;
    int error;
};

static void level_remove(struct removal *removal, int parent, const char *name, int level,
                         const char *keep);

static void entry_remove(struct removal *removal, int directory, const char *name, int level)
{
    char aside[32];

    if (unlinkat(directory, name, 0) == 0 || errno == ENOENT)
        return;
    if (errno != EISDIR && errno != EPERM && errno != EACCES) {
        if (removal->error == 0)
            removal->error = errno;
        return;
    }
    if (level < LEVELS_MAX) {
        level_remove(removal, directory, name, level + 1, NULL);
        return;
    }
    snprintf(aside, sizeof aside, ".removed-%u", removal->moved++);
    /* Moving a directory changes its "..": it must be writable. */
    fchmodat(directory, name, 0700, 0);
    if (renameat(directory, name, removal->top, aside) != 0 && removal->error == 0)
        removal->error = errno;
}

static void level_remove(struct removal *removal, int parent, const char *name, int level,
                         const char *keep)
{
    const int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
    int descriptor = openat(parent, name, flags);
    DIR *directory;
    struct dirent *entry;

    if (descriptor < 0 && errno == EACCES && fchmodat(parent, name, 0700, 0) == 0)
        descriptor = openat(parent, name, flags);
    if (descriptor < 0) {
        if (errno != ENOENT && removal->error == 0)
            removal->error = errno;
        return;
    }
    if (fchmod(descriptor, 0700) != 0 && removal->error == 0)
        removal->error = errno;
    if (level == 0)
        removal->top = descriptor;
    directory = fdopendir(descriptor);
    if (directory == NULL) {
        if (removal->error == 0)
            removal->error = errno;
        close(descriptor);
        return;
    }
    /* What is removed or moved up while the list is read may be listed or not: read it again until
     * it is empty. */
    for (bool again = true; again && removal->error == 0;) {
        again = false;
        rewinddir(directory);
        while ((entry = readdir(directory)) != NULL && removal->error == 0) {
            if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 ||
                (keep != NULL && strcmp(entry->d_name, keep) == 0))
                continue;
            entry_remove(removal, descriptor, entry->d_name, level);
            again = true;
        }
    }
    closedir(directory);
    if (keep == NULL && unlinkat(parent, name, AT_REMOVEDIR) != 0 && errno != ENOENT &&
        removal->error == 0)
        removal->error = errno;
}

int directory_remove(const char *directory, const char *keep)
{
    struct removal removal = {.top = -1};

    level_remove(&removal, AT_FDCWD, directory, 0, keep);
    return removal.error;
}
