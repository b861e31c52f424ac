/* Whose names a caller has: the trees below a listener's root that have a name space of their own,
 * or belong to another session. One table in shared memory, written by main, read by all workers.
 *
 * A listener's tree is one name space as long as nothing is nested in it: then nobody's parents are
 * looked at. */
#ifndef HIRSEL_TRAP_HOMES_H
#define HIRSEL_TRAP_HOMES_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "shim/core/core.h"

#define HOMES_MAX 2048
#define JOINED_MAX 64 /* other sessions */

struct home {
    int32_t root;     /* of the nested tree; 0: free */
    uint32_t session; /* 0: ours, else index + 1 into `joined` */
    uint64_t start_time;
    uint64_t space;
    uint64_t listener; /* below whose root it is */
};

struct homes {
    uint32_t sequence; /* odd while main writes */
    uint32_t count;    /* how many of `homes` are looked at */
    struct home homes[HOMES_MAX];
    char joined[JOINED_MAX][SESSION_LIMIT];
};

struct homes *homes_new(void);

/* For main. 0 or an errno. `session`: NULL for ours. */
int home_add(struct homes *homes, const struct home *home, const char *session);
void home_remove(struct homes *homes, pid_t root, uint64_t start_time);

/* Whether something is nested below this listener. */
bool homes_any(const struct homes *homes, uint64_t listener);

/* For a worker: the home of `tid`, copied to *found with its session's directory; false
 * where it is in the listener's own. */
bool home_of(const struct homes *homes, uint64_t listener, pid_t root, pid_t tid,
             struct home *found, char session[SESSION_LIMIT]);

#endif
