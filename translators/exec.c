/* exec: a file that holds what a command prints, run anew at each open. Opens at the same time each
 * have a run of their own. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/queue.h>
#include <sys/wait.h>
#include <unistd.h>

#include <ev.h>

#include "translators/lib/translator.h"

#define TIMEOUT_DEFAULT 60
#define SIZE_DEFAULT (256ull << 20)
/* At once; further opens wait for their turn. */
#define RUNS_MAX 64
/* Between SIGTERM and SIGKILL. */
#define GRACE_SECONDS 2.
#define READS_AT_ONCE 16

struct run {
    TAILQ_ENTRY(run) entry;
    struct exec *exec;
    struct request *request; /* NULL: cancelled */
    struct content *content;
    pid_t pid;
    int output;  /* the command's standard output */
    int refusal; /* what execvp said, if it failed */
    int status;  /* as wait(2) gives it */
    int error;   /* why the run was ended early */
    uint64_t size;
    bool ended, killed;
    ev_io readable;
    ev_child child;
    ev_timer deadline;
};

TAILQ_HEAD(run_list, run);

struct exec {
    char **command;
    uint64_t timeout_seconds; /* 0: none */
    uint64_t max_size;
    struct run_list running, waiting;
    unsigned count; /* of running */
};

static void run_start(struct run *run);

static void run_free(struct run *run)
{
    struct ev_loop *loop = translator_loop();

    ev_io_stop(loop, &run->readable);
    ev_child_stop(loop, &run->child);
    ev_timer_stop(loop, &run->deadline);
    if (run->output >= 0)
        close(run->output);
    if (run->refusal >= 0)
        close(run->refusal);
    content_drop(run->content);
    free(run);
}

/* A run has left the list of running ones: there is room for the next. */
static void next_start(struct exec *exec)
{
    struct run *run;

    while (exec->count < RUNS_MAX && (run = TAILQ_FIRST(&exec->waiting))) {
        TAILQ_REMOVE(&exec->waiting, run, entry);
        run_start(run);
    }
}

/* Why a command that ran gives no content; 0: it gives what it printed, and the log tells if it did
 * not end well. */
static int run_judge(struct run *run)
{
    const char *name = run->exec->command[0];
    int refusal = 0;

    if (run->refusal >= 0 && read(run->refusal, &refusal, sizeof(refusal)) == sizeof(refusal)) {
        translator_log("can't run %s: %s", name, strerror(refusal));
        return EIO;
    }
    if (run->error != 0)
        return run->error;
    if (WIFSIGNALED(run->status)) {
        translator_log("%s was ended by signal %d", name, WTERMSIG(run->status));
        return run->size == 0 ? EIO : 0;
    }
    if (WEXITSTATUS(run->status) != 0)
        translator_log("%s ended with status %d", name, WEXITSTATUS(run->status));
    return 0;
}

static void run_finish(struct run *run)
{
    struct exec *exec = run->exec;

    TAILQ_REMOVE(&exec->running, run, entry);
    exec->count--;
    if (run->request) {
        int error = run_judge(run);

        if (error != 0) {
            request_done(run->request, error);
        } else {
            request_content(run->request, run->content);
            run->content = NULL;
        }
    }
    run_free(run);
    next_start(exec);
}

/* Over once the command has ended and nobody can print any more, as in a shell's $(...). */
static void run_check(struct run *run)
{
    if (run->ended && run->output < 0)
        run_finish(run);
}

static void output_close(struct run *run)
{
    ev_io_stop(translator_loop(), &run->readable);
    if (run->output >= 0)
        close(run->output);
    run->output = -1;
}

/* The whole group, since it was started in a session of its own. First kindly. */
static void run_kill(struct run *run, int error)
{
    if (run->error == 0)
        run->error = error;
    kill(-run->pid, run->killed ? SIGKILL : SIGTERM);
    if (run->killed) {
        /* Who left the group may print for ever: not to us. */
        output_close(run);
        run_check(run);
        return;
    }
    run->killed = true;
    ev_timer_stop(translator_loop(), &run->deadline);
    ev_timer_set(&run->deadline, GRACE_SECONDS, 0.);
    ev_timer_start(translator_loop(), &run->deadline);
}

static void deadline_passed(struct ev_loop *loop, ev_timer *watcher, int events)
{
    struct run *run = watcher->data;

    (void)loop, (void)events;
    if (!run->killed)
        translator_log("%s has not ended after %" PRIu64 " seconds: ended now",
                       run->exec->command[0], run->exec->timeout_seconds);
    run_kill(run, ETIMEDOUT);
}

static void output_readable(struct ev_loop *loop, ev_io *watcher, int events)
{
    struct run *run = watcher->data;
    char bytes[16384];

    (void)loop, (void)events;
    for (int i = 0; i < READS_AT_ONCE; i++) {
        ssize_t got = read(run->output, bytes, sizeof(bytes));

        if (got < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        if (got <= 0) {
            output_close(run);
            run_check(run);
            return;
        }
        /* What comes after the end was decided on is taken from the pipe and thrown away. */
        if (run->error != 0)
            continue;
        run->size += (uint64_t)got;
        errno = ENOSPC;
        if (run->size > run->exec->max_size) {
            translator_log("%s printed more than %" PRIu64 " bytes: ended now",
                           run->exec->command[0], run->exec->max_size);
            run_kill(run, EFBIG);
        } else if (write(content_descriptor(run->content), bytes, (size_t)got) != got) {
            run_kill(run, errno);
        }
    }
}

static void child_ended(struct ev_loop *loop, ev_child *watcher, int events)
{
    struct run *run = watcher->data;

    (void)events;
    ev_child_stop(loop, watcher);
    run->status = watcher->rstatus;
    run->ended = true;
    run_check(run);
}

static void run_cancelled(struct request *request, void *context)
{
    struct run *run = context;

    run->request = NULL;
    request_done(request, ECANCELED);
    if (run->pid != 0) {
        run_kill(run, ECANCELED);
    } else {
        TAILQ_REMOVE(&run->exec->waiting, run, entry);
        run_free(run);
    }
}

/* Between fork and exec: no return. */
static _Noreturn void command_become(const struct run *run, int output, int refusal, pid_t parent)
{
    sigset_t none;
    int input = open("/dev/null", O_RDONLY);
    int error;

    /* A translator that is killed takes its commands with it. */
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(127);
    setsid();
    umask(translator_mask());
    for (int number = 1; number < NSIG; number++)
        signal(number, SIG_DFL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    if (input < 0 || dup2(input, STDIN_FILENO) < 0 || dup2(output, STDOUT_FILENO) < 0)
        _exit(127);
    if (input > STDERR_FILENO)
        close(input);
    execvp(run->exec->command[0], run->exec->command);
    error = errno;
    if (write(refusal, &error, sizeof(error)) < 0)
        _exit(126);
    _exit(127);
}

static int run_fork(struct run *run)
{
    pid_t parent = getpid();
    int output[2] = {-1, -1}, refusal[2] = {-1, -1};
    int error = 0;

    if (pipe2(output, O_CLOEXEC) != 0 || pipe2(refusal, O_CLOEXEC | O_NONBLOCK) != 0 ||
        fcntl(output[0], F_SETFL, O_NONBLOCK) != 0) {
        error = errno;
        goto out;
    }
    run->pid = fork();
    if (run->pid == 0)
        command_become(run, output[1], refusal[1], parent);
    if (run->pid < 0) {
        error = errno;
        run->pid = 0;
        goto out;
    }
    run->output = output[0];
    run->refusal = refusal[0];
    output[0] = refusal[0] = -1;
out:
    for (int i = 0; i < 2; i++) {
        if (output[i] >= 0)
            close(output[i]);
        if (refusal[i] >= 0)
            close(refusal[i]);
    }
    return error;
}

static void run_start(struct run *run)
{
    struct exec *exec = run->exec;
    struct ev_loop *loop = translator_loop();
    int error = 0;

    run->content = content_new();
    if (!run->content)
        error = errno;
    if (error == 0)
        error = run_fork(run);
    if (error != 0) {
        translator_log("can't start %s: %s", exec->command[0], strerror(error));
        request_done(run->request, error);
        run_free(run);
        return;
    }
    TAILQ_INSERT_TAIL(&exec->running, run, entry);
    exec->count++;
    ev_io_set(&run->readable, run->output, EV_READ);
    ev_io_start(loop, &run->readable);
    ev_child_set(&run->child, run->pid, 0);
    ev_child_start(loop, &run->child);
    if (exec->timeout_seconds > 0) {
        ev_timer_set(&run->deadline, (double)exec->timeout_seconds, 0.);
        ev_timer_start(loop, &run->deadline);
    }
}

static void exec_open(struct request *request)
{
    struct exec *exec = request_state(request);
    struct run *run;

    if (request_refused_writing(request))
        return;
    run = calloc(1, sizeof(*run));
    if (!run) {
        request_done(request, ENOMEM);
        return;
    }
    run->exec = exec;
    run->request = request;
    run->output = run->refusal = -1;
    ev_init(&run->readable, output_readable);
    ev_init(&run->child, child_ended);
    ev_init(&run->deadline, deadline_passed);
    run->readable.data = run->child.data = run->deadline.data = run;
    request_on_cancel(request, run_cancelled, run);
    if (exec->count < RUNS_MAX)
        run_start(run);
    else
        TAILQ_INSERT_TAIL(&exec->waiting, run, entry);
}

static int exec_option(void *state, const char *option)
{
    struct exec *exec = state;
    const char *value = option_value(option, "timeout");

    if (value)
        return option_number(value, &exec->timeout_seconds);
    value = option_value(option, "max-size");
    return value ? option_size(value, &exec->max_size) : EINVAL;
}

static void exec_options(void *state, option_taker *add, void *to)
{
    const struct exec *exec = state;
    char text[64];

    snprintf(text, sizeof(text), "--timeout=%" PRIu64, exec->timeout_seconds);
    add(to, text);
    snprintf(text, sizeof(text), "--max-size=%" PRIu64, exec->max_size);
    add(to, text);
    for (char **word = exec->command; *word; word++)
        add(to, *word);
}

static int exec_configure(int argc, char **argv, void **state)
{
    static struct exec exec = {.timeout_seconds = TIMEOUT_DEFAULT, .max_size = SIZE_DEFAULT};
    int at = 1;

    TAILQ_INIT(&exec.running);
    TAILQ_INIT(&exec.waiting);
    for (; at < argc && strncmp(argv[at], "--", 2) == 0; at++) {
        if (argv[at][2] == '\0') {
            at++;
            break;
        }
        if (exec_option(&exec, argv[at]) != 0) {
            fprintf(stderr, "exec: %s: not an option, or not a number; see hirsel-exec(8)\n",
                    argv[at]);
            return EINVAL;
        }
    }
    if (at >= argc) {
        fprintf(stderr, "exec: which command? type: hirsel settrans NODE exec COMMAND [ARG...]\n");
        return EINVAL;
    }
    exec.command = argv + at;
    *state = &exec;
    return 0;
}

static int exec_go_away(void *state, bool force)
{
    struct exec *exec = state;
    struct run *run;

    (void)force;
    TAILQ_FOREACH(run, &exec->running, entry)
    kill(-run->pid, SIGKILL);
    return 0;
}

int main(int argc, char **argv)
{
    static const struct translator exec = {
        .name = "exec",
        .arguments = "[--timeout=SECONDS] [--max-size=SIZE] [--] COMMAND [ARG...]",
        .summary = "A file that holds what COMMAND prints, run anew at each open.",
        .configure = exec_configure,
        .open = exec_open,
        .options_get = exec_options,
        .options_set = exec_option,
        .go_away = exec_go_away,
    };

    return translator_run(argc, argv, &exec);
}
