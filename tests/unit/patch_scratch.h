/* What the tests of shim/patch share: a folder to work in, files, the fixtures' place. */
#ifndef HIRSEL_PATCH_SCRATCH_H
#define HIRSEL_PATCH_SCRATCH_H

#include <check.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/fixture/folder.h"

#define SCRATCH_PATH (PATH_MAX + 64)
#define SCRATCH_LIBC "/lib/x86_64-linux-gnu/libc.so.6"
#define SCRATCH_LD "/lib64/ld-linux-x86-64.so.2"

struct scratch {
    char path[64];
};

static inline void scratch_make(struct scratch *scratch)
{
    folder_make(scratch->path, sizeof scratch->path);
}

static inline int scratch_remove_one(const char *path, const struct stat *status, int type,
                                     struct FTW *where)
{
    (void)status, (void)type, (void)where;
    return remove(path);
}

static inline void scratch_remove(struct scratch *scratch)
{
    nftw(scratch->path, scratch_remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* A name in the folder; good until the 32nd call after this. */
static inline const char *scratch_name(const struct scratch *scratch, const char *name)
{
    static char names[32][128];
    static unsigned next;
    char *path = names[next++ % 32];
    snprintf(path, sizeof names[0], "%s/%s", scratch->path, name);
    return path;
}

static inline uint8_t *scratch_read(const char *path, size_t *size)
{
    struct stat status;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ck_assert_msg(fd >= 0 && fstat(fd, &status) == 0, "%s", path);
    uint8_t *bytes = malloc((size_t)status.st_size);
    ck_assert_int_eq(read(fd, bytes, (size_t)status.st_size), status.st_size);
    close(fd);
    *size = (size_t)status.st_size;
    return bytes;
}

static inline void scratch_write(const char *path, const void *bytes, size_t size)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    ck_assert_msg(fd >= 0, "%s", path);
    ck_assert_int_eq(write(fd, bytes, size), (ssize_t)size);
    close(fd);
}

/* What the Makefile made beside the tests, as an absolute path. */
static inline const char *scratch_fixture(const char *name)
{
    static char path[SCRATCH_PATH];
    char self[PATH_MAX];
    ssize_t length = readlink("/proc/self/exe", self, sizeof self - 1);
    ck_assert_int_gt(length, 0);
    self[length] = 0;
    *strrchr(self, '/') = 0;
    *strrchr(self, '/') = 0;
    snprintf(path, sizeof path, "%s/fixture/%s", self, name);
    return path;
}

#endif
