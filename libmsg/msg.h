/* libmsg: ports, rights, messages and port sets. The one public header.
 *
 * A *port* is the right to send messages to somebody: the end of a bus connection (socket port) or
 * a function in the same program (local port). The port decides how a message runs: a local port
 * runs it at once in the caller's context, a socket port queues it; either may answer at once or
 * keep the *reply* and answer later (DragonFly's EASYNC), and the caller sees one interface.
 *
 * A *port set* belongs to one libev loop and serves any number of ports. Nothing here has threads
 * or locks: a port set, its ports and their replies belong to one thread. No call blocks, except
 * those that say so and take a timeout.
 *
 * Errors: functions return 0 or a positive errno, or a pointer that is NULL with errno set.
 * Timeouts are relative, in milliseconds; negative: none.
 * Descriptors in messages that one sends are borrowed: they stay the sender's. Descriptors in a
 * message that one received belong to the message: take them with msg_take, the rest are closed
 * when the message ends. All descriptors that libmsg makes have FD_CLOEXEC.
 * Linux holds the descriptors of all of a user's processes that nobody has received yet against the
 * sender's RLIMIT_NOFILE (ETOOMANYREFS). A message that meets this waits in the port's queue (for
 * which its descriptors are duplicated) with all that comes behind it, for 10 s at most: then its
 * call ends with ETOOMANYREFS, a reply becomes that error, for a notice the connection ends. Where
 * nothing can be duplicated it is returned at once; msg_call waits all the same.
 *
 * The lineage: Mach's ports and no-senders notices, L4's reply-wait, DragonFly's light-weight
 * messages. See DESIGN and docs/architecture.md. */
#ifndef HIRSEL_MSG_H
#define HIRSEL_MSG_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct ev_loop;
struct port;
struct port_set;
struct listener;
struct reply;
struct call;

/* A message, to send or received. The bus knows nothing of `body`. */
struct msg {
    uint32_t operation;
    int32_t error;    /* of a reply: 0 or a positive errno */
    uint64_t object;  /* a handle that the receiver gave out on this connection, or 0 */
    uint64_t request; /* at-most-once id, or 0: the operation may be redone */
    const void *body; /* sent: borrowed. received: lives as long as the message */
    size_t length; /* of body; at most WIRE_BODY_MAX. Long bodies travel in a memfd by themselves */
    int *descriptors;        /* sent: borrowed. received: owned by the message; -1 where taken */
    size_t descriptor_count; /* at most WIRE_DESCRIPTORS_MAX */
    void *storage; /* libmsg's own: what holds body and descriptors of a received message */
};

/* Take descriptor `index` out of a received message: the caller owns it. -1 with errno EBADMSG
 * where there is none. */
int msg_take(struct msg *message, size_t index);

/* Close what was not taken and free what a received message holds. Harmless on a sent one. */
void msg_release(struct msg *message);

/* Who is at the other end, as the kernel says (SO_PEERCRED at connect time); for whom the trap
 * server connected (WIRE_FOR), or PEER_GONE if that one is gone. For a local port and for a pair:
 * this process. */
#define PEER_GONE INT_MAX
struct peer {
    pid_t pid;
    uid_t uid;
    gid_t gid;
};

/* What a port does with a message. For a request `reply` is not NULL and must be answered exactly
 * once: now or later, by reply_send, reply_error or msg_forward. For a notice it is NULL. `message`
 * is released by the caller after the handler returns, unless the handler takes it over with
 * msg_keep. */
typedef void msg_handler(struct port *port, struct msg *message, struct reply *reply,
                         void *context);

/* Take a message over from a handler: `to` gets body and descriptors, and msg_release(to) is now
 * the taker's to call. `message` stays readable until `to` is released. Where a local port's body
 * can't be copied `to` is empty with error ENOMEM. */
void msg_keep(struct msg *message, struct msg *to);

/* ---- port sets ---- */

/* All ports that one loop serves. The loop is borrowed. NULL: ENOMEM. */
struct port_set *port_set_new(struct ev_loop *loop);
/* Close all its ports and listeners. Replies still owed get ECONNRESET at their callers. */
void port_set_free(struct port_set *set);

/* Limits of a set, against hostile or careless peers; zero leaves a limit as it is.
 * `queued_bytes`: what may wait to be sent to one peer that does not read, before that peer is
 *   dropped; and what the unanswered requests of one connection may hold (a descriptor counts as
 *   64 KiB), before no more are read (default 8 MiB).
 * `connections`: how many accepted connections at once, further ones wait in the listen queue
 *   (default 512).
 * `replies`: how many requests of one connection may be unanswered at once; more are not read
 *   until one is answered (default 64). */
void port_set_limit(struct port_set *set, size_t queued_bytes, unsigned connections,
                    unsigned replies);

/* What is told of a port's end, see port_on_hangup. */
typedef void port_hangup(struct port *port, int error, void *context);

/* ---- making ports ---- */

/* Two socket ports connected with each other; either may be handed to another process with
 * port_descriptor (who then makes a port of it by port_adopt with `starts`; this side's port_close
 * gives up its own duplicate). No handshake is needed before use. Both belong to `set`. */
int port_pair(struct port_set *set, struct port **one, struct port **other);

/* A local port: messages to it run `handler` in the caller's context. */
struct port *port_local(struct port_set *set, msg_handler *handler, void *context);

/* Connect to the socket at `path` and shake hands. Blocks up to `timeout_ms`. Errors: those of
 * connect(2); what the other side's port_arrival said; EPROTO: no common version; EMFILE: the other
 * side has no descriptor left; ETIMEDOUT. */
int port_connect(struct port_set *set, const char *path, int timeout_ms, struct port **port);

/* The same without blocking: requests may be sent at once, they wait in the queue until the
 * handshake is done. A refused handshake shows as hang-up. */
int port_connect_start(struct port_set *set, const char *path, struct port **port);

/* Make a port of a connected SEQPACKET socket that one was given (taken over, closed on error too).
 * `starts`: whether this side says hello first; exactly one side must. */
int port_adopt(struct port_set *set, int descriptor, bool starts, struct port **port);

/* Bind and listen at `path` (mode 0600, an old socket there is replaced by rename, in one step).
 * listener_close removes it if it is still there. */
int port_publish(struct port_set *set, const char *path, msg_handler *handler, void *context,
                 struct listener **listener);
/* The same with a listening socket that one was given (taken over). */
int port_listen(struct port_set *set, int descriptor, msg_handler *handler, void *context,
                struct listener **listener);
/* Told for each accepted port before its first message (`arrived`), with the welcome's space to
 * fill in. Returning an errno drops the connection and is what its port_connect returns. */
typedef int port_arrival(struct port *port, uint64_t *space, void *context);
void listener_on_arrival(struct listener *listener, port_arrival *arrival, void *context);
/* Told of each accepted port that is dropped for what its peer did (`error` is never 0; before the
 * port's own port_hangup): for the log. Junk before the handshake shows only here. May be NULL. */
void listener_on_drop(struct listener *listener, port_hangup *drop, void *context);
void listener_close(struct listener *listener);

/* ---- ports ---- */

/* Set who gets the messages that come in on this port (an accepted port has its listener's). */
void port_on_message(struct port *port, msg_handler *handler, void *context);

/* Called once when the other end is gone (exactly when its last duplicate is closed: no senders)
 * or was dropped; `error` says why (0: closed; EPROTO, EMSGSIZE, ENOBUFS ...: dropped). After it
 * the port is freed by libmsg; all calls open on it have ended with ECONNRESET before. */
void port_on_hangup(struct port *port, port_hangup *hangup, void *context);

/* Give up a port: the other end sees a hang-up. Calls open on it end with ECANCELED; requests that
 * it asked for and that were not answered are answered into the void. No hang-up is called. */
void port_close(struct port *port);

struct peer port_peer(const struct port *port);
/* The socket, still the port's; -1 for a local port. */
int port_descriptor(const struct port *port);
/* The set that it belongs to. */
struct port_set *port_owner(const struct port *port);
/* The space that the other side's welcome named, 0 before. */
uint64_t port_space(const struct port *port);
/* Something of one's own to remember with a port. */
void port_set_context(struct port *port, void *context);
void *port_context(const struct port *port);

/* Tracing: `tap` sees every message that passes the port, both ways, before it is handled. */
enum tap_direction { TAP_RECEIVED, TAP_SENT };
typedef void port_tap_function(struct port *port, enum tap_direction direction, uint16_t wire_kind,
                               const struct msg *message, uint32_t tag, void *context);
void port_tap(struct port *port, port_tap_function *tap, void *context);

/* ---- sending ---- */

/* Send a notice. Queued if the peer does not read. ENOTCONN, EMSGSIZE, ENOBUFS (peer dropped). */
int msg_send(struct port *port, const struct msg *message);

/* Call and wait: blocks up to `timeout_ms`, only for this port's socket (no loop runs; other
 * messages that arrive on it meanwhile are kept and handled afterwards by the loop). On a local
 * port the handler runs at once; if it keeps the reply, the set's loop runs until it is answered.
 * 0: `answer` holds the reply, to be released; its `error` is 0. Otherwise the errno of the reply
 * or of the way: ETIMEDOUT (a cancel was sent), ECONNRESET, ENOTCONN, EMSGSIZE, EMFILE (descriptors
 * came that could not be opened), ECANCELED (a local port's wait: the loop was ended by ev_break).
 * `answer` may be NULL if it is not wanted. */
int msg_call(struct port *port, const struct msg *message, struct msg *answer, int timeout_ms);

/* Call and be told: `done` runs exactly once, from the loop (or before msg_call_start returns, on
 * a local port that answers at once), with the reply (error 0 or not; no body on an error of the
 * way). The message is released after `done` unless kept. NULL in *call if it already ended. Where
 * an errno is returned `done` never runs. */
typedef void call_done(int error, struct msg *answer, void *context);
int msg_call_start(struct port *port, const struct msg *message, int timeout_ms, call_done *done,
                   void *context, struct call **call);
/* Stop waiting: the peer is told, `done` runs with ECANCELED before this returns. NULL is harmless.
 */
void call_cancel(struct call *call);

/* ---- waiting for messages without the loop ---- */

/* Wait for the next request or notice on this socket port, for a program that serves nothing else:
 * the port's handler is not called, no loop runs. 0: `message` is to be released, *reply to be
 * answered (NULL for a notice). ETIMEDOUT; ECONNRESET: the other end is gone (port_close is the
 * caller's); ENOTCONN. Replies and cancels that arrive are handled meanwhile. */
int msg_wait(struct port *port, struct msg *message, struct reply **reply, int timeout_ms);

/* Answer `reply`, then msg_wait: one turn of such a server. */
int msg_reply_wait(struct port *port, struct reply *reply, const struct msg *answer,
                   struct msg *message, struct reply **next, int timeout_ms);

/* ---- replying ---- */

/* Answer, exactly once; the reply is gone afterwards. The caller may have left: that is no error.
 * A second answer aborts the program: it is a bug, not an input. An answer that can't be sent as it
 * is (EMSGSIZE, EMFILE, …) becomes that error. A `reply` of NULL is harmless in all calls here, so
 * that a request that came as a notice needs no care. */
void reply_send(struct reply *reply, const struct msg *message);
void reply_error(struct reply *reply, int error);

/* Pass the request on to another port, the reply right with it: the other's answer (body,
 * descriptors and all) goes straight back to the caller. A cancel follows it. If the way to the
 * other breaks the caller gets ECONNRESET, or, if `retry` is given, retry decides: it gets the
 * reply right and the kept request back (which is released after it). After `timeout_ms` the
 * caller gets ETIMEDOUT. Not 0 (ENOTCONN, EMSGSIZE, …): nothing was passed on and the reply is
 * still to be answered. A notice (`reply` NULL) is passed on as one. */
typedef void forward_broken(int error, struct msg *message, struct reply *reply, void *context);
int msg_forward(struct port *port, const struct msg *message, struct reply *reply, int timeout_ms,
                forward_broken *retry, void *context);

/* Told, once, when the caller cancelled or left (at once if that was before); the reply must still
 * be answered, which may be done right here. */
typedef void reply_cancelled(struct reply *reply, void *context);
void reply_on_cancel(struct reply *reply, reply_cancelled *cancelled, void *context);
/* The port that the request came by; NULL once the caller has left. */
struct port *reply_port(const struct reply *reply);

/* ---- handles: objects that a server gives out, per connection ---- */

/* A handle for `object` on this connection: never 0, never one of another connection's. `release`
 * (may be NULL) runs when it is dropped or the port goes. 0: ENOMEM. */
uint64_t handle_new(struct port *port, void *object, void (*release)(void *object));
/* The object, or NULL with errno EBADF. */
void *handle_get(const struct port *port, uint64_t handle);
/* EBADF if there is none. */
int handle_drop(struct port *port, uint64_t handle);

/* An id for `request` that no one else has: random in its upper half, counted in its lower. */
uint64_t request_id_new(void);

#endif
