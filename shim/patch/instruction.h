/* How long an x86-64 instruction is, and the little else that moving it needs. */
#ifndef HIRSEL_INSTRUCTION_H
#define HIRSEL_INSTRUCTION_H

#include <stddef.h>
#include <stdint.h>

#define INSTRUCTION_LONGEST 15

enum instruction_flags {
    INSTRUCTION_BRANCH = 1,   /* a direct jump or call: `target` is set */
    INSTRUCTION_TRANSFER = 2, /* control may go elsewhere: any jump, call, return, trap */
    INSTRUCTION_SYSCALL = 4,
    INSTRUCTION_STACK = 8,     /* may change the stack pointer (said too often rather than never) */
    INSTRUCTION_RELATIVE = 16, /* names memory relative to itself: `target` is set */
    INSTRUCTION_ADDRESS = 32,  /* lea: `target` is only computed */
};

struct instruction {
    uint8_t length;
    uint8_t displacement; /* offset of the 32-bit displacement of a relative operand */
    uint16_t flags;
    uint64_t target;
};

/* The length, or 0 if these bytes (at most `size`) begin with no instruction. */
size_t instruction_decode(const uint8_t *bytes, size_t size, uint64_t address,
                          struct instruction *instruction);

/* What can move: anywhere else it does the same, once relative operands are adjusted. */
static inline int instruction_moves(const struct instruction *instruction)
{
    return !(instruction->flags &
             (INSTRUCTION_BRANCH | INSTRUCTION_TRANSFER | INSTRUCTION_SYSCALL | INSTRUCTION_STACK));
}

#endif
