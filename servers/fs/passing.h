/* Requests passed on to translators, and the watch over those that have some in hand. */
#ifndef HIRSEL_FS_PASSING_H
#define HIRSEL_FS_PASSING_H

#include "servers/fs/life.h"

/* Pass a NodeRequest on, starting the translator if need be; its answer, descriptors and all, goes
 * to the caller. `message` is kept. `guarded`: of the asker. */
void pass_request(struct translator *translator, struct msg *message, struct reply *reply,
                  uint64_t space, pid_t guarded);

#endif
