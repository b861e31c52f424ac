#include "shell/named.h"

#include <argp.h>
#include <stddef.h>

#include "shell/session.h"

struct named {
    const char *name;
    int required;
};

static error_t named_option(int key, char *argument, struct argp_state *state)
{
    struct named *named = state->input;

    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &named->name;
        return 0;
    case ARGP_KEY_ARG:
        if (named->name != NULL)
            argp_error(state, "one session, please");
        if (!session_name_valid(argument))
            argp_error(state,
                       "'%s' is no session's name: letters, digits, '.', '_' and '-', at "
                       "most %d",
                       argument, SESSION_NAME_MAX);
        named->name = argument;
        return 0;
    case ARGP_KEY_END:
        if (named->name == NULL && named->required != 0)
            argp_error(state, "which session? (hirsel list shows them)");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

const char *named_parse(int argc, char **argv, const char *documentation, int required)
{
    struct named named = {.required = required};
    const struct argp argp = {.parser = named_option,
                              .args_doc = required != 0 ? "NAME" : "[NAME]",
                              .doc = documentation,
                              .children = session_argp_children};

    argp_parse(&argp, argc, argv, 0, NULL, &named);
    return named.name;
}
