/* What is held over a call, so that a call which was left in its middle loses nothing: a signal
 * handler may leave it by longjmp, a cancelled thread ends in it.
 *
 * A hold lies on the stack of who holds something and bears a mark there. Whoever comes later and
 * finds that the mark is not there any more takes back what was noted. No other evidence is good
 * enough: handlers run on stacks of their own, and programs switch stacks, so that a stack pointer
 * says nothing; nor does a thread's number, as there may be two calls of one thread. The mark of a
 * call that was left is gone as soon as anything is called from where that began. */
#ifndef HIRSEL_HELD_H
#define HIRSEL_HELD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { HOLDS = 64 }; /* what more than so many calls hold at one time is not noted */

/* One thing that is held: what it is is its owner's word. */
struct held {
    uint64_t word; /* atomic: where the hold is, and its mark; 0: free; 1: being taken back */
    uint64_t one;
    uint64_t two;
};

struct holds {
    struct held held[HOLDS];
};

/* On the stack of who holds it, from before it is taken until after it was given back. */
struct hold {
    uint32_t mark; /* atomic */
    struct held *held;
};

void hold_begin(struct holds *holds, struct hold *hold);
/* What is held from now on; `one` is 0: nothing. */
void hold_note(struct hold *hold, uint64_t one, uint64_t two);
void hold_end(struct hold *hold);

/* No signal comes between these, where what a system call has given is not noted yet: what was
 * blocked before is kept in *mask. */
void hold_signals(uint64_t *mask);
void hold_signals_end(const uint64_t *mask);

/* Whether some call holds something, or was left with it. */
bool hold_is_any(const struct holds *holds);
/* What some call was left with; false: there is no more of it. */
bool hold_take_back(struct holds *holds, uint64_t *one, uint64_t *two);

#endif
