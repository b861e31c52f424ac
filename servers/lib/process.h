/* What /proc says of a process: beside process_stat (server.h). */
#ifndef HIRSEL_PROCESS_H
#define HIRSEL_PROCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Bounds a walk up through pids that change hands while it goes on. */
enum { PROCESS_DEPTH_MAX = 4096 };

struct process_details {
    char state;
    pid_t parent;
    pid_t group;
    pid_t session;
    unsigned terminal; /* a device number, 0: none */
    uint64_t start_time;
    uint64_t cpu_ticks;
    uint64_t resident_pages;
};

/* 0, or ESRCH. */
int process_details(pid_t pid, struct process_details *details);

/* Whether `pid` is below `ancestor` (not the ancestor itself), as far as procfs tells. */
bool process_is_below(pid_t pid, pid_t ancestor);

/* The first `size` bytes of /proc/PID/FILE: how many, or -1 with errno. */
ssize_t process_read(pid_t pid, const char *file, char *buffer, size_t size);

/* Signal the process that is `pid` and was started at `start_time` (0: whichever it is now), never
 * one that got the number after it. 0, ESRCH, EPERM or EINVAL. */
int process_signal(pid_t pid, uint64_t start_time, int signal);

struct process_entry {
    pid_t pid;
    struct process_details details;
};

/* All processes that this user may see, sorted by pid; *entries is to be freed. 0 or an errno. */
int process_scan(struct process_entry **entries, size_t *count);

/* The entry of `pid`, or NULL. */
const struct process_entry *process_find(const struct process_entry *entries, size_t count,
                                         pid_t pid);

/* Whether `pid` is below `ancestor` in what was scanned (not the ancestor itself). */
int process_descends(const struct process_entry *entries, size_t count, pid_t pid, pid_t ancestor);

#endif
