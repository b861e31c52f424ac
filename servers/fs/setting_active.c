/* settrans of an active translator: an entry of the table. */
#include "servers/fs/setting.h"

#include <errno.h>

int setting_active(struct setting *setting, struct space *space, struct found *found, bool *wait)
{
    struct translator_plan plan = {.id = setting->once.value,
                                   .space = space->id,
                                   .path = found->place.path,
                                   .host_path = found->place.host,
                                   .directory = found->place.directory,
                                   .record = &setting->record};
    struct entry entry;
    int error;

    if (found->kind == FOUND_ENTRY && found->translator &&
        found->translator->id == setting->once.value) {
        /* Our own work, before fs was killed. */
        setting->translator = found->translator;
        setting->added = true;
        *wait = true;
        return 0;
    }
    if (!found->place.exists && found->kind != FOUND_ENTRY && !setting->request->create)
        return ENOENT;
    if (found->kind != FOUND_ENTRY && entries_any_below(&space->entries, found->place.path))
        return EBUSY;
    error = life_add(&setting->fs->life, &plan, &setting->translator);
    if (error)
        return error;
    if (found->kind == FOUND_ENTRY) {
        error = space_remove(space, found->place.path);
        if (!error && found->translator)
            (setting->request->orphan ? life_orphan : life_forget)(found->translator);
    }
    place_entry(&found->place, &entry);
    entry.kind = SPACE_NODE;
    entry.translator = setting->translator->id;
    if (setting->record.kind == 'd')
        entry.flags |= SPACE_DIRECTORY;
    if (!error)
        error = space_add(space, &entry);
    if (error) {
        life_forget(setting->translator);
        setting->translator = NULL;
        return error;
    }
    setting->added = true;
    *wait = true;
    return 0;
}

void setting_active_undo(struct setting *setting)
{
    struct space *space = space_find(&setting->fs->names, setting->space);
    struct translator *translator = setting->translator;
    const struct entry *entry = space ? entries_at(&space->entries, translator->path) : NULL;

    if (entry && entry->kind == SPACE_NODE && entry->translator == translator->id)
        space_remove(space, translator->path);
    setting->translator = NULL;
    life_forget(translator);
}
