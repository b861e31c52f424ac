/* With one program that asks at a time the answer is there soonest if it and the worker stay on one
 * processor: to wake an idle one takes up to 60 µs in a virtual machine. With several it is the
 * other way round: who is woken on the processor of who wakes it may have to stand behind a third
 * for all of its slice, some ms, while another processor has nothing to do (with make -j2 a tenth
 * of the time). So the scheduler chooses for a while after a caller had to wait for another one. */
#include "servers/trap/placement.h"

#include <linux/seccomp.h>
#include <sys/ioctl.h>
#include <time.h>

#ifndef SECCOMP_IOCTL_NOTIF_SET_FLAGS
#define SECCOMP_IOCTL_NOTIF_SET_FLAGS SECCOMP_IOW(4, __u64)
#define SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP 1
#endif

#define CROWDED_MS 200

/* EINVAL before Linux 6.6: answers are dearer then, and the same. */
static void wake_here(struct placement *placement, bool here)
{
    unsigned long flags = here ? SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP : 0;

    ioctl(placement->listener, SECCOMP_IOCTL_NOTIF_SET_FLAGS, flags);
    placement->here = here;
}

/* Without a system call, and as exact as the scheduler's tick. */
static int64_t now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void placement_begin(struct placement *placement, int listener)
{
    *placement = (struct placement){.listener = listener};
    wake_here(placement, true);
}

void placement_note(struct placement *placement, pid_t caller, bool waited)
{
    int64_t now = now_ms();

    /* One that is alone may ask again before the worker is done with its last call. */
    if (waited && caller != placement->last)
        placement->crowded_until = now + CROWDED_MS;
    placement->last = caller;
    if (placement->here != (now >= placement->crowded_until))
        wake_here(placement, !placement->here);
}
