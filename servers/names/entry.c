#include "servers/names/names.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static int path_compare(const char *one, size_t one_length, const char *other, size_t other_length)
{
    size_t shorter = one_length < other_length ? one_length : other_length;
    int order = memcmp(one, other, shorter);

    if (order != 0)
        return order;
    return one_length < other_length ? -1 : one_length > other_length;
}

/* Where `path` is (*found) or belongs. */
static size_t position_of(const struct entries *entries, const char *path, size_t length,
                          int *found)
{
    size_t low = 0, high = entries->count;

    *found = 0;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const struct entry *entry = &entries->items[middle];
        int order = path_compare(entry->path, entry->path_length, path, length);
        if (order == 0) {
            *found = 1;
            return middle;
        }
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void entry_clear(struct entry *entry)
{
    free(entry->path);
    free(entry->target);
}

static bool serial_is_used(const struct entries *entries, uint32_t serial)
{
    for (size_t i = 0; i < entries->count; i++)
        if (entries->items[i].serial == serial)
            return true;
    return false;
}

/* A number that no entry has. There are far fewer entries than numbers. */
static uint32_t serial_next(struct entries *entries)
{
    do
        entries->serial = entries->serial % SPACE_SERIAL_MAX + 1;
    while (serial_is_used(entries, entries->serial));
    return entries->serial;
}

int entries_add(struct entries *entries, const struct entry *entry)
{
    struct entry copy = *entry;
    int found;
    size_t position = position_of(entries, entry->path, strlen(entry->path), &found);

    if (found)
        return EEXIST;
    if (entries->count == entries->room) {
        size_t room = entries->room ? entries->room * 2 : 16;
        struct entry *items = reallocarray(entries->items, room, sizeof(*items));
        if (!items)
            return ENOMEM;
        entries->items = items;
        entries->room = room;
    }
    copy.path = strdup(entry->path);
    copy.target = entry->target ? strdup(entry->target) : NULL;
    if (!copy.path || (entry->target && !copy.target)) {
        entry_clear(&copy);
        return ENOMEM;
    }
    copy.path_length = strlen(copy.path);
    if (copy.serial == 0)
        copy.serial = serial_next(entries);
    else if (copy.serial > entries->serial)
        entries->serial = copy.serial;
    memmove(&entries->items[position + 1], &entries->items[position],
            (entries->count - position) * sizeof(copy));
    entries->items[position] = copy;
    entries->count++;
    return 0;
}

int entries_remove(struct entries *entries, const char *path)
{
    int found;
    size_t position = position_of(entries, path, strlen(path), &found);

    if (!found)
        return ENOENT;
    entry_clear(&entries->items[position]);
    entries->count--;
    memmove(&entries->items[position], &entries->items[position + 1],
            (entries->count - position) * sizeof(struct entry));
    return 0;
}

int entries_copy(struct entries *to, const struct entries *from)
{
    memset(to, 0, sizeof(*to));
    to->sticky_flags = from->sticky_flags;
    for (size_t i = 0; i < from->count; i++) {
        int error = entries_add(to, &from->items[i]);
        if (error) {
            entries_free(to);
            return error;
        }
    }
    return 0;
}

void entries_free(struct entries *entries)
{
    for (size_t i = 0; i < entries->count; i++)
        entry_clear(&entries->items[i]);
    free(entries->items);
    memset(entries, 0, sizeof(*entries));
}

static const struct entry *entry_at(const struct entries *entries, const char *path, size_t length)
{
    int found;
    size_t position = position_of(entries, path, length, &found);

    return found ? &entries->items[position] : NULL;
}

const struct entry *entries_at(const struct entries *entries, const char *path)
{
    return entry_at(entries, path, strlen(path));
}

const struct entry *entries_prefix(const struct entries *entries, const char *path)
{
    size_t length = strlen(path);

    while (length > 0) {
        const struct entry *entry = entry_at(entries, path, length);
        if (entry)
            return entry;
        while (length > 0 && path[length - 1] != '/')
            length--;
        if (length > 0)
            length--;
    }
    return NULL;
}

bool entries_any_below(const struct entries *entries, const char *path)
{
    for (size_t i = 0; i < entries->count; i++)
        if (strcmp(entries->items[i].path, path) != 0 &&
            name_is_below(entries->items[i].path, path))
            return true;
    return false;
}

/* `prefix` is taken off `path`, `other` put in its place. */
static const char *prefix_exchange(const char *path, const char *prefix, const char *other,
                                   char buffer[NAME_PATH_SIZE])
{
    const char *rest = path + (strlen(prefix) == 1 ? 0 : strlen(prefix));
    size_t other_length = strlen(other) == 1 ? 0 : strlen(other);
    size_t rest_length = strcmp(rest, "/") == 0 ? 0 : strlen(rest);

    if (other_length + rest_length >= NAME_PATH_SIZE)
        return NULL;
    memcpy(buffer, other, other_length);
    memcpy(buffer + other_length, rest, rest_length);
    buffer[other_length + rest_length] = '\0';
    return buffer[0] ? buffer : strcpy(buffer, "/");
}

const char *entries_host(const struct entries *entries, const char *path,
                         char buffer[NAME_PATH_SIZE])
{
    const struct entry *entry = entries_prefix(entries, path);

    if (!entry)
        return strcpy(buffer, path);
    if (entry->kind != SPACE_BIND)
        return NULL;
    return prefix_exchange(path, entry->path, entry->target, buffer);
}

const char *entries_session(const struct entries *entries, const char *host,
                            char buffer[NAME_PATH_SIZE])
{
    const struct entry *best = NULL;

    for (size_t i = 0; i < entries->count; i++) {
        const struct entry *entry = &entries->items[i];
        if (entry->kind == SPACE_BIND && name_is_below(host, entry->target) &&
            (!best || strlen(entry->target) > strlen(best->target)))
            best = entry;
    }
    if (!best)
        return strcpy(buffer, host);
    return prefix_exchange(host, best->target, best->path, buffer);
}
