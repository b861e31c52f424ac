/* The mirror: each node that was looked up is a real object below SESSION/nodes/ID/tree, which
 * gives it its device and inode number and, a file, its backing file. What a former life of the
 * translator left is used again: a node keeps its identity. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "translators/lib/library.h"

static int entry_make(const struct node *node, const char *path)
{
    struct node *original = node_original((struct node *)node);
    char first[NODE_PATH_MAX + 1];
    int result;

    if (node != original) {
        node_path(original, first);
        result = linkat(library.tree_descriptor, first, library.tree_descriptor, path, 0);
    } else if (S_ISDIR(node->mode)) {
        result = mkdirat(library.tree_descriptor, path, 0700);
    } else if (S_ISLNK(node->mode)) {
        result = symlinkat(node->target ? node->target : "?", library.tree_descriptor, path);
    } else if (S_ISFIFO(node->mode)) {
        result = mkfifoat(library.tree_descriptor, path, 0600);
    } else {
        result = mknodat(library.tree_descriptor, path, S_IFREG | MIRROR_UNFILLED, 0);
    }
    return result == 0 ? 0 : errno;
}

/* Whether what a former life left is this node's. */
static bool entry_suits(const struct node *node, const char *path, const struct stat *found)
{
    struct node *original = node_original((struct node *)node);

    if ((found->st_mode & S_IFMT) != (node->mode & S_IFMT))
        return false;
    if (node != original)
        return found->st_ino == original->inode;
    if (S_ISREG(node->mode) && (found->st_mode & 07777) != MIRROR_UNFILLED)
        return (uint64_t)found->st_size == node->size;
    if (S_ISLNK(node->mode)) {
        char text[4097];
        ssize_t length = readlinkat(library.tree_descriptor, path, text, sizeof(text));
        return node->target && length == (ssize_t)strlen(node->target) &&
               memcmp(text, node->target, (size_t)length) == 0;
    }
    return true;
}

/* A symlink's times last as long as the symlink, as do a FIFO's and its mode; a file gets its own
 * when it is filled, and a directory's are told by message. */
static int entry_set_attributes(const struct node *node, const char *path)
{
    const struct node *original = node_original((struct node *)node);
    struct timespec time = {(time_t)node->modified_seconds, (long)node->modified_nanoseconds};
    struct timespec times[2] = {time, time};

    if (!S_ISLNK(node->mode) && !S_ISFIFO(node->mode))
        return 0;
    if (S_ISFIFO(node->mode) &&
        fchmodat(library.tree_descriptor, path, original->mode & 07777, 0) != 0)
        return errno;
    return utimensat(library.tree_descriptor, path, times, AT_SYMLINK_NOFOLLOW) == 0 ? 0 : errno;
}

static int entry_ensure(struct node *node, const char *path)
{
    struct stat found;

    for (int attempt = 0; attempt < 2; attempt++) {
        int error = entry_make(node, path);

        if (error != 0 && error != EEXIST)
            return error;
        if (fstatat(library.tree_descriptor, path, &found, AT_SYMLINK_NOFOLLOW) != 0)
            return errno;
        if (error == 0 || entry_suits(node, path, &found)) {
            error = entry_set_attributes(node, path);
            if (error != 0)
                return error;
            node->inode = found.st_ino;
            node->filled = (found.st_mode & 07777) != MIRROR_UNFILLED;
            return 0;
        }
        if (unlinkat(library.tree_descriptor, path, S_ISDIR(found.st_mode) ? AT_REMOVEDIR : 0) != 0)
            return errno;
    }
    return EEXIST;
}

/* A node with all directories above it, from the top. No recursion: archives may be deep. */
static int path_ensure(struct node *node)
{
    struct node *chain[NODE_PATH_MAX / 2 + 2];
    char path[NODE_PATH_MAX + 1];
    size_t count = 0;

    for (struct node *at = node; at->inode == 0; at = at->parent)
        chain[count++] = at;
    node_path(node, path);
    while (count > 0) {
        struct node *at = chain[--count];
        char after = path[at->path_length];
        int error;

        path[at->path_length] = '\0';
        error = entry_ensure(at, path);
        if (error != 0)
            return error;
        path[at->path_length] = after;
    }
    return 0;
}

int mirror_ensure(struct node *node)
{
    struct node *original = node_original(node);
    struct node_link *link;
    int error;

    if (node->inode != 0)
        return 0;
    error = path_ensure(original);
    if (error != 0 || !node->link)
        return error;
    /* All names at once, so that the number of links is right from the first look. A file system
     * that allows no more links of one file (EMLINK) leaves the rest unreachable. */
    TAILQ_FOREACH(link, &node->link->links->members, entry)
    {
        error = path_ensure(link->node);
        if (error != 0 && error != EMLINK)
            return error;
    }
    return node->inode != 0 ? 0 : EMLINK;
}

/* What a directory, or a file that is not filled yet, tells of itself. */
static void attributes_make(const struct node *node, struct stat *to)
{
    const struct node *original = node_original((struct node *)node);

    memset(to, 0, sizeof(*to));
    to->st_dev = library.device;
    to->st_ino = node->inode;
    to->st_mode = original->mode;
    to->st_nlink = links_count(node);
    to->st_uid = geteuid();
    to->st_gid = getegid();
    to->st_size = S_ISDIR(original->mode) ? 4096 : (off_t)original->size;
    to->st_blksize = 4096;
    to->st_blocks = (to->st_size + 511) / 512;
    to->st_mtim.tv_sec = (time_t)original->modified_seconds;
    to->st_mtim.tv_nsec = (long)original->modified_nanoseconds;
    to->st_atim = to->st_mtim;
    to->st_ctim = to->st_mtim;
}

int mirror_stat(struct node *node, struct stat *to)
{
    char path[NODE_PATH_MAX + 1];
    int error = mirror_ensure(node);

    if (error != 0)
        return error;
    if (S_ISDIR(node->mode) || (S_ISREG(node->mode) && !node_original(node)->filled)) {
        attributes_make(node, to);
        return 0;
    }
    node_path(node, path);
    if (fstatat(library.tree_descriptor, path, to, AT_SYMLINK_NOFOLLOW) != 0)
        return errno == ENOENT ? EIO : errno;
    return 0;
}

int mirror_descriptor(struct node *node, int flags)
{
    char path[NODE_PATH_MAX + 1];
    int descriptor;

    node_path(node, path);
    descriptor = openat(library.tree_descriptor, path, flags | O_CLOEXEC | O_NOCTTY | O_NOFOLLOW);
    if (descriptor < 0)
        return errno == ENOENT ? -EIO : -errno;
    return descriptor;
}
