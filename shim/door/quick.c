/* May the kernel's own answer stand? Cheap questions that are asked at every path. */
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "shim/core/lane.h"
#include "shim/core/scratch.h"
#include "shim/core/text.h"
#include "shim/door/door.h"
#include "shim/door/path_text.h"
#include "shim/door/ways.h"

/* symlinkat reads its first path, and fails on the empty second one before anything is looked up.
 */
static long path_check_exactly(const char *path)
{
    long result = lane_call(SYS_symlinkat, (long)path, -1, (long)"", 0, 0);
    return result == -EFAULT || result == -ENAMETOOLONG ? result : 0;
}

/* Whether the kernel can read these 8 bytes. Sigprocmask copies its set before it finds that it is
 * not told what to do with it: nothing has the kernel check an address in less (0.1 µs). */
static bool word_is_there(const char *at)
{
    return system_call(SYS_rt_sigprocmask, -1, (long)at, 0, sizeof(uint64_t), 0, 0) != -EFAULT;
}

long path_check(const char *path)
{
    if (text_is_watched())
        return path_check_exactly(path);
    for (size_t length = 0; length < PATH_LIMIT;) {
        const char *at = path + length;
        size_t rest = TEXT_PAGE - ((uintptr_t)at & (TEXT_PAGE - 1));
        /* A page can be read or not; a word of its own end stands for its last bytes. */
        if (!word_is_there(rest < sizeof(uint64_t) ? at + rest - sizeof(uint64_t) : at))
            return -EFAULT;
        for (size_t i = 0; i < rest && length < PATH_LIMIT; i++, length++)
            if (at[i] == '\0')
                return 0;
    }
    return -ENAMETOOLONG;
}

bool is_memory_name(const char *path, long result)
{
    static const char place[] = "/dev/shm/";
    return (result == -EACCES || result == -EEXIST || result == -EXDEV) && trap_decides() &&
           text_begins(path, text_length(path), place, sizeof place - 1);
}

bool start_is_plain(const struct space_snapshot *table, int directory)
{
    char link[40];
    const struct core *core = &the_shim.core;
    if (directory == AT_FDCWD) {
        bytes_copy(link, "/proc/self/cwd", 15);
    } else {
        if (directory < 0)
            return true; /* EBADF is the kernel's to say */
        bytes_copy(link, "/proc/self/fd/", 14);
        link[14 + text_put_number(link + 14, (uint64_t)directory)] = '\0';
    }
    struct hold hold;
    char *name = scratch_take(&hold, PATH_LIMIT);
    if (name == NULL)
        return false;
    long length = -1;
    if (directory == AT_FDCWD)
        length = lane_call(SYS_getcwd, (long)name, PATH_LIMIT, 0, 0, 0) - 1;
    /* Another descriptor; or a current directory that was removed, maybe a placeholder. */
    if (length <= 0)
        length = lane_call(SYS_readlinkat, AT_FDCWD, (long)link, (long)name, PATH_LIMIT, 0);
    bool plain = length > 0 && length < PATH_LIMIT &&
                 !text_begins(name, (size_t)length, core->session, core->session_length) &&
                 (table == NULL || table_bind_of_host(table, name, (size_t)length) == NULL);
    scratch_give(&hold, name, PATH_LIMIT);
    return plain;
}

/* Whether the absolute path's text, from `path` to `end`, normalised, is an entry's. */
static bool text_is_entry(const struct space_snapshot *table, const char *path, const char *end)
{
    char name[256];
    size_t length = 0;
    for (const char *at = path; at < end;) {
        while (at < end && *at == '/')
            at++;
        const char *component = at;
        while (at < end && *at != '/')
            at++;
        size_t size = (size_t)(at - component);
        if (size == 0 || (component[0] == '.' && size == 1))
            continue;
        if (component[0] == '.' && component[1] == '.' && size == 2) {
            while (length > 0 && name[--length] != '/')
                ;
            continue;
        }
        if (length + 1 + size > sizeof name)
            return true;
        name[length++] = '/';
        bytes_copy(name + length, component, size);
        length += size;
    }
    return table_find(table, name, length) != NULL;
}

enum text_finding text_find(const struct view *view, int directory, const char *path)
{
    const struct space_snapshot *table = view->table;
    bool absolute = path[0] == '/', up = false;
    const char *at = path;
    for (;;) {
        while (*at == '/')
            at++;
        if (*at == '\0')
            break;
        const char *component = at;
        while (*at != '/' && *at != '\0')
            at++;
        size_t length = (size_t)(at - component);
        if (component[0] == '.') {
            if (length == 1)
                continue;
            if (component[1] == '.' && length == 2) {
                up = true;
                continue;
            }
            if (is_reserved(component, length))
                return TEXT_TABLE;
        }
        if (table != NULL && table_names(table, component, length) &&
            (!absolute || text_is_entry(table, path, at)))
            return TEXT_TABLE;
    }
    if (up && !absolute && !start_is_plain(table, directory))
        return TEXT_TABLE;
    /* What was compared with a table that was written over meanwhile says nothing. */
    return table == NULL || table_still(&the_shim.core, view->generation) ? TEXT_CLEAR : TEXT_TABLE;
}

bool last_is_named(const struct space_snapshot *table, const char *path, bool entries)
{
    size_t end = text_length(path);
    while (end > 0 && path[end - 1] == '/')
        end--;
    size_t start = end;
    while (start > 0 && path[start - 1] != '/')
        start--;
    return (entries && table_names(table, path + start, end - start)) ||
           table_ancestors(table, path + start, end - start);
}

bool missing_is_doubtful(const struct view *view, int directory, const char *path)
{
    if (path[0] == '/')
        return path[1] == '.' &&
               text_begins(path, text_length(path), RESERVED_ROOT, sizeof RESERVED_ROOT - 1);
    return view->places && !way_starts_present(view, directory);
}

bool start_is_removed(int directory)
{
    struct stat status;
    /* The kernel alone, in a confined tree too: of a removed directory it looks at nothing else. */
    if (directory == AT_FDCWD && trap_decides())
        return lane_call(SYS_getcwd, 0, 0, 0, 0, 0) == -ENOENT;
    long result = directory >= 0 ? system_call(SYS_fstat, directory, (long)&status, 0, 0, 0, 0)
                                 : lane_call(SYS_newfstatat, directory, (long)"", (long)&status,
                                             AT_EMPTY_PATH, 0);
    return result == 0 && S_ISDIR(status.st_mode) && status.st_nlink == 0;
}

void openat2_note(long result)
{
    if (result == -ENOSYS)
        __atomic_store_n(&the_shim.core.no_openat2, true, __ATOMIC_RELAXED);
}

long path_is_direct(int directory, const char *path, bool follow)
{
    struct open_how how = {
        .flags = (uint64_t)(O_PATH | O_CLOEXEC | (follow ? 0 : O_NOFOLLOW)),
        .resolve = RESOLVE_NO_SYMLINKS,
    };
    if (the_shim.core.no_openat2)
        return -ELOOP;
    long result = lane_call(SYS_openat2, directory, (long)path, (long)&how, sizeof how, 0);
    openat2_note(result);
    if (result < 0)
        return result == -ENOSYS || result == -EPERM ? -ELOOP : result;
    system_call(SYS_close, result, 0, 0, 0, 0, 0);
    return 1;
}
