/* Names in archives: bytes that somebody else chose. */
#include <string.h>

#include "translators/archive/archive.h"

int name_next(const char **at, const char **component)
{
    for (;;) {
        const char *begin = *at + strspn(*at, "/");
        size_t length = strcspn(begin, "/");

        *at = begin + length;
        *component = begin;
        if (length == 1 && begin[0] == '.')
            continue;
        if (length == 2 && begin[0] == '.' && begin[1] == '.')
            return -1;
        return length > INT16_MAX ? INT16_MAX : (int)length;
    }
}

/* libarchive keeps a name as the archive has it, or converts it to the locale's encoding (UTF-8),
 * which fails for bytes that are none: the UTF-8 form then has them as near as can be. */
const char *entry_name(struct archive_entry *entry)
{
    const char *name = archive_entry_pathname(entry);

    return name ? name : archive_entry_pathname_utf8(entry);
}

const char *entry_hardlink(struct archive_entry *entry)
{
    const char *name = archive_entry_hardlink(entry);

    return name ? name : archive_entry_hardlink_utf8(entry);
}

const char *entry_symlink(struct archive_entry *entry)
{
    const char *name = archive_entry_symlink(entry);

    return name ? name : archive_entry_symlink_utf8(entry);
}

static uint64_t name_mark(struct archive_entry *entry)
{
    const unsigned char *name = (const unsigned char *)entry_name(entry);
    uint64_t hash = 14695981039346656037u;

    while (name && *name)
        hash = (hash ^ *name++) * 1099511628211u;
    return (hash ^ hash >> 32) << PLACE_BITS;
}

uint64_t data_make(struct archive_entry *entry, uint64_t place)
{
    return name_mark(entry) | (place + 1);
}

uint64_t data_place(uint64_t data)
{
    return (data & ((1ull << PLACE_BITS) - 1)) - 1;
}

bool data_is_of(uint64_t data, struct archive_entry *entry)
{
    return (data ^ name_mark(entry)) >> PLACE_BITS == 0;
}
