#include "servers/life/internal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "servers/lib/server.h"

/* Each has a directory and a file: a program that makes nodes without end must not fill the
 * session's file system with them. */
#define TRANSLATORS_MAX 10000
/* Between two looks for those that are gone. */
#define SWEEP_SECONDS 1.0
#define COMMAND_BYTES_MAX (32u << 10)

/* ---- finding ---- */

struct translator *life_find(const struct life *life, uint64_t id)
{
    struct translator *translator = life->translators;

    while (translator && (translator->id != id || translator->forgotten))
        translator = translator->next;
    return translator;
}

struct translator *life_find_pid(const struct life *life, pid_t pid)
{
    struct translator *translator = life->translators;

    while (translator && translator->pid != pid)
        translator = translator->next;
    return translator;
}

struct translator *life_find_record(const struct life *life, uint64_t space, uint64_t device,
                                    uint64_t inode, const char *text, size_t length)
{
    struct translator *translator = life->translators;

    for (; translator; translator = translator->next)
        if (!translator->forgotten && !translator->orphan && !translator->active &&
            translator->space == space && translator->device == device &&
            translator->inode == inode && strlen(translator->text) == length &&
            memcmp(translator->text, text, length) == 0)
            return translator;
    return NULL;
}

const char *translator_name(const struct translator *translator)
{
    return translator->record.command[0];
}

/* ---- memory ---- */

void translator_free(struct translator *translator)
{
    free(translator->path);
    free(translator->host_path);
    free(translator->directory);
    free(translator->text);
    record_free(&translator->record);
    free(translator);
}

struct translator *translator_new(struct life *life)
{
    struct translator *translator = calloc(1, sizeof(*translator));

    if (!translator)
        return NULL;
    translator->life = life;
    return translator;
}

void translator_link(struct life *life, struct translator *translator)
{
    translator->next = life->translators;
    life->translators = translator;
    life->count++;
}

static void translator_unlink(struct translator *translator)
{
    struct translator **link = &translator->life->translators;

    while (*link && *link != translator)
        link = &(*link)->next;
    if (*link) {
        *link = translator->next;
        translator->life->count--;
    }
}

void life_hold(struct translator *translator)
{
    translator->holds++;
}

void life_release(struct translator *translator)
{
    translator->holds--;
    if (translator->holds > 0 || !translator->forgotten || translator->state != TRANSLATOR_IDLE)
        return;
    node_directory_forget(translator->life, translator->id);
    translator_unlink(translator);
    translator_free(translator);
}

/* ---- adding, changing, forgetting ---- */

static int record_copy(const struct record *from, struct record *to)
{
    size_t bytes = 0;

    memset(to, 0, sizeof(*to));
    for (size_t i = 0; i < from->count; i++)
        bytes += strlen(from->command[i]) + 1;
    if (bytes > COMMAND_BYTES_MAX)
        return E2BIG;
    to->kind = from->kind;
    to->count = from->count;
    to->command = words_copy(from->command, from->count);
    to->device = from->device ? strdup(from->device) : NULL;
    if (!to->command || (from->device && !to->device)) {
        record_free(to);
        return ENOMEM;
    }
    return 0;
}

static int text_set(char **to, const char *from)
{
    char *copy = from ? strdup(from) : NULL;

    if (from && !copy)
        return ENOMEM;
    free(*to);
    *to = copy;
    return 0;
}

static int plan_take(struct translator *translator, const struct translator_plan *plan)
{
    struct record record;
    bool moved = plan->record == &translator->record;
    int error = record_copy(plan->record, &record);

    if (error)
        return error;
    error = text_set(&translator->path, plan->path);
    if (!error)
        error = text_set(&translator->host_path, plan->host_path);
    if (!error)
        error = text_set(&translator->directory, plan->directory);
    if (!error)
        error = text_set(&translator->text, plan->text);
    if (error) {
        record_free(&record);
        return error;
    }
    record_free(&translator->record);
    translator->record = record;
    translator->space = plan->space;
    translator->device = plan->device;
    translator->inode = plan->inode;
    translator->active = plan->text == NULL;
    translator->is_told = translator->is_told && moved;
    return 0;
}

/* Nodes come and go by ln, mv and rm, which nobody tells us: forget those that are gone. */
static void gone_forget(struct life *life)
{
    struct translator *next;

    for (struct translator *translator = life->translators; translator; translator = next) {
        struct stat status;
        next = translator->next;
        if (translator->active || translator->forgotten || translator->pid ||
            translator->state != TRANSLATOR_IDLE)
            continue;
        if (lstat(translator->host_path, &status) < 0 || status.st_ino != translator->inode ||
            status.st_dev != translator->device)
            life_forget(translator);
    }
}

int life_add(struct life *life, const struct translator_plan *plan, struct translator **made)
{
    struct translator *translator;
    int error;

    if (life->count >= TRANSLATORS_MAX && ev_time() - life->swept_at > SWEEP_SECONDS) {
        gone_forget(life);
        if (life->count >= TRANSLATORS_MAX)
            log_line("%zu translators are known: no more until some are taken away", life->count);
        life->swept_at = ev_time();
    }
    if (life->count >= TRANSLATORS_MAX)
        return ENOSPC;
    translator = translator_new(life);
    if (!translator)
        return ENOMEM;
    error = plan_take(translator, plan);
    if (error)
        goto fail;
    translator->id = plan->id ? plan->id : journal_next(life->journal, JOURNAL_TRANSLATORS);
    error = node_directory_make(translator);
    if (!error)
        error = state_save(translator);
    if (error) {
        node_directory_forget(life, translator->id);
        goto fail;
    }
    translator_link(life, translator);
    *made = translator;
    return 0;
fail:
    translator_free(translator);
    return error;
}

int life_change(struct translator *translator, const struct translator_plan *plan)
{
    int error = plan_take(translator, plan);

    if (!error)
        error = node_directory_make(translator);
    if (!error)
        error = state_save(translator);
    return error;
}

void life_forget(struct translator *translator)
{
    if (translator->forgotten)
        return;
    life_hold(translator);
    translator->forgotten = true;
    state_remove(translator);
    life_tell_waiters(translator, ENOENT);
    if (translator->state != TRANSLATOR_IDLE || translator->pid)
        running_end(translator);
    life_release(translator);
}

void life_orphan(struct translator *translator)
{
    int error;

    if (translator->state == TRANSLATOR_IDLE && !life_is_alive(translator)) {
        life_forget(translator);
        return;
    }
    translator->orphan = true;
    error = state_save(translator);
    if (error)
        log_line("cannot write down translator %" PRIu64 ": %s", translator->id, strerror(error));
}

void life_space_dropped(struct life *life, uint64_t id)
{
    struct translator *next;

    for (struct translator *translator = life->translators; translator; translator = next) {
        const struct space *other =
            translator->active ? space_of_node(life->names, translator->id) : NULL;
        next = translator->next;
        if (translator->forgotten)
            continue;
        if (translator->space != id)
            continue;
        if (other)
            translator->space = other->id;
        else
            life_forget(translator);
    }
}

void life_child_ended(struct life *life, uint64_t id, pid_t pid, int status)
{
    struct translator *translator = life->translators;

    while (translator && (id == 0 || translator->id != id))
        translator = translator->next;
    /* A pid of 0: one that our former life started, and had no time to write down. */
    if (translator && (translator->pid == pid || translator->pid == 0))
        running_ended(translator, status);
}
