/* hirsel showtrans. */
#include <argp.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shell/shell.h"
#include "shell/view.h"
#include "shell/words.h"

struct showtrans {
    const char *session_name;
    bool silent;
    bool prefix;
    bool no_prefix;
    char **nodes;
    int count;
};

static error_t showtrans_parse(int key, char *argument, struct argp_state *state)
{
    struct showtrans *showtrans = state->input;

    (void)argument;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &showtrans->session_name;
        return 0;
    case 'p':
        showtrans->prefix = true;
        return 0;
    case 'P':
        showtrans->no_prefix = true;
        return 0;
    case 'q':
        showtrans->silent = true;
        return 0;
    case ARGP_KEY_ARGS:
        showtrans->nodes = state->argv + state->next;
        showtrans->count = state->argc - state->next;
        return 0;
    case ARGP_KEY_NO_ARGS:
        argp_error(state, "which node?");
        return EINVAL;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp_option showtrans_options[] = {
    {.name = "prefix", .key = 'p', .doc = "print 'NODE: ' first (the default for several)"},
    {.name = "no-prefix", .key = 'P', .doc = "never print it"},
    {.name = "silent", .key = 'q', .doc = "print nothing: the exit status says it"},
    {0},
};

static const struct argp showtrans_argp = {
    .options = showtrans_options,
    .parser = showtrans_parse,
    .args_doc = "NODE…",
    .doc = "Print the translator that is set at each NODE. Status 1 if there is none.",
    .children = session_argp_children,
};

static int show(struct view *view, const struct showtrans *showtrans, const char *name)
{
    ProtobufCMessage *answer = NULL;
    const Hirsel__FsTranslatorReply *translator;

    if (view_translator(view, name, false, showtrans->silent, &answer) != 0)
        return EXIT_FAILURE;
    translator = (const Hirsel__FsTranslatorReply *)answer;
    if (!showtrans->silent) {
        if (!showtrans->no_prefix && (showtrans->prefix || showtrans->count > 1))
            printf("%s: ", name);
        for (size_t i = 0; i < translator->n_command; i++) {
            if (i > 0)
                putchar(' ');
            words_print(stdout, (const char *)translator->command[i].data,
                        translator->command[i].len);
        }
        putchar('\n');
    }
    rpc_free(answer);
    return EXIT_SUCCESS;
}

int command_showtrans(int argc, char **argv)
{
    struct showtrans showtrans = {0};
    struct session session;
    struct view view;
    int status;

    if (argp_parse(&showtrans_argp, argc, argv, 0, NULL, &showtrans) != 0)
        return SHELL_FAILED;
    status = view_open(&view, &session, showtrans.session_name);
    if (status != 0)
        return status;
    for (int i = 0; i < showtrans.count; i++)
        if (show(&view, &showtrans, showtrans.nodes[i]) != EXIT_SUCCESS)
            status = EXIT_FAILURE;
    view_close(&view);
    return status;
}
