#include "shim/patch/ld_patch.h"

#include "shim/arch/x86_64/syscall.h"

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#define NOP 0x90
#define JUMP 0xe9
#define JUMP_SIZE 5

struct ld_target {
    const struct copy_header *copy;
    uintptr_t base;
    enum ld_patch_extent extent;
};

static bool is_chosen(const struct ld_target *target, const struct copy_ld_site *site)
{
    return target->extent == LD_PATCH_ALL || !site->rare;
}

static bool bytes_equal(const uint8_t *a, const uint8_t *b, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (a[i] != b[i])
            return false;
    return true;
}

static bool build_id_matches(const uint8_t *notes, size_t size, const uint8_t *id)
{
    const Elf64_Nhdr *note = (const Elf64_Nhdr *)notes;
    /* ld.so has this one note; patch-libc has found it there. */
    if (size < sizeof *note || note->n_type != NT_GNU_BUILD_ID || note->n_namesz != 4 ||
        note->n_descsz == 0 || size - sizeof *note < 4 + (size_t)note->n_descsz)
        return false;
    size_t length = note->n_descsz < COPY_BUILD_ID ? note->n_descsz : COPY_BUILD_ID;
    return bytes_equal(notes + sizeof *note + 4, id, length);
}

static bool image_matches(const struct ld_target *target)
{
    const struct copy_header *copy = target->copy;
    const Elf64_Ehdr *header = (const Elf64_Ehdr *)target->base;
    const Elf64_Phdr *segment = (const Elf64_Phdr *)(target->base + header->e_phoff);
    bool id = false, text = false;
    if (header->e_ident[EI_MAG0] != ELFMAG0 || header->e_ident[EI_MAG1] != ELFMAG1 ||
        header->e_ident[EI_MAG2] != ELFMAG2 || header->e_ident[EI_MAG3] != ELFMAG3)
        return false;
    for (unsigned i = 0; i < header->e_phnum; i++, segment++) {
        if (segment->p_type == PT_NOTE && !id)
            id = build_id_matches((const uint8_t *)target->base + segment->p_vaddr,
                                  segment->p_filesz, copy->ld_build_id);
        if (segment->p_type == PT_LOAD && segment->p_flags == (PF_R | PF_X))
            text = copy->ld_text <= segment->p_vaddr &&
                   copy->ld_text_end >= segment->p_vaddr + segment->p_memsz;
    }
    return id && text;
}

static uintptr_t trampoline_of(const struct ld_target *target, const struct copy_ld_site *site)
{
    return (uintptr_t)target->copy + site->trampoline;
}

/* What is behind the jump in the window: how far it goes. */
static int64_t jump_distance(const struct ld_target *target, const struct copy_ld_site *site)
{
    return (int64_t)(trampoline_of(target, site) - (target->base + site->start + JUMP_SIZE));
}

/* A debugger's breakpoint in a window makes this another ld.so. */
static int windows_check(const struct ld_target *target)
{
    const struct copy_ld_site *site = copy_ld_sites(target->copy);
    for (unsigned i = 0; i < target->copy->ld_count; i++, site++) {
        const uint8_t *window = (const uint8_t *)target->base + site->start;
        int64_t distance = jump_distance(target, site);
        if (!is_chosen(target, site))
            continue;
        if (!bytes_equal(window, site->bytes, site->length))
            return window[0] == JUMP ? EALREADY : ENOEXEC;
        if (distance != (int32_t)distance)
            return ERANGE;
    }
    return 0;
}

static void window_write(const struct ld_target *target, const struct copy_ld_site *site)
{
    uint8_t *window = (uint8_t *)target->base + site->start;
    uint32_t distance = (uint32_t)jump_distance(target, site);
    window[0] = JUMP;
    for (unsigned i = 1; i < JUMP_SIZE; i++, distance >>= 8)
        window[i] = (uint8_t)distance;
    for (unsigned i = JUMP_SIZE; i < site->length; i++)
        window[i] = NOP;
}

/* Writable and executable at once: what runs in ld.so meanwhile must go on, and where that is
 * forbidden the first step fails and not the last. */
static int text_protect(const struct ld_target *target, int protection)
{
    /* All of the code, so that the mapping is not split and each fork pays for one as before. */
    const struct copy_header *copy = target->copy;
    long result = system_call(SYS_mprotect, (long)(target->base + copy->ld_text),
                              copy->ld_text_end - copy->ld_text, protection, 0, 0, 0);
    return system_failed(result) ? (int)-result : 0;
}

int ld_patch(const struct copy_header *copy, const void *ld_base, enum ld_patch_extent extent)
{
    const struct ld_target target = {copy, (uintptr_t)ld_base, extent};
    const struct copy_ld_site *site = copy_ld_sites(copy);
    if (copy->ld_count == 0)
        return ENOENT;
    if (!ld_base || !image_matches(&target))
        return ENOEXEC;
    int error = windows_check(&target);
    if (!error)
        error = text_protect(&target, PROT_READ | PROT_WRITE | PROT_EXEC);
    if (error)
        return error;
    *copy_ld_slot(copy) = target.base;
    for (unsigned i = 0; i < copy->ld_count; i++, site++)
        if (is_chosen(&target, site))
            window_write(&target, site);
    text_protect(&target, PROT_READ | PROT_EXEC);
    return 0;
}
