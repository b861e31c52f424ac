#include <errno.h>
#include <linux/futex.h>
#include <signal.h>
#include <sys/syscall.h>

#include "shim/arch/x86_64/syscall.h"
#include "shim/core/held.h"

/* A word is the hold's address, which is a multiple of 8 and below 2^47, without its zeros, and a
 * number in the rest. So the note is made in one step: at no instant it speaks of another hold. */
#define NUMBER_BITS 20
#define ADDRESS_LIMIT (1ul << 47)
#define BEING_TAKEN 1

static uintptr_t word_address(uint64_t word)
{
    return (word >> NUMBER_BITS) << 3;
}

/* Whether a mark is where it was put. The address may be nobody's by now, even while it is looked
 * at: the kernel compares. */
static bool mark_is_there(uint64_t word)
{
    uint32_t none = 0;
    long result =
        system_call(SYS_futex, (long)word_address(word), FUTEX_CMP_REQUEUE | FUTEX_PRIVATE_FLAG, 0,
                    0, (long)&none, (long)(uint32_t)word);
    return result != -EAGAIN && result != -EFAULT;
}

void hold_begin(struct holds *holds, struct hold *hold)
{
    static uint32_t last;
    uint32_t number = __atomic_add_fetch(&last, 1, __ATOMIC_RELAXED) & ((1u << NUMBER_BITS) - 1);
    uintptr_t address = (uintptr_t)hold;
    uint64_t word = (uint64_t)address >> 3 << NUMBER_BITS | number;
    hold->held = NULL;
    if (address >= ADDRESS_LIMIT)
        return;
    __atomic_store_n(&hold->mark, (uint32_t)word, __ATOMIC_RELEASE);
    for (size_t i = 0; i < HOLDS; i++) {
        uint64_t none = 0;
        if (__atomic_compare_exchange_n(&holds->held[i].word, &none, word, false, __ATOMIC_ACQ_REL,
                                        __ATOMIC_RELAXED)) {
            hold->held = &holds->held[i];
            return;
        }
    }
}

void hold_note(struct hold *hold, uint64_t one, uint64_t two)
{
    if (hold->held == NULL)
        return;
    /* In this order, a signal may come between any two instructions: nothing is noted by half. */
    __atomic_store_n(&hold->held->one, 0, __ATOMIC_RELEASE);
    __atomic_store_n(&hold->held->two, two, __ATOMIC_RELEASE);
    __atomic_store_n(&hold->held->one, one, __ATOMIC_RELEASE);
}

void hold_end(struct hold *hold)
{
    if (hold->held == NULL)
        return;
    __atomic_store_n(&hold->held->one, 0, __ATOMIC_RELEASE);
    __atomic_store_n(&hold->held->word, 0, __ATOMIC_RELEASE);
    hold->held = NULL;
    __atomic_store_n(&hold->mark, 0, __ATOMIC_RELAXED);
}

void hold_signals(uint64_t *mask)
{
    uint64_t all = ~0ul;
    system_call(SYS_rt_sigprocmask, SIG_BLOCK, (long)&all, (long)mask, sizeof all, 0, 0);
}

void hold_signals_end(const uint64_t *mask)
{
    system_call(SYS_rt_sigprocmask, SIG_SETMASK, (long)mask, 0, sizeof *mask, 0, 0);
}

bool hold_is_any(const struct holds *holds)
{
    for (size_t i = 0; i < HOLDS; i++)
        if (__atomic_load_n(&holds->held[i].word, __ATOMIC_RELAXED) != 0)
            return true;
    return false;
}

bool hold_take_back(struct holds *holds, uint64_t *one, uint64_t *two)
{
    for (size_t i = 0; i < HOLDS; i++) {
        struct held *held = &holds->held[i];
        uint64_t word = __atomic_load_n(&held->word, __ATOMIC_ACQUIRE);
        if (word <= BEING_TAKEN || mark_is_there(word) ||
            !__atomic_compare_exchange_n(&held->word, &word, BEING_TAKEN, false, __ATOMIC_ACQ_REL,
                                         __ATOMIC_RELAXED))
            continue;
        *one = __atomic_exchange_n(&held->one, 0, __ATOMIC_ACQ_REL);
        *two = held->two;
        __atomic_store_n(&held->word, 0, __ATOMIC_RELEASE);
        if (*one != 0)
            return true;
    }
    return false;
}
