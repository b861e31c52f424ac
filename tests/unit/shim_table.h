/* A prefix table made in memory, as fs lays it out. */
#ifndef HIRSEL_TESTS_SHIM_TABLE_H
#define HIRSEL_TESTS_SHIM_TABLE_H

#include <stdlib.h>
#include <string.h>

#include "shim/core/core.h"

struct row {
    const char *path;
    const char *target; /* NULL: none */
    uint16_t kind;
    uint16_t flags;
    uint64_t translator;
};

static inline int row_compare(const void *one, const void *other)
{
    return strcmp(((const struct row *)one)->path, ((const struct row *)other)->path);
}

static inline void row_bit(uint64_t bits[4], const char *name, size_t length)
{
    unsigned bit = space_name_bit(name, length);

    bits[bit >> 6] |= (uint64_t)1 << (bit & 63);
}

/* A snapshot of `count` rows, which are sorted; to be freed. */
static inline struct space_snapshot *table_make(struct row *rows, size_t count)
{
    size_t size = sizeof(struct space_snapshot) + count * sizeof(struct space_entry);
    struct space_snapshot *table = calloc(1, size + count * 2 * 512);
    struct space_entry *entry = (struct space_entry *)(table + 1);
    char *text = (char *)table + size;

    qsort(rows, count, sizeof(*rows), row_compare);
    table->count = (uint32_t)count;
    for (size_t i = 0; i < count; i++, entry++) {
        const char *last = strrchr(rows[i].path, '/') + 1;
        entry->kind = rows[i].kind;
        entry->flags = rows[i].flags;
        entry->translator = rows[i].translator;
        entry->path = (uint32_t)(text - (char *)table);
        entry->path_length = (uint32_t)strlen(rows[i].path);
        entry->name = entry->path + (uint32_t)(last - rows[i].path);
        text = stpcpy(text, rows[i].path) + 1;
        entry->target = (uint32_t)(text - (char *)table);
        entry->target_length = rows[i].target ? (uint32_t)strlen(rows[i].target) : 0;
        text = stpcpy(text, rows[i].target ? rows[i].target : "") + 1;
        row_bit(table->name_bits, last, strlen(last));
        for (const char *name = rows[i].path + 1; name < last;) {
            size_t length = strcspn(name, "/");
            row_bit(table->ancestor_bits, name, length);
            name += length + 1;
        }
    }
    table->size = (uint32_t)(text - (char *)table);
    return table;
}

#endif
