#include "servers/lib/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define JOURNAL_MAGIC 0x6c6e726a6c737268ull
#define JOURNAL_LAYOUT 1

struct slot {
    uint64_t request; /* 0: free */
    uint64_t value;
    int32_t error;
    uint32_t state;
};

struct journal_file {
    uint64_t magic;
    uint32_t layout;
    uint32_t next; /* slot */
    uint64_t counters[JOURNAL_COUNTERS];
    struct slot slots[JOURNAL_SLOTS];
};

static int journal_make(const char *path)
{
    char fresh[PATH_MAX];
    struct journal_file file = {.magic = JOURNAL_MAGIC, .layout = JOURNAL_LAYOUT};
    int descriptor, error = 0;
    ssize_t written;

    if (snprintf(fresh, sizeof(fresh), "%s.new", path) >= (int)sizeof(fresh))
        return ENAMETOOLONG;
    descriptor = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (descriptor < 0)
        return errno;
    /* Every page is written, so that a full disk shows here and not as a SIGBUS later. */
    written = write(descriptor, &file, sizeof(file));
    if (written != (ssize_t)sizeof(file))
        error = written < 0 ? errno : ENOSPC;
    close(descriptor);
    if (!error && rename(fresh, path) < 0)
        error = errno;
    if (error)
        unlink(fresh);
    return error;
}

static int journal_map(struct journal *journal, const char *path)
{
    struct stat status;
    struct journal_file *file;
    int descriptor = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);

    if (descriptor < 0)
        return errno;
    if (fstat(descriptor, &status) < 0 || status.st_size != sizeof(*file)) {
        close(descriptor);
        return EBADMSG;
    }
    file = mmap(NULL, sizeof(*file), PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
    close(descriptor);
    if (file == MAP_FAILED)
        return errno;
    if (file->magic != JOURNAL_MAGIC || file->layout != JOURNAL_LAYOUT) {
        munmap(file, sizeof(*file));
        return EBADMSG;
    }
    journal->file = file;
    return 0;
}

int journal_open(struct journal *journal, const char *path)
{
    int error = journal_map(journal, path);

    if (error != ENOENT && error != EBADMSG)
        return error;
    error = journal_make(path);
    return error ? error : journal_map(journal, path);
}

void journal_close(struct journal *journal)
{
    if (journal->file)
        munmap(journal->file, sizeof(*journal->file));
    journal->file = NULL;
}

uint64_t journal_next(struct journal *journal, unsigned counter)
{
    return ++journal->file->counters[counter];
}

void journal_skip(struct journal *journal, unsigned counter, uint64_t least)
{
    if (journal->file->counters[counter] < least)
        journal->file->counters[counter] = least;
}

static struct slot *slot_of(const struct journal *journal, uint64_t id)
{
    for (unsigned i = 0; i < JOURNAL_SLOTS; i++)
        if (journal->file->slots[i].request == id)
            return &journal->file->slots[i];
    return NULL;
}

enum journal_state journal_find(const struct journal *journal, uint64_t id, int *error,
                                uint64_t *value)
{
    const struct slot *slot = slot_of(journal, id);

    if (!slot)
        return JOURNAL_NEW;
    *value = slot->value;
    if (slot->state != JOURNAL_ENDED)
        return JOURNAL_BEGUN;
    *error = slot->error;
    return JOURNAL_ENDED;
}

void journal_begin(struct journal *journal, uint64_t id, uint64_t value)
{
    struct slot *slot = slot_of(journal, id);

    if (!slot) {
        slot = &journal->file->slots[journal->file->next % JOURNAL_SLOTS];
        journal->file->next++;
    }
    /* Killed between any two of these, the slot is free, or whole. */
    __atomic_store_n(&slot->request, 0, __ATOMIC_RELEASE);
    slot->value = value;
    slot->error = 0;
    slot->state = JOURNAL_BEGUN;
    __atomic_store_n(&slot->request, id, __ATOMIC_RELEASE);
}

void journal_end(struct journal *journal, uint64_t id, int error, uint64_t value)
{
    struct slot *slot = slot_of(journal, id);

    if (!slot)
        return;
    slot->value = value;
    slot->error = error;
    __atomic_store_n(&slot->state, JOURNAL_ENDED, __ATOMIC_RELEASE);
}
