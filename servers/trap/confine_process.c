/* Calls of a confined tree that name a process: it must be of the tree. */
#include <errno.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "servers/lib/process.h"
#include "servers/trap/confine.h"

/* ioprio_set(2)'s "which" of one process. */
#define PRIORITY_OF_PROCESS 1

bool tree_holds(const struct worker *worker, pid_t pid)
{
    if (pid == worker->root)
        return worker->node != 0; /* a tree's root itself is not confined */
    return process_is_below(pid, worker->root);
}

/* A process group of the tree: with a member from elsewhere it is none. */
static bool group_is_ours(const struct worker *worker, int group)
{
    struct process_entry *entries;
    size_t count;
    bool ours = false;

    if (process_scan(&entries, &count) != 0)
        return false;
    for (size_t i = 0; i < count; i++) {
        if (entries[i].details.group != group)
            continue;
        ours = tree_holds(worker, entries[i].pid);
        if (!ours)
            break;
    }
    free(entries);
    return ours;
}

static int own_group(const struct worker *worker)
{
    struct process_details details;

    return process_details(worker->client.tid, &details) == 0 ? details.group : -1;
}

static bool process_is_ours(const struct worker *worker)
{
    const long *given = worker->call.given;
    int pid = (int)given[0];

    switch (worker->call.number) {
    case SYS_kill:
        if (pid == -1)
            return false;
        if (pid <= 0)
            return group_is_ours(worker, pid == 0 ? own_group(worker) : -pid);
        break;
    case SYS_setpriority:
        if (given[0] != PRIO_PROCESS)
            return false;
        pid = (int)given[1];
        break;
    case SYS_ioprio_set:
        if (given[0] != PRIORITY_OF_PROCESS)
            return false;
        pid = (int)given[1];
        break;
    case SYS_tgkill:
    case SYS_rt_tgsigqueueinfo:
        if (!tree_holds(worker, (int)given[1]))
            return false;
        break;
    default:
        break;
    }
    return pid > 0 && tree_holds(worker, pid);
}

void confine_process(struct worker *worker, struct answer *answer)
{
    answer->proceed = process_is_ours(worker);
    answer->refused = !answer->proceed;
    answer->result = worker->call.number == SYS_kill ? -EPERM : -ESRCH;
}
