/* Reading little-endian values and LEB128 numbers from bytes that may end too early. */
#ifndef HIRSEL_CURSOR_H
#define HIRSEL_CURSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct cursor {
    const uint8_t *at, *end;
    bool overrun; /* more was read than there is: what was read is zeros */
};

static inline void cursor_read(struct cursor *cursor, void *value, size_t size)
{
    if ((size_t)(cursor->end - cursor->at) < size) {
        cursor->overrun = true;
        cursor->at = cursor->end;
        memset(value, 0, size);
        return;
    }
    memcpy(value, cursor->at, size);
    cursor->at += size;
}

static inline void cursor_skip(struct cursor *cursor, uint64_t size)
{
    if ((uint64_t)(cursor->end - cursor->at) < size) {
        cursor->overrun = true;
        cursor->at = cursor->end;
        return;
    }
    cursor->at += size;
}

static inline uint8_t cursor_byte(struct cursor *cursor)
{
    uint8_t value;
    cursor_read(cursor, &value, sizeof value);
    return value;
}

static inline uint16_t cursor_u16(struct cursor *cursor)
{
    uint16_t value;
    cursor_read(cursor, &value, sizeof value);
    return value;
}

static inline uint32_t cursor_u32(struct cursor *cursor)
{
    uint32_t value;
    cursor_read(cursor, &value, sizeof value);
    return value;
}

static inline int32_t cursor_i32(struct cursor *cursor)
{
    int32_t value;
    cursor_read(cursor, &value, sizeof value);
    return value;
}

static inline uint64_t cursor_uleb(struct cursor *cursor)
{
    uint64_t value = 0;
    unsigned shift = 0;
    uint8_t byte;
    do {
        byte = cursor_byte(cursor);
        if (shift < 64)
            value |= (uint64_t)(byte & 127) << shift;
        shift += 7;
    } while (byte & 128);
    return value;
}

static inline int64_t cursor_sleb(struct cursor *cursor)
{
    uint64_t value = 0;
    unsigned shift = 0;
    uint8_t byte;
    do {
        byte = cursor_byte(cursor);
        if (shift < 64)
            value |= (uint64_t)(byte & 127) << shift;
        shift += 7;
    } while (byte & 128);
    if (shift < 64 && (byte & 64))
        value |= ~0ull << shift;
    return (int64_t)value;
}

#endif
