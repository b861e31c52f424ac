/* Calls: made, waited for, ended. */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>

#include "libmsg/internal.h"

HOT void call_finish(struct call *call, int error, struct msg *answer, bool answered)
{
    struct msg empty = {0};
    struct port_set *set = call->port->set;

    if (ev_is_active(&call->timer) || ev_is_pending(&call->timer))
        ev_timer_stop(set->loop, &call->timer);
    call->ended = true;
    call->answered = answered;
    call->error = error;
    if (!call->blocking) {
        if (!answer) {
            empty.error = error;
            answer = &empty;
        }
        struct port *port = call->port;
        port_hold(port);
        if (call->finished)
            call->finished(call, error, answer);
        else
            call->done(error, answer, call->context);
        msg_release(answer);
        free(call);
        port_release(port);
        return;
    }
    if (answer && !error && call->answer)
        msg_keep(answer, call->answer);
    else if (answer)
        msg_release(answer);
    /* Only the innermost run of the loop can be left; the others look for themselves when theirs
     * comes to be the innermost. */
    if (set->waiting == call)
        ev_break(set->loop, EVBREAK_ONE);
}

void call_tell_cancel(struct call *call)
{
    if (call->local)
        reply_cancel(call->local);
    else
        port_transmit_cancel(call->port, call->tag);
}

/* Leave the call's place: an answer that is still to come goes nowhere. */
static void call_leave(struct call *call)
{
    call->ended = true; /* whoever hears of it may try to cancel it, too */
    if (call->local) {
        struct reply *reply = call->local;
        reply->call = NULL;
        call->local = NULL;
        reply_cancel(reply);
        return;
    }
    struct slot *slot = slots_find(&call->port->calls, call->tag);
    /* The tag stays taken until the other side's answer comes, so that it can't be mistaken for
     * another call's. */
    if (slot)
        slot->object = NULL;
    port_transmit_cancel(call->port, call->tag);
}

static void call_timeout(struct ev_loop *loop, ev_timer *watcher, int events)
{
    (void)loop;
    (void)events;
    struct call *call = watcher->data;
    struct port *port = call->port;
    port_hold(port);
    call_leave(call);
    call_finish(call, ETIMEDOUT, NULL, false);
    port_release(port);
}

static void call_timer_start(struct call *call, int timeout_ms)
{
    struct ev_loop *loop = call->port->set->loop;
    if (timeout_ms < 0)
        return;
    /* The loop's idea of now is as old as its last turn. */
    ev_now_update(loop);
    ev_timer_init(&call->timer, call_timeout, timeout_ms / 1000.0, 0.);
    call->timer.data = call;
    ev_timer_start(loop, &call->timer);
}

void calls_end(struct port *port, int error)
{
    /* `done` may start calls (they fail, the port is closed) and cancel others: the table is looked
     * at afresh each time. */
    for (uint32_t i = 0; i < port->calls.count; i++) {
        struct slot *slot = &port->calls.table[i];
        struct call *call = slot->id ? slot->object : NULL;
        if (!call)
            continue;
        slots_drop(&port->calls, slot);
        call_finish(call, error, NULL, false);
    }
}

/* Send the request of a socket port's call. */
static HOT int call_send(struct call *call, const struct msg *message)
{
    struct port *port = call->port;
    if (port->state >= PORT_ENDING)
        return ENOTCONN;
    if (++port->tag_serial == 0)
        port->tag_serial = 1;
    call->tag = (uint32_t)slots_put(&port->calls, port->tag_serial, call, NULL);
    if (call->tag == 0)
        return ENOMEM;
    struct wire_header header = {
        .kind = WIRE_REQUEST,
        .operation = message->operation,
        .object = message->object,
        .request = message->request,
        .tag = call->tag,
    };
    int error = port_transmit(port, &header, message);
    if (error) {
        struct slot *slot = slots_find(&port->calls, call->tag);
        if (slot)
            slots_drop(&port->calls, slot);
    }
    return error;
}

int msg_send(struct port *port, const struct msg *message)
{
    if (port->state >= PORT_ENDING)
        return ENOTCONN;
    if (port->local)
        return local_send(port, message);
    struct wire_header header = {
        .kind = WIRE_NOTICE,
        .operation = message->operation,
        .object = message->object,
        .request = message->request,
    };
    return port_transmit(port, &header, message);
}

static int call_start_local(struct call *call, const struct msg *message, int timeout_ms,
                            bool *ended)
{
    struct port *port = call->port;
    struct msg answer = {0};

    /* An answer given while the handler runs is kept until it has returned. */
    port_hold(port);
    call->blocking = true;
    call->answer = &answer;
    int error = local_request(port, message, call);
    call->blocking = false;
    call->answer = NULL;
    *ended = !error && call->ended;
    if (error)
        free(call);
    else if (*ended)
        call_finish(call, call->error, call->error ? NULL : &answer, call->answered);
    else
        call_timer_start(call, timeout_ms);
    port_release(port);
    return error;
}

int call_start(struct call *call, const struct msg *message, int timeout_ms, bool *ended)
{
    *ended = false;
    if (call->port->local && call->port->state == PORT_OPEN)
        return call_start_local(call, message, timeout_ms, ended);
    int error = call_send(call, message); /* ENOTCONN on any port that has ended */
    if (error)
        free(call);
    else
        call_timer_start(call, timeout_ms);
    return error;
}

int msg_call_start(struct port *port, const struct msg *message, int timeout_ms, call_done *done,
                   void *context, struct call **call)
{
    bool ended;
    struct call *made = calloc(1, sizeof *made);

    if (call)
        *call = NULL;
    if (!made)
        return ENOMEM;
    made->port = port;
    made->done = done;
    made->context = context;
    int error = call_start(made, message, timeout_ms, &ended);
    if (!error && !ended && call)
        *call = made;
    return error;
}

void call_cancel(struct call *call)
{
    if (!call || call->ended)
        return; /* at once, or by its own `done` */
    struct port *port = call->port;
    port_hold(port);
    call_leave(call);
    call_finish(call, ECANCELED, NULL, false);
    port_release(port);
}

/* Run the loop until a local port's handler answers. */
static void call_wait_loop(struct call *call, int timeout_ms)
{
    struct port_set *set = call->port->set;
    call_timer_start(call, timeout_ms);
    call->outer = set->waiting;
    set->waiting = call;
    ev_run(set->loop, 0);
    set->waiting = call->outer;
    if (!call->ended) {
        /* Somebody ends the loop itself, or nothing is left that could answer: pass it on. */
        call_leave(call);
        ev_timer_stop(set->loop, &call->timer);
        call->ended = true;
        call->error = ECANCELED;
        ev_break(set->loop, EVBREAK_ALL);
    } else if (set->waiting && set->waiting->ended) {
        ev_break(set->loop, EVBREAK_ONE);
    }
}

static HOT int call_local(struct port *port, const struct msg *message, struct msg *answer,
                          int timeout_ms)
{
    struct call call;
    call.port = port;
    call.blocking = true;
    call.ended = false;
    call.local = NULL;
    call.answer = answer;
    ev_init(&call.timer, call_timeout);
    port_hold(port);
    int error = local_request(port, message, &call);
    if (!error && !call.ended)
        call_wait_loop(&call, timeout_ms);
    port_release(port);
    return error ? error : call.error;
}

/* Receive until the reply comes; what else arrives is kept for the loop. */
static HOT int await_reply(struct call *call, struct msg *answer, int timeout_ms)
{
    struct port *port = call->port;
    struct packet packet;
    struct wait wait;
    int error;

    wait_begin(&wait, port, timeout_ms);
    wait.call = call;
    for (;;) {
        error = wait_packet(&wait, port, &packet);
        if (error)
            return call->ended ? call->error : error;
        if (packet.header.kind == WIRE_REPLY && packet.header.tag == call->tag)
            break;
        error = port_keep(port, &packet);
        if (error)
            port_end_later(port, error);
        else
            port_attend_later(port);
    }
    call->ended = true;
    error = packet.lost ? packet.lost : packet.header.error;
    if (error || !answer)
        msg_release(&packet.message);
    else
        *answer = packet.message;
    return error;
}

/* The request can't go for what is in flight, and there is no descriptor left to queue it with: the
 * caller lends its own as long as it waits. */
static int call_send_later(struct call *call, const struct msg *message, int *timeout_ms)
{
    int64_t from = wait_clock_ms();
    int64_t limit = *timeout_ms < 0 || *timeout_ms > CROWD_LIMIT_MS ? CROWD_LIMIT_MS : *timeout_ms;
    int64_t passed = 0;
    int error = ETOOMANYREFS;

    for (int pause = CROWD_PAUSE_MIN_MS; error == ETOOMANYREFS && passed < limit;) {
        poll(NULL, 0, pause);
        if (pause < CROWD_PAUSE_MAX_MS)
            pause *= 2;
        error = call_send(call, message);
        passed = wait_clock_ms() - from;
    }
    if (*timeout_ms >= 0)
        *timeout_ms = passed < *timeout_ms ? *timeout_ms - (int)passed : 0;
    return error;
}

HOT int msg_call(struct port *port, const struct msg *message, struct msg *answer, int timeout_ms)
{
    if (answer)
        *answer = (struct msg){0};
    if (port->state >= PORT_ENDING)
        return ENOTCONN;
    if (port->local)
        return call_local(port, message, answer, timeout_ms);
    struct call call;
    call.port = port;
    call.blocking = true;
    call.ended = false;
    call.local = NULL;
    call.answer = answer;
    ev_init(&call.timer, call_timeout);
    int error = call_send(&call, message);
    if (error == ETOOMANYREFS)
        error = call_send_later(&call, message, &timeout_ms);
    if (error)
        return error;
    port_hold(port);
    error = await_reply(&call, answer, timeout_ms);
    struct slot *slot = slots_find(&port->calls, call.tag);
    if (slot && call.ended) {
        slots_drop(&port->calls, slot);
    } else if (slot) {
        slot->object = NULL;
        if (port->state < PORT_ENDING)
            port_transmit_cancel(port, call.tag);
    }
    port_release(port);
    return error;
}
