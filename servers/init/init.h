/* The guard of a session: ancestor of its servers and translators, holder of what must outlive
 * them. Private to servers/init. */
#ifndef HIRSEL_INIT_H
#define HIRSEL_INIT_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/types.h>
#include <time.h>

#include <ev.h>

#include "libmsg/msg.h"
#include "libmsg/rpc.h"
#include "proto/init.pb-c.h"

enum { SLOT_FS, SLOT_PROC, SLOT_NET, SLOT_TRAP, SLOT_COUNT };

struct init;

/* A program that init started. Embedded in what it is started for. */
struct child {
    struct child *next;
    struct init *init;
    pid_t pid;     /* 0: none */
    int exec_pipe; /* says how exec went; -1 once known */
    struct ev_io exec_watcher;
    /* exec worked (0) or why it did not; then, once, the end, with a status as wait(2) gives it. */
    void (*started)(struct child *child, int error);
    void (*ended)(struct child *child, pid_t pid, int status);
};

struct child_plan {
    const char *program;
    char **arguments;
    char **environment;
    int listening;   /* becomes descriptor 3 */
    int control;     /* becomes descriptor 4; -1: none */
    int directory;   /* its current directory; -1: init's */
    bool own_limits; /* the user's limits and umask instead of init's */
};

/* A server's place: filled again whenever the server ends. */
struct slot {
    struct init *init;
    const char *name;
    struct child child;
    int listening;
    struct port *control;
    bool lazy;          /* started when it is first wanted */
    bool wanted;        /* it was */
    struct ev_io asked; /* until then: somebody connects to its socket */
    bool missing;       /* its program is not installed */
    bool ready;         /* said INIT_READY in this life */
    bool once_ready;    /* in some life */
    unsigned restarts;
    unsigned deaths; /* in the period that began at `period` */
    ev_tstamp period;
    struct ev_timer restart;
};

/* What the trees of a name space are confined to; kept when they have ended, so that nothing that
 * is started in it later is free. */
struct confinement {
    struct confinement *next;
    uint64_t space;
    unsigned trees;
    uint8_t *policy; /* NULL: there is no tree any more */
    size_t policy_length;
    bool best_effort;
    bool untrapped; /* its tree runs without a filter */
};

struct translator {
    struct translator *next;
    struct init *init;
    uint64_t id;
    char *name;
    struct child child;
    int listening;
    struct reply *spawning; /* the INIT_SPAWN that waits for exec, or NULL */
    bool forgotten;         /* its directory goes when it ends */
    /* Where a confined tree is what it is started for: */
    struct confinement *confinement;
    uint8_t *policy; /* its own: the tree's, and what it needs itself */
    size_t policy_length;
    int entry; /* to the enter that is becoming it; -1 */
    struct ev_io entry_watcher;
};

/* A process tree. */
struct root {
    struct root *next;
    struct init *init;
    pid_t pid;
    uint64_t start_time;
    uint64_t space;
    int pidfd;
    struct ev_io watcher;
    bool untrapped;  /* runs without a filter: see InitListener.error */
    uint8_t *policy; /* what its programs are confined to; NULL: they are not */
    size_t policy_length;
    bool best_effort;
};

/* Told once whether the trap server serves a listener: 0 or an errno. */
typedef void trapped_settled(void *context, int error);

/* The listener of a filtered tree and what goes with it, for each life of the trap server. */
struct trapped {
    struct trapped *next;
    struct init *init;
    uint64_t id;
    pid_t root;
    uint64_t space;
    uint64_t node;   /* of a translator: its id */
    uint8_t *policy; /* as the root's */
    size_t policy_length;
    int descriptors[3];       /* listener, opener, journal: as TRAP_SERVE wants them */
    struct call *call;        /* the TRAP_SERVE that is open */
    trapped_settled *settled; /* still to be told */
    void *context;
    int opener; /* our end, where init is the opener; -1 */
    struct ev_io opener_watcher;
    bool ended; /* before it was answered */
};

/* A descriptor held for a server's next life. */
struct kept {
    struct kept *next;
    const struct slot *owner;
    char *name;
    int descriptor;
};

enum stop_phase { STOP_NOT, STOP_PROGRAMS, STOP_TRANSLATORS, STOP_SERVERS };

struct stop_waiter {
    struct stop_waiter *next;
    struct reply *reply;
};

/* What a libc is known by: itself and the linker that it must fit to. */
struct libc_identity {
    struct {
        dev_t device;
        ino_t inode;
        struct timespec changed;
        off_t size;
    } files[2];
};

/* The system's C library, and what is done when it is replaced under a running session. */
struct libc {
    char original[PATH_MAX];
    char linker[PATH_MAX];
    struct libc_identity identity; /* of what the doors' copy was made, or was tried to be made */
    struct libc_identity next;     /* of what it is being made */
    struct child renewer;
    bool look_again; /* when the renewer is done */
    int watch;       /* an inotify descriptor */
    struct ev_io watcher;
};

struct init {
    const char *directory;
    const char *name;
    bool once; /* ends with its first tree */
    int lock;
    int notify; /* where the starter waits for word; -1: told */
    int lease;  /* of a one-shot session, until its first tree: breaks when its user is gone */
    mode_t umask_before;
    struct rlimit files_before;
    struct ev_loop *loop;
    struct port_set *ports;
    struct listener *listener;
    struct ev_signal child_ended, terminate, interrupt, hangup;
    struct ev_io lease_watcher;
    struct ev_timer start_timer;
    struct slot slots[SLOT_COUNT];
    struct child *children;
    struct translator *translators;
    struct root *roots;
    unsigned root_count;
    pid_t once_root; /* the first tree of a one-shot session */
    struct confinement *confinements;
    struct trapped *trapped;
    unsigned trapped_count;
    uint64_t trapped_last; /* the last id that was given */
    struct kept *kept;
    unsigned kept_count;
    char incomplete[256]; /* what does not hold in this session */
    struct libc libc;
    time_t started;

    enum stop_phase phase;
    unsigned grace_ms;
    ev_tstamp phase_began;
    bool asked_terminals; /* in this phase: those with a terminal got SIGHUP */
    bool spawned_any;
    struct ev_timer stop_timer;
    struct stop_waiter *stop_waiters;
};

/* child.c */
int child_start(struct init *init, struct child *child, const struct child_plan *plan);
/* Do `run` in a process of its own, which init does not outlive; its result is the exit status. 0
 * or an errno. `started` is not called. */
int child_fork(struct init *init, struct child *child, int (*run)(struct init *init));
/* Reap all that ended. */
void children_reap(struct init *init);

/* ---- launch.c ---- */

/* Whether this process may have another session's init started: it is in a tree, and not confined.
 */
bool launch_allowed(struct init *init, pid_t pid);
/* Start another session's init, as a program of this one asks. */
void launch_other(struct init *init, const Hirsel__InitLaunch *wanted, int notify,
                  struct reply *reply);

/* slot.c */
int slot_open(struct init *init, int which, const char *name, bool lazy);
void slot_launch(struct slot *slot);
/* A lazy one is wanted from now on. */
void slot_want(struct slot *slot);
/* It is started again. */
void slot_kill(struct slot *slot);
bool slots_ready(const struct init *init);
/* They had their time to get up, and some did not. */
void slots_give_up(struct init *init);
void slots_end(struct init *init, int signal);

/* control.c: what servers ask on their control channels; the context is the slot. */
void control_message(struct port *port, struct msg *message, struct reply *reply, void *context);

/* public.c: what is asked on the session's socket `init`; the context is the init. */
int public_open(struct init *init);
void status_answer(struct init *init, struct reply *reply);

/* translator.c */
void translator_spawn(struct slot *asker, const Hirsel__InitSpawn *spawn, int directory,
                      struct reply *reply);
/* A confined one has become its program, or has not. */
void translator_settled(struct translator *translator, int error);
int translator_signal(struct init *init, uint64_t id, int signal);
int translator_forget(struct init *init, uint64_t id);

/* root.c */
void root_open(struct init *init, pid_t pid, const Hirsel__InitTree *wanted, struct reply *reply);
/* The innermost tree that confines this process, or NULL. A root is not confined by its own tree.
 * Where the process is gone, and it might have been: the first confined tree there is. */
const struct root *root_confining(const struct init *init, pid_t pid);
/* Whether the process is a tree's root; or NULL. */
struct root *root_find(struct init *init, pid_t pid);
void roots_close(struct init *init);

/* confined.c: what is started for a confined tree is confined like it. */
/* 0 or an errno. */
int confinement_add(struct init *init, const struct root *root);
void confinement_leave(struct init *init, const struct root *root);
/* Of this space, or NULL: it is not confined. */
struct confinement *confinement_find(const struct init *init, uint64_t space);
void confinements_free(struct init *init);
/* Turn a command into one that confines itself first. *words: replaced; *control: the descriptor
 * that it gets as its fourth. 0 or an errno. */
int confined_prepare(struct translator *translator, char ***words, int *control);
void confined_watch(struct translator *translator);
/* What enter has said so far. */
void confined_read(struct translator *translator);
void confined_close(struct translator *translator);

/* trapped.c: the trap server's listeners, held by init from one of its lives to the next. */
void trapped_add(struct init *init, const struct root *root, struct msg *raw, struct reply *reply);
/* The same for a confined translator; `listener` is taken over. */
void trapped_add_own(struct translator *translator, int listener, trapped_settled *settled);
/* Have the root of the asker's tree start a process beside it, which gets `passed` (borrowed). 0 or
 * an errno. */
int trapped_beside(struct init *init, pid_t asker, int passed);
/* Nobody is to be told any more. */
void trapped_unwait(struct init *init, const void *context);
void trapped_end(struct init *init, uint64_t id);
/* The trap server is up: hand all to it. */
void trapped_serve(struct init *init);
/* It does not come up: those who wait for it do so in vain. */
void trapped_refuse(struct init *init, int error);
void trapped_close(struct init *init);

/* keep.c */
int kept_put(struct init *init, const struct slot *owner, const char *name, int descriptor);
/* Borrowed, or -1. */
int kept_get(const struct init *init, const struct slot *owner, const char *name);
void kept_close(struct init *init);

/* copy.c: the patched libc, and the default space's door to it; `incomplete` says it where there
 * can be none. */
void copy_begin(struct init *init);
/* The copy of what the original is now, made if there is none yet. 0 or an errno. */
int copy_make(const struct init *init, char *copy, size_t size);
/* Does a program start with this copy as its libc? 0 or an errno. */
int copy_try(const char *copy);

/* renew.c: the libc may be replaced under a running session. */
void libc_identify(const struct libc *libc, struct libc_identity *identity);
void libc_watch(struct init *init);
/* Look whether it was; a new copy is made by a process of its own. */
void libc_look(struct init *init);
/* The same where a tree begins in `space`, whose door may have been made in between. */
void libc_look_for(struct init *init, uint64_t space);

/* stop.c */
void stop_begin(struct init *init, unsigned grace_ms, struct reply *reply);
void stop_advance(struct init *init);

/* main.c */
int socket_listen(const char *path, int *descriptor);
int path_make(char *buffer, size_t size, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* The session lives without its lease from now on, or ends. */
void lease_end(struct init *init);
/* Tell the starter, once: NULL: up; else why not. */
void starter_tell(struct init *init, const char *failure);
void incomplete_add(struct init *init, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
