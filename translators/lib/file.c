/* The mirror of a tier 1 translator's node: one file, whose content is put in place at each open.
 * In place, in the same inode, wherever nobody reads the old content: programs (cp) compare what
 * lstat said before with what fstat says after the open. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <unistd.h>

#include "translators/lib/library.h"

#define FILE_MODE 0444

struct content {
    int descriptor;
    char name[32];
};

int file_start(void)
{
    struct stat found;
    int descriptor;

    /* fs has made it, if the node was looked at before we were started. */
    descriptor = openat(library.node_descriptor, "file",
                        O_RDONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, FILE_MODE);
    if (descriptor >= 0) {
        int result = fchmod(descriptor, FILE_MODE);
        close(descriptor);
        if (result != 0)
            return errno;
    } else if (errno != EEXIST) {
        return errno;
    }
    if (fstatat(library.node_descriptor, "file", &found, AT_SYMLINK_NOFOLLOW) != 0)
        return errno;
    if (!S_ISREG(found.st_mode))
        return EEXIST;
    library.device = found.st_dev;
    return 0;
}

int file_stat(struct stat *to)
{
    return fstatat(library.node_descriptor, "file", to, AT_SYMLINK_NOFOLLOW) == 0 ? 0 : errno;
}

int file_open(int flags)
{
    int descriptor =
        openat(library.node_descriptor, "file", flags | O_CLOEXEC | O_NOCTTY | O_NOFOLLOW);

    return descriptor >= 0 ? descriptor : -errno;
}

/* Names are used again by the next life of a translator that was killed: no rubbish piles up. */
struct content *content_new(void)
{
    struct content *content = calloc(1, sizeof(*content));

    if (!content)
        return NULL;
    snprintf(content->name, sizeof(content->name), "content-%" PRIu64, library.content_count);
    content->descriptor = openat(library.node_descriptor, content->name,
                                 O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (content->descriptor < 0) {
        free(content);
        return NULL;
    }
    library.content_count++;
    return content;
}

int content_descriptor(const struct content *content)
{
    return content->descriptor;
}

static void content_free(struct content *content)
{
    close(content->descriptor);
    free(content);
}

void content_drop(struct content *content)
{
    if (!content)
        return;
    unlinkat(library.node_descriptor, content->name, 0);
    content_free(content);
}

static bool content_equals(int one, int other)
{
    struct stat a, b;
    char bytes[2][8192];

    if (fstat(one, &a) != 0 || fstat(other, &b) != 0 || a.st_size != b.st_size)
        return false;
    for (off_t at = 0; at < a.st_size;) {
        ssize_t got = pread(one, bytes[0], sizeof(bytes[0]), at);
        if (got <= 0 || pread(other, bytes[1], (size_t)got, at) != got ||
            memcmp(bytes[0], bytes[1], (size_t)got) != 0)
            return false;
        at += got;
    }
    return true;
}

static bool file_holds(const char *text, size_t length)
{
    struct stat found;
    char bytes[8192];
    int descriptor = file_open(O_RDONLY);
    bool same =
        descriptor >= 0 && fstat(descriptor, &found) == 0 && (uint64_t)found.st_size == length;

    for (size_t at = 0; same && at < length;) {
        ssize_t got = pread(descriptor, bytes, sizeof(bytes), (off_t)at);
        same = got > 0 && memcmp(bytes, text + at, (size_t)got) == 0;
        at += same ? (size_t)got : 0;
    }
    if (descriptor >= 0)
        close(descriptor);
    return same;
}

static int content_copy(int from, int to)
{
    struct stat attributes;
    off_t at = 0;

    if (fstat(from, &attributes) != 0)
        return errno;
    while (at < attributes.st_size) {
        ssize_t sent = sendfile(to, from, &at, (size_t)(attributes.st_size - at));
        if (sent < 0)
            return errno;
        if (sent == 0)
            return EIO;
    }
    return ftruncate(to, attributes.st_size) == 0 ? 0 : errno;
}

/* Write into the file that programs know. The lease says that nobody has it open; it must be taken
 * on the very descriptor that writes, since opening another would break it. EBUSY: somebody has. */
static int file_rewrite(const struct content *content)
{
    int descriptor = file_open(O_RDONLY);
    bool sole = descriptor >= 0 && descriptor_is_sole(descriptor);
    int error = EBUSY;

    if (descriptor >= 0)
        close(descriptor);
    if (!sole)
        return EBUSY;
    if (fchmodat(library.node_descriptor, "file", 0600, 0) != 0)
        return errno;
    descriptor = file_open(O_WRONLY);
    if (descriptor >= 0 && fcntl(descriptor, F_SETLEASE, F_WRLCK) == 0) {
        error = content_copy(content->descriptor, descriptor);
        fcntl(descriptor, F_SETLEASE, F_UNLCK);
    }
    if (descriptor >= 0)
        close(descriptor);
    if (fchmodat(library.node_descriptor, "file", FILE_MODE, 0) != 0 && error == 0)
        error = errno;
    return error;
}

/* Make `content` (taken over) what the file holds. */
static int file_replace(struct content *content)
{
    int current = file_open(O_RDONLY);
    bool same = current >= 0 && content_equals(current, content->descriptor);
    int error;

    if (current >= 0)
        close(current);
    error = same ? 0 : file_rewrite(content);
    if (error == EBUSY) {
        error = 0;
        if (fchmod(content->descriptor, FILE_MODE) != 0 ||
            renameat(library.node_descriptor, content->name, library.node_descriptor, "file") != 0)
            error = errno;
        if (error == 0) {
            content_free(content);
            return 0;
        }
    }
    content_drop(content);
    return error;
}

void request_content(struct request *request, struct content *content)
{
    int error;

    if (request_refused_writing(request)) {
        content_drop(content);
        return;
    }
    error = file_replace(content);
    if (error != 0)
        request_done(request, error);
    else
        request_descriptor(request, file_open(request->flags));
}

void request_text(struct request *request, const char *text, size_t length)
{
    struct content *content;

    if (request_refused_writing(request))
        return;
    if (file_holds(text, length)) {
        request_descriptor(request, file_open(request->flags));
        return;
    }
    content = content_new();
    if (!content) {
        request_done(request, errno);
        return;
    }
    for (size_t at = 0; at < length;) {
        ssize_t put = write(content->descriptor, text + at, length - at);
        if (put < 0) {
            request_done(request, errno);
            content_drop(content);
            return;
        }
        at += (size_t)put;
    }
    request_content(request, content);
}
