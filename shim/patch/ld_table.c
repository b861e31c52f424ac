#include "shim/patch/ld_table.h"

#include "shim/patch/trampoline.h"

#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>

#define SITES_MOST 64

/* Those that name a path or reveal one. Not execve: that is how ld.so starts a static program
 * that it was given, before there is a shim. */
static bool is_wanted(int64_t number)
{
    static const int wanted[] = {
        SYS_open,     SYS_stat,      SYS_lstat,      SYS_access,     SYS_getcwd,
        SYS_readlink, SYS_openat,    SYS_openat2,    SYS_newfstatat, SYS_readlinkat,
        SYS_statx,    SYS_faccessat, SYS_faccessat2,
    };
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++)
        if (number == wanted[i])
            return true;
    return false;
}

static bool is_usual(int64_t number)
{
    return number == SYS_open || number == SYS_openat || number == SYS_openat2 ||
           number == SYS_stat || number == SYS_newfstatat || number == SYS_statx;
}

struct ld_sites {
    struct site all[SITES_MOST];
    size_t count;
};

static int sites_find(struct ld_sites *sites, const struct code_map *map)
{
    for (size_t i = 0; i < map->call_count; i++) {
        struct site *site = &sites->all[sites->count];
        site_describe(map, map->calls[i], site);
        if (!is_wanted(site->number))
            continue;
        int chosen = site_choose(map, site, SITE_INDEPENDENT);
        if (chosen < 0)
            return -1;
        if (chosen == 0 || site->end - site->begin > COPY_LD_WINDOW)
            return elf_image_refuse(map->image, "its call at 0x%lx can't be patched", site->call);
        if (++sites->count == SITES_MOST)
            return elf_image_refuse(map->image, "too many of its system calls name paths");
    }
    if (sites->count == 0)
        return elf_image_refuse(map->image, "no system call in it names a path");
    return 0;
}

/* Each page that is written at a program's start is copied then: the rare calls are not worth it.
 */
static bool is_rare(const struct ld_sites *sites, const struct site *site)
{
    for (size_t i = 0; i < sites->count; i++) {
        const struct site *other = &sites->all[i];
        if (is_usual(other->number) && other->begin / COPY_PAGE == site->begin / COPY_PAGE &&
            (other->end - 1) / COPY_PAGE == (site->end - 1) / COPY_PAGE)
            return false;
    }
    return true;
}

static void sites_write(struct segment *segment, struct copy_header *header,
                        const struct ld_sites *sites, const struct code_map *map)
{
    uint64_t trampolines[SITES_MOST];
    for (size_t i = 0; i < sites->count; i++) {
        segment_align(segment, 16, 0);
        trampolines[i] = segment_here(segment) - header->begin;
        trampoline_write_far(segment, map, header->slot, header->ld_slot, &sites->all[i]);
    }
    segment_align(segment, 8, 0);
    header->ld_sites = (uint32_t)(segment_here(segment) - header->begin);
    header->ld_count = (uint32_t)sites->count;
    for (size_t i = 0; i < sites->count; i++) {
        const struct site *site = &sites->all[i];
        uint64_t length = site->end - site->begin;
        struct copy_ld_site entry = {
            .start = (uint32_t)site->begin,
            .trampoline = (uint32_t)trampolines[i],
            .number = (uint32_t)site->number,
            .length = (uint8_t)length,
            .rare = is_rare(sites, site),
        };
        memcpy(entry.bytes, elf_image_at(map->image, site->begin, length), length);
        segment_add(segment, &entry, sizeof entry);
    }
}

static void text_describe(struct copy_header *header, const Elf64_Phdr *text)
{
    const uint64_t page = COPY_PAGE;
    header->ld_text = (uint32_t)(text->p_vaddr & -page);
    header->ld_text_end = (uint32_t)((text->p_vaddr + text->p_memsz + page - 1) & -page);
}

int ld_table_write(struct segment *segment, struct copy_header *header, const char *ld_path,
                   char *error, size_t error_size)
{
    struct elf_image image;
    struct unwind_table unwind = {0};
    struct code_map map = {0};
    struct ld_sites sites = {.count = 0};
    int result = -1;
    if (elf_image_load(&image, ld_path) < 0)
        goto out;
    if (!elf_image_build_id(&image, header->ld_build_id, sizeof header->ld_build_id)) {
        elf_image_refuse(&image, "it has no build-id");
        goto out;
    }
    if (unwind_load(&unwind, &image) < 0 || code_load(&map, &image, &unwind) < 0 ||
        sites_find(&sites, &map) < 0)
        goto out;
    text_describe(header, image.text);
    sites_write(segment, header, &sites, &map);
    result = 0;
out:
    if (result < 0)
        snprintf(error, error_size, "%s", image.error);
    code_free(&map);
    unwind_free(&unwind);
    elf_image_free(&image);
    return result;
}
