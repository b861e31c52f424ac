/* An ELF file in memory: x86-64, 64 bit, a shared object. Every access is checked against the
 * file's size, since the file may be anything. */
#ifndef HIRSEL_ELF_IMAGE_H
#define HIRSEL_ELF_IMAGE_H

#include <elf.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

struct elf_image {
    const char *path;
    uint8_t *bytes;
    size_t size;
    struct stat status;
    Elf64_Ehdr *header;
    Elf64_Phdr *segments;
    Elf64_Shdr *sections;
    const Elf64_Phdr *text; /* the one executable segment */
    char error[256];        /* why it was refused, one line */
};

/* 0, or -1 with `error` set. The image is to be freed in both cases. */
int elf_image_load(struct elf_image *image, const char *path);
void elf_image_free(struct elf_image *image);

/* Sets `error`, returns -1. */
int elf_image_refuse(struct elf_image *image, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* The bytes that the file gives to [address, address + length) in memory; NULL if it does not. */
uint8_t *elf_image_at(const struct elf_image *image, uint64_t address, uint64_t length);

/* NULL if there is none. */
Elf64_Phdr *elf_image_segment(const struct elf_image *image, uint32_t type);
Elf64_Shdr *elf_image_section(const struct elf_image *image, const char *name);

static inline bool elf_image_in_text(const struct elf_image *image, uint64_t address)
{
    return address - image->text->p_vaddr < image->text->p_filesz;
}

/* Fills `id` (zeros behind a shorter one); false if there is none. */
bool elf_image_build_id(const struct elf_image *image, uint8_t *id, size_t size);

#endif
