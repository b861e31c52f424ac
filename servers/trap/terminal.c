/* Terminals that a confined program made, or was given: it has one end open. By the policy their
 * names are like those of all other terminals of the user. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "servers/trap/confine.h"
#include "shim/core/text.h"

#define TERMINALS "/dev/pts/"
#define TERMINAL_MAJOR_FIRST 136u
#define TERMINAL_MAJOR_LAST 143u

static bool number_of(const struct hold *hold, unsigned *number)
{
    const char *at = hold->real + sizeof TERMINALS - 1;
    uint64_t value;
    unsigned kind = major(hold->status.st_rdev);

    if (!text_begins(hold->real, strlen(hold->real), TERMINALS, sizeof TERMINALS - 1) ||
        !text_get_number(&at, &value) || *at != '\0' || value > UINT32_MAX ||
        !S_ISCHR(hold->status.st_mode) || kind < TERMINAL_MAJOR_FIRST || kind > TERMINAL_MAJOR_LAST)
        return false;
    *number = (unsigned)value;
    return true;
}

/* Open the terminal by a duplicate of the caller's descriptor, if that is one of its ends. */
static long open_by(int file, const struct hold *hold, unsigned number, unsigned flags)
{
    struct stat status;
    unsigned made;
    int own = fcntl(file, F_GETFL);
    int opened;

    if (own < 0 || (own & O_PATH) || fstat(file, &status) != 0)
        return -ENOENT;
    if (status.st_dev == hold->status.st_dev && status.st_ino == hold->status.st_ino) {
        own &= O_ACCMODE;
        if (own != O_RDWR && own != (int)(flags & O_ACCMODE))
            return -EACCES;
        opened = open(hold->link, (int)flags | O_NOCTTY | O_CLOEXEC);
    } else {
        if (!S_ISCHR(status.st_mode) || ioctl(file, TIOCGPTN, &made) != 0 || made != number)
            return -ENOENT;
        opened = ioctl(file, TIOCGPTPEER, (int)flags | O_NOCTTY | O_CLOEXEC);
    }
    return opened < 0 ? -errno : opened;
}

/* 0 where it is the end that who made the terminal has. */
static long is_other_end(int file, const struct hold *hold, unsigned number, unsigned flags)
{
    unsigned made;

    (void)hold;
    (void)flags;
    return ioctl(file, TIOCGPTN, &made) == 0 && made == number ? 0 : -ENOENT;
}

/* 0 where it is either end. */
static long is_end(int file, const struct hold *hold, unsigned number, unsigned flags)
{
    struct stat status;

    if (fstat(file, &status) == 0 && status.st_dev == hold->status.st_dev &&
        status.st_ino == hold->status.st_ino)
        return 0;
    return is_other_end(file, hold, number, flags);
}

/* Whether a descriptor of this name may be an end of it. A session leader has many others. */
static bool may_be_end(const char *directory, const char *name, const struct hold *hold)
{
    char path[320], text[64];
    ssize_t length;

    snprintf(path, sizeof path, "%s/%s", directory, name);
    length = readlink(path, text, sizeof text - 1);
    if (length <= 0)
        return false;
    text[length] = '\0';
    return strcmp(text, hold->real) == 0 || strcmp(text, "/dev/ptmx") == 0 ||
           strcmp(text, "/dev/pts/ptmx") == 0;
}

/* Ask `ask` of each of the caller's descriptors that may be an end of what is held, until one says
 * what is not negative. */
static long ends_each(struct worker *worker, const struct hold *hold, unsigned flags,
                      long (*ask)(int file, const struct hold *hold, unsigned number,
                                  unsigned flags))
{
    char path[64];
    struct dirent *entry;
    unsigned number;
    long result = -ENOENT;
    DIR *list;

    if (!number_of(hold, &number))
        return -ENOENT;
    snprintf(path, sizeof path, "%s/fd", worker->client.process);
    list = opendir(path);
    if (list == NULL)
        return -errno;
    while (result < 0 && (entry = readdir(list)) != NULL) {
        const char *at = entry->d_name;
        uint64_t value;
        long file;

        if (!text_get_number(&at, &value) || !may_be_end(path, entry->d_name, hold))
            continue;
        file = client_descriptor(&worker->client, (int)value);
        if (file < 0)
            continue;
        result = ask((int)file, hold, number, flags);
        close((int)file);
    }
    closedir(list);
    return result;
}

long terminal_open(struct worker *worker, const struct hold *hold, unsigned flags)
{
    return ends_each(worker, hold, flags & (O_ACCMODE | O_NONBLOCK), open_by);
}

bool terminal_is_made(struct worker *worker, const struct hold *hold)
{
    return ends_each(worker, hold, 0, is_other_end) >= 0;
}

bool terminal_is_open(struct worker *worker, const struct hold *hold)
{
    return ends_each(worker, hold, 0, is_end) >= 0;
}
