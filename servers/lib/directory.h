/* A session's directory, as those see it who make it, look for it and clean up after it. */
#ifndef HIRSEL_DIRECTORY_H
#define HIRSEL_DIRECTORY_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* A session's name is a file's name, an option's value and a word of a shell. */
#define SESSION_NAME_MAX 32
bool session_name_valid(const char *name);

/* Whether the directory `path` is one to trust: the user's own, no symlink, 0700. 0, or an errno:
 * ENOENT, ENOTDIR, EPERM (another's, or open to others). */
int directory_check(const char *path);

/* Why a session can't live at `directory`, or NULL: its sockets' paths must fit, and its path
 * stands in LD_LIBRARY_PATH, where some characters part paths. */
const char *directory_unfit(const char *directory);

/* Make or find `directory` and lock it for a session's life. *lock is to be kept open; closing it
 * (death) frees the directory. *stale says whether a dead session's remains were found there, and
 * removed. 0, or an errno: EBUSY where a session lives there. */
int directory_lock(const char *directory, int *lock, bool *stale);

/* If no session lives at `directory`, end what is left of its translators, remove it and say so in
 * *removed. *killed: there was a session and it had no time to clean up after itself. */
int directory_clean(const char *directory, bool *removed, bool *killed);

/* For who holds its lock: remove the directory with all that is in it, the lock last. Another
 * session may move in as soon as that has gone, and is then left alone. 0 or the first errno. */
int directory_give_up(const char *directory);

/* Remove what is below `directory`, and `directory` itself, whatever its modes; `keep` (may be
 * NULL) is a name directly below it that stays, and the directory with it. 0 or the first errno. */
int directory_remove(const char *directory, const char *keep);

/* End the translators' left-over helpers: the user's processes whose environment names a node
 * directory of this session. */
void directory_end_processes(const char *directory);

#endif
