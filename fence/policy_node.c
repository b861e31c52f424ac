/* A path that leads into a translator's node. On the host that is a symlink that leads nowhere, and
 * what is below it nobody knows before the translator runs: it is named by the symlink's place. */
#include "fence/internal.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>

#include "shim/core/core.h"
#include "shim/core/lane.h"

static bool is_record(const char *path)
{
    char text[RECORD_START_LENGTH];
    /* The host's own, in a session as well. */
    long length = lane_call(SYS_readlink, (long)path, (long)text, sizeof text, 0, 0);

    return length == (long)sizeof text && memcmp(text, RECORD_START, sizeof text) == 0;
}

/* What is behind the node's name stays as it was given: it must go downwards only. */
static bool goes_down(const char *rest)
{
    while (*rest != '\0') {
        size_t length = strcspn(++rest, "/");

        if (length == 0 || strncmp(rest, ".", length) == 0 || strncmp(rest, "..", length) == 0)
            return false;
        rest += length;
    }
    return true;
}

/* "DIRECTORY/NAME" of the given start of a path, on the host; NULL with errno. */
static char *name_host(const char *path, size_t length)
{
    const char *name = path + length;
    char *start, *directory, *host = NULL;

    while (name > path && name[-1] != '/')
        name--;
    start = name == path ? strdup(".") : strndup(path, (size_t)(name - path));
    if (!start)
        return NULL;
    directory = fence_path_host(start);
    free(start);
    if (!directory)
        return NULL;
    if (asprintf(&host, "%s/%.*s", directory[1] == '\0' ? "" : directory,
                 (int)(path + length - name), name) < 0)
        host = NULL;
    free(directory);
    return host;
}

char *fence_path_in_node(const char *given)
{
    char *path = strdup(given), *found = NULL;
    size_t length = path ? strlen(path) : 0;

    while (length > 1 && path[length - 1] == '/')
        path[--length] = '\0';
    for (size_t end = length; end > 0 && !found; end--) {
        char *node;

        if ((path[end] != '/' && path[end] != '\0') || path[end - 1] == '/')
            continue;
        node = name_host(path, end);
        if (node && is_record(node) && goes_down(path + end) &&
            asprintf(&found, "%s%s", node, path + end) < 0)
            found = NULL;
        free(node);
    }
    free(path);
    if (!found)
        errno = ENOENT;
    return found;
}
