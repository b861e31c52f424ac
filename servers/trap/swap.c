#include "servers/trap/swap.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "shim/core/text.h"
#include "shim/door/handover.h"
#include "shim/patch/copy.h"

#define KERNEL_LARGEFILE 0100000
/* An unknown libc is told of no more often than this. */
#define TELL_SECONDS 5

enum { SITES_MAX = 64 };

/* What is known of the copy that a door leads to. */
static struct {
    char path[PATH_MAX];         /* empty: none */
    char session[SESSION_LIMIT]; /* whose door it was found at, and ... */
    uint64_t space;              /* ... in which name space */
    struct copy_stamp stamp;
    dev_t device; /* of the copy itself */
    ino_t inode;
    uint32_t sites[SITES_MAX]; /* where ld.so's calls are that open files */
    size_t site_count;
    time_t told;
} copy;

static bool site_opens(const struct copy_ld_site *site)
{
    return site->number == 257 || site->number == 2; /* openat, open */
}

/* Read the header in the file's image. */
static bool header_read(const char *image, size_t size)
{
    const Elf64_Ehdr *elf = (const Elf64_Ehdr *)(const void *)image;
    const Elf64_Phdr *segment = (const Elf64_Phdr *)(const void *)(image + elf->e_phoff);

    if (size < sizeof *elf || elf->e_phoff > size ||
        (size_t)elf->e_phnum * sizeof *segment > size - elf->e_phoff)
        return false;
    for (unsigned i = 0; i < elf->e_phnum; i++, segment++) {
        uint64_t at = segment->p_offset + (segment->p_paddr - segment->p_vaddr);
        const struct copy_header *header = (const struct copy_header *)(const void *)(image + at);
        const struct copy_ld_site *site;

        if (segment->p_type != PT_LOAD || segment->p_flags != (PF_R | PF_X) ||
            at > size - sizeof *header || at % 8 != 0 || header->magic != COPY_MAGIC ||
            header->layout != COPY_LAYOUT)
            continue;
        if ((uint64_t)header->ld_sites + header->ld_count * sizeof *site > size - at)
            return false;
        copy.stamp = header->stamp;
        copy.site_count = 0;
        site = (const struct copy_ld_site *)(const void *)((const char *)header + header->ld_sites);
        for (uint32_t s = 0; s < header->ld_count && copy.site_count < SITES_MAX; s++)
            if (site_opens(&site[s]))
                copy.sites[copy.site_count++] = site[s].start;
        return true;
    }
    return false;
}

static bool copy_load(const char *path)
{
    struct stat status;
    bool known = false;
    char *image;
    int file = open(path, O_RDONLY | O_CLOEXEC);

    if (file < 0)
        return false;
    if (fstat(file, &status) == 0 && status.st_size > (off_t)sizeof(Elf64_Ehdr)) {
        size_t size = (size_t)status.st_size;

        image = mmap(NULL, size, PROT_READ, MAP_PRIVATE, file, 0);
        if (image != MAP_FAILED) {
            known = header_read(image, size);
            munmap(image, size);
            copy.device = status.st_dev;
            copy.inode = status.st_ino;
        }
    }
    close(file);
    return known;
}

/* The copy behind the door of the name space that we are in. */
static bool copy_find_here(void)
{
    char door[SESSION_LIMIT + 64], path[PATH_MAX];
    size_t length = the_shim.core.session_length;
    ssize_t got;

    memcpy(door, the_shim.core.session, length);
    memcpy(door + length, "/spaces/", 8);
    length += 8;
    length += text_put_number(door + length, the_shim.core.space);
    strcpy(door + length, "/lib/libc.so.6");
    got = readlink(door, path, sizeof path - 1);
    if (got <= 0)
        return false;
    path[got] = '\0';
    if (strcmp(path, copy.path) != 0) {
        copy.path[0] = '\0';
        if (!copy_load(path))
            return false;
        strcpy(copy.path, path);
    }
    strcpy(copy.session, the_shim.core.session);
    copy.space = the_shim.core.space;
    return true;
}

static bool copy_is_of(const struct stat *status)
{
    return copy.stamp.device == status->st_dev && copy.stamp.inode == status->st_ino &&
           copy.stamp.size == (uint64_t)status->st_size &&
           copy.stamp.mtime_seconds == status->st_mtim.tv_sec &&
           copy.stamp.mtime_nanoseconds == status->st_mtim.tv_nsec;
}

static bool copy_is_at_hand(const struct stat *status)
{
    return copy.path[0] != '\0' && copy.space == the_shim.core.space &&
           strcmp(copy.session, the_shim.core.session) == 0 && copy_is_of(status);
}

/* A copy of that file, for this name space: the one we know, or what its door leads to now. A
 * descriptor or -1. */
static int copy_open(const struct stat *status, bool *unknown)
{
    int file;

    *unknown = false;
    if (copy_is_at_hand(status)) {
        file = open(copy.path, O_RDONLY | O_CLOEXEC);
        if (file >= 0)
            return file;
    }
    if (!copy_find_here())
        return -1;
    *unknown = !copy_is_of(status);
    return *unknown ? -1 : open(copy.path, O_RDONLY | O_CLOEXEC);
}

/* Whether the call was made by ld.so: others want the file as it is. Where ld.so lies is not known,
 * but pages stay pages. */
static bool caller_is_linker(const struct worker *worker)
{
    uint64_t behind = worker->slot->notification.data.instruction_pointer;

    for (size_t i = 0; i < copy.site_count; i++) {
        uint64_t distance = (behind - copy.sites[i]) % COPY_PAGE;

        if (distance >= 2 && distance <= COPY_LD_WINDOW)
            return true;
    }
    return copy.site_count == 0;
}

/* Who is confined puts the copy where we look for it. What it says by that of its own descriptor is
 * for itself alone; but it must be the copy, as programs have others there. */
static long handed_there(struct worker *worker)
{
    struct stat status;
    /* procfs would make its names for the new process first. */
    int file = (int)client_descriptor(&worker->client, HANDOVER_PLACE);
    bool same;

    if (file < 0)
        return -1;
    same = fstat(file, &status) == 0 && status.st_dev == copy.device && status.st_ino == copy.inode;
    close(file);
    return same ? HANDOVER_PLACE : -1;
}

static void copy_ask(const struct worker *worker)
{
    time_t now = time(NULL);
    char word = WORD_COPY;

    if (now - copy.told < TELL_SECONDS && now >= copy.told)
        return;
    copy.told = now;
    /* A full pipe has enough such words in it. */
    if (write(worker->words, &word, 1) < 0)
        return;
}

bool swap_open(struct worker *worker, unsigned flags, struct answer *answer)
{
    static const char name[] = "libc.so.6";
    const char *path = worker->call.paths[0];
    size_t length = strlen(path);
    const struct stat *status = worker->status_known ? &worker->status : &worker->walk.status;
    bool unknown;
    long handed;
    int file;

    if ((flags & ~(unsigned)KERNEL_LARGEFILE) != (O_RDONLY | O_CLOEXEC) || length < sizeof name ||
        strcmp(path + length - sizeof name + 1, name) != 0 || path[length - sizeof name] != '/' ||
        !S_ISREG(status->st_mode))
        return false;
    if (copy.path[0] == '\0' && !copy_find_here())
        return false;
    /* It was our libc.so.6 that was looked at. */
    if (!caller_is_linker(worker) || !roots_are_one(worker))
        return false;
    /* Who executed it may have opened it already. */
    if (!copy_is_at_hand(status))
        handed = -1;
    else if (worker->policy != NULL)
        handed = handed_there(worker);
    else
        handed = handover_take((uint32_t)worker->client.tid);
    if (handed >= 0) {
        answer->result = handed;
        return true;
    }
    file = copy_open(status, &unknown);
    if (unknown)
        copy_ask(worker);
    if (file < 0)
        return false;
    answer->descriptor = file;
    answer->close_on_exec = true;
    return true;
}
