#include "shim/patch/shim_image.h"

#include "shim/patch/copy.h"

#include <string.h>

static int segments_find(struct shim_image *shim)
{
    struct elf_image *image = &shim->image;
    for (unsigned i = 0; i < image->header->e_phnum; i++) {
        const Elf64_Phdr *segment = &image->segments[i];
        if (segment->p_type == PT_TLS || segment->p_type == PT_INTERP)
            return elf_image_refuse(image, "it is not linked as a shim");
        if (segment->p_type == PT_LOAD && segment->p_flags == (PF_R | PF_W) && !shim->data)
            shim->data = segment;
        else if (segment->p_type == PT_LOAD && segment->p_flags == (PF_R | PF_X) && !shim->code)
            shim->code = segment;
        else if (segment->p_type == PT_LOAD && segment->p_flags != PF_R)
            return elf_image_refuse(image, "it is not linked as a shim");
    }
    if (!shim->data || !shim->code || shim->data->p_vaddr != 0 ||
        shim->code->p_vaddr % COPY_PAGE != 0 || shim->code->p_vaddr < shim->data->p_memsz ||
        shim->code->p_vaddr - shim->data->p_memsz >= COPY_PAGE ||
        shim->code->p_filesz != shim->code->p_memsz ||
        image->header->e_entry - shim->code->p_vaddr >= shim->code->p_filesz)
        return elf_image_refuse(image, "it is not linked as a shim");
    return 0;
}

/* Those that the shim itself does when it first needs them (shim/core/relocate.c). */
static int relocations_check(struct shim_image *shim, uint64_t address, uint64_t size)
{
    struct elf_image *image = &shim->image;
    const uint8_t *bytes = elf_image_at(image, address, size);
    if (size > 0 && (!bytes || address < shim->code->p_vaddr))
        return elf_image_refuse(image, "its relocations are not in its code");
    for (uint64_t at = 0; at + sizeof(Elf64_Rela) <= size; at += sizeof(Elf64_Rela)) {
        Elf64_Rela one;
        memcpy(&one, bytes + at, sizeof one);
        if (ELF64_R_TYPE(one.r_info) != R_X86_64_RELATIVE || one.r_offset % 8 != 0 ||
            one.r_offset >= shim->data->p_memsz || shim->data->p_memsz - one.r_offset < 8)
            return elf_image_refuse(image, "a relocation at 0x%lx that it can't do itself",
                                    one.r_offset);
    }
    return 0;
}

static int dynamic_check(struct shim_image *shim)
{
    struct elf_image *image = &shim->image;
    const Elf64_Phdr *segment = elf_image_segment(image, PT_DYNAMIC);
    const uint8_t *bytes =
        segment ? elf_image_at(image, segment->p_vaddr, segment->p_filesz) : NULL;
    uint64_t relocations = 0, size = 0;
    for (uint64_t at = 0; bytes && at + sizeof(Elf64_Dyn) <= segment->p_filesz;
         at += sizeof(Elf64_Dyn)) {
        Elf64_Dyn entry;
        memcpy(&entry, bytes + at, sizeof entry);
        if (entry.d_tag == DT_RELA)
            relocations = entry.d_un.d_ptr;
        if (entry.d_tag == DT_RELASZ)
            size = entry.d_un.d_val;
        if (entry.d_tag == DT_NEEDED || entry.d_tag == DT_JMPREL || entry.d_tag == DT_RELR ||
            entry.d_tag == DT_INIT || entry.d_tag == DT_INIT_ARRAY || entry.d_tag == DT_FINI ||
            entry.d_tag == DT_FINI_ARRAY || entry.d_tag == DT_TEXTREL)
            return elf_image_refuse(image, "it needs ld.so (.dynamic's entry 0x%lx)",
                                    (unsigned long)entry.d_tag);
    }
    return relocations_check(shim, relocations, size);
}

int shim_image_load(struct shim_image *shim, const char *path)
{
    if (elf_image_load(&shim->image, path) < 0 || segments_find(shim) < 0 ||
        dynamic_check(shim) < 0)
        return -1;
    return 0;
}

void shim_image_free(struct shim_image *shim)
{
    elf_image_free(&shim->image);
}
