/* On which processor a worker and its callers wake each other. */
#ifndef HIRSEL_TRAP_PLACEMENT_H
#define HIRSEL_TRAP_PLACEMENT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct placement {
    int listener;
    bool here;             /* on the processor of who wakes */
    pid_t last;            /* who asked */
    int64_t crowded_until; /* ms */
};

void placement_begin(struct placement *placement, int listener);

/* This thread's call is about to be answered; `waited`: it was there before the worker was. */
void placement_note(struct placement *placement, pid_t caller, bool waited);

#endif
