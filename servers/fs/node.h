/* The parts of a request for a node. */
#ifndef HIRSEL_FS_NODE_H
#define HIRSEL_FS_NODE_H

#include "servers/fs/fs.h"

/* ---- node_find.c: whose node it is ---- */

/* A translator that the asker may have met: in its own space, in one that its own was copied from
 * (it may stand in a directory of it), or in a copy of its own. */
int node_by_id(const struct fs *fs, uint64_t space, uint64_t id, struct translator **translator);
/* The translator of a record that the asker has met, made known if it is not. ENOKEY: not sealed by
 * this user; ENOENT: it is not that record any more. */
int node_by_record(struct fs *fs, uint64_t space, const Hirsel__NodeRecord *wire,
                   struct translator **translator);

/* ---- node_answer.c: what needs no translator ---- */

/* What asks only for the node itself and not for what the translator makes of it: a stat or an ls
 * starts nothing. False: the translator must be asked. */
bool node_answered_here(const struct translator *translator, const Hirsel__NodeRequest *request,
                        uint32_t operation, struct reply *reply);

/* The translator's own process asks for its own node. What it can mean is the file that the node
 * stands in front of: an archive set on itself. False: there is none. */
bool node_answered_underlying(const struct translator *translator,
                              const Hirsel__NodeRequest *request, uint32_t operation,
                              struct reply *reply);

#endif
