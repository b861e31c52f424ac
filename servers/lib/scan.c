/* All processes at once: for the table of processes and for the end of a session. */
#include "servers/lib/process.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>

static int entry_compare(const void *one, const void *other)
{
    pid_t a = ((const struct process_entry *)one)->pid;
    pid_t b = ((const struct process_entry *)other)->pid;

    return (a > b) - (a < b);
}

int process_scan(struct process_entry **entries, size_t *count)
{
    DIR *proc = opendir("/proc");
    struct process_entry *found = NULL;
    size_t used = 0, size = 0;
    struct dirent *entry;
    int error = 0;

    if (proc == NULL)
        return errno;
    while ((entry = readdir(proc)) != NULL) {
        char *end;
        long pid = strtol(entry->d_name, &end, 10);

        if (end == entry->d_name || *end != '\0')
            continue;
        if (used == size) {
            size_t larger = size == 0 ? 256 : size * 2;
            struct process_entry *moved = reallocarray(found, larger, sizeof *moved);

            if (moved == NULL) {
                error = ENOMEM;
                break;
            }
            found = moved;
            size = larger;
        }
        found[used].pid = (pid_t)pid;
        if (process_details((pid_t)pid, &found[used].details) == 0)
            used++;
    }
    closedir(proc);
    if (error != 0) {
        free(found);
        return error;
    }
    if (used > 0)
        qsort(found, used, sizeof *found, entry_compare);
    *entries = found;
    *count = used;
    return 0;
}

const struct process_entry *process_find(const struct process_entry *entries, size_t count,
                                         pid_t pid)
{
    struct process_entry key = {.pid = pid};

    if (count == 0)
        return NULL;
    return bsearch(&key, entries, count, sizeof *entries, entry_compare);
}

int process_descends(const struct process_entry *entries, size_t count, pid_t pid, pid_t ancestor)
{
    const struct process_entry *entry = process_find(entries, count, pid);
    size_t steps = 0;

    /* The scan is no snapshot: pids that came again could make a ring of parents. */
    while (entry != NULL && steps++ <= count) {
        if (entry->details.parent == ancestor)
            return 1;
        entry = process_find(entries, count, entry->details.parent);
    }
    return 0;
}
