/* The process of a translator, from its start to the first answer. */
#include "servers/life/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proto/init.pb-c.h"
#include "proto/node.pb-c.h"
#include "servers/lib/server.h"

#define SPAWN_TIMEOUT_MS 10000
#define START_TIMEOUT_MS 60000
/* Between a start that failed and the next. */
#define RETRY_SECONDS 1.0

void running_start_failed(struct translator *translator, int error)
{
    translator->state = TRANSLATOR_IDLE;
    translator->error = error;
    translator->failed_at = ev_time();
    translator->deaths = 0;
    life_hold(translator);
    life_tell_stoppers(translator, 0);
    life_tell_waiters(translator, error);
    life_release(translator);
}

static void greeted(int error, struct msg *answer, void *context)
{
    struct translator *translator = context;

    (void)answer;
    if (translator->state != TRANSLATOR_GREETING)
        return;
    switch (error) {
    case ECONNRESET:
    case ECANCELED:
    case ENOTCONN:
    case EPROTO:
        return; /* the hang-up follows */
    case ETIMEDOUT:
        log_line("translator %s (%s) does not answer; it is ended", translator_name(translator),
                 translator->path);
        translator->error = ETIMEDOUT;
        life_hold(translator);
        life_tell_waiters(translator, ETIMEDOUT);
        if (translator->state == TRANSLATOR_GREETING)
            running_end(translator);
        life_release(translator);
        return;
    default:
        break; /* whatever it said, it answers */
    }
    translator->state = TRANSLATOR_RUNNING;
    translator->answered = true;
    translator->error = 0;
    life_tell_waiters(translator, 0);
}

/* A translator asks nothing on the connection that we made. */
static void unasked(struct port *port, struct msg *message, struct reply *reply, void *context)
{
    (void)port;
    (void)message;
    (void)context;
    if (reply)
        reply_error(reply, ENOSYS);
}

static void greet(struct translator *translator)
{
    struct server *server = translator->life->server;
    /* About the translator and not about what it shows: answered even while it still reads what it
     * will show. */
    struct msg hello = {.operation = HIRSEL__NODE_OPERATION__NODE_OPTIONS};
    char path[PATH_MAX];
    int error = 0;

    if (snprintf(path, sizeof(path), "%s/nodes/%" PRIu64 "/port", server->directory,
                 translator->id) >= (int)sizeof(path))
        error = ENAMETOOLONG;
    if (!error)
        error = port_connect_start(server->ports, path, &translator->port);
    if (!error) {
        translator->state = TRANSLATOR_GREETING;
        port_on_message(translator->port, unasked, translator);
        port_on_hangup(translator->port, running_hung_up, translator);
        error = msg_call_start(translator->port, &hello,
                               translator->start_timeout_ms ? translator->start_timeout_ms
                                                            : START_TIMEOUT_MS,
                               greeted, translator, NULL);
    }
    if (!error)
        return;
    /* Refused: it ended before we came, and init closed its socket. Its end is told in a moment. */
    if (error != ECONNREFUSED && error != ENOENT && error != ECONNRESET)
        log_line("cannot reach translator %s (%s): %s", translator_name(translator),
                 translator->path, strerror(error));
    translator->state = TRANSLATOR_GREETING;
    running_lost(translator);
}

/* Requests of the translator's own process for its own node would wait for themselves. */
static void waiters_check(struct translator *translator)
{
    struct waiter *next;

    life_hold(translator);
    for (struct waiter *waiter = translator->waiters; waiter; waiter = next) {
        next = waiter->next;
        if (waiter->guarded == 0 || waiter->guarded != translator->pid)
            continue;
        life_unawait(waiter);
        waiter->up(waiter, EDEADLK);
        next = translator->waiters; /* anything may have changed */
    }
    life_release(translator);
}

static void spawned(int error, ProtobufCMessage *answer, struct msg *raw, void *context)
{
    struct translator *translator = context;
    struct space *space;

    (void)raw;
    life_hold(translator);
    if (error && error != EBUSY) {
        log_line("init did not start translator %s (%s): %s", translator_name(translator),
                 translator->path, strerror(error));
        running_start_failed(translator,
                             error == ENOENT || error == EACCES || error == ENOEXEC ? ENXIO : EIO);
        goto out;
    }
    /* EBUSY: our former life started it and had no time to write down its pid. */
    translator->pid = error ? 0 : (pid_t)((const Hirsel__InitSpawned *)answer)->pid;
    if (process_stat(translator->pid, NULL, &translator->start_time))
        translator->start_time = 0;
    state_save_or_say(translator);
    space = space_find(translator->life->names, translator->space);
    if (space)
        space_mark_nodes(space);
    translator->state = TRANSLATOR_GREETING;
    if (translator->stoppers || translator->forgotten) {
        running_end(translator);
        goto out;
    }
    waiters_check(translator);
    if (translator->state == TRANSLATOR_GREETING && !translator->forgotten)
        greet(translator);
out:
    life_release(translator);
}

/* The host path of its program. */
static int program_of(const struct translator *translator, char path[PATH_MAX])
{
    const struct life *life = translator->life;
    const char *name = translator_name(translator);
    const struct space *space;
    struct walk walk;
    int error;

    if (!strchr(name, '/')) {
        if (name[0] == '.')
            return ENOENT;
        if (snprintf(path, PATH_MAX, "%s/%s", life->installed, name) >= PATH_MAX)
            return ENAMETOOLONG;
    } else {
        space = space_find(life->names, translator->space);
        if (name[0] != '/' || !space)
            return ENOENT;
        error = walk_path(&space->entries, &life->names->seal, getpid(), name, WALK_FOLLOW, &walk);
        if (error)
            return error;
        if (walk.kind != WALK_HOST)
            return EOPNOTSUPP;
        strcpy(path, walk.host);
    }
    return access(path, X_OK) < 0 ? errno : 0;
}

static int spawn(struct translator *translator, char *program, int directory)
{
    Hirsel__InitSpawn spawn = HIRSEL__INIT_SPAWN__INIT;
    ProtobufCBinaryData environment[2];
    ProtobufCBinaryData *command = calloc(translator->record.count, sizeof(*command));
    char *node_directory = NULL, *node_path = NULL;
    const char *slash = strrchr(program, '/');
    int error = ENOMEM;

    if (!command ||
        asprintf(&node_directory, "HIRSEL_NODE_DIRECTORY=%s/nodes/%" PRIu64,
                 translator->life->server->directory, translator->id) < 0 ||
        asprintf(&node_path, "HIRSEL_NODE_PATH=%s", translator->path) < 0)
        goto out;
    command[0] = (ProtobufCBinaryData){.len = strlen(program), .data = (uint8_t *)program};
    for (size_t i = 1; i < translator->record.count; i++)
        command[i] = (ProtobufCBinaryData){.len = strlen(translator->record.command[i]),
                                           .data = (uint8_t *)translator->record.command[i]};
    environment[0] =
        (ProtobufCBinaryData){.len = strlen(node_directory), .data = (uint8_t *)node_directory};
    environment[1] = (ProtobufCBinaryData){.len = strlen(node_path), .data = (uint8_t *)node_path};
    spawn.translator = translator->id;
    spawn.name = (char *)(uintptr_t)(slash + 1);
    spawn.n_command = translator->record.count;
    spawn.command = command;
    spawn.n_environment = 2;
    spawn.environment = environment;
    spawn.space = translator->space;
    translator->state = TRANSLATOR_STARTING;
    error = rpc_call_start(translator->life->server->control, HIRSEL__INIT_OPERATION__INIT_SPAWN,
                           &spawn.base, &directory, 1, &hirsel__init_spawned__descriptor,
                           SPAWN_TIMEOUT_MS, spawned, translator, NULL);
out:
    free(node_path);
    free(node_directory);
    free(command);
    return error;
}

void running_start(struct translator *translator)
{
    char program[PATH_MAX];
    int directory;
    int error;

    if (life_is_alive(translator)) {
        greet(translator);
        return;
    }
    translator->pid = 0;
    if (translator->error && ev_time() - translator->failed_at < RETRY_SECONDS) {
        life_tell_waiters(translator, translator->error);
        return;
    }
    translator->error = 0;
    error = program_of(translator, program);
    if (error) {
        log_line("there is no translator program '%s' for %s: %s", translator_name(translator),
                 translator->path, strerror(error));
        running_start_failed(translator, ENXIO);
        return;
    }
    directory = open(translator->directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
    error = directory < 0 ? errno : spawn(translator, program, directory);
    if (directory >= 0)
        close(directory);
    if (error) {
        log_line("cannot start translator %s in %s: %s", translator_name(translator),
                 translator->directory, strerror(error));
        running_start_failed(translator, EIO);
    }
}
