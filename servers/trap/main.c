/* trap: the system calls that the shim did not decide. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proto/trap.pb-c.h"
#include "servers/trap/trap.h"

/* After libev, whose EV_NONE is a macro of elf.h, which this includes. */
#include <seccomp.h>

static uint64_t count_sum(const struct call_count *count)
{
    return count->continued + count->answered + count->refused;
}

static int tree_describe(const struct listening *listening, Hirsel__TrapTree *tree)
{
    const struct journal *journal = listening->journal;
    Hirsel__TrapCount *counts = calloc(CALLS_COUNTED, sizeof *counts);

    tree->calls = calloc(CALLS_COUNTED, sizeof *tree->calls);
    if (counts == NULL || tree->calls == NULL) {
        free(counts);
        return ENOMEM;
    }
    tree->id = listening->id;
    tree->root_pid = (uint32_t)listening->root;
    tree->space = listening->space;
    tree->confined = listening->policy != NULL;
    tree->forgotten = journal->forgotten;
    for (unsigned i = 0; i < WORKERS_MAX; i++)
        tree->workers += listening->workers[i] != 0;
    for (uint32_t i = 0; i < CALLS_COUNTED; i++) {
        Hirsel__TrapCount *count = &counts[i];

        tree->calls[i] = count;
        hirsel__trap_count__init(count);
        if (count_sum(&journal->counts[i]) == 0)
            continue;
        /* The first free one: none goes without its row. */
        count = &counts[tree->n_calls++];
        hirsel__trap_count__init(count);
        count->number = i;
        count->continued = journal->counts[i].continued;
        count->answered = journal->counts[i].answered;
        count->refused = journal->counts[i].refused;
        tree->notifications += count_sum(&journal->counts[i]);
    }
    return 0;
}

static void tree_free(Hirsel__TrapTree *tree)
{
    if (tree->calls != NULL)
        free(tree->calls[0]);
    free(tree->calls);
}

static void run_status(struct port *port, ProtobufCMessage *request, struct msg *raw,
                       struct reply *reply, void *context)
{
    struct trap *trap = ((struct server *)context)->state;
    Hirsel__TrapState state = HIRSEL__TRAP_STATE__INIT;
    Hirsel__TrapTree *trees;
    size_t count = 0;
    int error = 0;

    (void)port;
    (void)request;
    (void)raw;
    for (struct listening *at = trap->listenings; at != NULL; at = at->next)
        count++;
    trees = calloc(count + 1, sizeof *trees);
    state.trees = calloc(count + 1, sizeof *state.trees);
    if (trees == NULL || state.trees == NULL)
        error = ENOMEM;
    for (struct listening *at = trap->listenings; at != NULL && error == 0; at = at->next) {
        hirsel__trap_tree__init(&trees[state.n_trees]);
        state.trees[state.n_trees] = &trees[state.n_trees];
        error = tree_describe(at, &trees[state.n_trees++]);
    }
    if (error == 0)
        rpc_reply(reply, &state.base, NULL, 0);
    else
        reply_error(reply, error);
    for (size_t i = 0; i < state.n_trees; i++)
        tree_free(&trees[i]);
    free(state.trees);
    free(trees);
}

static void run_join(struct port *port, ProtobufCMessage *request, struct msg *raw,
                     struct reply *reply, void *context)
{
    struct trap *trap = ((struct server *)context)->state;
    const Hirsel__TrapJoin *join = (const Hirsel__TrapJoin *)request;
    char session[SESSION_LIMIT];
    int error = 0;

    (void)raw;
    if (join->session.len >= sizeof session ||
        memchr(join->session.data, '\0', join->session.len) != NULL || join->root_pid > INT32_MAX) {
        error = EINVAL;
    } else {
        memcpy(session, join->session.data, join->session.len);
        session[join->session.len] = '\0';
        error =
            nesting_join(trap, port_peer(port).pid, session, join->space, (pid_t)join->root_pid);
    }
    reply_error(reply, error);
}

static const struct rpc_operation operations[] = {
    {HIRSEL__TRAP_OPERATION__TRAP_STATUS, NULL, run_status},
    {HIRSEL__TRAP_OPERATION__TRAP_JOIN, &hirsel__trap_join__descriptor, run_join},
    {0, NULL, NULL},
};

/* init hands over a listener: its first time, or because an earlier trap ended. */
static void run_serve(struct port *port, ProtobufCMessage *request, struct msg *raw,
                      struct reply *reply, void *context)
{
    struct trap *trap = ((struct server *)context)->state;
    const Hirsel__TrapServe *serve = (const Hirsel__TrapServe *)request;
    struct serving serving = {.id = serve->id,
                              .root = (pid_t)serve->root_pid,
                              .space = serve->space,
                              .node = serve->node,
                              .policy = serve->policy.data,
                              .policy_length = serve->policy.len,
                              .listener = msg_take(raw, 0),
                              .opener = msg_take(raw, 1),
                              .journal = msg_take(raw, 2)};
    int error = serving.listener < 0 || serving.journal < 0 ? EBADMSG : 0;

    (void)port;
    if (error == 0)
        error = listening_new(trap, &serving);
    if (error != 0) {
        log_line("cannot serve the tree of process %d: %s", (int)serving.root, strerror(error));
        if (serving.listener >= 0)
            close(serving.listener);
        if (serving.opener >= 0)
            close(serving.opener);
        if (serving.journal >= 0)
            close(serving.journal);
    }
    reply_error(reply, error);
}

static const struct rpc_operation control_operations[] = {
    {HIRSEL__TRAP_OPERATION__TRAP_SERVE, &hirsel__trap_serve__descriptor, run_serve},
    {0, NULL, NULL},
};

static void child_signalled(struct ev_loop *loop, ev_signal *watcher, int events)
{
    (void)loop;
    (void)events;
    listening_reap(watcher->data);
}

static int start(struct server *server)
{
    struct trap *trap = server->state;

    trap->server = server;
    trap->homes = homes_new();
    if (trap->homes == NULL)
        return errno;
    ev_signal_init(&trap->child, child_signalled, SIGCHLD);
    trap->child.data = trap;
    ev_signal_start(server->loop, &trap->child);
    tree_on_added(server, nesting_tree_added);
    tree_on_removed(server, nesting_tree_removed);
    return 0;
}

/* Beside the frame's: workers and guides are processes, and a worker makes any call with a path in
 * its callers' place. */
static const int system_calls[] = {SCMP_SYS(fork),
                                   SCMP_SYS(vfork),
                                   SCMP_SYS(clone),
                                   SCMP_SYS(wait4),
                                   SCMP_SYS(waitid),
                                   SCMP_SYS(kill),
                                   SCMP_SYS(setsid),
                                   SCMP_SYS(prctl),
                                   SCMP_SYS(ptrace),
                                   SCMP_SYS(ioctl),
                                   SCMP_SYS(close_range),
                                   SCMP_SYS(landlock_create_ruleset),
                                   SCMP_SYS(landlock_add_rule),
                                   SCMP_SYS(landlock_restrict_self),
                                   SCMP_SYS(pidfd_open),
                                   SCMP_SYS(pidfd_getfd),
                                   SCMP_SYS(process_vm_readv),
                                   SCMP_SYS(process_vm_writev),
                                   SCMP_SYS(umask),
                                   SCMP_SYS(setfsuid),
                                   SCMP_SYS(setfsgid),
                                   SCMP_SYS(getgroups),
                                   SCMP_SYS(setgroups),
                                   SCMP_SYS(socket),
                                   SCMP_SYS(openat2),
                                   SCMP_SYS(creat),
                                   SCMP_SYS(access),
                                   SCMP_SYS(faccessat),
                                   SCMP_SYS(faccessat2),
                                   SCMP_SYS(chdir),
                                   SCMP_SYS(fchdir),
                                   SCMP_SYS(getcwd),
                                   SCMP_SYS(inotify_add_watch),
                                   SCMP_SYS(inotify_rm_watch),
                                   SCMP_SYS(statfs),
                                   SCMP_SYS(fstatfs),
                                   SCMP_SYS(getxattr),
                                   SCMP_SYS(lgetxattr),
                                   SCMP_SYS(fgetxattr),
                                   SCMP_SYS(listxattr),
                                   SCMP_SYS(llistxattr),
                                   SCMP_SYS(setxattr),
                                   SCMP_SYS(lsetxattr),
                                   SCMP_SYS(removexattr),
                                   SCMP_SYS(lremovexattr),
                                   SCMP_SYS(name_to_handle_at),
                                   SCMP_SYS(mkdir),
                                   SCMP_SYS(mkdirat),
                                   SCMP_SYS(mknod),
                                   SCMP_SYS(mknodat),
                                   SCMP_SYS(symlink),
                                   SCMP_SYS(symlinkat),
                                   SCMP_SYS(unlink),
                                   SCMP_SYS(unlinkat),
                                   SCMP_SYS(rmdir),
                                   SCMP_SYS(chmod),
                                   SCMP_SYS(fchmod),
                                   SCMP_SYS(fchmodat),
                                   452 /* fchmodat2 */,
                                   SCMP_SYS(chown),
                                   SCMP_SYS(fchown),
                                   SCMP_SYS(lchown),
                                   SCMP_SYS(fchownat),
                                   SCMP_SYS(utime),
                                   SCMP_SYS(utimes),
                                   SCMP_SYS(futimesat),
                                   SCMP_SYS(utimensat),
                                   SCMP_SYS(truncate),
                                   SCMP_SYS(rename),
                                   SCMP_SYS(renameat),
                                   SCMP_SYS(renameat2),
                                   SCMP_SYS(link),
                                   SCMP_SYS(linkat),
                                   -1};

int main(int argc, char **argv)
{
    struct trap trap = {0};
    struct server server = {
        .name = "trap",
        .operations = operations,
        .control_operations = control_operations,
        .start = start,
        .system_calls = system_calls,
        .state = &trap,
    };

    return server_run(&server, argc, argv);
}
