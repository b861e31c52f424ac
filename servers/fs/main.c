#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "servers/fs/fs.h"
#include "servers/lib/installed.h"

static const struct rpc_operation operations[] = {
    {HIRSEL__NODE_OPERATION__NODE_STAT, &hirsel__node_request__descriptor, node_request},
    {HIRSEL__NODE_OPERATION__NODE_OPEN, &hirsel__node_request__descriptor, node_request},
    {HIRSEL__NODE_OPERATION__NODE_READLINK, &hirsel__node_request__descriptor, node_request},
    {HIRSEL__NODE_OPERATION__NODE_LIST, &hirsel__node_request__descriptor, node_request},
    {HIRSEL__NODE_OPERATION__NODE_CHANGE, &hirsel__node_request__descriptor, node_request},
    {HIRSEL__NODE_OPERATION__NODE_ACCESS, &hirsel__node_request__descriptor, node_request},
    {HIRSEL__NODE_OPERATION__NODE_OPTIONS, &hirsel__node_request__descriptor, node_request},
    {HIRSEL__NODE_OPERATION__NODE_GO_AWAY, &hirsel__node_request__descriptor, node_request},
    {HIRSEL__NODE_OPERATION__NODE_FILESYSTEM, &hirsel__node_request__descriptor, node_request},
    {HIRSEL__FS_OPERATION__FS_BIND, &hirsel__fs_entry__descriptor, bind_add},
    {HIRSEL__FS_OPERATION__FS_UNBIND, &hirsel__fs_entry__descriptor, bind_remove},
    {HIRSEL__FS_OPERATION__FS_LIST, &hirsel__fs_space__descriptor, bind_list},
    {HIRSEL__FS_OPERATION__FS_SET_TRANSLATOR, &hirsel__fs_translator__descriptor, setting_request},
    {HIRSEL__FS_OPERATION__FS_SHOW_TRANSLATOR, &hirsel__fs_translator__descriptor, showing_request},
    {HIRSEL__FS_OPERATION__FS_SPACE_MAKE, &hirsel__fs_space_make__descriptor, space_request_make},
    {HIRSEL__FS_OPERATION__FS_SPACE_DROP, &hirsel__fs_space__descriptor, space_request_drop},
    {HIRSEL__FS_OPERATION__FS_TRANSLATORS, NULL, showing_running},
    {0, NULL, NULL},
};

static void child_ended(struct port *port, ProtobufCMessage *body, struct msg *raw,
                        struct reply *reply, void *context)
{
    const Hirsel__InitEnd *end = (const Hirsel__InitEnd *)body;

    (void)port;
    (void)raw;
    life_child_ended(&fs_of(context)->life, end->translator, (pid_t)end->pid, end->status);
    if (reply)
        reply_error(reply, 0);
}

static const struct rpc_operation control_operations[] = {
    {HIRSEL__INIT_OPERATION__INIT_CHILD_ENDED, &hirsel__init_end__descriptor, child_ended},
    {0, NULL, NULL},
};

/* Besides the frame's: fs keeps its state in files and makes nodes. */
static const int system_calls[] = {
    SYS_mkdir,
    SYS_mkdirat,
    SYS_rmdir,
    SYS_unlink,
    SYS_unlinkat,
    SYS_rename,
    SYS_renameat,
    SYS_renameat2,
    SYS_symlink,
    SYS_symlinkat,
    SYS_link,
    SYS_linkat,
    SYS_access,
    SYS_faccessat,
    SYS_faccessat2,
    SYS_statfs,
    SYS_fstatfs,
    SYS_chmod,
    SYS_fchmod,
    SYS_fchmodat,
    SYS_fsync,
    SYS_getrlimit,
    SYS_inotify_add_watch,
    -1,
};

static void tree_gone(struct server *server, const struct tree *tree)
{
    (void)tree;
    spaces_sweep(&((struct fs *)server->state)->names);
}

static void space_dropped(struct names *names, uint64_t space)
{
    struct fs *fs = (struct fs *)(void *)((char *)names - offsetof(struct fs, names));

    life_space_dropped(&fs->life, space);
    policy_forget(fs, space);
}

static int start(struct server *server)
{
    struct fs *fs = server->state;
    char path[PATH_MAX];
    int error;

    fs->server = server;
    fs->names = (struct names){.server = server, .journal = &fs->journal, .dropped = space_dropped};
    fs->life = (struct life){
        .names = &fs->names, .server = server, .journal = &fs->journal, .installed = fs->installed};
    error = installed_path(2, "libexec/hirsel/translators", fs->installed, sizeof(fs->installed));
    if (error)
        return error;
    if (snprintf(path, sizeof(path), "%s/state", server->directory) >= (int)sizeof(path))
        return ENAMETOOLONG;
    if (mkdir(path, 0700) < 0 && errno != EEXIST)
        return errno;
    error = seal_load(&fs->names.seal, server->directory);
    if (!error &&
        snprintf(path, sizeof(path), "%s/state/requests", server->directory) >= (int)sizeof(path))
        error = ENAMETOOLONG;
    if (!error)
        error = journal_open(&fs->journal, path);
    if (!error)
        error = spaces_load(&fs->names);
    if (!error)
        error = life_load(&fs->life);
    if (error)
        return error;
    policies_learn(fs);
    tree_on_added(server, policy_learn);
    tree_on_removed(server, tree_gone);
    spaces_sweep(&fs->names);
    return 0;
}

int main(int argc, char **argv)
{
    struct fs fs = {0};
    struct server server = {
        .name = "fs",
        .operations = operations,
        .control_operations = control_operations,
        .arrival = asker_arrival,
        .start = start,
        .system_calls = system_calls,
        .state = &fs,
    };

    return server_run(&server, argc, argv);
}
