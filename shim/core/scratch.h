/* Memory for one slow call. Not the stack: a signal handler may run on 8 KiB of it. */
#ifndef HIRSEL_SCRATCH_H
#define HIRSEL_SCRATCH_H

#include <stddef.h>

#include "shim/core/held.h"

/* Pages of any content, or NULL. `hold` is on the caller's stack until they are given back. */
void *scratch_take(struct hold *hold, size_t size);
void scratch_give(struct hold *hold, void *scratch, size_t size);

#endif
