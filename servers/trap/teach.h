/* What confined programs are taught of the host's names. */
#ifndef HIRSEL_TRAP_TEACH_H
#define HIRSEL_TRAP_TEACH_H

#include <stdbool.h>

#include "shim/door/door.h"

/* The walk went by `path` and met nothing of the session's; `whole` is that path's text from the
 * root on. `found`: to what is there. `looks`: the program only wants to know what it is, and will
 * ask the same of its neighbours. */
void teach(const struct view *view, const char *path, const char *whole, const struct walk *walk,
           bool found, bool looks);

#endif
