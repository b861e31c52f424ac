/* The new segment of the copy while it is being written. */
#ifndef HIRSEL_SEGMENT_H
#define HIRSEL_SEGMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct segment {
    uint64_t address; /* of its first byte in memory */
    uint8_t *bytes;
    size_t size, room;
    bool failed; /* no memory, or a distance of more than 2 GiB: what was written is no good */
};

void segment_free(struct segment *segment);

static inline uint64_t segment_here(const struct segment *segment)
{
    return segment->address + segment->size;
}

/* All of these set `failed` where they fail, and go on. NULL data: zeros. */
void segment_add(struct segment *segment, const void *data, size_t size);
void segment_align(struct segment *segment, size_t alignment, uint8_t fill);
void segment_byte(struct segment *segment, uint8_t value);
void segment_u32(struct segment *segment, uint32_t value);
void segment_uleb(struct segment *segment, uint64_t value);
/* The 32-bit distance from `origin` to `target`. */
void segment_distance(struct segment *segment, uint64_t origin, uint64_t target);

#endif
