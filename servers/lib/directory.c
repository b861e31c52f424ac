#include "servers/lib/directory.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "servers/lib/process.h"

#define LOCK_ATTEMPTS 100
#define ENVIRONMENT_MAX (256 * 1024)

bool session_name_valid(const char *name)
{
    size_t length =
        strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-");

    return length > 0 && length <= SESSION_NAME_MAX && name[length] == '\0' && name[0] != '.' &&
           name[0] != '-';
}

int directory_check(const char *path)
{
    struct stat status;

    if (lstat(path, &status) != 0)
        return errno;
    if (!S_ISDIR(status.st_mode))
        return ENOTDIR;
    if (status.st_uid != geteuid() || (status.st_mode & 077) != 0)
        return EPERM;
    return 0;
}

const char *directory_unfit(const char *directory)
{
    struct sockaddr_un address;

    if (strlen(directory) + strlen("/nodes/4294967295/port") >= sizeof address.sun_path)
        return "its path is too long for sockets; set HIRSEL_DIR to a shorter one";
    if (strpbrk(directory, ":;$ \t\n") != NULL)
        return "its path has a blank, ':', ';' or '$' in it; set HIRSEL_DIR to another one";
    return NULL;
}

/* Open and lock what may be removed by another at any moment: the lock counts only if the path
 * still leads to it. ENOENT: it was removed meanwhile. */
static int lock_take(const char *directory, int flags, int *lock)
{
    char path[PATH_MAX];
    struct stat ours, named;
    int descriptor, error = 0;

    if ((size_t)snprintf(path, sizeof path, "%s/lock", directory) >= sizeof path)
        return ENAMETOOLONG;
    descriptor = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | flags, 0600);
    if (descriptor < 0)
        return errno;
    if (flock(descriptor, LOCK_EX | LOCK_NB) != 0)
        error = errno == EWOULDBLOCK ? EBUSY : errno;
    else if (fstat(descriptor, &ours) != 0)
        error = errno;
    else if (lstat(path, &named) != 0)
        error = errno;
    else if (ours.st_dev != named.st_dev || ours.st_ino != named.st_ino)
        error = ENOENT;
    if (error != 0) {
        close(descriptor);
        return error;
    }
    *lock = descriptor;
    return 0;
}

static bool session_was_there(const char *directory)
{
    char path[PATH_MAX];
    struct stat status;

    return (size_t)snprintf(path, sizeof path, "%s/init", directory) < sizeof path &&
           lstat(path, &status) == 0;
}

int directory_lock(const char *directory, int *lock, bool *stale)
{
    int error = ENOENT;

    *stale = false;
    for (int i = 0; i < LOCK_ATTEMPTS && error == ENOENT; i++) {
        if (mkdir(directory, 0700) != 0 && errno != EEXIST)
            return errno;
        error = directory_check(directory);
        if (error == 0)
            error = lock_take(directory, O_CREAT, lock);
    }
    if (error != 0)
        return error;
    if (session_was_there(directory)) {
        *stale = true;
        directory_end_processes(directory);
    }
    error = directory_remove(directory, "lock");
    if (error != 0)
        close(*lock);
    return error;
}

int directory_give_up(const char *directory)
{
    char path[PATH_MAX];
    int error = directory_remove(directory, "lock");

    if (error != 0)
        return error;
    if ((size_t)snprintf(path, sizeof path, "%s/lock", directory) >= sizeof path)
        return ENAMETOOLONG;
    if (unlink(path) != 0 && errno != ENOENT)
        return errno;
    /* What is there from here on is another's: the directory itself goes only if it is empty. */
    if (rmdir(directory) != 0 && errno != ENOTEMPTY && errno != ENOENT)
        return errno;
    return 0;
}

int directory_clean(const char *directory, bool *removed, bool *killed)
{
    int lock = -1;
    int error;

    *removed = false;
    *killed = false;
    error = directory_check(directory);
    if (error != 0)
        return error;
    error = lock_take(directory, 0, &lock);
    if (error == EBUSY)
        return 0;
    if (error != 0 && error != ENOENT)
        return error;
    if (error == ENOENT) {
        /* No lock yet, or no longer: somebody is about to take or to remove it. An empty
         * directory is a start that failed. */
        *removed = rmdir(directory) == 0;
        return 0;
    }
    *killed = session_was_there(directory);
    if (*killed)
        directory_end_processes(directory);
    error = directory_give_up(directory);
    *removed = error == 0;
    close(lock);
    return error;
}

static bool environment_names(pid_t pid, const char *prefix, char *buffer)
{
    ssize_t length = process_read(pid, "environ", buffer, ENVIRONMENT_MAX - 1);
    size_t prefix_length = strlen(prefix);

    if (length <= 0)
        return false;
    buffer[length] = '\0';
    for (const char *entry = buffer; entry < buffer + length; entry += strlen(entry) + 1)
        if (strncmp(entry, prefix, prefix_length) == 0)
            return true;
    return false;
}

void directory_end_processes(const char *directory)
{
    char prefix[PATH_MAX + 64];
    struct process_entry *entries;
    size_t count;
    char *buffer = malloc(ENVIRONMENT_MAX);

    if (buffer == NULL || process_scan(&entries, &count) != 0) {
        free(buffer);
        return;
    }
    snprintf(prefix, sizeof prefix, "HIRSEL_NODE_DIRECTORY=%s/nodes/", directory);
    for (size_t i = 0; i < count; i++)
        if (entries[i].pid != getpid() && environment_names(entries[i].pid, prefix, buffer))
            kill(entries[i].pid, SIGKILL);
    free(entries);
    free(buffer);
}
