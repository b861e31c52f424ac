/* The processes of a session: the table, the exits, the kills. Private to servers/proc. */
#ifndef HIRSEL_PROC_H
#define HIRSEL_PROC_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "servers/lib/process.h"
#include "servers/lib/server.h"

#define REPORTS_MAX 128
#define REPORT_COMMAND_MAX 120

/* How one process ended, as it lies in the memory that init keeps for the next life of proc. */
struct report {
    int64_t seconds;
    uint32_t pid;
    int32_t status; /* as wait(2) gives it */
    uint16_t status_known;
    uint16_t command_length; /* arguments joined by NUL */
    char command[REPORT_COMMAND_MAX];
};

struct report_ring {
    uint64_t magic;
    uint64_t written; /* reports ever written; the last is at (written - 1) % REPORTS_MAX */
    struct report reports[REPORTS_MAX];
};

/* A process that is watched until it ends. */
struct watch {
    struct watch *next;
    struct server *server;
    pid_t pid;
    uint64_t start_time;
    int pidfd;
    bool seen; /* in the last scan */
    unsigned attempts;
    struct ev_io ended;
    struct ev_timer again;
    uint16_t command_length;
    char command[REPORT_COMMAND_MAX];
};

struct proc {
    struct report_ring *ring;
    struct watch *watches;
    unsigned watch_count;
    struct ev_timer scan;
};

static inline struct proc *proc_of(struct server *server)
{
    return server->state;
}

/* table.c */
void table_list(struct server *server, struct reply *reply);
/* Whether `pid` is one of the session's: below a tree's root, or started by init. *details: as it
 * was found. 0 or ESRCH. */
int table_check(struct server *server, pid_t pid, struct process_details *details);

/* watch.c */
void watch_begin(struct server *server);
/* The kernel's word on how a process ended that was reaped: 0 or an errno. */
int watch_status(int pidfd, int *status);

/* report.c */
int report_open(struct server *server);
void report_add(struct server *server, pid_t pid, const int *status, const char *command,
                size_t command_length);
void report_list(struct server *server, struct reply *reply);

#endif
