#include "shim/patch/frames.h"

#include <stdlib.h>
#include <string.h>

#define ENCODING_RELATIVE 0x1b
#define ENCODING_LEB 0x01
#define ENCODING_NONE 0xff

/* The one form of search table that linkers make: version 1; the section by a relative pointer; the
 * count in 32 bits; pairs of distances from the table itself. */
static const uint8_t header_form[4] = {1, 0x1b, 0x03, 0x3b};

struct header_pair {
    int32_t code, entry;
};

/* Language data of one call site for the whole trampoline: its clean-up is the original's. */
static uint64_t language_write(struct segment *segment, const struct trampoline *trampoline,
                               uint64_t pad)
{
    struct segment sites = {0};
    uint64_t begin = trampoline->site.unwind->begin;
    segment_uleb(&sites, 0);
    segment_uleb(&sites, trampoline->end - trampoline->begin);
    segment_uleb(&sites, pad - begin);
    segment_uleb(&sites, 0);
    uint64_t address = segment_here(segment);
    segment_byte(segment, ENCODING_RELATIVE);
    segment_distance(segment, segment_here(segment), begin);
    segment_byte(segment, ENCODING_NONE);
    segment_byte(segment, ENCODING_LEB);
    segment_uleb(segment, sites.size);
    segment_add(segment, sites.bytes, sites.size);
    segment->failed |= sites.failed;
    segment_free(&sites);
    return address;
}

/* The trampoline's own entry: the row that is in force at its site, for its whole length. */
static int entry_write(struct segment *segment, const struct unwind_table *table,
                       const struct trampoline *trampoline, uint64_t *address)
{
    const struct unwind_entry *unwind = trampoline->site.unwind;
    uint8_t program[UNWIND_PROGRAM];
    struct unwind_pad pad;
    uint64_t language = 0;
    int length = unwind_row(table, unwind, trampoline->site.call, program);
    if (length < 0 || unwind_pad_at(table, unwind, trampoline->site.call, &pad) < 0)
        return -1;
    if (pad.action != 0)
        return elf_image_refuse(table->image, "a handler of exceptions at 0x%lx",
                                trampoline->site.call);
    if (pad.pad)
        language = language_write(segment, trampoline, pad.pad);
    segment_align(segment, 8, 0);
    size_t augmentation = unwind->language_field ? 5 : 1;
    size_t size = 16 + augmentation + (size_t)length;
    size_t padding = -size & 7;
    *address = segment_here(segment);
    segment_u32(segment, (uint32_t)(size - 4 + padding));
    segment_distance(segment, unwind->common, segment_here(segment));
    segment_distance(segment, segment_here(segment), trampoline->begin);
    segment_u32(segment, (uint32_t)(trampoline->end - trampoline->begin));
    segment_byte(segment, (uint8_t)(augmentation - 1));
    if (language)
        segment_distance(segment, segment_here(segment), language);
    else if (unwind->language_field)
        segment_u32(segment, 0);
    segment_add(segment, program, (size_t)length);
    segment_add(segment, NULL, padding); /* no-operations */
    return 0;
}

/* A search table as a linker made it. */
struct header_view {
    const uint8_t *pairs;
    uint64_t address; /* what its distances count from */
    uint32_t count;
};

static const char *header_read(const struct elf_image *image, struct header_view *view)
{
    const Elf64_Phdr *segment = elf_image_segment(image, PT_GNU_EH_FRAME);
    const uint8_t *bytes =
        segment ? elf_image_at(image, segment->p_vaddr, segment->p_filesz) : NULL;
    if (!bytes || segment->p_filesz < 12 || memcmp(bytes, header_form, sizeof header_form) != 0)
        return "unwind search table is not of a form that is known";
    memcpy(&view->count, bytes + 8, sizeof view->count);
    if ((segment->p_filesz - 12) / sizeof(struct header_pair) < view->count)
        return "unwind search table is cut off";
    view->pairs = bytes + 12;
    view->address = segment->p_vaddr;
    return NULL;
}

/* Takes a table's pairs over, of an image whose addresses begin at `base`. All code must lie in
 * [*from, end); *from moves on behind what was taken. */
static const char *pairs_take(struct segment *segment, uint64_t header,
                              const struct header_view *view, uint64_t base, uint64_t *from,
                              uint64_t end)
{
    for (uint32_t i = 0; i < view->count; i++) {
        struct header_pair pair;
        memcpy(&pair, view->pairs + i * sizeof pair, sizeof pair);
        uint64_t code = base + view->address + (uint64_t)(int64_t)pair.code;
        if (code < *from || code >= end)
            return "unwind search table is not in order";
        *from = code;
        segment_distance(segment, header, code);
        segment_distance(segment, header, base + view->address + (uint64_t)(int64_t)pair.entry);
    }
    return NULL;
}

static int header_write(struct segment *segment, const struct unwind_table *table,
                        const struct elf_image *shim, uint64_t shim_base,
                        const struct trampoline *trampolines, size_t count, const uint64_t *entries)
{
    struct elf_image *image = table->image;
    const Elf64_Shdr *frame = elf_image_section(image, ".eh_frame");
    uint64_t header = segment_here(segment), from = 0;
    uint32_t own = 0;
    struct header_view old, added = {.count = 0};
    const char *wrong = header_read(image, &old);
    if (wrong)
        return elf_image_refuse(image, "its %s", wrong);
    wrong = shim ? header_read(shim, &added) : NULL;
    if (wrong)
        return elf_image_refuse(image, "the shim's %s", wrong);
    for (size_t i = 0; i < count; i++)
        own += trampolines[i].site.unwind != NULL;
    segment_add(segment, header_form, sizeof header_form);
    segment_distance(segment, segment_here(segment), frame->sh_addr);
    segment_u32(segment, old.count + added.count + own);
    wrong = pairs_take(segment, header, &old, 0, &from, segment->address);
    if (wrong)
        return elf_image_refuse(image, "its %s", wrong);
    from = segment->address;
    wrong = pairs_take(segment, header, &added, shim_base, &from, trampolines[0].begin);
    if (wrong)
        return elf_image_refuse(image, "the shim's %s", wrong);
    for (size_t i = 0; i < count; i++) {
        if (!trampolines[i].site.unwind)
            continue;
        segment_distance(segment, header, trampolines[i].begin);
        segment_distance(segment, header, entries[i]);
    }
    return 0;
}

int frames_write(struct segment *segment, const struct unwind_table *table,
                 const struct elf_image *shim, uint64_t shim_base,
                 const struct trampoline *trampolines, size_t count, struct frames *frames)
{
    int result = -1;
    uint64_t *entries = calloc(count + 1, sizeof *entries);
    if (!entries)
        return elf_image_refuse(table->image, "no memory");
    for (size_t i = 0; i < count; i++)
        if (trampolines[i].site.unwind &&
            entry_write(segment, table, &trampolines[i], &entries[i]) < 0)
            goto out;
    segment_align(segment, 8, 0);
    frames->header = segment_here(segment);
    if (header_write(segment, table, shim, shim_base, trampolines, count, entries) < 0)
        goto out;
    frames->header_size = segment_here(segment) - frames->header;
    result = 0;
out:
    free(entries);
    return result;
}
