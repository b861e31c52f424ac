/* Whom the worker is at this moment: what the shim's functions know of their program. */
#ifndef HIRSEL_TRAP_IDENTITY_H
#define HIRSEL_TRAP_IDENTITY_H

#include <stdint.h>

#include "shim/door/door.h"

/* Once, in a new worker. */
void identity_begin(void);

/* Be in this name space of this session from now on. 0, or an errno: there is no such space. */
int identity_enter(const char *session, uint64_t space);

/* Be the caller whose procfs directory this is (borrowed); `request`: where the id of a change is
 * kept. */
struct client;
void identity_become(const struct client *client, uint64_t *request);
/* Be oneself: for descriptors that were brought over. */
void identity_be_self(void);

#endif
