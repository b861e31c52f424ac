/* A compressed archive, unpacked once into a plain one. In a stream that can't be entered in the
 * middle every file would cost all that lies before it; and a translator that was killed would
 * begin from nothing. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "translators/archive/archive.h"

#define FAILURES_MAX 16
/* Contents need room too. */
#define SPACE_SHARE 4

/* It was too large, or is not compressed: read the archive itself. */
static void stream_drop(struct archive_file *file)
{
    reader_close(&file->reader);
    close(file->stream);
    file->stream = -1;
    unlinkat(translator_directory(), "part", 0);
    index_start(file);
}

/* Only a stream that is complete has the name `stream`. */
static void stream_complete(struct archive_file *file)
{
    int directory = translator_directory();
    int error = 0;

    reader_close(&file->reader);
    if (renameat(directory, "part", directory, "stream") != 0)
        error = errno;
    if (error == 0) {
        error = source_adopt(&file->source, file->stream);
        file->stream = -1;
    }
    if (error != 0) {
        translator_log("%s: can't keep the unpacked stream: %s", file->path, strerror(error));
        if (file->stream >= 0) {
            stream_drop(file);
            return;
        }
    }
    index_start(file);
}

static bool block_keep(struct archive_file *file, const char *bytes, size_t length)
{
    file->streamed += length;
    if (file->streamed > file->max_stream)
        return false;
    while (length > 0) {
        ssize_t put = write(file->stream, bytes, length);
        if (put <= 0)
            return false;
        bytes += put;
        length -= (size_t)put;
    }
    return true;
}

static bool stream_step(struct archive_file *file)
{
    const void *bytes;
    size_t length;
    la_int64_t offset;
    int result = archive_read_data_block(file->reader, &bytes, &length, &offset);

    switch (result) {
    case ARCHIVE_OK:
    case ARCHIVE_WARN:
        if (block_keep(file, bytes, length))
            return true;
        stream_drop(file);
        return true;
    case ARCHIVE_RETRY:
        if (++file->failures < FAILURES_MAX)
            return true;
        break;
    case ARCHIVE_EOF:
        stream_complete(file);
        return true;
    default:
        break;
    }
    /* What came before the damage is served. */
    translator_log("%s: damaged after %" PRIu64 " unpacked bytes: %s", file->path, file->streamed,
                   archive_error_string(file->reader) ? archive_error_string(file->reader) : "?");
    stream_complete(file);
    return true;
}

static bool stream_first(struct archive_file *file)
{
    struct archive_entry *entry;
    int result = archive_read_next_header(file->reader, &entry);

    if ((result == ARCHIVE_OK || result == ARCHIVE_WARN) &&
        archive_filter_code(file->reader, 0) != ARCHIVE_FILTER_NONE)
        slice_start(file, stream_step);
    else
        stream_drop(file);
    return true;
}

int stream_start(struct archive_file *file)
{
    int directory = translator_directory();
    int descriptor = openat(directory, "stream", O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

    translator_hold();
    if (descriptor >= 0 && source_adopt(&file->source, descriptor) == 0) {
        index_start(file);
        return 0;
    }
    if (file->max_stream > translator_space() / SPACE_SHARE)
        file->max_stream = translator_space() / SPACE_SHARE;
    file->stream =
        openat(directory, "part", O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (file->stream < 0)
        return errno;
    file->reader = reader_open(&file->source, 0, READ_STREAM);
    if (!file->reader)
        return errno;
    slice_start(file, stream_first);
    return 0;
}
