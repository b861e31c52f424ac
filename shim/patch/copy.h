/* The patched copy of libc.so.6, as the shim finds it in memory.
 *
 * patch-libc makes the copy: every `syscall` instruction (but those of clone, clone3, vfork and
 * rt_sigreturn) is reached through a trampoline in one new read-and-execute segment. The shim is in
 * there too, and struct copy_header lies at its end, before the trampolines; the segment's p_paddr,
 * of which nobody else makes use, says where. A trampoline jumps to what the slot points at, with
 *   rax = number, rdi rsi rdx r10 r8 r9 = arguments, rsp and the red zone untouched,
 *   rcx = address of a `syscall` instruction that runs the call plainly, r11 free,
 * and expects a jump to rcx (run it plainly) or to rcx + 2 (rax holds the result). While the slot
 * is empty, every call is run plainly.
 *
 * No libc here: the shim includes this. */
#ifndef HIRSEL_COPY_H
#define HIRSEL_COPY_H

#include <elf.h>
#include <stdint.h>

#define COPY_MAGIC 0x79706f436c727348ull /* "HsrlCopy" */
#define COPY_LAYOUT 2
#define COPY_ALIGN 64 /* of struct copy_header */
#define COPY_PAGE 4096
#define COPY_BUILD_ID 20  /* bytes kept of a build-id; a shorter one is zero-filled */
#define COPY_LD_WINDOW 16 /* longest window in ld.so, in bytes */

/* Which file the copy was made from. */
struct copy_stamp {
    uint64_t device;
    uint64_t inode;
    int64_t mtime_seconds;
    int64_t mtime_nanoseconds;
    uint64_t size;
};

/* A system call of ld.so's that names a path: a jump to the trampoline in the copy is to replace
 * the window. Addresses are offsets from where ld.so is mapped. */
struct copy_ld_site {
    uint32_t start;                /* of the window */
    uint32_t trampoline;           /* its offset from struct copy_header */
    uint32_t number;               /* of the system call */
    uint8_t length;                /* of the window */
    uint8_t rare;                  /* its page holds no call that opens or looks up a library */
    uint8_t bytes[COPY_LD_WINDOW]; /* the window as it was */
};

struct copy_header {
    uint64_t magic;
    uint32_t layout;
    uint32_t size;       /* of this structure */
    uint64_t begin;      /* address of this structure, and ... */
    uint64_t end;        /* ... of the segment's end, as in the file */
    uint64_t slot;       /* address of the eight bytes that point to the dispatcher, and ... */
    uint64_t ld_slot;    /* ... of those that say where ld.so is mapped */
    uint64_t code;       /* address of the first trampoline, and ... */
    uint64_t code_end;   /* ... of the last one's end */
    uint32_t sites;      /* `syscall` instructions found */
    uint32_t patched;    /* of these: patched ... */
    uint32_t moved;      /* ... of these: whose `syscall` moved into the trampoline */
    uint32_t left;       /* not patched on purpose */
    uint64_t shim;       /* where the shim's addresses count from; 0: there is none */
    uint64_t shim_code;  /* address of its code, which ends before this structure */
    uint64_t shim_start; /* what ld.so calls first */
    uint64_t
        libc_start;    /* what libc has ld.so call first, and the shim calls instead; 0: nothing */
    uint64_t shim_sum; /* of what lies between */
    struct copy_stamp stamp;
    uint8_t build_id[COPY_BUILD_ID];
    uint8_t ld_build_id[COPY_BUILD_ID];
    uint32_t ld_count; /* entries at `ld_sites`; 0: ld.so can't be patched */
    uint32_t ld_sites; /* offset of struct copy_ld_site[] from this structure */
    uint32_t ld_text;  /* ld.so's executable segment, whole pages */
    uint32_t ld_text_end;
};

/* Where the dispatcher's address goes. It is writable and private to the process; store it whole,
 * since other threads may be on their way through a trampoline. */
static inline void **copy_slot(const struct copy_header *copy)
{
    return (void **)((uintptr_t)copy - copy->begin + copy->slot);
}

static inline uint64_t *copy_ld_slot(const struct copy_header *copy)
{
    return (uint64_t *)((uintptr_t)copy - copy->begin + copy->ld_slot);
}

static inline const struct copy_ld_site *copy_ld_sites(const struct copy_header *copy)
{
    return (const struct copy_ld_site *)((uintptr_t)copy + copy->ld_sites);
}

/* What libc's own DT_INIT was: to be called at the end of the shim's start. */
static inline void copy_libc_start(const struct copy_header *copy, int count, char **arguments,
                                   char **environment)
{
    if (copy->libc_start == 0)
        return;
    uintptr_t address = (uintptr_t)copy - copy->begin + copy->libc_start;
    ((void (*)(int, char **, char **))address)(count, arguments, environment);
}

#define COPY_SUM_BEGIN 14695981039346656037ull

/* Tells damage, not malice. */
static inline uint64_t copy_sum(uint64_t sum, const void *bytes, uint64_t size)
{
    for (uint64_t i = 0; i < size; i++)
        sum = (sum ^ ((const uint8_t *)bytes)[i]) * 1099511628211ull;
    return sum;
}

/* The header of the copy that the mapped ELF image at `base` is; NULL if it is none. */
static inline const struct copy_header *copy_at(const void *base)
{
    const Elf64_Ehdr *elf = base;
    const Elf64_Phdr *segment = (const Elf64_Phdr *)((uintptr_t)base + elf->e_phoff);
    for (unsigned i = 0; i < elf->e_phnum; i++, segment++) {
        if (segment->p_type != PT_LOAD || segment->p_flags != (PF_R | PF_X) ||
            segment->p_filesz < sizeof(struct copy_header) ||
            segment->p_paddr - segment->p_vaddr > segment->p_filesz - sizeof(struct copy_header))
            continue;
        const struct copy_header *copy =
            (const struct copy_header *)((uintptr_t)base + segment->p_paddr);
        if (copy->magic == COPY_MAGIC && copy->layout == COPY_LAYOUT &&
            copy->begin == segment->p_paddr)
            return copy;
    }
    return 0;
}

/* The same, from the address of any function of libc: the image is contiguous from its ELF header
 * to the end of its code (patch-libc refuses another). Every page on the way is read, so hand it a
 * function that lies low: __libc_start_main is libc's first. */
static inline const struct copy_header *copy_find(const void *address_in_libc)
{
    uintptr_t page = (uintptr_t)address_in_libc & ~(uintptr_t)(COPY_PAGE - 1);
    for (unsigned i = 0; i < 4096 && page != 0; i++, page -= COPY_PAGE) {
        const uint32_t *word = (const uint32_t *)page;
        if (*word == 0x464c457fu) /* "\177ELF" */
            return copy_at(word);
    }
    return 0;
}

#endif
