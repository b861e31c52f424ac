/* In a session of root's: callers that are another user by now. What is done in their place is done
 * with their rights. */
#ifndef HIRSEL_TRAP_CREDENTIALS_H
#define HIRSEL_TRAP_CREDENTIALS_H

#include <stdbool.h>

#include "servers/trap/client.h"

/* Have the caller's rights to files. False: they can't be had. */
bool credentials_take(const struct client *client);
/* Have one's own again. */
void credentials_give(void);

#endif
