/* getdents64: what is in a directory, in the session's view. */
#include <errno.h>
#include <fcntl.h>
#include <dirent.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "shim/core/host.h"
#include "shim/core/lane.h"
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
    struct hold hold;
    struct walk *walk = scratch_take(&hold, sizeof *walk);
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
    scratch_give(&hold, walk, sizeof *walk);
    return result;
}

/* What a name in the directory is, as the session has it: its type and identity, if it is a node.
 */
static bool entry_is_node(int directory, struct entry *entry)
{
    struct view view = view_get();
    struct hold hold;
    struct walk *walk = scratch_take(&hold, sizeof *walk);
    if (walk == NULL)
        return false;
    struct stat status;
    bool ended;
    bool is_node = walk_path(walk, &the_shim.caller, view.table, directory, entry->name, 0) == 0 &&
                   walk->place == PLACE_NODE && node_status(walk, false, &status, &ended) == 0 &&
                   !ended;
    if (is_node) {
        entry->type = (uint8_t)IFTODT(status.st_mode);
        entry->inode = status.st_ino;
    }
    scratch_give(&hold, walk, sizeof *walk);
    return is_node;
}

/* A record among the entries: shown as the node that it is, if it is one of ours. */
static void entry_review(int directory, struct entry *entry)
{
    char start[RECORD_START_LENGTH + 1];
    long got =
        lane_call(SYS_readlinkat, directory, (long)entry->name, (long)start, sizeof start, 0);
    if (got >= 0 && text_begins(start, (size_t)got, RECORD_START, RECORD_START_LENGTH))
        entry_is_node(directory, entry);
}

static bool directory_is_writable(int directory)
{
    return lane_call(SYS_faccessat, directory, (long)".", W_OK, 0, 0) == 0;
}

/* Only this user's records count, and none of those can be where the user can't write. */
static void entries_review(int directory, char *entries, long length)
{
    int writable = -1;
    for (long at = 0; at < length;) {
        struct entry *entry = (struct entry *)(entries + at);
        if (entry->type == DT_LNK && writable < 0)
            writable = directory_is_writable(directory);
        if (entry->type == DT_LNK && writable)
            entry_review(directory, entry);
        at += entry->length;
    }
}

/* ---- what the table says ---- */

/* The positions of the names that the table adds: a part of what the kernel's own positions can
 * be, so that all of a listing's state lies in the open file, for lseek, dup and fork. They end
 * below 2^31, which every file system takes; small enough a part for hashes of names (ext4 has 63
 * bits of them) to meet it once in 2^39 names. */
#define ADDED_FIRST 0x7e000000
#define ADDED_LAST (ADDED_FIRST + (int64_t)SPACE_SERIAL_MAX + 1)

/* A directory that the table has names for. */
struct listing {
    int directory;
    const struct space_snapshot *table;
    struct walk *walk; /* stands at the directory */
};

/* Which directory this is tells whether the table may have names in it, at little cost. Whether it
 * has, the directory's name tells: that by which a walk from this descriptor begins. Two names may
 * lead to one directory, a bind's and its target's, and what the table says of names below one of
 * them says nothing of the other. */
static bool table_knows(const struct space_snapshot *table, const struct stat *status)
{
    const struct space_entry *entries = table_entries(table);
    uint32_t count = table_count(table);
    for (uint32_t i = 0; i < count; i++)
        if (entries[i].parent_inode == status->st_ino && entries[i].parent_device == status->st_dev)
            return true;
    return false;
}

/* ---- what is known of a descriptor ---- */

/* Descriptors of directories in which a table has no names, most listings', are remembered until
 * they are closed, so that the pieces of a listing are not each preceded by a look: opendir has
 * looked already, and the last piece is always an empty one. */
enum { DIRECTORIES = 16, TABLE_SMALL = 64 };

static struct {
    uint64_t plain[DIRECTORIES]; /* by the descriptor's number; what directory_word says */
    bool apart;                  /* threads may have descriptors of their own */
} memory IN_DATA;

static uint64_t directory_word(int descriptor, uint64_t generation)
{
    return generation << 32 | (uint32_t)descriptor | (uint64_t)1 << 31;
}

static uint64_t *directory_place(int descriptor)
{
    return &memory.plain[(unsigned)descriptor % DIRECTORIES];
}

static bool directory_is_known(int descriptor, uint64_t generation)
{
    return __atomic_load_n(directory_place(descriptor), __ATOMIC_RELAXED) ==
           directory_word(descriptor, generation);
}

static void directory_learn(int descriptor, uint64_t generation)
{
    if (!memory.apart)
        __atomic_store_n(directory_place(descriptor), directory_word(descriptor, generation),
                         __ATOMIC_RELAXED);
}

void list_prepare(int descriptor, const struct stat *status)
{
    struct view view;
    if (descriptor < 0 || !S_ISDIR(status->st_mode))
        return;
    view = view_get();
    if (view.table != NULL && table_count(view.table) <= TABLE_SMALL &&
        !table_knows(view.table, status) && table_still(&the_shim.core, view.generation))
        directory_learn(descriptor, view.generation);
}

void list_forget(int descriptor)
{
    if (descriptor >= 0 && __atomic_load_n(directory_place(descriptor), __ATOMIC_RELAXED) != 0)
        __atomic_store_n(directory_place(descriptor), 0, __ATOMIC_RELAXED);
}

void list_part(void)
{
    memory.apart = true;
    bytes_clear(memory.plain, sizeof memory.plain);
}

/* What the kernel closes here another file takes the number of later, by calls of many kinds. */
long close_call(long number, const long arguments[6])
{
    if (number == SYS_close_range)
        for (int i = 0; i < DIRECTORIES; i++)
            list_forget(i);
    else
        list_forget((int)arguments[call_shapes[number].directory]);
    return call_plain(number, arguments);
}

/* Whether the table may have names in this directory. */
static bool may_have_names(const struct view *view, int directory)
{
    struct stat status;
    if (view->table == NULL || directory_is_known(directory, view->generation) ||
        system_call(SYS_fstat, directory, (long)&status, 0, 0, 0, 0) != 0)
        return false;
    if (table_knows(view->table, &status))
        return true;
    if (!table_still(&the_shim.core, view->generation))
        return true;
    directory_learn(directory, view->generation);
    return false;
}

static bool lies_in(const struct listing *listing, const struct space_entry *entry)
{
    struct table_text parent = table_parent(listing->table, entry);
    return text_equal(parent.bytes, parent.length, listing->walk->name, listing->walk->name_length);
}

/* The entry of this name in the directory. The walk's own name has room for it. */
static const struct space_entry *entry_known(const struct listing *listing, const char *name)
{
    char *directory = listing->walk->name;
    size_t length = listing->walk->name_length, name_length = text_length(name);
    if (length + 1 + name_length >= PATH_LIMIT)
        return NULL;
    directory[length] = '/';
    bytes_copy(directory + length + 1, name, name_length);
    return table_find(listing->table, directory, length + 1 + name_length);
}

/* Leave out what the table has a name for: hidden, or shown with what the table adds. */
static long entries_filter(const struct listing *listing, char *entries, long length)
{
    long to = 0;
    for (long from = 0; from < length;) {
        struct entry *entry = (struct entry *)(entries + from);
        uint16_t entry_length = entry->length;
        if (entry_known(listing, entry->name) == NULL) {
            if (to != from)
                memmove(entries + to, entry, entry_length);
            to += entry_length;
        }
        from += entry_length;
    }
    return to;
}

/* The first name, in the order of the serials, that the table adds from this serial on. */
static const struct space_entry *added_next(const struct listing *listing, uint32_t serial)
{
    const struct space_entry *entries = table_entries(listing->table), *next = NULL;
    uint32_t count = table_count(listing->table);
    for (uint32_t i = 0; i < count; i++)
        if (entries[i].kind != SPACE_HIDE && entries[i].serial >= serial &&
            (next == NULL || entries[i].serial < next->serial) && lies_in(listing, &entries[i]))
            next = &entries[i];
    return next;
}

static void entry_fill(const struct listing *listing, const struct space_entry *from,
                       struct entry *to)
{
    struct stat status;
    switch (from->kind) {
    case SPACE_SYMLINK:
        to->type = DT_LNK;
        to->inode = table_inode(from);
        break;
    case SPACE_BIND:
        to->type = DT_UNKNOWN;
        to->inode = table_inode(from);
        if (host_status(table_target(listing->table, from).bytes, &status) == 0) {
            to->type = (uint8_t)IFTODT(status.st_mode);
            to->inode = status.st_ino;
        }
        break;
    default:
        if (!entry_is_node(listing->directory, to)) {
            to->type = from->flags & SPACE_DIRECTORY ? DT_DIR : DT_REG;
            to->inode = table_inode(from);
        }
    }
}

/* Put what the table adds, from this serial on: 0 at the end. */
static long added_put(const struct listing *listing, uint32_t serial, char *to, size_t size)
{
    /* Written here first: the program's buffer may be no memory. */
    union {
        struct entry entry;
        char bytes[(ENTRY_HEAD + 256 + 7) & ~(size_t)7];
    } made;
    size_t put = 0;
    const struct space_entry *from;
    while ((from = added_next(listing, serial)) != NULL) {
        struct table_text name = table_last(listing->table, from);
        uint32_t next = from->serial + 1;
        size_t length = (ENTRY_HEAD + name.length + 1 + 7) & ~(size_t)7;
        /* One that is too long, or leads back, is being written over. */
        if (put + length > size || length > sizeof made || next <= serial)
            break;
        bytes_clear(&made, length);
        bytes_copy(made.bytes + ENTRY_HEAD, name.bytes, name.length);
        made.entry.offset = ADDED_FIRST + (int64_t)next;
        made.entry.length = (uint16_t)length;
        entry_fill(listing, from, &made.entry);
        long result = the_shim.caller.write(&the_shim.caller, to + put, &made, length);
        if (result < 0)
            return result;
        put += length;
        serial = next;
    }
    if (put == 0)
        return from == NULL ? 0 : -EINVAL;
    /* Where the position can't be kept, the same names would come again and again. */
    long position = system_call(SYS_lseek, listing->directory, ADDED_FIRST + (int64_t)serial,
                                SEEK_SET, 0, 0, 0);
    return position < 0 ? 0 : (long)put;
}

/* ---- the call ---- */

/* The host's names, without those that the table has. */
static long list_host(int directory, const struct listing *listing, char *entries, size_t size)
{
    for (;;) {
        long result = lane_call(SYS_getdents64, directory, (long)entries, (long)size, 0, 0);
        if (result <= 0)
            return result;
        entries_review(directory, entries, result);
        if (listing == NULL)
            return result;
        result = entries_filter(listing, entries, result);
        /* All of this piece was left out: an empty answer would mean the end. */
        if (result > 0)
            return result;
    }
}

static long list_known(const struct listing *listing, char *entries, size_t size)
{
    long position = system_call(SYS_lseek, listing->directory, 0, SEEK_CUR, 0, 0, 0);
    if (position >= ADDED_FIRST && position <= ADDED_LAST)
        return added_put(listing, (uint32_t)(position - ADDED_FIRST), entries, size);
    long result = list_host(listing->directory, listing, entries, size);
    return result == 0 ? added_put(listing, 0, entries, size) : result;
}

long list_call(long number, const long arguments[6])
{
    (void)number;
    int directory = (int)arguments[0];
    char *entries = (char *)arguments[1];
    size_t size = (size_t)(unsigned)arguments[2];
    struct view view = view_get();
    long result;
    if (may_have_names(&view, directory)) {
        struct hold hold;
        struct walk *walk = scratch_take(&hold, sizeof *walk);
        struct listing listing = {.directory = directory, .table = view.table, .walk = walk};
        if (walk == NULL)
            return -ENOMEM;
        result = walk_descriptor(walk, &the_shim.caller, view.table, directory);
        if (result == 0 && walk->place == PLACE_HOST)
            result = list_known(&listing, entries, size);
        else
            result = list_host(directory, NULL, entries, size);
        scratch_give(&hold, walk, sizeof *walk);
    } else {
        result = list_host(directory, NULL, entries, size);
    }
    if (result == -ENOENT && __atomic_load_n(&the_shim.core.header->placeholders, __ATOMIC_RELAXED))
        return list_virtual(directory, entries, size);
    return result;
}
