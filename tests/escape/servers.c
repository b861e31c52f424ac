/* Ways by the session's servers: to reach those that are not the own session's, to be taken for
 * somebody else, and to have them do what one may not do oneself. */
#include "tests/escape/escape.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tests/escape/pack.h"

/* Numbers of the protocols (libmsg/proto). */
enum operation {
    ASK_STAT = 16,
    ASK_OPEN = 17,
    ASK_OPTIONS = 22,
    ASK_GO_AWAY = 23,
    ASK_BIND = 32,
    ASK_SET_TRANSLATOR = 35,
    ASK_SPACE_MAKE = 37,
    ASK_STOP = 65,
    ASK_TREE_OPEN = 66,
    ASK_LISTENER = 68,
    ASK_TREE_BESIDE = 70,
    ASK_SPAWN = 81,
    ASK_KILL_TRANSLATOR = 82,
    ASK_TREES = 83,
    ASK_KEPT = 85,
    ASK_KILL = 97,
    ASK_GRANT = 113,
    ASK_JOIN = 129,
    ASK_SERVE = 136,
};

static bool session_there(const struct outside *outside, struct trial *trial)
{
    if (outside->session[0] == '\0')
        tell_untried(trial, "there is no session");
    return outside->session[0] != '\0';
}

static void tell_answer(struct trial *trial, int error, const char *gain)
{
    if (error != 0)
        tell_held(trial, "%s", strerror(error));
    else
        tell_escaped(trial, "%s", gain);
}

static void by_other_session(const struct outside *outside, struct trial *trial)
{
    static const char *const servers[] = {"init", "fs", "proc", "net", "trap"};

    if (outside->other[0] == '\0') {
        tell_untried(trial, "there is no other session");
        return;
    }
    for (size_t i = 0; i < sizeof servers / sizeof servers[0]; i++)
        if (bus_connect(outside->other, servers[i]) >= 0)
            tell_escaped(trial, "connected to its %s", servers[i]);
    tell_held(trial, "%s", strerror(errno));
}

/* To a translator without asking fs. */
static void by_translator(const struct outside *outside, struct trial *trial)
{
    char name[64];

    if (!session_there(outside, trial))
        return;
    for (unsigned i = 1; i < 32; i++) {
        snprintf(name, sizeof name, "nodes/%u/port", i);
        if (bus_connect(outside->session, name) >= 0)
            tell_escaped(trial, "connected to a translator");
    }
    tell_held(trial, "%s", strerror(errno));
}

/* What names mean to all programs of the name space. */
static void by_table(const struct outside *outside, struct trial *trial)
{
    char path[PATH_MAX];

    if (!session_there(outside, trial))
        return;
    tell_call(trial, open(path_in(path, outside->session, "spaces/0/table"), O_RDWR | O_CLOEXEC),
              "can change the table of names");
}

/* The code that all programs of all sessions run. */
static void by_library(const struct outside *outside, struct trial *trial)
{
    char path[PATH_MAX];
    struct stat status;

    if (!session_there(outside, trial))
        return;
    path_in(path, outside->session, "spaces/0/lib/libc.so.6");
    if (stat(path, &status) != 0 || chmod(path, status.st_mode | 0200) != 0) {
        tell_held(trial, "%s", strerror(errno));
        return;
    }
    tell_call(trial, open(path, O_RDWR | O_CLOEXEC), "can change the copy of the C library");
    chmod(path, status.st_mode);
}

/* A door that leads to a copy of one's own. */
static void by_door(const struct outside *outside, struct trial *trial)
{
    char path[PATH_MAX], next[PATH_MAX];

    if (!session_there(outside, trial))
        return;
    tell_call(trial,
              symlink(outside->program, path_in(next, outside->session, "spaces/0/lib/next")) != 0
                  ? -1
                  : rename(next, path_in(path, outside->session, "spaces/0/lib/none")),
              "can turn the door");
    unlink(path);
}

/* One forged request to each server of the own session, in all of which an answer without an error
 * would be a gain. */
static void forge(const struct outside *outside, struct trial *trial, struct wire_header header,
                  const void *body, size_t length, const int *descriptors, size_t count)
{
    static const char *const servers[] = {"init", "fs", "proc", "net", "trap"};
    const char *text = "no server can be reached";
    unsigned reached = 0;

    if (!session_there(outside, trial))
        return;
    header.version = WIRE_VERSION;
    header.kind = WIRE_REQUEST;
    header.tag = 1;
    for (size_t i = 0; i < sizeof servers / sizeof servers[0]; i++) {
        int bus = bus_connect(outside->session, servers[i]), error;

        if (bus < 0)
            continue;
        reached++;
        error = bus_send(bus, &header, body, length, descriptors, count) != 0
                    ? errno
                    : bus_reply(bus, NULL);
        if (error == 0)
            tell_escaped(trial, "%s took it", servers[i]);
        text = strerror(error);
        close(bus);
    }
    tell_held(trial, "%u servers reached: %s", reached, text);
}

static void by_forged_object(const struct outside *outside, struct trial *trial)
{
    struct pack body = {.length = 0};

    pack_number(&body, 1, 999);
    pack_text(&body, 3, "x");
    forge(outside, trial,
          (struct wire_header){
              .operation = ASK_OPEN, .object = UINT64_MAX, .length = (uint32_t)body.length},
          body.bytes, body.length, NULL, 0);
}

static void by_forged_handle(const struct outside *outside, struct trial *trial)
{
    struct pack body = {.length = 0};

    pack_number(&body, 1, 1);
    forge(outside, trial,
          (struct wire_header){.operation = ASK_STAT, .object = 1, .length = (uint32_t)body.length},
          body.bytes, body.length, NULL, 0);
}

static void by_forged_length(const struct outside *outside, struct trial *trial)
{
    static char body[WIRE_INLINE_MAX + 1000];

    memset(body, 0xff, sizeof body);
    forge(outside, trial,
          (struct wire_header){.operation = ASK_SET_TRANSLATOR, .length = sizeof body}, body,
          sizeof body, NULL, 0);
    forge(outside, trial,
          (struct wire_header){.operation = ASK_SET_TRANSLATOR, .length = UINT32_MAX}, body, 1,
          NULL, 0);
}

static void by_forged_descriptors(const struct outside *outside, struct trial *trial)
{
    int descriptors[253];

    for (size_t i = 0; i < 253; i++)
        descriptors[i] = STDERR_FILENO;
    forge(outside, trial, (struct wire_header){.operation = ASK_OPEN, .descriptors = 253}, "", 0,
          descriptors, 253);
}

/* What only the control channels of init's own children may ask. */
static void by_forged_spawn(const struct outside *outside, struct trial *trial)
{
    static const char *const servers[] = {"init", "fs", "proc", "net", "trap"};
    char command[2 * PATH_MAX], leak[PATH_MAX];
    struct pack body = {.length = 0};
    int error = 0;

    if (!session_there(outside, trial))
        return;
    snprintf(command, sizeof command, "cat '%s' >'%s'", outside->secret,
             path_of_own(leak, outside, trial, ""));
    pack_number(&body, 1, 77);
    pack_text(&body, 2, "forged");
    pack_text(&body, 3, "/bin/sh");
    pack_text(&body, 3, "-c");
    pack_text(&body, 3, command);
    for (size_t i = 0; i < sizeof servers / sizeof servers[0]; i++)
        error = bus_ask(outside->session, servers[i], ASK_SPAWN, &body, NULL, 0);
    usleep(200000);
    if (file_tells(leak))
        tell_escaped(trial, "init started its command");
    else
        tell_held(trial, "%s", strerror(error));
}

static void by_forged_control(const struct outside *outside, struct trial *trial)
{
    static const uint32_t operations[] = {ASK_KILL_TRANSLATOR, ASK_TREES, ASK_KEPT, ASK_SERVE};
    struct pack body = {.length = 0};
    int error = 0;

    if (!session_there(outside, trial))
        return;
    pack_number(&body, 1, 1);
    for (size_t i = 0; i < sizeof operations / sizeof operations[0]; i++)
        for (unsigned j = 0; j < 2; j++) {
            error =
                bus_ask(outside->session, j == 0 ? "init" : "trap", operations[i], &body, NULL, 0);
            if (error == 0)
                tell_escaped(trial, "operation %u was done", operations[i]);
        }
    tell_held(trial, "%s", strerror(error));
}

/* Another policy for the same tree: one that forbids nothing. */
static void by_forged_policy(const struct outside *outside, struct trial *trial)
{
    struct pack body = {.length = 0};
    int ends[2], error;

    if (!session_there(outside, trial))
        return;
    if (pipe(ends) != 0) {
        tell_untried(trial, "no pipe: %s", strerror(errno));
        return;
    }
    error = bus_ask(outside->session, "init", ASK_LISTENER, &body, ends, 2);
    tell_answer(trial, error, "init took another policy");
}

/* To be served as part of another session's tree. */
static void by_forged_join(const struct outside *outside, struct trial *trial)
{
    struct pack body = {.length = 0};

    if (!session_there(outside, trial))
        return;
    pack_text(&body, 1, outside->other[0] != '\0' ? outside->other : outside->session);
    pack_number(&body, 3, (uint64_t)getpid());
    tell_answer(trial, bus_ask(outside->session, "trap", ASK_JOIN, &body, NULL, 0),
                "it is served as of another session");
}

/* To be the root of a tree that nothing holds. */
static void by_new_tree(const struct outside *outside, struct trial *trial)
{
    struct pack body = {.length = 0};
    int error;

    if (!session_there(outside, trial))
        return;
    pack_number(&body, 3, 0);
    error = bus_ask(outside->session, "init", ASK_TREE_OPEN, &body, NULL, 0);
    if (error == 0)
        /* That alone gives nothing: what it may read then is what counts. */
        tell_descriptor(trial, open(outside->secret, O_RDONLY | O_CLOEXEC));
    else
        tell_held(trial, "%s", strerror(error));
}

/* A process beside the tree, which is not below its filter. */
static void by_tree_beside(const struct outside *outside, struct trial *trial)
{
    struct pack body = {.length = 0};
    int ends[2];

    if (!session_there(outside, trial))
        return;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) {
        tell_untried(trial, "no pair of sockets: %s", strerror(errno));
        return;
    }
    tell_answer(trial, bus_ask(outside->session, "init", ASK_TREE_BESIDE, &body, ends + 1, 1),
                "a process began beside the tree");
    close(ends[0]);
    close(ends[1]);
}

/* The translator prints what the asker may not read. */
static void set_translator(const struct outside *outside, struct trial *trial, bool active)
{
    char node[PATH_MAX];
    struct pack body = {.length = 0};
    int error;

    if (!session_there(outside, trial))
        return;
    pack_text(&body, 1, path_of_own(node, outside, trial, ""));
    pack_text(&body, 2, "exec");
    pack_text(&body, 2, "/bin/cat");
    pack_text(&body, 2, outside->secret);
    pack_number(&body, active ? 3 : 4, 1);
    pack_number(&body, 6, 1);
    pack_text(&body, 13, "file");
    error = bus_ask(outside->session, "fs", ASK_SET_TRANSLATOR, &body, NULL, 0);
    if (error != 0) {
        tell_held(trial, "%s", strerror(error));
        return;
    }
    if (file_tells(node))
        tell_escaped(trial, "its translator told the secret");
    tell_held(trial, "it was set, and its translator did not tell the secret");
}

static void by_settrans_active(const struct outside *outside, struct trial *trial)
{
    set_translator(outside, trial, true);
}

static void by_settrans_passive(const struct outside *outside, struct trial *trial)
{
    set_translator(outside, trial, false);
}

/* A node that somebody outside made, with the user's own seal: its translator is started for
 * whoever looks first. */
static void by_passive_node(const struct outside *outside, struct trial *trial)
{
    char node[PATH_MAX], text[256];

    path_in(node, outside->allowed, "passive");
    if (readlink(node, text, sizeof text) < 0 && errno == ENOENT)
        tell_untried(trial, "there is no node");
    else
        tell_descriptor(trial, open(node, O_RDONLY | O_CLOEXEC));
}

/* A node that lies outside, and that answers the user. */
static void by_node_outside(const struct outside *outside, struct trial *trial)
{
    char node[PATH_MAX];

    if (session_there(outside, trial))
        tell_descriptor(trial,
                        open(path_in(node, outside->directory, "told"), O_RDONLY | O_CLOEXEC));
}

static void by_node_outside_raw(const struct outside *outside, struct trial *trial)
{
    char node[PATH_MAX];

    if (session_there(outside, trial))
        tell_descriptor(trial, (int)syscall(SYS_openat, AT_FDCWD,
                                            path_in(node, outside->directory, "told"), O_RDONLY));
}

static void by_node_outside_status(const struct outside *outside, struct trial *trial)
{
    char node[PATH_MAX];
    struct stat status;

    if (session_there(outside, trial))
        tell_call(trial,
                  syscall(SYS_stat, path_in(node, outside->directory, "told"), &status) == 0 &&
                          S_ISREG(status.st_mode)
                      ? 0
                      : -1,
                  "told its attributes");
}

static void by_node_outside_change(const struct outside *outside, struct trial *trial)
{
    char node[PATH_MAX];

    if (session_there(outside, trial))
        tell_call(trial, syscall(SYS_chmod, path_in(node, outside->directory, "told"), 0400),
                  "changed its mode");
}

static void by_node_removed(const struct outside *outside, struct trial *trial)
{
    char node[PATH_MAX];

    if (session_there(outside, trial))
        tell_call(trial, unlink(path_in(node, outside->directory, "told")), "removed it");
}

/* A record without the seal. */
static void by_forged_record(const struct outside *outside, struct trial *trial)
{
    char node[PATH_MAX], text[PATH_MAX], secret[PATH_MAX];
    size_t length = 0;

    for (const char *at = outside->secret; *at != '\0' && length < sizeof secret - 4; at++) {
        if (*at == '/')
            length += (size_t)snprintf(secret + length, 4, "%%2F");
        else
            secret[length++] = *at;
    }
    secret[length] = '\0';
    if ((size_t)snprintf(text, sizeof text, "/.hirsel/1/%064d/f/exec/%%2Fbin%%2Fcat/%s", 0,
                         secret) >= sizeof text ||
        symlink(text, path_of_own(node, outside, trial, "")) != 0)
        tell_held(trial, "no record: %s", strerror(errno));
    else
        tell_descriptor(trial, open(node, O_RDONLY | O_CLOEXEC));
    unlink(node);
}

static void by_bind(const struct outside *outside, struct trial *trial)
{
    char node[PATH_MAX], path[PATH_MAX];
    struct pack body = {.length = 0};
    int error;

    if (!session_there(outside, trial))
        return;
    mkdir(path_of_own(node, outside, trial, ""), 0700);
    pack_number(&body, 1, 1);
    pack_text(&body, 2, node);
    pack_text(&body, 3, outside->directory);
    error = bus_ask(outside->session, "fs", ASK_BIND, &body, NULL, 0);
    if (error != 0)
        tell_held(trial, "%s", strerror(error));
    else
        tell_descriptor(trial, open(path_in(path, node, "secret"), O_RDONLY | O_CLOEXEC));
}

static void by_space(const struct outside *outside, struct trial *trial)
{
    struct pack body = {.length = 0};

    if (!session_there(outside, trial))
        return;
    tell_answer(trial, bus_ask(outside->session, "fs", ASK_SPACE_MAKE, &body, NULL, 0),
                "made a name space of its own");
}

/* By a socket that has a name: for whom it was connected can't be said by that then. */
static void by_named_space(const struct outside *outside, struct trial *trial)
{
    struct pack body = {.length = 0};
    char own[PATH_MAX];

    if (!session_there(outside, trial))
        return;
    tell_answer(trial,
                bus_ask_named(outside->session, "fs", path_of_own(own, outside, trial, ""),
                              ASK_SPACE_MAKE, &body),
                "made a name space of its own");
}

/* The same, asking for a process to be signalled. */
static void by_named_kill(const struct outside *outside, struct trial *trial)
{
    struct pack body = {.length = 0};
    char own[PATH_MAX];

    if (!session_there(outside, trial))
        return;
    pack_number(&body, 1, outside->target);
    pack_number(&body, 2, SIGUSR1);
    tell_answer(trial,
                bus_ask_named(outside->session, "proc", path_of_own(own, outside, trial, ""),
                              ASK_KILL, &body),
                "signalled what is not of its tree");
}

/* Connected by threads that are gone when the server comes to look who they were. */
#define GONE_AT_ONCE 16
#define GONE_TRIES 60

struct gone {
    const char *session, *server;
    int bus;
};

static void *gone_connect(void *context)
{
    struct gone *gone = context;

    if (bus_reach(gone->bus, gone->session, gone->server) != 0) {
        close(gone->bus);
        gone->bus = -1;
    }
    return NULL;
}

static void ask_gone(const struct outside *outside, struct trial *trial, const char *server,
                     uint32_t operation, const struct pack *body, const char *gain)
{
    struct gone gone[GONE_AT_ONCE];
    pthread_t threads[GONE_AT_ONCE];
    unsigned asked = 0;
    int error = ENOTCONN;

    if (!session_there(outside, trial))
        return;
    for (unsigned try = 0; try < GONE_TRIES && trial->outcome != OUTCOME_ESCAPED; try++) {
        bool started[GONE_AT_ONCE];

        for (size_t i = 0; i < GONE_AT_ONCE; i++) {
            gone[i] = (struct gone){outside->session, server, bus_socket()};
            started[i] = pthread_create(&threads[i], NULL, gone_connect, &gone[i]) == 0;
        }
        for (size_t i = 0; i < GONE_AT_ONCE; i++)
            if (started[i])
                pthread_join(threads[i], NULL);
        for (size_t i = 0; i < GONE_AT_ONCE; i++) {
            if (gone[i].bus < 0 || !started[i] || bus_greet(gone[i].bus) != 0) {
                close(gone[i].bus);
                continue;
            }
            asked++;
            error = bus_ask_on(gone[i].bus, operation, body);
            if (error == 0)
                tell_escaped(trial, "%s, asked as number %u", gain, asked);
        }
    }
    tell_held(trial, "asked %u times: %s", asked, strerror(error));
}

static void by_gone_space(const struct outside *outside, struct trial *trial)
{
    struct pack body = {.length = 0};

    ask_gone(outside, trial, "fs", ASK_SPACE_MAKE, &body, "made a name space of its own");
}

static void by_gone_kill(const struct outside *outside, struct trial *trial)
{
    struct pack body = {.length = 0};

    pack_number(&body, 1, outside->target);
    pack_number(&body, 2, SIGUSR1);
    ask_gone(outside, trial, "proc", ASK_KILL, &body, "signalled what is not of its tree");
}

static void by_gone_grant(const struct outside *outside, struct trial *trial)
{
    struct pack body = {.length = 0};

    ask_gone(outside, trial, "net", ASK_GRANT, &body, "changed the network");
}

static void by_gone_tree(const struct outside *outside, struct trial *trial)
{
    struct pack body = {.length = 0};

    pack_number(&body, 3, 0);
    ask_gone(outside, trial, "init", ASK_TREE_OPEN, &body, "is the root of a tree");
}

static void by_grant(const struct outside *outside, struct trial *trial)
{
    struct pack body = {.length = 0};

    if (!session_there(outside, trial))
        return;
    tell_answer(trial, bus_ask(outside->session, "net", ASK_GRANT, &body, NULL, 0),
                "changed the network");
}

/* proc signals with the user's rights: those of the asker are less. The target is in the session,
 * in a tree of its own. */
static void by_kill(const struct outside *outside, struct trial *trial)
{
    struct pack body = {.length = 0};

    if (!session_there(outside, trial))
        return;
    pack_number(&body, 1, outside->target);
    pack_number(&body, 2, SIGUSR1);
    tell_answer(trial, bus_ask(outside->session, "proc", ASK_KILL, &body, NULL, 0),
                "signalled what is not of its tree");
}

/* What belongs to other trees has a number, too, and that can be guessed. */
#define TRANSLATORS_MAX 40

static void by_node_number(const struct outside *outside, struct trial *trial)
{
    int error = 0, descriptor;

    if (!session_there(outside, trial))
        return;
    for (unsigned i = 1; i <= TRANSLATORS_MAX && error != ECONNREFUSED; i++) {
        struct pack body = {.length = 0};

        pack_number(&body, 1, i);
        error = bus_ask_for(outside->session, "fs", ASK_OPEN, &body, &descriptor);
        if (error == 0 && descriptor_tells(descriptor))
            tell_escaped(trial, "opened node %u, which is not its own", i);
    }
    tell_held(trial, "%s", strerror(error));
}

static void ask_nodes(const struct outside *outside, struct trial *trial, uint32_t operation,
                      const char *gain)
{
    int error = 0;

    if (!session_there(outside, trial))
        return;
    for (unsigned i = 1; i <= TRANSLATORS_MAX && error != ECONNREFUSED; i++) {
        struct pack body = {.length = 0};

        pack_number(&body, 1, i);
        error = bus_ask(outside->session, "fs", operation, &body, NULL, 0);
        if (error == 0)
            tell_escaped(trial, "%s of node %u, which is not its own", gain, i);
    }
    tell_held(trial, "%s", strerror(error));
}

static void by_options(const struct outside *outside, struct trial *trial)
{
    ask_nodes(outside, trial, ASK_OPTIONS, "told the options");
}

static void by_go_away(const struct outside *outside, struct trial *trial)
{
    ask_nodes(outside, trial, ASK_GO_AWAY, "ended the translator");
}

static void by_stop(const struct outside *outside, struct trial *trial)
{
    struct pack body = {.length = 0};

    if (!session_there(outside, trial))
        return;
    tell_answer(trial, bus_ask(outside->session, "init", ASK_STOP, &body, NULL, 0),
                "ended the session");
}

static const struct way ways[] = {
    {"other-session", by_other_session, true},
    {"name-table", by_table, true},
    {"libc-copy", by_library, true},
    {"session-door", by_door, true},
    {"forged-object", by_forged_object, false},
    {"forged-handle", by_forged_handle, false},
    {"forged-length", by_forged_length, false},
    {"forged-descriptors", by_forged_descriptors, false},
    {"forged-spawn", by_forged_spawn, false},
    {"forged-control", by_forged_control, false},
    {"forged-policy", by_forged_policy, false},
    {"forged-join", by_forged_join, false},
    {"forged-record", by_forged_record, false},
    {"new-tree", by_new_tree, true},
    {"tree-beside", by_tree_beside, false},
    /* Before those that are started for it. */
    {"translator-socket", by_translator, false},
    {"node-number", by_node_number, true},
    {"ask-options", by_options, true},
    {"ask-go-away", by_go_away, true},
    {"settrans-active", by_settrans_active, true},
    {"settrans-passive", by_settrans_passive, true},
    {"passive-node", by_passive_node, true},
    {"node-outside", by_node_outside, true},
    {"node-outside-raw", by_node_outside_raw, true},
    {"node-outside-stat", by_node_outside_status, true},
    {"node-outside-chmod", by_node_outside_change, false},
    {"ask-bind", by_bind, true},
    {"ask-space", by_space, true},
    {"named-ask-space", by_named_space, true},
    {"named-ask-kill", by_named_kill, true},
    {"gone-ask-space", by_gone_space, true},
    {"gone-ask-kill", by_gone_kill, true},
    {"gone-ask-network", by_gone_grant, true},
    {"gone-new-tree", by_gone_tree, false},
    {"ask-network", by_grant, true},
    {"ask-kill", by_kill, true},
    {"node-outside-unlink", by_node_removed, true},
    /* The last: natively there is no session after it. */
    {"ask-stop", by_stop, false},
};

const struct family family_servers = {"servers", ways, sizeof ways / sizeof ways[0]};
