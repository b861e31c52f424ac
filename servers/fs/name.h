/* Names that came from outside: checked here before anything else looks at them. */
#ifndef HIRSEL_FS_NAME_H
#define HIRSEL_FS_NAME_H

#include <stdbool.h>
#include <stddef.h>

/* The longest path with its NUL, and the longest component, as the kernel has them. */
#define NAME_PATH_SIZE 4096
#define NAME_COMPONENT_MAX 255

/* An absolute path of `length` bytes, copied with a NUL behind it. EINVAL: not absolute, or a NUL
 * inside; ENAMETOOLONG. */
int name_absolute(const void *bytes, size_t length, char path[NAME_PATH_SIZE]);

/* A path below a node as node.proto wants it: no leading or doubled slash, no "." or "..". Empty is
 * right. EINVAL, ENAMETOOLONG. */
int name_below(const void *bytes, size_t length);

/* `directory` + "/" + `name`; ENAMETOOLONG. */
int name_join(const char *directory, const char *name, size_t name_length,
              char path[NAME_PATH_SIZE]);

/* Collapse doubled slashes, "." and a trailing slash. An absolute path without ".."; EINVAL. */
int name_normalise(char path[NAME_PATH_SIZE]);

/* Whether `path` is `prefix` or lies below it; both normalised. */
bool name_is_below(const char *path, const char *prefix);

/* The last component of a normalised path. */
const char *name_last(const char *path);

#endif
