/* settrans: translators set and taken away. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "servers/fs/fs.h"
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
    pid_t self;
    struct translator *translator; /* the new one */
    bool added;                    /* by an entry that goes if the start fails */
};

static void setting_end(struct setting *setting, int error)
{
    Hirsel__FsTranslatorReply answer = HIRSEL__FS_TRANSLATOR_REPLY__INIT;

    once_end(&setting->once, error);
    if (setting->translator) {
        answer.translator = setting->translator->id;
        answer.pid = (uint32_t)setting->translator->pid;
        answer.active = setting->translator->active;
        answer.passive = !setting->translator->active;
    }
    if (error)
        reply_error(setting->reply, error);
    else
        rpc_reply(setting->reply, &answer.base, NULL, 0);
    record_free(&setting->record);
    rpc_free(&setting->request->base);
    free(setting);
}

/* ---- starting it ---- */

static void entry_take_back(struct setting *setting)
{
    struct space *space = space_find(&setting->fs->names, setting->space);
    struct translator *translator = setting->translator;
    const struct entry *entry = space ? entries_at(&space->entries, translator->path) : NULL;

    if (entry && entry->kind == SPACE_NODE && entry->translator == translator->id)
        space_remove(space, translator->path);
    setting->translator = NULL;
    life_forget(translator);
}

static void setting_up(struct waiter *waiter, int error)
{
    struct setting *setting =
        (struct setting *)(void *)((char *)waiter - offsetof(struct setting, waiter));

    reply_on_cancel(setting->reply, NULL, NULL);
    if (error && setting->added)
        entry_take_back(setting);
    setting_end(setting, error);
}

static void setting_cancelled(struct reply *reply, void *context)
{
    struct setting *setting = context;

    (void)reply;
    if (!setting->waiter.translator)
        return; /* it does not wait yet, or no longer */
    life_unawait(&setting->waiter);
    setting_up(&setting->waiter, ECANCELED);
}

static void setting_start(struct setting *setting)
{
    setting->translator->start_timeout_ms = (int)(setting->request->timeout_ms & INT_MAX);
    setting->waiter.up = setting_up;
    reply_on_cancel(setting->reply, setting_cancelled, setting);
    life_await(setting->translator, &setting->waiter);
}

/* ---- passive: the record ---- */

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

/* Returns with *wait if the start is awaited. */
static int passive_set(struct setting *setting, struct found *found, bool *wait)
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

/* ---- active: an entry of the table ---- */

static int active_set(struct setting *setting, struct space *space, struct found *found, bool *wait)
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

/* ---- taking away ---- */

static int take_away(struct setting *setting, struct space *space, struct found *found)
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

/* ---- the order of it all ---- */

static bool is_passive(const Hirsel__FsTranslator *request)
{
    return request->passive || !request->active;
}

/* Once nothing stands in the way. What was found before may have changed meanwhile: look again. */
static void setting_apply(struct setting *setting)
{
    struct space *space = space_find(&setting->fs->names, setting->space);
    struct found found;
    bool wait = false;
    int error = space
                    ? found_find(setting->fs, space, setting->self, setting->request->path, &found)
                    : ENOENT;

    if (!error && setting->record.count == 0)
        error = take_away(setting, space, &found);
    else if (!error && is_passive(setting->request))
        error = passive_set(setting, &found, &wait);
    else if (!error)
        error = active_set(setting, space, &found, &wait);
    if (wait)
        setting_start(setting);
    else
        setting_end(setting, error);
}

static void setting_stopped(struct stopper *stopper, int error)
{
    struct setting *setting = (struct setting *)stopper;

    if (error)
        setting_end(setting, error);
    else
        setting_apply(setting);
}

static bool runs(const struct translator *translator)
{
    return translator && (translator->state != TRANSLATOR_IDLE || life_is_alive(translator));
}

/* What becomes of one that runs, as in the Hurd: setting a passive translator leaves it alone or
 * refuses; an active one takes its place. */
static void setting_begin(struct setting *setting)
{
    const Hirsel__FsTranslator *request = setting->request;
    struct space *space = space_find(&setting->fs->names, setting->space);
    struct translator *old;
    struct found found;
    int error =
        space ? found_find(setting->fs, space, setting->self, request->path, &found) : ENOENT;

    if (error) {
        setting_end(setting, error);
        return;
    }
    old = found.translator;
    /* Found after a repeat: what this very request made. */
    if (setting->once.repeat && setting->record.count > 0 && old &&
        (old->id == setting->once.value || found.kind == FOUND_RECORD)) {
        setting_apply(setting);
        return;
    }
    if (setting->record.count > 0 && request->exclusive && found.kind != FOUND_OTHER) {
        setting_end(setting, EEXIST);
        return;
    }
    if (!runs(old) || request->keep || request->orphan) {
        setting_apply(setting);
        return;
    }
    if (setting->record.count > 0 && is_passive(request) && !request->go_away) {
        setting_end(setting, EBUSY);
        return;
    }
    setting->stopper.force = request->force;
    setting->stopper.stopped = setting_stopped;
    life_stop(old, &setting->stopper);
}

static int record_fill(struct setting *setting)
{
    const Hirsel__FsTranslator *request = setting->request;
    struct record *record = &setting->record;

    if (request->n_command == 0)
        return 0;
    record->command = calloc(request->n_command + 1, sizeof(char *));
    if (!record->command)
        return ENOMEM;
    for (; record->count < request->n_command; record->count++) {
        ProtobufCBinaryData word = request->command[record->count];
        if (word.len && memchr(word.data, '\0', word.len))
            return EINVAL;
        record->command[record->count] = strndup(word.len ? (const char *)word.data : "", word.len);
        if (!record->command[record->count])
            return ENOMEM;
    }
    if (record->command[0][0] == '\0')
        return EINVAL;
    return record_set_kind(record, request->kind);
}

void setting_request(struct port *port, ProtobufCMessage *body, struct msg *raw,
                     struct reply *reply, void *context)
{
    const struct asker *asker = asker_of(port);
    struct fs *fs = fs_of(context);
    struct setting *setting;
    struct space *space;
    int error = asker_choose(fs, asker, ((Hirsel__FsTranslator *)body)->space, &space);

    if (error || !reply) {
        reply_error(reply, error);
        return;
    }
    setting = calloc(1, sizeof(*setting));
    if (setting)
        setting->request =
            (Hirsel__FsTranslator *)rpc_unpack(raw, &hirsel__fs_translator__descriptor);
    if (!setting || !setting->request) {
        free(setting);
        reply_error(reply, ENOMEM);
        return;
    }
    setting->fs = fs;
    setting->reply = reply;
    setting->space = space->id;
    setting->self = asker->pid;
    if (once_ended(&setting->once, &fs->journal, raw, &error)) {
        setting->translator = life_find(&fs->life, setting->once.value);
        setting_end(setting, error);
        return;
    }
    once_begin(&setting->once, setting->once.repeat
                                   ? setting->once.value
                                   : journal_next(&fs->journal, JOURNAL_TRANSLATORS));
    error = record_fill(setting);
    if (error)
        setting_end(setting, error);
    else
        setting_begin(setting);
}
