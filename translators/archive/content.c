/* The contents: who wants one waits in a queue; slices of work bring it, and in a compressed stream
 * all that lies before it. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "translators/archive/archive.h"

/* How often the room is looked at. */
#define CHECK_BYTES (16ull << 20)
/* Where passing over is free: a file up to this size is extracted all the same once the reader had
 * to begin again, so that opens in a bad order do not read all headers each time. */
#define AHEAD_MAX 65536
#define FAILURES_MAX 16
/* Once to come back to what lies behind, once more where the reader broke down on the way. */
#define BEGINS_MAX 2

static struct wanted *wanted_find(struct archive_file *file, const struct node *node)
{
    struct wanted *wanted;

    TAILQ_FOREACH(wanted, &file->wanted, entry)
    if (wanted->node == node)
        return wanted;
    return NULL;
}

static void wanted_remove(struct archive_file *file, const struct node *node)
{
    struct wanted *wanted = wanted_find(file, node);

    if (!wanted)
        return;
    TAILQ_REMOVE(&file->wanted, wanted, entry);
    free(wanted);
}

/* The node is done with, for good or bad. */
static void node_settle(struct archive_file *file, struct node *node, int error)
{
    wanted_remove(file, node);
    node_fill_end(node, error);
}

static void current_end(struct archive_file *file, int error)
{
    struct node *node = file->current;

    file->current = NULL;
    if (node && error != 0)
        file->written = file->begun;
    /* What is left of the entry: where passing over is free libarchive does it with the next. */
    if (file->way != ACCESS_SEQUENTIAL)
        file->skipping = false;
    if (file->way == ACCESS_ONCE)
        reader_close(&file->reader);
    if (node)
        node_settle(file, node, error);
}

/* Every waiter is told, where the archive itself fails. */
static void all_fail(struct archive_file *file, int error)
{
    struct wanted *wanted;

    current_end(file, error);
    while ((wanted = TAILQ_FIRST(&file->wanted)))
        node_settle(file, wanted->node, error);
}

static void damage_log(struct archive_file *file, const struct node *node)
{
    const char *text = archive_error_string(file->reader);

    translator_log("%s: %s: %s", file->path, node ? node_name(node) : "", text ? text : "damaged");
}

/* Whether `more` bytes may be written. */
static int room_check(struct archive_file *file, uint64_t more)
{
    if (file->max_size > 0 && (more > file->max_size || file->written > file->max_size - more)) {
        translator_log("%s: contents would be larger than --max-size allows", file->path);
        return EFBIG;
    }
    if (file->written >= file->checked && file->written - file->checked < CHECK_BYTES)
        return 0;
    file->checked = file->written;
    if (more > translator_space()) {
        translator_log("%s: no room for contents in the session's directory", file->path);
        return ENOSPC;
    }
    return 0;
}

static int block_write(struct archive_file *file, const char *bytes, size_t length, int64_t offset)
{
    uint64_t end = (uint64_t)offset + length;
    int error = 0;

    if (offset < 0 || end > node_size(file->current)) {
        translator_log("%s: %s: longer than its header says", file->path, node_name(file->current));
        return EIO;
    }
    error = room_check(file, length);
    file->written += length;
    while (error == 0 && length > 0) {
        ssize_t put = pwrite(file->descriptor, bytes, length, offset);
        if (put < 0) {
            error = errno;
            translator_log("%s: %s: can't write: %s", file->path, node_name(file->current),
                           strerror(error));
            break;
        }
        bytes += put;
        length -= (size_t)put;
        offset += put;
    }
    return error;
}

/* It is not tried again, lest every pass break down at it. */
static void content_lose(struct archive_file *file, const struct node *node)
{
    uint64_t place = data_place(node_data(node));

    if (file->nodes && place < file->room)
        file->nodes[place] = NULL;
}

static bool content_is_lost(const struct archive_file *file, const struct node *node)
{
    uint64_t place = data_place(node_data(node));

    return file->way != ACCESS_DIRECT && (place >= file->room || file->nodes[place] != node);
}

/* One piece of the entry at hand, written or passed over. */
static void piece_take(struct archive_file *file)
{
    const void *bytes;
    size_t length;
    la_int64_t offset;
    int result = archive_read_data_block(file->reader, &bytes, &length, &offset);
    int error = 0;

    switch (result) {
    case ARCHIVE_OK:
        file->failures = 0;
        if (!file->current)
            return;
        error = block_write(file, bytes, length, offset);
        if (error != 0)
            current_end(file, error);
        return;
    case ARCHIVE_RETRY:
        if (++file->failures < FAILURES_MAX)
            return;
        break;
    case ARCHIVE_EOF:
        file->skipping = false;
        current_end(file, 0);
        return;
    default:
        break;
    }
    /* A warning too: what was read may not be what was packed (a wrong checksum). */
    if (file->current) {
        damage_log(file, file->current);
        content_lose(file, file->current);
    }
    file->skipping = false;
    current_end(file, EIO);
    if (result == ARCHIVE_FATAL)
        reader_close(&file->reader);
}

static void current_begin(struct archive_file *file, struct archive_entry *entry, struct node *node)
{
    int descriptor;

    if (entry && !data_is_of(node_data(node), entry)) {
        translator_log("%s: %s: its content is not where it was", file->path, node_name(node));
        node_settle(file, node, EIO);
        return;
    }
    descriptor = node_fill_begin(node);
    if (descriptor < 0) {
        if (wanted_find(file, node))
            node_settle(file, node, descriptor == -EEXIST ? 0 : -descriptor);
        return;
    }
    file->current = node;
    file->descriptor = descriptor;
    file->begun = file->written;
}

/* Whether an entry that nobody waits for is extracted in passing. */
static bool is_ahead(struct archive_file *file, struct node *node)
{
    uint64_t size = node_size(node);

    if (file->way == ACCESS_ONCE)
        return false;
    if (file->way == ACCESS_SKIPPING && (file->passes < 2 || size > AHEAD_MAX))
        return false;
    if (node_filled(node))
        return false;
    if (file->max_size > 0 && (size > file->max_size || file->written > file->max_size - size))
        return false;
    return size <= translator_space();
}

static void entry_reach(struct archive_file *file)
{
    struct archive_entry *entry;
    int result = archive_read_next_header(file->reader, &entry);
    struct node *node;

    if (result == ARCHIVE_RETRY && ++file->failures < FAILURES_MAX)
        return;
    if (result != ARCHIVE_OK && result != ARCHIVE_WARN && result != ARCHIVE_FAILED) {
        /* Where the index was broken off nobody wants what follows: this is new damage. */
        damage_log(file, NULL);
        reader_close(&file->reader);
        all_fail(file, EIO);
        return;
    }
    if (result == ARCHIVE_FAILED && ++file->failures >= FAILURES_MAX) {
        reader_close(&file->reader);
        all_fail(file, EIO);
        return;
    }
    /* The index did not count what could not be read. */
    if (result == ARCHIVE_FAILED)
        return;
    file->failures = 0;
    node = file->next < file->count ? file->nodes[file->next] : NULL;
    file->next++;
    file->skipping = file->way == ACCESS_SEQUENTIAL;
    if (node && (wanted_find(file, node) || is_ahead(file, node))) {
        current_begin(file, entry, node);
        file->skipping = file->skipping || file->current;
    }
}

static int reader_ensure(struct archive_file *file, struct wanted *wanted)
{
    if (file->reader && data_place(node_data(wanted->node)) >= file->next)
        return 0;
    if (++wanted->begins > BEGINS_MAX) {
        translator_log("%s: %s: its content is not found", file->path, node_name(wanted->node));
        return EIO;
    }
    reader_close(&file->reader);
    file->reader = reader_open(&file->source, 0, READ_ANY);
    file->next = 0;
    file->failures = 0;
    file->skipping = false;
    file->passes++;
    return file->reader ? 0 : ENOMEM;
}

/* Plain tar: begin at the header itself. */
static void direct_begin(struct archive_file *file, struct node *node)
{
    struct archive_entry *entry;

    reader_close(&file->reader);
    file->reader = reader_open(&file->source, (int64_t)data_place(node_data(node)), READ_TAR);
    if (!file->reader) {
        node_settle(file, node, errno);
        return;
    }
    if (archive_read_next_header(file->reader, &entry) < ARCHIVE_WARN) {
        damage_log(file, node);
        node_settle(file, node, EIO);
        return;
    }
    current_begin(file, entry, node);
    file->skipping = file->current;
}

/* Go towards the node that has waited longest. */
static void step(struct archive_file *file, struct wanted *wanted)
{
    struct node *node = wanted->node;
    int error;

    if (!source_unchanged(&file->source)) {
        if (!file->stale)
            translator_log("%s: was changed in place: what was not opened yet is lost; set the "
                           "translator anew",
                           file->path);
        file->stale = true;
        reader_close(&file->reader);
        all_fail(file, EIO);
    } else if (node_data(node) == 0) {
        /* No entry brought content: an empty file. */
        current_begin(file, NULL, node);
        current_end(file, 0);
    } else if (content_is_lost(file, node)) {
        node_settle(file, node, EIO);
    } else if (file->way == ACCESS_DIRECT) {
        direct_begin(file, node);
    } else {
        error = reader_ensure(file, wanted);
        if (error != 0)
            node_settle(file, node, error);
        else
            entry_reach(file);
    }
}

static bool content_step(struct archive_file *file)
{
    struct wanted *wanted = TAILQ_FIRST(&file->wanted);

    /* What was begun is completed, also if nobody waits for it. */
    if (file->reader && file->skipping && (file->current || wanted))
        piece_take(file);
    else if (wanted)
        step(file, wanted);
    else
        return false;
    return true;
}

void content_start(struct archive_file *file)
{
    file->skipping = false;
    file->failures = 0;
}

void content_fill(struct node *node, void *state)
{
    struct archive_file *file = state;
    struct wanted *wanted = calloc(1, sizeof(*wanted));

    if (!wanted) {
        node_fill_end(node, ENOMEM);
        return;
    }
    wanted->node = node;
    TAILQ_INSERT_TAIL(&file->wanted, wanted, entry);
    slice_start(file, content_step);
}

void content_unwanted(struct node *node, void *state)
{
    struct archive_file *file = state;

    if (node == file->current)
        current_end(file, ECANCELED);
    else
        node_settle(file, node, ECANCELED);
}
