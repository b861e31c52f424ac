/* The process of a translator: the steps between IDLE and RUNNING and back. Private to life.c. */
#ifndef HIRSEL_FS_RUNNING_H
#define HIRSEL_FS_RUNNING_H

#include "servers/fs/life.h"

/* From IDLE: start it, or find the process of our former life. */
void running_start(struct translator *translator);
/* End its process: SIGTERM, later SIGKILL. */
void running_end(struct translator *translator);
/* Ask it to go away first. */
void running_go_away(struct translator *translator);
/* Its process has ended with `status`, as wait(2) gives it. */
void running_ended(struct translator *translator, int status);
/* Whether the process that we know of is there. */
bool running_alive(const struct translator *translator);

/* Tell all who wait. */
void life_tell_waiters(struct translator *translator, int error);
void life_tell_stoppers(struct translator *translator, int error);
void life_hold(struct translator *translator);
void life_release(struct translator *translator);

#endif
