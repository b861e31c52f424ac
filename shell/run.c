/* hirsel run and hirsel attach: a command, or the user's shell, in a session. */
#include "shell/confine.h"
#include "shell/launch.h"
#include "shell/namespace.h"
#include "shell/shell.h"
#include "shell/tree.h"

#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proto/fs.pb-c.h"
#include "proto/net.pb-c.h"
#include "shim/core/space.h"

/* FsSpaceMake: the network of the space that it is a copy of. */
#define NETWORK_AS_BEFORE 255u
#define GRACE_MS 2000

enum run_key { KEY_OVERLAY = 256, KEY_NET, KEY_NAMESPACE, KEY_NO_TRAP };

struct run {
    const char *session_name;
    const char *namespace_file;
    uint32_t network;
    char **command;
    struct session session;
    bool one_shot;
    bool trap;
    struct confine confine;
    /* Of the one-shot session: held by this process and the attendant until they end, or until the
     * attendant has opened the tree. */
    int lease;
};

static const struct argp_option run_options[] = {
    {.name = "overlay", .key = KEY_OVERLAY, .doc = "not yet: keep changes of files apart"},
    {.name = "net", .key = KEY_NET, .arg = "MODE", .doc = "the network: host, none or private"},
    {.name = "namespace",
     .key = KEY_NAMESPACE,
     .arg = "FILE",
     .doc = "a name space of its own, made by the commands in FILE"},
    {.name = "no-trap",
     .key = KEY_NO_TRAP,
     .doc =
         "without the trap server: setuid programs work, but static programs and raw system calls "
         "are not retargeted"},
    {0},
};

static uint32_t network_parse(const char *mode, struct argp_state *state)
{
    if (strcmp(mode, "host") == 0)
        return SPACE_NET_HOST;
    if (strcmp(mode, "none") == 0)
        return SPACE_NET_NONE;
    if (strcmp(mode, "private") == 0)
        return SPACE_NET_PRIVATE;
    argp_error(state, "--net is host, none or private, not '%s'", mode);
    return NETWORK_AS_BEFORE;
}

static error_t run_parse(int key, char *argument, struct argp_state *state)
{
    struct run *run = state->input;

    (void)argument;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &run->session_name;
        state->child_inputs[1] = &run->confine;
        return 0;
    case KEY_OVERLAY:
        argp_failure(state, SHELL_FAILED, 0,
                     "--overlay comes with a later version; copy what must not change");
        return EINVAL;
    case KEY_NET:
        run->network = network_parse(argument, state);
        return 0;
    case KEY_NAMESPACE:
        run->namespace_file = argument;
        return 0;
    case KEY_NO_TRAP:
        run->trap = false;
        return 0;
    case ARGP_KEY_ARG:
        /* The first word that is no option begins the command: the rest is the command's. */
        run->command = &state->argv[state->next - 1];
        state->next = state->argc;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp_child run_argp_children[] = {
    {.argp = &session_argp}, {.argp = &confine_argp}, {0}};

static const struct argp run_argp = {
    .options = run_options,
    .parser = run_parse,
    .args_doc = "[CMD [ARG…]]",
    .doc = "Run CMD, or your shell, in a session: the one that --session names, the one that this "
           "runs in, or a new one that ends with the command.",
    .children = run_argp_children,
};

static char **shell_command(void)
{
    static char *command[2];
    const struct passwd *user;

    command[0] = getenv("SHELL");
    if (command[0] == NULL || command[0][0] == '\0') {
        user = getpwuid(geteuid());
        command[0] = user != NULL && user->pw_shell[0] != '\0' ? user->pw_shell : (char *)"/bin/sh";
    }
    return command;
}

/* The session that is meant; a new one where none is. */
static int run_session(struct run *run)
{
    char name[SESSION_NAME_MAX + 1], incomplete[256];
    int error;

    if (run->session_name != NULL)
        return session_find(run->session_name, &run->session);
    if (session_current(&run->session) == 0)
        return 0;
    snprintf(name, sizeof name, "run-%d", getpid());
    error = session_launch(name, &run->lease, &run->session, incomplete, sizeof incomplete);
    if (error != 0)
        return error;
    run->one_shot = true;
    if (incomplete[0] != '\0')
        shell_say(0, "this session is incomplete: %s (hirsel doctor explains)", incomplete);
    return 0;
}

/* Tell net what the space's network is. */
static int network_grant(struct run *run, uint64_t space)
{
    Hirsel__NetSpace wanted = HIRSEL__NET_SPACE__INIT;
    struct port *net = NULL;
    int error;

    wanted.space = space;
    wanted.mode = run->network;
    error = session_call(&run->session, "net", &net, HIRSEL__NET_OPERATION__NET_GRANT, &wanted.base,
                         NULL, NULL, SESSION_TIMEOUT_MS);
    if (error != 0 && net != NULL)
        shell_say(error, "cannot set the network of session '%s'", run->session.name);
    if (net != NULL)
        port_close(net);
    return error;
}

static int space_make(struct run *run, struct port **fs, uint64_t *space)
{
    Hirsel__FsSpaceMake wanted = HIRSEL__FS_SPACE_MAKE__INIT;
    ProtobufCMessage *answer = NULL;
    int error;

    wanted.network = run->network;
    error = session_call(&run->session, "fs", fs, HIRSEL__FS_OPERATION__FS_SPACE_MAKE, &wanted.base,
                         &hirsel__fs_space__descriptor, &answer, SESSION_TIMEOUT_MS);
    if (error != 0 && *fs == NULL)
        return error;
    if (error != 0) {
        shell_say(error, "cannot make a name space in session '%s'", run->session.name);
        return error;
    }
    *space = ((const Hirsel__FsSpace *)answer)->space;
    rpc_free(answer);
    return 0;
}

/* The name space to run in: the caller's own, or a new one where the command gets something of its
 * own. A new session's default space is nobody else's. */
static int run_space(struct run *run, uint64_t *space)
{
    bool network = run->network != NETWORK_AS_BEFORE;
    /* What programs of a space tell each other in its table must not come from a confined one. */
    bool own = run->namespace_file != NULL || ((network || run->confine.wanted) && !run->one_shot);
    struct port *fs = NULL;
    int error = 0;

    *space = run->session.current ? session_space() : 0;
    if (own) {
        error = space_make(run, &fs, space);
        if (error == 0 && run->namespace_file != NULL &&
            namespace_apply(&run->session, *space, run->namespace_file) != 0)
            error = EINVAL;
        if (fs != NULL)
            port_close(fs);
    }
    if (error == 0 && network)
        error = network_grant(run, *space);
    return error;
}

static int run_all(struct run *run)
{
    struct tree_plan plan = {.session = &run->session, .command = run->command, .trap = run->trap};
    int status = SHELL_FAILED;

    if (confine_probe(&run->confine, run->trap) != 0 || run_session(run) != 0)
        return SHELL_FAILED;
    if (run_space(run, &plan.space) == 0 && confine_plan(&run->confine, &plan) == 0) {
        /* No connection is shared with the attendant. */
        session_close(&run->session);
        status = tree_run(&plan);
    }
    if (run->one_shot)
        session_end(&run->session, GRACE_MS, false);
    session_close(&run->session);
    confine_clear(&run->confine, &plan);
    return status;
}

int command_run(int argc, char **argv)
{
    struct run run = {.network = NETWORK_AS_BEFORE, .trap = true};

    if (argp_parse(&run_argp, argc, argv, ARGP_IN_ORDER, NULL, &run) != 0)
        return SHELL_FAILED;
    if (run.command == NULL)
        run.command = shell_command();
    return run_all(&run);
}

static error_t attach_parse(int key, char *argument, struct argp_state *state)
{
    struct run *run = state->input;

    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &run->session_name;
        return 0;
    case ARGP_KEY_ARG:
        if (run->session_name != NULL)
            argp_error(state, "one session, please");
        if (!session_name_valid(argument))
            argp_error(state, "'%s' is no session's name", argument);
        run->session_name = argument;
        return 0;
    case ARGP_KEY_END:
        if (run->session_name == NULL)
            argp_error(state, "which session? (hirsel list shows them)");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp attach_argp = {
    .parser = attach_parse,
    .args_doc = "NAME",
    .doc = "Open your shell in the session NAME.",
    .children = session_argp_children,
};

int command_attach(int argc, char **argv)
{
    struct run run = {.network = NETWORK_AS_BEFORE, .trap = true};

    if (argp_parse(&attach_argp, argc, argv, 0, NULL, &run) != 0)
        return SHELL_FAILED;
    run.command = shell_command();
    return run_all(&run);
}
