#include <errno.h>

#include "servers/trap/confine.h"

void confine_network(struct worker *worker, struct answer *answer)
{
    (void)worker;
    answer->refused = true;
    answer->result = -EACCES;
}
