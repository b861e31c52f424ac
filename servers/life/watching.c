/* A translator may take as long as it wants to fill a file; it may not hang. */
#include "servers/life/internal.h"

#include <errno.h>
#include <string.h>

#include "proto/node.pb-c.h"
#include "servers/lib/server.h"

/* While a translator has requests in hand it is asked so often whether it is there at all, and has
 * so long to say it. */
#define WATCH_SECONDS 10.0
#define WATCH_TIMEOUT_MS 20000

static void watch_answered(int error, struct msg *answer, void *context)
{
    struct translator *translator = context;

    (void)answer;
    translator->greets = false;
    if (error != ETIMEDOUT || translator->state != TRANSLATOR_RUNNING)
        return;
    log_line("translator %s (%s) hangs; it is ended", translator_name(translator),
             translator->path);
    translator->hangs = true;
    running_end(translator);
}

static void watch_over(struct ev_loop *loop, ev_timer *timer, int events)
{
    struct translator *translator = timer->data;
    struct msg hello = {.operation = HIRSEL__NODE_OPERATION__NODE_OPTIONS};

    (void)events;
    if (translator->in_hand == 0 || translator->state != TRANSLATOR_RUNNING)
        ev_timer_stop(loop, timer);
    else if (!translator->greets)
        translator->greets = msg_call_start(translator->port, &hello, WATCH_TIMEOUT_MS,
                                            watch_answered, translator, NULL) == 0;
}

void running_watch(struct translator *translator)
{
    if (ev_is_active(&translator->watch))
        return;
    ev_timer_init(&translator->watch, watch_over, WATCH_SECONDS, WATCH_SECONDS);
    translator->watch.data = translator;
    ev_timer_start(translator->life->server->loop, &translator->watch);
}
