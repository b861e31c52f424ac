/* The end of a translator's process, and what comes after it. */
#include "servers/life/internal.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>

#include "proto/init.pb-c.h"
#include "proto/node.pb-c.h"
#include "servers/lib/server.h"

#define GO_AWAY_TIMEOUT_MS 5000
/* After the second death in a row, and doubled after each further one up to the most. */
#define PAUSE_SECONDS 0.01
#define PAUSE_MAX_SECONDS 0.2
/* From a hang-up, or a first signal, to the next signal. */
#define PATIENCE_SECONDS 2.0
/* For the hang-up of a process that has ended: only a child of its could keep the connection. */
#define DRAIN_SECONDS 0.5

bool life_is_alive(const struct translator *translator)
{
    uint64_t start_time;

    return translator->pid > 0 && process_stat(translator->pid, NULL, &start_time) == 0 &&
           start_time == translator->start_time;
}

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
    rpc_call_start(translator->life->server->control, HIRSEL__INIT_OPERATION__INIT_KILL, &kill.base,
                   NULL, 0, NULL, -1, signal_sent, NULL, NULL);
}

/* Why it ended, for the log. init says it of signals. */
static void end_say(const struct translator *translator, int status, bool was_up)
{
    if (!WIFSIGNALED(status))
        log_line("translator %s (%s) ended with status %d%s", translator_name(translator),
                 translator->path, WEXITSTATUS(status),
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

    ev_timer_stop(translator->life->server->loop, &translator->timer);
    ev_timer_stop(translator->life->server->loop, &translator->watch);
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
        running_start_failed(translator, translator->error ? translator->error : EIO);
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
                 translator_name(translator), translator->path);
        process_forget(translator, 0);
        return;
    }
    timer_set(translator, PATIENCE_SECONDS);
}

static void timer_set(struct translator *translator, double seconds)
{
    struct ev_loop *loop = translator->life->server->loop;

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
        ev_timer_stop(translator->life->server->loop, &translator->timer);
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

void running_lost(struct translator *translator)
{
    if (translator->state != TRANSLATOR_GREETING && translator->state != TRANSLATOR_RUNNING)
        return;
    translator->state = TRANSLATOR_ENDING;
    timer_set(translator, PATIENCE_SECONDS);
}

void running_hung_up(struct port *port, int error, void *context)
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
                 translator_name(translator), translator->path, strerror(error));
        running_end(translator);
    } else {
        running_lost(translator);
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
