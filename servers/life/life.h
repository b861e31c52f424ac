/* The life of translators: known, started when first needed, found again after a death of theirs or
 * of the server that uses this, stopped by request; and the requests that are passed on to them.
 *
 * A translator is known by (space, record) or by an id in a table. It gets its id, its directory
 * SESSION/nodes/ID and what stands in for the node there (so that the node has an identity) when it
 * is first looked up; its process comes later. What is known of it is in SESSION/state/translators.
 */
#ifndef HIRSEL_LIFE_H
#define HIRSEL_LIFE_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <ev.h>

#include "libmsg/msg.h"
#include "libmsg/rpc.h"
#include "proto/node.pb-c.h"
#include "servers/names/names.h"

enum translator_state {
    TRANSLATOR_IDLE,     /* no process that we know of, or one of our former life's */
    TRANSLATOR_STARTING, /* init was asked */
    TRANSLATOR_GREETING, /* its answer to the first message is awaited */
    TRANSLATOR_RUNNING,
    TRANSLATOR_ENDING,  /* the end of its process is awaited */
    TRANSLATOR_PAUSING, /* several have died: a moment, then the next one is started */
};

/* Somebody who waits until the translator is up. */
struct waiter {
    struct waiter *next;
    struct translator *translator; /* NULL: waits no longer */
    pid_t guarded;                 /* of the asker */
    bool tried;                    /* it lost a process before: goes first */
    void (*up)(struct waiter *waiter, int error);
};

/* Somebody who waits until it is stopped. */
struct stopper {
    struct stopper *next;
    bool force;
    void (*stopped)(struct stopper *stopper, int error);
};

/* All of them. What is above `translators` the owner fills in before life_load. */
struct life {
    struct names *names;     /* whose nodes they are */
    struct server *server;   /* its control channel leads to init, which starts them */
    struct journal *journal; /* where they get their numbers */
    const char *installed;   /* the directory of installed translators */
    struct translator *translators;
    size_t count;
    ev_tstamp swept_at; /* when nodes that are gone were last looked for */
};

struct translator {
    struct translator *next;
    struct life *life;
    uint64_t id;
    uint64_t space;
    char *path;      /* the node in that space */
    char *host_path; /* and on the host */
    char *directory; /* where it is started, on the host */
    struct record record;
    bool orphan; /* it has no node any more, and goes with its process */
    bool active; /* an entry of a table, else: */
    uint64_t device, inode;
    char *text;
    /* What its last process that was asked said of a directory's node itself: it stays so until the
     * next one says otherwise. */
    Hirsel__Attributes told;
    bool is_told;

    enum translator_state state;
    pid_t pid; /* 0: no process */
    uint64_t start_time;
    struct port *port;
    unsigned in_hand;      /* requests that it has not answered */
    struct ev_timer watch; /* runs while it has some */
    bool greets;           /* a watch's question is on its way */
    struct ev_timer timer; /* of the ending */
    unsigned signals;      /* sent to end it */
    unsigned holds;        /* who still looks at it */
    bool forgotten;        /* freed once its process has ended and nobody looks at it */
    bool answered;         /* this process of it was up */
    bool exited;           /* init said so; what it sent before is still read */
    int status;            /* and this */
    bool hangs;            /* it is being ended because it did not answer */
    unsigned deaths;       /* processes that ended one after another and answered nothing, while
                              somebody waited */
    int error;             /* of a start that failed; 0: none did since the last that was up */
    double failed_at;
    int start_timeout_ms;
    struct waiter *waiters;
    struct stopper *stoppers;
};

/* Read what a former life of the server knew. */
int life_load(struct life *life);

struct translator *life_find(const struct life *life, uint64_t id);
struct translator *life_find_pid(const struct life *life, pid_t pid);
struct translator *life_find_record(const struct life *life, uint64_t space, uint64_t device,
                                    uint64_t inode, const char *text, size_t length);

/* What a new translator is. All is copied; `text` NULL: active. */
struct translator_plan {
    uint64_t id; /* 0: the next one */
    uint64_t space;
    const char *path;
    const char *host_path;
    const char *directory;
    const struct record *record;
    uint64_t device, inode;
    const char *text;
};

/* Make one known, with its directory. ENOSPC: too many, or a full disk. */
int life_add(struct life *life, const struct translator_plan *plan, struct translator **translator);
/* Another record (or place) for the same translator. */
int life_change(struct translator *translator, const struct translator_plan *plan);
/* It is not known any more; its process is ended, who waits gets ENOENT. */
void life_forget(struct translator *translator);
/* It has no node any more: known to who has something of it open, until its process ends. */
void life_orphan(struct translator *translator);
/* Forget all of a dropped space, but for those that other spaces' tables name. */
void life_space_dropped(struct life *life, uint64_t space);

/* What stands in for the node: its identity. */
int life_stand_in(const struct translator *translator, char path[PATH_MAX]);

/* Call waiter->up once it runs, starting it if need be; perhaps before this returns. */
void life_await(struct translator *translator, struct waiter *waiter);
/* Stop waiting; `up` is not called. */
void life_unawait(struct waiter *waiter);
/* Ask it to go away and end its process; stopper->stopped says how that went: EBUSY (not forced),
 * ETIMEDOUT (no answer, not forced). */
void life_stop(struct translator *translator, struct stopper *stopper);

/* Whether the process that we know of is there. */
bool life_is_alive(const struct translator *translator);
/* init says that a child has ended, with `status` as wait(2) gives it. */
void life_child_ended(struct life *life, uint64_t id, pid_t pid, int status);

struct asking {
    uint64_t space;
    pid_t guarded;     /* of the asker */
    bool of_directory; /* the status of a directory's node itself is asked for */
};

/* Pass a NodeRequest on, starting the translator if need be; its answer, descriptors and all, goes
 * to the caller. `message` is kept. */
void life_pass(struct translator *translator, struct msg *message, struct reply *reply,
               const struct asking *asking);

#endif
