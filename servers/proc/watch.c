/* Watching the session's processes until they end. Nobody tells of a fork: they are looked for now
 * and then, while there are trees at all, and each that was found is watched by its pidfd. What
 * lived shorter than that is not seen, unless it was the command of a tree. */
#include "servers/proc/proc.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define SCAN_SECONDS 2.0
#define WATCHES_MAX 2048
/* The kernel tells the status of a process that is no child once its parent reaped it: ask a few
 * times, in doubling steps. */
#define ATTEMPTS_MAX 8
#define ATTEMPT_SECONDS 0.02

/* Newer than the floor's headers: <linux/pidfd.h> of Linux 6.15. */
struct pidfd_exit_info {
    uint64_t mask;
    uint64_t cgroup;
    uint32_t pid, tgid, ppid;
    uint32_t ruid, rgid, euid, egid, suid, sgid, fsuid, fsgid;
    int32_t exit_code;
};
#define PIDFD_EXIT_INFO_BIT (1ull << 3)
#define PIDFD_EXIT_INFO_GET _IOWR(0xff, 11, struct pidfd_exit_info)

_Static_assert(sizeof(struct pidfd_exit_info) == 64, "as the kernel's first version had it");

int watch_status(int pidfd, int *status)
{
    struct pidfd_exit_info information = {.mask = PIDFD_EXIT_INFO_BIT};

    if (ioctl(pidfd, PIDFD_EXIT_INFO_GET, &information) != 0)
        return errno;
    if ((information.mask & PIDFD_EXIT_INFO_BIT) == 0)
        return EAGAIN;
    *status = information.exit_code;
    return 0;
}

static void watch_close(struct watch *watch)
{
    struct proc *proc = proc_of(watch->server);
    struct watch **link = &proc->watches;

    while (*link != watch)
        link = &(*link)->next;
    *link = watch->next;
    proc->watch_count--;
    ev_io_stop(watch->server->loop, &watch->ended);
    ev_timer_stop(watch->server->loop, &watch->again);
    close(watch->pidfd);
    free(watch);
}

static void watch_settle(struct watch *watch)
{
    int status;
    int error = watch_status(watch->pidfd, &status);

    /* ESRCH: a kernel without exit information, and the process is reaped. ENOTTY: without the
     * call. */
    if (error == EAGAIN && watch->attempts++ < ATTEMPTS_MAX) {
        ev_timer_set(&watch->again, ATTEMPT_SECONDS * (double)(1u << watch->attempts), 0);
        ev_timer_start(watch->server->loop, &watch->again);
        return;
    }
    report_add(watch->server, watch->pid, error == 0 ? &status : NULL, watch->command,
               watch->command_length);
    watch_close(watch);
}

static void watch_ended(struct ev_loop *loop, ev_io *watcher, int events)
{
    (void)events;
    ev_io_stop(loop, watcher);
    watch_settle(watcher->data);
}

static void watch_again(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)loop;
    (void)events;
    watch_settle(timer->data);
}

static struct watch *watch_find(struct proc *proc, pid_t pid, uint64_t start_time)
{
    for (struct watch *watch = proc->watches; watch != NULL; watch = watch->next)
        if (watch->pid == pid && watch->start_time == start_time)
            return watch;
    return NULL;
}

static void command_read(struct watch *watch)
{
    ssize_t length = process_read(watch->pid, "cmdline", watch->command, REPORT_COMMAND_MAX);

    /* One that ends has no arguments left, but a name. */
    if (length <= 0 && watch->command_length == 0) {
        length = process_read(watch->pid, "comm", watch->command, REPORT_COMMAND_MAX);
        if (length > 0 && watch->command[length - 1] == '\n')
            length--;
    }
    if (length > 0)
        watch->command_length = (uint16_t)length;
}

static void watch_open(struct server *server, const struct process_entry *entry)
{
    struct proc *proc = proc_of(server);
    struct watch *watch = watch_find(proc, entry->pid, entry->details.start_time);

    if (watch != NULL) {
        /* It may have become another program since. */
        command_read(watch);
        return;
    }
    if (proc->watch_count >= WATCHES_MAX || entry->details.state == 'Z')
        return;
    watch = calloc(1, sizeof *watch);
    if (watch == NULL)
        return;
    watch->server = server;
    watch->pid = entry->pid;
    watch->start_time = entry->details.start_time;
    watch->pidfd = (int)syscall(SYS_pidfd_open, entry->pid, 0);
    if (watch->pidfd < 0) {
        free(watch);
        return;
    }
    command_read(watch);
    ev_io_init(&watch->ended, watch_ended, watch->pidfd, EV_READ);
    watch->ended.data = watch;
    ev_io_start(server->loop, &watch->ended);
    ev_timer_init(&watch->again, watch_again, 0, 0);
    watch->again.data = watch;
    watch->next = proc->watches;
    proc->watches = watch;
    proc->watch_count++;
}

static bool is_session(const struct process_entry *entries, size_t count, pid_t pid,
                       const struct tree *trees, size_t tree_count)
{
    for (size_t i = 0; i < tree_count; i++)
        if (process_descends(entries, count, pid, trees[i].pid))
            return true;
    return false;
}

static void processes_look(struct ev_loop *loop, ev_timer *timer, int events)
{
    struct server *server = timer->data;
    struct process_entry *entries;
    const struct tree *trees;
    size_t count;
    size_t tree_count = tree_list(server, &trees);

    (void)loop;
    (void)events;
    if (tree_count == 0 || process_scan(&entries, &count) != 0)
        return;
    for (size_t i = 0; i < count; i++)
        if (is_session(entries, count, entries[i].pid, trees, tree_count))
            watch_open(server, &entries[i]);
    free(entries);
}

void watch_begin(struct server *server)
{
    struct proc *proc = proc_of(server);

    ev_timer_init(&proc->scan, processes_look, SCAN_SECONDS, SCAN_SECONDS);
    proc->scan.data = server;
    ev_timer_start(server->loop, &proc->scan);
}
