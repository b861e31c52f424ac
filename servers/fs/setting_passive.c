/* settrans of a passive translator: the record, a sealed symlink on the host. */
#include "servers/fs/setting.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Put the symlink in the place of an old record, in one step. The temporary name is the same when
 * the request is repeated: what a killed fs left is found. */
static int record_replace(const struct setting *setting, const struct found *found,
                          const char *text)
{
    char name[64], fresh[NAME_PATH_SIZE];
    int error;

    snprintf(name, sizeof(name), ".hirsel-set-%016" PRIx64,
             setting->once.request ? setting->once.request : request_id_new());
    error = name_join(found->place.directory, name, strlen(name), fresh);
    if (error)
        return error;
    if (symlink(text, fresh) < 0 &&
        (errno != EEXIST || unlink(fresh) < 0 || symlink(text, fresh) < 0))
        return errno;
    if (rename(fresh, found->place.host) < 0) {
        error = errno;
        unlink(fresh);
    }
    return error;
}

static int record_write(const struct setting *setting, const struct found *found, const char *text)
{
    if (found->place.read_only)
        return EROFS;
    if (found->kind == FOUND_RECORD) {
        if (setting->once.repeat && strcmp(found->text, text) == 0)
            return 0;
        return setting->request->exclusive ? EEXIST : record_replace(setting, found, text);
    }
    if (found->place.exists)
        return found->place.told ? EEXIST : EACCES;
    if (!setting->request->create)
        return ENOENT;
    return symlink(text, found->place.host) < 0 ? errno : 0;
}

int setting_passive(struct setting *setting, struct found *found, bool *wait)
{
    const Hirsel__FsTranslator *request = setting->request;
    struct translator *old = found->kind == FOUND_RECORD ? found->translator : NULL;
    struct translator_plan plan = {.space = setting->space,
                                   .path = found->place.path,
                                   .host_path = found->place.host,
                                   .directory = found->place.directory,
                                   .record = &setting->record};
    struct stat status;
    char *text;
    int error = record_encode(&setting->fs->names.seal, &setting->record, &text);

    if (error)
        return error;
    error = record_write(setting, found, text);
    spaces_count_change(&setting->fs->names);
    if (!error && fstatat(AT_FDCWD, found->place.host, &status, AT_SYMLINK_NOFOLLOW) < 0)
        error = errno;
    if (error)
        goto out;
    plan.text = text;
    plan.device = status.st_dev;
    plan.inode = status.st_ino;
    if (old && old->inode == plan.inode && strcmp(old->text, text) == 0)
        ; /* our own work, before fs was killed */
    else if (old && request->keep)
        error = life_change(old, &plan);
    else if (old && request->orphan)
        life_orphan(old);
    else if (old)
        life_forget(old);
    if (error || !(request->start || request->active))
        goto out;
    setting->translator = life_find_record(&setting->fs->life, plan.space, plan.device, plan.inode,
                                           text, strlen(text));
    if (!setting->translator)
        error = life_add(&setting->fs->life, &plan, &setting->translator);
    *wait = !error;
out:
    free(text);
    return error;
}
