/* Whether this libc can be patched, and where the copy's additions go. */
#ifndef HIRSEL_LIBC_PLAN_H
#define HIRSEL_LIBC_PLAN_H

#include "shim/patch/elf_image.h"

/* Bytes for two pointers: to the dispatcher, to ld.so. */
#define LIBC_PLAN_SLOTS 16

struct libc_plan {
    uint64_t slot;           /* writable zero bytes that are nobody's */
    bool slot_behind;        /* they lie behind .bss: the data segment must grow */
    Elf64_Phdr *data;        /* the writable segment */
    Elf64_Phdr *note;        /* the program header that becomes the new segment's */
    Elf64_Dyn *needed;       /* the .dynamic entry that becomes DT_NEEDED */
    uint64_t strings;        /* what DT_NEEDED counts from */
    uint64_t segment;        /* address and ... */
    uint64_t offset;         /* ... place in the file of the new segment */
    const char *interpreter; /* ld.so, as libc itself names it; NULL: it does not */
};

/* 0, or -1 with the image's error set. */
int libc_plan_make(struct libc_plan *plan, struct elf_image *image);

#endif
