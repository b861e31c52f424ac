/* The libc copy for the program that is about to be executed.
 *
 * ld.so opens libc before there is a shim, and the trap server has to put the copy in its place. To
 * give it a descriptor the kernel wakes it on another processor (SECCOMP_IOCTL_NOTIF_ADDFD knows no
 * other way, up to Linux 6.18 at least), with cold caches: some 60 µs. So who executes opens the
 * copy, not to be closed by the exec, and leaves a note; and the trap server's answer is the
 * descriptor's number. ld.so closes it as it would its own.
 *
 * A confined program may leave no note where others would read it. It puts the copy in one certain
 * place instead, where the trap server looks whether it is there. */
#ifndef HIRSEL_HANDOVER_H
#define HIRSEL_HANDOVER_H

#include "shim/door/door.h"

/* That place: below 64, where a table of descriptors ends that is never made larger, and seldom
 * used. */
#define HANDOVER_PLACE 61

/* Before an exec: the copy's descriptor, or -1 where none is handed over. */
long handover_begin(void) HIDDEN;
/* The exec failed. */
void handover_end(long descriptor) HIDDEN;
/* For the trap server: what this thread was left, once. -1: nothing. */
long handover_take(uint32_t thread) HIDDEN;

#endif
