#include "servers/life/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proto/fs.pb-c.h"
#include "servers/lib/server.h"

#define STATE_MAX (64u << 10)

int state_directory(const struct life *life, char path[PATH_MAX])
{
    int length = snprintf(path, PATH_MAX, "%s/state/translators", life->server->directory);

    return length < PATH_MAX ? 0 : ENAMETOOLONG;
}

static int file_of(const struct translator *translator, const char *end, char path[PATH_MAX])
{
    int length = snprintf(path, PATH_MAX, "%s/state/translators/%" PRIu64 "%s",
                          translator->life->server->directory, translator->id, end);

    return length < PATH_MAX ? 0 : ENAMETOOLONG;
}

static ProtobufCBinaryData bytes_of(char *text)
{
    return (ProtobufCBinaryData){.len = text ? strlen(text) : 0, .data = (uint8_t *)text};
}

static int file_replace(const char *fresh, const char *path, const uint8_t *bytes, size_t length)
{
    ssize_t written;
    int error = 0;
    int descriptor = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    if (descriptor < 0)
        return errno;
    written = write(descriptor, bytes, length);
    if (written != (ssize_t)length)
        error = written < 0 ? errno : ENOSPC;
    close(descriptor);
    if (!error && rename(fresh, path) < 0)
        error = errno;
    if (error)
        unlink(fresh);
    return error;
}

int state_save(const struct translator *translator)
{
    Hirsel__FsState state = HIRSEL__FS_STATE__INIT;
    char kind[] = {translator->record.kind, '\0'};
    char fresh[PATH_MAX], path[PATH_MAX];
    uint8_t *bytes;
    size_t length;
    int error;

    state.translator = translator->id;
    state.space = translator->space;
    state.path = bytes_of(translator->path);
    state.host_path = bytes_of(translator->host_path);
    state.directory = bytes_of(translator->directory);
    state.device_path = bytes_of(translator->record.device);
    state.kind = kind;
    state.active = translator->active;
    state.orphan = translator->orphan;
    state.device = translator->device;
    state.inode = translator->inode;
    state.text = bytes_of(translator->text);
    state.pid = (uint32_t)translator->pid;
    state.start_time = translator->start_time;
    state.told = translator->is_told ? (Hirsel__Attributes *)&translator->told : NULL;
    state.n_command = translator->record.count;
    state.command = calloc(translator->record.count, sizeof(*state.command));
    if (!state.command)
        return ENOMEM;
    for (size_t i = 0; i < translator->record.count; i++)
        state.command[i] = bytes_of(translator->record.command[i]);
    length = hirsel__fs_state__get_packed_size(&state);
    bytes = malloc(length);
    error = bytes ? 0 : ENOMEM;
    if (!error) {
        hirsel__fs_state__pack(&state, bytes);
        error = file_of(translator, "", path);
    }
    if (!error)
        error = file_of(translator, ".new", fresh);
    if (!error)
        error = file_replace(fresh, path, bytes, length);
    free(bytes);
    free(state.command);
    return error;
}

void state_save_or_say(const struct translator *translator)
{
    int error = translator->forgotten ? 0 : state_save(translator);

    if (error)
        log_line("cannot write down translator %" PRIu64 ": %s", translator->id, strerror(error));
}

void state_remove(const struct translator *translator)
{
    char path[PATH_MAX];

    if (!file_of(translator, "", path))
        unlink(path);
}

static char *text_of(ProtobufCBinaryData bytes)
{
    return strndup(bytes.data ? (const char *)bytes.data : "", bytes.len);
}

static int state_fill(const Hirsel__FsState *state, struct translator *translator)
{
    struct record *record = &translator->record;

    if (!state->kind || !strchr("fdp", state->kind[0]) || state->n_command == 0)
        return EBADMSG;
    translator->id = state->translator;
    translator->space = state->space;
    translator->path = text_of(state->path);
    translator->host_path = text_of(state->host_path);
    translator->directory = text_of(state->directory);
    translator->active = state->active;
    translator->orphan = state->orphan;
    translator->device = state->device;
    translator->inode = state->inode;
    translator->text = state->active ? NULL : text_of(state->text);
    translator->pid = (pid_t)state->pid;
    translator->start_time = state->start_time;
    if (state->told)
        told_set(translator, state->told);
    record->kind = state->kind[0];
    record->device = record->kind == 'p' ? text_of(state->device_path) : NULL;
    record->command = calloc(state->n_command + 1, sizeof(char *));
    if (!record->command || !translator->path || !translator->host_path || !translator->directory ||
        (!state->active && !translator->text) || (record->kind == 'p' && !record->device))
        return ENOMEM;
    for (; record->count < state->n_command; record->count++) {
        record->command[record->count] = text_of(state->command[record->count]);
        if (!record->command[record->count])
            return ENOMEM;
    }
    return 0;
}

int state_read(const struct life *life, const char *name, struct translator *translator)
{
    char path[PATH_MAX];
    uint8_t *bytes = NULL;
    struct stat status;
    Hirsel__FsState *state = NULL;
    int descriptor = -1;
    int error = state_directory(life, path);

    if (error)
        return error;
    if (strlen(path) + 1 + strlen(name) >= sizeof(path))
        return ENAMETOOLONG;
    strcat(strcat(path, "/"), name);
    descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (descriptor < 0)
        return errno;
    if (fstat(descriptor, &status) < 0)
        error = errno;
    else if (!S_ISREG(status.st_mode) || status.st_size <= 0 || status.st_size > STATE_MAX)
        error = EBADMSG;
    if (error)
        goto out;
    bytes = malloc((size_t)status.st_size);
    error = ENOMEM;
    if (!bytes)
        goto out;
    error = EBADMSG;
    if (read(descriptor, bytes, (size_t)status.st_size) != status.st_size)
        goto out;
    state = hirsel__fs_state__unpack(NULL, (size_t)status.st_size, bytes);
    if (state)
        error = state_fill(state, translator);
out:
    if (state)
        hirsel__fs_state__free_unpacked(state, NULL);
    free(bytes);
    close(descriptor);
    return error;
}
