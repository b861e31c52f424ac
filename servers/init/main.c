/* init: the guard of a session. It makes the session's directory, holds its sockets and its lock,
 * starts the servers and starts them again, starts translators, reaps, and at the end cleans up.
 * It is started by hirsel start and hirsel run:
 *
 *   init NOTIFY once|stay DIRECTORY
 *
 * NOTIFY is the writing end of a pipe on which one line says "up" and what is incomplete, or why
 * not. A session made `once` lives by it: it ends when the pipe has no reader left and no process
 * tree was opened, so that a starter that was killed, at whatever moment, leaves nothing. */
#include "servers/init/init.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "servers/lib/directory.h"
#include "servers/lib/server.h"

#define BACKLOG 4096
/* At the end, for programs that react to SIGTERM slowly. */
#define GRACE_MS 2000
#define NOTIFY_DESCRIPTOR 3
/* In which all servers must be up. */
#define START_SECONDS 20.0

int path_make(char *buffer, size_t size, const char *format, ...)
{
    va_list arguments;
    int length;

    va_start(arguments, format);
    length = vsnprintf(buffer, size, format, arguments);
    va_end(arguments);
    return length < 0 || (size_t)length >= size ? ENAMETOOLONG : 0;
}

int socket_listen(const char *path, int *descriptor)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int listening;

    if (strlen(path) >= sizeof address.sun_path)
        return ENAMETOOLONG;
    memcpy(address.sun_path, path, strlen(path));
    listening = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (listening < 0)
        return errno;
    unlink(path);
    if (bind(listening, (struct sockaddr *)&address, sizeof address) != 0 ||
        listen(listening, BACKLOG) != 0) {
        int error = errno;

        close(listening);
        return error;
    }
    *descriptor = listening;
    return 0;
}

void starter_tell(struct init *init, const char *failure)
{
    char text[PATH_MAX];
    ssize_t written;

    if (init->notify < 0)
        return;
    snprintf(text, sizeof text, "%s%s\n", failure == NULL ? "up " : "",
             failure == NULL ? init->incomplete : failure);
    written = write(init->notify, text, strlen(text));
    close(init->notify);
    init->notify = -1;
    if (written < 0)
        log_line("the starter did not wait: %s", strerror(errno));
}

void incomplete_add(struct init *init, const char *format, ...)
{
    char text[sizeof init->incomplete];
    size_t used = strlen(init->incomplete);
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    log_line("incomplete: %s", text);
    snprintf(init->incomplete + used, sizeof init->incomplete - used, "%s%s", used > 0 ? "; " : "",
             text);
}

static int inner_make(const struct init *init)
{
    static const char *const directories[] = {"spaces", "spaces/0", "spaces/0/lib", "nodes",
                                              "state"};
    char path[PATH_MAX];

    for (size_t i = 0; i < sizeof directories / sizeof directories[0]; i++) {
        int error = path_make(path, sizeof path, "%s/%s", init->directory, directories[i]);

        if (error == 0 && mkdir(path, 0700) != 0)
            error = errno;
        if (error != 0)
            return error;
    }
    return 0;
}

/* Standard input and output on nothing. */
static int nothing_open(void)
{
    int nothing = open("/dev/null", O_RDWR | O_CLOEXEC);
    int error = 0;

    if (nothing < 0)
        return errno;
    if (dup2(nothing, STDIN_FILENO) < 0 || dup2(nothing, STDOUT_FILENO) < 0)
        error = errno;
    close(nothing);
    return error;
}

/* Standard error on the log. */
static int log_open(const struct init *init)
{
    char path[PATH_MAX];
    int log;
    int error = path_make(path, sizeof path, "%s/log", init->directory);

    if (error != 0)
        return error;
    log = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (log < 0 || dup2(log, STDERR_FILENO) < 0)
        error = errno;
    if (log >= 0)
        close(log);
    return error;
}

static void child_signalled(struct ev_loop *loop, ev_signal *watcher, int events)
{
    (void)loop;
    (void)events;
    children_reap(watcher->data);
}

static void end_signalled(struct ev_loop *loop, ev_signal *watcher, int events)
{
    (void)loop;
    (void)events;
    log_line("signal %d ends the session", watcher->signum);
    stop_begin(watcher->data, GRACE_MS, NULL);
}

void lease_end(struct init *init)
{
    if (init->lease < 0)
        return;
    ev_io_stop(init->loop, &init->lease_watcher);
    close(init->lease);
    init->lease = -1;
}

static void lease_broken(struct ev_loop *loop, ev_io *watcher, int events)
{
    struct init *init = watcher->data;

    (void)loop;
    (void)events;
    lease_end(init);
    log_line("nobody is left to use this one-shot session");
    stop_begin(init, 0, NULL);
}

static void start_passed(struct ev_loop *loop, ev_timer *timer, int events)
{
    struct init *init = timer->data;

    (void)loop;
    (void)events;
    if (init->notify >= 0 && init->phase == STOP_NOT)
        slots_give_up(init);
}

static void signal_watch(struct init *init, ev_signal *watcher,
                         void (*run)(struct ev_loop *, ev_signal *, int), int number)
{
    ev_signal_init(watcher, run, number);
    watcher->data = init;
    ev_signal_start(init->loop, watcher);
}

static int loop_open(struct init *init)
{
    init->loop = ev_loop_new(EVFLAG_AUTO);
    if (init->loop == NULL)
        return ENOMEM;
    init->ports = port_set_new(init->loop);
    if (init->ports == NULL)
        return ENOMEM;
    port_set_limit(init->ports, 0, 4096, 0);
    signal(SIGPIPE, SIG_IGN);
    signal_watch(init, &init->child_ended, child_signalled, SIGCHLD);
    signal_watch(init, &init->terminate, end_signalled, SIGTERM);
    signal_watch(init, &init->interrupt, end_signalled, SIGINT);
    signal_watch(init, &init->hangup, end_signalled, SIGHUP);
    /* A pipe's writer is told by POLLERR, whatever it watches for, that there is no reader. */
    ev_io_init(&init->lease_watcher, lease_broken, init->lease, EV_READ);
    init->lease_watcher.data = init;
    if (init->lease >= 0)
        ev_io_start(init->loop, &init->lease_watcher);
    ev_timer_init(&init->start_timer, start_passed, START_SECONDS, 0);
    init->start_timer.data = init;
    ev_timer_start(init->loop, &init->start_timer);
    return 0;
}

static int servers_start(struct init *init)
{
    static const char *const names[SLOT_COUNT] = {
        [SLOT_FS] = "fs", [SLOT_PROC] = "proc", [SLOT_NET] = "net", [SLOT_TRAP] = "trap"};
    int error = 0;

    /* All sockets before the first server: they may speak to each other from the start. */
    for (int i = 0; i < SLOT_COUNT && error == 0; i++)
        error = slot_open(init, i, names[i], i == SLOT_TRAP);
    for (int i = 0; i < SLOT_COUNT && error == 0; i++)
        if (!init->slots[i].lazy)
            slot_launch(&init->slots[i]);
    return error;
}

static void waiters_answer(struct init *init)
{
    while (init->stop_waiters != NULL) {
        struct stop_waiter *waiter = init->stop_waiters;

        init->stop_waiters = waiter->next;
        reply_error(waiter->reply, 0);
        free(waiter);
    }
}

static void session_end(struct init *init)
{
    int error;

    trapped_close(init);
    roots_close(init);
    confinements_free(init);
    kept_close(init);
    error = directory_give_up(init->directory);
    if (error != 0)
        log_line("cannot remove %s: %s", init->directory, strerror(error));
    close(init->lock);
    waiters_answer(init);
    port_set_free(init->ports);
    ev_loop_destroy(init->loop);
}

/* Says what could not be had for the session. */
static int begin_step(struct init *init, int error, const char *what)
{
    char text[PATH_MAX];

    if (error != 0) {
        snprintf(text, sizeof text, "%s: %s", what, strerror(error));
        starter_tell(init, text);
    }
    return error;
}

static int session_begin(struct init *init)
{
    const char *unfit = directory_unfit(init->directory);
    bool stale = false;
    int error;

    if (unfit != NULL) {
        char text[PATH_MAX + 128];

        snprintf(text, sizeof text, "%s: %s", init->directory, unfit);
        starter_tell(init, text);
        return EINVAL;
    }
    error = directory_lock(init->directory, &init->lock, &stale);
    if (error == EBUSY) {
        starter_tell(init, "it exists already (hirsel attach opens a shell in it)");
        return error;
    }
    if (begin_step(init, error, init->directory) != 0)
        return error;
    error = nothing_open();
    if (begin_step(init, error, "/dev/null") != 0)
        return error;
    error = log_open(init);
    if (begin_step(init, error, "its log") != 0)
        return error;
    if (stale)
        log_line("an earlier session of this name had been killed; cleaned up after it");
    error = inner_make(init);
    if (begin_step(init, error, init->directory) != 0)
        return error;
    error = loop_open(init);
    if (error == 0)
        error = public_open(init);
    if (error == 0)
        error = servers_start(init);
    return begin_step(init, error, "its servers");
}

int main(int argc, char **argv)
{
    struct init init = {.lock = -1, .notify = -1, .lease = -1, .started = time(NULL)};
    int error;

    log_name("init");
    if (argc != 4 || argv[3][0] != '/') {
        fprintf(stderr, "init is started by hirsel start and hirsel run: see hirsel-init(8)\n");
        return EXIT_FAILURE;
    }
    /* Nothing of the starter's but the one descriptor, wherever that is. */
    if (dup2(atoi(argv[1]), NOTIFY_DESCRIPTOR) < 0)
        return EXIT_FAILURE;
    fcntl(NOTIFY_DESCRIPTOR, F_SETFD, FD_CLOEXEC);
    close_range(NOTIFY_DESCRIPTOR + 1, ~0u, 0);
    init.notify = NOTIFY_DESCRIPTOR;
    init.once = strcmp(argv[2], "once") == 0;
    if (init.once) {
        init.lease = fcntl(NOTIFY_DESCRIPTOR, F_DUPFD_CLOEXEC, NOTIFY_DESCRIPTOR + 1);
        if (init.lease < 0)
            return EXIT_FAILURE;
    }
    init.directory = argv[3];
    init.name = strrchr(argv[3], '/') + 1;
    init.umask_before = umask(077);
    setsid();
    if (chdir("/") != 0 || prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0) {
        starter_tell(&init, strerror(errno));
        return EXIT_FAILURE;
    }
    server_raise_descriptors(&init.files_before);
    error = session_begin(&init);
    if (error != 0) {
        starter_tell(&init, strerror(error));
        slots_end(&init, SIGKILL);
        if (init.lock >= 0)
            directory_give_up(init.directory);
        return EXIT_FAILURE;
    }
    log_line("session %s begins", init.name);
    copy_begin(&init);
    libc_watch(&init);
    ev_run(init.loop, 0);
    log_line("session %s ends", init.name);
    session_end(&init);
    return EXIT_SUCCESS;
}
