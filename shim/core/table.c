/* Reading the prefix table of the name space. */
#include "shim/core/core.h"
#include "shim/core/text.h"

bool table_still(const struct core *core, uint64_t generation)
{
    /* An acquire fence first: the reads from the snapshot must not sink below this load. */
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
    return __atomic_load_n(&core->header->generation, __ATOMIC_RELAXED) - generation <
           SPACE_RING_SAFE;
}

const struct space_entry *table_entries(const struct space_snapshot *table)
{
    return (const struct space_entry *)(table + 1);
}

const char *table_text(const struct space_snapshot *table, uint32_t offset)
{
    return (const char *)table + offset;
}

static int path_compare(const struct space_snapshot *table, const struct space_entry *entry,
                        const char *name, size_t length)
{
    const unsigned char *path = (const unsigned char *)table_text(table, entry->path);
    size_t shorter = entry->path_length < length ? entry->path_length : length;
    for (size_t i = 0; i < shorter; i++)
        if (path[i] != (unsigned char)name[i])
            return path[i] < (unsigned char)name[i] ? -1 : 1;
    return entry->path_length < length ? -1 : entry->path_length > length;
}

/* The first entry whose path is not less than the name. */
static uint32_t lower_bound(const struct space_snapshot *table, const char *name, size_t length)
{
    const struct space_entry *entries = table_entries(table);
    uint32_t low = 0, high = table->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (path_compare(table, &entries[middle], name, length) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

const struct space_entry *table_find(const struct space_snapshot *table, const char *name,
                                     size_t length)
{
    uint32_t at = lower_bound(table, name, length);
    const struct space_entry *entries = table_entries(table);
    if (at < table->count && path_compare(table, &entries[at], name, length) == 0)
        return &entries[at];
    return NULL;
}

const struct space_entry *table_cover(const struct space_snapshot *table, const char *name,
                                      size_t length)
{
    while (length > 0) {
        const struct space_entry *entry = table_find(table, name, length);
        if (entry != NULL)
            return entry;
        while (length > 0 && name[--length] != '/')
            ;
    }
    return table_find(table, name, 0);
}

const struct space_entry *table_mount(const struct space_snapshot *table, const char *name,
                                      size_t length)
{
    const struct space_entry *entry = table_cover(table, name, length);
    while (entry != NULL && entry->kind != SPACE_BIND && entry->kind != SPACE_NODE) {
        length = entry->name - entry->path - 1;
        entry = table_cover(table, name, length);
    }
    return entry;
}

bool table_has_below(const struct space_snapshot *table, const char *name, size_t length)
{
    const struct space_entry *entries = table_entries(table);
    for (uint32_t i = lower_bound(table, name, length); i < table->count; i++) {
        const char *path = table_text(table, entries[i].path);
        if (!text_begins(path, entries[i].path_length, name, length))
            return false;
        if (entries[i].path_length > length && path[length] == '/')
            return true;
    }
    return false;
}

const struct space_entry *table_bind_of_host(const struct space_snapshot *table, const char *host,
                                             size_t length)
{
    const struct space_entry *entries = table_entries(table), *best = NULL;
    for (uint32_t i = 0; i < table->count; i++) {
        if (entries[i].kind != SPACE_BIND ||
            !text_below(host, length, table_text(table, entries[i].target),
                        entries[i].target_length))
            continue;
        if (best == NULL || entries[i].target_length > best->target_length)
            best = &entries[i];
    }
    return best;
}

bool table_has_name(const struct space_snapshot *table, const char *component, size_t length)
{
    const struct space_entry *entries = table_entries(table);
    for (uint32_t i = 0; i < table->count; i++) {
        size_t name_length = entries[i].path + entries[i].path_length - entries[i].name;
        if (name_length == length &&
            text_equal(table_text(table, entries[i].name), length, component, length))
            return true;
    }
    return false;
}

bool table_ancestors(const struct space_snapshot *table, const char *component, size_t length)
{
    return space_bit_test(table->ancestor_bits, space_name_bit(component, length));
}

uint64_t table_inode(const struct space_entry *entry)
{
    return entry->parent_inode ^ (uint64_t)entry->serial << 32 ^ 0x48697273u;
}

bool table_has_read_only(const struct space_snapshot *table)
{
    for (uint32_t i = 0; i < table->count; i++)
        if (table_entries(table)[i].flags & SPACE_READ_ONLY)
            return true;
    return false;
}
