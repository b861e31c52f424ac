/* Reading the prefix table of the name space. */
#include "shim/core/core.h"
#include "shim/core/text.h"

#define ENTRIES_MAX (SPACE_SNAPSHOT_MAX / sizeof(struct space_entry))
_Static_assert(sizeof(struct space_snapshot) + SPACE_SNAPSHOT_MAX + sizeof(struct space_entry) +
                       PATH_LIMIT <
                   SPACE_FILE_SIZE - SPACE_RING_END,
               "what a reader believes leads no farther than the file");

uint32_t table_count(const struct space_snapshot *table)
{
    uint32_t count = __atomic_load_n(&table->count, __ATOMIC_RELAXED);
    return count < ENTRIES_MAX ? count : ENTRIES_MAX;
}

const struct space_entry *table_entries(const struct space_snapshot *table)
{
    return (const struct space_entry *)(table + 1);
}

static struct table_text text_at(const struct space_snapshot *table, uint32_t offset,
                                 uint32_t length)
{
    struct table_text none = {"", 0};
    if (offset >= SPACE_SNAPSHOT_MAX || length >= PATH_LIMIT)
        return none;
    return (struct table_text){(const char *)table + offset, length};
}

struct table_text table_path(const struct space_snapshot *table, const struct space_entry *entry)
{
    return text_at(table, __atomic_load_n(&entry->path, __ATOMIC_RELAXED),
                   __atomic_load_n(&entry->path_length, __ATOMIC_RELAXED));
}

struct table_text table_last(const struct space_snapshot *table, const struct space_entry *entry)
{
    uint32_t name = __atomic_load_n(&entry->name, __ATOMIC_RELAXED);
    return text_at(table, name,
                   __atomic_load_n(&entry->path, __ATOMIC_RELAXED) +
                       __atomic_load_n(&entry->path_length, __ATOMIC_RELAXED) - name);
}

struct table_text table_parent(const struct space_snapshot *table, const struct space_entry *entry)
{
    uint32_t path = __atomic_load_n(&entry->path, __ATOMIC_RELAXED);
    return text_at(table, path, __atomic_load_n(&entry->name, __ATOMIC_RELAXED) - path - 1);
}

struct table_text table_target(const struct space_snapshot *table, const struct space_entry *entry)
{
    return text_at(table, __atomic_load_n(&entry->target, __ATOMIC_RELAXED),
                   __atomic_load_n(&entry->target_length, __ATOMIC_RELAXED));
}

static int path_compare(const struct space_snapshot *table, const struct space_entry *entry,
                        const char *name, size_t length)
{
    struct table_text path = table_path(table, entry);
    size_t shorter = path.length < length ? path.length : length;
    for (size_t i = 0; i < shorter; i++)
        if (path.bytes[i] != name[i])
            return (unsigned char)path.bytes[i] < (unsigned char)name[i] ? -1 : 1;
    return path.length < length ? -1 : path.length > length;
}

/* The first entry whose path is not less than the name. */
static uint32_t lower_bound(const struct space_snapshot *table, const char *name, size_t length)
{
    const struct space_entry *entries = table_entries(table);
    uint32_t low = 0, high = table_count(table);
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
    if (at < table_count(table) && path_compare(table, &entries[at], name, length) == 0)
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
        size_t above = table_parent(table, entry).length;
        if (above >= length)
            return NULL; /* it is being written over */
        length = above;
        entry = table_cover(table, name, length);
    }
    return entry;
}

bool table_has_below(const struct space_snapshot *table, const char *name, size_t length)
{
    const struct space_entry *entries = table_entries(table);
    uint32_t count = table_count(table);
    for (uint32_t i = lower_bound(table, name, length); i < count; i++) {
        struct table_text path = table_path(table, &entries[i]);
        if (!text_begins(path.bytes, path.length, name, length))
            return false;
        if (path.length > length && path.bytes[length] == '/')
            return true;
    }
    return false;
}

const struct space_entry *table_bind_of_host(const struct space_snapshot *table, const char *host,
                                             size_t length)
{
    const struct space_entry *entries = table_entries(table), *best = NULL;
    uint32_t count = table_count(table);
    size_t longest = 0;
    for (uint32_t i = 0; i < count; i++) {
        struct table_text target = table_target(table, &entries[i]);
        if (entries[i].kind != SPACE_BIND || !text_below(host, length, target.bytes, target.length))
            continue;
        if (best == NULL || target.length > longest) {
            best = &entries[i];
            longest = target.length;
        }
    }
    return best;
}

bool table_has_name(const struct space_snapshot *table, const char *component, size_t length)
{
    const struct space_entry *entries = table_entries(table);
    uint32_t count = table_count(table);
    for (uint32_t i = 0; i < count; i++) {
        struct table_text last = table_last(table, &entries[i]);
        if (text_equal(last.bytes, last.length, component, length))
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
    uint32_t count = table_count(table);
    for (uint32_t i = 0; i < count; i++)
        if (table_entries(table)[i].flags & SPACE_READ_ONLY)
            return true;
    return false;
}
