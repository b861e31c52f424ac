#include "shim/door/handover.h"

#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "shim/core/lane.h"
#include "shim/core/text.h"
#include "shim/door/ways.h"

/* In ticks: 80 ms at 3.3 GHz. Behind that a thread's number may be another one's. */
#define HANDOVER_LIFETIME (1ull << 28)

static struct space_handover *handover_of(uint32_t thread)
{
    char *shared = shared_get();
    if (shared == NULL)
        return NULL;
    return &((struct space_handovers *)(shared + SPACE_HANDOVERS_OFFSET))
                ->of[thread % SPACE_HANDOVERS];
}

/* After an exec the process has one thread, which has the process's number. */
static uint32_t thread_after(void)
{
    return (uint32_t)system_call(SYS_getpid, 0, 0, 0, 0, 0, 0);
}

static long copy_open(void)
{
    char path[sizeof the_shim.door + sizeof "/libc.so.6"];
    bytes_copy(path, the_shim.door, the_shim.door_length);
    bytes_copy(path + the_shim.door_length, "/libc.so.6", sizeof "/libc.so.6");
    return lane_call(SYS_openat, AT_FDCWD, (long)path, O_RDONLY, 0, 0);
}

static long confined_begin(void)
{
    long file = copy_open();
    if (file < 0)
        return -1;
    long placed = system_call(SYS_fcntl, file, F_DUPFD, HANDOVER_PLACE, 0, 0, 0);
    system_call(SYS_close, file, 0, 0, 0, 0, 0);
    if (placed == HANDOVER_PLACE)
        return placed;
    if (placed >= 0) /* the program has another one there */
        system_call(SYS_close, placed, 0, 0, 0, 0, 0);
    return -1;
}

long handover_begin(void)
{
    if (!the_shim.trapped)
        return -1;
    if (trap_decides())
        return confined_begin();
    uint32_t thread = thread_after();
    struct space_handover *handover = handover_of(thread);
    if (handover == NULL)
        return -1;
    long file = copy_open();
    if (file < 0)
        return -1;
    __atomic_store_n(&handover->when, 0, __ATOMIC_RELEASE);
    __atomic_store_n(&handover->thread, thread, __ATOMIC_RELAXED);
    __atomic_store_n(&handover->descriptor, (int32_t)file, __ATOMIC_RELAXED);
    __atomic_store_n(&handover->when, time_stamp(), __ATOMIC_RELEASE);
    return file;
}

void handover_end(long descriptor)
{
    if (descriptor < 0)
        return;
    if (!trap_decides())
        handover_take(thread_after());
    system_call(SYS_close, descriptor, 0, 0, 0, 0, 0);
}

long handover_take(uint32_t thread)
{
    struct space_handover *handover = handover_of(thread);
    if (handover == NULL)
        return -1;
    uint64_t when = __atomic_load_n(&handover->when, __ATOMIC_ACQUIRE);
    int32_t descriptor = __atomic_load_n(&handover->descriptor, __ATOMIC_RELAXED);
    if (when == 0 || __atomic_load_n(&handover->thread, __ATOMIC_RELAXED) != thread ||
        time_stamp() - when > HANDOVER_LIFETIME)
        return -1;
    return __atomic_compare_exchange_n(&handover->when, &when, 0, false, __ATOMIC_ACQ_REL,
                                       __ATOMIC_RELAXED)
               ? descriptor
               : -1;
}
