/* What libexec/hirsel/enter and who starts it (hirsel run's attendant, init) say to each other, on
 * a SEQPACKET pair.
 *
 * The starter sends a plan at once. Where it wants a filter or a fence, enter says what came of it
 * and waits for a word; then it becomes the command, which closes its end of the pair. */
#ifndef HIRSEL_SERVER_ENTRY_H
#define HIRSEL_SERVER_ENTRY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The longest plan, policy and all. */
#define ENTRY_PLAN_MAX 65536

enum entry_flags {
    ENTRY_FILTER = 1,      /* install the filter of the trap server */
    ENTRY_NETWORK = 2,     /* the network of its name space is not the host's */
    ENTRY_BEST_EFFORT = 4, /* confine as far as this kernel can */
    ENTRY_BINDS = 8,       /* its name space has binds */
};

/* The policy follows it, packed as fence_policy_pack does; none: not confined. */
struct entry_plan {
    uint32_t flags;
};

enum entry_report_kind {
    ENTRY_LISTENER = 1,   /* the filter is installed; the listener comes along; waits for a word */
    ENTRY_UNFILTERED = 2, /* value: why it is not: an errno; waits for a word */
    ENTRY_UNFENCED = 3,   /* value: what Landlock can't hold (enum fence_hold); waits for a word */
    ENTRY_NO_EXEC = 4,    /* value: the errno of execvp; it ends */
    ENTRY_FAILED = 5,     /* value: an errno; it ends */
};

struct entry_report {
    int32_t kind;
    int32_t value;
};

/* The word: go on. Who must not go on is killed. */
struct entry_word {
    int32_t trapped; /* the trap server serves it, and hands ld.so the libc copy */
};

/* Send the plan for a name space of the session. 0 or an errno. */
int entry_plan_send(int to, uint32_t flags, const uint8_t *policy, size_t policy_length);
int entry_word_send(int to, bool trapped);
/* The flags that this name space has today. */
uint32_t entry_space_flags(const char *session, uint64_t space);

#endif
