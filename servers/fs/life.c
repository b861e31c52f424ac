#include "servers/fs/life.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "servers/fs/running.h"
#include "servers/fs/space.h"
#include "servers/fs/state.h"

/* Each has a directory and a file: a program that makes nodes without end must not fill the
 * session's file system with them. */
#define TRANSLATORS_MAX 10000
/* Between two looks for those that are gone. */
#define SWEEP_SECONDS 1.0
#define COMMAND_BYTES_MAX (32u << 10)

/* ---- finding ---- */

struct translator *life_find(const struct fs *fs, uint64_t id)
{
    struct translator *translator = fs->translators;

    while (translator && (translator->id != id || translator->forgotten))
        translator = translator->next;
    return translator;
}

struct translator *life_find_pid(const struct fs *fs, pid_t pid)
{
    struct translator *translator = fs->translators;

    while (translator && translator->pid != pid)
        translator = translator->next;
    return translator;
}

struct translator *life_find_record(const struct fs *fs, uint64_t space, uint64_t device,
                                    uint64_t inode, const char *text, size_t length)
{
    struct translator *translator = fs->translators;

    for (; translator; translator = translator->next)
        if (!translator->forgotten && !translator->orphan && !translator->active &&
            translator->space == space && translator->device == device &&
            translator->inode == inode && strlen(translator->text) == length &&
            memcmp(translator->text, text, length) == 0)
            return translator;
    return NULL;
}

/* ---- its directory ---- */

static int directory_of(const struct fs *fs, uint64_t id, const char *rest, char path[PATH_MAX])
{
    int length =
        snprintf(path, PATH_MAX, "%s/nodes/%" PRIu64 "%s", fs->server->directory, id, rest);

    return length < PATH_MAX ? 0 : ENAMETOOLONG;
}

int life_stand_in(const struct translator *translator, char path[PATH_MAX])
{
    switch (translator->record.kind) {
    case 'p':
        if (strlen(translator->record.device) >= PATH_MAX)
            return ENAMETOOLONG;
        strcpy(path, translator->record.device);
        return 0;
    case 'd':
        return directory_of(translator->fs, translator->id, "/tree", path);
    default:
        return directory_of(translator->fs, translator->id, "/file", path);
    }
}

/* The node's name in its space, as the text of nodes/ID/name: by it the shims name what is open or
 * current below the node. */
static int name_write(const struct translator *translator)
{
    char path[PATH_MAX], fresh[PATH_MAX];
    int error = directory_of(translator->fs, translator->id, "/name", path);

    if (!error)
        error = directory_of(translator->fs, translator->id, "/name.new", fresh);
    if (error)
        return error;
    if (unlink(fresh) < 0 && errno != ENOENT)
        return errno;
    if (symlink(translator->path, fresh) < 0 || rename(fresh, path) < 0)
        return errno;
    return 0;
}

/* What gives the node its identity from the first look on, whether it runs or not. */
static int stand_in_make(const struct translator *translator)
{
    char path[PATH_MAX];
    int descriptor;
    int error = life_stand_in(translator, path);

    if (error || translator->record.kind == 'p')
        return error;
    /* The modes are seen by stat: a server's umask must not make them narrower. */
    if (translator->record.kind == 'd') {
        if (mkdir(path, 0755) == 0)
            return chmod(path, 0755) < 0 ? errno : 0;
        return errno == EEXIST ? 0 : errno;
    }
    descriptor = open(path, O_RDONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0444);
    if (descriptor < 0)
        return errno == EEXIST ? 0 : errno;
    error = fchmod(descriptor, 0444) < 0 ? errno : 0;
    close(descriptor);
    return error;
}

static int directory_make(const struct translator *translator)
{
    char path[PATH_MAX];
    int error = directory_of(translator->fs, translator->id, "", path);

    if (error)
        return error;
    if (mkdir(path, 0700) < 0 && errno != EEXIST)
        return errno;
    error = stand_in_make(translator);
    return error ? error : name_write(translator);
}

/* ---- memory ---- */

static void translator_free(struct translator *translator)
{
    free(translator->path);
    free(translator->host_path);
    free(translator->directory);
    free(translator->text);
    record_free(&translator->record);
    free(translator);
}

static struct translator *translator_new(struct fs *fs)
{
    struct translator *translator = calloc(1, sizeof(*translator));

    if (!translator)
        return NULL;
    translator->fs = fs;
    return translator;
}

static void translator_link(struct fs *fs, struct translator *translator)
{
    translator->next = fs->translators;
    fs->translators = translator;
    fs->translator_count++;
}

static void translator_unlink(struct translator *translator)
{
    struct translator **link = &translator->fs->translators;

    while (*link && *link != translator)
        link = &(*link)->next;
    if (*link) {
        *link = translator->next;
        translator->fs->translator_count--;
    }
}

void life_hold(struct translator *translator)
{
    translator->holds++;
}

/* Nobody waits for the answer. */
static void told(int error, ProtobufCMessage *answer, struct msg *raw, void *context)
{
    (void)error;
    (void)answer;
    (void)raw;
    (void)context;
}

/* init ends what may still run, closes its socket and removes its directory. */
static void directory_forget(const struct fs *fs, uint64_t id)
{
    Hirsel__InitKill forgotten = HIRSEL__INIT_KILL__INIT;
    int error;

    forgotten.translator = id;
    error = rpc_call_start(fs->server->control, HIRSEL__INIT_OPERATION__INIT_FORGET,
                           &forgotten.base, NULL, 0, NULL, -1, told, NULL, NULL);
    if (error)
        log_line("cannot tell init to forget translator %" PRIu64 ": %s", id, strerror(error));
}

void life_release(struct translator *translator)
{
    translator->holds--;
    if (translator->holds > 0 || !translator->forgotten || translator->state != TRANSLATOR_IDLE)
        return;
    directory_forget(translator->fs, translator->id);
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
    return 0;
}

/* Nodes come and go by ln, mv and rm, which nobody tells us: forget those that are gone. */
static void gone_forget(struct fs *fs)
{
    struct translator *next;

    for (struct translator *translator = fs->translators; translator; translator = next) {
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

int life_add(struct fs *fs, const struct translator_plan *plan, struct translator **made)
{
    struct translator *translator;
    int error;

    if (fs->translator_count >= TRANSLATORS_MAX && ev_time() - fs->swept_at > SWEEP_SECONDS) {
        gone_forget(fs);
        if (fs->translator_count >= TRANSLATORS_MAX)
            log_line("%zu translators are known: no more until some are taken away",
                     fs->translator_count);
        fs->swept_at = ev_time();
    }
    if (fs->translator_count >= TRANSLATORS_MAX)
        return ENOSPC;
    translator = translator_new(fs);
    if (!translator)
        return ENOMEM;
    error = plan_take(translator, plan);
    if (error)
        goto fail;
    translator->id = plan->id ? plan->id : journal_next(&fs->journal, JOURNAL_TRANSLATORS);
    error = directory_make(translator);
    if (!error)
        error = state_save(translator);
    if (error) {
        directory_forget(fs, translator->id);
        goto fail;
    }
    translator_link(fs, translator);
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
        error = directory_make(translator);
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

    if (translator->state == TRANSLATOR_IDLE && !running_alive(translator)) {
        life_forget(translator);
        return;
    }
    translator->orphan = true;
    error = state_save(translator);
    if (error)
        log_line("cannot write down translator %" PRIu64 ": %s", translator->id, strerror(error));
}

/* A space whose table names the translator, or NULL. */
static const struct space *named_by(const struct fs *fs, uint64_t id)
{
    for (const struct space *space = fs->spaces; space; space = space->next)
        for (size_t i = 0; i < space->entries.count; i++)
            if (space->entries.items[i].kind == SPACE_NODE &&
                space->entries.items[i].translator == id)
                return space;
    return NULL;
}

void life_space_dropped(struct fs *fs, uint64_t id)
{
    struct translator *next;

    for (struct translator *translator = fs->translators; translator; translator = next) {
        const struct space *other = translator->active ? named_by(fs, translator->id) : NULL;
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

/* ---- waiting ---- */

void life_tell_waiters(struct translator *translator, int error)
{
    life_hold(translator);
    /* It may be lost while its first request is sent: the others wait for the next. */
    while (translator->waiters && (error || translator->state == TRANSLATOR_RUNNING)) {
        struct waiter *waiter = translator->waiters;
        translator->waiters = waiter->next;
        waiter->translator = NULL;
        waiter->up(waiter, error);
    }
    life_release(translator);
}

void life_tell_stoppers(struct translator *translator, int error)
{
    struct stopper *stoppers = translator->stoppers;

    /* One that is told may well ask again: that is a new turn. */
    translator->stoppers = NULL;
    life_hold(translator);
    while (stoppers) {
        struct stopper *stopper = stoppers;
        stoppers = stopper->next;
        stopper->stopped(stopper, error);
    }
    life_release(translator);
}

void life_await(struct translator *translator, struct waiter *waiter)
{
    struct waiter **link = &translator->waiters;

    waiter->translator = NULL;
    waiter->next = NULL;
    if (translator->forgotten) {
        waiter->up(waiter, ENOENT);
        return;
    }
    if (waiter->guarded && waiter->guarded == translator->pid) {
        waiter->up(waiter, EDEADLK);
        return;
    }
    if (translator->state == TRANSLATOR_RUNNING) {
        waiter->up(waiter, 0);
        return;
    }
    /* Requests that lost a process are tried again in the other order: the one that it answered
     * last, or never, is the likeliest to be its end, and the others shall be answered before. */
    while (!waiter->tried && *link)
        link = &(*link)->next;
    waiter->next = *link;
    *link = waiter;
    waiter->translator = translator;
    if (translator->state == TRANSLATOR_IDLE)
        running_start(translator);
}

void life_unawait(struct waiter *waiter)
{
    struct waiter **link;

    if (!waiter->translator)
        return;
    link = &waiter->translator->waiters;
    while (*link && *link != waiter)
        link = &(*link)->next;
    if (*link)
        *link = waiter->next;
    waiter->translator = NULL;
}

void life_stop(struct translator *translator, struct stopper *stopper)
{
    stopper->next = translator->stoppers;
    translator->stoppers = stopper;
    switch (translator->state) {
    case TRANSLATOR_IDLE:
        if (running_alive(translator))
            running_end(translator);
        else
            life_tell_stoppers(translator, 0);
        break;
    case TRANSLATOR_STARTING: /* ended as soon as init has answered */
    case TRANSLATOR_PAUSING:  /* told when that is over */
    case TRANSLATOR_ENDING:
        break;
    case TRANSLATOR_GREETING:
        running_end(translator);
        break;
    case TRANSLATOR_RUNNING:
        running_go_away(translator);
        break;
    }
}

void life_child_ended(struct port *port, ProtobufCMessage *request, struct msg *raw,
                      struct reply *reply, void *context)
{
    const Hirsel__InitEnd *end = (const Hirsel__InitEnd *)request;
    struct fs *fs = fs_of(context);
    struct translator *translator = fs->translators;

    (void)port;
    (void)raw;
    while (translator && (end->translator == 0 || translator->id != end->translator))
        translator = translator->next;
    /* A pid of 0: one that our former life started, and had no time to write down. */
    if (translator && (translator->pid == (pid_t)end->pid || translator->pid == 0))
        running_ended(translator, end->status);
    if (reply)
        reply_error(reply, 0);
}

/* ---- starting ---- */

static void entries_check(struct fs *fs)
{
    for (struct space *space = fs->spaces; space; space = space->next) {
        for (size_t i = space->entries.count; i-- > 0;) {
            const struct entry *entry = &space->entries.items[i];
            if (entry->kind != SPACE_NODE || life_find(fs, entry->translator))
                continue;
            log_line("%s: what is known of its translator %" PRIu64 " is lost; the node is gone",
                     entry->path, entry->translator);
            char *path = strdup(entry->path);
            if (path)
                space_remove(space, path);
            free(path);
        }
    }
}

static void states_load(struct fs *fs, DIR *directory)
{
    struct dirent *entry;

    while ((entry = readdir(directory))) {
        struct translator *translator;
        int error;
        if (entry->d_name[strspn(entry->d_name, "0123456789")] != '\0')
            continue; /* also what was being written when fs was killed */
        translator = translator_new(fs);
        if (!translator)
            return;
        error = state_read(fs, entry->d_name, translator);
        if (error) {
            log_line("what is known of translator %s: %s", entry->d_name, strerror(error));
            translator_free(translator);
            continue;
        }
        if (translator->pid && !running_alive(translator))
            translator->pid = 0;
        journal_skip(&fs->journal, JOURNAL_TRANSLATORS, translator->id);
        translator_link(fs, translator);
    }
}

/* Directories of translators that were being made or forgotten when fs was killed. */
static void directories_sweep(struct fs *fs, const char *path)
{
    DIR *directory = opendir(path);
    struct dirent *entry;

    while (directory && (entry = readdir(directory))) {
        char *end;
        uint64_t id = strtoull(entry->d_name, &end, 10);
        if (id == 0 || *end || life_find(fs, id))
            continue;
        journal_skip(&fs->journal, JOURNAL_TRANSLATORS, id);
        directory_forget(fs, id);
    }
    if (directory)
        closedir(directory);
}

int life_load(struct fs *fs)
{
    char path[PATH_MAX];
    struct translator *next;
    DIR *directory;
    int error = state_directory(fs, path);

    if (error)
        return error;
    if (mkdir(path, 0700) < 0 && errno != EEXIST)
        return errno;
    directory = opendir(path);
    if (!directory)
        return errno;
    states_load(fs, directory);
    closedir(directory);
    entries_check(fs);
    for (struct translator *translator = fs->translators; translator; translator = next) {
        next = translator->next;
        if (translator->orphan   ? translator->pid == 0
            : translator->active ? !named_by(fs, translator->id)
                                 : !space_find(fs, translator->space))
            life_forget(translator);
    }
    if (snprintf(path, sizeof(path), "%s/nodes", fs->server->directory) >= (int)sizeof(path))
        return ENAMETOOLONG;
    if (mkdir(path, 0700) < 0 && errno != EEXIST)
        return errno;
    directories_sweep(fs, path);
    return 0;
}
