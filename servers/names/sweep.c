/* Name spaces end with the last tree that is in them. */
#include "servers/names/names.h"

#include "servers/lib/server.h"

#define SWEEP_SECONDS 1.0

static bool space_has_tree(struct names *names, const struct space *space)
{
    const struct tree *trees;
    size_t count = tree_list(names->server, &trees);

    for (size_t i = 0; i < count; i++)
        if (trees[i].space == space->id)
            return true;
    return false;
}

static bool space_has_maker(const struct space *space)
{
    uint64_t start_time;

    return space->maker > 0 && process_stat(space->maker, NULL, &start_time) == 0 &&
           start_time == space->maker_start;
}

static void sweep_again(struct ev_loop *loop, struct ev_timer *timer, int events)
{
    (void)loop;
    (void)events;
    spaces_sweep(timer->data);
}

void spaces_sweep(struct names *names)
{
    struct ev_loop *loop = names->server->loop;
    struct space *next;
    bool waits = false;

    for (struct space *space = names->spaces; space; space = next) {
        next = space->next;
        if (space->id == 0 || space_has_tree(names, space))
            continue;
        if (space_has_maker(space))
            waits = true;
        else
            space_drop(names, space);
    }
    /* The end of a maker is nobody's news: where the last tree went first, its space would stay. */
    if (waits && !ev_is_active(&names->sweeping)) {
        ev_timer_init(&names->sweeping, sweep_again, SWEEP_SECONDS, 0);
        names->sweeping.data = names;
        ev_timer_start(loop, &names->sweeping);
    }
}
