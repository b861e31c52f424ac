/* Connecting by name. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "libmsg/internal.h"

/* How soon a full listen queue is tried again, and for how long. */
#define AGAIN_SECONDS 0.02
#define AGAIN_MAX_SECONDS 60.0

static int with_address(int descriptor, const char *path,
                        int (*act)(int, const struct sockaddr *, socklen_t))
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t length = strlen(path);
    int directory = -1;
    int error = 0;

    if (length == 0)
        return ENOENT;
    if (length < sizeof address.sun_path) {
        memcpy(address.sun_path, path, length);
    } else {
        /* An address holds 107 bytes, a path may have 4,095: go by a descriptor of its directory.
         */
        const char *name = strrchr(path, '/');
        char *parent = name ? strndup(path, (size_t)(name + 1 - path)) : NULL;
        if (!parent)
            return name ? ENOMEM : ENAMETOOLONG;
        directory = open(parent, O_PATH | O_DIRECTORY | O_CLOEXEC);
        error = errno;
        free(parent);
        if (directory < 0)
            return error;
        int n = snprintf(address.sun_path, sizeof address.sun_path, "/proc/self/fd/%d%s", directory,
                         name);
        if (n < 0 || (size_t)n >= sizeof address.sun_path) {
            close(directory);
            return ENAMETOOLONG;
        }
    }
    error = act(descriptor, (const struct sockaddr *)&address, sizeof address) ? errno : 0;
    if (directory >= 0)
        close(directory);
    return error;
}

static int address_connect(int descriptor, const char *path)
{
    return with_address(descriptor, path, connect);
}

int address_bind(int descriptor, const char *path)
{
    return with_address(descriptor, path, bind);
}

int seqpacket_new(void)
{
    return socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
}

/* The welcome is the only packet that may come now. */
static int await_welcome(struct port *port, int64_t deadline)
{
    struct wait wait = {.deadline = deadline, .handshake = true};
    struct packet packet;
    int error = wait_packet(&wait, port, &packet);
    return error == ECONNRESET && port->error ? port->error : error;
}

int port_connect(struct port_set *set, const char *path, int timeout_ms, struct port **port)
{
    int64_t deadline = timeout_ms < 0 ? -1 : wait_clock_ms() + timeout_ms;
    int descriptor = seqpacket_new();
    if (descriptor < 0)
        return errno;
    if (timeout_ms >= 0) {
        /* connect waits for room in the listen queue; a timeout of 0 would mean for ever. */
        struct timeval limit = {.tv_sec = timeout_ms / 1000,
                                .tv_usec = timeout_ms % 1000 * 1000 + 1};
        setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    }
    int error;
    do
        error = address_connect(descriptor, path);
    while (error == EINTR && (deadline < 0 || wait_clock_ms() < deadline));
    if (error) {
        close(descriptor);
        return error == EAGAIN || error == EINTR ? ETIMEDOUT : error;
    }
    struct port *made;
    error = port_start(set, descriptor, PORT_HELLO_SENT, &made);
    if (error)
        return error;
    handshake_start(made);
    error = await_welcome(made, deadline);
    if (error)
        port_close(made);
    else
        *port = made;
    return error;
}

static int try_connect(const char *path, int *descriptor)
{
    *descriptor = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (*descriptor < 0)
        return errno;
    int error = address_connect(*descriptor, path);
    if (error)
        close(*descriptor);
    return error;
}

void connect_try(struct port *port)
{
    struct ev_loop *loop = port->set->loop;
    int descriptor;
    int error = try_connect(port->path, &descriptor);

    if (error == EAGAIN || error == EMFILE || error == ENFILE) {
        if (++port->tries * AGAIN_SECONDS < AGAIN_MAX_SECONDS)
            return;
        error = ETIMEDOUT;
    }
    ev_timer_stop(loop, &port->deadline);
    if (error) {
        port_end_later(port, error);
        return;
    }
    int flags = fcntl(descriptor, F_GETFL);
    fcntl(descriptor, F_SETFL, flags & ~O_NONBLOCK);
    port->descriptor = descriptor;
    port_identify(port);
    ev_io_set(&port->reader, descriptor, EV_READ);
    ev_io_set(&port->writer, descriptor, EV_WRITE);
    ev_io_start(loop, &port->reader);
    port->state = PORT_HELLO_SENT;
    handshake_start(port);
}

static void connect_timer(struct ev_loop *loop, ev_timer *watcher, int events)
{
    (void)loop;
    (void)events;
    connect_try(watcher->data);
}

int port_connect_start(struct port_set *set, const char *path, struct port **port)
{
    int descriptor;
    int error = try_connect(path, &descriptor);

    if (!error) {
        error = port_start(set, descriptor, PORT_HELLO_SENT, port);
        return error ? error : handshake_start(*port);
    }
    if (error != EAGAIN)
        return error;
    char *copy = strdup(path);
    struct port *made = copy ? port_new(set, -1, PORT_CONNECTING) : NULL;
    if (!made) {
        free(copy);
        return ENOMEM;
    }
    made->path = copy;
    ev_timer_init(&made->deadline, connect_timer, AGAIN_SECONDS, AGAIN_SECONDS);
    made->deadline.data = made;
    ev_timer_start(set->loop, &made->deadline);
    *port = made;
    return 0;
}
