#include "servers/names/names.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* Entries hold 64-bit fields: a snapshot starts and its strings end on this. */
#define SNAPSHOT_ALIGNMENT 8u

static size_t align(size_t size)
{
    return (size + SNAPSHOT_ALIGNMENT - 1) & ~(size_t)(SNAPSHOT_ALIGNMENT - 1);
}

static size_t snapshot_size(const struct entries *entries)
{
    size_t size = sizeof(struct space_snapshot) + entries->count * sizeof(struct space_entry);

    for (size_t i = 0; i < entries->count; i++) {
        const struct entry *entry = &entries->items[i];
        size += entry->path_length + 1 + (entry->target ? strlen(entry->target) + 1 : 0);
    }
    return align(size);
}

static void bit_set(uint64_t bits[4], const char *name, size_t length)
{
    unsigned bit = space_name_bit(name, length);

    bits[bit >> 6] |= (uint64_t)1 << (bit & 63);
}

static void snapshot_add_bits(struct space_snapshot *snapshot, const char *path)
{
    const char *last = name_last(path);

    for (const char *name = path + 1; name < last;) {
        size_t length = strcspn(name, "/");
        bit_set(snapshot->ancestor_bits, name, length);
        name += length + 1;
    }
    bit_set(snapshot->name_bits, last, strlen(last));
}

/* A snapshot of `entries`, malloc'ed, its `size` filled in. */
static struct space_snapshot *snapshot_make(const struct entries *entries)
{
    size_t size = snapshot_size(entries);
    struct space_snapshot *snapshot;
    struct space_entry *to;
    char *start, *string;

    if (size > SPACE_SNAPSHOT_MAX) {
        errno = ENOSPC;
        return NULL;
    }
    snapshot = calloc(1, size);
    if (!snapshot)
        return NULL;
    snapshot->size = (uint32_t)size;
    snapshot->count = (uint32_t)entries->count;
    snapshot->flags = entries->sticky_flags;
    start = (char *)snapshot;
    to = (struct space_entry *)(snapshot + 1);
    string = (char *)(to + entries->count);
    for (size_t i = 0; i < entries->count; i++, to++) {
        const struct entry *entry = &entries->items[i];
        to->path = (uint32_t)(string - start);
        to->path_length = (uint32_t)entry->path_length;
        to->name = to->path + (uint32_t)(name_last(entry->path) - entry->path);
        string = stpcpy(string, entry->path) + 1;
        if (entry->target) {
            to->target = (uint32_t)(string - start);
            to->target_length = (uint32_t)strlen(entry->target);
            string = stpcpy(string, entry->target) + 1;
        }
        to->kind = entry->kind;
        to->flags = entry->flags;
        to->translator = entry->translator;
        to->parent_device = entry->parent_device;
        to->parent_inode = entry->parent_inode;
        to->serial = entry->serial;
        if ((entry->flags & SPACE_SHADOWS) || entry->kind == SPACE_HIDE)
            snapshot->flags |= SPACE_HAS_SHADOWS;
        if (entry->kind == SPACE_BIND)
            snapshot->flags |= SPACE_HAS_BINDS;
        if (entry->kind == SPACE_NODE)
            snapshot->flags |= SPACE_HAS_NODES;
        snapshot_add_bits(snapshot, entry->path);
    }
    return snapshot;
}

/* Where the next snapshot of `size` bytes goes: behind the active one, or at the ring's start. */
static uint64_t ring_place(const struct space_header *header, size_t size)
{
    const struct space_snapshot *active;
    uint64_t next;

    if (header->active == 0)
        return SPACE_RING_OFFSET;
    active = (const void *)((const char *)header + header->active);
    next = header->active + align(active->size);
    return next + size > SPACE_RING_END ? SPACE_RING_OFFSET : next;
}

int table_publish(struct table *table, const struct entries *entries)
{
    struct space_snapshot *snapshot = snapshot_make(entries);
    uint64_t place;
    ssize_t written;
    int error = 0;

    if (!snapshot)
        return errno;
    place = ring_place(table->header, snapshot->size);
    /* Not through the mapping: on a full disk that would be a SIGBUS, and this is an ENOSPC. */
    written = pwrite(table->descriptor, snapshot, snapshot->size, (off_t)place);
    if (written < 0)
        error = errno;
    else if ((size_t)written != snapshot->size)
        error = ENOSPC;
    free(snapshot);
    if (error)
        return error;
    __atomic_store_n(&table->header->active, place, __ATOMIC_RELEASE);
    __atomic_add_fetch(&table->header->generation, 1, __ATOMIC_RELEASE);
    return 0;
}

static int table_map(struct table *table)
{
    void *map =
        mmap(NULL, SPACE_FILE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, table->descriptor, 0);

    if (map == MAP_FAILED)
        return errno;
    table->header = map;
    return 0;
}

int table_create(const char *path, uint64_t id, const struct entries *entries,
                 const struct space_net *net, struct table *table)
{
    struct space_header header = {.magic = SPACE_MAGIC, .layout = SPACE_LAYOUT, .id = id};
    char *begin = calloc(1, SPACE_RING_OFFSET);
    ssize_t written;
    int error;

    if (!begin)
        return ENOMEM;
    memcpy(begin, &header, sizeof(header));
    if (net)
        memcpy(begin + SPACE_NET_OFFSET, net, sizeof(*net));
    table->header = NULL;
    table->descriptor = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (table->descriptor < 0) {
        error = errno;
        free(begin);
        return error;
    }
    /* Written and not mapped, so that all that programs write to is really there: see
     * table_publish. */
    written = pwrite(table->descriptor, begin, SPACE_RING_OFFSET, 0);
    error = written < 0 ? errno : ENOSPC;
    free(begin);
    if (written != SPACE_RING_OFFSET)
        goto fail;
    if (ftruncate(table->descriptor, SPACE_FILE_SIZE) < 0) {
        error = errno;
        goto fail;
    }
    error = table_map(table);
    if (!error)
        error = table_publish(table, entries);
    if (!error)
        return 0;
fail:
    table_close(table);
    unlink(path);
    return error;
}

int table_open(const char *path, uint64_t id, struct table *table, struct entries *entries)
{
    struct stat status;
    int error;

    table->header = NULL;
    table->descriptor = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (table->descriptor < 0)
        return errno;
    if (fstat(table->descriptor, &status) < 0) {
        error = errno;
        goto fail;
    }
    /* A shorter file would be a SIGBUS at the first look. */
    error =
        S_ISREG(status.st_mode) && status.st_size == SPACE_FILE_SIZE ? table_map(table) : EBADMSG;
    if (error)
        goto fail;
    error = EBADMSG;
    if (table->header->magic != SPACE_MAGIC || table->header->layout != SPACE_LAYOUT ||
        table->header->id != id)
        goto fail;
    error = table_read(table, entries);
    if (!error)
        return 0;
fail:
    table_close(table);
    return error;
}

/* Whether `length` bytes at `offset` and the NUL behind them lie in the snapshot. */
static bool string_is_inside(const struct space_snapshot *snapshot, uint32_t offset,
                             uint32_t length)
{
    return offset >= sizeof(*snapshot) && (uint64_t)offset + length + 1 <= snapshot->size &&
           ((const char *)snapshot)[offset + length] == '\0' &&
           !memchr((const char *)snapshot + offset, '\0', length);
}

int table_read(const struct table *table, struct entries *entries)
{
    const struct space_snapshot *snapshot;
    const struct space_entry *from;
    uint64_t active = __atomic_load_n(&table->header->active, __ATOMIC_ACQUIRE);

    memset(entries, 0, sizeof(*entries));
    if (active < SPACE_RING_OFFSET || active % SNAPSHOT_ALIGNMENT ||
        active > SPACE_RING_END - sizeof(*snapshot))
        return EBADMSG;
    snapshot = (const void *)((const char *)table->header + active);
    if (snapshot->size > SPACE_SNAPSHOT_MAX || active + snapshot->size > SPACE_RING_END ||
        sizeof(*snapshot) + (uint64_t)snapshot->count * sizeof(*from) > snapshot->size)
        return EBADMSG;
    entries->sticky_flags = snapshot->flags & SPACE_HAS_NODES;
    from = (const struct space_entry *)(snapshot + 1);
    for (uint32_t i = 0; i < snapshot->count; i++, from++) {
        bool has_target = from->kind == SPACE_BIND || from->kind == SPACE_SYMLINK;
        struct entry entry = {.kind = from->kind,
                              .flags = from->flags,
                              .translator = from->translator,
                              .parent_device = from->parent_device,
                              .parent_inode = from->parent_inode,
                              .serial = from->serial};
        if (!string_is_inside(snapshot, from->path, from->path_length) ||
            (has_target && !string_is_inside(snapshot, from->target, from->target_length)))
            goto bad;
        entry.path = (char *)(uintptr_t)((const char *)snapshot + from->path);
        if (has_target)
            entry.target = (char *)(uintptr_t)((const char *)snapshot + from->target);
        if (entry.path[0] != '/' || entries_add(entries, &entry))
            goto bad;
    }
    return 0;
bad:
    entries_free(entries);
    return EBADMSG;
}

struct space_net *table_net(const struct table *table)
{
    return (struct space_net *)(void *)((char *)table->header + SPACE_NET_OFFSET);
}

void table_close(struct table *table)
{
    if (table->header)
        munmap(table->header, SPACE_FILE_SIZE);
    if (table->descriptor >= 0)
        close(table->descriptor);
    table->header = NULL;
    table->descriptor = -1;
}
