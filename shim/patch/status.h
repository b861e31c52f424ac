/* How patch-libc ends: 0; 1 where the libc is none that it can patch; 2 where it was called
 * wrongly. */
#ifndef HIRSEL_PATCH_STATUS_H
#define HIRSEL_PATCH_STATUS_H

/* This and an errno: why the copy could not be written. */
#define PATCH_STATUS_ERRNO 128

#endif
