/* Checks a copy as if someone else had made it. */
#ifndef HIRSEL_COPY_VERIFY_H
#define HIRSEL_COPY_VERIFY_H

#include <stddef.h>

/* With `original` (may be NULL) also: nothing else was changed. 0, or -1 with one line in `error`.
 */
int copy_verify(const char *path, const char *original, char *error, size_t error_size);

#endif
