/* A handler that keeps its request and the reply to it, and hears of cancels. */
#ifndef HIRSEL_TESTS_MSG_HOLD_H
#define HIRSEL_TESTS_MSG_HOLD_H

#include "tests/unit/msg_support.h"

struct held {
    int count;
    int cancelled;
    int notices;
    struct reply *reply;
    struct msg message;
    bool answer_on_cancel;
};

static inline void hold_cancelled(struct reply *reply, void *context)
{
    struct held *held = context;
    held->cancelled++;
    if (held->answer_on_cancel) {
        held->reply = NULL;
        reply_error(reply, ECANCELED);
    }
}

static inline void hold(struct port *port, struct msg *message, struct reply *reply, void *context)
{
    (void)port;
    struct held *held = context;
    if (!reply) {
        held->notices++;
        return;
    }
    held->count++;
    held->reply = reply;
    reply_on_cancel(reply, hold_cancelled, held);
    msg_keep(message, &held->message);
}

#endif
