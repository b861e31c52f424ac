/* Passing a request on, the right to its answer with it. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "libmsg/internal.h"

struct forward {
    struct reply *reply;
    struct msg kept; /* the request, if it may have to be sent again */
    forward_broken *retry;
    void *context;
};

static void forward_finished(struct call *call, int error, struct msg *answer)
{
    struct forward *forward = call->context;
    struct reply *reply = forward->reply;
    reply->state = REPLY_OWED;
    reply->forward = NULL;

    if (call->answered) {
        struct msg passed = *answer;
        passed.error = error;
        reply_send(reply, &passed);
    } else if (error == ETIMEDOUT) {
        reply_error(reply, ETIMEDOUT);
    } else if (forward->retry) {
        forward->retry(error, &forward->kept, reply, forward->context);
    } else {
        reply_error(reply, ECONNRESET);
    }
    msg_release(&forward->kept);
    free(forward);
}

int msg_forward(struct port *port, const struct msg *message, struct reply *reply, int timeout_ms,
                forward_broken *retry, void *context)
{
    if (!reply)
        return msg_send(port, message);
    if (reply->state != REPLY_OWED) {
        fprintf(stderr, "libmsg: an answered request was forwarded; this is a bug in its server\n");
        abort();
    }
    struct forward *forward = calloc(1, sizeof *forward);
    struct call *call = calloc(1, sizeof *call);
    int error = forward && call ? 0 : ENOMEM;
    if (!error && retry)
        error = message_copy(&forward->kept, message);
    if (error) {
        free(forward);
        free(call);
        return error;
    }
    forward->reply = reply;
    forward->retry = retry;
    forward->context = context;
    call->port = port;
    call->finished = forward_finished;
    call->context = forward;
    reply->state = REPLY_FORWARDED;
    reply->cancelled = NULL;

    bool ended;
    error = call_start(call, message, timeout_ms, &ended);
    if (error) {
        reply->state = REPLY_OWED;
        msg_release(&forward->kept);
        free(forward);
    } else if (!ended) {
        reply->forward = call;
        /* The caller had given up already: whoever answers now should know. */
        if (reply->is_cancelled)
            call_tell_cancel(call);
    }
    return error;
}
