/* A confined tree that is started in a session.
 *
 * A kernel allows one listener above a process, and that of a confined tree must be its own: a call
 * that the outer filter lets pass would be asked of nobody. So such a tree does not begin below the
 * filter of the tree that it is started in but beside it: the root of that tree, which is above its
 * filter, starts a process, and that becomes the attendant of the new tree. It has of the front
 * what a child has by birth: descriptors, directory, environment, limits, terminal.
 *
 *   attendant ─┬─ command ── … ── front (hirsel run --confine)
 *              └─ keeper ── attendant ── command, confined
 *
 * The front makes a SEQPACKET pair and has init pass one end on (INIT_TREE_BESIDE). By it come, in
 * this order: a beside_ready; from the front its descriptors, a beside_word each, and the plan, a
 * memory file; from then on the pair is what the front and its attendant always have (tree.h). */
#ifndef HIRSEL_SHELL_BESIDE_H
#define HIRSEL_SHELL_BESIDE_H

#include <stdint.h>
#include <sys/types.h>

#include "fence/fence.h"
#include "shell/tree.h"

struct beside_ready {
    int32_t error;            /* 0; or an errno: there will be no such tree */
    int32_t pid;              /* of the attendant */
    struct fence_probe probe; /* what the kernel allows there */
};

enum beside_kind { BESIDE_DESCRIPTOR = 1, BESIDE_PLAN = 2 };

struct beside_word {
    int32_t kind;
    int32_t value; /* the descriptor's number */
};

/* ---- the front's side: beside_ask.c ---- */

struct beside {
    int socket; /* -1: none */
    struct beside_ready ready;
};

/* Have a process beside the filter that is above this one. 0; or an errno, not said: ESRCH where no
 * session's filter is. */
int beside_ask(struct beside *beside);
/* Have it become the plan's attendant. 0 or an errno. */
int beside_give(const struct beside *beside, const struct tree_plan *plan);

/* ---- the other's: beside.c ---- */

/* In the root of a tree: start a process beside it, which talks to the front `asker` on `to`
 * (borrowed). 0 or an errno. */
int beside_start(int to, uint32_t asker);

#endif
