/* The opening of a connection: versions are settled, the space is named. */
#include <errno.h>
#include <string.h>

#include "libmsg/internal.h"

int handshake_start(struct port *port)
{
    struct wire_hello hello = {.version_min = WIRE_VERSION, .version_max = WIRE_VERSION};
    int error = port_transmit_hello(port, WIRE_HELLO, 0, &hello);
    /* A broken connection is found by reading it, as always. */
    if (error && error != EPIPE && error != ECONNRESET)
        port_end_later(port, error);
    return 0;
}

static void opened(struct port *port)
{
    port->state = PORT_OPEN;
    ev_timer_stop(port->set->loop, &port->deadline);
    port_flush(port);
    if (port->inbox_head)
        port_attend_later(port);
}

static int answer_hello(struct port *port, const struct wire_hello *hello)
{
    struct wire_hello welcome = {0};
    int error = 0;

    if (hello->version_min > WIRE_VERSION || hello->version_max < WIRE_VERSION)
        error = EPROTO;
    else if (port->arrival)
        error = port->arrival(port, &welcome.space, port->arrival_context);
    if (port->state == PORT_CLOSED)
        return 0;
    if (!error)
        welcome.version_min = welcome.version_max = WIRE_VERSION;
    else
        welcome.space = 0;
    int sent = port_transmit_hello(port, WIRE_WELCOME, error, &welcome);
    if (error)
        return error;
    /* The first packet of a socket always has room, unless the peer is gone: reading says so. */
    if (sent && sent != EPIPE && sent != ECONNRESET)
        return sent;
    opened(port);
    return 0;
}

int handshake_packet(struct port *port, const struct packet *packet)
{
    struct wire_hello hello;

    if (packet->lost)
        return packet->lost;
    memcpy(&hello, packet->message.body, sizeof hello);
    if (packet->header.kind == WIRE_HELLO) {
        if (port->state != PORT_HELLO_AWAITED && port->state != PORT_FRESH)
            return EPROTO;
        return answer_hello(port, &hello);
    }
    if (port->state != PORT_HELLO_SENT)
        return EPROTO;
    if (packet->header.error)
        return packet->header.error;
    if (hello.version_min != WIRE_VERSION || hello.version_max != WIRE_VERSION)
        return EPROTO;
    port->space = hello.space;
    opened(port);
    return 0;
}
