#include "shim/patch/code.h"

#include <stdlib.h>
#include <string.h>

static uint64_t text_begin(const struct code_map *map)
{
    return map->image->text->p_vaddr;
}

static void target_add(struct code_map *map, uint64_t address)
{
    if (elf_image_in_text(map->image, address))
        map->targets[address - text_begin(map)] = 1;
}

static int call_add(struct code_map *map, uint64_t address)
{
    if (map->call_count % 256 == 0) {
        uint64_t *more = realloc(map->calls, (map->call_count + 256) * sizeof *more);
        if (!more)
            return elf_image_refuse(map->image, "no memory");
        map->calls = more;
    }
    map->calls[map->call_count++] = address;
    return 0;
}

/* A switch: 32-bit offsets from the table's begin. Where it ends is written nowhere, so take what
 * looks like offsets into functions: too many targets do no harm. */
static void switch_add(struct code_map *map, uint64_t table)
{
    const uint8_t *entry;
    if (table % 4 != 0)
        return;
    for (uint64_t at = table; (entry = elf_image_at(map->image, at, 4)) != NULL; at += 4) {
        int32_t offset;
        memcpy(&offset, entry, sizeof offset);
        uint64_t target = table + (uint64_t)(int64_t)offset;
        if (!elf_image_in_text(map->image, target) || !unwind_find(map->unwind, target))
            return;
        target_add(map, target);
    }
}

static int instruction_add(struct code_map *map, uint64_t address,
                           const struct instruction *instruction)
{
    map->lengths[address - text_begin(map)] = instruction->length;
    if (instruction->flags & INSTRUCTION_SYSCALL)
        return call_add(map, address);
    if (instruction->flags & (INSTRUCTION_BRANCH | INSTRUCTION_RELATIVE))
        target_add(map, instruction->target);
    if ((instruction->flags & INSTRUCTION_ADDRESS) &&
        !elf_image_in_text(map->image, instruction->target) && unwind_find(map->unwind, address))
        switch_add(map, instruction->target);
    return 0;
}

/* Sweeps [begin, end). In a function with unwind information every byte must be code; between
 * functions there may be padding of any kind. */
static int range_sweep(struct code_map *map, uint64_t begin, uint64_t end, bool function)
{
    const uint8_t *bytes = elf_image_at(map->image, begin, end - begin);
    uint64_t address = begin;
    if (!bytes)
        return elf_image_refuse(map->image, "broken section headers");
    while (address < end) {
        struct instruction instruction;
        size_t length = instruction_decode(bytes + (address - begin), (size_t)(end - address),
                                           address, &instruction);
        if (length == 0 && function)
            return elf_image_refuse(map->image, "unknown instruction at 0x%lx", address);
        if (length == 0)
            length = 1;
        else if (instruction_add(map, address, &instruction) < 0)
            return -1;
        address += length;
    }
    return 0;
}

static int section_sweep(struct code_map *map, uint64_t begin, uint64_t end)
{
    uint64_t address = begin;
    size_t next = unwind_from(map->unwind, begin);
    while (address < end) {
        const struct unwind_entry *entry =
            next < map->unwind->count ? &map->unwind->entries[next] : NULL;
        uint64_t gap = entry && entry->begin < end ? entry->begin : end;
        if (range_sweep(map, address, gap, false) < 0)
            return -1;
        address = gap;
        if (address < end) {
            if (entry->end > end)
                return elf_image_refuse(map->image, "its unwind tables don't fit its code");
            /* A signal frame's entry begins a byte early, since unwinders look one byte back. */
            uint64_t first = entry->begin + (entry->signal_frame ? 1 : 0);
            if (range_sweep(map, first, entry->end, true) < 0)
                return -1;
            address = entry->end;
            next++;
        }
    }
    return 0;
}

static int sections_sweep(struct code_map *map)
{
    for (unsigned i = 0; i < map->image->header->e_shnum; i++) {
        const Elf64_Shdr *section = &map->image->sections[i];
        if (!(section->sh_flags & SHF_EXECINSTR) || !(section->sh_flags & SHF_ALLOC) ||
            section->sh_type == SHT_NOBITS || !elf_image_in_text(map->image, section->sh_addr))
            continue;
        if (section->sh_size >
            map->image->text->p_vaddr + map->image->text->p_filesz - section->sh_addr)
            return elf_image_refuse(map->image, "broken section headers");
        if (section_sweep(map, section->sh_addr, section->sh_addr + section->sh_size) < 0)
            return -1;
    }
    return 0;
}

static void pad_add(void *context, const struct unwind_pad *pad)
{
    target_add(context, pad->pad);
}

static int functions_add(struct code_map *map)
{
    for (size_t i = 0; i < map->unwind->count; i++) {
        const struct unwind_entry *entry = &map->unwind->entries[i];
        target_add(map, entry->begin);
        if (unwind_pads(map->unwind, entry, pad_add, map) < 0)
            return -1;
    }
    return 0;
}

static void symbols_add(struct code_map *map, const Elf64_Shdr *section)
{
    const uint8_t *bytes = map->image->bytes + section->sh_offset;
    Elf64_Sym symbol;
    for (uint64_t at = 0; at + sizeof symbol <= section->sh_size; at += sizeof symbol) {
        memcpy(&symbol, bytes + at, sizeof symbol);
        target_add(map, symbol.st_value);
    }
}

static void relocations_add(struct code_map *map, const Elf64_Shdr *section)
{
    const uint8_t *bytes = map->image->bytes + section->sh_offset;
    Elf64_Rela relocation;
    for (uint64_t at = 0; at + sizeof relocation <= section->sh_size; at += sizeof relocation) {
        memcpy(&relocation, bytes + at, sizeof relocation);
        target_add(map, (uint64_t)relocation.r_addend);
    }
}

/* Pointers that are relocated in place (RELR): any word of the data may be one. */
static void words_add(struct code_map *map, const Elf64_Phdr *segment)
{
    const uint8_t *bytes = map->image->bytes + segment->p_offset;
    uint64_t word;
    for (uint64_t at = -segment->p_vaddr & 7; at + sizeof word <= segment->p_filesz;
         at += sizeof word) {
        memcpy(&word, bytes + at, sizeof word);
        target_add(map, word);
    }
}

static void pointers_add(struct code_map *map)
{
    for (unsigned i = 0; i < map->image->header->e_shnum; i++) {
        const Elf64_Shdr *section = &map->image->sections[i];
        if (section->sh_type == SHT_DYNSYM)
            symbols_add(map, section);
        else if (section->sh_type == SHT_RELA)
            relocations_add(map, section);
    }
    for (unsigned i = 0; i < map->image->header->e_phnum; i++) {
        const Elf64_Phdr *segment = &map->image->segments[i];
        if (segment->p_type == PT_LOAD && (segment->p_flags & PF_W))
            words_add(map, segment);
    }
}

int code_load(struct code_map *map, struct elf_image *image, const struct unwind_table *unwind)
{
    *map = (struct code_map){.image = image, .unwind = unwind};
    map->lengths = calloc(1, image->text->p_filesz);
    map->targets = calloc(1, image->text->p_filesz);
    if (!map->lengths || !map->targets)
        return elf_image_refuse(image, "no memory");
    if (sections_sweep(map) < 0 || functions_add(map) < 0)
        return -1;
    pointers_add(map);
    return 0;
}

void code_free(struct code_map *map)
{
    free(map->lengths);
    free(map->targets);
    free(map->calls);
    *map = (struct code_map){.image = NULL};
}

bool code_decode(const struct code_map *map, uint64_t address, struct instruction *instruction)
{
    if (!elf_image_in_text(map->image, address))
        return false;
    size_t length = map->lengths[address - text_begin(map)];
    return length > 0 && instruction_decode(elf_image_at(map->image, address, length), length,
                                            address, instruction) == length;
}

uint64_t code_previous(const struct code_map *map, uint64_t address)
{
    for (unsigned length = 1; length <= INSTRUCTION_LONGEST; length++)
        if (elf_image_in_text(map->image, address - length) &&
            map->lengths[address - length - text_begin(map)] == length)
            return address - length;
    return 0;
}

bool code_is_target(const struct code_map *map, uint64_t begin, uint64_t end)
{
    for (uint64_t address = begin; address < end; address++)
        if (elf_image_in_text(map->image, address) && map->targets[address - text_begin(map)])
            return true;
    return false;
}
