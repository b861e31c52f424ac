/* A translator's directory: SESSION/nodes/ID. */
#include "servers/life/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proto/init.pb-c.h"
#include "servers/lib/server.h"

static int directory_of(const struct life *life, uint64_t id, const char *rest, char path[PATH_MAX])
{
    int length =
        snprintf(path, PATH_MAX, "%s/nodes/%" PRIu64 "%s", life->server->directory, id, rest);

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
        return directory_of(translator->life, translator->id, "/tree", path);
    default:
        return directory_of(translator->life, translator->id, "/file", path);
    }
}

/* The node's name in its space, as the text of nodes/ID/name: by it the shims name what is open or
 * current below the node. */
static int name_write(const struct translator *translator)
{
    char path[PATH_MAX], fresh[PATH_MAX];
    int error = directory_of(translator->life, translator->id, "/name", path);

    if (!error)
        error = directory_of(translator->life, translator->id, "/name.new", fresh);
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

int node_directory_make(const struct translator *translator)
{
    char path[PATH_MAX];
    int error = directory_of(translator->life, translator->id, "", path);

    if (error)
        return error;
    if (mkdir(path, 0700) < 0 && errno != EEXIST)
        return errno;
    error = stand_in_make(translator);
    return error ? error : name_write(translator);
}

/* Nobody waits for the answer. */
static void told(int error, ProtobufCMessage *answer, struct msg *raw, void *context)
{
    (void)error;
    (void)answer;
    (void)raw;
    (void)context;
}

void node_directory_forget(const struct life *life, uint64_t id)
{
    Hirsel__InitKill forgotten = HIRSEL__INIT_KILL__INIT;
    int error;

    forgotten.translator = id;
    error = rpc_call_start(life->server->control, HIRSEL__INIT_OPERATION__INIT_FORGET,
                           &forgotten.base, NULL, 0, NULL, -1, told, NULL, NULL);
    if (error)
        log_line("cannot tell init to forget translator %" PRIu64 ": %s", id, strerror(error));
}
