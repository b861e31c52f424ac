/* settrans: translators set and taken away. */
#include "servers/fs/setting.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

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

static void setting_up(struct waiter *waiter, int error)
{
    struct setting *setting =
        (struct setting *)(void *)((char *)waiter - offsetof(struct setting, waiter));

    reply_on_cancel(setting->reply, NULL, NULL);
    if (error && setting->added)
        setting_active_undo(setting);
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
        error = setting_away(setting, space, &found);
    else if (!error && is_passive(setting->request))
        error = setting_passive(setting, &found, &wait);
    else if (!error)
        error = setting_active(setting, space, &found, &wait);
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

/* What a confined program writes down with the user's seal would be started for everybody, and is
 * not confined then. What it sets in its own name space is. */
static int setting_allowed(const struct setting *setting, const struct found *found)
{
    if (setting->policy && setting->record.count > 0 && is_passive(setting->request))
        return EPERM;
    return policy_check(setting->policy, found->place.host, FENCE_WRITE);
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

    if (!error)
        error = setting_allowed(setting, &found);
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
    setting->policy = policy_of(fs, asker);
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
