/* The unwind tables of an image (.eh_frame, .eh_frame_hdr, language data): what is in force at an
 * address, so that a trampoline can be unwound as the call site that it stands for. */
#ifndef HIRSEL_UNWIND_H
#define HIRSEL_UNWIND_H

#include "shim/patch/elf_image.h"

/* Bytes of the longest program in front of any row that we copy. */
#define UNWIND_PROGRAM 512

/* A function (or a part of one) with unwind information. */
struct unwind_entry {
    uint64_t begin, end; /* the code */
    uint64_t common;     /* address of its common entry (CIE) */
    uint64_t language;   /* address of its language data (LSDA); 0: none */
    const uint8_t *program, *program_end;
    bool language_field; /* its common entry has room for a language pointer */
    bool signal_frame;
};

struct unwind_table {
    struct elf_image *image;
    struct unwind_entry *entries; /* sorted by address */
    size_t count;
};

int unwind_load(struct unwind_table *table, struct elf_image *image);
void unwind_free(struct unwind_table *table);

/* NULL if nothing covers the address. */
const struct unwind_entry *unwind_find(const struct unwind_table *table, uint64_t address);

/* The first entry that begins at or behind the address, by its index; `count` if there is none. */
size_t unwind_from(const struct unwind_table *table, uint64_t address);

/* The program that makes the row in force at `address`, with no advance in it.
 * Its length, or -1 with the image's error set. */
int unwind_row(const struct unwind_table *table, const struct unwind_entry *entry, uint64_t address,
               uint8_t program[UNWIND_PROGRAM]);

/* Whether the row changes at an address in (begin, end): 1, 0, or -1 with the image's error set. */
int unwind_changes(const struct unwind_table *table, const struct unwind_entry *entry,
                   uint64_t begin, uint64_t end);

/* A call site of a function's language data. */
struct unwind_pad {
    uint64_t begin, end; /* the code */
    uint64_t pad;        /* where it is left to; 0: nowhere */
    uint64_t action;     /* 0: clean-up alone */
};

/* Calls back for each call site. 0, or -1 with the image's error set. */
int unwind_pads(const struct unwind_table *table, const struct unwind_entry *entry,
                void (*each)(void *context, const struct unwind_pad *pad), void *context);

/* The call site that covers the address; pad is 0 if there is none. */
int unwind_pad_at(const struct unwind_table *table, const struct unwind_entry *entry,
                  uint64_t address, struct unwind_pad *pad);

#endif
