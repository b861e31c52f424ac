/* What only an ancestor may open is opened by the root of the process tree (hirsel run's
 * attendant; init for a confined translator), at the request of the trap server: under Yama a
 * sibling can't read a program's memory.
 *
 * A SEQPACKET pair; init passes its end on with the listener. Each request brings along
 * (SCM_RIGHTS) a connected socket, on which alone the answer comes: many may ask at the same time,
 * and none gets the answer of one who was killed. No answer but a hang-up of that socket: the
 * attendant is gone, or the request was malformed. */
#ifndef HIRSEL_SERVER_OPENER_H
#define HIRSEL_SERVER_OPENER_H

#include <stdbool.h>
#include <stdint.h>

enum opener_what {
    OPENER_MEMORY = 1, /* /proc/TID/mem, to read and write */
    OPENER_BESIDE = 2, /* at init's request: a process that is not below the tree's filter, for TID.
                          What came along is its: see shell/beside.h */
};

struct opener_request {
    uint32_t what;
    uint32_t tid;
};

/* On success the descriptor comes along (SCM_RIGHTS). */
struct opener_answer {
    int32_t error; /* 0 or an errno */
};

/* Start a process beside the tree for `asker`; `to` is borrowed. 0 or an errno. */
typedef int opener_beside(int to, uint32_t asker);

/* Answer the next request, if there is one; `beside` NULL: OPENER_BESIDE is none. Whether another
 * may come: the pair did not hang up. */
bool opener_serve(int from, opener_beside *beside);

#endif
