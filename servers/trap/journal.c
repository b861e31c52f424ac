#include "servers/trap/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define JOURNAL_MAGIC 0x6c6e72756f4a7274ull
#define JOURNAL_LAYOUT 2

struct journal *journal_map(int descriptor)
{
    struct stat status;
    struct journal *journal;

    if (fstat(descriptor, &status) != 0)
        return NULL;
    if (status.st_size < JOURNAL_SIZE) {
        errno = EINVAL;
        return NULL;
    }
    journal = mmap(NULL, JOURNAL_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
    if (journal == MAP_FAILED)
        return NULL;
    if (journal->magic == JOURNAL_MAGIC && journal->layout == JOURNAL_LAYOUT)
        return journal;
    if (journal->magic != 0) {
        munmap(journal, JOURNAL_SIZE);
        errno = EBADMSG;
        return NULL;
    }
    journal->layout = JOURNAL_LAYOUT;
    __atomic_store_n(&journal->magic, JOURNAL_MAGIC, __ATOMIC_RELEASE);
    return journal;
}

int journal_lock(int descriptor, unsigned index)
{
    struct flock lock = {.l_type = F_WRLCK,
                         .l_whence = SEEK_SET,
                         .l_start =
                             (off_t)(offsetof(struct journal, slots) + index * sizeof(struct slot)),
                         .l_len = sizeof(struct slot)};
    char path[32];
    int own;

    /* An open file of one's own: the lock goes with it, and with nothing else. */
    snprintf(path, sizeof path, "/proc/self/fd/%d", descriptor);
    own = open(path, O_RDWR | O_CLOEXEC);
    if (own < 0)
        return errno;
    while (fcntl(own, F_OFD_SETLKW, &lock) != 0)
        if (errno != EINTR)
            return errno;
    return 0;
}

void journal_unmap(struct journal *journal)
{
    munmap(journal, JOURNAL_SIZE);
}
