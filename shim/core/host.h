/* The few questions that the core asks the host's file system, as raw system calls. */
#ifndef HIRSEL_HOST_H
#define HIRSEL_HOST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

/* lstat of a host path. 0 or -errno. */
long host_status(const char *path, struct stat *status);
/* readlink with a NUL put behind; the length, or -errno; -ENAMETOOLONG if it does not fit. */
long host_link(const char *path, char *text, size_t size);
/* Whether an object with this status (an lstat) is procfs's own, as mounted at /proc. */
bool host_is_proc(const struct stat *status);

#endif
