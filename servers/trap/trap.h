/* trap(8): the system calls of a session's programs that the shim did not decide. Private to
 * servers/trap.
 *
 * main serves the control channel and the socket. For each listener it forks *workers*, processes
 * that block in the kernel for the next notification and answer it: one that hangs in a dead file
 * system blocks nobody else. A worker becomes the caller: it brings the arguments over, and calls
 * the very functions of the shim. */
#ifndef HIRSEL_TRAP_H
#define HIRSEL_TRAP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "servers/lib/server.h"
#include "servers/trap/journal.h"
#include "servers/trap/homes.h"

struct policy;

/* A listener that is served: the programs below one filter. */
struct listening {
    struct listening *next;
    struct trap *trap;
    uint64_t id; /* init's */
    pid_t root;
    uint64_t root_start;
    uint64_t space;
    uint64_t node;         /* of a translator: its id */
    struct policy *policy; /* NULL: not confined */
    int listener;
    int opener;   /* -1: none */
    int words[2]; /* the workers' pipe */
    int ending;   /* an epoll descriptor: readable when no filtered process is left */
    struct journal *journal;
    int journal_file;
    pid_t workers[WORKERS_MAX];
    unsigned deaths; /* since `deaths_since` */
    ev_tstamp deaths_since;
    struct ev_io ended;
    struct ev_io said;
    uint64_t seen[WORKERS_MAX]; /* what each had in hand when last looked at */
    struct ev_timer busy;       /* all workers have been busy so long */
    struct ev_timer revival;    /* of workers that died too often */
};

/* The root of a tree of another session, until it ends. */
struct joined {
    struct joined *next;
    struct trap *trap;
    pid_t root;
    uint64_t start_time;
    int process; /* a pidfd */
    struct ev_io ended;
};

struct trap {
    struct server *server;
    struct listening *listenings;
    struct joined *joined;
    struct homes *homes;
    struct ev_signal child;
    ev_tstamp copy_asked_at;
};

/* ---- listening.c ---- */

/* What init hands over; the descriptors are taken over where 0 is returned. */
struct serving {
    uint64_t id;
    pid_t root;
    uint64_t space;
    uint64_t node;
    const uint8_t *policy;
    size_t policy_length;
    int listener;
    int opener;
    int journal;
};
int listening_new(struct trap *trap, const struct serving *serving);
/* Workers ended. */
void listening_reap(struct trap *trap);

/* ---- nesting.c: trees below a listener's root that have names of their own ---- */

/* All that init knows of that are below this listener. */
void nesting_scan(struct listening *listening);
void nesting_tree_added(struct server *server, const struct tree *tree);
void nesting_tree_removed(struct server *server, const struct tree *tree);
/* TRAP_JOIN, asked by `peer`: 0 or an errno. */
int nesting_join(struct trap *trap, pid_t peer, const char *session, uint64_t space, pid_t root);

#endif
