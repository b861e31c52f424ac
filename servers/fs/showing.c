/* showtrans: what is set at a node; and which translators run. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "servers/fs/fs.h"
#include "servers/fs/found.h"

static ProtobufCBinaryData bytes_of(const char *text)
{
    return (ProtobufCBinaryData){.len = strlen(text), .data = (uint8_t *)(uintptr_t)text};
}

static ProtobufCBinaryData *command_of(const struct record *record)
{
    ProtobufCBinaryData *command = calloc(record->count + 1, sizeof(*command));

    for (size_t i = 0; command && i < record->count; i++)
        command[i] = bytes_of(record->command[i]);
    return command;
}

static void show(struct reply *reply, const struct record *record, bool passive,
                 const struct translator *translator)
{
    Hirsel__FsTranslatorReply answer = HIRSEL__FS_TRANSLATOR_REPLY__INIT;
    char *kind = record_kind(record->kind, record->device);

    answer.command = command_of(record);
    if (!kind || !answer.command) {
        reply_error(reply, ENOMEM);
        goto out;
    }
    answer.n_command = record->count;
    answer.kind = kind;
    answer.passive = passive;
    if (translator) {
        bool alive = translator->state != TRANSLATOR_IDLE || life_is_alive(translator);
        answer.translator = translator->id;
        answer.active = translator->active || alive;
        answer.pid = alive ? (uint32_t)translator->pid : 0;
    }
    rpc_reply(reply, &answer.base, NULL, 0);
out:
    free(answer.command);
    free(kind);
}

void showing_request(struct port *port, ProtobufCMessage *body, struct msg *raw,
                     struct reply *reply, void *context)
{
    const Hirsel__FsTranslator *request = (const Hirsel__FsTranslator *)body;
    const struct asker *asker = asker_of(port);
    struct fs *fs = fs_of(context);
    struct space *space;
    struct record record;
    struct found found;
    int error = asker_choose(fs, asker, request->space, &space);

    (void)raw;
    if (!error)
        error = found_find(fs, space, asker->pid, request->path, &found);
    if (error == EBUSY)
        error = EINVAL; /* a bind and the like: no translator */
    if (!error)
        error = policy_check(policy_of(fs, asker), found.place.host, 0);
    if (!error && found.kind == FOUND_OTHER)
        error = found.place.exists ? EINVAL : ENOENT;
    if (!error && found.kind == FOUND_ENTRY && !found.translator)
        error = EIO;
    if (!error && request->start)
        error = found_know(fs, space, &found);
    if (error) {
        reply_error(reply, error);
        return;
    }
    if (found.kind == FOUND_ENTRY) {
        show(reply, &found.translator->record, false, found.translator);
        return;
    }
    error = record_parse(&fs->names.seal, found.text, strlen(found.text), &record);
    if (error) {
        reply_error(reply, error);
        return;
    }
    show(reply, &record, true, found.translator);
    record_free(&record);
}

static const char *state_name(const struct translator *translator)
{
    switch (translator->state) {
    case TRANSLATOR_STARTING:
    case TRANSLATOR_PAUSING:
    case TRANSLATOR_GREETING:
        return "starting";
    case TRANSLATOR_ENDING:
        return "ending";
    case TRANSLATOR_RUNNING:
        return "running";
    case TRANSLATOR_IDLE:
        break;
    }
    return life_is_alive(translator) ? "running" : "ended";
}

static int running_fill(const struct translator *translator, Hirsel__FsRunning *running)
{
    hirsel__fs_running__init(running);
    running->translator = translator->id;
    running->pid = (uint32_t)translator->pid;
    running->path = bytes_of(translator->path);
    running->command = command_of(&translator->record);
    running->n_command = running->command ? translator->record.count : 0;
    running->state = (char *)(uintptr_t)state_name(translator);
    running->space = translator->space;
    return running->command ? 0 : ENOMEM;
}

void showing_running(struct port *port, ProtobufCMessage *body, struct msg *raw,
                     struct reply *reply, void *context)
{
    Hirsel__FsTranslators answer = HIRSEL__FS_TRANSLATORS__INIT;
    struct fs *fs = fs_of(context);
    const struct fence_policy *policy = policy_of(fs, asker_of(port));
    uint64_t own = asker_space(fs, asker_of(port));
    Hirsel__FsRunning *all = calloc(fs->life.count + 1, sizeof(*all));
    int error = all ? 0 : ENOMEM;

    (void)body;
    (void)raw;
    answer.running = calloc(fs->life.count + 1, sizeof(*answer.running));
    if (!answer.running)
        error = ENOMEM;
    for (const struct translator *translator = fs->life.translators; translator && !error;
         translator = translator->next) {
        if (translator->forgotten || !space_descends(&fs->names, translator->space, own))
            continue;
        if (translator->state == TRANSLATOR_IDLE && !life_is_alive(translator))
            continue;
        if (policy_check(policy, translator->host_path, 0) != 0)
            continue;
        answer.running[answer.n_running] = &all[answer.n_running];
        error = running_fill(translator, &all[answer.n_running++]);
    }
    if (error)
        reply_error(reply, error);
    else
        rpc_reply(reply, &answer.base, NULL, 0);
    for (size_t i = 0; i < answer.n_running; i++)
        free(all[i].command);
    free(answer.running);
    free(all);
}
