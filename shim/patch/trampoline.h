/* The code that stands between a patched call site and the dispatcher (its contract: copy.h). */
#ifndef HIRSEL_TRAMPOLINE_H
#define HIRSEL_TRAMPOLINE_H

#include "shim/patch/segment.h"
#include "shim/patch/site.h"

struct trampoline {
    struct site site;
    uint64_t begin, end; /* in the new segment */
};

/* Writes the site's trampoline at the segment's end. The site's window must still hold the
 * original instructions. */
void trampoline_write(struct segment *segment, const struct code_map *map, uint64_t slot,
                      const struct site *site, struct trampoline *trampoline);

/* The same for a site of ld.so's, whose distance from the copy is not known until both are mapped:
 * where ld.so is will be found in `ld_slot`. No instruction of the window may be relative. */
void trampoline_write_far(struct segment *segment, const struct code_map *map, uint64_t slot,
                          uint64_t ld_slot, const struct site *site);

/* Puts the jump in the site's window: returns 0, or -1 with the image's error set. */
int trampoline_link(struct elf_image *image, const struct trampoline *trampoline);

#endif
