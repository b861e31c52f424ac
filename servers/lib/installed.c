#include "servers/lib/installed.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

int installed_path(unsigned levels, const char *part, char *buffer, size_t size)
{
    char program[PATH_MAX];
    ssize_t length = readlink("/proc/self/exe", program, sizeof program - 1);

    if (length < 0)
        return errno;
    program[length] = '\0';
    for (unsigned i = 0; i <= levels; i++) {
        char *slash = strrchr(program, '/');

        if (slash == NULL)
            return ENOENT;
        *slash = '\0';
    }
    if ((size_t)snprintf(buffer, size, "%s/%s", program, part) >= size)
        return ENAMETOOLONG;
    return 0;
}
