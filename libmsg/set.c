/* Port sets. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "libmsg/internal.h"

#define UPKEEP_SECONDS 0.25

static void set_later(struct ev_loop *loop, ev_timer *watcher, int events)
{
    (void)loop;
    (void)events;
    struct port_set *set = watcher->data;
    struct port *port = set->later_head;

    if (!port)
        return;
    set->later_head = port->later_next;
    if (!set->later_head)
        set->later_tail = &set->later_head;
    else
        /* One at a time, the next one asked for before: a handler may run the loop itself. */
        ev_feed_event(set->loop, watcher, EV_CUSTOM);
    port->later = false;
    port_attend(port);
    port_release(port);
}

static void upkeep(struct ev_loop *loop, ev_timer *watcher, int events)
{
    (void)events;
    struct port_set *set = watcher->data;
    bool needed = listeners_resume(set);

    for (struct port *port = set->ports; port; port = port->next) {
        if (port->stopped) {
            needed = true;
            port_attend_later(port);
        }
    }
    if (!needed)
        ev_timer_stop(loop, watcher);
}

void set_upkeep(struct port_set *set)
{
    if (!set->closed && !ev_is_active(&set->upkeep))
        ev_timer_again(set->loop, &set->upkeep);
}

struct port_set *port_set_new(struct ev_loop *loop)
{
    struct port_set *set = calloc(1, sizeof *set);
    if (!set)
        return NULL;
    set->loop = loop;
    set->references = 1;
    set->queued_bytes = 8u << 20;
    set->connections_max = 512;
    set->replies_max = 64;
    set->later_tail = &set->later_head;
    ev_init(&set->later, set_later);
    ev_set_priority(&set->later, EV_MINPRI);
    set->later.data = set;
    ev_init(&set->upkeep, upkeep);
    set->upkeep.repeat = UPKEEP_SECONDS;
    set->upkeep.data = set;
    ev_init(&set->crowd, crowd_try);
    set->crowd.data = set;
    /* Without a spare one connections wait where they could be refused: no reason to fail. */
    set->spare_descriptor = open("/dev/null", O_RDONLY | O_CLOEXEC);
    return set;
}

void set_release(struct port_set *set)
{
    if (--set->references > 0)
        return;
    struct reply *reply;
    while ((reply = set->free_replies)) {
        set->free_replies = reply->next;
        free(reply);
    }
    free(set);
}

void port_set_free(struct port_set *set)
{
    if (!set)
        return;
    set->closed = true;
    while (set->listeners)
        listener_close(set->listeners);
    /* No hang-up tells of these ends, so that a `done` may still close another port of the set:
     * their memory stays until all have ended. */
    struct port *ended = NULL;
    struct port *port;
    while ((port = set->ports)) {
        port_hold(port);
        port->silent = true;
        port_end(port, 0, ECONNRESET);
        port->next = ended;
        ended = port;
    }
    while ((port = ended)) {
        ended = port->next;
        port_release(port);
    }
    while ((port = set->later_head)) {
        set->later_head = port->later_next;
        port->later = false;
        port_release(port);
    }
    set->later_tail = &set->later_head;
    ev_clear_pending(set->loop, &set->later);
    ev_timer_stop(set->loop, &set->upkeep);
    ev_timer_stop(set->loop, &set->crowd);
    if (set->spare_descriptor >= 0)
        close(set->spare_descriptor);
    set->spare_descriptor = -1;
    set_release(set);
}

void port_set_limit(struct port_set *set, size_t queued_bytes, unsigned connections,
                    unsigned replies)
{
    if (queued_bytes)
        set->queued_bytes = queued_bytes;
    if (connections)
        set->connections_max = connections;
    if (replies)
        set->replies_max = replies;
    listeners_resume(set);
}
