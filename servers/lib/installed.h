/* Where the installed parts are: relative to the running program, so that a tree that was moved, or
 * never installed, works. */
#ifndef HIRSEL_INSTALLED_H
#define HIRSEL_INSTALLED_H

#include <stddef.h>

/* The path of `part` ("libexec/hirsel/init") in the installation of the running program, which lies
 * `levels` folders below its root (bin/hirsel: 1; libexec/hirsel/init: 2). 0, or an errno:
 * ENAMETOOLONG, or that of readlink(2). */
int installed_path(unsigned levels, const char *part, char *buffer, size_t size);

#endif
