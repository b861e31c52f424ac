/* Accepting connections. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "libmsg/internal.h"

/* How many connections are accepted in one turn of the loop. */
#define ACCEPT_TURN 16
/* A connection that says no hello within this time is dropped. */
#define HELLO_SECONDS 10.0

struct listener {
    struct port_set *set;
    struct listener *next, *previous;
    msg_handler *handler;
    void *context;
    port_arrival *arrival;
    void *arrival_context;
    port_hangup *drop;
    void *drop_context;
    ev_io watcher;
    bool paused;
    char *path; /* published: to be removed at the end if it is still ours */
    dev_t device;
    ino_t inode;
};

static void pause_accepting(struct listener *listener)
{
    listener->paused = true;
    ev_io_stop(listener->set->loop, &listener->watcher);
}

bool listeners_resume(struct port_set *set)
{
    bool paused = false;
    if (set->closed)
        return false;
    if (set->spare_descriptor < 0)
        set->spare_descriptor = open("/dev/null", O_RDONLY | O_CLOEXEC);
    for (struct listener *listener = set->listeners; listener; listener = listener->next) {
        if (!listener->paused)
            continue;
        if (set->connections < set->connections_max && set->spare_descriptor >= 0) {
            listener->paused = false;
            ev_io_start(set->loop, &listener->watcher);
        } else {
            paused = true;
        }
    }
    return paused;
}

static void no_hello(struct ev_loop *loop, ev_timer *watcher, int events)
{
    (void)loop;
    (void)events;
    port_end(watcher->data, ETIMEDOUT, ETIMEDOUT);
}

static void accepted(struct listener *listener, int descriptor)
{
    struct port_set *set = listener->set;
    struct port *port;
    if (port_start(set, descriptor, PORT_HELLO_AWAITED, &port))
        return;
    port->handler = listener->handler;
    port->handler_context = listener->context;
    port->arrival = listener->arrival;
    port->arrival_context = listener->arrival_context;
    port->drop = listener->drop;
    port->drop_context = listener->drop_context;
    port->accepted = true;
    set->connections++;
    ev_timer_init(&port->deadline, no_hello, HELLO_SECONDS, 0.);
    port->deadline.data = port;
    ev_timer_start(set->loop, &port->deadline);
}

/* No descriptor is left: give up the spare one for as long as it takes to say so to the caller,
 * who would wait for ever otherwise. If somebody else gets it meanwhile, accepting pauses. */
static void refuse(struct listener *listener)
{
    struct port_set *set = listener->set;
    struct wire_hello welcome = {0};
    struct wire_header header = {
        .version = WIRE_VERSION, .kind = WIRE_WELCOME, .error = EMFILE, .length = sizeof welcome};
    struct iovec parts[2] = {{&header, sizeof header}, {&welcome, sizeof welcome}};
    struct msghdr raw = {.msg_iov = parts, .msg_iovlen = 2};

    if (set->spare_descriptor >= 0)
        close(set->spare_descriptor);
    int descriptor = accept4(listener->watcher.fd, NULL, NULL, SOCK_CLOEXEC);
    if (descriptor >= 0) {
        (void)sendmsg(descriptor, &raw, MSG_DONTWAIT | MSG_NOSIGNAL);
        close(descriptor);
    }
    set->spare_descriptor = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (set->spare_descriptor < 0) {
        pause_accepting(listener);
        set_upkeep(set);
    }
}

static void acceptable(struct ev_loop *loop, ev_io *watcher, int events)
{
    (void)loop;
    (void)events;
    struct listener *listener = watcher->data;
    struct port_set *set = listener->set;

    for (int turn = 0; turn < ACCEPT_TURN; turn++) {
        if (set->connections >= set->connections_max) {
            pause_accepting(listener);
            return;
        }
        int descriptor = accept4(watcher->fd, NULL, NULL, SOCK_CLOEXEC);
        if (descriptor >= 0) {
            accepted(listener, descriptor);
            continue;
        }
        if (errno == EINTR || errno == ECONNABORTED)
            continue;
        if (errno == EMFILE || errno == ENFILE) {
            refuse(listener);
        } else if (errno != EAGAIN) {
            /* ENOMEM, ENOBUFS: a moment later it may work. */
            pause_accepting(listener);
            set_upkeep(set);
        }
        return;
    }
}

int port_listen(struct port_set *set, int descriptor, msg_handler *handler, void *context,
                struct listener **listener)
{
    struct listener *made = NULL;
    int flags = fcntl(descriptor, F_GETFL);
    int error = 0;

    if (flags < 0 || fcntl(descriptor, F_SETFD, FD_CLOEXEC) < 0 ||
        fcntl(descriptor, F_SETFL, flags | O_NONBLOCK) < 0)
        error = errno;
    else if (listen(descriptor, SOMAXCONN))
        error = errno;
    else if (!(made = calloc(1, sizeof *made)))
        error = ENOMEM;
    if (error) {
        close(descriptor);
        return error;
    }
    made->set = set;
    made->handler = handler;
    made->context = context;
    ev_io_init(&made->watcher, acceptable, descriptor, EV_READ);
    made->watcher.data = made;
    made->next = set->listeners;
    if (made->next)
        made->next->previous = made;
    set->listeners = made;
    ev_io_start(set->loop, &made->watcher);
    *listener = made;
    return 0;
}

int port_publish(struct port_set *set, const char *path, msg_handler *handler, void *context,
                 struct listener **listener)
{
    struct stat status;
    char *temporary = NULL;
    char *copy = strdup(path);
    bool bound = false;
    int error = 0;
    int descriptor = seqpacket_new();

    if (descriptor < 0) {
        error = errno;
        goto out;
    }
    if (!copy || asprintf(&temporary, "%s.%08x", path, (unsigned)request_id_new()) < 0) {
        temporary = NULL;
        error = ENOMEM;
        goto out;
    }
    /* The mode of the socket before bind becomes the mode of the name: at no instant is it open to
     * others. */
    if (fchmod(descriptor, 0600)) {
        error = errno;
        goto out;
    }
    error = address_bind(descriptor, temporary);
    if (error)
        goto out;
    bound = true;
    /* Listening before it has its name: who finds it can connect. */
    if (lstat(temporary, &status) || listen(descriptor, SOMAXCONN)) {
        error = errno;
        goto out;
    }
    int mine = descriptor;
    descriptor = -1;
    error = port_listen(set, mine, handler, context, listener);
    if (error)
        goto out;
    if (rename(temporary, path)) {
        error = errno;
        listener_close(*listener);
        goto out;
    }
    bound = false;
    (*listener)->path = copy;
    (*listener)->device = status.st_dev;
    (*listener)->inode = status.st_ino;
    copy = NULL;
out:
    if (bound)
        unlink(temporary);
    if (descriptor >= 0)
        close(descriptor);
    free(temporary);
    free(copy);
    return error;
}

void listener_on_arrival(struct listener *listener, port_arrival *arrival, void *context)
{
    listener->arrival = arrival;
    listener->arrival_context = context;
}

void listener_on_drop(struct listener *listener, port_hangup *drop, void *context)
{
    listener->drop = drop;
    listener->drop_context = context;
}

void listener_close(struct listener *listener)
{
    struct stat status;
    if (!listener)
        return;
    ev_io_stop(listener->set->loop, &listener->watcher);
    if (listener->previous)
        listener->previous->next = listener->next;
    else
        listener->set->listeners = listener->next;
    if (listener->next)
        listener->next->previous = listener->previous;
    /* Another may have been published in its place. */
    if (listener->path && !lstat(listener->path, &status) && status.st_dev == listener->device &&
        status.st_ino == listener->inode)
        unlink(listener->path);
    close(listener->watcher.fd);
    free(listener->path);
    free(listener);
}
