/* Those who wait until a translator is up, and those who wait until it is stopped. */
#include "servers/life/internal.h"

#include <errno.h>

void life_tell_waiters(struct translator *translator, int error)
{
    life_hold(translator);
    /* It may be lost while its first request is sent: the others wait for the next. */
    while (translator->waiters && (error || translator->state == TRANSLATOR_RUNNING)) {
        struct waiter *waiter = translator->waiters;
        translator->waiters = waiter->next;
        waiter->translator = NULL;
        waiter->up(waiter, error);
    }
    life_release(translator);
}

void life_tell_stoppers(struct translator *translator, int error)
{
    struct stopper *stoppers = translator->stoppers;

    /* One that is told may well ask again: that is a new turn. */
    translator->stoppers = NULL;
    life_hold(translator);
    while (stoppers) {
        struct stopper *stopper = stoppers;
        stoppers = stopper->next;
        stopper->stopped(stopper, error);
    }
    life_release(translator);
}

void life_await(struct translator *translator, struct waiter *waiter)
{
    struct waiter **link = &translator->waiters;

    waiter->translator = NULL;
    waiter->next = NULL;
    if (translator->forgotten) {
        waiter->up(waiter, ENOENT);
        return;
    }
    if (waiter->guarded && waiter->guarded == translator->pid) {
        waiter->up(waiter, EDEADLK);
        return;
    }
    if (translator->state == TRANSLATOR_RUNNING) {
        waiter->up(waiter, 0);
        return;
    }
    /* Requests that lost a process are tried again in the other order: the one that it answered
     * last, or never, is the likeliest to be its end, and the others shall be answered before. */
    while (!waiter->tried && *link)
        link = &(*link)->next;
    waiter->next = *link;
    *link = waiter;
    waiter->translator = translator;
    if (translator->state == TRANSLATOR_IDLE)
        running_start(translator);
}

void life_unawait(struct waiter *waiter)
{
    struct waiter **link;

    if (!waiter->translator)
        return;
    link = &waiter->translator->waiters;
    while (*link && *link != waiter)
        link = &(*link)->next;
    if (*link)
        *link = waiter->next;
    waiter->translator = NULL;
}

void life_stop(struct translator *translator, struct stopper *stopper)
{
    stopper->next = translator->stoppers;
    translator->stoppers = stopper;
    switch (translator->state) {
    case TRANSLATOR_IDLE:
        if (life_is_alive(translator))
            running_end(translator);
        else
            life_tell_stoppers(translator, 0);
        break;
    case TRANSLATOR_STARTING: /* ended as soon as init has answered */
    case TRANSLATOR_PAUSING:  /* told when that is over */
    case TRANSLATOR_ENDING:
        break;
    case TRANSLATOR_GREETING:
        running_end(translator);
        break;
    case TRANSLATOR_RUNNING:
        running_go_away(translator);
        break;
    }
}
