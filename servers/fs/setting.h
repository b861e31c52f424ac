/* The parts of settrans. */
#ifndef HIRSEL_FS_SETTING_H
#define HIRSEL_FS_SETTING_H

#include "servers/fs/found.h"

/* One request, which may have to wait for the end of an old translator and the start of the new. */
struct setting {
    struct stopper stopper;
    struct waiter waiter;
    struct fs *fs;
    struct reply *reply;
    Hirsel__FsTranslator *request; /* our own copy */
    struct record record;          /* what is to be set; no command: taken away */
    struct once once;
    uint64_t space;
    const struct fence_policy *policy; /* the asker's; NULL: it is not confined */
    pid_t self;
    struct translator *translator; /* the new one */
    bool added;                    /* by an entry that goes if the start fails */
};

/* What is done at the place that was found, each once nothing stands in the way. They return with
 * *wait if the start of setting->translator is awaited. */

/* setting_passive.c: the record is written. */
int setting_passive(struct setting *setting, struct found *found, bool *wait);
/* setting_active.c: an entry of the table is made. */
int setting_active(struct setting *setting, struct space *space, struct found *found, bool *wait);
/* What it had made, if the start failed. */
void setting_active_undo(struct setting *setting);
/* setting_away.c: a node is taken away. */
int setting_away(struct setting *setting, struct space *space, struct found *found);

#endif
