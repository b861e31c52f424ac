/* What libarchive reads from: a descriptor that is held, so that a file that is replaced under its
 * name goes on being served; and no formats but those that live from the archive's own bytes. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "translators/archive/archive.h"

#define BLOCK 131072
/* After a skip: often the next thing is a header and another skip. */
#define BLOCK_FIRST 8192

/* A reader's own place in the source. */
struct cursor {
    const struct source *source;
    int64_t begin, at;
    size_t size; /* of the next read */
    char block[BLOCK];
};

int source_adopt(struct source *source, int descriptor)
{
    struct stat found;
    int error = 0;

    if (fstat(descriptor, &found) != 0)
        error = errno;
    else if (S_ISDIR(found.st_mode))
        error = EISDIR;
    else if (!S_ISREG(found.st_mode))
        error = ESPIPE;
    if (error != 0) {
        close(descriptor);
        return error;
    }
    if (source->descriptor >= 0)
        close(source->descriptor);
    source->descriptor = descriptor;
    source->size = found.st_size;
    source->modified = found.st_mtim;
    source->device = found.st_dev;
    source->inode = found.st_ino;
    return 0;
}

int source_open(struct source *source, const char *path)
{
    /* Without waiting for anybody at a FIFO. */
    int descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

    source->descriptor = -1;
    return descriptor >= 0 ? source_adopt(source, descriptor) : errno;
}

bool source_unchanged(const struct source *source)
{
    struct stat found;

    return fstat(source->descriptor, &found) == 0 && found.st_size == source->size &&
           found.st_mtim.tv_sec == source->modified.tv_sec &&
           found.st_mtim.tv_nsec == source->modified.tv_nsec;
}

static la_ssize_t cursor_read(struct archive *reader, void *context, const void **block)
{
    struct cursor *cursor = context;
    ssize_t got;

    do
        got = pread(cursor->source->descriptor, cursor->block, BLOCK, cursor->begin + cursor->at);
    while (got < 0 && errno == EINTR);
    if (got < 0) {
        archive_set_error(reader, errno, "can't be read");
        return ARCHIVE_FATAL;
    }
    cursor->at += got;
    if (cursor->size < BLOCK)
        cursor->size *= 2;
    *block = cursor->block;
    return got;
}

static la_int64_t cursor_skip(struct archive *reader, void *context, la_int64_t request)
{
    struct cursor *cursor = context;
    int64_t left = cursor->source->size - cursor->begin - cursor->at;

    (void)reader;
    if (request > left)
        request = left > 0 ? left : 0;
    cursor->at += request;
    cursor->size = BLOCK_FIRST;
    return request;
}

static la_int64_t cursor_seek(struct archive *reader, void *context, la_int64_t offset, int whence)
{
    struct cursor *cursor = context;
    int64_t size = cursor->source->size - cursor->begin;
    int64_t base = whence == SEEK_SET ? 0 : whence == SEEK_CUR ? cursor->at : size;

    if (__builtin_add_overflow(base, offset, &base) || base < 0 || base > size) {
        archive_set_error(reader, EINVAL, "points outside of itself");
        return ARCHIVE_FATAL;
    }
    if (base != cursor->at)
        cursor->size = BLOCK_FIRST;
    cursor->at = base;
    return base;
}

static int cursor_close(struct archive *reader, void *context)
{
    (void)reader;
    free(context);
    return ARCHIVE_OK;
}

/* Not those that run other programs (lrzip, grzip). */
static void filters_support(struct archive *reader)
{
    archive_read_support_filter_bzip2(reader);
    archive_read_support_filter_compress(reader);
    archive_read_support_filter_gzip(reader);
    archive_read_support_filter_lz4(reader);
    archive_read_support_filter_lzip(reader);
    archive_read_support_filter_lzma(reader);
    archive_read_support_filter_rpm(reader);
    archive_read_support_filter_uu(reader);
    archive_read_support_filter_xz(reader);
    archive_read_support_filter_zstd(reader);
}

/* Not mtree, whose text names files of the host to take contents from. */
static void formats_support(struct archive *reader, enum reader_formats formats)
{
    if (formats != READ_TAR)
        filters_support(reader);
    if (formats == READ_STREAM) {
        archive_read_support_format_raw(reader);
        return;
    }
    archive_read_support_format_tar(reader);
    if (formats == READ_TAR)
        return;
    archive_read_support_format_7zip(reader);
    archive_read_support_format_ar(reader);
    archive_read_support_format_cab(reader);
    archive_read_support_format_cpio(reader);
    archive_read_support_format_empty(reader);
    archive_read_support_format_iso9660(reader);
    archive_read_support_format_lha(reader);
    archive_read_support_format_rar(reader);
    archive_read_support_format_rar5(reader);
    archive_read_support_format_warc(reader);
    archive_read_support_format_xar(reader);
    archive_read_support_format_zip(reader);
}

struct archive *reader_open(struct source *source, int64_t offset, enum reader_formats formats)
{
    struct archive *reader = archive_read_new();
    struct cursor *cursor = malloc(sizeof(*cursor));

    if (!reader || !cursor) {
        archive_read_free(reader);
        free(cursor);
        errno = ENOMEM;
        return NULL;
    }
    cursor->source = source;
    cursor->begin = offset;
    cursor->at = 0;
    cursor->size = BLOCK_FIRST;
    formats_support(reader, formats);
    archive_read_set_read_callback(reader, cursor_read);
    archive_read_set_skip_callback(reader, cursor_skip);
    archive_read_set_seek_callback(reader, cursor_seek);
    archive_read_set_close_callback(reader, cursor_close);
    archive_read_set_callback_data(reader, cursor);
    /* What is wrong here shows again when the first header is read. */
    archive_read_open1(reader);
    return reader;
}

void reader_close(struct archive **reader)
{
    if (*reader)
        archive_read_free(*reader);
    *reader = NULL;
}
