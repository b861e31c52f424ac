#include "shim/patch/unwind.h"

#include "shim/patch/cursor.h"

#include <stdlib.h>
#include <string.h>

/* DWARF pointer encodings (the only ones that toolchains use here). */
#define ENCODING_RELATIVE 0x1b /* signed 32 bit, relative to the field */
#define ENCODING_LEB 0x01
#define ENCODING_NONE 0xff

/* Call frame instructions. The upper two bits alone tell these three. */
enum {
    CFA_ADVANCE = 1,
    CFA_OFFSET = 2,
    CFA_RESTORE = 3,
};
enum {
    CFA_NOP = 0x00,
    CFA_SET_LOC = 0x01,
    CFA_ADVANCE1 = 0x02,
    CFA_ADVANCE2 = 0x03,
    CFA_ADVANCE4 = 0x04,
    CFA_OFFSET_EXTENDED = 0x05,
    CFA_RESTORE_EXTENDED = 0x06,
    CFA_UNDEFINED = 0x07,
    CFA_SAME_VALUE = 0x08,
    CFA_REGISTER = 0x09,
    CFA_REMEMBER = 0x0a,
    CFA_RESTORE_STATE = 0x0b,
    CFA_DEF_CFA = 0x0c,
    CFA_DEF_CFA_REGISTER = 0x0d,
    CFA_DEF_CFA_OFFSET = 0x0e,
    CFA_DEF_CFA_EXPRESSION = 0x0f,
    CFA_EXPRESSION = 0x10,
    CFA_OFFSET_EXTENDED_SF = 0x11,
    CFA_DEF_CFA_SF = 0x12,
    CFA_DEF_CFA_OFFSET_SF = 0x13,
    CFA_VAL_OFFSET = 0x14,
    CFA_VAL_OFFSET_SF = 0x15,
    CFA_VAL_EXPRESSION = 0x16,
    CFA_GNU_ARGS_SIZE = 0x2e,
};

struct common_entry {
    uint64_t code_alignment;
    uint8_t pointer_encoding;
    uint8_t language_encoding;
    bool language_field;
    bool signal_frame;
};

struct section {
    const uint8_t *bytes;
    uint64_t address, size;
};

static uint64_t address_of(const struct section *section, const uint8_t *at)
{
    return section->address + (uint64_t)(at - section->bytes);
}

static int broken(const struct unwind_table *table)
{
    return elf_image_refuse(table->image, "its unwind tables are not of a form that is known");
}

static bool common_augmentation(struct cursor *cursor, const char *letters,
                                struct common_entry *common)
{
    cursor_uleb(cursor); /* the augmentation's length */
    for (; *letters; letters++) {
        uint8_t encoding;
        switch (*letters) {
        case 'R':
            common->pointer_encoding = cursor_byte(cursor);
            break;
        case 'L':
            common->language_encoding = cursor_byte(cursor);
            common->language_field = true;
            break;
        case 'P':
            encoding = cursor_byte(cursor) & 0x0f;
            cursor_skip(cursor, encoding == 0x0b || encoding == 0x03 ? 4 : 8);
            break;
        case 'S':
            common->signal_frame = true;
            break;
        default:
            return false;
        }
    }
    return !cursor->overrun;
}

static bool common_read(const struct section *section, uint64_t address,
                        struct common_entry *common)
{
    uint64_t offset = address - section->address;
    if (offset >= section->size || section->size - offset < 12)
        return false;
    struct cursor cursor = {section->bytes + offset, section->bytes + section->size, false};
    uint32_t length = cursor_u32(&cursor);
    if (length > section->size - offset - 4 || cursor_u32(&cursor) != 0)
        return false;
    cursor.end = section->bytes + offset + 4 + length;
    *common = (struct common_entry){.pointer_encoding = 0};
    cursor_byte(&cursor); /* version */
    const char *letters = (const char *)cursor.at;
    while (cursor_byte(&cursor) != 0)
        ;
    if (cursor.overrun)
        return false;
    common->code_alignment = cursor_uleb(&cursor);
    cursor_sleb(&cursor);
    cursor_uleb(&cursor); /* the return address's column */
    return letters[0] == 'z' && common_augmentation(&cursor, letters + 1, common) &&
           common->pointer_encoding == ENCODING_RELATIVE &&
           (!common->language_field || common->language_encoding == ENCODING_RELATIVE) &&
           common->code_alignment == 1;
}

static bool entry_read(const struct section *section, struct cursor cursor, uint64_t common_at,
                       struct unwind_entry *entry)
{
    struct common_entry common;
    if (!common_read(section, common_at, &common))
        return false;
    uint64_t field = address_of(section, cursor.at);
    entry->begin = field + (uint64_t)(int64_t)cursor_i32(&cursor);
    entry->end = entry->begin + cursor_u32(&cursor);
    entry->common = common_at;
    entry->language_field = common.language_field;
    entry->signal_frame = common.signal_frame;
    uint64_t augmentation = cursor_uleb(&cursor);
    struct cursor data = cursor;
    if (common.language_field) {
        field = address_of(section, data.at);
        int32_t offset = cursor_i32(&data);
        entry->language = offset ? field + (uint64_t)(int64_t)offset : 0;
    }
    cursor_skip(&cursor, augmentation);
    entry->program = cursor.at;
    entry->program_end = cursor.end;
    return !cursor.overrun && !data.overrun;
}

/* With NULL for `entries`: counts them. -1 if the section is broken. */
static int64_t entries_read(const struct section *section, struct unwind_entry *entries)
{
    struct cursor cursor = {section->bytes, section->bytes + section->size, false};
    int64_t count = 0;
    while (cursor.end - cursor.at >= 4) {
        uint32_t length = cursor_u32(&cursor);
        if (length == 0)
            break;
        if (length < 8 || length > (uint64_t)(cursor.end - cursor.at))
            return -1;
        struct cursor body = {cursor.at, cursor.at + length, false};
        cursor_skip(&cursor, length);
        uint64_t field = address_of(section, body.at);
        uint32_t distance = cursor_u32(&body);
        if (distance == 0)
            continue;
        if (entries && !entry_read(section, body, field - distance, &entries[count]))
            return -1;
        count++;
    }
    return count;
}

static int entry_compare(const void *left, const void *right)
{
    const struct unwind_entry *a = left, *b = right;
    return a->begin < b->begin ? -1 : a->begin > b->begin;
}

int unwind_load(struct unwind_table *table, struct elf_image *image)
{
    const Elf64_Shdr *header = elf_image_section(image, ".eh_frame");
    *table = (struct unwind_table){.image = image};
    if (!header || header->sh_type == SHT_NOBITS)
        return elf_image_refuse(image, "it has no unwind tables");
    struct section section = {image->bytes + header->sh_offset, header->sh_addr, header->sh_size};
    int64_t count = entries_read(&section, NULL);
    if (count <= 0)
        return broken(table);
    table->count = (size_t)count;
    table->entries = calloc(table->count, sizeof *table->entries);
    if (!table->entries)
        return elf_image_refuse(image, "no memory");
    if (entries_read(&section, table->entries) != count)
        return broken(table);
    qsort(table->entries, table->count, sizeof *table->entries, entry_compare);
    for (size_t i = 0; i < table->count; i++) {
        const struct unwind_entry *entry = &table->entries[i];
        if (entry->end < entry->begin || (i > 0 && table->entries[i - 1].end > entry->begin))
            return broken(table);
    }
    return 0;
}

void unwind_free(struct unwind_table *table)
{
    free(table->entries);
    table->entries = NULL;
}

size_t unwind_from(const struct unwind_table *table, uint64_t address)
{
    size_t low = 0, high = table->count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (table->entries[middle].begin < address)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

const struct unwind_entry *unwind_find(const struct unwind_table *table, uint64_t address)
{
    size_t next = unwind_from(table, address + 1);
    if (next == 0)
        return NULL;
    const struct unwind_entry *entry = &table->entries[next - 1];
    return address < entry->end ? entry : NULL;
}

/* Reads one call frame instruction; `*advance` is by how much the address moves on. */
static bool row_step(struct cursor *cursor, uint64_t *advance)
{
    uint8_t code = cursor_byte(cursor);
    *advance = 0;
    switch (code >> 6) {
    case CFA_ADVANCE:
        *advance = code & 63;
        return !cursor->overrun;
    case CFA_OFFSET:
        cursor_uleb(cursor);
        return !cursor->overrun;
    case CFA_RESTORE:
        return !cursor->overrun;
    default:
        break;
    }
    switch (code) {
    case CFA_NOP:
    case CFA_REMEMBER:
    case CFA_RESTORE_STATE:
        break;
    case CFA_ADVANCE1:
        *advance = cursor_byte(cursor);
        break;
    case CFA_ADVANCE2:
        *advance = cursor_u16(cursor);
        break;
    case CFA_ADVANCE4:
        *advance = cursor_u32(cursor);
        break;
    case CFA_OFFSET_EXTENDED:
    case CFA_REGISTER:
    case CFA_DEF_CFA:
    case CFA_VAL_OFFSET:
    case CFA_OFFSET_EXTENDED_SF:
    case CFA_DEF_CFA_SF:
    case CFA_VAL_OFFSET_SF:
        cursor_uleb(cursor);
        cursor_uleb(cursor); /* skipping a signed one is the same */
        break;
    case CFA_RESTORE_EXTENDED:
    case CFA_UNDEFINED:
    case CFA_SAME_VALUE:
    case CFA_DEF_CFA_REGISTER:
    case CFA_DEF_CFA_OFFSET:
    case CFA_DEF_CFA_OFFSET_SF:
    case CFA_GNU_ARGS_SIZE:
        cursor_uleb(cursor);
        break;
    case CFA_DEF_CFA_EXPRESSION:
        cursor_skip(cursor, cursor_uleb(cursor));
        break;
    case CFA_EXPRESSION:
    case CFA_VAL_EXPRESSION:
        cursor_uleb(cursor);
        cursor_skip(cursor, cursor_uleb(cursor));
        break;
    default: /* set_loc among them */
        return false;
    }
    return !cursor->overrun;
}

int unwind_row(const struct unwind_table *table, const struct unwind_entry *entry, uint64_t address,
               uint8_t program[UNWIND_PROGRAM])
{
    struct cursor cursor = {entry->program, entry->program_end, false};
    uint64_t location = entry->begin, advance;
    size_t length = 0;
    while (cursor.at < cursor.end) {
        const uint8_t *begin = cursor.at;
        if (!row_step(&cursor, &advance))
            return broken(table);
        location += advance;
        if (location > address)
            break;
        size_t size = (size_t)(cursor.at - begin);
        if (advance > 0 || *begin == CFA_NOP)
            continue;
        if (size > UNWIND_PROGRAM - length)
            return broken(table);
        memcpy(program + length, begin, size);
        length += size;
    }
    return (int)length;
}

int unwind_changes(const struct unwind_table *table, const struct unwind_entry *entry,
                   uint64_t begin, uint64_t end)
{
    struct cursor cursor = {entry->program, entry->program_end, false};
    uint64_t location = entry->begin, advance;
    while (cursor.at < cursor.end && location < end) {
        if (!row_step(&cursor, &advance))
            return broken(table);
        location += advance;
        if (location > begin && location < end)
            return 1;
    }
    return 0;
}

int unwind_pads(const struct unwind_table *table, const struct unwind_entry *entry,
                void (*each)(void *context, const struct unwind_pad *pad), void *context)
{
    if (!entry->language)
        return 0;
    const uint8_t *data = elf_image_at(table->image, entry->language, 1);
    if (!data)
        return broken(table);
    struct cursor cursor = {data, table->image->bytes + table->image->size, false};
    if (cursor_byte(&cursor) != ENCODING_NONE) /* pads count from the function's begin */
        return broken(table);
    if (cursor_byte(&cursor) != ENCODING_NONE)
        cursor_uleb(&cursor); /* where the types end */
    if (cursor_byte(&cursor) != ENCODING_LEB)
        return broken(table);
    uint64_t length = cursor_uleb(&cursor);
    if (cursor.overrun || length > (uint64_t)(cursor.end - cursor.at))
        return broken(table);
    cursor.end = cursor.at + length;
    while (cursor.at < cursor.end) {
        struct unwind_pad pad;
        pad.begin = entry->begin + cursor_uleb(&cursor);
        pad.end = pad.begin + cursor_uleb(&cursor);
        uint64_t offset = cursor_uleb(&cursor);
        pad.pad = offset ? entry->begin + offset : 0;
        pad.action = cursor_uleb(&cursor);
        if (cursor.overrun)
            return broken(table);
        each(context, &pad);
    }
    return 0;
}

struct pad_search {
    uint64_t address;
    struct unwind_pad *pad;
};

static void pad_match(void *context, const struct unwind_pad *pad)
{
    struct pad_search *search = context;
    if (search->address >= pad->begin && search->address < pad->end)
        *search->pad = *pad;
}

int unwind_pad_at(const struct unwind_table *table, const struct unwind_entry *entry,
                  uint64_t address, struct unwind_pad *pad)
{
    struct pad_search search = {address, pad};
    *pad = (struct unwind_pad){0};
    return unwind_pads(table, entry, pad_match, &search);
}
