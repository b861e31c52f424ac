/* Unwind information for the trampolines, and the search table that holds the image's own, the
 * shim's and theirs. */
#ifndef HIRSEL_FRAMES_H
#define HIRSEL_FRAMES_H

#include "shim/patch/trampoline.h"

struct frames {
    uint64_t header; /* address of the new search table (.eh_frame_hdr) */
    uint64_t header_size;
};

/* Writes both at the segment's end. 0, or -1 with the image's error set. The shim (NULL: none),
 * which was put at `shim_base`, must lie behind all code of the image, and the trampolines behind
 * the shim, in ascending order. */
int frames_write(struct segment *segment, const struct unwind_table *table,
                 const struct elf_image *shim, uint64_t shim_base,
                 const struct trampoline *trampolines, size_t count, struct frames *frames);

#endif
