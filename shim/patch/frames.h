/* Unwind information for the trampolines, and the search table that holds both the image's own and
 * theirs. */
#ifndef HIRSEL_FRAMES_H
#define HIRSEL_FRAMES_H

#include "shim/patch/trampoline.h"

struct frames {
    uint64_t header; /* address of the new search table (.eh_frame_hdr) */
    uint64_t header_size;
};

/* Writes both at the segment's end. 0, or -1 with the image's error set. The trampolines must lie
 * behind all code of the image, in ascending order. */
int frames_write(struct segment *segment, const struct unwind_table *table,
                 const struct trampoline *trampolines, size_t count, struct frames *frames);

#endif
