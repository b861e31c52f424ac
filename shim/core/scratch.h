/* Memory for one slow call. Not the stack: a signal handler may run on 8 KiB of it. */
#ifndef HIRSEL_SCRATCH_H
#define HIRSEL_SCRATCH_H

#include <stddef.h>

/* Pages of any content, or NULL. */
void *scratch_take(size_t size);
void scratch_give(void *scratch, size_t size);

#endif
