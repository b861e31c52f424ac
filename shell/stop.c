#include "shell/launch.h"
#include "shell/shell.h"

#include <argp.h>
#include <stdio.h>
#include <stdlib.h>

#define GRACE_MS 2000
#define GRACE_MAX_SECONDS 600.0

struct stop {
    const char *name;
    unsigned grace_ms;
};

static error_t stop_parse(int key, char *argument, struct argp_state *state)
{
    struct stop *stop = state->input;
    double seconds;
    char *end;

    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &stop->name;
        return 0;
    case 'g':
        seconds = strtod(argument, &end);
        if (end == argument || *end != '\0' || !(seconds >= 0 && seconds <= GRACE_MAX_SECONDS))
            argp_error(state, "--grace is a number of seconds up to %g, not '%s'",
                       GRACE_MAX_SECONDS, argument);
        /* 0 means the server's own idea of a grace. */
        stop->grace_ms = seconds * 1000 < 1 ? 1 : (unsigned)(seconds * 1000);
        return 0;
    case ARGP_KEY_ARG:
        if (stop->name != NULL)
            argp_error(state, "one session, please");
        if (!session_name_valid(argument))
            argp_error(state, "'%s' is no session's name", argument);
        stop->name = argument;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

int command_stop(int argc, char **argv)
{
    static const struct argp_option options[] = {
        {.name = "grace",
         .key = 'g',
         .arg = "SECONDS",
         .doc = "how long programs have between SIGTERM and SIGKILL (default: 2)"},
        {0},
    };
    static const struct argp argp = {
        .options = options,
        .parser = stop_parse,
        .args_doc = "[NAME]",
        .doc = "End the session NAME (or the one that this runs in) and all that runs in it.",
        .children = session_argp_children,
    };
    struct stop stop = {.grace_ms = GRACE_MS};
    struct session session;
    int error;

    argp_parse(&argp, argc, argv, 0, NULL, &stop);
    if (session_find(stop.name, &session) != 0)
        return SHELL_FAILED;
    error = session_end(&session, stop.grace_ms, true);
    session_close(&session);
    return error == 0 ? EXIT_SUCCESS : SHELL_FAILED;
}
