/* Who calls: known from the kernel, never from what a message says. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "servers/fs/fs.h"
#include "servers/lib/installed.h"
#include "servers/lib/process.h"

/* The ancestor of `pid` (or itself) that init started: a translator's process, mostly. */
static pid_t guarded_ancestor(pid_t pid)
{
    pid_t guard = getppid();

    for (int depth = 0; depth < PROCESS_DEPTH_MAX && pid > 1 && pid != guard; depth++) {
        pid_t parent;
        uint64_t start_time;

        if (process_stat(pid, &parent, &start_time))
            return 0;
        if (parent == guard)
            return pid;
        pid = parent;
    }
    return 0;
}

/* One line, but no more than one a second: a log is no target. */
static void dropped_say(struct fs *fs, pid_t pid, int error)
{
    ev_tstamp now = ev_time();

    if (now - fs->dropped_at < 1.0) {
        fs->dropped++;
        return;
    }
    if (fs->dropped)
        log_line("%u more were dropped", fs->dropped);
    log_line("process %d broke the rules of the bus: %s; it was dropped", (int)pid,
             strerror(error));
    fs->dropped_at = now;
    fs->dropped = 0;
}

/* A program of a tree could run that file as well, but no tree's program comes here. */
static bool runs_trap(pid_t pid)
{
    char link[32], program[PATH_MAX], trap[PATH_MAX];
    ssize_t length;

    snprintf(link, sizeof(link), "/proc/%d/exe", (int)pid);
    length = readlink(link, program, sizeof(program) - 1);
    if (length < 0 || installed_path(2, "libexec/hirsel/trap", trap, sizeof(trap)) != 0)
        return false;
    program[length] = '\0';
    return strcmp(program, trap) == 0;
}

static void asker_left(struct port *port, int error, void *context)
{
    struct asker *asker = context;

    (void)port;
    if (error)
        dropped_say(asker->fs, asker->pid, error);
    free(asker);
}

int asker_arrival(struct port *port, uint64_t *space, void *context)
{
    struct server *server = context;
    struct asker *asker = calloc(1, sizeof(*asker));
    const struct tree *tree;

    if (!asker)
        return ENOMEM;
    asker->fs = server->state;
    asker->pid = port_peer(port).pid;
    tree = tree_of_asker(server, asker->pid);
    if (tree && tree->space == TREE_NOBODY) {
        free(asker);
        return ESRCH;
    }
    if (tree) {
        asker->in_tree = true;
        asker->space = tree->space;
    } else {
        asker->guarded = guarded_ancestor(asker->pid);
        asker->is_trap = runs_trap(asker->pid);
    }
    port_set_context(port, asker);
    port_on_hangup(port, asker_left, asker);
    *space = asker_space(server->state, asker);
    return 0;
}

const struct asker *asker_of(const struct port *port)
{
    return port_context(port);
}

uint64_t asker_space(const struct fs *fs, const struct asker *asker)
{
    const struct translator *translator;

    if (asker->in_tree)
        return asker->space;
    /* Not settled at its arrival: a translator may connect before init has told us its pid. */
    translator = asker->guarded ? life_find_pid(&fs->life, asker->guarded) : NULL;
    return translator ? translator->space : 0;
}

uint64_t asker_space_for(const struct fs *fs, const struct asker *asker, uint64_t named)
{
    return asker->is_trap && space_find(&fs->names, named) ? named : asker_space(fs, asker);
}

int asker_choose(struct fs *fs, const struct asker *asker, uint64_t wanted, struct space **space)
{
    uint64_t own = asker_space(fs, asker);

    if (wanted == 0)
        wanted = own;
    if (!space_descends(&fs->names, wanted, own))
        return EPERM;
    *space = space_find(&fs->names, wanted);
    return *space ? 0 : ENOENT;
}
