#include "shell/session.h"
#include "shell/shell.h"

#include <argp.h>
#include <ctype.h>
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "proto/proc.pb-c.h"

struct kill {
    const char *name;
    int signal;
    char **pids;
};

/* A signal's number or name, with or without SIG; -1. */
static int signal_parse(const char *text)
{
    char *end;
    long number = strtol(text, &end, 10);

    if (end != text && *end == '\0')
        return number >= 0 && number <= SIGRTMAX ? (int)number : -1;
    if (strncasecmp(text, "SIG", 3) == 0)
        text += 3;
    for (int i = 1; i < NSIG; i++)
        if (sigabbrev_np(i) != NULL && strcasecmp(sigabbrev_np(i), text) == 0)
            return i;
    return -1;
}

static error_t kill_parse(int key, char *argument, struct argp_state *state)
{
    struct kill *kill = state->input;

    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &kill->name;
        return 0;
    case 'S':
        kill->signal = signal_parse(argument);
        if (kill->signal < 0)
            argp_error(state, "'%s' is no signal", argument);
        return 0;
    case ARGP_KEY_ARG:
        kill->pids = &state->argv[state->next - 1];
        state->next = state->argc;
        return 0;
    case ARGP_KEY_NO_ARGS:
        argp_error(state, "which process? (hirsel ps lists them)");
        return EINVAL;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static int process_kill(struct port *proc, const char *text, int signal)
{
    Hirsel__ProcKill wanted = HIRSEL__PROC_KILL__INIT;
    char *end;
    long pid = strtol(text, &end, 10);
    int error;

    if (end == text || *end != '\0' || pid <= 0 || pid > INT32_MAX) {
        shell_say(0, "'%s' is no process's number", text);
        return EINVAL;
    }
    wanted.pid = (uint32_t)pid;
    wanted.signal = (uint32_t)signal;
    error = rpc_call(proc, HIRSEL__PROC_OPERATION__PROC_KILL, &wanted.base, NULL, 0, NULL, NULL,
                     NULL, SESSION_TIMEOUT_MS);
    if (error == ESRCH)
        shell_say(0, "%ld is no process of this session (hirsel ps lists them)", pid);
    else if (error != 0)
        shell_say(error, "process %ld", pid);
    return error;
}

/* -9 and -TERM, as kill(1) has them: argp would take the letters for options. */
static bool is_signal(const char *word)
{
    return word[0] == '-' && word[1] != '-' && word[1] != '\0' &&
           (signal_parse(word + 1) >= 0 || (isupper((unsigned char)word[1]) && word[1] != 'S') ||
            isdigit((unsigned char)word[1]));
}

/* The words, with signals in the form -SX; NULL: ENOMEM. */
static char **arguments_rewrite(int argc, char **argv)
{
    char **words = calloc((size_t)argc + 1, sizeof(char *));
    bool options = true;

    for (int i = 0; words != NULL && i < argc; i++) {
        words[i] = argv[i];
        options = options && strcmp(argv[i], "--") != 0;
        if (i > 0 && options && is_signal(argv[i]) && asprintf(&words[i], "-S%s", argv[i] + 1) < 0)
            return NULL;
    }
    return words;
}

static void arguments_free(int argc, char **argv, char **words)
{
    for (int i = 0; i < argc; i++)
        if (words[i] != argv[i])
            free(words[i]);
    free(words);
}

int command_kill(int argc, char **argv)
{
    static const struct argp_option options[] = {
        {.name = "signal",
         .key = 'S',
         .arg = "SIGNAL",
         .doc = "the signal's name or number (default: TERM); also -SIGNAL, as -9 or -HUP"},
        {0},
    };
    static const struct argp argp = {
        .options = options,
        .parser = kill_parse,
        .args_doc = "[-SIGNAL] PID…",
        .doc = "Signal processes of a session, and no others.",
        .children = session_argp_children,
    };
    struct kill kill = {.signal = SIGTERM};
    struct session session;
    struct port *proc;
    char **words = arguments_rewrite(argc, argv);
    int status = EXIT_SUCCESS;

    if (words == NULL) {
        shell_say(ENOMEM, "the arguments");
        return SHELL_FAILED;
    }
    argp_parse(&argp, argc, words, ARGP_IN_ORDER, NULL, &kill);
    if (session_find(kill.name, &session) != 0) {
        status = SHELL_FAILED;
        goto out;
    }
    proc = session_connect(&session, "proc");
    if (proc == NULL)
        status = SHELL_FAILED;
    for (char **pid = kill.pids; proc != NULL && *pid != NULL; pid++)
        if (process_kill(proc, *pid, kill.signal) != 0)
            status = EXIT_FAILURE;
    session_close(&session);
out:
    arguments_free(argc, argv, words);
    return status;
}
