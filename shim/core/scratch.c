#include <sys/mman.h>
#include <sys/syscall.h>

#include "shim/arch/x86_64/syscall.h"
#include "shim/core/scratch.h"

void *scratch_take(size_t size)
{
    long memory = system_call(SYS_mmap, 0, (long)size, PROT_READ | PROT_WRITE,
                              MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return system_failed(memory) ? NULL : (void *)memory;
}

void scratch_give(void *scratch, size_t size)
{
    system_call(SYS_munmap, (long)scratch, (long)size, 0, 0, 0, 0);
}
