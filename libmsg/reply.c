/* The right to answer, exactly once. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "libmsg/internal.h"

HOT struct reply *reply_new(struct port *port, uint32_t operation, uint32_t tag)
{
    struct port_set *set = port->set;
    struct reply *reply = set->free_replies;
    if (reply)
        set->free_replies = reply->next;
    else if (!(reply = malloc(sizeof *reply)))
        return NULL;
    reply->port = port;
    reply->state = REPLY_OWED;
    reply->tag = tag;
    reply->operation = operation;
    reply->weight = 0;
    reply->is_cancelled = false;
    reply->cancelled = NULL;
    reply->call = NULL;
    reply->forward = NULL;
    reply->previous = NULL;
    reply->next = port->owed;
    if (reply->next)
        reply->next->previous = reply;
    port->owed = reply;
    port->owed_count++;
    return reply;
}

HOT struct reply *reply_find(const struct port *port, uint32_t tag)
{
    for (struct reply *reply = port->owed; reply; reply = reply->next)
        if (reply->tag == tag)
            return reply;
    return NULL;
}

static HOT void reply_unlink(struct reply *reply)
{
    if (reply->previous)
        reply->previous->next = reply->next;
    else
        reply->port->owed = reply->next;
    if (reply->next)
        reply->next->previous = reply->previous;
}

static HOT void send_over_socket(struct port *port, uint32_t operation, uint32_t tag,
                                 const struct msg *message)
{
    struct wire_header header = {
        .kind = WIRE_REPLY,
        .operation = operation,
        .object = message->object,
        .request = message->request,
        .tag = tag,
        .error = message->error,
    };
    size_t queued = port->queue_bytes;
    int error = port_transmit(port, &header, message);

    if (error && error != ENOTCONN) {
        /* It can't be sent as it is (too long, no descriptor left): the caller must hear of it. */
        struct msg empty = {0};
        header.error = error;
        error = port_transmit(port, &header, &empty);
        if (error && error != ENOTCONN)
            port_end_later(port, error);
    }
    /* One that is queued counts on until it is sent: who doesn't read is not served. */
    if (error || port->queue_bytes <= queued)
        port_reply_done(port);
}

HOT void reply_send(struct reply *reply, const struct msg *message)
{
    if (!reply)
        return;
    if (reply->state != REPLY_OWED) {
        fprintf(stderr, "libmsg: a request was answered twice; this is a bug in its server\n");
        abort();
    }
    struct port *port = reply->port;
    struct call *call = reply->call;
    uint32_t operation = reply->operation;
    uint32_t tag = reply->tag;

    reply->state = REPLY_GONE;
    if (!port) {
        free(reply);
        return;
    }
    reply_unlink(reply);
    port->owed_weight -= reply->weight;
    reply->next = port->set->free_replies;
    port->set->free_replies = reply;
    const struct msg no_errno = {.error = EIO};
    if (message->error < 0 || message->error > 4095)
        message = &no_errno;
    if (!port->local) {
        send_over_socket(port, operation, tag, message);
        return;
    }
    port->owed_count--;
    if (port->tap)
        port->tap(port, TAP_SENT, WIRE_REPLY, message, 0, port->tap_context);
    if (call)
        local_answer(call, message);
}

HOT void reply_error(struct reply *reply, int error)
{
    struct msg message = {.error = error};
    reply_send(reply, &message);
}

void reply_cancel(struct reply *reply)
{
    reply->is_cancelled = true;
    if (reply->state == REPLY_FORWARDED) {
        if (reply->forward)
            call_tell_cancel(reply->forward);
        return;
    }
    reply_cancelled *cancelled = reply->cancelled;
    reply->cancelled = NULL;
    if (cancelled)
        cancelled(reply, reply->cancelled_context);
}

void reply_on_cancel(struct reply *reply, reply_cancelled *cancelled, void *context)
{
    if (!reply)
        return;
    if (reply->is_cancelled && cancelled) {
        cancelled(reply, context);
        return;
    }
    reply->cancelled = cancelled;
    reply->cancelled_context = context;
}

struct port *reply_port(const struct reply *reply)
{
    return reply ? reply->port : NULL;
}

/* A reply of a local port whose caller still waits. */
static struct reply *waited_for(const struct port *port)
{
    struct reply *reply = port->owed;
    while (reply && !reply->call)
        reply = reply->next;
    return reply;
}

void replies_orphan(struct port *port, int call_error)
{
    struct reply *reply;

    /* Whoever is called back here may answer any of these replies, which ends it: so the list is
     * looked at afresh each time, and a reply is not touched after its callback. */
    while ((reply = waited_for(port))) {
        struct call *call = reply->call;
        reply->call = NULL;
        call->local = NULL;
        call_finish(call, call_error, NULL, false);
    }
    while ((reply = port->owed)) {
        reply_unlink(reply);
        reply->port = NULL;
        reply_cancel(reply);
    }
    port->owed_count = 0;
}
