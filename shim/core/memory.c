#include <errno.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "shim/arch/x86_64/syscall.h"
#include "shim/core/memory.h"
#include "shim/core/text.h"

#define BLOCK 8ul
/* No `how` of sigprocmask(2): the kernel copies the set in, then says EINVAL and changes nothing.
 */
#define NO_HOW (-1)

static bool block_readable(unsigned long at)
{
    long block = (long)(at & ~(BLOCK - 1));
    return block != 0 && system_call(SYS_rt_sigprocmask, NO_HOW, block, 0, BLOCK, 0, 0) != -EFAULT;
}

bool memory_read(void *to, long from, size_t length)
{
    unsigned long first = (unsigned long)from;
    unsigned long last = first + length - 1;
    if (length == 0)
        return true;
    if (last < first || !block_readable(first))
        return false;
    /* At most a page: the first and the last byte speak for all between. */
    if (first / 4096 != last / 4096 && !block_readable(last))
        return false;
    bytes_copy(to, (const void *)from, length);
    return true;
}

bool memory_writable(long at, long socket)
{
    socklen_t length = sizeof(int);
    return system_call(SYS_getsockopt, socket, SOL_SOCKET, SO_TYPE, at, (long)&length, 0) == 0;
}
