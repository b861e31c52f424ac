/* The mirror's directories: made at start, or taken over from a former life if they show the same
 * thing. */
#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "translators/lib/library.h"

static int directory_make(const char *name, int *descriptor)
{
    if (mkdirat(library.node_descriptor, name, 0700) != 0 && errno != EEXIST)
        return errno;
    *descriptor =
        openat(library.node_descriptor, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return *descriptor >= 0 ? 0 : errno;
}

/* When the tree was made, which is the same in all lives; where that is not known, now. */
static void time_of_tree(struct timespec *time)
{
    struct statx found;

    if (statx(library.tree_descriptor, "", AT_EMPTY_PATH, STATX_BTIME, &found) == 0 &&
        (found.stx_mask & STATX_BTIME))
        *time = (struct timespec){found.stx_btime.tv_sec, (long)found.stx_btime.tv_nsec};
    else
        clock_gettime(CLOCK_REALTIME, time);
}

int tree_start(void)
{
    struct stat attributes = {.st_mode = S_IFDIR | 0755};
    struct stat found;
    struct node *root;
    int error = directory_make("tree", &library.tree_descriptor);

    if (error == 0)
        error = directory_make("own", &library.own_descriptor);
    if (error != 0)
        return error;
    if (fstat(library.tree_descriptor, &found) != 0)
        return errno;
    time_of_tree(&attributes.st_mtim);
    root = node_make_root(&attributes);
    if (!root)
        return errno;
    library.device = found.st_dev;
    root->inode = found.st_ino;
    return 0;
}

int translator_directory(void)
{
    return library.own_descriptor;
}

/* Everything below `tree` and `own`; these stay: `tree` is the root's identity. */
static int directories_empty(void)
{
    char *tree = NULL, *own = NULL;
    FTS *walk = NULL;
    FTSENT *entry;
    int error = ENOMEM;

    if (asprintf(&tree, "%s/tree", library.directory) < 0 ||
        asprintf(&own, "%s/own", library.directory) < 0)
        goto out;
    walk = fts_open((char *[]){tree, own, NULL}, FTS_PHYSICAL | FTS_XDEV, NULL);
    error = walk ? 0 : errno;
    while (error == 0 && (errno = 0, entry = fts_read(walk))) {
        if (entry->fts_level == 0 || entry->fts_info == FTS_D)
            continue;
        if (unlinkat(AT_FDCWD, entry->fts_accpath, entry->fts_info == FTS_DP ? AT_REMOVEDIR : 0) !=
            0)
            error = errno;
    }
    if (walk)
        fts_close(walk);
out:
    free(tree);
    free(own);
    return error;
}

static bool source_is(const char *words, size_t length)
{
    char found[4096];
    int descriptor = openat(library.node_descriptor, "source", O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    ssize_t got;

    if (descriptor < 0)
        return false;
    got = read(descriptor, found, sizeof(found));
    close(descriptor);
    return got == (ssize_t)length && memcmp(found, words, length) == 0;
}

int translator_source(const char *words)
{
    size_t length = strlen(words);
    int descriptor, error = 0;

    if (length >= 4096)
        return ENAMETOOLONG;
    if (source_is(words, length))
        return 0;
    /* In this order: killed in between, the next life empties the tree again. */
    if (unlinkat(library.node_descriptor, "source", 0) != 0 && errno != ENOENT)
        return errno;
    error = directories_empty();
    if (error != 0)
        return error;
    descriptor = openat(library.node_descriptor, "source",
                        O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (descriptor < 0)
        return errno;
    /* A short one is a different one next time. */
    errno = ENOSPC;
    if (write(descriptor, words, length) != (ssize_t)length)
        error = errno;
    close(descriptor);
    return error;
}
