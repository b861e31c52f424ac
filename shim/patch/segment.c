#include "shim/patch/segment.h"

#include <stdlib.h>
#include <string.h>

void segment_free(struct segment *segment)
{
    free(segment->bytes);
    segment->bytes = NULL;
}

void segment_add(struct segment *segment, const void *data, size_t size)
{
    if (size > segment->room - segment->size) {
        size_t room = segment->room * 2 + size + 4096;
        uint8_t *more = realloc(segment->bytes, room);
        if (!more) {
            segment->failed = true;
            return;
        }
        segment->bytes = more;
        segment->room = room;
    }
    uint8_t *place = segment->bytes + segment->size;
    if (data)
        memcpy(place, data, size);
    else
        memset(place, 0, size);
    segment->size += size;
}

void segment_align(struct segment *segment, size_t alignment, uint8_t fill)
{
    while (segment->size % alignment != 0 && !segment->failed)
        segment_byte(segment, fill);
}

void segment_byte(struct segment *segment, uint8_t value)
{
    segment_add(segment, &value, sizeof value);
}

void segment_u32(struct segment *segment, uint32_t value)
{
    segment_add(segment, &value, sizeof value);
}

void segment_uleb(struct segment *segment, uint64_t value)
{
    while (value >= 128) {
        segment_byte(segment, (uint8_t)(value | 128));
        value >>= 7;
    }
    segment_byte(segment, (uint8_t)value);
}

void segment_distance(struct segment *segment, uint64_t origin, uint64_t target)
{
    int64_t distance = (int64_t)(target - origin);
    if (distance != (int32_t)distance)
        segment->failed = true;
    segment_u32(segment, (uint32_t)distance);
}
