/* The calls of a confined tree: nothing is left to the kernel that the kernel does not check again.
 */
#ifndef HIRSEL_TRAP_CONFINE_H
#define HIRSEL_TRAP_CONFINE_H

#include "servers/trap/worker.h"

void confine(struct worker *worker, struct answer *answer);
/* Have what the shim's functions do on the host for this worker's callers done by confine_host.c.
 */
void confine_begin(struct worker *worker);
/* Whether the policy shows what the worker's walk stands at on the host. 0 or -errno. */
long confine_shows(struct worker *worker);

/* What a call gave: a policy's no is counted; that something is not there is none. */
void confine_give(struct answer *answer, long result);
/* Whether the name space's network is another one than the host's. */
bool confine_network_is_own(void);

/* ---- hold.c: a place of the host's, held by an O_PATH descriptor, and whether it is allowed ----
 */

struct hold {
    int descriptor;
    bool missing;          /* the directory is held; `name` is not in it */
    char link[32];         /* /proc/self/fd/DESCRIPTOR: names what is held for every call */
    char name[258];        /* of a directory that was held for it: the last component */
    char real[PATH_LIMIT]; /* where it is, by the kernel's word */
    struct stat status;
};

/* Hold where the walk stands (PLACE_HOST). 0, or -errno: -ENOENT where the policy does not
 * show that anything is there. */
long hold_take(struct worker *worker, const struct walk *walk, struct hold *hold);
/* The same, shown or not. */
long hold_take_unseen(struct worker *worker, const struct walk *walk, struct hold *hold);
/* Hold the directory that the last component is in, be it there or not. */
long hold_take_parent(struct worker *worker, const struct walk *walk, struct hold *hold);
/* Hold what the caller's descriptor is open on; AT_FDCWD: its current directory. */
long hold_take_descriptor(struct worker *worker, int descriptor, struct hold *hold);
/* Whether the walk stands at the name that procfs gives to a descriptor of the caller. */
bool hold_is_own(const struct worker *worker, const struct walk *walk, int *number);
/* Of a pipe, a memfd: it is the caller's own, and in no directory. */
bool hold_is_nameless(const struct hold *hold);
void hold_give(struct hold *hold);
/* What the policy does not show is not there: a refusal, too, and counted. -ENOENT. */
long hold_hide(struct worker *worker);
/* Whether the policy allows this `access` there. 0 or -EACCES. */
long hold_allows(const struct worker *worker, const struct hold *hold, unsigned access);

/* ---- confine_host.c ---- */

/* The worker's call on what is held: one of those that make and take away no names. */
long confine_held(struct worker *worker, const struct hold *hold, const long arguments[6]);

/* ---- terminal.c ---- */

/* A descriptor of the terminal that is held, opened anew, if the caller has an end of it open; or
 * -errno. */
long terminal_open(struct worker *worker, const struct hold *hold, unsigned flags);
/* Whether the caller has an end of the terminal that is held. Nothing is opened: the last close of
 * a terminal is the end of it for who has the other end, even before the first program got to it.
 */
bool terminal_is_open(struct worker *worker, const struct hold *hold);
/* Whether what is held is a terminal of which the caller has the end that its maker has: its mode
 * is the maker's to set. That of a terminal that it was given says who else may read the user's
 * keys. */
bool terminal_is_made(struct worker *worker, const struct hold *hold);

/* ---- memory.c ---- */

/* A descriptor of what is held, if that is a process's memory by procfs, and the caller's own or of
 * what it traces; -ENOENT: it is no memory; or -errno. */
long memory_open(struct worker *worker, const struct hold *hold, unsigned flags);

/* ---- confine_process.c ---- */

/* Whether `pid` (a process or thread) is in the tree: a host's other processes are none of its
 * business. */
bool tree_holds(const struct worker *worker, pid_t pid);
/* kill and its like, and what sets how a process runs. Its number is in a register, which nobody
 * can change: the kernel does the rest. */
void confine_process(struct worker *worker, struct answer *answer);

/* ---- confine_program.c ---- */

/* `host` is where a program is. If that is a translator's file, and the policy allows to execute
 * it, `host` becomes a name by which Landlock lets the tree do so. 1: it has; 0: it is none; or
 * -errno. */
long confine_program(struct worker *worker, char host[PATH_LIMIT]);
/* A shim's question for that name (PROGRAM_NAME). False: it is none. */
bool confine_program_asked(struct worker *worker, struct answer *answer);

/* ---- confine_network.c ---- */
void confine_network(struct worker *worker, struct answer *answer);

#endif
