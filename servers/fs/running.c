#include "servers/fs/running.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "servers/fs/space.h"
#include "servers/fs/state.h"
#include "servers/fs/walk.h"

#define SPAWN_TIMEOUT_MS 10000
#define START_TIMEOUT_MS 60000
#define GO_AWAY_TIMEOUT_MS 5000
/* Between a start that failed and the next. */
#define RETRY_SECONDS 1.0
/* After the second death in a row, and doubled after each further one up to the most. */
#define PAUSE_SECONDS 0.01
#define PAUSE_MAX_SECONDS 0.2
/* From a hang-up, or a first signal, to the next signal. */
#define PATIENCE_SECONDS 2.0
/* While a translator has requests in hand it is asked so often whether it is there at all, and has
 * so long to say it: filling a file may take as long as it wants, hanging may not. */
#define WATCH_SECONDS 10.0
#define WATCH_TIMEOUT_MS 20000
/* For the hang-up of a process that has ended: only a child of its could keep the connection. */
#define DRAIN_SECONDS 0.5

static const char *name_of(const struct translator *translator)
{
    return translator->record.command[0];
}

static void state_save_or_say(const struct translator *translator)
{
    int error = translator->forgotten ? 0 : state_save(translator);

    if (error)
        log_line("cannot write down translator %" PRIu64 ": %s", translator->id, strerror(error));
}

static void start_failed(struct translator *translator, int error)
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

bool running_alive(const struct translator *translator)
{
    uint64_t start_time;

    return translator->pid > 0 && process_stat(translator->pid, NULL, &start_time) == 0 &&
           start_time == translator->start_time;
}

/* ---- the end ---- */

static void timer_set(struct translator *translator, double seconds);

/* The answer says nothing new: the process's end does. */
static void signal_sent(int error, ProtobufCMessage *answer, struct msg *raw, void *context)
{
    (void)error;
    (void)answer;
    (void)raw;
    (void)context;
}

static void signal_send(struct translator *translator, int signal_number)
{
    Hirsel__InitKill kill = HIRSEL__INIT_KILL__INIT;

    kill.translator = translator->id;
    kill.signal = (uint32_t)signal_number;
    rpc_call_start(translator->fs->server->control, HIRSEL__INIT_OPERATION__INIT_KILL, &kill.base,
                   NULL, 0, NULL, -1, signal_sent, NULL, NULL);
}

/* Why it ended, for the log. init says it of signals. */
static void end_say(const struct translator *translator, int status, bool was_up)
{
    if (!WIFSIGNALED(status))
        log_line("translator %s (%s) ended with status %d%s", name_of(translator), translator->path,
                 WEXITSTATUS(status),
                 was_up ? "; it is started again when needed" : " before it answered");
}

static void pause_over(struct translator *translator)
{
    translator->state = TRANSLATOR_IDLE;
    life_hold(translator);
    life_tell_stoppers(translator, 0);
    if (translator->state == TRANSLATOR_IDLE && translator->waiters)
        running_start(translator);
    life_release(translator);
}

/* Its process died in the hands of those who wait, who are to get the next one: at once after the
 * first death; what makes several die may pass, if it is given a moment. */
static void start_again(struct translator *translator)
{
    double pause = PAUSE_SECONDS;

    if (!translator->waiters) {
        translator->deaths = 0;
        return;
    }
    if (++translator->deaths <= 1) {
        running_start(translator);
        return;
    }
    for (unsigned i = 2; i < translator->deaths && pause < PAUSE_MAX_SECONDS; i++)
        pause *= 2;
    translator->state = TRANSLATOR_PAUSING;
    timer_set(translator, pause < PAUSE_MAX_SECONDS ? pause : PAUSE_MAX_SECONDS);
}

/* A translator that ends by itself before it was up says that it can't start, and those who wait
 * are told so. A crash says nothing; nor does the end of one whose predecessor was up. */
static bool is_accident(const struct translator *translator, int status, bool was_up, bool asked)
{
    if (was_up)
        return true;
    return !asked && (WIFSIGNALED(status) || translator->deaths > 0) &&
           translator->deaths + 1 < LIFE_TRIES;
}

static void process_forget(struct translator *translator, int status)
{
    bool was_up = translator->answered;
    bool asked = translator->stoppers || translator->forgotten || translator->signals > 0;
    bool accident = is_accident(translator, status, was_up, asked);
    struct port *port = translator->port;

    ev_timer_stop(translator->fs->server->loop, &translator->timer);
    ev_timer_stop(translator->fs->server->loop, &translator->watch);
    translator->pid = 0;
    translator->signals = 0;
    translator->exited = false;
    translator->answered = false;
    if (!asked)
        end_say(translator, status, was_up);
    /* What was in its hands comes back and waits: not yet for a new one. */
    translator->state = TRANSLATOR_ENDING;
    translator->port = NULL;
    life_hold(translator);
    if (port)
        port_close(port);
    translator->hangs = false;
    translator->state = TRANSLATOR_IDLE;
    if (translator->orphan)
        life_forget(translator);
    state_save_or_say(translator);
    life_tell_stoppers(translator, 0);
    if (translator->state == TRANSLATOR_IDLE && accident)
        start_again(translator);
    else if (translator->state == TRANSLATOR_IDLE)
        start_failed(translator, translator->error ? translator->error : EIO);
    life_release(translator);
}

static void timer_over(struct ev_loop *loop, ev_timer *timer, int events)
{
    struct translator *translator = timer->data;

    (void)loop;
    (void)events;
    if (translator->state == TRANSLATOR_PAUSING) {
        pause_over(translator);
        return;
    }
    if (translator->exited) {
        process_forget(translator, translator->status);
        return;
    }
    switch (translator->signals++) {
    case 0:
        signal_send(translator, SIGTERM);
        break;
    case 1:
        signal_send(translator, SIGKILL);
        break;
    default:
        log_line("translator %s (%s) does not end by SIGKILL; another is started when needed",
                 name_of(translator), translator->path);
        process_forget(translator, 0);
        return;
    }
    timer_set(translator, PATIENCE_SECONDS);
}

static void timer_set(struct translator *translator, double seconds)
{
    struct ev_loop *loop = translator->fs->server->loop;

    ev_timer_stop(loop, &translator->timer);
    ev_timer_init(&translator->timer, timer_over, seconds, 0.0);
    translator->timer.data = translator;
    ev_timer_start(loop, &translator->timer);
}

void running_end(struct translator *translator)
{
    struct port *port = translator->port;

    if (translator->state == TRANSLATOR_STARTING)
        return; /* spawned() sees to it: before init's answer there is nobody to signal */
    if (translator->state == TRANSLATOR_PAUSING) {
        ev_timer_stop(translator->fs->server->loop, &translator->timer);
        pause_over(translator);
        return;
    }
    translator->state = TRANSLATOR_ENDING;
    translator->port = NULL;
    if (translator->signals == 0) {
        translator->signals = 1;
        signal_send(translator, SIGTERM);
        timer_set(translator, PATIENCE_SECONDS);
    }
    if (port)
        port_close(port);
}

void running_ended(struct translator *translator, int status)
{
    if (translator->state == TRANSLATOR_STARTING || translator->state == TRANSLATOR_PAUSING)
        return; /* one that we had given up */
    if (translator->state == TRANSLATOR_IDLE) {
        /* Of our former life, and not used since. */
        translator->pid = 0;
        if (translator->orphan)
            life_forget(translator);
        else
            state_save_or_say(translator);
        return;
    }
    /* What it sent before its end is still to be read; a hang-up follows. Nobody's connection that
     * was never accepted: init holds the listening end, so there is no hang-up to wait for. */
    if (translator->port && translator->state == TRANSLATOR_RUNNING) {
        translator->state = TRANSLATOR_ENDING;
        translator->exited = true;
        translator->status = status;
        timer_set(translator, DRAIN_SECONDS);
        return;
    }
    process_forget(translator, status);
}

void life_lost(struct translator *translator)
{
    if (translator->state != TRANSLATOR_GREETING && translator->state != TRANSLATOR_RUNNING)
        return;
    translator->state = TRANSLATOR_ENDING;
    timer_set(translator, PATIENCE_SECONDS);
}

static void hung_up(struct port *port, int error, void *context)
{
    struct translator *translator = context;

    (void)port;
    translator->port = NULL;
    if (translator->exited) {
        process_forget(translator, translator->status);
        return;
    }
    if (error) {
        log_line("translator %s (%s) broke the rules of the bus: %s; it is ended",
                 name_of(translator), translator->path, strerror(error));
        running_end(translator);
    } else {
        life_lost(translator);
    }
}

/* ---- the start ---- */

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
        log_line("translator %s (%s) does not answer; it is ended", name_of(translator),
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

/* ---- the watch ---- */

static void watch_answered(int error, struct msg *answer, void *context)
{
    struct translator *translator = context;

    (void)answer;
    translator->greets = false;
    if (error != ETIMEDOUT || translator->state != TRANSLATOR_RUNNING)
        return;
    log_line("translator %s (%s) hangs; it is ended", name_of(translator), translator->path);
    translator->hangs = true;
    running_end(translator);
}

static void watch_over(struct ev_loop *loop, ev_timer *timer, int events)
{
    struct translator *translator = timer->data;
    struct msg hello = {.operation = HIRSEL__NODE_OPERATION__NODE_OPTIONS};

    (void)events;
    if (translator->in_hand == 0 || translator->state != TRANSLATOR_RUNNING)
        ev_timer_stop(loop, timer);
    else if (!translator->greets)
        translator->greets = msg_call_start(translator->port, &hello, WATCH_TIMEOUT_MS,
                                            watch_answered, translator, NULL) == 0;
}

void life_watch(struct translator *translator)
{
    if (ev_is_active(&translator->watch))
        return;
    ev_timer_init(&translator->watch, watch_over, WATCH_SECONDS, WATCH_SECONDS);
    translator->watch.data = translator;
    ev_timer_start(translator->fs->server->loop, &translator->watch);
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
    struct server *server = translator->fs->server;
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
        port_on_hangup(translator->port, hung_up, translator);
        error = msg_call_start(translator->port, &hello,
                               translator->start_timeout_ms ? translator->start_timeout_ms
                                                            : START_TIMEOUT_MS,
                               greeted, translator, NULL);
    }
    if (!error)
        return;
    /* Refused: it ended before we came, and init closed its socket. Its end is told in a moment. */
    if (error != ECONNREFUSED && error != ENOENT && error != ECONNRESET)
        log_line("cannot reach translator %s (%s): %s", name_of(translator), translator->path,
                 strerror(error));
    translator->state = TRANSLATOR_GREETING;
    life_lost(translator);
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
        log_line("init did not start translator %s (%s): %s", name_of(translator), translator->path,
                 strerror(error));
        start_failed(translator,
                     error == ENOENT || error == EACCES || error == ENOEXEC ? ENXIO : EIO);
        goto out;
    }
    /* EBUSY: our former life started it and had no time to write down its pid. */
    translator->pid = error ? 0 : (pid_t)((const Hirsel__InitSpawned *)answer)->pid;
    if (process_stat(translator->pid, NULL, &translator->start_time))
        translator->start_time = 0;
    state_save_or_say(translator);
    space = space_find(translator->fs, translator->space);
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
    const struct fs *fs = translator->fs;
    const char *name = name_of(translator);
    const struct space *space;
    struct walk walk;
    int error;

    if (!strchr(name, '/')) {
        if (name[0] == '.')
            return ENOENT;
        if (snprintf(path, PATH_MAX, "%s/%s", fs->installed, name) >= PATH_MAX)
            return ENAMETOOLONG;
    } else {
        space = space_find(fs, translator->space);
        if (name[0] != '/' || !space)
            return ENOENT;
        error = walk_path(&space->entries, &fs->seal, getpid(), name, WALK_FOLLOW, &walk);
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
                 translator->fs->server->directory, translator->id) < 0 ||
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
    error = rpc_call_start(translator->fs->server->control, HIRSEL__INIT_OPERATION__INIT_SPAWN,
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

    if (running_alive(translator)) {
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
        log_line("there is no translator program '%s' for %s: %s", name_of(translator),
                 translator->path, strerror(error));
        start_failed(translator, ENXIO);
        return;
    }
    directory = open(translator->directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
    error = directory < 0 ? errno : spawn(translator, program, directory);
    if (directory >= 0)
        close(directory);
    if (error) {
        log_line("cannot start translator %s in %s: %s", name_of(translator), translator->directory,
                 strerror(error));
        start_failed(translator, EIO);
    }
}

/* ---- going away ---- */

static void went(int error, struct msg *answer, void *context)
{
    struct translator *translator = context;
    bool force = false;

    (void)answer;
    for (const struct stopper *stopper = translator->stoppers; stopper; stopper = stopper->next)
        force |= stopper->force;
    if (translator->state != TRANSLATOR_RUNNING)
        return; /* its end is under way, and those who wait are told of that */
    if ((error == EBUSY || error == ETIMEDOUT) && !force)
        life_tell_stoppers(translator, error);
    else if (translator->stoppers)
        running_end(translator);
}

void running_go_away(struct translator *translator)
{
    Hirsel__NodeRequest request = HIRSEL__NODE_REQUEST__INIT;
    struct msg message = {.operation = HIRSEL__NODE_OPERATION__NODE_GO_AWAY};
    uint8_t body[32];
    int error;

    request.space = translator->space;
    for (const struct stopper *stopper = translator->stoppers; stopper; stopper = stopper->next)
        request.flags |= stopper->force;
    message.body = body;
    message.length = hirsel__node_request__pack(&request, body);
    error = msg_call_start(translator->port, &message, GO_AWAY_TIMEOUT_MS, went, translator, NULL);
    if (error)
        running_end(translator);
}
