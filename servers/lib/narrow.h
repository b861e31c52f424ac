/* Giving up system calls for good. The lists of what servers and translators keep have one source,
 * narrow.c; each adds what it alone needs. */
#ifndef HIRSEL_NARROW_H
#define HIRSEL_NARROW_H

/* Calls that are kept with some arguments alone. */
enum narrow_part {
    NARROW_UNIX_SOCKETS = 1, /* sockets and pairs of AF_UNIX */
    NARROW_OWN_LIMITS = 2,   /* reading limits, one's own */
    NARROW_THREADS = 4,      /* and no processes */
    NARROW_PARENT_DEATH = 8, /* a signal when the parent ends */
    NARROW_TCP_SOCKETS = 16, /* stream sockets of AF_INET */
};

/* Keep what every server needs to serve who is connected, and `more` and `still_more` (ended by -1;
 * NULL: none). All others fail with EPERM and are written to the kernel's log; memory can't be made
 * executable. 0 or a positive errno. */
int narrow_calls(const int *more, const int *still_more, unsigned parts);

/* A server's: narrow_calls with what the frame needs besides, and `system_calls` and `parts`. */
int server_narrow(const int *system_calls, unsigned parts);

#endif
