/* The index: one pass over all headers, in slices, before anything else is answered. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "translators/archive/archive.h"

/* Entries that can't be read, in a row: then the rest is given up. */
#define FAILURES_MAX 16
/* More than this for each byte of the archive is worth a line in the log. */
#define RATIO_REMARKABLE 1000

/* Known once the first header was read. */
static enum access_way way_find(struct archive *reader)
{
    if (archive_filter_code(reader, 0) != ARCHIVE_FILTER_NONE)
        return ACCESS_SEQUENTIAL;
    switch (archive_format(reader) & ARCHIVE_FORMAT_BASE_MASK) {
    case ARCHIVE_FORMAT_TAR:
        return ACCESS_DIRECT;
    case ARCHIVE_FORMAT_AR:
    case ARCHIVE_FORMAT_CPIO:
    case ARCHIVE_FORMAT_ISO9660:
    case ARCHIVE_FORMAT_XAR:
    case ARCHIVE_FORMAT_ZIP:
        return ACCESS_SKIPPING;
    case ARCHIVE_FORMAT_WARC:
        return ACCESS_ONCE;
    default:
        return ACCESS_SEQUENTIAL;
    }
}

static int nodes_reserve(struct archive_file *file)
{
    uint64_t room = file->room ? file->room * 2 : 1024;
    struct node **nodes;

    if (file->count < file->room)
        return 0;
    nodes = reallocarray(file->nodes, room, sizeof(struct node *));
    if (!nodes)
        return ENOMEM;
    memset(nodes + file->room, 0, (room - file->room) * sizeof(struct node *));
    file->nodes = nodes;
    file->room = room;
    return 0;
}

static void ratio_tell(const struct archive_file *file)
{
    uint64_t total = 0;

    for (uint64_t i = 0; i < file->room && i < file->count; i++)
        if (file->nodes[i])
            total += node_size(file->nodes[i]);
    if (file->source.size > 0 && total / RATIO_REMARKABLE > (uint64_t)file->source.size)
        translator_log("%s: %" PRIu64 " bytes would become %" PRIu64, file->path,
                       (uint64_t)file->source.size, total);
}

/* `why`: how the index ended before the archive did, or NULL. What came before is served. */
static void index_end(struct archive_file *file, const char *why)
{
    pending_resolve(file);
    if (why)
        translator_log("%s: broken off after %" PRIu64 " entries: %s", file->path, file->count,
                       why);
    if (file->left_out > 0)
        translator_log("%s: %" PRIu64 " of %" PRIu64 " entries were left out", file->path,
                       file->left_out, file->count);
    ratio_tell(file);
    reader_close(&file->reader);
    content_start(file);
    translator_ready(why && file->count == 0 ? EIO : 0);
}

static const char *error_text(struct archive_file *file)
{
    const char *text = archive_error_string(file->reader);

    return text ? text : "damaged";
}

/* Pass over the entry's content, a piece at a time, where libarchive itself would do it in one go;
 * and find out how long it is, where the header does not say. False: the archive is at an end. */
static bool content_pass(struct archive_file *file)
{
    const void *bytes;
    size_t length;
    la_int64_t offset;
    int result = archive_read_data_block(file->reader, &bytes, &length, &offset);

    if (result == ARCHIVE_OK || result == ARCHIVE_WARN) {
        uint64_t end = (uint64_t)offset + length;
        if (file->measured && end > node_size(file->measured))
            node_set_size(file->measured, end);
        return true;
    }
    if (result == ARCHIVE_RETRY && ++file->failures < FAILURES_MAX)
        return true;
    file->skipping = false;
    file->measured = NULL;
    if (result != ARCHIVE_FATAL)
        return true;
    index_end(file, error_text(file));
    return false;
}

static bool entry_read(struct archive_file *file, struct archive_entry *entry)
{
    if (file->count == 0)
        file->way = way_find(file->reader);
    if (file->count >= file->max_entries) {
        index_end(file, "it has more entries than --max-entries allows");
        return false;
    }
    if (file->way != ACCESS_DIRECT && nodes_reserve(file) != 0) {
        index_end(file, "out of memory");
        return false;
    }
    file->measured = NULL;
    entry_place(file, entry);
    file->count++;
    file->skipping = file->measured || file->way == ACCESS_SEQUENTIAL;
    return true;
}

/* False: the index is complete. */
static bool header_pass(struct archive_file *file)
{
    struct archive_entry *entry;
    int result = archive_read_next_header(file->reader, &entry);

    switch (result) {
    case ARCHIVE_OK:
    case ARCHIVE_WARN:
        file->failures = 0;
        return entry_read(file, entry);
    case ARCHIVE_EOF:
        index_end(file, NULL);
        return false;
    case ARCHIVE_RETRY:
    case ARCHIVE_FAILED:
        if (++file->failures < FAILURES_MAX)
            return true;
        break;
    default:
        break;
    }
    index_end(file, error_text(file));
    return false;
}

static bool index_step(struct archive_file *file)
{
    return file->skipping ? content_pass(file) : header_pass(file);
}

void index_start(struct archive_file *file)
{
    file->failures = 0;
    file->reader = reader_open(&file->source, 0, READ_ANY);
    if (file->reader)
        slice_start(file, index_step);
    else
        translator_ready(ENOMEM);
}
