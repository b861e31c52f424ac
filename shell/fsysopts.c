/* hirsel fsysopts. */
#include <argp.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/node.pb-c.h"
#include "shell/shell.h"
#include "shell/view.h"
#include "shell/words.h"

struct fsysopts {
    const char *session_name;
    const char *node;
    char **options;
    int count;
};

static error_t fsysopts_parse(int key, char *argument, struct argp_state *state)
{
    struct fsysopts *fsysopts = state->input;

    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &fsysopts->session_name;
        return 0;
    case ARGP_KEY_ARG:
        fsysopts->node = argument;
        fsysopts->options = &state->argv[state->next];
        fsysopts->count = state->argc - state->next;
        state->next = state->argc;
        return 0;
    case ARGP_KEY_NO_ARGS:
        argp_error(state, "which node?");
        return EINVAL;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp fsysopts_argp = {
    .parser = fsysopts_parse,
    .args_doc = "NODE [OPTION…]",
    .doc = "Print the options of the translator at NODE, or set some while it runs. Starts it if "
           "need be.",
    .children = session_argp_children,
};

static int options_call(struct view *view, const struct fsysopts *fsysopts, uint64_t translator)
{
    Hirsel__NodeRequest request = HIRSEL__NODE_REQUEST__INIT;
    ProtobufCMessage *answer = NULL;
    const Hirsel__NodeReply *reply;
    int error;

    request.translator = translator;
    request.n_arguments = (size_t)fsysopts->count;
    request.arguments = calloc((size_t)fsysopts->count + 1, sizeof *request.arguments);
    if (request.arguments == NULL)
        return ENOMEM;
    for (int i = 0; i < fsysopts->count; i++)
        request.arguments[i] = view_bytes(fsysopts->options[i]);
    error = view_call(view, HIRSEL__NODE_OPERATION__NODE_OPTIONS, &request.base,
                      &hirsel__node_reply__descriptor, &answer, SESSION_TIMEOUT_MS);
    free(request.arguments);
    if (error != 0)
        return error;
    reply = (const Hirsel__NodeReply *)answer;
    for (size_t i = 0; i < reply->n_options; i++) {
        if (i > 0)
            putchar(' ');
        words_print(stdout, (const char *)reply->options[i].data, reply->options[i].len);
    }
    if (reply->n_options > 0)
        putchar('\n');
    rpc_free(answer);
    return 0;
}

static int fsysopts_do(struct view *view, const struct fsysopts *fsysopts)
{
    ProtobufCMessage *answer = NULL;
    uint64_t translator;
    int error;

    if (view_translator(view, fsysopts->node, true, false, &answer) != 0)
        return EXIT_FAILURE;
    translator = ((const Hirsel__FsTranslatorReply *)answer)->translator;
    rpc_free(answer);
    error = options_call(view, fsysopts, translator);
    switch (error) {
    case 0:
        return EXIT_SUCCESS;
    case EINVAL:
        shell_say(0,
                  "%s: its translator does not take this option (hirsel fsysopts %s lists what "
                  "it has)",
                  fsysopts->node, fsysopts->node);
        return EXIT_FAILURE;
    case ENOSYS:
    case EOPNOTSUPP:
        shell_say(0, "%s: its translator has no options to set", fsysopts->node);
        return EXIT_FAILURE;
    case EIO:
    case ENXIO:
        shell_say(error, "%s: its translator does not run (hirsel log says why)", fsysopts->node);
        return EXIT_FAILURE;
    default:
        shell_say(error, "%s", fsysopts->node);
        return EXIT_FAILURE;
    }
}

int command_fsysopts(int argc, char **argv)
{
    struct fsysopts fsysopts = {0};
    struct session session;
    struct view view;
    int status;

    if (argp_parse(&fsysopts_argp, argc, argv, ARGP_IN_ORDER, NULL, &fsysopts) != 0)
        return SHELL_FAILED;
    status = view_open(&view, &session, fsysopts.session_name);
    if (status != 0)
        return status;
    status = fsysopts_do(&view, &fsysopts);
    view_close(&view);
    return status;
}
