/* Calls with one path: the kernel first, where its answer can stand. */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <linux/stat.h>

#include "shim/core/host.h"
#include "shim/core/text.h"
#include "shim/door/door.h"

/* Errors that a node, a placeholder or an entry of the table may stand behind. */
static bool error_is_doubtful(long result)
{
    return result == -ENOENT || result == -ELOOP || result == -ENOTDIR;
}

/* A native success that may not be the session's answer: a record is a node and no symlink; a
 * removed directory may be a placeholder; /proc names what the host names. */
static long path_review(long number, const long arguments[6], const struct call_shape *shape,
                        int directory, const char *path, long result)
{
    if (shape->verb == VERB_READLINK) {
        char *text = (char *)arguments[shape->path + 1];
        size_t size = (size_t)arguments[shape->path + 2];
        if (result > 0 && text[0] == '/')
            return link_translate(directory, path, text, size, result);
        return result;
    }
    if (shape->verb != VERB_STAT)
        return result;
    uint32_t mode;
    uint64_t size, links;
    if (number == SYS_statx) {
        const struct statx *status = (const struct statx *)arguments[4];
        mode = status->stx_mode;
        size = status->stx_size;
        links = status->stx_nlink;
    } else {
        const struct stat *status = (const struct stat *)arguments[shape->path + 1];
        mode = status->st_mode;
        size = (uint64_t)status->st_size;
        links = status->st_nlink;
    }
    if (S_ISLNK(mode) && size >= RECORD_LENGTH_MIN) {
        char start[RECORD_START_LENGTH + 1];
        long got =
            system_call(SYS_readlinkat, directory, (long)path, (long)start, sizeof start, 0, 0);
        if (got > 0 && text_begins(start, (size_t)got, RECORD_START, RECORD_START_LENGTH))
            return path_slow(number, arguments);
    }
    if (S_ISDIR(mode) && links == 0 &&
        __atomic_load_n(&the_shim.core.header->placeholders, __ATOMIC_RELAXED))
        return path_slow(number, arguments);
    return result;
}

static bool table_has_read_only(const struct space_snapshot *table)
{
    for (uint32_t i = 0; i < table->count; i++)
        if (table_entries(table)[i].flags & SPACE_READ_ONLY)
            return true;
    return false;
}

/* Whether the last component of `path` could be an entry's name or an ancestor's. */
static bool last_is_known(const struct space_snapshot *table, const char *path)
{
    size_t end = text_length(path);
    while (end > 0 && path[end - 1] == '/')
        end--;
    size_t start = end;
    while (start > 0 && path[start - 1] != '/')
        start--;
    return table_names(table, path + start, end - start) ||
           table_ancestors(table, path + start, end - start);
}

/* Whether a change must be walked before the kernel makes it. Reads `path`. */
static bool change_is_doubtful(const struct view *view, const struct call_shape *shape,
                               int directory, const char *path)
{
    if (view->table == NULL && !view->places)
        return false;
    if (view->table != NULL &&
        (table_has_read_only(view->table) ||
         ((shape->traits & TRAIT_NAMES) && last_is_known(view->table, path))))
        return true;
    return text_find(view->table, directory, path) == TEXT_TABLE;
}

/* In a name space that shadows: whether the way to the last component is free of symlinks. */
static bool parent_is_direct(int directory, const char *path)
{
    char parent[512];
    size_t end = text_length(path);
    while (end > 0 && path[end - 1] == '/')
        end--;
    while (end > 0 && path[end - 1] != '/')
        end--;
    if (end == 0)
        return true;
    if (end >= sizeof parent)
        return false;
    bytes_copy(parent, path, end);
    parent[end] = '\0';
    return path_is_direct(directory, parent, true) == 1;
}

static long change_call(long number, const long arguments[6], const struct call_shape *shape,
                        int directory, const char *path, const struct view *view)
{
    if (view->table != NULL || view->places) {
        long checked = path_check(path);
        if (checked < 0)
            return checked;
        if (change_is_doubtful(view, shape, directory, path))
            return path_slow(number, arguments);
        if (view->shadows) {
            bool direct = call_follows(number, arguments)
                              ? path_is_direct(directory, path, true) == 1
                              : parent_is_direct(directory, path);
            if (!direct)
                return path_slow(number, arguments);
        }
    }
    long result = call_plain(number, arguments);
    if (!error_is_doubtful(result))
        return result;
    return path_slow(number, arguments);
}

long path_call(long number, const long arguments[6])
{
    const struct call_shape *shape = &call_shapes[number];
    if (shape->verb == VERB_OPEN)
        return open_call(number, arguments);
    const char *path = (const char *)arguments[shape->path];
    int directory = shape->directory >= 0 ? (int)arguments[shape->directory] : AT_FDCWD;
    if (path == NULL)
        return call_plain(number, arguments);
    if ((shape->traits & TRAIT_EMPTY_PATH) && (arguments[shape->flags] & AT_EMPTY_PATH)) {
        long result = call_plain(number, arguments);
        if (result < 0 && result != -ENOENT && result != -ELOOP)
            return result;
        if (path[0] == '\0') {
            if (result == 0 && shape->verb == VERB_STAT)
                return path_review(number, arguments, shape, directory, path, result);
            return result;
        }
    }
    struct view view = view_get();
    if (shape->traits & TRAIT_CHANGES)
        return change_call(number, arguments, shape, directory, path, &view);
    long result = call_plain(number, arguments);
    if (result < 0 && !error_is_doubtful(result) && !(view.shadows && result != -EFAULT))
        return result;
    /* From here on the kernel has read the path: it is safe to read. */
    if ((view.table != NULL || view.places) && text_find(view.table, directory, path) == TEXT_TABLE)
        return shape->verb == VERB_WATCH && result >= 0 ? result : path_slow(number, arguments);
    if (!error_is_doubtful(result)) {
        if (view.shadows) {
            long direct = path_is_direct(directory, path, call_follows(number, arguments));
            if (direct != 1)
                return path_slow(number, arguments);
        }
        return result < 0 ? result : path_review(number, arguments, shape, directory, path, result);
    }
    if (missing_is_doubtful(&view, directory, path))
        return path_slow(number, arguments);
    long direct = path_is_direct(directory, path, call_follows(number, arguments));
    if (direct == -ENOENT || direct == -ENOTDIR)
        return result;
    return path_slow(number, arguments);
}
