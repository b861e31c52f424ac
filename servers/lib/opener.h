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
    OPENER_TELL = 3, /* nothing is opened, nor answered: the user is to hear that `name`, a program
                        with the setuid bit, is started with no more rights than the user's */
    /* What Yama or a user name space keeps from a sibling likewise: */
    OPENER_PLACE = 4,      /* O_PATH of /proc/TID/fd/DESCRIPTOR; -1: of /proc/TID/cwd */
    OPENER_DESCRIPTOR = 5, /* a duplicate of DESCRIPTOR; TID is a process */
};

#define OPENER_NAME_SIZE 56

struct opener_request {
    uint32_t what;
    uint32_t tid;
    int32_t descriptor;
    char name[OPENER_NAME_SIZE]; /* OPENER_TELL; with its NUL */
};

/* On success the descriptor comes along (SCM_RIGHTS). */
struct opener_answer {
    int32_t error; /* 0 or an errno */
};

/* What not every opener does: NULL where it does not. */
struct opener_hands {
    /* Start a process beside the tree for `asker`; `to` is borrowed. 0 or an errno. */
    int (*beside)(int to, uint32_t asker);
    void (*tell)(void *context, const char *name);
    void *context;
};

/* Answer the next request, if there is one. Whether another may come: the pair did not hang up. */
bool opener_serve(int from, const struct opener_hands *hands);

#endif
