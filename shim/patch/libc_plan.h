/* Whether this libc can be patched, and where the copy's additions go. */
#ifndef HIRSEL_LIBC_PLAN_H
#define HIRSEL_LIBC_PLAN_H

#include "shim/patch/elf_image.h"

/* Bytes for two pointers: to the dispatcher, to ld.so. */
#define LIBC_PLAN_SLOTS 16

struct libc_plan {
    uint64_t slot;           /* writable zero bytes that are nobody's */
    Elf64_Phdr *data;        /* the writable segment */
    Elf64_Phdr *note;        /* the program header that becomes the new segment's */
    uint64_t init;           /* DT_INIT as it was; 0: there was none */
    uint64_t start;          /* address of the .dynamic entry that becomes or is DT_INIT */
    uint64_t data_begin;     /* the page that the writable segment begins on, ... */
    uint64_t data_end;       /* ... the one behind it, ... */
    uint64_t data_offset;    /* ... and where in the file it goes: behind all else */
    const char *interpreter; /* ld.so, as libc itself names it; NULL: it does not */
};

/* 0, or -1 with the image's error set. */
int libc_plan_make(struct libc_plan *plan, struct elf_image *image);

#endif
