/* A process tree in a session: the front, which the user's shell sees, and the attendant, which is
 * the root.
 *
 *   user's shell ── front (hirsel run) ── attendant ── command ── …
 *
 * The command is in the front's process group and so has the terminal as it would without us. The
 * attendant is a subreaper and stays as long as anything is below it: a daemon of the command still
 * descends from it, when the front has long returned the command's status. */
#ifndef HIRSEL_TREE_H
#define HIRSEL_TREE_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "shell/session.h"

/* What the attendant tells the front. */
enum tree_event_kind {
    TREE_STARTED = 1,   /* value: the command's pid; its pidfd comes along */
    TREE_STOPPED = 2,   /* value: the signal; the front answers TREE_GOES_ON */
    TREE_ENDED = 3,     /* value: a status as wait(2) gives it */
    TREE_FAILED = 4,    /* value: an errno; hirsel failed, and said so */
    TREE_NO_EXEC = 5,   /* value: the errno of execvp */
    TREE_UNTRAPPED = 6, /* value: the errno that keeps the trap server out; the command runs */
    TREE_UNHELD = 7,    /* value: the same where the command was to be confined: it does not run */
    TREE_UNFENCED = 8,  /* value: what Landlock can't hold (enum fence_hold): the command runs only
                           with best_effort */
    TREE_UNPRIVILEGED = 9, /* name: a setuid program that has no more rights than the user here */
};

struct tree_event {
    int32_t kind;
    int32_t value;
    char name[56];
};

/* What the front tells the attendant. */
enum tree_word_kind {
    TREE_GOES_ON = 1, /* after a stop that it was told of */
    TREE_WOKEN = 2,   /* by a SIGCONT, which is the command's unless that has stopped anew */
};

struct tree_word {
    int32_t kind;
    uint32_t stops; /* TREE_WOKEN: that it had been told of */
};

/* Below the tree's own directory. */
#define TREE_TEMPORARY "/tmp"  /* what it has as TMPDIR */
#define TREE_MEMORY "/shm"     /* what is at /dev/shm for it */
#define TREE_PROGRAMS "/nodes" /* what it may execute of translators' files */

struct beside;

struct tree_plan {
    struct session *session;
    uint64_t space;
    char **command;
    bool trap;        /* with the trap server, where this system allows it */
    bool best_effort; /* confined as far as this system allows it */
    /* What it is confined to, packed (fence_policy_pack); none: it is not confined. */
    uint8_t *policy;
    size_t policy_length;
    /* A directory of its own, removed when the tree ends; NULL: none. */
    const char *scratch;
    /* As the user's shell set them; what the command is to have (tree_run fills them in). */
    sigset_t mask;
    struct sigaction child_action;
    /* Where the attendant is beside the front's own tree, and no child of it: see beside.h. */
    const struct beside *beside; /* in the front; NULL: it is a child */
    pid_t front;                 /* in the attendant; 0: its parent */
    pid_t group;                 /* and the command's process group; 0: one of its own */
};

/* Run the plan's command to its end. The exit status. */
int tree_run(struct tree_plan *plan);

/* The attendant, in a process of its own. `front`: the socket to the front. */
_Noreturn void attendant_run(const struct tree_plan *plan, int front);

/* Make this process the root of a tree. 0 or an errno. */
int tree_open(const struct tree_plan *plan, struct port **init);

#endif
