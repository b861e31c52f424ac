#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "servers/net/net.h"

/* Tables are read and written by calls, not mapped: a file cut short would be a SIGBUS. */
static int table_open(const struct net *net, uint64_t id, int flags, int *descriptor)
{
    char path[PATH_MAX];
    struct space_header header;
    int length =
        snprintf(path, sizeof path, "%s/spaces/%" PRIu64 "/table", net->server->directory, id);

    if (length >= (int)sizeof path)
        return ENAMETOOLONG;
    *descriptor = open(path, flags | O_CLOEXEC | O_NOFOLLOW);
    if (*descriptor < 0)
        return errno;
    if (pread(*descriptor, &header, sizeof header, 0) == (ssize_t)sizeof header &&
        header.magic == SPACE_MAGIC && header.layout == SPACE_LAYOUT && header.id == id)
        return 0;
    close(*descriptor);
    return EBADMSG;
}

int space_read(const struct net *net, uint64_t id, struct space_net *row)
{
    int descriptor;
    int error = table_open(net, id, O_RDONLY, &descriptor);

    if (error != 0)
        return error;
    if (pread(descriptor, row, sizeof *row, SPACE_NET_OFFSET) != (ssize_t)sizeof *row)
        error = EBADMSG;
    close(descriptor);
    return error;
}

static int field_write(int descriptor, uint32_t value, off_t offset)
{
    ssize_t written = pwrite(descriptor, &value, sizeof value, offset);

    if (written < 0)
        return errno;
    return written == (ssize_t)sizeof value ? 0 : EIO;
}

int space_write(const struct net *net, uint64_t id, const struct space_net *row)
{
    const off_t mode_at = SPACE_NET_OFFSET + (off_t)offsetof(struct space_net, mode);
    const off_t slice_at = SPACE_NET_OFFSET + (off_t)offsetof(struct space_net, slice);
    int descriptor;
    int error = table_open(net, id, O_RDWR, &descriptor);

    if (error != 0)
        return error;
    /* Programs read the mode first: with a private one they must find its slice. */
    error = field_write(descriptor, row->slice, slice_at);
    if (error == 0)
        error = field_write(descriptor, row->mode, mode_at);
    close(descriptor);
    return error;
}

int space_origin(const struct net *net, uint64_t id, uint64_t *origin)
{
    char path[PATH_MAX];
    FILE *file;
    int error = 0;

    if (id == 0)
        return ENOENT;
    if (snprintf(path, sizeof path, "%s/spaces/%" PRIu64 "/origin", net->server->directory, id) >=
        (int)sizeof path)
        return ENAMETOOLONG;
    file = fopen(path, "re");
    if (file == NULL)
        return errno;
    if (fscanf(file, "%" SCNu64, origin) != 1)
        error = EBADMSG;
    fclose(file);
    return error;
}

bool space_descends(const struct net *net, uint64_t id, uint64_t ancestor)
{
    /* Origins are older than their copies: a file that says otherwise must not make this loop. */
    while (id != ancestor) {
        uint64_t origin;
        if (space_origin(net, id, &origin) != 0 || origin >= id)
            return false;
        id = origin;
    }
    return true;
}

static int id_compare(const void *one, const void *other)
{
    uint64_t a = *(const uint64_t *)one, b = *(const uint64_t *)other;

    return (a > b) - (a < b);
}

int space_list(const struct net *net, uint64_t **ids, size_t *count)
{
    char path[PATH_MAX];
    struct dirent *entry;
    DIR *directory;
    size_t size = 0;
    int error = 0;

    *ids = NULL;
    *count = 0;
    if (snprintf(path, sizeof path, "%s/spaces", net->server->directory) >= (int)sizeof path)
        return ENAMETOOLONG;
    directory = opendir(path);
    if (directory == NULL)
        return errno == ENOENT ? 0 : errno;
    while (errno = 0, (entry = readdir(directory)) != NULL) {
        char *end;
        uint64_t id = strtoull(entry->d_name, &end, 10);
        if (end == entry->d_name || *end != '\0')
            continue;
        if (*count == size) {
            size = size == 0 ? 16 : size * 2;
            uint64_t *more = reallocarray(*ids, size, sizeof **ids);
            if (more == NULL) {
                error = ENOMEM;
                goto out;
            }
            *ids = more;
        }
        (*ids)[(*count)++] = id;
    }
    error = errno;
    if (*count > 0)
        qsort(*ids, *count, sizeof **ids, id_compare);
out:
    closedir(directory);
    if (error != 0) {
        free(*ids);
        *ids = NULL;
        *count = 0;
    }
    return error;
}
