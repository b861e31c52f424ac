/* Trees below a listener's root that have names of their own: hirsel run inside of hirsel run. They
 * have the filter of the outer one already and can't have a second listener. */
#include "servers/trap/trap.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "servers/lib/directory.h"
#include "servers/lib/process.h"

static struct listening *listening_of_root(const struct trap *trap, pid_t pid, uint64_t start_time)
{
    for (struct listening *at = trap->listenings; at != NULL; at = at->next)
        if (at->root == pid && at->root_start == start_time)
            return at;
    return NULL;
}

/* The listener whose tree this process is in, or NULL. */
static struct listening *listening_above(const struct trap *trap, pid_t pid)
{
    for (int depth = 0; depth < PROCESS_DEPTH_MAX && pid > 1; depth++) {
        struct listening *found;
        uint64_t start_time;
        pid_t parent;

        if (process_stat(pid, &parent, &start_time) != 0)
            return NULL;
        found = listening_of_root(trap, pid, start_time);
        if (found != NULL)
            return found;
        pid = parent;
    }
    return NULL;
}

static void tree_settle(struct trap *trap, const struct tree *tree, const struct listening *above)
{
    struct home home = {.root = tree->pid,
                        .start_time = tree->start_time,
                        .space = tree->space,
                        .listener = above->id};
    int error = home_add(trap->homes, &home, NULL);

    if (error != 0)
        log_line("the tree of process %d has the names of the one around it: %s", (int)tree->pid,
                 strerror(error));
}

void nesting_tree_added(struct server *server, const struct tree *tree)
{
    struct trap *trap = server->state;
    struct listening *above;

    if (listening_of_root(trap, tree->pid, tree->start_time) != NULL)
        return;
    above = listening_above(trap, tree->pid);
    if (above != NULL)
        tree_settle(trap, tree, above);
}

void nesting_tree_removed(struct server *server, const struct tree *tree)
{
    struct trap *trap = server->state;

    home_remove(trap->homes, tree->pid, tree->start_time);
}

void nesting_scan(struct listening *listening)
{
    struct trap *trap = listening->trap;
    const struct tree *trees;
    size_t count = tree_list(trap->server, &trees);

    for (size_t i = 0; i < count; i++)
        if (process_is_below(trees[i].pid, listening->root) &&
            listening_of_root(trap, trees[i].pid, trees[i].start_time) == NULL)
            tree_settle(trap, &trees[i], listening);
}

static void joined_free(struct joined *joined)
{
    struct trap *trap = joined->trap;

    ev_io_stop(trap->server->loop, &joined->ended);
    home_remove(trap->homes, joined->root, joined->start_time);
    close(joined->process);
    for (struct joined **at = &trap->joined; *at != NULL; at = &(*at)->next)
        if (*at == joined) {
            *at = joined->next;
            break;
        }
    free(joined);
}

static void joined_ended(struct ev_loop *loop, ev_io *watcher, int events)
{
    (void)loop;
    (void)events;
    joined_free(watcher->data);
}

/* Whether this is a session's directory of our own. */
static int session_check(const char *session)
{
    char table[SESSION_LIMIT + 16];
    size_t length = strlen(session);

    if (length >= SESSION_LIMIT || session[0] != '/')
        return EINVAL;
    memcpy(table, session, length);
    memcpy(table + length, "/spaces", 8);
    return directory_check(session) != 0 ? EPERM : access(table, R_OK | X_OK) != 0 ? errno : 0;
}

int nesting_join(struct trap *trap, pid_t peer, const char *session, uint64_t space, pid_t root)
{
    struct listening *above;
    struct joined *joined;
    struct home home = {.root = root, .space = space};
    int error = session_check(session);

    if (error != 0)
        return error;
    if (root <= 1 || (root != peer && !process_is_below(root, peer)))
        return EPERM;
    joined = calloc(1, sizeof *joined);
    if (joined == NULL)
        return ENOMEM;
    joined->process = (int)syscall(SYS_pidfd_open, root, 0);
    if (joined->process < 0) {
        error = errno;
        free(joined);
        return error;
    }
    /* After it was opened: what is found now is what the descriptor is of. */
    above = listening_above(trap, root);
    if (above == NULL || process_stat(root, NULL, &home.start_time) != 0)
        error = ESRCH;
    /* A confined program has the names that it was given. */
    if (error == 0 && above->policy != NULL)
        error = EPERM;
    if (error == 0) {
        home.listener = above->id;
        error = home_add(trap->homes, &home, session);
    }
    if (error != 0) {
        close(joined->process);
        free(joined);
        return error;
    }
    joined->trap = trap;
    joined->root = root;
    joined->start_time = home.start_time;
    joined->next = trap->joined;
    trap->joined = joined;
    ev_io_init(&joined->ended, joined_ended, joined->process, EV_READ);
    joined->ended.data = joined;
    ev_io_start(trap->server->loop, &joined->ended);
    return 0;
}
