/* The door of a name space: where ld.so finds the patched libc. */
#ifndef HIRSEL_SERVER_DOOR_H
#define HIRSEL_SERVER_DOOR_H

/* Make DIRECTORY/lib, and in it libc.so.6, a symlink to `copy`. 0, or an errno (EEXIST where there
 * is one).
 *
 * It is there a second time, below glibc-hwcaps/, where this processor's ld.so looks first: a
 * program that needs nothing but libc is spared the 36 system calls of looking elsewhere. */
int door_make(const char *directory, const char *copy);

/* Let the door lead to `copy` from now on, in one step for each name: a program that starts in
 * between finds the one or the other. 0 or an errno. */
int door_turn(const char *directory, const char *copy);

/* Take the door away: programs start as they would without a session. */
void door_close(const char *directory);

#endif
