/* On which processor a worker and its callers wake each other. */
#ifndef HIRSEL_TRAP_PLACEMENT_H
#define HIRSEL_TRAP_PLACEMENT_H

#include <stdbool.h>
#include <stdint.h>

struct placement {
    int listener;
    bool here;             /* on the processor of who wakes */
    int64_t crowded_until; /* ms */
};

void placement_begin(struct placement *placement, int listener);

/* A call is about to be answered; `waited`: its caller had to wait for the worker. */
void placement_note(struct placement *placement, bool waited);

#endif
