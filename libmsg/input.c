/* What the loop does with a port: reading it, and handling what was kept. */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "libmsg/internal.h"

static HOT bool is_capped(const struct port *port)
{
    const struct port_set *set = port->set;
    return (port->owed_count >= set->replies_max || port->owed_weight >= set->queued_bytes) &&
           !port->peer_gone;
}

/* What a request that is not answered yet may hold: descriptors are scarcer than memory. */
static size_t request_weight(const struct msg *message)
{
    return message->length + message->descriptor_count * 65536;
}

HOT struct reply *port_admit(struct port *port, const struct packet *packet)
{
    /* The tag of a reply that is still to come can't be told apart. */
    if (reply_find(port, packet->header.tag)) {
        port_end_later(port, EPROTO);
        return NULL;
    }
    struct reply *reply = reply_new(port, packet->header.operation, packet->header.tag);
    if (!reply) {
        port_end_later(port, ENOMEM);
        return NULL;
    }
    reply->weight = request_weight(&packet->message);
    port->owed_weight += reply->weight;
    if (!packet->lost)
        return reply;
    reply_error(reply, packet->lost);
    return NULL;
}

static HOT void handle_request(struct port *port, struct packet *packet)
{
    struct reply *reply = port_admit(port, packet);
    if (!reply)
        return;
    if (port->handler)
        port->handler(port, &packet->message, reply, port->handler_context);
    else
        reply_error(reply, ENOSYS);
}

static HOT void handle_reply(struct port *port, struct packet *packet)
{
    struct slot *slot = slots_find(&port->calls, packet->header.tag);
    if (!slot)
        return;
    struct call *call = slot->object;
    slots_drop(&port->calls, slot);
    if (!call)
        return; /* nobody waits for it any more */
    if (packet->lost)
        call_finish(call, packet->lost, NULL, true);
    else
        call_finish(call, packet->header.error, &packet->message, true);
}

HOT void port_handle(struct port *port, struct packet *packet)
{
    bool handshake = packet->header.kind == WIRE_HELLO || packet->header.kind == WIRE_WELCOME;
    int error = 0;

    if (handshake) {
        error = handshake_packet(port, packet);
    } else if (port->state == PORT_HELLO_SENT) {
        /* The other end is one of a pair, which needs no handshake: it may be ahead of ours. */
        error = port_keep(port, packet);
        if (!error)
            return;
    } else if (port->state < PORT_FRESH) {
        error = EPROTO; /* nothing goes before the handshake */
    } else if (packet->header.kind == WIRE_REQUEST) {
        handle_request(port, packet);
    } else if (packet->header.kind == WIRE_REPLY) {
        handle_reply(port, packet);
    } else if (packet->header.kind == WIRE_NOTICE) {
        if (port->handler && !packet->lost)
            port->handler(port, &packet->message, NULL, port->handler_context);
    } else {
        struct reply *reply = reply_find(port, packet->header.tag);
        if (reply)
            reply_cancel(reply);
    }
    msg_release(&packet->message);
    if (error)
        port_end_later(port, error);
}

/* What a packet weighs while it is kept. */
static size_t packet_charge(const struct packet *packet)
{
    return sizeof(struct kept_packet) + packet->message.length +
           packet->message.descriptor_count * 16384;
}

int port_keep(struct port *port, struct packet *packet)
{
    size_t charge = packet_charge(packet);
    struct kept_packet *kept = NULL;
    int error = ENOBUFS;

    if (port->inbox_bytes + charge <= port->set->queued_bytes) {
        kept = malloc(sizeof *kept);
        error = ENOMEM;
    }
    if (!kept) {
        msg_release(&packet->message);
        return error;
    }
    kept->next = NULL;
    kept->packet = *packet;
    *port->inbox_tail = kept;
    port->inbox_tail = &kept->next;
    port->inbox_bytes += charge;
    return 0;
}

HOT bool port_inbox_take(struct port *port, struct packet *packet)
{
    struct kept_packet *kept = port->inbox_head;
    if (!kept)
        return false;
    port->inbox_head = kept->next;
    if (!port->inbox_head)
        port->inbox_tail = &port->inbox_head;
    port->inbox_bytes -= packet_charge(&kept->packet);
    *packet = kept->packet;
    free(kept);
    return true;
}

void port_inbox_clear(struct port *port)
{
    struct packet packet;
    while (port_inbox_take(port, &packet))
        msg_release(&packet.message);
}

static HOT bool inbox_blocked(const struct port *port)
{
    if (!port->inbox_head || port->state < PORT_FRESH)
        return true;
    return port->inbox_head->packet.header.kind == WIRE_REQUEST && is_capped(port);
}

static HOT void inbox_handle(struct port *port)
{
    struct packet packet;
    while (port->state != PORT_CLOSED && !inbox_blocked(port) && port_inbox_take(port, &packet))
        port_handle(port, &packet);
}

static void stop_reading(struct port *port)
{
    port->stopped = true;
    ev_io_stop(port->set->loop, &port->reader);
    /* Unread, the end of a connection would not be noticed: the upkeep looks for it. */
    set_upkeep(port->set);
}

static bool hung_up(const struct port *port)
{
    struct pollfd look = {.fd = port->descriptor, .events = 0};
    return poll(&look, 1, 0) > 0 && (look.revents & (POLLHUP | POLLERR));
}

void port_attend(struct port *port)
{
    if (port->stopped && port->state < PORT_ENDING && !port->peer_gone && hung_up(port))
        port->peer_gone = true;
    /* Who left is heard to the end; who was dropped is not. */
    if (port->state == PORT_ENDING && port->error)
        port_inbox_clear(port);
    inbox_handle(port);
    if (port->state == PORT_CLOSED || port->inbox_head)
        return;
    if (port->state == PORT_ENDING) {
        port_end(port, port->error, ECONNRESET);
        return;
    }
    if (port->stopped) {
        port->stopped = false;
        ev_io_start(port->set->loop, &port->reader);
    }
}

void port_attend_later(struct port *port)
{
    struct port_set *set = port->set;
    if (port->later || port->state == PORT_CLOSED)
        return;
    port->later = true;
    port_hold(port);
    port->later_next = NULL;
    *set->later_tail = port;
    set->later_tail = &port->later_next;
    ev_feed_event(set->loop, &set->later, EV_CUSTOM);
}

HOT void port_reply_done(struct port *port)
{
    port->owed_count--;
    if ((port->stopped || port->inbox_head) && !is_capped(port))
        port_attend_later(port);
}

/* One packet a turn: the loop comes back at once if there are more, and all ports get their turn
 * in between. */
HOT void port_readable(struct ev_loop *loop, ev_io *watcher, int events)
{
    (void)loop;
    (void)events;
    struct port *port = watcher->data;
    struct packet packet;

    port_hold(port);
    inbox_handle(port);
    if (port->state >= PORT_ENDING)
        goto out;
    if (port->inbox_head && port->state >= PORT_FRESH) {
        stop_reading(port);
        goto out;
    }
    int error = packet_receive(port, MSG_DONTWAIT, &packet);
    if (error == EAGAIN || error == EINTR)
        goto out;
    if (error == PACKET_END) {
        /* Before the welcome this is how a server says no, or dies. */
        port_end(port, 0, ECONNRESET);
    } else if (error) {
        port_end(port, error, ECONNRESET);
    } else if (packet.header.kind == WIRE_REQUEST && is_capped(port)) {
        /* Cancels and replies behind the last request that may run are still read: so it is only
         * now that reading stops. */
        error = port_keep(port, &packet);
        if (error)
            port_end(port, error, ECONNRESET);
        else
            stop_reading(port);
    } else {
        port_handle(port, &packet);
    }
out:
    port_release(port);
}
