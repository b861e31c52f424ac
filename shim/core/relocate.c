#include "shim/core/relocate.h"

#include <elf.h>
#include <stdbool.h>
#include <stdint.h>

/* Made by the linker (shim.ld): addresses, not things. */
extern char shim_base[] __attribute__((visibility("hidden")));
extern const Elf64_Rela shim_relocations[] __attribute__((visibility("hidden")));
extern const Elf64_Rela shim_relocations_end[] __attribute__((visibility("hidden")));

/* Any number of threads, signal handlers and vfork children may be in here at once: each stores
 * the same words, and none of them holds another value in between. */
void shim_relocate(void)
{
    static bool done;
    if (__atomic_load_n(&done, __ATOMIC_ACQUIRE))
        return;
    const uint64_t base = (uint64_t)(uintptr_t)shim_base;
    for (const Elf64_Rela *one = shim_relocations; one < shim_relocations_end; one++)
        __atomic_store_n((uint64_t *)(uintptr_t)(base + one->r_offset),
                         base + (uint64_t)one->r_addend, __ATOMIC_RELAXED);
    __atomic_store_n(&done, true, __ATOMIC_RELEASE);
}
