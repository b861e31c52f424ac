#include "shell/session.h"
#include "shell/shell.h"

#include <argp.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

struct log {
    const char *name;
    bool follow;
};

static error_t log_parse(int key, char *argument, struct argp_state *state)
{
    struct log *log = state->input;

    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &log->name;
        return 0;
    case 'f':
        log->follow = true;
        return 0;
    case ARGP_KEY_ARG:
        if (log->name != NULL || !session_name_valid(argument))
            argp_error(state, "'%s': one session's name, please", argument);
        log->name = argument;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

/* What was not shown yet. 0 or an errno. */
static int log_copy(int from)
{
    char buffer[16384];
    ssize_t length;

    while ((length = read(from, buffer, sizeof buffer)) > 0)
        if (fwrite(buffer, 1, (size_t)length, stdout) != (size_t)length)
            return errno;
    if (length < 0)
        return errno;
    return fflush(stdout) == 0 ? 0 : errno;
}

/* The log is emptied when it has grown too long: begin again. */
static void log_rewind(int from)
{
    struct stat status;

    if (fstat(from, &status) == 0 && status.st_size < lseek(from, 0, SEEK_CUR))
        lseek(from, 0, SEEK_SET);
}

/* Until the session ends, and its log with it. */
static int log_follow(int from, const char *path)
{
    int watch = inotify_init1(IN_CLOEXEC);
    char events[4096];
    struct stat status;
    int error = 0;

    if (watch < 0 || inotify_add_watch(watch, path, IN_MODIFY | IN_ATTRIB | IN_DELETE_SELF) < 0)
        return errno;
    for (;;) {
        log_rewind(from);
        error = log_copy(from);
        if (error != 0 || fstat(from, &status) != 0 || status.st_nlink == 0)
            break;
        if (read(watch, events, sizeof events) < 0 && errno != EINTR) {
            error = errno;
            break;
        }
    }
    close(watch);
    return error;
}

int command_log(int argc, char **argv)
{
    static const struct argp_option options[] = {
        {.name = "follow", .key = 'f', .doc = "go on with what is written, until the session ends"},
        {0},
    };
    static const struct argp argp = {
        .options = options,
        .parser = log_parse,
        .args_doc = "[NAME]",
        .doc = "Show the log of the session NAME (or of the one that this runs in).",
        .children = session_argp_children,
    };
    struct log log = {0};
    struct session session;
    char path[PATH_MAX + 8];
    int from, error;

    argp_parse(&argp, argc, argv, 0, NULL, &log);
    if (session_find(log.name, &session) != 0)
        return SHELL_FAILED;
    snprintf(path, sizeof path, "%s/log", session.directory);
    from = open(path, O_RDONLY | O_CLOEXEC);
    error = from < 0 ? errno : log.follow ? log_follow(from, path) : log_copy(from);
    if (error != 0)
        shell_say(error, "the log of session '%s'", session.name);
    if (from >= 0)
        close(from);
    return error == 0 ? EXIT_SUCCESS : SHELL_FAILED;
}
