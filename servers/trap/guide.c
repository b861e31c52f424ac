#include "servers/trap/guide.h"

#include <errno.h>

long guide(struct worker *worker, const struct guidance *guidance)
{
    (void)worker;
    (void)guidance;
    return -EOPNOTSUPP;
}
