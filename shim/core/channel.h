/* The program's connections to the servers.
 *
 * A connection is disposable: made when first needed, lent to one call at a time (a signal handler
 * that calls meanwhile gets another one), kept for the next call. The program may close its
 * descriptor or put something else in its place: before each use the kernel is asked whether it
 * still is the socket that was made (SO_COOKIE). A forked child finds the list wiped
 * (MADV_WIPEONFORK), so that a parent and a child never share a connection. */
#ifndef HIRSEL_CHANNEL_H
#define HIRSEL_CHANNEL_H

#include "libmsg/wire.h"
#include "shim/core/core.h"

struct exchange {
    uint32_t operation;
    uint64_t request; /* at-most-once id, or 0 */
    const void *body;
    size_t length;
    /* The answer: */
    void *answer; /* where its body goes */
    size_t answer_size;
    size_t answer_length; /* how long it was */
    int descriptor;       /* the first that came, with close-on-exec as asked for; or -1 */
    bool close_on_exec;
    uint64_t space; /* the caller's name space by descent, as the server says */
};

/* Ask fs, which forwards what is for a translator. 0: answered; or -errno, the server's or of the
 * way: -EIO when the session is gone. Waits as long as the server lives; repeats (with the same
 * request id) when it was restarted. -EINTR if a signal handler ran and the server agreed to forget
 * it. */
long channel_call(const struct core *core, struct exchange *exchange);

/* Close all kept connections: before another session is asked. */
void channels_close(void);

#endif
