/* hirsel run --confine: what the command is to be held to. */
#ifndef HIRSEL_SHELL_CONFINE_H
#define HIRSEL_SHELL_CONFINE_H

#include <argp.h>
#include <stdbool.h>

#include "fence/fence.h"
#include "shell/beside.h"
#include "shell/tree.h"

struct confine {
    bool wanted;
    bool best_effort;
    bool rule; /* one of the options that allow something was there */
    struct fence_policy policy;
    char scratch[PATH_MAX]; /* the tree's own directory */
    bool is_beside;         /* in a session: the tree begins beside the one that this is in */
    int beside_error;       /* why it does not; 0: it does, or this is in no session */
    struct beside beside;
};

/* The options; a child of hirsel run's. Its input is a `struct confine *`. */
extern const struct argp confine_argp;

/* Whether this system can hold it; else say why, and that is an errno unless it is a matter of best
 * effort. */
int confine_probe(struct confine *confine, bool trap);

/* Complete the policy with what every program of the session needs, and put it into the plan. 0 or
 * an errno, said. */
int confine_plan(struct confine *confine, struct tree_plan *plan);

void confine_clear(struct confine *confine, struct tree_plan *plan);

#endif
