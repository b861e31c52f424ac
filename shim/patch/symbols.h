/* What debuggers and profilers are told of the copy: section headers that name the new segment, and
 * symbols that name its trampolines and the shim's functions. Not loaded into memory. */
#ifndef HIRSEL_SYMBOLS_H
#define HIRSEL_SYMBOLS_H

#include "shim/patch/frames.h"
#include "shim/patch/trampoline.h"

/* Where in the new segment what lies. */
struct symbols_layout {
    uint64_t address, offset; /* the new segment's */
    uint64_t code_end;        /* shim, header and trampolines end here */
    uint64_t data_begin;      /* sections from this address on ... */
    uint64_t data_offset;     /* ... lie here in the file */
    struct frames frames;     /* the new .eh_frame_hdr */
};

/* Writes them at the end of `tail`, which begins at `tail_offset` in the file, and points the
 * image's ELF header at the new section headers (the old ones stay readable through the image).
 * `shim` (NULL: none) was put at `shim_base`. */
void symbols_write(struct segment *tail, uint64_t tail_offset, struct elf_image *image,
                   const struct segment *segment, const struct symbols_layout *layout,
                   const struct elf_image *shim, uint64_t shim_base,
                   const struct trampoline *trampolines, size_t count);

#endif
