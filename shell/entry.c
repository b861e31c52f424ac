/* The command's way into the session: enter is started, installs the filter, and becomes the
 * command; its listener goes to init, and by it to the trap server. */
#include "shell/attendant.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "proto/init.pb-c.h"
#include "proto/trap.pb-c.h"
#include "servers/lib/entry.h"
#include "servers/lib/passing.h"
#include "shell/shell.h"

/* The session's door in front of what the user has in LD_LIBRARY_PATH. */
static void door_set(const struct tree_plan *plan)
{
    char door[PATH_MAX + 64];
    const char *old = getenv("LD_LIBRARY_PATH");
    char *value;

    snprintf(door, sizeof door, "%s/spaces/%llu/lib", plan->session->directory,
             (unsigned long long)plan->space);
    if (access(door, F_OK) != 0)
        return;
    if (old == NULL || *old == '\0') {
        setenv("LD_LIBRARY_PATH", door, 1);
    } else if (asprintf(&value, "%s:%s", door, old) > 0) {
        setenv("LD_LIBRARY_PATH", value, 1);
        free(value);
    }
}

static void temporary_set(const struct tree_plan *plan)
{
    char path[PATH_MAX + 16];

    snprintf(path, sizeof path, "%s" TREE_TEMPORARY, plan->scratch);
    setenv("TMPDIR", path, 1);
}

static size_t words_count(char **words)
{
    size_t count = 0;

    while (words[count] != NULL)
        count++;
    return count;
}

static _Noreturn void program_become(const struct tree_plan *plan, int report)
{
    char program[PATH_MAX], number[16];
    size_t count = words_count(plan->command);
    char **arguments = calloc(count + 3, sizeof(char *));
    int error = ENOMEM;

    if (arguments != NULL)
        error = shell_installed("libexec/hirsel/enter", program, sizeof program);
    if (error == 0) {
        arguments[0] = (char *)"enter";
        arguments[1] = number;
        memcpy(arguments + 2, plan->command, count * sizeof(char *));
        fcntl(report, F_SETFD, 0);
        snprintf(number, sizeof number, "%d", report);
        door_set(plan);
        if (plan->scratch != NULL)
            temporary_set(plan);
        sigaction(SIGCHLD, &plan->child_action, NULL);
        sigprocmask(SIG_SETMASK, &plan->mask, NULL);
        execv(program, arguments);
        error = errno;
        shell_say(error, "cannot run %s", program);
    }
    _exit(SHELL_FAILED);
}

static void entry_close(struct attendant *attendant)
{
    close(attendant->entry);
    attendant->entry = -1;
}

static uint32_t plan_flags(const struct attendant *attendant)
{
    const struct tree_plan *plan = attendant->plan;

    return (attendant->filter ? ENTRY_FILTER : 0u) |
           entry_space_flags(plan->session->directory, plan->space) |
           (plan->best_effort ? ENTRY_BEST_EFFORT : 0u);
}

static void entry_launch(struct attendant *attendant)
{
    const struct tree_plan *plan = attendant->plan;
    int ends[2];
    int error;

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
        attendant_fail(attendant, errno, "cannot start the command");
    attendant->entry = ends[0];
    error =
        entry_plan_send(attendant->entry, plan_flags(attendant), plan->policy, plan->policy_length);
    if (error != 0)
        attendant_fail(attendant, error, "cannot start the command");
    attendant->command = fork();
    if (attendant->command < 0)
        attendant_fail(attendant, errno, "cannot start the command");
    if (attendant->command == 0) {
        /* Above 2 and out of the way, should the user have closed some of these. */
        int report = fcntl(ends[1], F_DUPFD_CLOEXEC, 10);

        if (report < 0)
            _exit(SHELL_FAILED);
        setpgid(0, attendant->group);
        program_become(attendant->plan, report);
    }
    close(ends[1]);
    attendant->running = true;
}

/* Whether there is something to be said and waited for before the command is there. */
static bool entry_reports(const struct attendant *attendant)
{
    return attendant->filter || attendant->plan->policy_length > 0;
}

/* From now on it is the command's: the front hears of it, and passes signals. */
static void command_announce(struct attendant *attendant)
{
    int pidfd;

    if (attendant->announced)
        return;
    attendant->announced = true;
    pidfd = (int)syscall(SYS_pidfd_open, attendant->command, 0);
    event_send(attendant, TREE_STARTED, attendant->command, pidfd);
    if (pidfd >= 0)
        close(pidfd);
}

static void entry_begin(struct attendant *attendant)
{
    entry_launch(attendant);
    if (!entry_reports(attendant))
        command_announce(attendant);
}

static void entry_let_go(struct attendant *attendant, bool trapped)
{
    command_announce(attendant);
    entry_word_send(attendant->entry, trapped);
}

/* init, for what it says of the session, and the user hear that this tree has no filter. */
static void untrapped_tell(struct attendant *attendant, int error)
{
    Hirsel__InitListener told = HIRSEL__INIT_LISTENER__INIT;

    told.error = (uint32_t)error;
    rpc_call(attendant->init, HIRSEL__INIT_OPERATION__INIT_LISTENER, &told.base, NULL, 0, NULL,
             NULL, NULL, SESSION_TIMEOUT_MS);
    if (error != 0)
        event_send(attendant, TREE_UNTRAPPED, error, -1);
}

/* This enter can't become the command: another one, without a filter. */
static void entry_again(struct attendant *attendant, int error)
{
    if (!attendant->running) {
        entry_close(attendant);
        return;
    }
    kill(attendant->command, SIGKILL);
    while (waitpid(attendant->command, NULL, 0) < 0 && errno == EINTR)
        continue;
    entry_close(attendant);
    attendant->running = false;
    if (attendant->plan->policy_length > 0 && !attendant->plan->best_effort) {
        event_send(attendant, TREE_UNHELD, error, -1);
        _exit(SHELL_FAILED);
    }
    attendant->filter = false;
    untrapped_tell(attendant, error);
    entry_begin(attendant);
}

static int listener_give(struct attendant *attendant, int listener)
{
    Hirsel__InitListener told = HIRSEL__INIT_LISTENER__INIT;
    int ends[2];
    int given[2];
    int error;

    if (listener < 0)
        return EBADMSG;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
        return errno;
    given[0] = listener;
    given[1] = ends[1];
    error = rpc_call(attendant->init, HIRSEL__INIT_OPERATION__INIT_LISTENER, &told.base, given, 2,
                     NULL, NULL, NULL, SESSION_TIMEOUT_MS);
    close(ends[1]);
    if (error == 0)
        attendant->opener = ends[0];
    else
        close(ends[0]);
    return error;
}

/* A listener is above this tree. Of the same session: its trap server knows this tree's name space
 * by descent. Of another session: it is asked to serve this one too. Else it is foreign. */
static int listener_above_join(struct attendant *attendant)
{
    Hirsel__TrapJoin join = HIRSEL__TRAP_JOIN__INIT;
    const struct tree_plan *plan = attendant->plan;
    struct session outer;
    struct port *trap = NULL;
    int error = session_current(&outer);

    if (error != 0)
        return EBUSY;
    if (strcmp(outer.directory, plan->session->directory) == 0)
        return 0;
    join.session.data = (uint8_t *)plan->session->directory;
    join.session.len = strlen(plan->session->directory);
    join.space = plan->space;
    join.root_pid = (uint32_t)getpid();
    error = session_reach(&outer, "trap", SESSION_TIMEOUT_MS, &trap);
    if (error == 0)
        error = rpc_call(trap, HIRSEL__TRAP_OPERATION__TRAP_JOIN, &join.base, NULL, 0, NULL, NULL,
                         NULL, SESSION_TIMEOUT_MS);
    session_close(&outer);
    return error == 0 ? 0 : EBUSY;
}

static void unfiltered(struct attendant *attendant, int error)
{
    bool confined = attendant->plan->policy_length > 0;

    if (error == EBUSY && !confined)
        error = listener_above_join(attendant);
    if (error != 0 && confined && !attendant->plan->best_effort) {
        event_send(attendant, TREE_UNHELD, error, -1);
        _exit(SHELL_FAILED);
    }
    if (error != 0)
        untrapped_tell(attendant, error);
    entry_let_go(attendant, error == 0);
}

static void report_run(struct attendant *attendant, const struct entry_report *report, int passed)
{
    int error;

    switch (report->kind) {
    case ENTRY_LISTENER:
        error = listener_give(attendant, passed);
        if (error == 0)
            entry_let_go(attendant, true);
        else
            entry_again(attendant, error);
        break;
    case ENTRY_UNFILTERED:
        unfiltered(attendant, report->value);
        break;
    case ENTRY_UNFENCED:
        event_send(attendant, TREE_UNFENCED, report->value, -1);
        if (!attendant->plan->best_effort)
            _exit(SHELL_FAILED);
        entry_let_go(attendant, false);
        break;
    case ENTRY_NO_EXEC:
        command_announce(attendant);
        event_send(attendant, TREE_NO_EXEC, report->value, -1);
        break;
    default:
        command_announce(attendant);
        event_send(attendant, TREE_FAILED, report->value, -1);
        break;
    }
}

void entry_read(struct attendant *attendant)
{
    struct entry_report report;
    int passed;

    while (attendant->entry >= 0) {
        ssize_t length = passing_receive(attendant->entry, &report, sizeof report, &passed);

        if (length < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        if (length == sizeof report)
            report_run(attendant, &report, passed);
        if (passed >= 0)
            close(passed);
        if (length == sizeof report)
            continue;
        /* It has become the command, or was killed on the way. */
        command_announce(attendant);
        entry_close(attendant);
    }
}

void entry_start(struct attendant *attendant)
{
    if (!attendant->filter)
        untrapped_tell(attendant, 0);
    entry_begin(attendant);
}
