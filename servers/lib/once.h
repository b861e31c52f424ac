/* At most once: a request with an id that was done already is answered, not done. */
#ifndef HIRSEL_ONCE_H
#define HIRSEL_ONCE_H

#include "servers/lib/journal.h"

struct msg;

struct once {
    struct journal *journal;
    uint64_t request; /* 0: may be redone */
    bool repeat;      /* it was begun before, and may find its own work done */
    uint64_t value;   /* of that beginning */
};

/* True: it was done and ended with *error and once->value. */
bool once_ended(struct once *once, struct journal *journal, const struct msg *message, int *error);
void once_begin(struct once *once, uint64_t value);
void once_end(const struct once *once, int error);

#endif
