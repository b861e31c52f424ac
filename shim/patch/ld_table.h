/* What the shim needs to patch ld.so in memory (ld_patch.h): ld.so can't be replaced by a copy,
 * since the kernel opens it itself. */
#ifndef HIRSEL_LD_TABLE_H
#define HIRSEL_LD_TABLE_H

#include "shim/patch/copy.h"
#include "shim/patch/segment.h"

/* Describes this ld.so in `header` (`begin` and the slots are set) and writes its sites and their
 * trampolines at the segment's end. 0, or -1 with why not
 * in `error`: the header then says that there are none. */
int ld_table_write(struct segment *segment, struct copy_header *header, const char *ld_path,
                   char *error, size_t error_size);

#endif
