/* What only the caller itself can do, or what may block it: its own thread is led to repeat the
 * call with other arguments. */
#ifndef HIRSEL_TRAP_GUIDE_H
#define HIRSEL_TRAP_GUIDE_H

#include "servers/trap/worker.h"

struct guidance {
    int number; /* of the call that the thread is to make */
    long arguments[6];
    int text_at; /* the argument that `text` is for; -1: none */
    void *text;  /* put on its stack */
    size_t text_length;
    int held;       /* an O_PATH descriptor, which the kernel hands nobody over: the thread opens
                     * argument 1, by the guide's /proc/PID/fd, and `text` is not set; 0: none */
    int descriptor; /* to be handed over first; its number there becomes argument 0; -1: none.
                     * It is closed again there after the call. */
    /* Run in the guide; may be NULL. `relocate`: the text's address there is known now: pointers in
     * it are to be set. `after`: the call returned *result, and the thread has not gone on yet. */
    void (*relocate)(void *text, uint64_t at);
    void (*after)(struct worker *worker, const struct guidance *guidance, uint64_t text,
                  long *result);
    uint32_t room; /* for `after`: what the caller had room for */
};

/* Answers the notification, too. 0; or -errno, and nothing was done. */
long guide(struct worker *worker, const struct guidance *guidance);

#endif
