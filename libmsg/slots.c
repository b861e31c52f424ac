/* Tables whose ids tell a stale one from a live one. */
#include <errno.h>
#include <stdlib.h>

#include "libmsg/internal.h"

static int slots_grow(struct slots *slots)
{
    uint32_t count = slots->count ? slots->count * 2 : 8;
    if (count > SLOTS_MAX)
        return ENOMEM;
    struct slot *table = realloc(slots->table, count * sizeof *table);
    if (!table)
        return ENOMEM;
    for (uint32_t i = slots->count; i < count; i++) {
        table[i].id = 0;
        table[i].next_free = i + 1 < count ? i + 2 : 0;
    }
    slots->free_head = slots->count + 1;
    slots->table = table;
    slots->count = count;
    return 0;
}

HOT uint64_t slots_put(struct slots *slots, uint64_t serial, void *object, void (*release)(void *))
{
    if (!slots->free_head && slots_grow(slots)) {
        errno = ENOMEM;
        return 0;
    }
    uint32_t index = slots->free_head - 1;
    struct slot *slot = &slots->table[index];
    slots->free_head = slot->next_free;
    slot->id = serial << 16 | index;
    slot->object = object;
    slot->release = release;
    return slot->id;
}

void slots_clear(struct slots *slots)
{
    free(slots->table);
    slots->table = NULL;
    slots->count = 0;
    slots->free_head = 0;
}
