/* What libmsg's own files share. Nobody else includes this. */
#ifndef HIRSEL_MSG_INTERNAL_H
#define HIRSEL_MSG_INTERNAL_H

#include <ev.h>
#include <sys/socket.h>

#include "libmsg/msg.h"
#include "libmsg/wire.h"

/* What every call runs through: the linker lays it side by side, on a page or two instead of one
 * here and one there. After a switch of processes each page touched costs a miss. */
#define HOT __attribute__((hot))

/* The kernel's own limit (SCM_MAX_FD): more never come in one packet. */
#define DESCRIPTORS_IN_PACKET 253

/* ---- messages' storage (message.c) ---- */

/* Descriptors up to this many lie in the storage itself. */
#define STORAGE_FEW 8

struct storage {
    int *many;
    size_t capacity;
    int few[STORAGE_FEW];
    _Alignas(8) unsigned char body[];
};

struct storage *storage_new(size_t capacity);
void storage_free(struct storage *storage);
/* Give `message` (which has storage, or gets one) these descriptors, which it owns from now on, or
 * which are closed on ENOMEM. */
int message_own_descriptors(struct msg *message, const int *descriptors, size_t count);
/* A deep copy: body copied, descriptors duplicated. */
int message_copy(struct msg *to, const struct msg *from);
void descriptors_close(const int *descriptors, size_t count);
/* Close what a peer sent and nobody took: it may be a socket that lingers, which would block. */
void descriptors_discard(const int *descriptors, size_t count);
/* Duplicate `count` descriptors, all or none. */
int descriptors_duplicate(int *to, const int *from, size_t count);

/* ---- ids (slots.c) ---- */

/* A table whose ids tell stale from live: the low 16 bits are the index, the rest a serial. */
struct slot {
    uint64_t id; /* 0: free */
    void *object;
    void (*release)(void *object);
    uint32_t next_free;
};

struct slots {
    struct slot *table;
    uint32_t count;
    uint32_t free_head; /* index + 1; 0: none */
};

#define SLOTS_MAX 65536u

/* The new id, or 0: ENOMEM. */
uint64_t slots_put(struct slots *slots, uint64_t serial, void *object, void (*release)(void *));
static inline struct slot *slots_find(const struct slots *slots, uint64_t id)
{
    uint32_t index = (uint32_t)(id & (SLOTS_MAX - 1));
    if (index >= slots->count || id == 0 || slots->table[index].id != id)
        return NULL;
    return &slots->table[index];
}
static inline void slots_drop(struct slots *slots, struct slot *slot)
{
    slot->id = 0;
    slot->object = NULL;
    slot->next_free = slots->free_head;
    slots->free_head = (uint32_t)(slot - slots->table) + 1;
}
void slots_clear(struct slots *slots);

/* ---- packets ---- */

struct packet {
    struct wire_header header;
    struct msg message; /* owned */
    int lost;           /* an errno: body or descriptors could not be had (EMFILE, ENOMEM) */
};

/* What arrived while nobody could handle it. */
struct kept_packet {
    struct kept_packet *next;
    struct packet packet;
};

/* Room for every descriptor that the kernel can bring: if some are missing nevertheless
 * (MSG_CTRUNC), then because this process could not open more. */
#define CONTROL_SIZE CMSG_SPACE(DESCRIPTORS_IN_PACKET * sizeof(int))

/* Is this what a well-behaved peer sends? `size` is the packet's size, `received` the number of
 * descriptors that came, `truncated` whether some of them were lost. 0, EPROTO, EMSGSIZE. */
int wire_check(const struct wire_header *header, size_t size, size_t received, bool truncated);

/* Receive one packet. 0, EAGAIN, EINTR, PACKET_END, or why the peer must be dropped. */
#define PACKET_END (-1)
int packet_receive(struct port *port, int flags, struct packet *packet);

/* ---- sending (transmit.c) ---- */

/* One packet, now. 0 or errno; EAGAIN: the peer does not read. */
int packet_send(int descriptor, const struct wire_header *header, const void *body, size_t length,
                const int *descriptors, size_t count);
/* A sealed memfd with this content, or -1 with errno. */
int body_memfd(const void *body, size_t length);
/* Send, or queue what can't be sent now. `header` needs kind, operation, object, request, tag and
 * error; the rest is filled in. 0 or ENOTCONN, EMSGSIZE, ENOBUFS, ENOMEM, EMFILE, EBADF,
 * ETOOMANYREFS (it can't even be queued, no descriptor is left). */
int port_transmit(struct port *port, struct wire_header *header, const struct msg *message);
/* A packet of the handshake. 0 or errno; EPIPE and ECONNRESET where the peer is gone. */
int port_transmit_hello(struct port *port, uint16_t kind, int error,
                        const struct wire_hello *hello);
void port_transmit_cancel(struct port *port, uint32_t tag);

/* ---- what can't be sent now (queue.c) ---- */

struct queued_packet {
    struct queued_packet *next;
    size_t charge;
    int64_t since_ms; /* when it was queued */
    struct wire_header header;
    int *descriptors; /* owned */
    unsigned char body[];
};

/* Pauses between tries when too many descriptors are in flight, and when to give up. */
#define CROWD_PAUSE_MIN_MS 1
#define CROWD_PAUSE_MAX_MS 64
#define CROWD_LIMIT_MS 10000

/* Queue a packet. `descriptors` are borrowed but for the first `own` ones, which are taken over,
 * also on error. 0, ENOBUFS (the port ends), EMFILE, ENOMEM. */
int port_queue_put(struct port *port, const struct wire_header *header, const void *body,
                   const int *descriptors, size_t own);
/* Whether an error of sending says that nobody reads any more. */
bool peer_is_gone(int error);
/* Nobody reads any more what we send. What the peer sent before is still to be read, so that the
 * end itself is found by reading. */
void port_peer_left(struct port *port);
/* The set's timer: try the crowded queues again. */
void crowd_try(struct ev_loop *loop, ev_timer *watcher, int events);
/* Send what is queued, as far as the peer takes it. */
void port_flush(struct port *port);
void port_queue_clear(struct port *port);
void port_writable(struct ev_loop *loop, ev_io *watcher, int events);

/* ---- ports ---- */

enum port_state {
    PORT_CONNECTING, /* the listen queue was full: tried again by the timer */
    PORT_HELLO_SENT,
    PORT_HELLO_AWAITED,
    PORT_FRESH, /* open without a handshake (a pair); a first hello is answered all the same */
    PORT_OPEN,
    PORT_ENDING, /* the end was seen outside the loop: the loop will say so */
    PORT_CLOSED,
};

struct port {
    /* What every message touches comes first, together in few cache lines. */
    struct port_set *set;
    int descriptor;
    enum port_state state;
    unsigned references;
    int receive_timeout_ms; /* what SO_RCVTIMEO was set to */
    unsigned owed_count;    /* replies not yet answered, and those that are still queued */
    uint16_t tag_serial;
    bool local;     /* has no socket */
    bool later;     /* is in the set's list of ports to attend to */
    bool stopped;   /* too many unanswered requests: not read */
    bool peer_gone; /* nothing can be sent any more; what was sent to us is still read */
    bool crowded;   /* the head of the queue waits for fewer descriptors in flight */
    struct queued_packet *queue_head;
    size_t queue_bytes;
    size_t owed_weight; /* of the requests not yet answered */
    struct kept_packet *inbox_head;
    port_tap_function *tap;
    msg_handler *handler;
    void *handler_context;
    struct reply *owed; /* not yet answered */
    struct slots calls; /* by tag; an object of NULL: abandoned, its reply is still to come */
    ev_io reader;

    struct queued_packet **queue_tail;
    int64_t crowded_since_ms; /* 0: not, or not known */
    struct kept_packet **inbox_tail;
    size_t inbox_bytes;
    struct port *next, *previous; /* in the set's list */
    struct port *later_next;
    bool silent;   /* closed by its owner: no hang-up is called */
    bool accepted; /* counts as one of the set's connections */
    int error;     /* why it is ending */
    struct peer peer;
    bool asked_for;       /* by the trap server, for `peer`, */
    uint64_t asked_start; /* who began then */
    uint64_t space;
    void *context;
    port_hangup *hangup;
    void *hangup_context;
    port_hangup *drop;
    void *drop_context;
    void *tap_context;
    port_arrival *arrival;
    void *arrival_context;
    ev_io writer;
    ev_timer deadline; /* of the handshake; or the next try to connect */
    char *path;        /* while connecting */
    unsigned tries;    /* to connect */
    struct slots handles;
};

/* A port with one reference, in the set's list; for a socket not yet watched. */
struct port *port_new(struct port_set *set, int descriptor, enum port_state state);
/* port_new and watch; the descriptor is closed on error. */
int port_start(struct port_set *set, int descriptor, enum port_state state, struct port **port);
/* Ask the kernel who is at the other end. */
void port_identify(struct port *port);
static inline void port_hold(struct port *port)
{
    port->references++;
}
void port_free(struct port *port);
static inline void port_release(struct port *port)
{
    if (--port->references == 0)
        port_free(port);
}
/* End it here and now: calls end with `call_error`, then hang-up (unless silent), then handles. */
void port_end(struct port *port, int error, int call_error);
/* End it from the loop: for places that must not call back. */
void port_end_later(struct port *port, int error);

/* ---- receiving (input.c) ---- */

void port_readable(struct ev_loop *loop, ev_io *watcher, int events);
/* Handle what was kept, go on reading, or end: whatever the port needs. Called by the loop. */
void port_attend(struct port *port);
void port_attend_later(struct port *port);
/* Handle a packet (taken over). */
void port_handle(struct port *port, struct packet *packet);
/* The reply of a request that arrived; NULL if the request was dealt with already (its descriptors
 * were lost, its tag was taken). */
struct reply *port_admit(struct port *port, const struct packet *packet);
/* The oldest kept packet, or false. */
bool port_inbox_take(struct port *port, struct packet *packet);
/* Keep a packet (taken over) for the loop. ENOBUFS, ENOMEM: it is released. */
int port_keep(struct port *port, struct packet *packet);
void port_inbox_clear(struct port *port);
/* An answered or sent reply: maybe more may be read now. */
void port_reply_done(struct port *port);

/* ---- the handshake (handshake.c) ---- */

int handshake_start(struct port *port);
/* A hello or welcome came. 0, or why the port must end. */
int handshake_packet(struct port *port, const struct packet *packet);

/* ---- connecting (connect.c) ---- */

/* bind(2) to a path of any length. 0 or errno. */
int address_bind(int descriptor, const char *path);
int seqpacket_new(void);
/* Try again what found the listen queue full. */
void connect_try(struct port *port);

/* ---- sets (set.c) ---- */

struct port_set {
    unsigned connections_max;
    unsigned connections;
    uint64_t handle_serial;
    size_t queued_descriptors; /* duplicates that wait in queues */
    unsigned references;       /* its owner's and each port's */
    bool closed;
    int spare_descriptor; /* given up to refuse a connection properly when there is none left */
    struct port *ports;
    struct listener *listeners;
    ev_timer later; /* never started: fed, to be called by the loop when all else is done */
    struct port *later_head, **later_tail;
    ev_timer upkeep; /* runs while something is paused */
    ev_timer crowd;  /* runs while a port is crowded */
    size_t queued_bytes;

    struct ev_loop *loop;
    struct call *waiting; /* innermost call that waits with the loop running */
    struct reply *free_replies;
    unsigned replies_max;
    /* Where a packet lands, until what it carries is copied to storage of the right size. */
    struct wire_header header;
    unsigned char body[WIRE_INLINE_MAX];
    _Alignas(struct cmsghdr) unsigned char control[CONTROL_SIZE];
    int descriptors[DESCRIPTORS_IN_PACKET];
};

void set_release(struct port_set *set);
/* Something is paused: look again soon. */
void set_upkeep(struct port_set *set);

/* ---- listeners (listener.c) ---- */

/* A descriptor or a connection's place was freed, or time went by. True if any is still paused. */
bool listeners_resume(struct port_set *set);

/* ---- waiting on a socket without the loop (wait.c) ---- */

struct wait {
    int64_t deadline; /* CLOCK_MONOTONIC in ms; negative: none */
    bool block;       /* the next receive may block by itself */
    bool handshake;   /* the end of the handshake is what is waited for */
    int pause_ms;     /* until a crowded queue is tried again */
    /* Whose reply is waited for, or NULL: it may turn out that it can't even be sent. */
    const struct call *call;
};

int64_t wait_clock_ms(void);
void wait_begin(struct wait *wait, struct port *port, int timeout_ms);
/* The next packet that is none of the handshake. 0, ETIMEDOUT, ECONNRESET, ECANCELED: wait->call
 * has ended. Nothing is called back but port_arrival and the tap. */
int wait_packet(struct wait *wait, struct port *port, struct packet *packet);

/* ---- calls (call.c) ---- */

struct call {
    struct port *port;
    uint32_t tag;
    bool blocking;
    bool ended;
    bool answered; /* by a reply, not by an error of the way */
    int error;
    struct reply *local; /* a local port's, which keeps it */
    struct msg *answer;  /* blocking: where it goes; may be NULL */
    call_done *done;
    /* Instead of done: for those who must know `answered`. */
    void (*finished)(struct call *call, int error, struct msg *answer);
    void *context;
    ev_timer timer;
    struct call *outer; /* the next waiting call outside this one */
};

/* Start a call that was allocated with port, done or finished, and context set; it is freed if this
 * fails or when it ends. True in *ended: it ended already. */
int call_start(struct call *call, const struct msg *message, int timeout_ms, bool *ended);
/* The call is over: out of its table already. `answer` (may be NULL) is released. Frees a call
 * that is not blocking. */
void call_finish(struct call *call, int error, struct msg *answer, bool answered);
/* The other side should know that nobody waits any more; it still answers. */
void call_tell_cancel(struct call *call);
/* End all calls of a port. */
void calls_end(struct port *port, int error);

/* ---- local ports (local.c) ---- */

/* Run the handler for a notice. */
int local_send(struct port *port, const struct msg *message);
/* Run the handler for a request. Afterwards the call has ended, or its `local` is set. */
int local_request(struct port *port, const struct msg *message, struct call *call);
/* Bring a local port's answer to the call. */
void local_answer(struct call *call, const struct msg *message);

/* ---- replies (reply.c) ---- */

enum reply_state { REPLY_GONE, REPLY_OWED, REPLY_FORWARDED };

struct reply {
    struct reply *next, *previous; /* in the port's list */
    struct port *port;             /* NULL: the caller has left */
    enum reply_state state;
    uint32_t tag;
    uint32_t operation;
    size_t weight; /* what the request holds, in bytes */
    bool is_cancelled;
    reply_cancelled *cancelled;
    void *cancelled_context;
    struct call *call;    /* the caller, of a local port */
    struct call *forward; /* the call that it was passed on with */
};

/* NULL: ENOMEM. */
struct reply *reply_new(struct port *port, uint32_t operation, uint32_t tag);
struct reply *reply_find(const struct port *port, uint32_t tag);
/* The caller cancelled: tell whoever has the reply. */
void reply_cancel(struct reply *reply);
/* The port goes: nobody waits for its replies any more. */
void replies_orphan(struct port *port, int call_error);

#endif
