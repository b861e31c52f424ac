/* Local ports: the message runs in the caller's context. */
#include <errno.h>

#include "libmsg/internal.h"

/* A received message's descriptors are its receiver's: so each side of a local port has its own,
 * as over a socket. The body is only lent. */
static HOT int view_of(struct msg *view, const struct msg *message)
{
    *view = *message;
    view->storage = NULL;
    if (message->descriptor_count == 0)
        return 0;
    int descriptors[DESCRIPTORS_IN_PACKET];
    view->descriptor_count = 0;
    int error = descriptors_duplicate(descriptors, message->descriptors, message->descriptor_count);
    if (!error)
        error = message_own_descriptors(view, descriptors, message->descriptor_count);
    return error;
}

static inline int check_limits(const struct msg *message)
{
    return message->length > WIRE_BODY_MAX || message->descriptor_count > WIRE_DESCRIPTORS_MAX
               ? EMSGSIZE
               : 0;
}

int local_send(struct port *port, const struct msg *message)
{
    struct msg view;
    int error = check_limits(message);
    if (!error)
        error = view_of(&view, message);
    if (error)
        return error;
    port_hold(port);
    if (port->tap)
        port->tap(port, TAP_RECEIVED, WIRE_NOTICE, &view, 0, port->tap_context);
    if (port->handler)
        port->handler(port, &view, NULL, port->handler_context);
    msg_release(&view);
    port_release(port);
    return 0;
}

HOT int local_request(struct port *port, const struct msg *message, struct call *call)
{
    struct msg view;
    int error = check_limits(message);
    if (!error && !port->handler)
        error = ENOSYS;
    if (!error)
        error = view_of(&view, message);
    if (error)
        return error;
    view.error = 0;
    struct reply *reply = reply_new(port, message->operation, 0);
    if (!reply) {
        msg_release(&view);
        return ENOMEM;
    }
    reply->call = call;
    if (port->tap)
        port->tap(port, TAP_RECEIVED, WIRE_REQUEST, &view, 0, port->tap_context);
    port->handler(port, &view, reply, port->handler_context);
    msg_release(&view);
    /* Not answered: the reply lives, somebody has it. */
    if (!call->ended)
        call->local = reply;
    return 0;
}

HOT void local_answer(struct call *call, const struct msg *message)
{
    struct msg view;
    call->local = NULL;
    if (message->length == 0 && message->descriptor_count == 0 && call->blocking) {
        if (call->answer && !message->error) {
            *call->answer = *message;
            call->answer->storage = NULL;
        }
        call_finish(call, message->error, NULL, true);
        return;
    }
    int error = check_limits(message);
    if (!error)
        error = view_of(&view, message);
    if (error)
        call_finish(call, error, NULL, true);
    else
        call_finish(call, view.error, &view, true);
}
