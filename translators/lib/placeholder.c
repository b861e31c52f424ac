/* An opened directory is a real, empty directory inside the node's mirror, removed at once after it
 * was opened: its name in /proc/self/fd tells the shim which node it stands for. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "translators/lib/library.h"

static int name_make(char *end)
{
    static const char letters[64] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789__";
    unsigned char random[6];

    if (getrandom(random, sizeof(random), 0) != (ssize_t)sizeof(random))
        return errno;
    memcpy(end, ".hirsel-", 8);
    for (size_t i = 0; i < sizeof(random); i++)
        end[8 + i] = letters[random[i] & 63];
    end[14] = '\0';
    return 0;
}

/* To a program without the shim fstat of it is the kernel's own: as far as the kernel lets us it
 * tells what the node is. That it does not is no reason to open nothing. */
static void attributes_set(const struct node *node, const char *path)
{
    struct timespec time = {(time_t)node->modified_seconds, (long)node->modified_nanoseconds};
    struct timespec times[2] = {time, time};

    if (fchmodat(library.tree_descriptor, path, node->mode & 07777, 0) != 0 ||
        utimensat(library.tree_descriptor, path, times, AT_SYMLINK_NOFOLLOW) != 0)
        return;
}

int placeholder_open(struct node *node, int flags)
{
    char path[PATH_MAX];
    size_t length = node->path_length;
    int descriptor, error = mirror_ensure(node);

    if (error != 0)
        return -error;
    node_path(node, path);
    if (length > 0)
        path[length++] = '/';
    for (int attempt = 0; attempt < 100; attempt++) {
        error = name_make(path + length);
        if (error != 0)
            return -error;
        error = mkdirat(library.tree_descriptor, path, 0700) == 0 ? 0 : errno;
        if (error != EEXIST)
            break;
    }
    if (error != 0)
        return -error;
    descriptor = openat(library.tree_descriptor, path,
                        (flags & (O_PATH | O_NOATIME | O_NONBLOCK)) | O_RDONLY | O_DIRECTORY |
                            O_NOFOLLOW | O_CLOEXEC);
    error = errno;
    if (descriptor >= 0) {
        attributes_set(node, path);
        users_watch(path);
    }
    unlinkat(library.tree_descriptor, path, AT_REMOVEDIR);
    return descriptor >= 0 ? descriptor : -error;
}
