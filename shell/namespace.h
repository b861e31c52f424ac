/* The namespace file: commands that change a name space, one a line. See hirsel-namespace(5). */
#ifndef HIRSEL_NAMESPACE_H
#define HIRSEL_NAMESPACE_H

#include <stdint.h>

#include "shell/session.h"

/* Do what `file` says to the name space `space` of the session. Stops at the first line that
 * fails, which is said as FILE:LINE. 0, or the exit status for it. */
int namespace_apply(struct session *session, uint64_t space, const char *file);

#endif
