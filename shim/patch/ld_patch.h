/* Patches ld.so in memory, so that what dlopen opens goes through the dispatcher too.
 *
 * No libc here: for the shim's constructor, while the process has one thread and nothing of ld.so's
 * is running but what called us. */
#ifndef HIRSEL_LD_PATCH_H
#define HIRSEL_LD_PATCH_H

#include "shim/patch/copy.h"

enum ld_patch_extent {
    LD_PATCH_USUAL, /* what opens and looks up libraries: one page is written */
    LD_PATCH_ALL,   /* also getcwd and readlink, for the $ORIGIN of what is loaded later */
};

/* `ld_base` is where ld.so is mapped (AT_BASE). The slot is to be set first: ld.so's calls go
 * through it as libc's do. 0, or an errno value with ld.so untouched: ENOENT the copy knows no
 * sites; ENOEXEC this is not the ld.so that the copy was made with; EALREADY it is patched; ERANGE
 * it is mapped too far from the copy; else what the kernel said. */
int ld_patch(const struct copy_header *copy, const void *ld_base, enum ld_patch_extent extent);

#endif
