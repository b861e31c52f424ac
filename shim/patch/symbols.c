#include "shim/patch/symbols.h"

#include "shim/patch/debug_frames.h"

#include <stdio.h>
#include <string.h>

static const char new_names[] = ".hirsel\0.symtab\0.strtab\0.debug_frame";
#define NAME_CODE 0
#define NAME_SYMBOLS 8
#define NAME_STRINGS 16
#define NAME_FRAMES 24

/* The exported function that holds the address. */
static const char *function_name(const struct elf_image *image, uint64_t address)
{
    const Elf64_Shdr *symbols = elf_image_section(image, ".dynsym");
    const Elf64_Shdr *strings = elf_image_section(image, ".dynstr");
    if (!symbols || !strings)
        return NULL;
    for (uint64_t at = 0; at + sizeof(Elf64_Sym) <= symbols->sh_size; at += sizeof(Elf64_Sym)) {
        Elf64_Sym symbol;
        memcpy(&symbol, image->bytes + symbols->sh_offset + at, sizeof symbol);
        if (ELF64_ST_TYPE(symbol.st_info) == STT_FUNC &&
            address - symbol.st_value < symbol.st_size && symbol.st_name < strings->sh_size)
            return (const char *)image->bytes + strings->sh_offset + symbol.st_name;
    }
    return NULL;
}

static void trampolines_add(struct segment *tail, struct segment *strings,
                            const struct elf_image *image, const struct trampoline *trampolines,
                            size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct trampoline *trampoline = &trampolines[i];
        const char *function = function_name(image, trampoline->site.call);
        char name[64];
        int length = snprintf(name, sizeof name, "%.32s@%lx", function ? function : "libc",
                              trampoline->site.call);
        Elf64_Sym symbol = {
            .st_name = (Elf64_Word)strings->size,
            .st_info = ELF64_ST_INFO(STB_LOCAL, STT_FUNC),
            .st_shndx = image->header->e_shnum,
            .st_value = trampoline->begin,
            .st_size = trampoline->end - trampoline->begin,
        };
        segment_add(tail, &symbol, sizeof symbol);
        segment_add(strings, name, (size_t)length + 1);
    }
}

/* Its functions, and where to have a debugger load the rest from its file. */
static void shim_add(struct segment *tail, struct segment *strings, const struct elf_image *shim,
                     uint64_t shim_base, Elf64_Half section)
{
    const Elf64_Shdr *symbols = elf_image_section(shim, ".symtab");
    const Elf64_Shdr *names = elf_image_section(shim, ".strtab");
    static const char base_name[] = "shim_base";
    if (!symbols || !names)
        return;
    Elf64_Sym base = {
        .st_name = (Elf64_Word)strings->size,
        .st_info = ELF64_ST_INFO(STB_LOCAL, STT_OBJECT),
        .st_shndx = section,
        .st_value = shim_base,
    };
    segment_add(tail, &base, sizeof base);
    segment_add(strings, base_name, sizeof base_name);
    for (uint64_t at = 0; at + sizeof(Elf64_Sym) <= symbols->sh_size; at += sizeof(Elf64_Sym)) {
        Elf64_Sym symbol;
        memcpy(&symbol, shim->bytes + symbols->sh_offset + at, sizeof symbol);
        if (ELF64_ST_TYPE(symbol.st_info) != STT_FUNC || symbol.st_name >= names->sh_size)
            continue;
        const char *name = (const char *)shim->bytes + names->sh_offset + symbol.st_name;
        size_t length = strnlen(name, names->sh_size - symbol.st_name);
        symbol.st_name = (Elf64_Word)strings->size;
        symbol.st_info = ELF64_ST_INFO(STB_LOCAL, STT_FUNC);
        symbol.st_shndx = section;
        symbol.st_value += shim_base;
        segment_add(tail, &symbol, sizeof symbol);
        segment_add(strings, name, length);
        segment_byte(strings, 0);
    }
}

static void sections_add(struct segment *tail, const struct elf_image *image,
                         const struct symbols_layout *layout, Elf64_Shdr *names,
                         const Elf64_Shdr *new_sections, size_t new_count)
{
    for (unsigned i = 0; i < image->header->e_shnum; i++) {
        Elf64_Shdr section = image->sections[i];
        if (i == image->header->e_shstrndx)
            section = *names;
        else if (&image->sections[i] == elf_image_section(image, ".eh_frame_hdr")) {
            section.sh_addr = layout->frames.header;
            section.sh_offset = layout->offset + (layout->frames.header - layout->address);
            section.sh_size = layout->frames.header_size;
        } else if ((section.sh_flags & SHF_ALLOC) && section.sh_addr >= layout->data_begin)
            section.sh_offset = layout->data_offset + (section.sh_addr - layout->data_begin);
        segment_add(tail, &section, sizeof section);
    }
    segment_add(tail, new_sections, new_count * sizeof *new_sections);
}

void symbols_write(struct segment *tail, uint64_t tail_offset, struct elf_image *image,
                   const struct segment *segment, const struct symbols_layout *layout,
                   const struct elf_image *shim, uint64_t shim_base,
                   const struct trampoline *trampolines, size_t count)
{
    static const Elf64_Sym first;
    struct segment strings = {0};
    unsigned old_count = image->header->e_shnum;
    Elf64_Shdr names = image->sections[image->header->e_shstrndx];
    Elf64_Word base = (Elf64_Word)names.sh_size;
    Elf64_Shdr sections[4] = {
        {.sh_name = base + NAME_CODE,
         .sh_type = SHT_PROGBITS,
         .sh_flags = SHF_ALLOC | SHF_EXECINSTR,
         .sh_addr = layout->address,
         .sh_offset = layout->offset,
         .sh_size = layout->code_end - layout->address,
         .sh_addralign = 64},
        {.sh_name = base + NAME_SYMBOLS,
         .sh_type = SHT_SYMTAB,
         .sh_link = old_count + 2,
         .sh_addralign = 8,
         .sh_entsize = sizeof(Elf64_Sym)},
        {.sh_name = base + NAME_STRINGS, .sh_type = SHT_STRTAB, .sh_addralign = 1},
        {.sh_name = base + NAME_FRAMES, .sh_type = SHT_PROGBITS, .sh_addralign = 8},
    };
    segment_align(tail, 8, 0);
    sections[1].sh_offset = tail_offset + tail->size;
    segment_add(tail, &first, sizeof first);
    segment_byte(&strings, 0);
    trampolines_add(tail, &strings, image, trampolines, count);
    if (shim)
        shim_add(tail, &strings, shim, shim_base, image->header->e_shnum);
    sections[1].sh_size = tail_offset + tail->size - sections[1].sh_offset;
    sections[1].sh_info = (Elf64_Word)(sections[1].sh_size / sizeof first); /* all are local */
    sections[2].sh_offset = tail_offset + tail->size;
    sections[2].sh_size = strings.size;
    segment_add(tail, strings.bytes, strings.size);
    segment_align(tail, 8, 0);
    sections[3].sh_offset = tail_offset + tail->size;
    debug_frames_write(tail, segment, image, &layout->frames);
    sections[3].sh_size = tail_offset + tail->size - sections[3].sh_offset;
    names.sh_offset = tail_offset + tail->size;
    names.sh_size += sizeof new_names;
    segment_add(tail, image->bytes + image->sections[image->header->e_shstrndx].sh_offset, base);
    segment_add(tail, new_names, sizeof new_names);
    segment_align(tail, 8, 0);
    uint64_t table = tail_offset + tail->size;
    sections_add(tail, image, layout, &names, sections, sizeof sections / sizeof *sections);
    image->header->e_shoff = table;
    image->header->e_shnum = (Elf64_Half)(old_count + sizeof sections / sizeof *sections);
    tail->failed |= strings.failed;
    segment_free(&strings);
}
