/* What /proc says of a process. */
#include "servers/lib/server.h"
#include "servers/lib/process.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Enough for a stat line with the longest name (64 bytes, escaped or not). */
#define STAT_MAX 1024

ssize_t process_read(pid_t pid, const char *file, char *buffer, size_t size)
{
    char path[64];
    int descriptor;
    ssize_t length;

    snprintf(path, sizeof path, "/proc/%d/%s", pid, file);
    descriptor = open(path, O_RDONLY | O_CLOEXEC);
    if (descriptor < 0)
        return -1;
    do
        length = read(descriptor, buffer, size);
    while (length < 0 && errno == EINTR);
    close(descriptor);
    return length;
}

int process_details(pid_t pid, struct process_details *details)
{
    char line[STAT_MAX];
    ssize_t length;
    const char *rest;
    unsigned long long user, system, start;
    long resident;
    int parent, group, session, terminal;

    if (pid <= 0)
        return ESRCH;
    length = process_read(pid, "stat", line, sizeof line - 1);
    if (length <= 0)
        return ESRCH;
    line[length] = '\0';
    /* The name may hold anything, ')' included: the fields go on after the last one. */
    rest = strrchr(line, ')');
    if (rest == NULL ||
        sscanf(rest + 1,
               " %c %d %d %d %d %*d %*u %*u %*u %*u %*u %llu %llu %*d %*d %*d %*d %*d %*d %llu "
               "%*u %ld",
               &details->state, &parent, &group, &session, &terminal, &user, &system, &start,
               &resident) != 9)
        return ESRCH;
    details->parent = parent;
    details->group = group;
    details->session = session;
    details->terminal = (unsigned)terminal;
    details->cpu_ticks = user + system;
    details->start_time = start;
    details->resident_pages = resident < 0 ? 0 : (uint64_t)resident;
    return 0;
}

int process_stat(pid_t pid, pid_t *parent, uint64_t *start_time)
{
    struct process_details details;
    int error = process_details(pid, &details);

    if (error != 0)
        return error;
    if (parent != NULL)
        *parent = details.parent;
    if (start_time != NULL)
        *start_time = details.start_time;
    return 0;
}

bool process_is_below(pid_t pid, pid_t ancestor)
{
    for (int depth = 0; depth < PROCESS_DEPTH_MAX && pid > 1; depth++) {
        if (process_stat(pid, &pid, NULL) != 0)
            return false;
        if (pid == ancestor)
            return true;
    }
    return false;
}

int process_signal(pid_t pid, uint64_t start_time, int signal)
{
    uint64_t now_start;
    int error = 0;
    int pidfd;

    if (pid <= 0)
        return ESRCH;
    pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    if (pidfd < 0)
        return errno;
    /* Read after it was opened: if it is the right one now, the descriptor is its. */
    if (start_time != 0)
        error = process_stat(pid, NULL, &now_start);
    if (error == 0 && start_time != 0 && now_start != start_time)
        error = ESRCH;
    if (error == 0 && syscall(SYS_pidfd_send_signal, pidfd, signal, NULL, 0) != 0)
        error = errno;
    close(pidfd);
    return error;
}
