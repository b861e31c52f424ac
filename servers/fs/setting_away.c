/* settrans that takes a translator away. */
#include "servers/fs/setting.h"

#include <errno.h>
#include <unistd.h>

int setting_away(struct setting *setting, struct space *space, struct found *found)
{
    const Hirsel__FsTranslator *request = setting->request;
    bool lives_on = request->keep || request->orphan;

    switch (found->kind) {
    case FOUND_ENTRY: {
        int error = space_remove(space, found->place.path);
        if (!error && found->translator)
            (lives_on ? life_orphan : life_forget)(found->translator);
        return error;
    }
    case FOUND_RECORD:
        /* The running one alone was meant, and has been stopped: what is written down stays. */
        if ((request->active || request->go_away) && !request->passive)
            return 0;
        if (found->place.read_only)
            return EROFS;
        if (unlink(found->place.host) < 0)
            return errno;
        spaces_count_change(&setting->fs->names);
        if (found->translator)
            (lives_on ? life_orphan : life_forget)(found->translator);
        return 0;
    default:
        if (setting->once.repeat)
            return 0;
        return found->place.exists ? EINVAL : ENOENT;
    }
}
