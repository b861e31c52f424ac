/* Unwind information for debuggers, which do not use the search table: all that it lists in the new
 * segment, as a .debug_frame. (There can be only one .eh_frame, and that is libc's.) */
#ifndef HIRSEL_DEBUG_FRAMES_H
#define HIRSEL_DEBUG_FRAMES_H

#include "shim/patch/frames.h"

/* Writes it at the end of `tail`. What is not understood is left out. */
void debug_frames_write(struct segment *tail, const struct segment *segment,
                        const struct elf_image *image, const struct frames *frames);

#endif
