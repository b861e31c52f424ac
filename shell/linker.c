#include "shell/linker.h"

#include <dlfcn.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "shim/patch/copy.h"

static const char preload[] = "/etc/ld.so.preload", cache[] = "/etc/ld.so.cache";

static const struct copy_header *copy_here(void)
{
    Dl_info info;

    if (dladdr((void *)(uintptr_t)execvp, &info) == 0 || info.dli_fbase == NULL)
        return NULL;
    return copy_at(info.dli_fbase);
}

/* The system call itself: the function would come by the shim. */
static long host_status(const char *path, struct stat *status)
{
    register long mode __asm__("r10") = 0;
    long result = SYS_newfstatat;

    __asm__ volatile("syscall"
                     : "+a"(result)
                     : "D"((long)AT_FDCWD), "S"(path), "d"(status), "r"(mode)
                     : "rcx", "r11", "memory");
    return result;
}

/* Whether the name means here what it means on the host. */
static bool is_the_hosts(const char *path)
{
    struct stat here, host;
    bool is_here = stat(path, &here) == 0, on_host = host_status(path, &host) == 0;

    if (!is_here || !on_host)
        return is_here == on_host;
    return here.st_dev == host.st_dev && here.st_ino == host.st_ino;
}

/* Behind the call's instruction, which is in its window or just after it; 0: not found. */
static uint32_t call_end(const struct copy_ld_site *site, const uint8_t *base)
{
    const uint8_t *after = base + site->start + site->length;

    for (uint32_t i = 0; i + 1 < site->length; i++)
        if (site->bytes[i] == 0x0f && site->bytes[i + 1] == 0x05)
            return site->start + i + 2;
    return after[0] == 0x0f && after[1] == 0x05 ? site->start + site->length + 2 : 0;
}

/* The call, and what is to come of it. */
struct wanted {
    uint32_t number;
    uint8_t argument;
    uint16_t answer;
};

static void place_add(struct fence_options *options, const struct wanted *wanted, uint32_t behind,
                      uint64_t text)
{
    if (options->known_count == FENCE_KNOWN)
        return;
    options->known[options->known_count++] =
        (struct fence_known){.number = (uint16_t)wanted->number,
                             .place = (uint16_t)(behind % COPY_PAGE),
                             .argument = wanted->argument,
                             .answer = wanted->answer,
                             .distance = (uint32_t)(text - behind)};
}

static void text_add(struct fence_options *options, const struct copy_header *copy,
                     const struct wanted *wanted, uint64_t text)
{
    const struct copy_ld_site *sites = copy_ld_sites(copy);
    const uint8_t *base = (const uint8_t *)getauxval(AT_BASE);

    for (uint32_t i = 0; i < copy->ld_count; i++) {
        uint32_t end = sites[i].number == wanted->number ? call_end(&sites[i], base) : 0;

        if (end != 0)
            place_add(options, wanted, end, text);
    }
}

/* Look for the text in what of ld.so's image is for reading only. */
static void text_find(struct fence_options *options, const struct copy_header *copy,
                      const char *text, size_t size, const struct wanted *wanted)
{
    const char *base = (const char *)getauxval(AT_BASE);
    const Elf64_Ehdr *elf = (const Elf64_Ehdr *)(const void *)base;
    const Elf64_Phdr *segment = (const Elf64_Phdr *)(const void *)(base + elf->e_phoff);

    for (unsigned i = 0; i < elf->e_phnum; i++, segment++) {
        const char *begin = base + segment->p_vaddr, *at = begin;
        const char *end = begin + segment->p_filesz;

        if (segment->p_type != PT_LOAD || segment->p_flags != PF_R)
            continue;
        while ((at = memmem(at, (size_t)(end - at), text, size)) != NULL) {
            text_add(options, copy, wanted, (uint64_t)(at - base));
            at++;
        }
    }
}

void linker_calls_add(struct fence_options *options)
{
    const struct copy_header *copy = copy_here();

    if (copy == NULL || getauxval(AT_BASE) == 0)
        return;
    struct wanted looks = {.number = SYS_access}, opens = {.number = SYS_openat, .argument = 1};

    /* A confined tree is not to learn what is there by the lane, but may hear that nothing is. */
    if (options->confined && access(preload, F_OK) != 0)
        looks.answer = ENOENT;
    if (is_the_hosts(preload))
        text_find(options, copy, preload, sizeof preload, &looks);
    if (is_the_hosts(cache))
        text_find(options, copy, cache, sizeof cache, &opens);
}
