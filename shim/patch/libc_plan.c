#include "shim/patch/libc_plan.h"

#include "shim/patch/copy.h"

#include <stdio.h>
#include <string.h>

/* From 2.41 on, glibc cancels a system call if it was interrupted between two addresses; a
 * dispatcher is never between them. */
#define VERSION_NEWEST 40
/* All of it goes into the file. libc's is 80 kB. */
#define DATA_MOST (16u << 20)

static uint64_t page_down(uint64_t address)
{
    return address & ~(uint64_t)(COPY_PAGE - 1);
}

static uint64_t page_up(uint64_t address)
{
    return page_down(address + COPY_PAGE - 1);
}

static int version_check(struct elf_image *image)
{
    static const char banner[] = "GNU C Library ", release[] = " release version 2.";
    unsigned minor = 0;
    const char *text = memmem(image->bytes, image->size, banner, sizeof banner - 1);
    if (!text)
        return elf_image_refuse(image, "it is not the GNU C Library");
    size_t rest = image->size - (size_t)((const uint8_t *)text - image->bytes);
    const char *version = memmem(text, rest < 256 ? rest : 256, release, sizeof release - 1);
    if (!version)
        return elf_image_refuse(image, "it doesn't say which version of glibc it is");
    for (version += sizeof release - 1; *version >= '0' && *version <= '9'; version++)
        minor = minor * 10 + (unsigned)(*version - '0');
    if (minor > VERSION_NEWEST)
        return elf_image_refuse(image,
                                "glibc 2.%u tells cancelled system calls by their address; "
                                "up to 2.%u can be patched",
                                minor, VERSION_NEWEST);
    return 0;
}

/* From the ELF header to the code's end, so that the header can be found by walking down; and
 * segments in order, as they must be with ours behind. */
static int layout_check(struct elf_image *image)
{
    uint64_t end = 0;
    bool text_seen = false, first = true;
    for (unsigned i = 0; i < image->header->e_phnum; i++) {
        const Elf64_Phdr *segment = &image->segments[i];
        if (segment->p_type != PT_LOAD)
            continue;
        if (first && (segment->p_vaddr != 0 || segment->p_offset != 0))
            return elf_image_refuse(image, "its first segment doesn't begin with the ELF header");
        if (!first && (page_down(segment->p_vaddr) < end ||
                       (!text_seen && page_down(segment->p_vaddr) != end)))
            return elf_image_refuse(image, "its segments are not laid out one behind the other");
        if ((segment->p_flags & PF_X) && text_seen)
            return elf_image_refuse(image, "it has code in more than one segment; a copy already?");
        text_seen |= segment == image->text;
        end = page_up(segment->p_vaddr + segment->p_memsz);
        first = false;
    }
    return 0;
}

/* The last program header that is only a note (the first ones may be needed by debuggers: the
 * build-id), and behind every PT_LOAD, since those must stay in order. */
static int note_find(struct libc_plan *plan, struct elf_image *image)
{
    unsigned last_load = 0;
    for (unsigned i = 0; i < image->header->e_phnum; i++)
        if (image->segments[i].p_type == PT_LOAD)
            last_load = i;
    for (unsigned i = last_load; i < image->header->e_phnum; i++) {
        Elf64_Phdr *segment = &image->segments[i];
        if (segment->p_type != PT_NOTE)
            continue;
        /* The 8-aligned one only repeats PT_GNU_PROPERTY. */
        if (!plan->note || (plan->note->p_align != 8 && segment->p_align == 8))
            plan->note = segment;
    }
    if (!plan->note)
        return elf_image_refuse(image, "no spare program header (PT_NOTE) for the new segment");
    return 0;
}

static int data_find(struct libc_plan *plan, struct elf_image *image)
{
    const Elf64_Phdr *last = NULL;
    for (unsigned i = 0; i < image->header->e_phnum; i++) {
        Elf64_Phdr *segment = &image->segments[i];
        if (segment->p_type != PT_LOAD)
            continue;
        last = segment;
        if (!(segment->p_flags & PF_W))
            continue;
        if (plan->data)
            return elf_image_refuse(image, "it has more than one writable segment");
        plan->data = segment;
    }
    if (!plan->data)
        return elf_image_refuse(image, "it has no writable segment");
    if (plan->data != last)
        return elf_image_refuse(image, "its writable segment is not the last one");
    plan->data_begin = page_down(plan->data->p_vaddr);
    plan->data_end = page_up(plan->data->p_vaddr + plan->data->p_memsz);
    plan->data_offset = page_up(image->size);
    if (plan->data_end - plan->data_begin > DATA_MOST)
        return elf_image_refuse(image, "its writable segment is too large");
    if (plan->start < plan->data->p_vaddr ||
        plan->start + sizeof(Elf64_Dyn) > plan->data->p_vaddr + plan->data->p_filesz)
        return elf_image_refuse(image, "its .dynamic is not in its writable segment");
    return 0;
}

/* The gap that alignment leaves before .bss lies on a page that is written at every start anyway;
 * failing that, behind .bss. */
static int slot_find(struct libc_plan *plan, struct elf_image *image)
{
    const Elf64_Shdr *bss = elf_image_section(image, ".bss");
    const Elf64_Phdr *relro = elf_image_segment(image, PT_GNU_RELRO);
    uint64_t file_end = plan->data->p_vaddr + plan->data->p_filesz;
    uint64_t end = plan->data->p_vaddr + plan->data->p_memsz;
    plan->slot = (file_end + 7) & ~7ull;
    if (!bss || bss->sh_addr < plan->slot + LIBC_PLAN_SLOTS || bss->sh_addr + bss->sh_size > end) {
        plan->slot = (end + 7) & ~7ull;
        plan->data_end = page_up(plan->slot + LIBC_PLAN_SLOTS);
    }
    if (relro && plan->slot + LIBC_PLAN_SLOTS > page_down(relro->p_vaddr) &&
        plan->slot < page_up(relro->p_vaddr + relro->p_memsz))
        return elf_image_refuse(image, "no room for the slot outside of what is made read-only");
    return 0;
}

static int dynamic_find(struct libc_plan *plan, struct elf_image *image)
{
    const Elf64_Phdr *segment = elf_image_segment(image, PT_DYNAMIC);
    uint8_t *bytes = segment ? elf_image_at(image, segment->p_vaddr, segment->p_filesz) : NULL;
    if (!bytes || segment->p_vaddr % 8 != 0 || (bytes - image->bytes) % 8 != 0)
        return elf_image_refuse(image, "it has no .dynamic");
    Elf64_Dyn *entries = (Elf64_Dyn *)bytes;
    size_t count = segment->p_filesz / sizeof *entries, used = 0;
    const Elf64_Dyn *init = NULL;
    uint64_t strings = 0, soname = 0;
    for (; used < count && entries[used].d_tag != DT_NULL; used++) {
        if (entries[used].d_tag == DT_INIT)
            init = &entries[used];
        if (entries[used].d_tag == DT_STRTAB)
            strings = entries[used].d_un.d_ptr;
        if (entries[used].d_tag == DT_SONAME)
            soname = entries[used].d_un.d_val;
    }
    const uint8_t *name = elf_image_at(image, strings + soname, sizeof "libc.so.6");
    if (!strings || !soname || !name || memcmp(name, "libc.so.6", sizeof "libc.so.6") != 0)
        return elf_image_refuse(image, "it is not a libc.so.6");
    /* One must be left to end the table. */
    if (!init && used + 1 >= count)
        return elf_image_refuse(image, "no spare entry in .dynamic for the shim's start");
    plan->init = init ? init->d_un.d_ptr : 0;
    plan->start = segment->p_vaddr + (init ? (uint64_t)(init - entries) : used) * sizeof *entries;
    return 0;
}

static void interpreter_find(struct libc_plan *plan, const struct elf_image *image)
{
    const Elf64_Phdr *segment = elf_image_segment(image, PT_INTERP);
    const uint8_t *name = segment ? elf_image_at(image, segment->p_vaddr, segment->p_filesz) : NULL;
    if (name && segment->p_filesz > 0 && name[segment->p_filesz - 1] == 0)
        plan->interpreter = (const char *)name;
}

int libc_plan_make(struct libc_plan *plan, struct elf_image *image)
{
    *plan = (struct libc_plan){.slot = 0};
    if (dynamic_find(plan, image) < 0 || version_check(image) < 0 || layout_check(image) < 0 ||
        note_find(plan, image) < 0 || data_find(plan, image) < 0 || slot_find(plan, image) < 0)
        return -1;
    interpreter_find(plan, image);
    return 0;
}
