/* Work in slices: the loop answers requests in between. */
#include <time.h>

#include "translators/archive/archive.h"

#define SLICE_NANOSECONDS 4000000

static bool clock_expired(const struct timespec *begin)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (now.tv_sec - begin->tv_sec) * 1000000000 + now.tv_nsec - begin->tv_nsec >
           SLICE_NANOSECONDS;
}

/* A timer of no time comes once in each turn of the loop, as descriptors do: neither starves. */
static void slice_begin(struct ev_loop *loop, ev_timer *watcher, int events)
{
    struct archive_file *file = watcher->data;
    struct timespec begin;

    (void)events;
    clock_gettime(CLOCK_MONOTONIC, &begin);
    do {
        slice_work *work = file->work;

        /* Work may end by starting other work. */
        if (!work(file) && file->work == work) {
            ev_timer_stop(loop, watcher);
            return;
        }
    } while (!clock_expired(&begin));
    if (!ev_is_active(watcher)) {
        ev_timer_set(watcher, 0., 0.);
        ev_timer_start(loop, watcher);
    }
}

void slice_start(struct archive_file *file, slice_work *work)
{
    file->work = work;
    if (ev_is_active(&file->slice))
        return;
    ev_timer_init(&file->slice, slice_begin, 0., 0.);
    file->slice.data = file;
    ev_timer_start(translator_loop(), &file->slice);
}
