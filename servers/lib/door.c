#include "servers/lib/door.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

/* The highest level of x86-64 that ld.so would say this processor has (ld.so(8), glibc-hwcaps). */
static const char *level_of_processor(void)
{
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512vl"))
        return "x86-64-v4";
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
        __builtin_cpu_supports("bmi2"))
        return "x86-64-v3";
    return "x86-64-v2";
}

static int path_make(char path[PATH_MAX], const char *directory, const char *rest)
{
    return snprintf(path, PATH_MAX, "%s%s", directory, rest) < PATH_MAX ? 0 : ENAMETOOLONG;
}

static int directory_make(const char *directory, const char *rest)
{
    char path[PATH_MAX];
    int error = path_make(path, directory, rest);

    if (error == 0 && mkdir(path, 0700) != 0 && errno != EEXIST)
        error = errno;
    return error;
}

static int link_make(const char *directory, const char *rest, const char *copy)
{
    char path[PATH_MAX];
    int error = path_make(path, directory, rest);

    if (error == 0 && symlink(copy, path) != 0)
        error = errno;
    return error;
}

static int link_turn(const char *directory, const char *rest, const char *copy)
{
    char path[PATH_MAX], next[PATH_MAX + 16];
    int error = path_make(path, directory, rest);

    if (error != 0)
        return error;
    snprintf(next, sizeof(next), "%s.%d", path, getpid());
    if (symlink(copy, next) != 0)
        return errno;
    if (rename(next, path) == 0)
        return 0;
    error = errno;
    unlink(next);
    return error;
}

static int links_make(const char *directory, const char *copy,
                      int (*link)(const char *directory, const char *rest, const char *copy))
{
    char first[64], file[80];
    int error = directory_make(directory, "/lib");

    snprintf(first, sizeof(first), "/lib/glibc-hwcaps/%s", level_of_processor());
    snprintf(file, sizeof(file), "%s/libc.so.6", first);
    if (error == 0)
        error = link(directory, "/lib/libc.so.6", copy);
    if (error == 0)
        error = directory_make(directory, "/lib/glibc-hwcaps");
    if (error == 0)
        error = directory_make(directory, first);
    if (error == 0)
        error = link(directory, file, copy);
    return error;
}

int door_make(const char *directory, const char *copy)
{
    return links_make(directory, copy, link_make);
}

int door_turn(const char *directory, const char *copy)
{
    return links_make(directory, copy, link_turn);
}

void door_close(const char *directory)
{
    char path[PATH_MAX], rest[80];

    snprintf(rest, sizeof(rest), "/lib/glibc-hwcaps/%s/libc.so.6", level_of_processor());
    if (path_make(path, directory, rest) == 0)
        unlink(path);
    if (path_make(path, directory, "/lib/libc.so.6") == 0)
        unlink(path);
}
