/* What only an ancestor may open is opened by the root of the process tree (hirsel run's
 * attendant), at the request of the trap server: under Yama a sibling can't read a program's
 * memory.
 *
 * A SEQPACKET pair; init passes its end on with the listener. One request, one answer, in order:
 * only one process at a time may ask on one pair. The pair hangs up when the attendant ends. */
#ifndef HIRSEL_SERVER_OPENER_H
#define HIRSEL_SERVER_OPENER_H

#include <stdint.h>

enum opener_what {
    OPENER_MEMORY = 1, /* /proc/TID/mem, to read and write */
};

struct opener_request {
    uint32_t what;
    uint32_t tid;
};

/* On success the descriptor comes along (SCM_RIGHTS). */
struct opener_answer {
    int32_t error; /* 0 or an errno */
};

#endif
