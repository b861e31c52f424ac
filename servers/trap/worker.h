/* A worker: takes a listener's notifications one by one and answers them. What its files share. */
#ifndef HIRSEL_TRAP_WORKER_H
#define HIRSEL_TRAP_WORKER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "servers/trap/call.h"
#include "servers/trap/client.h"
#include "servers/trap/journal.h"
#include "servers/trap/homes.h"
#include "shim/door/door.h"

/* What a worker tells main, one byte each. */
enum worker_word {
    WORD_BUSY = 'b', /* nobody is left to take the next notification */
    WORD_COPY = 'c', /* a libc was opened that there is no copy of */
};

struct worker {
    const char *session; /* its directory */
    uint64_t id;         /* of the listener */
    pid_t root;          /* of the tree below which the filter was installed */
    uint64_t space;
    uint64_t node; /* of a translator: whose mirror is to be seen as what it is */
    int listener;
    int opener;     /* -1: none */
    int words;      /* to main */
    unsigned index; /* of its slot */
    struct journal *journal;
    struct slot *slot;
    const struct homes *homes;
    const struct policy *policy; /* NULL: not confined */

    struct client client;
    struct call call;
    struct walk walk;
    struct stat status; /* of what the path leads to, where decide looked */
    bool status_known;
    bool hidden; /* the policy did not show what the call asked about */
};

/* Ends a worker whose main is gone. Not SIGKILL: see descriptor_send. */
#define WORKER_END_SIGNAL SIGTERM

/* Serve until the listener ends; the exit status. */
int worker_run(struct worker *worker);

/* ---- decide.c: would the kernel alone come to the same place? ---- */

enum verdict {
    VERDICT_CONTINUE, /* it would */
    VERDICT_ACT,      /* it would not: by the shim's functions, in the caller's place */
};
/* Of one of the call's paths. `worker->walk` stands at its end where the walk was needed: *walked.
 * -errno: what the session says of this path. */
long decide_path(struct worker *worker, const struct view *view, unsigned which, bool *walked);
/* The same of a confined tree, by the walk alone: what programs remember of ways is not believed.
 * *touched: the kernel alone would come to another place. -errno: -ENOENT where it starts in a
 * directory that was removed. */
long decide_walk(struct worker *worker, const struct view *view, unsigned which, bool *touched);

/* ---- roots.c ---- */

/* A call of this number is about to be made. */
void roots_note(struct worker *worker, int number);
/* Whether "/" is to the caller what it is to us: not where it has a mount name space or a root of
 * its own. */
bool roots_are_one(struct worker *worker);

/* ---- act.c ---- */

/* What is to be answered. */
struct answer {
    bool proceed;   /* let the kernel do it */
    bool sent;      /* all is done already */
    bool refused;   /* by the policy */
    long result;    /* a value or -errno */
    int descriptor; /* to be handed over as the result; -1: none */
    bool close_on_exec;
};
void act(struct worker *worker, struct answer *answer);

#endif
