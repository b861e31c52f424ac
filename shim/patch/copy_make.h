/* Makes the patched copy of a libc. */
#ifndef HIRSEL_COPY_MAKE_H
#define HIRSEL_COPY_MAKE_H

#include <stddef.h>

struct copy_request {
    const char *libc; /* the original */
    const char *copy; /* where the copy goes; replaced in one step */
    const char *shim; /* the shim's image; NULL: none, every call is run plainly */
    const char *ld;   /* ld.so; NULL: the one that libc names */
};

/* 0, or -1 with one line in `error`, and errno: ENOEXEC where the copy was not to be had, else why
 * it could not be written. What keeps only ld.so from being patched is no error: it is
 * one line in `warning`, which is empty otherwise. */
int copy_make(const struct copy_request *request, char *error, char *warning, size_t line_size);

#endif
