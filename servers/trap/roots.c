/* Whether "/" is to a caller what it is to us. To look is dear: procfs makes its entries for a
 * process when they are asked for, some 20 µs for each new process. So as long as nobody in the
 * tree has called what can change it, the answer of the first look goes for all. */
#include <sys/syscall.h>

#include "servers/trap/worker.h"

void roots_note(struct worker *worker, int number)
{
    switch (number) {
    case SYS_chroot:
    case SYS_pivot_root:
    case SYS_mount:
    case SYS_umount2:
    case SYS_move_mount:
    case SYS_setns:
        __atomic_store_n(&worker->journal->roots, ROOTS_MANY, __ATOMIC_SEQ_CST);
        return;
    default:
        return;
    }
}

bool roots_are_one(struct worker *worker)
{
    uint32_t known = __atomic_load_n(&worker->journal->roots, __ATOMIC_SEQ_CST), none = 0;
    bool shared;

    if (known == ROOTS_ONE)
        return true;
    shared = client_shares_root(&worker->client);
    if (known == ROOTS_UNKNOWN)
        __atomic_compare_exchange_n(&worker->journal->roots, &none, shared ? ROOTS_ONE : ROOTS_MANY,
                                    false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
    return shared;
}
