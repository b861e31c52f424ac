/* What the parts of life share. */
#ifndef HIRSEL_LIFE_INTERNAL_H
#define HIRSEL_LIFE_INTERNAL_H

#include "servers/life/life.h"

/* How many processes a request is given, one after the other, while each of them ends before it has
 * answered: whether somebody kills them, or memory is short, or the request itself is their end,
 * can't be told from one death. Once LIFE_TRY_SECONDS have passed since the first, no more than
 * LIFE_TRIES_LEAST. */
#define LIFE_TRIES 10
#define LIFE_TRIES_LEAST 3
#define LIFE_TRY_SECONDS 10.0

/* ---- life.c ---- */

struct translator *translator_new(struct life *life);
void translator_free(struct translator *translator);
void translator_link(struct life *life, struct translator *translator);
/* It is not freed while somebody holds it. */
void life_hold(struct translator *translator);
void life_release(struct translator *translator);
/* What it is called in the log. */
const char *translator_name(const struct translator *translator);

/* ---- directory.c: SESSION/nodes/ID ---- */

/* With what stands in for the node. */
int node_directory_make(const struct translator *translator);
/* init ends what may still run, closes its socket and removes its directory. */
void node_directory_forget(const struct life *life, uint64_t id);

/* ---- state.c: SESSION/state/translators/ID, replaced by rename ---- */

int state_save(const struct translator *translator);
void state_save_or_say(const struct translator *translator);
void state_remove(const struct translator *translator);
/* Fill a fresh translator from the file `name` in that directory. EBADMSG: damaged. */
int state_read(const struct life *life, const char *name, struct translator *translator);
/* SESSION/state/translators. */
int state_directory(const struct life *life, char path[PATH_MAX]);

/* ---- waiting.c ---- */

/* Tell all who wait. */
void life_tell_waiters(struct translator *translator, int error);
void life_tell_stoppers(struct translator *translator, int error);

/* ---- starting.c: from IDLE to RUNNING ---- */

/* Start it, or find the process of our former life. */
void running_start(struct translator *translator);
/* It can't be started: those who wait get `error`, as does who comes within a second. */
void running_start_failed(struct translator *translator, int error);

/* ---- ending.c: and back ---- */

/* End its process: SIGTERM, later SIGKILL. */
void running_end(struct translator *translator);
/* Ask it to go away first. */
void running_go_away(struct translator *translator);
/* Its process has ended with `status`, as wait(2) gives it. */
void running_ended(struct translator *translator, int status);
/* The way to it broke: its end is awaited, and helped along. */
void running_lost(struct translator *translator);
/* Of its connection; `context` is the translator. */
void running_hung_up(struct port *port, int error, void *context);

/* ---- told.c: what it said of a directory's node itself ---- */

void told_set(struct translator *translator, const Hirsel__Attributes *attributes);
/* The same of a translator's answer, if it is another one; the state is saved. */
void told_take(struct translator *translator, const struct msg *answer);

/* ---- watching.c ---- */

/* It has something in hand now: see that it does not hang. */
void running_watch(struct translator *translator);

#endif
