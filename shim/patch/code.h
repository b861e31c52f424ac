/* The machine code of an image, swept once: where instructions begin, what may be jumped to, where
 * the system calls are. */
#ifndef HIRSEL_CODE_H
#define HIRSEL_CODE_H

#include "shim/patch/instruction.h"
#include "shim/patch/unwind.h"

struct code_map {
    struct elf_image *image;
    const struct unwind_table *unwind;
    uint8_t *lengths; /* for each byte of the text: the length of the instruction there, or 0 */
    uint8_t *targets; /* for each byte of the text: 1 if something may jump there */
    uint64_t *calls;  /* addresses of `syscall` instructions, ascending */
    size_t call_count;
};

/* 0, or -1 with the image's error set: code that can't be decoded is refused. */
int code_load(struct code_map *map, struct elf_image *image, const struct unwind_table *unwind);
void code_free(struct code_map *map);

/* Decodes what the sweep found at the address; false if no instruction begins there. */
bool code_decode(const struct code_map *map, uint64_t address, struct instruction *instruction);

/* The address of the instruction that ends where this one begins; 0 if there is none. */
uint64_t code_previous(const struct code_map *map, uint64_t address);

/* Whether something may jump to an address in [begin, end). */
bool code_is_target(const struct code_map *map, uint64_t begin, uint64_t end);

#endif
