/* The servers' places: each is filled again whenever its server ends. */
#include "servers/init/init.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "servers/lib/installed.h"
#include "servers/lib/server.h"

/* A server that gets up and is killed again and again is brought back at once, so often in one
 * period; one that does not even get up is given more and more time. */
#define PERIOD_SECONDS 10.0
#define DEATHS_AT_ONCE 100
#define PAUSE_SECONDS 0.2
#define PAUSE_MAX_SECONDS 5.0

static void slot_started(struct child *child, int error);
static void slot_ended(struct child *child, pid_t pid, int status);

static struct slot *slot_of(struct child *child)
{
    return (struct slot *)((char *)child - offsetof(struct slot, child));
}

static void restart_due(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)loop;
    (void)events;
    slot_launch(timer->data);
}

static void socket_asked(struct ev_loop *loop, ev_io *watcher, int events)
{
    (void)loop;
    (void)events;
    slot_want(watcher->data);
}

void slot_want(struct slot *slot)
{
    if (!slot->lazy || slot->wanted || slot->init->phase != STOP_NOT)
        return;
    slot->wanted = true;
    ev_io_stop(slot->init->loop, &slot->asked);
    slot_launch(slot);
}

int slot_open(struct init *init, int which, const char *name, bool lazy)
{
    struct slot *slot = &init->slots[which];
    char path[PATH_MAX];
    int error;

    *slot = (struct slot){.init = init, .name = name, .listening = -1, .lazy = lazy};
    slot->child.exec_pipe = -1;
    ev_timer_init(&slot->restart, restart_due, 0, 0);
    slot->restart.data = slot;
    error = path_make(path, sizeof path, "%s/%s", init->directory, name);
    if (error == 0)
        error = socket_listen(path, &slot->listening);
    ev_io_init(&slot->asked, socket_asked, slot->listening, EV_READ);
    slot->asked.data = slot;
    if (error == 0 && lazy)
        ev_io_start(init->loop, &slot->asked);
    return error;
}

/* Whether the session can be without it. */
static bool slot_is_spare(const struct slot *slot)
{
    return slot->lazy || slot->missing;
}

void slot_kill(struct slot *slot)
{
    if (slot->child.pid > 0)
        kill(slot->child.pid, SIGKILL);
}

static void control_hangup(struct port *port, int error, void *context)
{
    struct slot *slot = context;

    (void)port;
    slot->control = NULL;
    if (error != 0)
        log_line("the channel to %s broke: %s", slot->name, strerror(error));
    /* A server that init can't speak to is none. */
    slot_kill(slot);
}

/* How long the slot stays empty after this death. */
static double slot_pause(struct slot *slot)
{
    ev_tstamp now = ev_now(slot->init->loop);
    double pause = PAUSE_SECONDS;

    if (now >= slot->period + PERIOD_SECONDS) {
        slot->period = now;
        slot->deaths = 0;
    }
    slot->deaths++;
    if (slot->ready)
        return slot->deaths <= DEATHS_AT_ONCE ? 0 : PAUSE_SECONDS;
    if (slot->deaths <= 1)
        return 0;
    for (unsigned i = 2; i < slot->deaths && pause < PAUSE_MAX_SECONDS; i++)
        pause *= 2;
    return pause < PAUSE_MAX_SECONDS ? pause : PAUSE_MAX_SECONDS;
}

static void slot_schedule(struct slot *slot)
{
    double pause;

    if (slot->init->phase != STOP_NOT)
        return;
    pause = slot_pause(slot);
    slot->ready = false;
    slot->restarts++;
    if (pause <= 0) {
        slot_launch(slot);
        return;
    }
    ev_timer_stop(slot->init->loop, &slot->restart);
    ev_timer_set(&slot->restart, pause, 0);
    ev_timer_start(slot->init->loop, &slot->restart);
}

void slot_launch(struct slot *slot)
{
    struct init *init = slot->init;
    char part[64], program[PATH_MAX];
    char *arguments[] = {(char *)slot->name, (char *)init->directory, NULL};
    int ends[2] = {-1, -1};
    int error;

    error = path_make(part, sizeof part, "libexec/hirsel/%s", slot->name);
    if (error == 0)
        error = installed_path(2, part, program, sizeof program);
    if (error == 0 && socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
        error = errno;
    if (error == 0) {
        struct child_plan plan = {.program = program,
                                  .arguments = arguments,
                                  .environment = environ,
                                  .listening = slot->listening,
                                  .control = ends[1],
                                  .directory = -1};

        slot->child.started = slot_started;
        slot->child.ended = slot_ended;
        error = child_start(init, &slot->child, &plan);
    }
    if (ends[1] >= 0)
        close(ends[1]);
    if (error != 0) {
        log_line("cannot start %s: %s", slot->name, strerror(error));
        if (ends[0] >= 0)
            close(ends[0]);
        slot_schedule(slot);
        return;
    }
    /* The server says hello. */
    error = port_adopt(init->ports, ends[0], false, &slot->control);
    if (error != 0) {
        log_line("no channel to %s: %s", slot->name, strerror(error));
        kill(slot->child.pid, SIGKILL);
        return;
    }
    port_on_message(slot->control, control_message, slot);
    port_on_hangup(slot->control, control_hangup, slot);
}

static void slot_started(struct child *child, int error)
{
    struct slot *slot = slot_of(child);

    if (error == 0)
        return;
    log_line("cannot run %s: %s", slot->name, strerror(error));
    if (error == ENOENT && !slot->once_ready) {
        slot->missing = true;
        if (slot == &slot->init->slots[SLOT_TRAP])
            trapped_refuse(slot->init, error);
        incomplete_add(slot->init, "%s is not installed", slot->name);
    }
}

/* What a server said last; an empty string if it said nothing. The log goes with the session. */
static void last_words(const struct init *init, const char *name, char *words, size_t size)
{
    char tail[4096], mark[32], path[PATH_MAX];
    char *line, *rest = NULL;
    ssize_t length;
    int log;

    words[0] = '\0';
    snprintf(mark, sizeof mark, " %s[", name);
    if (path_make(path, sizeof path, "%s/log", init->directory) != 0)
        return;
    log = open(path, O_RDONLY | O_CLOEXEC);
    if (log < 0)
        return;
    if (lseek(log, -(off_t)(sizeof tail - 1), SEEK_END) < 0)
        lseek(log, 0, SEEK_SET);
    length = read(log, tail, sizeof tail - 1);
    close(log);
    tail[length < 0 ? 0 : length] = '\0';
    for (line = strtok_r(tail, "\n", &rest); line != NULL; line = strtok_r(NULL, "\n", &rest)) {
        const char *said = strstr(line, mark) == NULL ? NULL : strstr(line, "]: ");

        if (said != NULL)
            snprintf(words, size, ": %s", said + 3);
    }
}

/* A session that never came up is none: say so instead of trying for ever. What the server said
 * itself tells more than how it ended. */
static void start_fail(const struct slot *slot, const char *how)
{
    struct init *init = slot->init;
    char words[1024], text[1200];

    last_words(init, slot->name, words, sizeof words);
    if (words[0] == '\0')
        snprintf(words, sizeof words, ": %s", how);
    snprintf(text, sizeof text, "%s does not start%s", slot->name, words);
    starter_tell(init, text);
    stop_begin(init, 0, NULL);
}

void slots_give_up(struct init *init)
{
    for (int i = 0; i < SLOT_COUNT; i++) {
        if (init->slots[i].ready || slot_is_spare(&init->slots[i]))
            continue;
        start_fail(&init->slots[i], "it does not come up in time");
        return;
    }
}

static void slot_ended(struct child *child, pid_t pid, int status)
{
    struct slot *slot = slot_of(child);
    struct init *init = slot->init;
    struct port *control = slot->control;
    char how[96];

    (void)pid;
    slot->control = NULL;
    if (control != NULL)
        port_close(control);
    if (init->phase != STOP_NOT) {
        stop_advance(init);
        return;
    }
    if (slot->missing) {
        if (slots_ready(init))
            starter_tell(init, NULL);
        return;
    }
    if (WIFSIGNALED(status))
        snprintf(how, sizeof how, "was ended by signal %d (%s)", WTERMSIG(status),
                 strsignal(WTERMSIG(status)));
    else
        snprintf(how, sizeof how, "ended with status %d", WEXITSTATUS(status));
    log_line("%s %s; it is started again", slot->name, how);
    if (!slot->once_ready && slot->deaths >= 2 && slot->lazy)
        trapped_refuse(init, EIO);
    if (!slot->once_ready && slot->deaths >= 2 && init->notify >= 0 && !slot->lazy) {
        start_fail(slot, how);
        return;
    }
    slot_schedule(slot);
}

bool slots_ready(const struct init *init)
{
    for (int i = 0; i < SLOT_COUNT; i++)
        if (!init->slots[i].ready && !slot_is_spare(&init->slots[i]))
            return false;
    return true;
}

void slots_end(struct init *init, int signal)
{
    for (int i = 0; i < SLOT_COUNT; i++) {
        struct slot *slot = &init->slots[i];

        ev_timer_stop(init->loop, &slot->restart);
        ev_io_stop(init->loop, &slot->asked);
        if (slot->child.pid > 0)
            kill(slot->child.pid, signal);
    }
}
