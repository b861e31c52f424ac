#include "shim/patch/debug_frames.h"

#include "shim/patch/cursor.h"

#include <string.h>

#define COMMON_MARK 0xffffffffu /* what a common entry has where others have its place */

/* Where bytes come from, and where they go. */
struct debug_frames {
    struct segment *tail;
    size_t begin; /* of .debug_frame, in the tail */
    const struct segment *segment;
    const struct elf_image *image;
    uint64_t common; /* the common entry that was written last, and ... */
    uint32_t place;  /* ... where */
};

/* An entry's fields, from behind its length to its end. */
static bool entry_open(const struct debug_frames *debug, uint64_t address, struct cursor *cursor)
{
    const struct segment *segment = debug->segment;
    const bool new = address >= segment->address;
    const uint8_t *bytes;
    uint32_t length;
    if (new)
        bytes = segment_here(segment) - address >= 4 ? segment->bytes + (address - segment->address)
                                                     : NULL;
    else
        bytes = elf_image_at(debug->image, address, 4);
    if (!bytes)
        return false;
    memcpy(&length, bytes, sizeof length);
    if (new ? segment_here(segment) - address - 4 < length
            : !elf_image_at(debug->image, address, 4 + (uint64_t)length))
        return false;
    *cursor = (struct cursor){.at = bytes + 4, .end = bytes + 4 + length};
    return true;
}

static void u64_write(struct segment *tail, uint64_t value)
{
    segment_add(tail, &value, sizeof value);
}

/* An entry's length is known at its end. */
static void entry_close(struct segment *tail, size_t begin)
{
    segment_align(tail, 8, 0); /* no-operations */
    if (tail->failed)
        return;
    uint32_t length = (uint32_t)(tail->size - begin - 4);
    memcpy(tail->bytes + begin, &length, sizeof length);
}

static bool common_write(struct debug_frames *debug, uint64_t address)
{
    struct cursor cursor;
    struct segment *tail = debug->tail;
    if (address == debug->common)
        return true;
    if (!entry_open(debug, address, &cursor))
        return false;
    cursor_skip(&cursor, 4);
    uint8_t version = cursor_byte(&cursor);
    const uint8_t *letters = cursor.at;
    while (cursor_byte(&cursor) != 0)
        continue;
    /* Where there are letters the first one tells that the length of what they mean follows. */
    if ((version != 1 && version != 3) || (letters[0] != 'z' && letters[0] != 0))
        return false;
    const uint8_t *factors = cursor.at;
    cursor_uleb(&cursor);
    cursor_sleb(&cursor);
    const uint8_t *factors_end = cursor.at;
    uint64_t column = version == 1 ? cursor_byte(&cursor) : cursor_uleb(&cursor);
    if (letters[0] == 'z')
        cursor_skip(&cursor, cursor_uleb(&cursor));
    if (cursor.overrun || column > 127)
        return false;
    size_t begin = tail->size;
    segment_u32(tail, 0);
    segment_u32(tail, COMMON_MARK);
    segment_byte(tail, 1);
    segment_byte(tail, 0);
    segment_add(tail, factors, (size_t)(factors_end - factors));
    segment_byte(tail, (uint8_t)column);
    segment_add(tail, cursor.at, (size_t)(cursor.end - cursor.at));
    entry_close(tail, begin);
    debug->common = address;
    debug->place = (uint32_t)(begin - debug->begin);
    return true;
}

/* Addresses in it are pc-relative in 32 bits: that is checked of the common entries of libc, and
 * compilers make no others. */
static void entry_write(struct debug_frames *debug, uint64_t address)
{
    struct cursor cursor;
    struct segment *tail = debug->tail;
    if (!entry_open(debug, address, &cursor))
        return;
    uint64_t common = address + 4 - cursor_u32(&cursor);
    uint64_t code = address + 8 + (uint64_t)(int64_t)cursor_i32(&cursor);
    uint32_t size = cursor_u32(&cursor);
    cursor_skip(&cursor, cursor_uleb(&cursor));
    if (cursor.overrun || !common_write(debug, common))
        return;
    size_t begin = tail->size;
    segment_u32(tail, 0);
    segment_u32(tail, debug->place);
    u64_write(tail, code);
    u64_write(tail, size);
    segment_add(tail, cursor.at, (size_t)(cursor.end - cursor.at));
    entry_close(tail, begin);
}

void debug_frames_write(struct segment *tail, const struct segment *segment,
                        const struct elf_image *image, const struct frames *frames)
{
    struct debug_frames debug = {
        .tail = tail, .begin = tail->size, .segment = segment, .image = image};
    const uint8_t *table = segment->bytes + (frames->header - segment->address);
    uint32_t count;
    if (segment->failed)
        return;
    memcpy(&count, table + 8, sizeof count);
    for (uint32_t i = 0; i < count; i++) {
        int32_t pair[2];
        memcpy(pair, table + 12 + i * sizeof pair, sizeof pair);
        if (frames->header + (uint64_t)(int64_t)pair[0] >= segment->address)
            entry_write(&debug, frames->header + (uint64_t)(int64_t)pair[1]);
    }
}
