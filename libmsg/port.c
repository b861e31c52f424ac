/* Ports: their making, their end, and what can be asked of them. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "libmsg/internal.h"

static struct peer own_identity(void)
{
    return (struct peer){.pid = getpid(), .uid = getuid(), .gid = getgid()};
}

/* When a process (or thread) began, in ticks since boot; 0: it is gone. With its number that is who
 * it is: numbers come again. */
static uint64_t began(pid_t pid)
{
    char path[32], text[1024];
    const char *end;
    unsigned long long start = 0;
    ssize_t length;
    int file;

    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return 0;
    length = read(file, text, sizeof text - 1);
    close(file);
    if (length <= 0)
        return 0;
    text[length] = '\0';
    end = strrchr(text, ')');
    if (!end || sscanf(end,
                       ") %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s "
                       "%*s %llu",
                       &start) != 1)
        return 0;
    return start;
}

/* Whom the other end connected for, and when that one began. False: it did for itself. */
static bool asked_for(int descriptor, pid_t *pid, uint64_t *start)
{
    struct sockaddr_un name;
    socklen_t size = sizeof name;
    const size_t prefix = sizeof WIRE_FOR - 1, at = offsetof(struct sockaddr_un, sun_path) + 1;
    char text[sizeof name.sun_path] = {0};
    unsigned long long number, ticks;
    if (getpeername(descriptor, (struct sockaddr *)&name, &size) != 0 || size <= at + prefix ||
        name.sun_path[0] != '\0' || memcmp(name.sun_path + 1, WIRE_FOR, prefix) != 0)
        return false;
    memcpy(text, name.sun_path + 1 + prefix, size - at - prefix);
    *pid = PEER_GONE;
    *start = 0;
    if (sscanf(text, "%10llu.%20llu.", &number, &ticks) == 2 && number > 0 && number < PEER_GONE) {
        *pid = (pid_t)number;
        *start = ticks;
    }
    return true;
}

void port_identify(struct port *port)
{
    struct ucred credentials;
    socklen_t size = sizeof credentials;
    if (getsockopt(port->descriptor, SOL_SOCKET, SO_PEERCRED, &credentials, &size)) {
        port->peer = (struct peer){.pid = 0, .uid = (uid_t)-1, .gid = (gid_t)-1};
        return;
    }
    port->peer = (struct peer){credentials.pid, credentials.uid, credentials.gid};
    port->asked_for = asked_for(port->descriptor, &port->peer.pid, &port->asked_start);
}

struct port *port_new(struct port_set *set, int descriptor, enum port_state state)
{
    struct port *port = calloc(1, sizeof *port);
    if (!port)
        return NULL;
    port->set = set;
    port->references = 1;
    port->state = state;
    port->descriptor = descriptor;
    port->receive_timeout_ms = -2; /* not known */
    port->queue_tail = &port->queue_head;
    port->inbox_tail = &port->inbox_head;
    ev_io_init(&port->reader, port_readable, descriptor, EV_READ);
    ev_io_init(&port->writer, port_writable, descriptor, EV_WRITE);
    port->reader.data = port;
    port->writer.data = port;
    port->deadline.data = port;
    port->next = set->ports;
    if (port->next)
        port->next->previous = port;
    set->ports = port;
    set->references++;
    return port;
}

void port_free(struct port *port)
{
    struct port_set *set = port->set;
    slots_clear(&port->calls);
    slots_clear(&port->handles);
    free(port);
    set_release(set);
}

int port_start(struct port_set *set, int descriptor, enum port_state state, struct port **port)
{
    /* The blocking mode belongs to the open socket and may be shared: what must not block says so
     * at each call (MSG_DONTWAIT), and msg_call wants to block. */
    int flags = fcntl(descriptor, F_GETFL);
    int error = 0;
    if (flags < 0 || fcntl(descriptor, F_SETFD, FD_CLOEXEC) < 0 ||
        ((flags & O_NONBLOCK) && fcntl(descriptor, F_SETFL, flags & ~O_NONBLOCK) < 0))
        error = errno;
    struct port *made = error ? NULL : port_new(set, descriptor, state);
    if (!made) {
        close(descriptor);
        return error ? error : ENOMEM;
    }
    port_identify(made);
    ev_io_start(set->loop, &made->reader);
    *port = made;
    return 0;
}

static void port_unlink(struct port *port)
{
    if (port->previous)
        port->previous->next = port->next;
    else
        port->set->ports = port->next;
    if (port->next)
        port->next->previous = port->previous;
}

static void handles_release(struct port *port)
{
    for (uint32_t i = 0; i < port->handles.count; i++) {
        struct slot slot = port->handles.table[i];
        if (slot.id == 0)
            continue;
        slots_drop(&port->handles, &port->handles.table[i]);
        if (slot.release)
            slot.release(slot.object);
    }
}

void port_end(struct port *port, int error, int call_error)
{
    struct port_set *set = port->set;
    if (port->state == PORT_CLOSED)
        return;
    port_hold(port);
    port->state = PORT_CLOSED;
    ev_io_stop(set->loop, &port->reader);
    ev_io_stop(set->loop, &port->writer);
    ev_timer_stop(set->loop, &port->deadline);
    port_unlink(port);
    if (port->descriptor >= 0)
        close(port->descriptor);
    port->descriptor = -1;
    port_queue_clear(port);
    port_inbox_clear(port);
    free(port->path);
    port->path = NULL;
    if (port->accepted)
        set->connections--;

    calls_end(port, call_error);
    replies_orphan(port, call_error);
    if (error && port->drop && !port->silent)
        port->drop(port, error, port->drop_context);
    if (port->hangup && !port->silent)
        port->hangup(port, error, port->hangup_context);
    handles_release(port);
    listeners_resume(set);
    port->references--; /* the set's own */
    port_release(port); /* the hold */
}

void port_end_later(struct port *port, int error)
{
    if (port->state >= PORT_ENDING)
        return;
    port->state = PORT_ENDING;
    port->error = error;
    port->peer_gone = true;
    ev_io_stop(port->set->loop, &port->reader);
    ev_io_stop(port->set->loop, &port->writer);
    port_attend_later(port);
}

void port_close(struct port *port)
{
    if (!port)
        return;
    port->silent = true;
    port_end(port, 0, ECANCELED);
}

int port_pair(struct port_set *set, struct port **one, struct port **other)
{
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends))
        return errno;
    int error = port_start(set, ends[0], PORT_FRESH, one);
    if (error) {
        close(ends[1]);
        return error;
    }
    error = port_start(set, ends[1], PORT_FRESH, other);
    if (error) {
        port_close(*one);
        return error;
    }
    (*one)->peer = (*other)->peer = own_identity();
    return 0;
}

struct port *port_local(struct port_set *set, msg_handler *handler, void *context)
{
    struct port *port = port_new(set, -1, PORT_OPEN);
    if (!port)
        return NULL;
    port->local = true;
    port->handler = handler;
    port->handler_context = context;
    port->peer = own_identity();
    return port;
}

int port_adopt(struct port_set *set, int descriptor, bool starts, struct port **port)
{
    int type = 0;
    socklen_t size = sizeof type;
    if (getsockopt(descriptor, SOL_SOCKET, SO_TYPE, &type, &size) || type != SOCK_SEQPACKET) {
        int error = type ? EPROTOTYPE : errno;
        close(descriptor);
        return error;
    }
    int error = port_start(set, descriptor, starts ? PORT_HELLO_SENT : PORT_HELLO_AWAITED, port);
    if (!error && starts)
        error = handshake_start(*port);
    return error;
}

void port_on_message(struct port *port, msg_handler *handler, void *context)
{
    port->handler = handler;
    port->handler_context = context;
}

void port_on_hangup(struct port *port, port_hangup *hangup, void *context)
{
    port->hangup = hangup;
    port->hangup_context = context;
}

struct peer port_peer(const struct port *port)
{
    struct peer peer = port->peer;

    /* Its number may be another's by now, who has more rights. */
    if (port->asked_for && began(peer.pid) != port->asked_start)
        peer.pid = PEER_GONE;
    return peer;
}

int port_descriptor(const struct port *port)
{
    return port->descriptor;
}

struct port_set *port_owner(const struct port *port)
{
    return port->set;
}

uint64_t port_space(const struct port *port)
{
    return port->space;
}

void port_set_context(struct port *port, void *context)
{
    port->context = context;
}

void *port_context(const struct port *port)
{
    return port->context;
}

void port_tap(struct port *port, port_tap_function *tap, void *context)
{
    port->tap = tap;
    port->tap_context = context;
}
