/* What the attendant and libexec/hirsel/enter say to each other, on a SEQPACKET pair.
 *
 * The attendant sends a plan at once. Where it wants a filter or a fence, enter says what came of
 * it and waits for a word; then it becomes the command, which closes its end of the pair. */
#ifndef HIRSEL_SHELL_ENTER_H
#define HIRSEL_SHELL_ENTER_H

#include <stdint.h>

/* The longest plan, policy and all. */
#define ENTER_PLAN_MAX 65536

enum enter_flags {
    ENTER_FILTER = 1,      /* install the filter of the trap server */
    ENTER_NETWORK = 2,     /* the tree's network is not the host's */
    ENTER_BEST_EFFORT = 4, /* confine as far as this kernel can */
};

/* The policy follows it, packed as fence_policy_pack does; none: not confined. */
struct enter_plan {
    uint32_t flags;
};

enum enter_report_kind {
    ENTER_LISTENER = 1,   /* the filter is installed; the listener comes along; waits for a word */
    ENTER_UNFILTERED = 2, /* value: why it is not: an errno; waits for a word */
    ENTER_UNFENCED = 3,   /* value: what Landlock can't hold (enum fence_hold); waits for a word */
    ENTER_NO_EXEC = 4,    /* value: the errno of execvp; it ends */
    ENTER_FAILED = 5,     /* value: an errno; it ends */
};

struct enter_report {
    int32_t kind;
    int32_t value;
};

/* The word: go on. Who must not go on is killed. */
struct enter_word {
    int32_t trapped; /* the trap server serves this tree, and hands ld.so the libc copy */
};

#endif
