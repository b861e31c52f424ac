/* The shim's image (shim.so, linked by shim/shim.ld), which becomes a part of the copy: its data
 * goes behind libc's own, its code into the new segment, as far from each other as linked. */
#ifndef HIRSEL_SHIM_IMAGE_H
#define HIRSEL_SHIM_IMAGE_H

#include "shim/patch/elf_image.h"

struct shim_image {
    struct elf_image image;
    const Elf64_Phdr *data; /* from address 0 */
    const Elf64_Phdr *code; /* from the next page on; the copy's header is expected behind it */
};

/* Loads and checks it: whatever ld.so would have to do to it is refused. 0, or -1 with the image's
 * error set. The image is to be freed in both cases. */
int shim_image_load(struct shim_image *shim, const char *path);
void shim_image_free(struct shim_image *shim);

#endif
