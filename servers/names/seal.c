#include "servers/names/names.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <nettle/base16.h>
#include <nettle/hmac.h>
#include <nettle/memops.h>

#include "servers/lib/server.h"

static int key_read(struct seal *seal, const char *path)
{
    struct stat status;
    int error = 0;
    int descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);

    if (descriptor < 0)
        return errno;
    if (fstat(descriptor, &status) < 0)
        error = errno;
    else if (!S_ISREG(status.st_mode) || status.st_size != SEAL_KEY_SIZE)
        error = EBADMSG;
    else if (status.st_uid != geteuid() || (status.st_mode & 077))
        error = EPERM; /* what others can read or write is no secret */
    else if (read(descriptor, seal->key, SEAL_KEY_SIZE) != SEAL_KEY_SIZE)
        error = EIO;
    close(descriptor);
    return error;
}

static int key_write(const char *path)
{
    uint8_t key[SEAL_KEY_SIZE];
    int error = 0;
    int descriptor;

    if (getrandom(key, sizeof(key), 0) != (ssize_t)sizeof(key))
        return EIO;
    descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (descriptor < 0)
        return errno;
    if (write(descriptor, key, sizeof(key)) != (ssize_t)sizeof(key))
        error = errno ? errno : ENOSPC;
    else if (fsync(descriptor) < 0)
        error = errno;
    close(descriptor);
    if (error)
        unlink(path);
    return error;
}

int seal_load_file(struct seal *seal, const char *path)
{
    char fresh[PATH_MAX];
    uint64_t unique;
    int error = key_read(seal, path);

    if (error != ENOENT)
        return error;
    if (getrandom(&unique, sizeof(unique), 0) != (ssize_t)sizeof(unique))
        return EIO;
    if (snprintf(fresh, sizeof(fresh), "%s.%016llx", path, (unsigned long long)unique) >=
        (int)sizeof(fresh))
        return ENAMETOOLONG;
    error = key_write(fresh);
    if (error)
        return error;
    /* Whole or not there at all, and the first one stays: a rename that replaces would let two
     * sessions that start together go on with different keys. */
    if (renameat2(AT_FDCWD, fresh, AT_FDCWD, path, RENAME_NOREPLACE) < 0) {
        error = errno == EEXIST || link(fresh, path) == 0 || errno == EEXIST ? 0 : errno;
        unlink(fresh);
        if (error)
            return error;
    }
    return key_read(seal, path);
}

/* Make the directories that lead to `path` (0700, as the XDG base directories want). */
static int directories_make(char *path)
{
    for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        int made = mkdir(path, 0700);
        int error = made < 0 && errno != EEXIST ? errno : 0;
        /* An ancestor on a read-only file system says EROFS even where it exists. */
        if (error && access(path, F_OK) == 0)
            error = 0;
        *slash = '/';
        if (error)
            return error;
    }
    return 0;
}

static int user_key_path(char path[PATH_MAX])
{
    const char *state = getenv("XDG_STATE_HOME");
    const char *home = getenv("HOME");
    int length;

    if (state && state[0] == '/')
        length = snprintf(path, PATH_MAX, "%s/hirsel/key", state);
    else if (home && home[0] == '/')
        length = snprintf(path, PATH_MAX, "%s/.local/state/hirsel/key", home);
    else
        return ENOENT;
    return length < PATH_MAX ? 0 : ENAMETOOLONG;
}

int seal_load(struct seal *seal, const char *session_directory)
{
    char path[PATH_MAX];
    int error = user_key_path(path);

    if (!error) {
        error = directories_make(path);
        if (!error)
            error = seal_load_file(seal, path);
        if (!error)
            return 0;
        log_line("the seal's key %s: %s; nodes made in this session end with it", path,
                 error == EPERM ? "others may read it (chmod 600 it)" : strerror(error));
    } else {
        log_line("no HOME and no XDG_STATE_HOME: nodes made in this session end with it");
    }
    if (snprintf(path, sizeof(path), "%s/state/key", session_directory) >= (int)sizeof(path))
        return ENAMETOOLONG;
    return seal_load_file(seal, path);
}

void seal_make(const struct seal *seal, const void *text, size_t length, char hex[SEAL_HEX_SIZE])
{
    struct hmac_sha256_ctx context;
    uint8_t digest[SHA256_DIGEST_SIZE];

    hmac_sha256_set_key(&context, SEAL_KEY_SIZE, seal->key);
    hmac_sha256_update(&context, length, text);
    hmac_sha256_digest(&context, sizeof(digest), digest);
    base16_encode_update(hex, sizeof(digest), digest);
}

bool seal_matches(const struct seal *seal, const void *text, size_t length, const char *hex)
{
    char right[SEAL_HEX_SIZE];

    seal_make(seal, text, length, right);
    return memeql_sec(right, hex, SEAL_HEX_SIZE);
}
