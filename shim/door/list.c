/* getdents64: what is in a directory, in the session's view. */
#include <errno.h>
#include <fcntl.h>
#include <dirent.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "shim/core/lane.h"
#include "shim/core/host.h"
#include "shim/core/node.h"
#include "shim/core/scratch.h"
#include "shim/core/text.h"
#include "shim/door/door.h"

/* As the kernel lays it out (getdents64(2)). */
struct entry {
    uint64_t inode;
    int64_t offset;
    uint16_t length;
    uint8_t type;
    char name[];
};

#define ENTRY_HEAD offsetof(struct entry, name)

/* A virtual directory: its position is the placeholder's own offset, so that it lives with the
 * open file, as it should. */
static long list_virtual(int directory, void *entries, size_t size)
{
    struct view view = view_get();
    struct walk *walk = scratch_take(sizeof *walk);
    if (walk == NULL)
        return -ENOMEM;
    long result = walk_descriptor(walk, &the_shim.caller, view.table, directory);
    if (result == 0 && walk->place != PLACE_NODE)
        result = -ENOENT;
    if (result == 0) {
        bool ended;
        long position = system_call(SYS_lseek, directory, 0, SEEK_CUR, 0, 0, 0);
        result = node_list(walk, position < 0 ? 0 : (uint64_t)position, entries, size, &ended);
    }
    if (result > 0) {
        const char *at = entries;
        const struct entry *last = NULL;
        for (long done = 0; done < result; done += last->length)
            last = (const struct entry *)(at + done);
        system_call(SYS_lseek, directory, last->offset, SEEK_SET, 0, 0, 0);
    }
    scratch_give(walk, sizeof *walk);
    return result;
}

/* A record among the entries: shown as the node that it is, if it is one of ours. */
static void entry_review(int directory, struct entry *entry)
{
    char start[RECORD_START_LENGTH + 1];
    long got =
        lane_call(SYS_readlinkat, directory, (long)entry->name, (long)start, sizeof start, 0);
    if (got < 0 || !text_begins(start, (size_t)got, RECORD_START, RECORD_START_LENGTH))
        return;
    struct view view = view_get();
    struct walk *walk = scratch_take(sizeof *walk);
    if (walk == NULL)
        return;
    struct stat status;
    bool ended;
    if (walk_path(walk, &the_shim.caller, view.table, directory, entry->name, 0) == 0 &&
        walk->place == PLACE_NODE && node_status(walk, false, &status, &ended) == 0 && !ended) {
        entry->type = (uint8_t)IFTODT(status.st_mode);
        entry->inode = status.st_ino;
    }
    scratch_give(walk, sizeof *walk);
}

static bool directory_is_writable(int directory)
{
    return lane_call(SYS_faccessat, directory, (long)".", W_OK, 0, 0) == 0;
}

static bool lies_in(const struct space_entry *entry, const struct stat *directory)
{
    return entry->parent_inode == directory->st_ino && entry->parent_device == directory->st_dev;
}

static const struct space_entry *table_name_in(const struct space_snapshot *table,
                                               const struct stat *directory, const char *name)
{
    const struct space_entry *entries = table_entries(table);
    size_t length = text_length(name);
    for (uint32_t i = 0; i < table->count; i++)
        if (lies_in(&entries[i], directory) &&
            text_equal(table_text(table, entries[i].name),
                       entries[i].path + entries[i].path_length - entries[i].name, name, length))
            return &entries[i];
    return NULL;
}

static void type_of(const struct space_snapshot *table, const struct space_entry *from,
                    const struct stat *directory, struct entry *to)
{
    struct stat status;
    to->inode = directory->st_ino ^ from->path ^ 0x48697273u;
    switch (from->kind) {
    case SPACE_SYMLINK:
        to->type = DT_LNK;
        break;
    case SPACE_BIND:
        to->type = DT_UNKNOWN;
        if (host_status(table_text(table, from->target), &status) == 0) {
            to->type = (uint8_t)IFTODT(status.st_mode);
            to->inode = status.st_ino;
        }
        break;
    default:
        to->type = from->flags & SPACE_DIRECTORY ? DT_DIR : DT_REG;
    }
}

/* Leave out what is hidden; show an entry's type and not that of what it shadows. */
static long entries_filter(const struct space_snapshot *table, const struct stat *directory,
                           char *entries, long length)
{
    long to = 0;
    for (long from = 0; from < length;) {
        struct entry *entry = (struct entry *)(entries + from);
        uint16_t entry_length = entry->length;
        const struct space_entry *known = table_name_in(table, directory, entry->name);
        if (known == NULL || known->kind != SPACE_HIDE) {
            if (known != NULL)
                type_of(table, known, directory, entry);
            if (to != from)
                memmove(entries + to, entry, entry_length);
            to += entry_length;
        }
        from += entry_length;
    }
    return to;
}

/* Whether the table says anything about what is in this directory. */
static bool table_knows(const struct space_snapshot *table, const struct stat *directory)
{
    for (uint32_t i = 0; i < table->count; i++)
        if (lies_in(&table_entries(table)[i], directory))
            return true;
    return false;
}

/* How many bytes the names need that the table adds to this directory. */
static size_t additions_size(const struct space_snapshot *table, const struct stat *directory)
{
    size_t size = 0;
    for (uint32_t i = 0; i < table->count; i++) {
        const struct space_entry *entry = &table_entries(table)[i];
        size_t name_length = entry->path + entry->path_length - entry->name;
        if (entry->kind != SPACE_HIDE && !(entry->flags & SPACE_SHADOWS) &&
            lies_in(entry, directory))
            size += (ENTRY_HEAD + name_length + 1 + 7) & ~(size_t)7;
    }
    return size;
}

static long additions_put(const struct space_snapshot *table, const struct stat *directory,
                          char *at, int64_t offset)
{
    long put = 0;
    for (uint32_t i = 0; i < table->count; i++) {
        const struct space_entry *from = &table_entries(table)[i];
        size_t name_length = from->path + from->path_length - from->name;
        if (from->kind == SPACE_HIDE || (from->flags & SPACE_SHADOWS) || !lies_in(from, directory))
            continue;
        struct entry *entry = (struct entry *)(at + put);
        size_t length = (ENTRY_HEAD + name_length + 1 + 7) & ~(size_t)7;
        bytes_clear(entry, length);
        entry->offset = offset;
        entry->length = (uint16_t)length;
        bytes_copy(entry->name, table_text(table, from->name), name_length);
        type_of(table, from, directory, entry);
        put += (long)length;
    }
    return put;
}

long list_call(long number, const long arguments[6])
{
    (void)number;
    int directory = (int)arguments[0];
    char *entries = (char *)arguments[1];
    size_t size = (size_t)(unsigned)arguments[2];
    struct view view = view_get();
    struct stat status;
    size_t added = 0;
    int64_t position = -1;
    if (view.table != NULL && system_call(SYS_fstat, directory, (long)&status, 0, 0, 0, 0) == 0 &&
        table_knows(view.table, &status)) {
        added = additions_size(view.table, &status);
        /* What the table adds goes behind the first piece of the host's: no state is needed to
         * say it once. */
        if (added > 0) {
            position = system_call(SYS_lseek, directory, 0, SEEK_CUR, 0, 0, 0);
            if (position != 0)
                added = 0;
            else if (added + 600 > size)
                return -EINVAL;
        }
    } else {
        view.table = NULL;
    }
    for (;;) {
        long result =
            lane_call(SYS_getdents64, directory, (long)entries, (long)(size - added), 0, 0);
        if (result == -ENOENT &&
            __atomic_load_n(&the_shim.core.header->placeholders, __ATOMIC_RELAXED))
            return list_virtual(directory, entries, size);
        if (result <= 0)
            return result;
        int64_t offset = 0;
        /* Only this user's records count, and none of those can be where the user can't write. */
        int writable = -1;
        for (long at = 0; at < result;) {
            struct entry *entry = (struct entry *)(entries + at);
            if (entry->type == DT_LNK && writable < 0)
                writable = directory_is_writable(directory);
            if (entry->type == DT_LNK && writable)
                entry_review(directory, entry);
            offset = entry->offset;
            at += entry->length;
        }
        if (view.table == NULL)
            return result;
        result = entries_filter(view.table, &status, entries, result);
        if (added > 0)
            result += additions_put(view.table, &status, entries + result, offset);
        /* All of this piece was hidden: an empty answer would mean the end. */
        if (result > 0)
            return result;
    }
}
