/* /proc/PID/mem of a confined program's own, and of what it traces. Landlock, which lets procfs be
 * read, would refuse it to a debugger that has been let trace that very process. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "servers/trap/confine.h"
#include "shim/core/text.h"

/* Who traces the process or thread whose directory this is: a thread's number; 0: nobody. */
static pid_t tracer_of(int directory)
{
    static const char field[] = "\nTracerPid:\t";
    char text[4096];
    int status = openat(directory, "status", O_RDONLY | O_CLOEXEC);
    ssize_t length = status < 0 ? -1 : read(status, text, sizeof text - 1);
    const char *line;

    if (status >= 0)
        close(status);
    if (length <= 0)
        return 0;
    text[length] = '\0';
    line = strstr(text, field);
    return line == NULL ? 0 : (pid_t)strtol(line + sizeof field - 1, NULL, 10);
}

/* Whether a thread is one of the caller's process. */
static bool is_callers(struct worker *worker, pid_t tid)
{
    struct client thread;
    long group = client_group(&worker->client);
    bool same;

    if (tid <= 0 || group <= 0)
        return false;
    client_begin(&thread, tid, -1);
    same = client_group(&thread) == group;
    client_end(&thread);
    return same;
}

/* The kernel's own word that the caller may: it let it trace that process, which is more. Nothing
 * less will do: a program of the tree may have given up the right to look into another one of it.
 */
static bool is_callers_memory(struct worker *worker, const struct hold *hold, int directory)
{
    const char *at = hold->real + sizeof "/proc/" - 1;
    uint64_t pid;

    if (!text_get_number(&at, &pid))
        return false;
    return (long)pid == client_group(&worker->client) || is_callers(worker, tracer_of(directory));
}

long memory_open(struct worker *worker, const struct hold *hold, unsigned flags)
{
    size_t length = strlen(hold->real);
    char path[PATH_LIMIT];
    int directory, opened;
    long result;

    if (!text_begins(hold->real, length, "/proc/", 6) || length < sizeof "/proc/1/mem" - 1 ||
        strcmp(hold->real + length - 4, "/mem") != 0)
        return -ENOENT;
    memcpy(path, hold->real, length - 4);
    path[length - 4] = '\0';
    directory = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (directory < 0)
        return -errno;
    /* Who it is is asked after it was opened, of the same process: numbers come again. */
    opened = openat(directory, "mem", (int)(flags & (O_ACCMODE | O_LARGEFILE)) | O_CLOEXEC);
    result = opened < 0 ? -errno : opened;
    if (opened >= 0 && !is_callers_memory(worker, hold, directory)) {
        close(opened);
        result = -EACCES;
    }
    close(directory);
    return result;
}
