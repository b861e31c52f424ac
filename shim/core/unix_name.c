#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "shim/core/host.h"
#include "shim/core/lane.h"
#include "shim/core/scratch.h"
#include "shim/core/text.h"
#include "shim/core/unix_name.h"
#include "shim/core/walk.h"

#define FAR "/far/"
#define FAR_LENGTH (sizeof FAR - 1)
#define HASH_DIGITS 8

bool unix_name_path(const struct sockaddr_un *address, size_t length, char path[UNIX_PATH_SIZE + 1])
{
    if (length <= UNIX_PATH_START || length > sizeof *address || address->sun_family != AF_UNIX ||
        address->sun_path[0] == '\0')
        return false;
    bytes_copy(path, address->sun_path, length - UNIX_PATH_START);
    path[length - UNIX_PATH_START] = '\0';
    return true;
}

static uint32_t hash_of(const char *text, size_t length)
{
    uint32_t hash = 2166136261u; /* FNV-1a */
    for (size_t i = 0; i < length; i++)
        hash = (hash ^ (unsigned char)text[i]) * 16777619u;
    return hash;
}

/* Have SESSION/far/HASH lead to `directory`. Its path at `link`, and its length; 0 if it can't be
 * had. */
static size_t far_make(const struct core *core, const char *directory, size_t length,
                       char link[UNIX_PATH_SIZE])
{
    size_t at = core->session_length;
    if (at + FAR_LENGTH + HASH_DIGITS + 1 > UNIX_PATH_SIZE)
        return 0;
    bytes_copy(link, core->session, at);
    bytes_copy(link + at, FAR, FAR_LENGTH);
    at += FAR_LENGTH;
    uint32_t hash = hash_of(directory, length);
    for (int shift = 28; shift >= 0; shift -= 4)
        link[at++] = "0123456789abcdef"[hash >> shift & 15];
    link[at] = '\0';

    long made = lane_call(SYS_symlinkat, (long)directory, AT_FDCWD, (long)link, 0, 0);
    if (made == -ENOENT) {
        char *slash = link + core->session_length + FAR_LENGTH - 1;
        *slash = '\0';
        lane_call(SYS_mkdirat, AT_FDCWD, (long)link, 0700, 0, 0);
        *slash = '/';
        made = lane_call(SYS_symlinkat, (long)directory, AT_FDCWD, (long)link, 0, 0);
    }
    if (made == 0)
        return at;
    if (made != -EEXIST)
        return 0;
    /* Made before, unless another directory has the same hash. */
    struct hold hold;
    char *text = scratch_take(&hold, PATH_LIMIT);
    if (text == NULL)
        return 0;
    long got = host_link(link, text, PATH_LIMIT);
    bool same = got >= 0 && text_equal(text, (size_t)got, directory, length);
    scratch_give(&hold, text, PATH_LIMIT);
    return same ? at : 0;
}

long unix_name_out(const struct core *core, char *host, struct sockaddr_un *address)
{
    size_t length = text_length(host);
    bytes_clear(address, sizeof *address);
    address->sun_family = AF_UNIX;
    if (length < UNIX_PATH_SIZE) {
        bytes_copy(address->sun_path, host, length + 1);
        return (long)(UNIX_PATH_START + length + 1);
    }
    size_t slash = length;
    while (slash > 0 && host[slash - 1] != '/')
        slash--;
    if (slash < 2)
        return -ENAMETOOLONG; /* below the root itself */
    slash--;
    host[slash] = '\0';
    size_t at = far_make(core, host, slash, address->sun_path);
    host[slash] = '/';
    if (at == 0 || at + (length - slash) >= UNIX_PATH_SIZE)
        return -ENAMETOOLONG;
    bytes_copy(address->sun_path + at, host + slash, length - slash + 1);
    return (long)(UNIX_PATH_START + at + (length - slash) + 1);
}

/* The host path that `path` is short for, at `host`: its length, or 0 where it is none of ours. */
static size_t far_read(const struct core *core, char *path, char *host)
{
    size_t length = text_length(path);
    size_t from = core->session_length;
    size_t end = from + FAR_LENGTH + HASH_DIGITS;
    if (length <= end || path[end] != '/' || !text_begins(path, length, core->session, from) ||
        !text_begins(path + from, length - from, FAR, FAR_LENGTH))
        return 0;
    path[end] = '\0';
    long got = host_link(path, host, PATH_LIMIT);
    path[end] = '/';
    if (got <= 0 || (size_t)got + (length - end) >= PATH_LIMIT)
        return 0;
    bytes_copy(host + got, path + end, length - end + 1);
    return (size_t)got + (length - end);
}

size_t unix_name_in(const struct caller *caller, const struct space_snapshot *table,
                    struct sockaddr_un *address, size_t length)
{
    const struct core *core = caller->core;
    char path[UNIX_PATH_SIZE + 1];
    if (!unix_name_path(address, length, path) || path[0] != '/')
        return 0;
    size_t path_length = text_length(path);
    bool ours = text_below(path, path_length, core->session, core->session_length);
    if (!ours && (table == NULL || table_bind_of_host(table, path, path_length) == NULL))
        return 0;
    struct hold hold;
    struct walk *walk = scratch_take(&hold, sizeof *walk);
    if (walk == NULL)
        return 0;
    walk->caller = caller;
    walk->table = table;
    walk->touched = false;
    const char *host = path;
    size_t host_length = path_length;
    size_t far = ours ? far_read(core, path, walk->todo) : 0;
    if (far > 0) {
        host = walk->todo;
        host_length = far;
    }
    size_t result = 0;
    if (walk_from_host(walk, host, host_length) == 0 && walk->name_length > 0 &&
        walk->name_length < UNIX_PATH_SIZE) {
        bytes_clear(address->sun_path, UNIX_PATH_SIZE);
        bytes_copy(address->sun_path, walk->name, walk->name_length);
        result = UNIX_PATH_START + walk->name_length + 1;
    }
    scratch_give(&hold, walk, sizeof *walk);
    return result;
}
