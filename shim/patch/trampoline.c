#include "shim/patch/trampoline.h"

#include <string.h>

#define NOP 0x90
#define TRAP 0xcc
#define JUMP 0xe9

static const uint8_t lea_rcx[] = {0x48, 0x8d, 0x0d};  /* lea target(%rip), %rcx */
static const uint8_t mov_r11[] = {0x4c, 0x8b, 0x1d};  /* mov slot(%rip), %r11 */
static const uint8_t test_r11[] = {0x4d, 0x85, 0xdb}; /* test %r11, %r11 */
static const uint8_t jump_if_zero[] = {0x0f, 0x84};   /* je target */
static const uint8_t jump_over[] = {0x74, 3};         /* je over what follows */
static const uint8_t jump_r11[] = {0x41, 0xff, 0xe3}; /* jmp *%r11 */
static const uint8_t syscall_bytes[] = {0x0f, 0x05};

/* An opcode with a 32-bit distance behind it, the instruction's end. */
static void relative_write(struct segment *segment, const void *opcode, size_t size,
                           uint64_t target)
{
    segment_add(segment, opcode, size);
    segment_distance(segment, segment_here(segment) + 4, target);
}

/* Writes the instructions of [begin, end) so that they do here what they do there. */
static void replay(struct segment *segment, const struct code_map *map, uint64_t begin,
                   uint64_t end)
{
    for (uint64_t address = begin; address < end;) {
        struct instruction instruction;
        if (!code_decode(map, address, &instruction)) {
            segment->failed = true;
            return;
        }
        const uint8_t *bytes = elf_image_at(map->image, address, instruction.length);
        uint64_t after = segment_here(segment) + instruction.length;
        if (instruction.flags & INSTRUCTION_RELATIVE) {
            size_t tail = instruction.displacement + 4u;
            segment_add(segment, bytes, instruction.displacement);
            segment_distance(segment, after, instruction.target);
            segment_add(segment, bytes + tail, instruction.length - tail);
        } else {
            segment_add(segment, bytes, instruction.length);
        }
        address += instruction.length;
    }
}

/* The `syscall` stays where it is: an empty slot jumps there. */
static void write_in_place(struct segment *segment, uint64_t slot, const struct site *site)
{
    relative_write(segment, lea_rcx, sizeof lea_rcx, site->call);
    relative_write(segment, mov_r11, sizeof mov_r11, slot);
    segment_add(segment, test_r11, sizeof test_r11);
    relative_write(segment, jump_if_zero, sizeof jump_if_zero, site->call);
    segment_add(segment, jump_r11, sizeof jump_r11);
}

/* mov slot(%rip), %r11; test %r11, %r11; je over; jmp *%r11; over: */
#define LOAD_AND_JUMP (sizeof mov_r11 + 4 + sizeof test_r11 + sizeof jump_over + sizeof jump_r11)

static void write_load_and_jump(struct segment *segment, uint64_t slot)
{
    relative_write(segment, mov_r11, sizeof mov_r11, slot);
    segment_add(segment, test_r11, sizeof test_r11);
    segment_add(segment, jump_over, sizeof jump_over);
    segment_add(segment, jump_r11, sizeof jump_r11);
}

static void write_moved(struct segment *segment, const struct code_map *map, uint64_t slot,
                        const struct site *site)
{
    static const uint8_t jump = JUMP;
    relative_write(segment, lea_rcx, sizeof lea_rcx,
                   segment_here(segment) + sizeof lea_rcx + 4 + LOAD_AND_JUMP);
    write_load_and_jump(segment, slot);
    segment_add(segment, syscall_bytes, sizeof syscall_bytes);
    replay(segment, map, site->call + sizeof syscall_bytes, site->end);
    relative_write(segment, &jump, sizeof jump, site->end);
}

void trampoline_write(struct segment *segment, const struct code_map *map, uint64_t slot,
                      const struct site *site, struct trampoline *trampoline)
{
    segment_align(segment, 16, TRAP);
    trampoline->site = *site;
    trampoline->begin = segment_here(segment);
    replay(segment, map, site->begin, site->call);
    if (site->moved)
        write_moved(segment, map, slot, site);
    else
        write_in_place(segment, slot, site);
    trampoline->end = segment_here(segment);
}

/* mov ld_slot(%rip), %rcx; lea address(%rcx), %rcx */
static void write_address(struct segment *segment, uint64_t ld_slot, uint64_t address)
{
    static const uint8_t mov[] = {0x48, 0x8b, 0x0d}, lea[] = {0x48, 0x8d, 0x89};
    relative_write(segment, mov, sizeof mov, ld_slot);
    segment_add(segment, lea, sizeof lea);
    segment_u32(segment, (uint32_t)address);
}

void trampoline_write_far(struct segment *segment, const struct code_map *map, uint64_t slot,
                          uint64_t ld_slot, const struct site *site)
{
    static const uint8_t jump_rcx[] = {0xff, 0xe1};
    segment_align(segment, 16, TRAP);
    replay(segment, map, site->begin, site->call);
    if (site->moved)
        relative_write(segment, lea_rcx, sizeof lea_rcx,
                       segment_here(segment) + sizeof lea_rcx + 4 + LOAD_AND_JUMP);
    else
        write_address(segment, ld_slot, site->call);
    write_load_and_jump(segment, slot);
    if (!site->moved) {
        segment_add(segment, jump_rcx, sizeof jump_rcx);
        return;
    }
    segment_add(segment, syscall_bytes, sizeof syscall_bytes);
    replay(segment, map, site->call + sizeof syscall_bytes, site->end);
    write_address(segment, ld_slot, site->end);
    segment_add(segment, jump_rcx, sizeof jump_rcx);
}

int trampoline_link(struct elf_image *image, const struct trampoline *trampoline)
{
    const struct site *site = &trampoline->site;
    uint64_t length = site->end - site->begin;
    uint8_t *window = elf_image_at(image, site->begin, length);
    int64_t distance = (int64_t)(trampoline->begin - (site->begin + SITE_JUMP));
    int32_t short_distance = (int32_t)distance;
    if (!window || length < SITE_JUMP || distance != short_distance)
        return elf_image_refuse(image, "no room for a jump at 0x%lx", site->begin);
    memset(window, NOP, length);
    window[0] = JUMP;
    memcpy(window + 1, &short_distance, sizeof short_distance);
    return 0;
}
