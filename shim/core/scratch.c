#include <stdint.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "shim/arch/x86_64/syscall.h"
#include "shim/core/scratch.h"

/* A few pieces are kept between calls: their pages are there already, which is most of the cost.
 * Wiped on fork, so that a fork does not pay for them. */
enum { KEPT_SIZE = 1 << 18, KEPT_COUNT = 3 };
static void *kept[KEPT_COUNT];

static void *pages_map(size_t size)
{
    long memory = system_call(SYS_mmap, 0, (long)size, PROT_READ | PROT_WRITE,
                              MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return system_failed(memory) ? NULL : (void *)memory;
}

void *scratch_take(size_t size)
{
    if (size > KEPT_SIZE)
        return pages_map(size);
    for (int i = 0; i < KEPT_COUNT; i++) {
        void *scratch = __atomic_exchange_n(&kept[i], NULL, __ATOMIC_ACQUIRE);
        if (scratch != NULL)
            return scratch;
    }
    void *scratch = pages_map(KEPT_SIZE);
    if (scratch != NULL)
        system_call(SYS_madvise, (long)scratch, KEPT_SIZE, MADV_WIPEONFORK, 0, 0, 0);
    return scratch;
}

void scratch_give(void *scratch, size_t size)
{
    if (size > KEPT_SIZE) {
        system_call(SYS_munmap, (long)scratch, (long)size, 0, 0, 0, 0);
        return;
    }
    for (int i = 0; i < KEPT_COUNT; i++) {
        void *none = NULL;
        if (__atomic_compare_exchange_n(&kept[i], &none, scratch, 0, __ATOMIC_RELEASE,
                                        __ATOMIC_RELAXED))
            return;
    }
    system_call(SYS_munmap, (long)scratch, KEPT_SIZE, 0, 0, 0, 0);
}
