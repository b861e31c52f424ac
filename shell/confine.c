#include "shell/confine.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "servers/lib/directory.h"
#include "shell/shell.h"

enum confine_key {
    KEY_CONFINE = 512,
    KEY_READ,
    KEY_WRITE,
    KEY_EXECUTE,
    KEY_CONNECT,
    KEY_BIND,
    KEY_VARIABLE,
    KEY_BEST_EFFORT
};

static const struct argp_option confine_options[] = {
    {.name = "confine",
     .key = KEY_CONFINE,
     .doc =
         "without any authority but to work on the current directory with the system's programs"},
    {.name = "allow-read", .key = KEY_READ, .arg = "PATH", .doc = "it may read PATH and all below"},
    {.name = "allow-write",
     .key = KEY_WRITE,
     .arg = "PATH",
     .doc = "it may read and change PATH and all below"},
    {.name = "allow-exec",
     .key = KEY_EXECUTE,
     .arg = "PATH",
     .doc = "it may read and execute PATH and all below"},
    {.name = "allow-connect",
     .key = KEY_CONNECT,
     .arg = "HOST:PORT",
     .doc = "it may connect there; either may be *"},
    {.name = "allow-bind",
     .key = KEY_BIND,
     .arg = "HOST:PORT",
     .doc = "it may serve there; either may be *"},
    {.name = "env",
     .key = KEY_VARIABLE,
     .arg = "NAME",
     .doc = "it has this variable as you have it"},
    {.name = "best-effort",
     .key = KEY_BEST_EFFORT,
     .doc = "confine as far as this system can, instead of not at all where it can't"},
    {0},
};

/* What tells of the terminal, the language and the user, and holds no secrets. */
static const char *const variables[] = {
    "PATH",        "HOME",       "USER",         "LOGNAME",        "SHELL",
    "TERM",        "COLORTERM",  "NO_COLOR",     "LINES",          "COLUMNS",
    "LANG",        "LANGUAGE",   "LC_ALL",       "LC_CTYPE",       "LC_COLLATE",
    "LC_MESSAGES", "LC_NUMERIC", "LC_TIME",      "LC_MONETARY",    "LC_PAPER",
    "LC_NAME",     "LC_ADDRESS", "LC_TELEPHONE", "LC_MEASUREMENT", "LC_IDENTIFICATION",
    "TZ",          "TMPDIR",     "PWD",          "SHLVL",
};

static void path_add(struct confine *confine, const char *path, unsigned access,
                     struct argp_state *state)
{
    int error = fence_policy_add_path(&confine->policy, path, access);

    confine->rule = true;
    if (error != 0)
        argp_failure(state, SHELL_FAILED, error, "cannot allow '%s'", path);
}

static void host_add(struct confine *confine, const char *host, unsigned access,
                     struct argp_state *state)
{
    int error = fence_policy_add_host(&confine->policy, host, access);

    confine->rule = true;
    if (error == EINVAL)
        argp_failure(state, SHELL_FAILED, 0,
                     "'%s' is not HOST:PORT (a name, 192.0.2.1 or [2001:db8::1]; a port; or *)",
                     host);
    else if (error != 0)
        argp_failure(state, SHELL_FAILED, error, "cannot allow '%s'", host);
}

static void variable_add(struct confine *confine, const char *name, struct argp_state *state)
{
    int error;

    confine->rule = true;
    if (name[0] == '\0' || strchr(name, '=') != NULL)
        argp_failure(state, SHELL_FAILED, 0, "'%s' is no variable's name", name);
    error = fence_policy_add_variable(&confine->policy, name);
    if (error != 0)
        argp_failure(state, SHELL_FAILED, error, "cannot allow '%s'", name);
}

static error_t confine_parse(int key, char *argument, struct argp_state *state)
{
    struct confine *confine = state->input;

    switch (key) {
    case KEY_CONFINE:
        confine->wanted = true;
        return 0;
    case KEY_READ:
        path_add(confine, argument, FENCE_READ, state);
        return 0;
    case KEY_WRITE:
        path_add(confine, argument, FENCE_READ | FENCE_WRITE, state);
        return 0;
    case KEY_EXECUTE:
        path_add(confine, argument, FENCE_READ | FENCE_EXECUTE, state);
        return 0;
    case KEY_CONNECT:
        host_add(confine, argument, FENCE_CONNECT, state);
        return 0;
    case KEY_BIND:
        host_add(confine, argument, FENCE_BIND, state);
        return 0;
    case KEY_VARIABLE:
        variable_add(confine, argument, state);
        return 0;
    case KEY_BEST_EFFORT:
        confine->best_effort = true;
        return 0;
    case ARGP_KEY_END:
    case ARGP_KEY_SUCCESS:
        if (!confine->wanted && (confine->rule || confine->best_effort))
            argp_error(state, "--allow-…, --env and --best-effort say what --confine is to do; it "
                              "is not there");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

const struct argp confine_argp = {.options = confine_options, .parser = confine_parse};

/* What can be held where the tree is to begin. */
static int place_probe(struct confine *confine, bool trap, struct fence_probe *probe)
{
    int error = fence_probe_run(probe);

    if (error != 0 || !trap || probe->listener_error != EBUSY)
        return error;
    confine->beside_error = beside_ask(&confine->beside);
    confine->is_beside = confine->beside_error == 0;
    if (confine->is_beside)
        *probe = confine->beside.ready.probe;
    return 0;
}

/* Why the tree can't begin beside the filter of the session that this is in. */
static const char *beside_text(int error)
{
    switch (error) {
    case EXDEV:
        return "this is in other name spaces, or another control group, than its session, and "
               "keeps them";
    case EPERM:
        return "this has less authority than the session that it runs in, and keeps it";
    default:
        return NULL;
    }
}

int confine_probe(struct confine *confine, bool trap)
{
    const char *reasons[FENCE_REASONS];
    struct fence_probe probe;
    size_t count = 0;
    int error;

    if (!confine->wanted)
        return 0;
    error = place_probe(confine, trap, &probe);
    if (error != 0) {
        shell_say(error, "cannot find out what this system can hold");
        return error;
    }
    count = fence_probe_confine(&probe, reasons);
    if (count > 0 && beside_text(confine->beside_error) != NULL)
        reasons[0] = beside_text(confine->beside_error);
    if (!trap && !confine->best_effort) {
        shell_say(0, "--confine needs the trap server: leave --no-trap out, or add --best-effort");
        return EINVAL;
    }
    if (count == 0)
        return 0;
    if (confine->best_effort) {
        shell_say(0, "not confined in everything: %s%s (hirsel doctor explains)", reasons[0],
                  count > 1 ? ", and more" : "");
        return 0;
    }
    shell_say(0,
              "cannot confine here: %s%s (hirsel doctor explains; --best-effort confines as far as "
              "this system can)",
              reasons[0], count > 1 ? ", and more" : "");
    return ENOTSUP;
}

/* A directory of the tree's own for what is short-lived, which ends with the tree. */
static int scratch_make(struct confine *confine, const struct session *session)
{
    static const char *const parts[] = {TREE_TEMPORARY, TREE_MEMORY, TREE_PROGRAMS};
    char path[PATH_MAX + 16];

    if ((size_t)snprintf(confine->scratch, sizeof confine->scratch, "%s/scratch/%d",
                         session->directory, getpid()) >= sizeof confine->scratch)
        return ENAMETOOLONG;
    snprintf(path, sizeof path, "%s/scratch", session->directory);
    if ((mkdir(path, 0700) != 0 && errno != EEXIST) || mkdir(confine->scratch, 0700) != 0)
        return errno;
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        snprintf(path, sizeof path, "%s%s", confine->scratch, parts[i]);
        if (mkdir(path, 0700) != 0)
            return errno;
    }
    return 0;
}

/* Memory and semaphores that programs share by name are files in /dev/shm, where all of the user's
 * programs have theirs: there the tree has a directory of its own, unless the user gave it that
 * one. */
static int memory_add(struct confine *confine)
{
    char own[PATH_MAX + 16];
    int error;

    if (fence_policy_allows(&confine->policy, FENCE_MEMORY, FENCE_READ))
        return 0;
    snprintf(own, sizeof own, "%s" TREE_MEMORY, confine->scratch);
    error = fence_policy_add_path(&confine->policy, own, FENCE_READ | FENCE_WRITE | FENCE_EXECUTE);
    return error != 0 ? error : fence_policy_set_memory(&confine->policy, own);
}

/* Where translators have their files nothing may be executed: what lies there is allowed or not by
 * its name in the session, and that Landlock does not know. What the policy allows is given to the
 * tree here by the trap server, and can't be changed. */
static int programs_add(struct confine *confine)
{
    char own[PATH_MAX + 16];
    int error;

    snprintf(own, sizeof own, "%s" TREE_PROGRAMS, confine->scratch);
    error = fence_policy_add_path(&confine->policy, own, FENCE_READ | FENCE_EXECUTE);
    return error != 0 ? error : fence_policy_set_programs(&confine->policy, own);
}

/* What the shim uses of the session: the table of the tree's name space, the libc copy, and
 * fs. The copy is in a directory of copies: there will be another
 * one when the system's libc is replaced. */
static int door_allow(struct confine *confine, const struct tree_plan *plan)
{
    char space[PATH_MAX + 64], door[PATH_MAX + 128], copy[PATH_MAX];
    ssize_t length;
    int error;

    /* No other server: fs alone knows whom it must not obey in everything. */
    snprintf(space, sizeof space, "%s/fs", plan->session->directory);
    error = fence_policy_add_path(&confine->policy, space, FENCE_READ | FENCE_WRITE);
    if (error != 0)
        return error;
    snprintf(space, sizeof space, "%s/spaces/%llu", plan->session->directory,
             (unsigned long long)plan->space);
    snprintf(door, sizeof door, "%s/lib/libc.so.6", space);
    error = fence_policy_add_path(&confine->policy, space, FENCE_READ);
    length = readlink(door, copy, sizeof copy - 1);
    if (error != 0 || length <= 0)
        return error;
    copy[length] = '\0';
    *strrchr(copy, '/') = '\0';
    return copy[0] != '\0' ? fence_policy_add_path(&confine->policy, copy, FENCE_READ) : 0;
}

static int policy_complete(struct confine *confine, const struct tree_plan *plan,
                           const char *directory)
{
    char temporary[PATH_MAX + 16];
    int error = 0;

    confine->policy.confined = true;
    for (size_t i = 0; i < sizeof variables / sizeof variables[0] && error == 0; i++)
        error = fence_policy_add_variable(&confine->policy, variables[i]);
    if (error == 0)
        error = scratch_make(confine, plan->session);
    snprintf(temporary, sizeof temporary, "%s" TREE_TEMPORARY, confine->scratch);
    if (error == 0)
        error = fence_policy_add_default(&confine->policy, directory, temporary);
    if (error == 0)
        error = memory_add(confine);
    if (error == 0)
        error = programs_add(confine);
    if (error == 0)
        error = door_allow(confine, plan);
    return error;
}

int confine_plan(struct confine *confine, struct tree_plan *plan)
{
    char directory[PATH_MAX];
    int error;

    if (!confine->wanted)
        return 0;
    if (getcwd(directory, sizeof directory) == NULL) {
        error = errno;
        shell_say(error, "cannot confine '%s' to the current directory", plan->command[0]);
        return error;
    }
    error = policy_complete(confine, plan, directory);
    if (error == 0)
        error = fence_policy_pack(&confine->policy, &plan->policy, &plan->policy_length);
    if (error != 0)
        shell_say(error, "cannot make the confinement of '%s'", plan->command[0]);
    plan->best_effort = confine->best_effort;
    plan->scratch = confine->scratch;
    if (confine->is_beside)
        plan->beside = &confine->beside;
    return error;
}

void confine_clear(struct confine *confine, struct tree_plan *plan)
{
    fence_policy_clear(&confine->policy);
    free(plan->policy);
    plan->policy = NULL;
}
