/* Programs that would have more rights than who starts them: under the filter they have not. */
#ifndef HIRSEL_TRAP_RIGHTS_H
#define HIRSEL_TRAP_RIGHTS_H

#include "servers/trap/worker.h"

/* A file that is about to be executed, open at least as O_PATH (borrowed): if it is such a program
 * the log says so, once in the tree; and of one with the setuid bit the user hears, too. */
void rights_look(struct worker *worker, int descriptor);

/* Whether this is the name by which a shim says the same of its own `descriptor`. */
bool rights_named(const char *path, int *descriptor);

#endif
