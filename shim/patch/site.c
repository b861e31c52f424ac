#include "shim/patch/site.h"

#include <string.h>
#include <sys/syscall.h>

/* How far back the number is looked for. */
#define NUMBER_REACH 12
/* Instructions in a window besides the `syscall`. */
#define WINDOW_MOST 4

/* mov $number, %eax (or %rax); xor %eax, %eax */
static bool sets_number(const uint8_t *bytes, size_t length, int64_t *number)
{
    int32_t value = 0;
    if (length == 5 && bytes[0] == 0xb8)
        memcpy(&value, bytes + 1, sizeof value);
    else if (length == 7 && bytes[0] == 0x48 && bytes[1] == 0xc7 && bytes[2] == 0xc0)
        memcpy(&value, bytes + 3, sizeof value);
    else if (length != 2 || (bytes[0] != 0x31 && bytes[0] != 0x33) || bytes[1] != 0xc0)
        return false;
    *number = value;
    return true;
}

void site_describe(const struct code_map *map, uint64_t call, struct site *site)
{
    *site = (struct site){.call = call, .number = -1, .unwind = unwind_find(map->unwind, call)};
    uint64_t address = call;
    for (unsigned i = 0; i < NUMBER_REACH; i++) {
        struct instruction instruction;
        /* What comes from elsewhere may come with another number. */
        if (code_is_target(map, address, address + 1))
            return;
        address = code_previous(map, address);
        if (address == 0 || !code_decode(map, address, &instruction) ||
            (instruction.flags & INSTRUCTION_SYSCALL))
            return;
        if (sets_number(elf_image_at(map->image, address, instruction.length), instruction.length,
                        &site->number))
            return;
    }
}

bool site_is_left_alone(const struct site *site)
{
    if (site->unwind && site->unwind->signal_frame)
        return true;
    return site->number == SYS_rt_sigreturn || site->number == SYS_clone ||
           site->number == SYS_vfork || site->number == SYS_clone3;
}

static bool may_move(const struct code_map *map, uint64_t address, enum site_wish wish,
                     struct instruction *instruction)
{
    return code_decode(map, address, instruction) && instruction_moves(instruction) &&
           !(wish == SITE_INDEPENDENT && (instruction->flags & INSTRUCTION_RELATIVE));
}

/* Where `count` movable instructions before `address` begin; 0 if there are not as many. */
static uint64_t step_back(const struct code_map *map, uint64_t address, unsigned count,
                          enum site_wish wish)
{
    struct instruction instruction;
    for (; count > 0; count--) {
        address = code_previous(map, address);
        if (address == 0 || !may_move(map, address, wish, &instruction))
            return 0;
    }
    return address;
}

/* Where `count` movable instructions from `address` end; 0 if there are not as many. */
static uint64_t step_on(const struct code_map *map, uint64_t address, unsigned count,
                        enum site_wish wish)
{
    struct instruction instruction;
    for (; count > 0; count--) {
        if (!may_move(map, address, wish, &instruction))
            return 0;
        address += instruction.length;
    }
    return address;
}

/* Nothing may enter [begin, end) but at its begin, and one unwind row must hold for all of it. */
static int is_whole(const struct code_map *map, const struct site *site, uint64_t begin,
                    uint64_t end)
{
    if (code_is_target(map, begin + 1, end))
        return 0;
    if (!site->unwind)
        return 1;
    if (begin < site->unwind->begin || end > site->unwind->end)
        return 0;
    int changes = unwind_changes(map->unwind, site->unwind, begin, end);
    return changes < 0 ? -1 : !changes;
}

/* 1 if taken, 0 if unfit, -1 on an error. */
static int window_try(const struct code_map *map, struct site *site, unsigned before,
                      unsigned after, bool moved, enum site_wish wish)
{
    uint64_t begin = step_back(map, site->call, before, wish);
    uint64_t behind = site->call + 2;
    uint64_t end = moved ? step_on(map, behind, after, wish) : site->call;
    if (begin == 0 || end == 0 || end - begin < SITE_JUMP)
        return 0;
    /* A `syscall` that stays must not be entered from elsewhere: that call would escape. */
    int whole = is_whole(map, site, begin, moved ? end : behind);
    if (whole <= 0)
        return whole;
    site->begin = begin;
    site->end = end;
    site->moved = moved;
    return 1;
}

int site_choose(const struct code_map *map, struct site *site, enum site_wish wish)
{
    int taken = 0;
    /* Better leave the `syscall` where it is: a debugger, a core, the kernel's restart see the
     * address they know. */
    for (unsigned before = 1; before <= WINDOW_MOST && taken == 0; before++)
        taken = window_try(map, site, before, 0, false, wish);
    for (unsigned total = 1; total <= WINDOW_MOST && taken == 0; total++)
        for (unsigned before = 0; before <= total && taken == 0; before++)
            taken = window_try(map, site, before, total - before, true, wish);
    return taken;
}
