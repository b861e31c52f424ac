#include "shim/patch/elf_image.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* libc is 2 MB; nothing that is worth patching comes near. */
#define SIZE_MOST (256u << 20)

int elf_image_refuse(struct elf_image *image, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(image->error, sizeof image->error, format, arguments);
    va_end(arguments);
    return -1;
}

static int read_whole(int fd, uint8_t *bytes, size_t size)
{
    size_t done = 0;
    while (done < size) {
        ssize_t got = read(fd, bytes + done, size - done);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -1;
        if (got == 0) {
            errno = EIO;
            return -1;
        }
        done += (size_t)got;
    }
    return 0;
}

static bool same_version(const struct stat *a, const struct stat *b)
{
    return a->st_size == b->st_size && a->st_mtim.tv_sec == b->st_mtim.tv_sec &&
           a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

static int image_read(struct elf_image *image)
{
    struct stat after;
    int result = -1;
    int fd = open(image->path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &image->status) < 0) {
        elf_image_refuse(image, "can't open it: %s", strerror(errno));
        goto out;
    }
    if (!S_ISREG(image->status.st_mode) || image->status.st_size < (off_t)sizeof(Elf64_Ehdr) ||
        image->status.st_size > (off_t)SIZE_MOST) {
        elf_image_refuse(image, "not an ELF file");
        goto out;
    }
    image->size = (size_t)image->status.st_size;
    image->bytes = malloc(image->size);
    if (!image->bytes || read_whole(fd, image->bytes, image->size) < 0) {
        elf_image_refuse(image, "can't read it: %s", strerror(errno));
        goto out;
    }
    /* A file that is being written under our eyes must not be stamped as what we read. */
    if (fstat(fd, &after) < 0 || !same_version(&after, &image->status)) {
        elf_image_refuse(image, "it changed while it was read; try again");
        goto out;
    }
    result = 0;
out:
    if (fd >= 0)
        close(fd);
    return result;
}

static bool in_file(const struct elf_image *image, uint64_t offset, uint64_t length)
{
    return offset <= image->size && length <= image->size - offset;
}

static int headers_check(struct elf_image *image)
{
    Elf64_Ehdr *header = (Elf64_Ehdr *)image->bytes;
    if (memcmp(header->e_ident, ELFMAG, SELFMAG) != 0)
        return elf_image_refuse(image, "not an ELF file");
    if (header->e_ident[EI_CLASS] != ELFCLASS64 || header->e_ident[EI_DATA] != ELFDATA2LSB ||
        header->e_machine != EM_X86_64 || header->e_type != ET_DYN)
        return elf_image_refuse(image, "not a shared object for x86-64");
    if (header->e_phentsize != sizeof(Elf64_Phdr) || header->e_phoff % 8 != 0 ||
        !in_file(image, header->e_phoff, (uint64_t)header->e_phnum * sizeof(Elf64_Phdr)))
        return elf_image_refuse(image, "broken program headers");
    if (header->e_shnum == 0)
        return elf_image_refuse(image, "it has no section headers, so its parts can't be told");
    if (header->e_shentsize != sizeof(Elf64_Shdr) || header->e_shoff % 8 != 0 ||
        !in_file(image, header->e_shoff, (uint64_t)header->e_shnum * sizeof(Elf64_Shdr)) ||
        header->e_shstrndx >= header->e_shnum)
        return elf_image_refuse(image, "broken section headers");
    image->header = header;
    image->segments = (Elf64_Phdr *)(image->bytes + header->e_phoff);
    image->sections = (Elf64_Shdr *)(image->bytes + header->e_shoff);
    for (unsigned i = 0; i < header->e_phnum; i++) {
        const Elf64_Phdr *segment = &image->segments[i];
        if (!in_file(image, segment->p_offset, segment->p_filesz) ||
            segment->p_vaddr > UINT32_MAX || segment->p_memsz > UINT32_MAX ||
            segment->p_filesz > segment->p_memsz)
            return elf_image_refuse(image, "broken program header %u", i);
    }
    for (unsigned i = 0; i < header->e_shnum; i++) {
        const Elf64_Shdr *section = &image->sections[i];
        if (section->sh_type != SHT_NOBITS && !in_file(image, section->sh_offset, section->sh_size))
            return elf_image_refuse(image, "broken section header %u", i);
    }
    const Elf64_Shdr *names = &image->sections[header->e_shstrndx];
    if (names->sh_type != SHT_STRTAB || names->sh_size == 0 ||
        image->bytes[names->sh_offset + names->sh_size - 1] != 0)
        return elf_image_refuse(image, "broken section names");
    return 0;
}

/* The one executable segment. The patched copies have a second, behind all others: ours. */
static int text_find(struct elf_image *image)
{
    for (unsigned i = 0; i < image->header->e_phnum; i++) {
        const Elf64_Phdr *segment = &image->segments[i];
        if (segment->p_type == PT_LOAD && (segment->p_flags & PF_X) && !image->text)
            image->text = segment;
    }
    if (!image->text)
        return elf_image_refuse(image, "it has no code");
    if (image->text->p_flags & PF_W)
        return elf_image_refuse(image, "its code is writable");
    return 0;
}

int elf_image_load(struct elf_image *image, const char *path)
{
    memset(image, 0, sizeof *image);
    image->path = path;
    if (image_read(image) < 0 || headers_check(image) < 0 || text_find(image) < 0)
        return -1;
    return 0;
}

void elf_image_free(struct elf_image *image)
{
    free(image->bytes);
    image->bytes = NULL;
}

uint8_t *elf_image_at(const struct elf_image *image, uint64_t address, uint64_t length)
{
    for (unsigned i = 0; i < image->header->e_phnum; i++) {
        const Elf64_Phdr *segment = &image->segments[i];
        uint64_t offset = address - segment->p_vaddr;
        if (segment->p_type == PT_LOAD && offset <= segment->p_filesz &&
            length <= segment->p_filesz - offset)
            return image->bytes + segment->p_offset + offset;
    }
    return NULL;
}

Elf64_Phdr *elf_image_segment(const struct elf_image *image, uint32_t type)
{
    for (unsigned i = 0; i < image->header->e_phnum; i++)
        if (image->segments[i].p_type == type)
            return &image->segments[i];
    return NULL;
}

Elf64_Shdr *elf_image_section(const struct elf_image *image, const char *name)
{
    const Elf64_Shdr *names = &image->sections[image->header->e_shstrndx];
    for (unsigned i = 0; i < image->header->e_shnum; i++) {
        Elf64_Shdr *section = &image->sections[i];
        if (section->sh_name < names->sh_size &&
            strcmp((const char *)image->bytes + names->sh_offset + section->sh_name, name) == 0)
            return section;
    }
    return NULL;
}

static bool build_id_in(const uint8_t *notes, uint64_t size, uint8_t *id, size_t room)
{
    Elf64_Nhdr note;
    uint64_t at = 0;
    while (size - at >= sizeof note) {
        memcpy(&note, notes + at, sizeof note);
        uint64_t name = at + sizeof note;
        uint64_t value = name + ((note.n_namesz + 3ull) & ~3ull);
        uint64_t next = value + ((note.n_descsz + 3ull) & ~3ull);
        if (next > size)
            return false;
        if (note.n_type == NT_GNU_BUILD_ID && note.n_namesz == 4 &&
            memcmp(notes + name, "GNU", 4) == 0 && note.n_descsz > 0) {
            memset(id, 0, room);
            memcpy(id, notes + value, note.n_descsz < room ? note.n_descsz : room);
            return true;
        }
        at = next;
    }
    return false;
}

bool elf_image_build_id(const struct elf_image *image, uint8_t *id, size_t size)
{
    for (unsigned i = 0; i < image->header->e_phnum; i++) {
        const Elf64_Phdr *segment = &image->segments[i];
        /* Notes aligned to 8 are laid out otherwise, and hold only properties. */
        if (segment->p_type == PT_NOTE && segment->p_align <= 4 &&
            build_id_in(image->bytes + segment->p_offset, segment->p_filesz, id, size))
            return true;
    }
    return false;
}
