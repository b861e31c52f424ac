/* hirsel settrans. */
#include <argp.h>
#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shell/describe.h"
#include "shell/shell.h"
#include "shell/view.h"

#define START_TIMEOUT_SECONDS 60

struct settrans {
    const char *session_name;
    Hirsel__FsTranslator wire;
    unsigned timeout;
    const char *node;
    char **command; /* the words behind NODE, ended by NULL */
    char path[PATH_MAX], word[PATH_MAX], kind[DESCRIBE_KIND_MAX]; /* what wire points to */
};

static error_t settrans_parse(int key, char *argument, struct argp_state *state)
{
    struct settrans *settrans = state->input;
    Hirsel__FsTranslator *wire = &settrans->wire;
    char *end;
    unsigned long seconds;

    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &settrans->session_name;
        return 0;
    case 'a':
        wire->active = true;
        return 0;
    case 'p':
        wire->passive = true;
        return 0;
    case 's':
        wire->start = true;
        return 0;
    case 'c':
        wire->create = true;
        return 0;
    case 'x':
        wire->exclusive = true;
        return 0;
    case 'g':
        wire->go_away = true;
        return 0;
    case 'f':
        wire->force = true;
        return 0;
    case 'k':
        wire->keep = true;
        return 0;
    case 'o':
        wire->orphan = true;
        return 0;
    case 't':
        seconds = strtoul(argument, &end, 10);
        if (end == argument || *end != '\0' || seconds == 0 || seconds > 86400) {
            shell_say(0, "'%s' is no number of seconds from 1 to 86400", argument);
            return EINVAL;
        }
        settrans->timeout = (unsigned)seconds;
        return 0;
    case ARGP_KEY_ARG:
        settrans->node = argument;
        settrans->command = &state->argv[state->next];
        state->next = state->argc;
        return 0;
    case ARGP_KEY_NO_ARGS:
        shell_say(0, "which node? (hirsel settrans --help says how)");
        return EINVAL;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp_option settrans_options[] = {
    {.name = "active", .key = 'a', .doc = "start the translator now, for this session alone"},
    {.name = "passive",
     .key = 'p',
     .doc = "write it down in the file system, to be started when it is first used (the default)"},
    {.name = "create", .key = 'c', .doc = "make NODE if it is not there"},
    {.name = "start", .key = 's', .doc = "start a passive translator at once"},
    {.name = "exclusive", .key = 'x', .doc = "fail if NODE has a translator"},
    {.name = "goaway",
     .key = 'g',
     .doc = "ask the running translator to go away first; with NODE alone: and no more"},
    {.name = "force", .key = 'f', .doc = "end it even if it is busy or does not answer"},
    {.name = "keep-active", .key = 'k', .doc = "leave the running translator there"},
    {.name = "orphan", .key = 'o', .doc = "let the running translator live on without a node"},
    {.name = "timeout", .key = 't', .arg = "SEC", .doc = "how long it may take to start (60)"},
    {0},
};

static const struct argp settrans_argp = {
    .options = settrans_options,
    .parser = settrans_parse,
    .args_doc = "NODE TRANSLATOR [ARG…]\nNODE -- COMMAND [ARG…]\nNODE",
    .doc =
        "Put a translator behind NODE: TRANSLATOR (an installed one's name, or a program's path), "
        "or a file that holds what COMMAND prints. With NODE alone: take it away.",
    .children = session_argp_children,
};

/* ---- errors ---- */

static int settrans_failed(const struct settrans *settrans, int error)
{
    const char *node = settrans->node;

    switch (error) {
    case EEXIST:
        if (settrans->wire.exclusive)
            shell_say(0, "%s: there is a translator already (-x)", node);
        else
            shell_say(0, "%s: a file is there (-a puts a translator in front of it)", node);
        break;
    case ENOENT:
        shell_say(0, "%s: there is no such file%s", node,
                  settrans->wire.create || settrans->command[0] == NULL ? "" : " (-c makes it)");
        break;
    case EBUSY:
        shell_say(0,
                  "%s: its translator is in use, or something is bound there (-g asks it to go "
                  "away, -f ends it, -k leaves it; hirsel bind lists)",
                  node);
        break;
    case EACCES:
    case EROFS:
        shell_say(error, "%s: cannot write there (-a puts a translator there for this session)",
                  node);
        break;
    case EPERM:
        shell_say(error, "%s: not yours to change, or no symlinks there (-a needs none)", node);
        break;
    case ENXIO:
        shell_say(0, "%s: the translator's program cannot be run (hirsel log says why)", node);
        break;
    case EIO:
        shell_say(0, "%s: the translator ended before it answered (hirsel log says why)", node);
        break;
    case ETIMEDOUT:
        shell_say(0, "%s: the translator does not answer (-t gives it more time, -f ends it)",
                  node);
        break;
    case EINVAL:
        shell_say(0, "%s: there is no translator, and none can be there", node);
        break;
    case EOPNOTSUPP:
        shell_say(0, "%s lies in another translator's tree: nothing can be set there", node);
        break;
    case ENAMETOOLONG:
        shell_say(0, "%s: the name or the command is too long (-a takes longer commands)", node);
        break;
    case ENOSPC:
        shell_say(0, "%s: the disk or the table of names is full", node);
        break;
    default:
        shell_say(error, "%s", node);
        break;
    }
    return EXIT_FAILURE;
}

/* ---- doing it ---- */

/* The command's words as fs wants them, and the node's kind. */
static int command_make(struct settrans *settrans)
{
    Hirsel__FsTranslator *wire = &settrans->wire;
    char program[PATH_MAX], directory[PATH_MAX];
    char **words = settrans->command;
    bool plain_command = words[0] != NULL && strcmp(words[0], "--") == 0;
    size_t count = 0;
    char *slash;
    int error;

    if (words[0] == NULL)
        return 0;
    /* `--`: the words behind it are a command; its translator is called exec. */
    if (plain_command && words[1] == NULL) {
        shell_say(0, "which command? (%s -- COMMAND…)", settrans->node);
        return EINVAL;
    }
    error = describe_find(plain_command ? "exec" : words[0], program, settrans->word);
    if (error != 0)
        return error;
    strcpy(directory, settrans->path);
    for (size_t end = strlen(directory); end > 1 && directory[end - 1] == '/'; end--)
        directory[end - 1] = '\0';
    slash = strrchr(directory, '/');
    slash[slash == directory] = '\0';
    error = describe_ask(program, words + 1, directory, settrans->kind);
    if (error != 0)
        return error;
    while (words[count] != NULL)
        count++;
    wire->command = calloc(count, sizeof *wire->command);
    if (wire->command == NULL) {
        shell_say(ENOMEM, "%s", settrans->node);
        return ENOMEM;
    }
    wire->n_command = count;
    wire->command[0] = view_bytes(settrans->word);
    for (size_t i = 1; i < count; i++)
        wire->command[i] = view_bytes(words[i]);
    wire->kind = settrans->kind;
    return 0;
}

static int settrans_do(struct view *view, struct settrans *settrans)
{
    Hirsel__FsTranslator *wire = &settrans->wire;
    unsigned timeout = settrans->timeout ? settrans->timeout : START_TIMEOUT_SECONDS;
    int error;

    if (view_path(settrans->node, settrans->path) != 0 || command_make(settrans) != 0)
        return EXIT_FAILURE;
    wire->path = view_bytes(settrans->path);
    wire->space = view->space;
    wire->timeout_ms = timeout * 1000;
    error = view_call(view, HIRSEL__FS_OPERATION__FS_SET_TRANSLATOR, &wire->base, NULL, NULL,
                      (int)(timeout * 1000) + SESSION_TIMEOUT_MS);
    free(wire->command);
    return error == 0 ? EXIT_SUCCESS : settrans_failed(settrans, error);
}

/* The words behind NODE are the translator's own: nothing of them is ours to read. */
static int settrans_read(struct settrans *settrans, int argc, char **argv)
{
    *settrans = (struct settrans){.wire = HIRSEL__FS_TRANSLATOR__INIT};
    return argp_parse(&settrans_argp, argc, argv, ARGP_IN_ORDER, NULL, settrans);
}

int settrans_run(struct view *view, int argc, char **argv)
{
    struct settrans settrans;

    return settrans_read(&settrans, argc, argv) != 0 ? SHELL_FAILED : settrans_do(view, &settrans);
}

int command_settrans(int argc, char **argv)
{
    struct session session;
    struct view view;
    struct settrans settrans;
    int status;

    if (settrans_read(&settrans, argc, argv) != 0)
        return SHELL_FAILED;
    status = view_open(&view, &session, settrans.session_name);
    if (status != 0)
        return status;
    status = settrans_do(&view, &settrans);
    view_close(&view);
    return status;
}
