/* The common frame of the servers (and of init, as far as it fits): start-up, the log, descent,
 * narrowing. A server's main fills a struct server and calls server_run. */
#ifndef HIRSEL_SERVER_H
#define HIRSEL_SERVER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <ev.h>

#include "libmsg/msg.h"
#include "libmsg/rpc.h"
#include "servers/lib/narrow.h" /* server_narrow: server_run does it after `start` */

/* Descriptors that init hands to a server. */
#define SERVER_LISTEN_DESCRIPTOR 3
#define SERVER_CONTROL_DESCRIPTOR 4

struct server {
    const char *name;      /* "fs" */
    const char *directory; /* the session's, absolute; set by server_run */
    struct ev_loop *loop;  /* set by server_run, as are the next three */
    struct port_set *ports;
    struct port *control; /* to init; its hang-up ends the server */
    struct listener *listener;

    const struct rpc_operation *operations;         /* what is served on the listening socket */
    const struct rpc_operation *control_operations; /* what init sends on the control channel */
    port_arrival *arrival;                          /* may be NULL */
    int (*start)(struct server *server); /* before INIT_READY; an errno ends the server */
    const int *system_calls; /* besides the frame's own: what narrowing still allows; ended by -1 */
    unsigned parts;          /* and in part: enum narrow_part */
    /* What Landlock keeps from it, a set of enum fence_hold; of the files all but the session's
     * directory and /proc, which is read. 0: nothing, for a server that needs the user's files, or
     * /proc/PID/exe, fd and the like of processes, which Landlock hides with all else. */
    unsigned holds;
    void *state;                /* the server's own; the context of all operations is the server */
    struct server_frame *frame; /* the frame's own */
};

/* Run until init's end of the control channel closes or SIGTERM comes. The exit status. */
int server_run(struct server *server, int argc, char **argv);

/* Let this program have as many descriptors as the hard limit allows (at most 16,384): a server
 * has one for each connection. `before` (may be NULL) gets the limits as they were. */
struct rlimit;
void server_raise_descriptors(struct rlimit *before);

/* One line to the session's log: time, server, text. Control characters are escaped. */
void log_line(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_name(const char *name);
/* For listener_on_drop: a line about the client that was dropped, and why. */
void log_drop(struct port *port, int error, void *unused);

/* The start time (field 22 of /proc/PID/stat) and parent of a process: 0, or ESRCH. */
int process_stat(pid_t pid, pid_t *parent, uint64_t *start_time);

/* The process trees that init knows, kept up to date by the frame: the root of the tree that `pid`
 * belongs to by descent, or NULL. */
struct tree {
    pid_t pid;
    uint64_t start_time;
    uint64_t space;
    bool confined;         /* its programs have no authority but what their policy says: */
    const uint8_t *policy; /* packed, see fence/fence.h; borrowed from the frame */
    size_t policy_length;
};
const struct tree *tree_of(struct server *server, pid_t pid);
/* The same of one who asks. Who is gone can't be placed, and may have been confined: where anything
 * is, he is taken for confined to nothing, in a name space that there is not (TREE_NOBODY). */
#define TREE_NOBODY UINT64_MAX
const struct tree *tree_of_asker(struct server *server, pid_t pid);
size_t tree_list(struct server *server, const struct tree **trees);
/* Told when a tree has come, before its root goes on. */
void tree_on_added(struct server *server, void (*added)(struct server *, const struct tree *));
/* Told when a tree has gone (its space may be dropped). */
void tree_on_removed(struct server *server, void (*removed)(struct server *, const struct tree *));

#endif
