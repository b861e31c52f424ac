/* Names of Unix sockets: paths that the kernel keeps as they were said to bind, 108 bytes long at
 * most. What is said is a host path, what is heard is translated back.
 *
 * The host path of a short name may be long (a bind's target). Then its directory is said by way of
 * a symlink of our own, SESSION/far/HASH: short, and it still tells everybody in the session which
 * directory it was. */
#ifndef HIRSEL_UNIX_NAME_H
#define HIRSEL_UNIX_NAME_H

#include <sys/un.h>

#include "shim/core/core.h"

#define UNIX_PATH_START offsetof(struct sockaddr_un, sun_path)
#define UNIX_PATH_SIZE sizeof(((struct sockaddr_un *)0)->sun_path)

/* Whether these `length` bytes (of any value) are the address of a named socket: its path, with a
 * NUL behind it, at `path`. */
bool unix_name_path(const struct sockaddr_un *address, size_t length,
                    char path[UNIX_PATH_SIZE + 1]);

/* The address of a host path (which is changed). Its length, or -ENAMETOOLONG. */
long unix_name_out(const struct core *core, char *host, struct sockaddr_un *address);

/* What the session calls the socket of an address that came from the kernel; changed in place. Its
 * new length, or 0: it stays as it is (no named socket, no name of the session's, one that is too
 * long to be said). */
size_t unix_name_in(const struct caller *caller, const struct space_snapshot *table,
                    struct sockaddr_un *address, size_t length);

#endif
