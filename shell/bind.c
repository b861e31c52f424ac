/* hirsel bind, hirsel unbind. */
#include <argp.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "shell/shell.h"
#include "shell/view.h"
#include "shell/words.h"

struct bind {
    const char *session_name;
    Hirsel__EntryKind kind;
    bool read_only;
    char *words[2];
    int count;
};

static error_t bind_parse(int key, char *argument, struct argp_state *state)
{
    struct bind *bind = state->input;

    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &bind->session_name;
        return 0;
    case 'r':
        bind->read_only = true;
        return 0;
    case 'H':
        bind->kind = HIRSEL__ENTRY_KIND__ENTRY_HIDE;
        return 0;
    case 'S':
        bind->kind = HIRSEL__ENTRY_KIND__ENTRY_SYMLINK;
        return 0;
    case ARGP_KEY_ARG:
        if (bind->count == 2)
            return ARGP_ERR_UNKNOWN;
        bind->words[bind->count++] = argument;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp_option bind_options[] = {
    {.name = "read-only", .key = 'r', .doc = "below NODE nothing can be changed"},
    {.name = "hide", .key = 'H', .doc = "NODE is not there"},
    {.name = "symlink", .key = 'S', .doc = "NODE is a symlink with the text TEXT"},
    {0},
};

static const struct argp bind_argp = {
    .options = bind_options,
    .parser = bind_parse,
    .args_doc = "SOURCE NODE\n--hide NODE\n--symlink TEXT NODE\n",
    .doc = "Show the directory or file SOURCE at NODE too, as mount --bind does; with no arguments "
           "list what is bound, hidden and set.",
    .children = session_argp_children,
};

static const char *bind_problem(int error)
{
    switch (error) {
    case EEXIST:
        return "something is bound, hidden or set there already (hirsel unbind it first)";
    case EBUSY:
        return "something is bound or set below it (hirsel bind lists it)";
    case EOPNOTSUPP:
        return "a name in a translator's tree cannot be bound";
    case ENOSPC:
        return "the table of names or the disk is full";
    case EPERM:
        return "this name space is not yours to change";
    case EINVAL:
        return "this name cannot be bound";
    default:
        return NULL;
    }
}

static int bind_failed(const char *name, int error)
{
    const char *problem = bind_problem(error);

    if (problem != NULL)
        shell_say(0, "%s: %s", name, problem);
    else
        shell_say(error, "%s", name);
    return EXIT_FAILURE;
}

/* Whether an error is about the source: then the line names that. */
static const char *guilty(const struct bind *bind, int error)
{
    if (bind->kind == HIRSEL__ENTRY_KIND__ENTRY_BIND && error == ENOENT &&
        access(bind->words[0], F_OK) != 0)
        return bind->words[0];
    return bind->words[bind->count - 1];
}

static int bind_list(struct view *view)
{
    static const char *const kinds[] = {"?", "bind", "bind --hide", "bind --symlink", "settrans"};
    Hirsel__FsSpace wanted = HIRSEL__FS_SPACE__INIT;
    ProtobufCMessage *answer = NULL;
    const Hirsel__FsEntries *entries;
    int error;

    wanted.space = view->space;
    error = view_call(view, HIRSEL__FS_OPERATION__FS_LIST, &wanted.base,
                      &hirsel__fs_entries__descriptor, &answer, SESSION_TIMEOUT_MS);
    if (error != 0) {
        shell_say(error, "cannot list the name space");
        return EXIT_FAILURE;
    }
    entries = (const Hirsel__FsEntries *)answer;
    for (size_t i = 0; i < entries->n_entries; i++) {
        const Hirsel__FsEntry *entry = entries->entries[i];
        size_t kind = (size_t)entry->kind;
        fputs(kinds[kind < sizeof kinds / sizeof kinds[0] ? kind : 0], stdout);
        if (entry->read_only)
            fputs(" -r", stdout);
        if (entry->target.len > 0) {
            putchar(' ');
            words_print(stdout, (const char *)entry->target.data, entry->target.len);
        }
        putchar(' ');
        words_print(stdout, (const char *)entry->path.data, entry->path.len);
        putchar('\n');
    }
    rpc_free(answer);
    return EXIT_SUCCESS;
}

static int bind_add(struct view *view, const struct bind *bind)
{
    Hirsel__FsEntry entry = HIRSEL__FS_ENTRY__INIT;
    char source[PATH_MAX], node[PATH_MAX];
    int error;

    if (view_path(bind->words[bind->count - 1], node) != 0)
        return EXIT_FAILURE;
    entry.kind = bind->kind;
    entry.space = view->space;
    entry.read_only = bind->read_only;
    entry.path = view_bytes(node);
    if (bind->kind == HIRSEL__ENTRY_KIND__ENTRY_BIND) {
        if (view_path(bind->words[0], source) != 0)
            return EXIT_FAILURE;
        entry.target = view_bytes(source);
    } else if (bind->kind == HIRSEL__ENTRY_KIND__ENTRY_SYMLINK) {
        entry.target = view_bytes(bind->words[0]);
    }
    error =
        view_call(view, HIRSEL__FS_OPERATION__FS_BIND, &entry.base, NULL, NULL, SESSION_TIMEOUT_MS);
    return error == 0 ? EXIT_SUCCESS : bind_failed(guilty(bind, error), error);
}

/* Options and words. 0, or a negative number: they are wrong, which was said. */
static int bind_read(struct bind *bind, int argc, char **argv)
{
    int wanted;

    *bind = (struct bind){.kind = HIRSEL__ENTRY_KIND__ENTRY_BIND};
    if (argp_parse(&bind_argp, argc, argv, 0, NULL, bind) != 0)
        return -1;
    wanted = bind->kind == HIRSEL__ENTRY_KIND__ENTRY_HIDE ? 1 : 2;
    if (bind->count == wanted || (bind->count == 0 && wanted == 2 && !bind->read_only))
        return 0;
    shell_say(0, wanted == 1 ? "--hide takes one name" : "give SOURCE and NODE, in this order");
    return -1;
}

static int bind_do(struct view *view, const struct bind *bind)
{
    return bind->count == 0 ? bind_list(view) : bind_add(view, bind);
}

int bind_run(struct view *view, int argc, char **argv)
{
    struct bind bind;

    return bind_read(&bind, argc, argv) != 0 ? SHELL_FAILED : bind_do(view, &bind);
}

int command_bind(int argc, char **argv)
{
    struct session session;
    struct view view;
    struct bind bind;
    int status;

    if (bind_read(&bind, argc, argv) != 0)
        return SHELL_FAILED;
    status = view_open(&view, &session, bind.session_name);
    if (status != 0)
        return status;
    status = bind_do(&view, &bind);
    view_close(&view);
    return status;
}

/* ---- unbind ---- */

struct unbind {
    const char *session_name;
    char **names;
    int count;
};

static error_t unbind_parse(int key, char *argument, struct argp_state *state)
{
    struct unbind *unbind = state->input;

    (void)argument;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &unbind->session_name;
        return 0;
    case ARGP_KEY_ARGS:
        unbind->names = state->argv + state->next;
        unbind->count = state->argc - state->next;
        return 0;
    case ARGP_KEY_NO_ARGS:
        shell_say(0, "unbind what? (hirsel bind lists what there is)");
        return EINVAL;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp unbind_argp = {
    .parser = unbind_parse,
    .args_doc = "NODE…",
    .doc = "Undo hirsel bind: what is bound, hidden or a symlink at NODE is no more.",
    .children = session_argp_children,
};

static int unbind_one(struct view *view, const char *name)
{
    Hirsel__FsEntry entry = HIRSEL__FS_ENTRY__INIT;
    char node[PATH_MAX];
    int error;

    if (view_path(name, node) != 0)
        return EXIT_FAILURE;
    entry.space = view->space;
    entry.path = view_bytes(node);
    error = view_call(view, HIRSEL__FS_OPERATION__FS_UNBIND, &entry.base, NULL, NULL,
                      SESSION_TIMEOUT_MS);
    switch (error) {
    case 0:
        return EXIT_SUCCESS;
    case ENOENT:
        shell_say(0, "%s: nothing is bound there (hirsel bind lists what is)", name);
        return EXIT_FAILURE;
    case EINVAL:
        shell_say(0, "%s: a translator is set there (hirsel settrans %s takes it away)", name,
                  name);
        return EXIT_FAILURE;
    default:
        return bind_failed(name, error);
    }
}

static int unbind_do(struct view *view, const struct unbind *unbind)
{
    int status = EXIT_SUCCESS;

    for (int i = 0; i < unbind->count; i++)
        if (unbind_one(view, unbind->names[i]) != EXIT_SUCCESS)
            status = EXIT_FAILURE;
    return status;
}

int unbind_run(struct view *view, int argc, char **argv)
{
    struct unbind unbind = {0};

    if (argp_parse(&unbind_argp, argc, argv, 0, NULL, &unbind) != 0)
        return SHELL_FAILED;
    return unbind_do(view, &unbind);
}

int command_unbind(int argc, char **argv)
{
    struct session session;
    struct view view;
    struct unbind unbind = {0};
    int status;

    if (argp_parse(&unbind_argp, argc, argv, 0, NULL, &unbind) != 0)
        return SHELL_FAILED;
    status = view_open(&view, &session, unbind.session_name);
    if (status != 0)
        return status;
    status = unbind_do(&view, &unbind);
    view_close(&view);
    return status;
}
