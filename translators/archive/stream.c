/* A compressed archive, unpacked once into a plain one. In a stream that can't be entered in the
 * middle every file would cost all that lies before it. A process of its own does it: a translator
 * that is killed finds it still at work, or done.
 *
 * In the translator's own directory: `part` is being written, by who holds a lock on it; complete
 * it becomes `stream`; it becomes `none` if the archive has to be read as it is. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "translators/archive/archive.h"

#define FAILURES_MAX 16
/* Contents need room too. */
#define SPACE_SHARE 4
/* So many blocks between looks whether the outcome is wanted at all. */
#define BLOCKS_BETWEEN 64
/* Between looks whether it is done: twice as long each time. */
#define LOOK_SECONDS_MIN 0.001
#define LOOK_SECONDS_MAX 0.02

static bool block_write(int descriptor, const char *bytes, size_t length)
{
    while (length > 0) {
        ssize_t put = write(descriptor, bytes, length);
        if (put <= 0)
            return false;
        bytes += put;
        length -= (size_t)put;
    }
    return true;
}

/* Removed: the translator was taken away, or shows another archive. */
static bool is_removed(int descriptor)
{
    struct stat mine;

    return fstat(descriptor, &mine) != 0 || mine.st_nlink == 0;
}

/* What comes before damage is as good as if there were none. */
static bool blocks_unpack(struct archive_file *file, int descriptor)
{
    uint64_t size = 0;

    for (unsigned failures = 0, blocks = 1;; blocks++) {
        const void *bytes;
        size_t length;
        la_int64_t offset;
        int result = archive_read_data_block(file->reader, &bytes, &length, &offset);

        helper_follow();
        if (result == ARCHIVE_EOF)
            return true;
        if (result == ARCHIVE_RETRY && ++failures < FAILURES_MAX)
            continue;
        if (result != ARCHIVE_OK && result != ARCHIVE_WARN) {
            const char *text = archive_error_string(file->reader);
            translator_log("%s: damaged after %" PRIu64 " unpacked bytes: %s", file->path, size,
                           text ? text : "?");
            return true;
        }
        size += length;
        if (size > file->max_stream || !block_write(descriptor, bytes, length) ||
            (blocks % BLOCKS_BETWEEN == 0 && is_removed(descriptor)))
            return false;
    }
}

bool stream_unpack(struct archive_file *file, int descriptor)
{
    struct archive_entry *entry;
    bool unpacked = false;
    int result;

    file->reader = reader_open(&file->source, 0, READ_STREAM);
    if (!file->reader)
        return false;
    result = archive_read_next_header(file->reader, &entry);
    if ((result == ARCHIVE_OK || result == ARCHIVE_WARN) &&
        archive_filter_code(file->reader, 0) != ARCHIVE_FILTER_NONE)
        unpacked = blocks_unpack(file, descriptor);
    reader_close(&file->reader);
    return unpacked;
}

static _Noreturn void helper_work(struct archive_file *file, int part)
{
    int directory = translator_directory();
    bool unpacked = stream_unpack(file, part);

    if (is_removed(part))
        _exit(1);
    if (!unpacked && ftruncate(part, 0) != 0)
        _exit(1);
    _exit(renameat(directory, "part", directory, unpacked ? "stream" : "none") == 0 ? 0 : 1);
}

/* Whether it was decided how the archive is read; then it is begun. */
static bool outcome_take(struct archive_file *file)
{
    int directory = translator_directory();
    int descriptor = openat(directory, "stream", O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

    if (descriptor >= 0) {
        int error = source_adopt(&file->source, descriptor);
        if (error != 0)
            translator_log("%s: can't use the unpacked stream: %s", file->path, strerror(error));
    } else if (faccessat(directory, "none", F_OK, 0) != 0) {
        return false;
    }
    index_start(file);
    return true;
}

/* Who gets the lock is the only one who unpacks. -1 with errno EWOULDBLOCK: somebody does. */
static int part_lock(void)
{
    int descriptor =
        openat(translator_directory(), "part", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    int error;

    if (descriptor < 0 || flock(descriptor, LOCK_EX | LOCK_NB) == 0)
        return descriptor;
    error = errno;
    close(descriptor);
    errno = error;
    return -1;
}

/* False: it is still to be waited for. */
static bool outcome_await(struct archive_file *file)
{
    int part;

    if (outcome_take(file))
        return true;
    part = part_lock();
    if (part < 0)
        return false;
    /* Nobody is at work any more. It may have ended well between the two looks. */
    close(part);
    if (!outcome_take(file)) {
        translator_log("%s: could not be unpacked: it is read as it is", file->path);
        index_start(file);
    }
    return true;
}

static void look(struct ev_loop *loop, ev_timer *watcher, int events)
{
    (void)events;
    if (outcome_await(watcher->data)) {
        ev_timer_stop(loop, watcher);
        return;
    }
    if (watcher->repeat < LOOK_SECONDS_MAX)
        watcher->repeat *= 2.;
    ev_timer_again(loop, watcher);
}

static int helper_start(struct archive_file *file)
{
    int part = part_lock();
    pid_t pid;

    if (part < 0)
        return errno == EWOULDBLOCK ? 0 : errno;
    /* The lock was free because the one before has just ended: never write into its outcome. */
    if (faccessat(translator_directory(), "stream", F_OK, 0) == 0 ||
        faccessat(translator_directory(), "none", F_OK, 0) == 0 || ftruncate(part, 0) != 0) {
        close(part);
        return 0;
    }
    pid = translator_fork();
    if (pid == 0)
        helper_work(file, part);
    /* The lock is the helper's now. */
    close(part);
    return pid > 0 ? 0 : errno;
}

int stream_start(struct archive_file *file)
{
    uint64_t most = translator_space() / SPACE_SHARE;
    int error;

    translator_hold();
    if (outcome_take(file))
        return 0;
    if (file->max_stream > most)
        file->max_stream = most;
    error = helper_start(file);
    if (error != 0)
        return error;
    ev_timer_init(&file->patience, look, LOOK_SECONDS_MIN, LOOK_SECONDS_MIN);
    file->patience.data = file;
    ev_timer_start(translator_loop(), &file->patience);
    return 0;
}
