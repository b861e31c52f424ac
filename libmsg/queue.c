/* What can't be sent now: queued for each port, and sent in order when it can.
 *
 * Mostly a peer does not read, and the loop tells when its socket can be written again. But the
 * kernel also holds the descriptors of all of a user's processes that nobody has received yet
 * against the sender's limit (RLIMIT_NOFILE), and says ETOOMANYREFS. Nothing tells when there are
 * fewer: such a queue is *crowded* and tried again after pauses that grow. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "libmsg/internal.h"

/* How many packets of one queue go in one turn of the loop. */
#define FLUSH_TURN 64

/* Duplicates that may wait in all queues of a set: peers that do not read must not use up the
 * descriptors that others need. */
#define QUEUED_DESCRIPTORS_MAX 256

static void queued_free(struct port *port, struct queued_packet *packet)
{
    descriptors_close(packet->descriptors, packet->header.descriptors);
    port->set->queued_descriptors -= packet->header.descriptors;
    port->queue_bytes -= packet->charge;
    free(packet->descriptors);
    free(packet);
}

void port_queue_clear(struct port *port)
{
    struct queued_packet *packet;
    while ((packet = port->queue_head)) {
        port->queue_head = packet->next;
        queued_free(port, packet);
    }
    port->queue_tail = &port->queue_head;
    port->crowded = false;
}

int port_queue_put(struct port *port, const struct wire_header *header, const void *body,
                   const int *descriptors, size_t own)
{
    struct port_set *set = port->set;
    size_t count = header->descriptors;
    size_t length = header->flags & WIRE_LONG ? 0 : header->length;
    /* A long body weighs what it weighs, wherever it lies. */
    size_t charge = sizeof(struct queued_packet) + header->length + count * 256;
    struct queued_packet *packet = NULL;
    int error = ENOMEM;

    if (port->queue_bytes + charge > set->queued_bytes) {
        port_end_later(port, ENOBUFS);
        error = ENOBUFS;
        goto failed;
    }
    if (set->queued_descriptors + count > QUEUED_DESCRIPTORS_MAX + own) {
        error = EMFILE;
        goto failed;
    }
    packet = malloc(sizeof *packet + length);
    if (!packet)
        goto failed;
    packet->descriptors = NULL;
    if (count > 0) {
        packet->descriptors = malloc(count * sizeof(int));
        if (!packet->descriptors)
            goto failed;
        error = descriptors_duplicate(packet->descriptors + own, descriptors + own, count - own);
        if (error)
            goto failed;
        memcpy(packet->descriptors, descriptors, own * sizeof(int));
    }
    packet->next = NULL;
    packet->charge = charge;
    packet->since_ms = wait_clock_ms();
    packet->header = *header;
    if (length > 0)
        memcpy(packet->body, body, length);
    *port->queue_tail = packet;
    port->queue_tail = &packet->next;
    port->queue_bytes += charge;
    set->queued_descriptors += count;
    /* While the handshake lasts the queue is held back: a writable socket would wake the loop for
     * nothing. */
    if ((port->state == PORT_OPEN || port->state == PORT_FRESH) && !port->crowded)
        ev_io_start(set->loop, &port->writer);
    return 0;
failed:
    if (packet)
        free(packet->descriptors);
    free(packet);
    descriptors_close(descriptors, own);
    return error;
}

void port_peer_left(struct port *port)
{
    port->peer_gone = true;
    for (struct queued_packet *packet = port->queue_head; packet; packet = packet->next)
        if (packet->header.kind == WIRE_REPLY)
            port->owed_count--;
    port_queue_clear(port);
    ev_io_stop(port->set->loop, &port->writer);
    if (port->stopped)
        port_attend_later(port);
}

bool peer_is_gone(int error)
{
    return error == EPIPE || error == ECONNRESET || error == ENOTCONN;
}

/* A packet that can't be sent for itself alone (its descriptors, its size): whoever waits for it
 * is told instead. True: it was changed and may be tried again. */
static bool queued_give_up(struct port *port, struct queued_packet *packet, int error)
{
    if (packet->header.kind == WIRE_REPLY && packet->header.length + packet->header.descriptors) {
        port->set->queued_descriptors -= packet->header.descriptors;
        descriptors_close(packet->descriptors, packet->header.descriptors);
        packet->header.descriptors = 0;
        packet->header.flags = 0;
        packet->header.length = 0;
        packet->header.error = error;
        return true;
    }
    if (packet->header.kind == WIRE_REQUEST) {
        struct slot *slot = slots_find(&port->calls, packet->header.tag);
        struct call *call = slot ? slot->object : NULL;
        if (call && call->blocking) {
            /* It waits for the socket and not for the loop. */
            call->ended = true;
            call->error = error;
            return false;
        }
        struct packet answer = {.header = packet->header, .lost = error};
        answer.header.kind = WIRE_REPLY;
        if (port_keep(port, &answer))
            port_end_later(port, ENOBUFS);
        else
            port_attend_later(port);
    } else {
        port_end_later(port, error);
    }
    return false;
}

/* An inline packet turned out to be too large for this socket: send its body in a memfd. */
static int queued_lengthen(struct port *port, struct queued_packet *packet)
{
    size_t count = packet->header.descriptors;
    int *descriptors = realloc(packet->descriptors, (count + 1) * sizeof *descriptors);
    if (!descriptors)
        return ENOMEM;
    packet->descriptors = descriptors;
    int memory = body_memfd(packet->body, packet->header.length);
    if (memory < 0)
        return errno;
    memmove(descriptors + 1, descriptors, count * sizeof *descriptors);
    descriptors[0] = memory;
    packet->header.descriptors++;
    packet->header.flags |= WIRE_LONG;
    port->set->queued_descriptors++;
    return 0;
}

static int queued_send(struct port *port, struct queued_packet *packet)
{
    size_t length = packet->header.flags & WIRE_LONG ? 0 : packet->header.length;
    return packet_send(port->descriptor, &packet->header, packet->body, length, packet->descriptors,
                       packet->header.descriptors);
}

/* The head of the queue found too many descriptors in flight. False: for too long. */
static bool crowd_wait(struct port *port, const struct queued_packet *packet)
{
    struct port_set *set = port->set;
    int64_t now = wait_clock_ms();
    if (port->crowded_since_ms == 0)
        port->crowded_since_ms = now;
    int64_t since = port->crowded_since_ms;
    if (packet->since_ms > since)
        since = packet->since_ms;
    if (now - since >= CROWD_LIMIT_MS)
        return false;
    port->crowded = true;
    if (!set->closed && !ev_is_active(&set->crowd)) {
        set->crowd.repeat = CROWD_PAUSE_MIN_MS / 1000.;
        ev_timer_again(set->loop, &set->crowd);
    }
    return true;
}

void crowd_try(struct ev_loop *loop, ev_timer *watcher, int events)
{
    (void)events;
    struct port_set *set = watcher->data;
    bool crowded = false;
    bool moved = false;

    for (struct port *port = set->ports; port; port = port->next) {
        const struct queued_packet *head = port->queue_head;
        if (!port->crowded || port->state >= PORT_ENDING)
            continue;
        port_flush(port);
        crowded |= port->crowded;
        moved |= port->queue_head != head;
    }
    if (!crowded) {
        ev_timer_stop(loop, watcher);
        return;
    }
    double pause = moved ? CROWD_PAUSE_MIN_MS / 1000. : 2 * watcher->repeat;
    watcher->repeat = pause < CROWD_PAUSE_MAX_MS / 1000. ? pause : CROWD_PAUSE_MAX_MS / 1000.;
    ev_timer_again(loop, watcher);
}

void port_flush(struct port *port)
{
    struct queued_packet *packet;

    port->crowded = false;
    for (int turn = 0; turn < FLUSH_TURN && (packet = port->queue_head); turn++) {
        int error = queued_send(port, packet);
        if (error == EMSGSIZE && !(packet->header.flags & WIRE_LONG)) {
            error = queued_lengthen(port, packet);
            if (!error)
                error = queued_send(port, packet);
        }
        if (error == EAGAIN)
            port->crowded_since_ms = 0; /* for all that is known */
        if (error == EAGAIN || (error == ETOOMANYREFS && crowd_wait(port, packet)))
            break;
        if (peer_is_gone(error)) {
            port_peer_left(port);
            return;
        }
        if (error && queued_give_up(port, packet, error))
            continue;
        if (!error && packet->header.descriptors > 0)
            port->crowded_since_ms = 0;
        port->queue_head = packet->next;
        if (!port->queue_head)
            port->queue_tail = &port->queue_head;
        bool reply = packet->header.kind == WIRE_REPLY;
        queued_free(port, packet);
        if (reply)
            port_reply_done(port);
    }
    /* What is crowded could be written at once, and would come back at once. */
    if (port->queue_head && !port->crowded && port->state < PORT_ENDING)
        ev_io_start(port->set->loop, &port->writer);
    else
        ev_io_stop(port->set->loop, &port->writer);
}

void port_writable(struct ev_loop *loop, ev_io *watcher, int events)
{
    (void)loop;
    (void)events;
    struct port *port = watcher->data;
    port_hold(port);
    if (port->state == PORT_OPEN || port->state == PORT_FRESH)
        port_flush(port);
    port_release(port);
}
