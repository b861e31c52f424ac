/* The program's memory, at addresses that are the program's word: the kernel says EFAULT where a
 * copy of our own would crash. */
#ifndef HIRSEL_MEMORY_H
#define HIRSEL_MEMORY_H

#include <stdbool.h>
#include <stddef.h>

/* Copy from the program: false where it can't be read (the kernel then says EFAULT). At most a
 * page. */
bool memory_read(void *to, long from, size_t length);
/* Whether an int can be written there; it is overwritten. Any socket will do. */
bool memory_writable(long at, long socket);

#endif
