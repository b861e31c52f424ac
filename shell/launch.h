/* Starting a session: hirsel start, and hirsel run without one. */
#ifndef HIRSEL_LAUNCH_H
#define HIRSEL_LAUNCH_H

#include <stdbool.h>

#include "shell/session.h"

/* Start the session `name` and wait until it is up. *incomplete (of `size` bytes) says what does
 * not hold in it, or is empty. With `lease` it ends with its first process tree, or, before there
 * was one, when *lease was closed by all who hold it. 0 or an errno, said. */
int session_launch(const char *name, int *lease, struct session *session, char *incomplete,
                   size_t size);

/* Ask init to end the session and wait until it did; a session that does not live is cleaned up
 * after. 0 or an errno; said if `say`. */
int session_end(struct session *session, unsigned grace_ms, bool say);

#endif
