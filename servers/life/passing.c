/* msg_forward would do for the plain case. But a caller that gives up is to be answered at once,
 * even where the translator hangs; and how often a request was tried, and how many a translator has
 * in hand, is known only to who sees their answers. */
#include "servers/life/internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "servers/lib/server.h"

struct passing {
    struct waiter waiter; /* first: a waiter is its passing */
    struct translator *translator;
    struct msg message; /* owned */
    struct reply *reply;
    struct call *call; /* while the translator has it */
    struct asking asking;
    unsigned tries;  /* processes that ended with it in hand */
    ev_tstamp since; /* the first one's end */
    bool cancelled;
};

static void passing_end(struct passing *passing, int error, struct msg *answer)
{
    struct reply *reply = passing->reply;
    struct msg passed = {.error = error};

    reply_on_cancel(reply, NULL, NULL);
    if (answer) {
        passed = *answer;
        passed.error = error;
    }
    reply_send(reply, &passed);
    msg_release(&passing->message);
    free(passing);
}

#define FIELD_SPACE 17 /* NodeRequest.space */

/* The request's body with NodeRequest.space behind it: of a field that comes twice the last one
 * counts, so nothing needs to be packed anew. How long it is then. */
static size_t body_with_space(uint8_t *to, const struct passing *passing)
{
    uint8_t *at = to + passing->message.length;
    uint64_t space = passing->asking.space;

    if (passing->message.length)
        memcpy(to, passing->message.body, passing->message.length);
    *at++ = (uint8_t)(FIELD_SPACE << 3 | 0x80);
    *at++ = FIELD_SPACE >> 4;
    for (; space >= 0x80; space >>= 7)
        *at++ = (uint8_t)(space | 0x80);
    *at++ = (uint8_t)space;
    return (size_t)(at - to);
}

static bool is_tried_enough(struct passing *passing)
{
    ev_tstamp now = ev_time();

    if (passing->tries == 0)
        passing->since = now;
    passing->tries++;
    return passing->tries >= LIFE_TRIES ||
           (passing->tries >= LIFE_TRIES_LEAST && now - passing->since > LIFE_TRY_SECONDS);
}

/* The way to the translator broke before it answered. */
static void passing_broke(struct passing *passing)
{
    struct translator *translator = passing->translator;

    running_lost(translator);
    if (translator->hangs) {
        passing_end(passing, ETIMEDOUT, NULL);
    } else if (is_tried_enough(passing)) {
        log_line("translator %s (%s) ended %u times with the same request in hand; "
                 "whoever asked gets EIO",
                 translator_name(translator), translator->path, passing->tries);
        passing_end(passing, EIO, NULL);
    } else {
        passing->waiter.tried = true;
        life_await(translator, &passing->waiter);
    }
}

static void passing_answered(int error, struct msg *answer, void *context)
{
    struct passing *passing = context;
    /* An answer names the operation; what libmsg says of the way does not. */
    bool broke =
        answer->operation == 0 && (error == ECONNRESET || error == ENOTCONN || error == ECANCELED);

    passing->call = NULL;
    passing->translator->in_hand--;
    if (!broke)
        passing->translator->deaths = 0;
    if (passing->cancelled)
        passing_end(passing, ECANCELED, NULL);
    else if (broke)
        passing_broke(passing);
    else {
        if (error == 0 && passing->asking.of_directory)
            told_take(passing->translator, answer);
        passing_end(passing, error, answer);
    }
}

static void passing_send(struct passing *passing)
{
    struct translator *translator = passing->translator;
    uint8_t small[1024];
    size_t room = passing->message.length + 16;
    uint8_t *body = room > sizeof(small) ? malloc(room) : small;
    struct msg passed = {.operation = passing->message.operation,
                         .request = passing->message.request};
    int error = ENOMEM;

    if (!body)
        goto out;
    passed.body = body;
    passed.length = body_with_space(body, passing);
    error = translator->port ? 0 : ENOTCONN;
    if (!error) {
        translator->in_hand++;
        error = msg_call_start(translator->port, &passed, -1, passing_answered, passing,
                               &passing->call);
        if (error)
            translator->in_hand--;
        else
            running_watch(translator);
    }
out:
    if (body != small)
        free(body);
    if (error == ENOTCONN)
        passing_broke(passing);
    else if (error)
        passing_end(passing, error, NULL);
}

static void passing_up(struct waiter *waiter, int error)
{
    struct passing *passing = (struct passing *)waiter;

    if (error)
        passing_end(passing, error, NULL);
    else
        passing_send(passing);
}

/* The caller has given up: it is answered now, whatever the translator does. */
static void passing_cancelled(struct reply *reply, void *context)
{
    struct passing *passing = context;

    (void)reply;
    passing->cancelled = true;
    if (passing->call) {
        call_cancel(passing->call);
    } else if (passing->waiter.translator) {
        life_unawait(&passing->waiter);
        passing_end(passing, ECANCELED, NULL);
    }
    /* Else: told from within life_pass, which sees to it. */
}

void life_pass(struct translator *translator, struct msg *message, struct reply *reply,
               const struct asking *asking)
{
    struct passing *passing = calloc(1, sizeof(*passing));

    if (!passing) {
        reply_error(reply, ENOMEM);
        return;
    }
    passing->waiter.up = passing_up;
    passing->waiter.guarded = asking->guarded;
    passing->translator = translator;
    passing->reply = reply;
    passing->asking = *asking;
    msg_keep(message, &passing->message);
    reply_on_cancel(reply, passing_cancelled, passing);
    if (passing->cancelled)
        passing_end(passing, ECANCELED, NULL);
    else
        life_await(translator, &passing->waiter);
}
