#include <stdint.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "shim/arch/x86_64/syscall.h"
#include "shim/core/scratch.h"

/* A few pieces are kept between calls: their pages are there already, which is most of the cost.
 * Wiped on fork, so that a fork does not pay for them. */
enum { KEPT_SIZE = 1 << 18, KEPT_COUNT = 3 };
static void *kept[KEPT_COUNT];
static struct holds pieces;

static void *pages_map(size_t size)
{
    long memory = system_call(SYS_mmap, 0, (long)size, PROT_READ | PROT_WRITE,
                              MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return system_failed(memory) ? NULL : (void *)memory;
}

static void *kept_take(void)
{
    for (int i = 0; i < KEPT_COUNT; i++) {
        void *scratch = __atomic_exchange_n(&kept[i], NULL, __ATOMIC_ACQUIRE);
        if (scratch != NULL)
            return scratch;
    }
    return NULL;
}

static void pages_give(void *scratch, size_t size)
{
    for (int i = 0; i < KEPT_COUNT && size == KEPT_SIZE; i++) {
        void *none = NULL;
        if (__atomic_compare_exchange_n(&kept[i], &none, scratch, 0, __ATOMIC_RELEASE,
                                        __ATOMIC_RELAXED))
            return;
    }
    system_call(SYS_munmap, (long)scratch, (long)size, 0, 0, 0, 0);
}

/* What calls were left with. */
static void take_back(void)
{
    uint64_t scratch, size;
    while (hold_take_back(&pieces, &scratch, &size))
        pages_give((void *)scratch, size);
}

void *scratch_take(struct hold *hold, size_t size)
{
    size_t whole = size > KEPT_SIZE ? size : KEPT_SIZE;
    hold_begin(&pieces, hold);
    void *scratch = whole == KEPT_SIZE ? kept_take() : NULL;
    if (scratch != NULL) {
        hold_note(hold, (uint64_t)scratch, whole);
        return scratch;
    }
    uint64_t mask;
    hold_signals(&mask);
    take_back();
    if (whole == KEPT_SIZE)
        scratch = kept_take();
    if (scratch == NULL) {
        scratch = pages_map(whole);
        if (scratch != NULL && whole == KEPT_SIZE)
            system_call(SYS_madvise, (long)scratch, KEPT_SIZE, MADV_WIPEONFORK, 0, 0, 0);
    }
    if (scratch == NULL)
        hold_end(hold);
    else
        hold_note(hold, (uint64_t)scratch, whole);
    hold_signals_end(&mask);
    return scratch;
}

void scratch_give(struct hold *hold, void *scratch, size_t size)
{
    hold_end(hold);
    pages_give(scratch, size > KEPT_SIZE ? size : KEPT_SIZE);
}
