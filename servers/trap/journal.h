/* What workers have in hand, in memory that init keeps for the life of the listener: the kernel
 * puts a notification straight into its worker's slot, so that nothing is between its handing over
 * and the record. A successor answers what a killed worker, or a killed trap, left there. */
#ifndef HIRSEL_TRAP_JOURNAL_H
#define HIRSEL_TRAP_JOURNAL_H

#include <stdbool.h>
#include <stdint.h>

#include <linux/seccomp.h>

#define WORKERS_MAX 64
#define CALLS_COUNTED 512
#define JOURNAL_SIZE 65536
#define RIGHTS_TOLD 8

enum slot_step {
    STEP_NONE = 0,
    STEP_CHANGING = 1, /* what the call changes may be done already */
};

struct slot {
    union {
        struct seccomp_notif notification; /* id 0: nothing in hand */
        char room[256];                    /* for what later kernels put behind it */
    };
    uint32_t step;
    uint32_t tries;   /* that a worker died in */
    uint64_t request; /* at-most-once id of what was asked of a translator, 0: none yet */
    int32_t worker;   /* its pid; 0: none */
    int32_t reserved;
} __attribute__((aligned(64)));

struct call_count {
    uint64_t continued;
    uint64_t answered;
    uint64_t refused;
};

/* Whether "/" means the same to all of the tree as to the trap server. */
enum roots {
    ROOTS_UNKNOWN = 0, /* nobody has looked yet */
    ROOTS_ONE,         /* it does */
    ROOTS_MANY,        /* each has to be looked at: somebody called what can change it */
};

struct journal {
    uint64_t magic;
    uint32_t layout;
    uint32_t busy_told; /* atomic: main knows that all workers are busy */
    uint32_t roots;     /* atomic: enum roots */
    uint32_t reserved;
    uint64_t forgotten; /* atomic, as are the counts */
    struct call_count counts[CALLS_COUNTED];
    struct slot slots[WORKERS_MAX];
    uint32_t unreadable_told;          /* atomic: a program that nobody can look into was told of */
    uint64_t rights_told[RIGHTS_TOLD]; /* atomic: programs that were told of (rights.c) */
};

_Static_assert(sizeof(struct journal) <= JOURNAL_SIZE, "the journal fits");

/* Map the journal in `descriptor` (borrowed), a new one made ready. NULL with errno. */
struct journal *journal_map(int descriptor);
void journal_unmap(struct journal *journal);

/* For a worker: wait until no other process has this slot, and have it as long as one lives. The
 * workers of a trap that was killed may live a little longer than it. 0 or an errno. */
int journal_lock(int descriptor, unsigned index);

static inline void count_add(uint64_t *count)
{
    __atomic_add_fetch(count, 1, __ATOMIC_RELAXED);
}

#endif
