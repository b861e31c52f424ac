#include "shim/patch/copy_verify.h"

#include "shim/patch/copy.h"
#include "shim/patch/site.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NOP 0x90
#define JUMP 0xe9

struct verifier {
    struct elf_image image;    /* the copy */
    struct elf_image original; /* bytes is NULL: not given */
    struct unwind_table unwind;
    struct code_map map;
    struct copy_header header;
    uint8_t *changed; /* for each byte of the text: 1 in a window */
    uint32_t patched, moved;
    uint64_t code, code_end; /* what the trampolines that were found take up */
};

/* What a trampoline turned out to do. */
struct finding {
    uint64_t window, trampoline;
    uint64_t call;     /* the `syscall` that rcx names */
    uint64_t end;      /* of the window */
    uint64_t code_end; /* of the trampoline */
    bool moved;
};

static int fault(struct verifier *verifier, uint64_t address, const char *what)
{
    return elf_image_refuse(&verifier->image, "bad copy: %s at 0x%lx", what, address);
}

static int header_check(struct verifier *verifier)
{
    const struct elf_image *image = &verifier->image;
    for (unsigned i = 0; i < image->header->e_phnum; i++) {
        const Elf64_Phdr *segment = &image->segments[i];
        struct copy_header *header = &verifier->header;
        if (segment->p_type != PT_LOAD || segment->p_flags != (PF_R | PF_X) ||
            segment->p_filesz < sizeof *header ||
            segment->p_paddr - segment->p_vaddr > segment->p_filesz - sizeof *header)
            continue;
        const uint64_t before = segment->p_paddr - segment->p_vaddr;
        const uint64_t behind = segment->p_filesz - before;
        memcpy(header, image->bytes + segment->p_offset + before, sizeof *header);
        if (header->magic != COPY_MAGIC)
            continue;
        if (header->layout != COPY_LAYOUT || header->size != sizeof *header)
            return elf_image_refuse(&verifier->image, "a copy of another version of Hirsel");
        if (header->begin != segment->p_paddr || header->end != header->begin + behind ||
            header->code < header->begin || header->code_end > header->end ||
            header->ld_sites > behind ||
            header->ld_count > (behind - header->ld_sites) / sizeof(struct copy_ld_site) ||
            (header->shim ? header->shim_code != segment->p_vaddr : before != 0))
            return fault(verifier, header->begin, "wrong header");
        return 0;
    }
    return elf_image_refuse(&verifier->image, "not a copy of libc");
}

static int slot_check(struct verifier *verifier)
{
    static const uint8_t zeros[16];
    const struct elf_image *image = &verifier->image;
    const Elf64_Phdr *relro = elf_image_segment(image, PT_GNU_RELRO);
    const uint64_t slot = verifier->header.slot, page = COPY_PAGE;
    bool writable = false;
    for (unsigned i = 0; i < image->header->e_phnum; i++) {
        const Elf64_Phdr *segment = &image->segments[i];
        if (segment->p_type == PT_LOAD && (segment->p_flags & PF_W) && slot >= segment->p_vaddr &&
            slot + sizeof zeros <= segment->p_vaddr + segment->p_memsz)
            writable = true;
    }
    if (!writable || slot % 8 != 0 || verifier->header.ld_slot != slot + 8)
        return fault(verifier, slot, "slot not in writable data");
    if (relro && slot + sizeof zeros > (relro->p_vaddr & -page) &&
        slot < ((relro->p_vaddr + relro->p_memsz + page - 1) & -page))
        return fault(verifier, slot, "slot in data that is made read-only");
    const uint8_t *bytes = elf_image_at(image, slot, sizeof zeros);
    if (bytes && memcmp(bytes, zeros, sizeof zeros) != 0)
        return fault(verifier, slot, "slot not empty");
    return 0;
}

/* Decodes in the new segment. */
static const uint8_t *decode(const struct verifier *verifier, uint64_t address,
                             struct instruction *instruction)
{
    const struct copy_header *header = &verifier->header;
    if (address < header->code || address >= header->code_end)
        return NULL;
    size_t rest = (size_t)(header->code_end - address);
    const uint8_t *bytes = elf_image_at(&verifier->image, address, rest);
    if (!bytes || instruction_decode(bytes, rest, address, instruction) == 0)
        return NULL;
    return bytes;
}

static bool is_bytes(const uint8_t *bytes, size_t length, const void *expected, size_t size)
{
    return length == size && memcmp(bytes, expected, size) == 0;
}

/* Whether a replayed instruction does what the original's at `address` did; moves that on. */
static bool replay_matches(const struct verifier *verifier, uint64_t *address, const uint8_t *bytes,
                           const struct instruction *instruction)
{
    struct instruction old;
    if (!verifier->original.bytes)
        return true;
    const uint8_t *old_bytes = elf_image_at(&verifier->original, *address, instruction->length);
    if (!old_bytes ||
        instruction_decode(old_bytes, instruction->length, *address, &old) != instruction->length)
        return false;
    *address += old.length;
    if (!(old.flags & INSTRUCTION_RELATIVE))
        return memcmp(bytes, old_bytes, old.length) == 0;
    size_t tail = old.displacement + 4u;
    return old.target == instruction->target && old.displacement == instruction->displacement &&
           memcmp(bytes, old_bytes, old.displacement) == 0 &&
           memcmp(bytes + tail, old_bytes + tail, old.length - tail) == 0;
}

/* lea call(%rip), %rcx; mov slot(%rip), %r11; test %r11, %r11: where it begins, after what is
 * replayed. */
static bool is_load(const struct verifier *verifier, uint64_t address, uint64_t *call,
                    uint64_t *behind)
{
    static const uint8_t test[] = {0x4d, 0x85, 0xdb};
    struct instruction lea, mov, zero;
    const uint8_t *bytes = decode(verifier, address, &lea);
    if (!bytes || lea.length != 7 || memcmp(bytes, "\x48\x8d\x0d", 3) != 0)
        return false;
    bytes = decode(verifier, address + 7, &mov);
    if (!bytes || mov.length != 7 || memcmp(bytes, "\x4c\x8b\x1d", 3) != 0 ||
        mov.target != verifier->header.slot)
        return false;
    bytes = decode(verifier, address + 14, &zero);
    *call = lea.target;
    *behind = address + 17;
    return bytes && is_bytes(bytes, zero.length, test, sizeof test);
}

/* je call; jmp *%r11 */
static bool ends_in_place(const struct verifier *verifier, uint64_t address,
                          struct finding *finding)
{
    struct instruction instruction;
    const uint8_t *bytes = decode(verifier, address, &instruction);
    if (!bytes || instruction.length != 6 || bytes[0] != 0x0f || bytes[1] != 0x84 ||
        instruction.target != finding->call)
        return false;
    bytes = decode(verifier, address + 6, &instruction);
    finding->end = finding->call;
    finding->code_end = address + 9;
    return bytes && is_bytes(bytes, instruction.length, "\x41\xff\xe3", 3);
}

/* je over; jmp *%r11; over: syscall; the rest of the window; jmp back */
static bool ends_moved(const struct verifier *verifier, uint64_t address, uint64_t old,
                       struct finding *finding)
{
    static const uint8_t middle[] = {0x74, 0x03, 0x41, 0xff, 0xe3, 0x0f, 0x05};
    struct instruction instruction;
    if (verifier->header.code_end - address < sizeof middle ||
        memcmp(elf_image_at(&verifier->image, address, sizeof middle), middle, sizeof middle) !=
            0 ||
        finding->call != address + 5)
        return false;
    address += sizeof middle;
    old += 2;
    for (;;) {
        const uint8_t *bytes = decode(verifier, address, &instruction);
        if (!bytes)
            return false;
        address += instruction.length;
        if (bytes[0] == JUMP && instruction.length == SITE_JUMP)
            break;
        if (!instruction_moves(&instruction) ||
            !replay_matches(verifier, &old, bytes, &instruction))
            return false;
    }
    finding->moved = true;
    finding->end = instruction.target;
    finding->code_end = address;
    return !verifier->original.bytes || old == finding->end;
}

static int trampoline_read(struct verifier *verifier, struct finding *finding)
{
    uint64_t address = finding->trampoline, old = finding->window, behind;
    while (!is_load(verifier, address, &finding->call, &behind)) {
        struct instruction instruction;
        const uint8_t *bytes = decode(verifier, address, &instruction);
        if (!bytes || !instruction_moves(&instruction) ||
            !replay_matches(verifier, &old, bytes, &instruction))
            return fault(verifier, address, "wrong trampoline");
        address += instruction.length;
    }
    if (!ends_in_place(verifier, behind, finding) && !ends_moved(verifier, behind, old, finding))
        return fault(verifier, behind, "wrong trampoline");
    if (verifier->original.bytes && !finding->moved && old != finding->call)
        return fault(verifier, finding->trampoline, "trampoline that replays too little");
    return 0;
}

/* The window holds the jump and fill, is entered at its begin alone, and what follows is code. */
static int window_check(struct verifier *verifier, const struct finding *finding)
{
    struct instruction instruction;
    uint64_t begin = finding->window, end = finding->end;
    if (end < begin + SITE_JUMP || end > begin + 64 ||
        !code_decode(&verifier->map, end, &instruction))
        return fault(verifier, begin, "window that doesn't end at an instruction");
    const uint8_t *bytes = elf_image_at(&verifier->image, begin, end - begin);
    if (!bytes)
        return fault(verifier, begin, "window that is not code");
    for (uint64_t i = SITE_JUMP; i < end - begin; i++)
        if (bytes[i] != NOP)
            return fault(verifier, begin + i, "instruction left in a window");
    if (!finding->moved && !(instruction.flags & INSTRUCTION_SYSCALL))
        return fault(verifier, end, "window that isn't followed by its system call");
    if (code_is_target(&verifier->map, begin + 1, finding->moved ? end : end + 1))
        return fault(verifier, begin, "window that is jumped into");
    memset(verifier->changed + (begin - verifier->image.text->p_vaddr), 1, end - begin);
    return 0;
}

/* Looks the address up as an unwinder does. */
static int frame_check(struct verifier *verifier, const struct finding *finding)
{
    const struct elf_image *image = &verifier->image;
    const Elf64_Phdr *segment = elf_image_segment(image, PT_GNU_EH_FRAME);
    const uint8_t *bytes = elf_image_at(image, segment->p_vaddr, segment->p_filesz);
    uint32_t count, low = 0, high;
    int32_t pair[2], begin;
    uint32_t range;
    if (!unwind_find(&verifier->unwind, finding->window))
        return 0;
    if (!bytes || segment->p_filesz < 12)
        return fault(verifier, segment->p_vaddr, "no search table");
    memcpy(&count, bytes + 8, sizeof count);
    if (count > (segment->p_filesz - 12) / sizeof pair || count == 0)
        return fault(verifier, segment->p_vaddr, "search table cut off");
    for (high = count; high - low > 1;) {
        uint32_t middle = low + (high - low) / 2;
        memcpy(pair, bytes + 12 + middle * sizeof pair, sizeof pair);
        if (segment->p_vaddr + (uint64_t)(int64_t)pair[0] <= finding->trampoline)
            low = middle;
        else
            high = middle;
    }
    memcpy(pair, bytes + 12 + low * sizeof pair, sizeof pair);
    uint64_t entry = segment->p_vaddr + (uint64_t)(int64_t)pair[1];
    const uint8_t *fields = elf_image_at(image, entry, 16);
    if (!fields)
        return fault(verifier, entry, "no unwind entry");
    memcpy(&begin, fields + 8, sizeof begin);
    memcpy(&range, fields + 12, sizeof range);
    if (entry + 8 + (uint64_t)(int64_t)begin != finding->trampoline ||
        finding->trampoline + range != finding->code_end)
        return fault(verifier, finding->trampoline, "wrong unwind entry of the trampoline");
    return 0;
}

static int windows_check(struct verifier *verifier)
{
    const Elf64_Phdr *text = verifier->image.text;
    for (uint64_t offset = 0; offset < text->p_filesz; offset++) {
        struct instruction instruction;
        struct finding finding = {.window = text->p_vaddr + offset};
        /* No shorter one reaches the new segment. */
        if (verifier->map.lengths[offset] < SITE_JUMP)
            continue;
        if (!code_decode(&verifier->map, finding.window, &instruction) ||
            !(instruction.flags & INSTRUCTION_BRANCH) ||
            instruction.target < verifier->header.begin ||
            instruction.target >= verifier->header.end)
            continue;
        finding.trampoline = instruction.target;
        if (instruction.length != SITE_JUMP ||
            verifier->image.bytes[text->p_offset + offset] != JUMP)
            return fault(verifier, finding.window, "jump of another kind");
        if (trampoline_read(verifier, &finding) < 0 || window_check(verifier, &finding) < 0 ||
            frame_check(verifier, &finding) < 0)
            return -1;
        verifier->patched++;
        verifier->moved += finding.moved;
        if (finding.trampoline < verifier->code)
            verifier->code = finding.trampoline;
        if (finding.code_end > verifier->code_end)
            verifier->code_end = finding.code_end;
    }
    return 0;
}

static int counts_check(struct verifier *verifier)
{
    const struct copy_header *header = &verifier->header;
    if (verifier->patched != header->patched || verifier->moved != header->moved)
        return elf_image_refuse(&verifier->image, "bad copy: %u windows, not %u", verifier->patched,
                                header->patched);
    if (verifier->code != header->code || verifier->code_end != header->code_end)
        return fault(verifier, header->begin, "wrong header");
    if (verifier->map.call_count != header->left + header->patched - header->moved ||
        header->sites != header->left + header->patched)
        return elf_image_refuse(&verifier->image, "bad copy: %zu system calls are in its code",
                                verifier->map.call_count);
    return 0;
}

static const Elf64_Phdr *data_of(const struct elf_image *image)
{
    for (unsigned i = 0; i < image->header->e_phnum; i++)
        if (image->segments[i].p_type == PT_LOAD && (image->segments[i].p_flags & PF_W))
            return &image->segments[i];
    return NULL;
}

/* The shim is whole, and it is what ld.so calls. */
static int shim_check(struct verifier *verifier)
{
    const struct elf_image *image = &verifier->image;
    const struct copy_header *header = &verifier->header;
    const Elf64_Phdr *dynamic = elf_image_segment(image, PT_DYNAMIC);
    const uint8_t *entries =
        dynamic ? elf_image_at(image, dynamic->p_vaddr, dynamic->p_filesz) : NULL;
    uint64_t start = 0;
    for (uint64_t at = 0; entries && at + sizeof(Elf64_Dyn) <= dynamic->p_filesz;
         at += sizeof(Elf64_Dyn)) {
        Elf64_Dyn entry;
        memcpy(&entry, entries + at, sizeof entry);
        if (entry.d_tag == DT_INIT)
            start = entry.d_un.d_ptr;
    }
    if (header->shim && start != header->shim_start)
        return fault(verifier, start, "ld.so is told another start of the shim");
    if (!header->shim)
        return 0;
    if (header->shim > header->shim_code || header->shim_code > header->begin ||
        start < header->shim_code || start >= header->begin)
        return fault(verifier, header->begin, "wrong header");
    const uint64_t data_size = header->shim_code - header->shim;
    const uint64_t code_size = header->begin - header->shim_code;
    const uint8_t *data = elf_image_at(image, header->shim, data_size);
    const uint8_t *code = elf_image_at(image, header->shim_code, code_size);
    if (!data || !code ||
        copy_sum(copy_sum(COPY_SUM_BEGIN, data, data_size), code, code_size) != header->shim_sum)
        return fault(verifier, header->shim, "damaged shim");
    return 0;
}

/* libc's data is what it was, but for the shim's start; behind it are zeros up to the shim's. */
static int data_check(struct verifier *verifier)
{
    const Elf64_Phdr *data = data_of(&verifier->image), *old = data_of(&verifier->original);
    const struct elf_image *image = &verifier->image, *original = &verifier->original;
    uint64_t names = 0;
    if (!data || !old || data->p_vaddr != old->p_vaddr || data->p_filesz < old->p_memsz)
        return elf_image_refuse(&verifier->image, "bad copy: its data is another");
    const uint64_t end =
        verifier->header.shim ? verifier->header.shim - data->p_vaddr : data->p_filesz;
    if (end < old->p_memsz || end > data->p_filesz)
        return elf_image_refuse(&verifier->image, "bad copy: its data is another");
    const Elf64_Phdr *dynamic = elf_image_segment(original, PT_DYNAMIC);
    for (uint64_t i = 0; i < end; i++) {
        uint8_t before = i < old->p_filesz ? original->bytes[old->p_offset + i] : 0;
        uint64_t address = data->p_vaddr + i;
        if (image->bytes[data->p_offset + i] == before)
            continue;
        if (!dynamic || address - dynamic->p_vaddr >= dynamic->p_filesz)
            return fault(verifier, address, "other data");
        names++;
    }
    if (names > sizeof(Elf64_Dyn))
        return elf_image_refuse(&verifier->image, "bad copy: its .dynamic is another");
    return 0;
}

/* Of the original nothing was changed but the windows and the words that the copy needs changed. */
static int difference_check(struct verifier *verifier)
{
    const struct elf_image *image = &verifier->image, *original = &verifier->original;
    const Elf64_Phdr *text = image->text;
    if (!original->bytes)
        return 0;
    if (image->size < original->size)
        return elf_image_refuse(&verifier->image, "bad copy: it is cut off");
    const uint64_t headers_end =
        original->header->e_phoff + original->header->e_phnum * (uint64_t)sizeof(Elf64_Phdr);
    for (uint64_t i = headers_end; i < original->size; i++) {
        if (image->bytes[i] == original->bytes[i])
            continue;
        if (i - text->p_offset < text->p_filesz && verifier->changed[i - text->p_offset])
            continue;
        return elf_image_refuse(&verifier->image, "bad copy: it differs from %s at byte 0x%lx",
                                original->path, i);
    }
    return data_check(verifier);
}

int copy_verify(const char *path, const char *original, char *error, size_t error_size)
{
    struct verifier verifier = {.code = UINT64_MAX};
    int result = -1;
    if (original && elf_image_load(&verifier.original, original) < 0) {
        snprintf(error, error_size, "%s: %s", original, verifier.original.error);
        elf_image_free(&verifier.original);
        return -1;
    }
    if (elf_image_load(&verifier.image, path) < 0 || header_check(&verifier) < 0 ||
        slot_check(&verifier) < 0 || unwind_load(&verifier.unwind, &verifier.image) < 0 ||
        code_load(&verifier.map, &verifier.image, &verifier.unwind) < 0)
        goto out;
    verifier.changed = calloc(1, verifier.image.text->p_filesz);
    if (!verifier.changed) {
        elf_image_refuse(&verifier.image, "no memory");
        goto out;
    }
    if (!elf_image_segment(&verifier.image, PT_GNU_EH_FRAME)) {
        elf_image_refuse(&verifier.image, "bad copy: no search table for unwinding");
        goto out;
    }
    if (windows_check(&verifier) < 0 || counts_check(&verifier) < 0 || shim_check(&verifier) < 0 ||
        difference_check(&verifier) < 0)
        goto out;
    result = 0;
out:
    if (result < 0)
        snprintf(error, error_size, "%s", verifier.image.error);
    free(verifier.changed);
    code_free(&verifier.map);
    unwind_free(&verifier.unwind);
    elf_image_free(&verifier.image);
    elf_image_free(&verifier.original);
    return result;
}
