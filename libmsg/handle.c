/* Handles: objects given out on a connection, and request ids. */
#include <errno.h>
#include <stdatomic.h>
#include <sys/random.h>

#include "libmsg/internal.h"

uint64_t handle_new(struct port *port, void *object, void (*release)(void *object))
{
    /* The serial is the set's, so that no two connections have the same handle. */
    return slots_put(&port->handles, ++port->set->handle_serial, object, release);
}

void *handle_get(const struct port *port, uint64_t handle)
{
    struct slot *slot = slots_find(&port->handles, handle);
    if (!slot) {
        errno = EBADF;
        return NULL;
    }
    return slot->object;
}

int handle_drop(struct port *port, uint64_t handle)
{
    struct slot *slot = slots_find(&port->handles, handle);
    if (!slot)
        return EBADF;
    struct slot dropped = *slot;
    slots_drop(&port->handles, slot);
    if (dropped.release)
        dropped.release(dropped.object);
    return 0;
}

uint64_t request_id_new(void)
{
    /* The random half is drawn each time: a fork must not repeat it. */
    static atomic_uint_least32_t counter;
    uint32_t random = 0;
    uint32_t count = (uint32_t)atomic_fetch_add(&counter, 1) + 1;
    while (getrandom(&random, sizeof random, 0) < 0 && errno == EINTR)
        ;
    uint64_t id = (uint64_t)random << 32 | count;
    return id ? id : 1;
}
