/* What only the caller itself can do, or what may block it: its own thread is led to repeat the
 * call with other arguments. */
#ifndef HIRSEL_TRAP_GUIDE_H
#define HIRSEL_TRAP_GUIDE_H

#include "servers/trap/worker.h"

struct guidance {
    int number; /* of the call that the thread is to make */
    long arguments[6];
    int text_at; /* the argument that `text` is for; -1: none */
    void *text;  /* put on its stack, or into memory of its own */
    size_t text_length;
    size_t text_offset; /* where in `text` that argument points */
    int also_at;        /* another argument that points into `text`, at `also_offset` */
    size_t also_offset; /* 0: none */
    int descriptor;     /* to be handed over first; its number there becomes argument 0; -1: none.
                         * It is closed again there after the call. */
    int settle;         /* the result is a descriptor: fcntl's F_DUPFD or F_DUPFD_CLOEXEC, to have
                         * the lowest number that is free in the end; 0: as it is */
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
