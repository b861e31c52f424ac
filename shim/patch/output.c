#include "shim/patch/output.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

const char *output_why(void)
{
    return strerror(errno);
}

int output_begin(struct output *output, const char *path)
{
    output->path = path;
    output->fd = -1;
    int length = snprintf(output->temporary, sizeof output->temporary, "%s.XXXXXX", path);
    if (length < 0 || (size_t)length >= sizeof output->temporary) {
        errno = ENAMETOOLONG;
        return -1;
    }
    output->fd = mkstemp(output->temporary);
    if (output->fd < 0)
        return -1;
    mode_t mask = umask(0);
    umask(mask);
    if (fchmod(output->fd, 0644 & ~mask) < 0) {
        output_abort(output);
        return -1;
    }
    return 0;
}

int output_add(struct output *output, const void *bytes, size_t size)
{
    const uint8_t *at = bytes;
    while (size > 0) {
        ssize_t written = write(output->fd, at, size);
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return -1;
        at += written;
        size -= (size_t)written;
    }
    return 0;
}

int output_close(struct output *output)
{
    int fd = output->fd;
    if (fsync(fd) < 0)
        return -1;
    output->fd = -1;
    return close(fd);
}

int output_commit(struct output *output)
{
    return rename(output->temporary, output->path);
}

void output_abort(struct output *output)
{
    int error = errno;
    if (output->fd >= 0)
        close(output->fd);
    output->fd = -1;
    unlink(output->temporary);
    errno = error;
}
