/* What is known of a translator, on disk: SESSION/state/translators/ID, replaced by rename. */
#ifndef HIRSEL_FS_STATE_H
#define HIRSEL_FS_STATE_H

#include "servers/fs/life.h"

int state_save(const struct translator *translator);
void state_remove(const struct translator *translator);
/* Fill a fresh translator from the file `name` in that directory. EBADMSG: damaged. */
int state_read(struct fs *fs, const char *name, struct translator *translator);
/* SESSION/state/translators. */
int state_directory(const struct fs *fs, char path[PATH_MAX]);

#endif
