#include "shim/patch/ld_table.h"

#include "shim/patch/site.h"

#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>

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

static int site_add(struct segment *segment, struct copy_header *header, const struct code_map *map,
                    const struct site *site)
{
    uint64_t length = site->end - site->begin;
    const uint8_t *window = elf_image_at(map->image, site->begin, length);
    if (length > COPY_LD_WINDOW || !window)
        return elf_image_refuse(map->image, "its call at 0x%lx has too long a window", site->call);
    struct copy_ld_site entry = {
        .start = (uint32_t)site->begin,
        .call = (uint32_t)site->call,
        .number = (uint32_t)site->number,
        .length = (uint8_t)length,
        .flags = site->moved ? COPY_LD_MOVED : 0,
        .before = (uint8_t)(site->call - site->begin),
        .after = (uint8_t)(site->moved ? site->end - site->call - 2 : 0),
    };
    memcpy(entry.bytes, window, length);
    segment_add(segment, &entry, sizeof entry);
    header->ld_count++;
    return 0;
}

/* The zeros between the code's end and its last page's: mapped, executable, nobody's. */
static void padding_find(struct copy_header *header, const struct elf_image *image)
{
    const Elf64_Phdr *text = image->text;
    uint64_t end = text->p_vaddr + text->p_filesz;
    uint64_t page_end = (end + COPY_PAGE - 1) & ~(uint64_t)(COPY_PAGE - 1);
    uint64_t begin = (end + 15) & ~15ull;
    if (text->p_filesz != text->p_memsz ||
        text->p_offset + (page_end - text->p_vaddr) > image->size)
        return;
    for (uint64_t address = begin; address < page_end; address++)
        if (image->bytes[text->p_offset + (address - text->p_vaddr)] != 0)
            return;
    if (begin < page_end) {
        header->ld_padding = (uint32_t)begin;
        header->ld_padding_end = (uint32_t)page_end;
    }
}

static int sites_add(struct segment *segment, struct copy_header *header,
                     const struct code_map *map)
{
    for (size_t i = 0; i < map->call_count; i++) {
        struct site site;
        site_describe(map, map->calls[i], &site);
        if (!is_wanted(site.number))
            continue;
        int chosen = site_choose(map, &site, SITE_INDEPENDENT);
        if (chosen == 0)
            return elf_image_refuse(map->image, "its call at 0x%lx can't be patched", site.call);
        if (chosen < 0 || site_add(segment, header, map, &site) < 0)
            return -1;
    }
    if (header->ld_count == 0)
        return elf_image_refuse(map->image, "no system call in it names a path");
    return 0;
}

int ld_table_write(struct segment *segment, struct copy_header *header, const char *ld_path,
                   char *error, size_t error_size)
{
    struct elf_image image;
    struct unwind_table unwind = {0};
    struct code_map map = {0};
    int result = -1;
    segment_align(segment, 8, 0);
    size_t begin = segment->size;
    if (elf_image_load(&image, ld_path) < 0)
        goto out;
    if (!elf_image_build_id(&image, header->ld_build_id, sizeof header->ld_build_id)) {
        elf_image_refuse(&image, "it has no build-id");
        goto out;
    }
    if (unwind_load(&unwind, &image) < 0 || code_load(&map, &image, &unwind) < 0 ||
        sites_add(segment, header, &map) < 0)
        goto out;
    header->ld_sites = (uint32_t)begin;
    header->ld_text = (uint32_t)(image.text->p_vaddr & ~(uint64_t)(COPY_PAGE - 1));
    header->ld_text_end = (uint32_t)((image.text->p_vaddr + image.text->p_memsz + COPY_PAGE - 1) &
                                     ~(uint64_t)(COPY_PAGE - 1));
    padding_find(header, &image);
    result = 0;
out:
    if (result < 0) {
        header->ld_count = 0;
        segment->size = begin;
        snprintf(error, error_size, "%s", image.error);
    }
    code_free(&map);
    unwind_free(&unwind);
    elf_image_free(&image);
    return result;
}
