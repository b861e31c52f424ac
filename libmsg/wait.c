/* Waiting on one socket, without the loop. */
#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>

#include "libmsg/internal.h"

/* How long to sleep before a full listen queue is tried again: nothing tells when it no longer is.
 */
#define CONNECT_PAUSE_MS 20

HOT int64_t wait_clock_ms(void)
{
    /* As fine as the kernel's tick, like its own timeouts; a third of the price. */
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Have recvmsg keep the time. It is set once for callers that always wait equally long. */
static void set_receive_timeout(struct port *port, int timeout_ms)
{
    struct timeval limit = {0};
    if (timeout_ms >= 0) {
        limit.tv_sec = timeout_ms / 1000;
        limit.tv_usec = timeout_ms % 1000 * 1000;
        /* 0 would mean for ever. */
        if (timeout_ms == 0)
            limit.tv_usec = 1;
    }
    if (!setsockopt(port->descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit))
        port->receive_timeout_ms = timeout_ms;
}

HOT void wait_begin(struct wait *wait, struct port *port, int timeout_ms)
{
    wait->handshake = false;
    wait->call = NULL;
    wait->pause_ms = CROWD_PAUSE_MIN_MS;
    wait->deadline = timeout_ms < 0 ? -1 : wait_clock_ms() + timeout_ms;
    if (timeout_ms < 0)
        timeout_ms = -1;
    if (port->receive_timeout_ms != timeout_ms && port->descriptor >= 0)
        set_receive_timeout(port, timeout_ms);
    /* In the common case one blocking recvmsg is all; whatever is out of it goes by poll. */
    wait->block = port->receive_timeout_ms == timeout_ms;
}

static int64_t time_left(const struct wait *wait)
{
    if (wait->deadline < 0)
        return -1;
    int64_t left = wait->deadline - wait_clock_ms();
    return left > 0 ? left : 0;
}

/* Wait until the socket can be read; what is queued is sent meanwhile. */
static int await_socket(struct wait *wait, struct port *port)
{
    int64_t left = time_left(wait);
    bool flush = port->queue_head && port->state >= PORT_FRESH;
    bool pause = flush && port->crowded && (left < 0 || left > wait->pause_ms);
    struct pollfd look = {.fd = port->descriptor,
                          .events = (short)(flush && !port->crowded ? POLLIN | POLLOUT : POLLIN)};
    int ready = poll(&look, 1, pause ? wait->pause_ms : (int)left);
    if (ready < 0)
        return errno == EINTR ? 0 : errno;
    if (ready == 0 && !pause)
        return ETIMEDOUT;
    if (pause && ready == 0 && wait->pause_ms < CROWD_PAUSE_MAX_MS)
        wait->pause_ms *= 2;
    if (pause || (look.revents & POLLOUT))
        port_flush(port);
    return 0;
}

static int await_connection(struct wait *wait, struct port *port)
{
    int64_t left = time_left(wait);
    if (left == 0)
        return ETIMEDOUT;
    poll(NULL, 0, left > 0 && left < CONNECT_PAUSE_MS ? (int)left : CONNECT_PAUSE_MS);
    connect_try(port);
    return 0;
}

HOT int wait_packet(struct wait *wait, struct port *port, struct packet *packet)
{
    for (;;) {
        int error;
        if (port->state >= PORT_ENDING)
            return ECONNRESET;
        if (port->state == PORT_CONNECTING) {
            error = await_connection(wait, port);
            if (error)
                return error;
            continue;
        }
        bool block = wait->block && !port->queue_head;
        wait->block = false;
        error = packet_receive(port, block ? 0 : MSG_DONTWAIT, packet);
        if (error == EAGAIN || error == EINTR) {
            if (wait->call && wait->call->ended)
                return ECANCELED;
            error = await_socket(wait, port);
            if (error)
                return error;
            continue;
        }
        if (error) {
            port_end_later(port, error == PACKET_END ? 0 : error);
            return ECONNRESET;
        }
        bool handshake = packet->header.kind == WIRE_HELLO || packet->header.kind == WIRE_WELCOME;
        if (!handshake && port->state >= PORT_FRESH)
            return 0;
        port_handle(port, packet);
        if (wait->handshake && port->state == PORT_OPEN)
            return 0;
    }
}

HOT int msg_wait(struct port *port, struct msg *message, struct reply **reply, int timeout_ms)
{
    struct packet packet;
    struct wait wait;
    int error = 0;

    *message = (struct msg){0};
    *reply = NULL;
    if (port->state == PORT_CLOSED || port->local)
        return ENOTCONN;
    port_hold(port);
    wait_begin(&wait, port, timeout_ms);
    while (!error) {
        if (port->state < PORT_FRESH || !port_inbox_take(port, &packet)) {
            error = wait_packet(&wait, port, &packet);
            if (error)
                break;
        }
        if (packet.header.kind == WIRE_REQUEST)
            *reply = port_admit(port, &packet);
        if (*reply || (packet.header.kind == WIRE_NOTICE && !packet.lost)) {
            *message = packet.message;
            break;
        }
        if (packet.header.kind == WIRE_REQUEST)
            msg_release(&packet.message);
        else
            port_handle(port, &packet);
        if (port->state == PORT_CLOSED)
            error = ECONNRESET;
    }
    port_release(port);
    return error;
}

HOT int msg_reply_wait(struct port *port, struct reply *reply, const struct msg *answer,
                       struct msg *message, struct reply **next, int timeout_ms)
{
    reply_send(reply, answer);
    return msg_wait(port, message, next, timeout_ms);
}
