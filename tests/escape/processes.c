/* Ways into other processes: their memory, files, rights and fate. */
#include "tests/escape/escape.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/kcmp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

/* The name and the parent of a process. False: it is out of sight. */
static bool process_look(pid_t pid, char name[32], pid_t *parent)
{
    char path[64], text[512];
    const char *end;
    ssize_t got;
    int file;

    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    file = open(path, O_RDONLY | O_CLOEXEC);
    got = file < 0 ? -1 : read(file, text, sizeof text - 1);
    if (file >= 0)
        close(file);
    if (got <= 0)
        return false;
    text[got] = '\0';
    end = strrchr(text, ')');
    return end != NULL && sscanf(text, "%*d (%31[^)]", name) == 1 &&
           sscanf(end, ") %*c %d", parent) == 1;
}

static pid_t target_of(const struct outside *outside)
{
    return (pid_t)outside->target;
}

static void by_attach(const struct outside *outside, struct trial *trial)
{
    union {
        long word;
        char text[sizeof(long)];
    } got;
    pid_t pid = target_of(outside);

    if (ptrace(PTRACE_ATTACH, pid, NULL, NULL) != 0) {
        tell_held(trial, "%s", strerror(errno));
        return;
    }
    waitpid(pid, NULL, __WALL);
    got.word = ptrace(PTRACE_PEEKDATA, pid, (void *)(uintptr_t)outside->memory, NULL);
    if (memcmp(got.text, SECRET, sizeof got.text) == 0)
        tell_escaped(trial, "read its memory");
    else
        tell_escaped(trial, "stopped it");
    ptrace(PTRACE_DETACH, pid, NULL, NULL);
}

static void seize(pid_t pid, struct trial *trial)
{
    /* It lasts until this process ends, and stops nobody. */
    tell_call(trial, ptrace(PTRACE_SEIZE, pid, NULL, NULL), "traces it");
}

static void by_seize(const struct outside *outside, struct trial *trial)
{
    seize(target_of(outside), trial);
}

/* The root of the tree, which is not held itself. */
static void by_seize_root(const struct outside *outside, struct trial *trial)
{
    pid_t pid = (pid_t)outside->parent, parent;
    char name[32];

    while (pid > 1 && process_look(pid, name, &parent) && strcmp(name, "hirsel") != 0 && parent > 1)
        pid = parent;
    if (pid <= 1)
        tell_untried(trial, "it is out of sight");
    else
        seize(pid, trial);
}

static void by_seize_guard(const struct outside *outside, struct trial *trial)
{
    if (outside->guard == 0)
        tell_untried(trial, "there is no session");
    else
        seize((pid_t)outside->guard, trial);
}

static void read_memory(pid_t pid, uint64_t address, struct trial *trial)
{
    char text[sizeof SECRET];
    struct iovec here = {text, sizeof text}, there = {(void *)(uintptr_t)address, sizeof text};

    if (process_vm_readv(pid, &here, 1, &there, 1, 0) < 0)
        tell_held(trial, "%s", strerror(errno));
    else
        tell_escaped(trial, "read its memory");
}

static void by_vm_read(const struct outside *outside, struct trial *trial)
{
    read_memory(target_of(outside), outside->memory, trial);
}

static void by_vm_write(const struct outside *outside, struct trial *trial)
{
    char text[] = SECRET;
    struct iovec here = {text, sizeof text},
                 there = {(void *)(uintptr_t)outside->memory, sizeof text};

    tell_call(trial, process_vm_writev(target_of(outside), &here, 1, &there, 1, 0),
              "wrote into its memory");
}

static int process_open(const struct outside *outside, const char *name, int flags)
{
    char path[PATH_MAX];

    snprintf(path, sizeof path, "/proc/%u/%s", outside->target, name);
    return open(path, flags | O_CLOEXEC);
}

static void by_memory_file(const struct outside *outside, struct trial *trial)
{
    int memory = process_open(outside, "mem", O_RDONLY);
    char text[sizeof SECRET];

    if (memory < 0 || pread(memory, text, sizeof text, (off_t)outside->memory) < 0)
        tell_held(trial, "%s", strerror(errno));
    else
        tell_escaped(trial, "read its memory");
}

static void by_memory_file_write(const struct outside *outside, struct trial *trial)
{
    int memory = process_open(outside, "mem", O_RDWR);
    char text[] = SECRET;

    if (memory < 0 || pwrite(memory, text, sizeof text, (off_t)outside->memory) < 0)
        tell_held(trial, "%s", strerror(errno));
    else
        tell_escaped(trial, "wrote into its memory");
}

static void by_root(const struct outside *outside, struct trial *trial)
{
    char name[PATH_MAX];

    tell_descriptor(trial, process_open(outside, path_in(name, "root", outside->secret), O_RDONLY));
}

static void by_current_directory(const struct outside *outside, struct trial *trial)
{
    tell_descriptor(trial, process_open(outside, "cwd/secret", O_RDONLY));
}

static void by_open_file(const struct outside *outside, struct trial *trial)
{
    char name[32];

    snprintf(name, sizeof name, "fd/%d", outside->descriptor);
    tell_descriptor(trial, process_open(outside, name, O_RDONLY));
}

/* What has no name in the file tree is in no policy. */
static void by_memory_file_of(const struct outside *outside, struct trial *trial)
{
    char name[32];

    snprintf(name, sizeof name, "fd/%d", outside->memory_file);
    tell_descriptor(trial, process_open(outside, name, O_RDONLY));
}

static void by_roundabout(const struct outside *outside, struct trial *trial)
{
    char path[128];

    snprintf(path, sizeof path, "/proc/self/root/proc/%u/fd/%d", outside->target,
             outside->memory_file);
    tell_descriptor(trial, open(path, O_RDONLY | O_CLOEXEC));
}

static void by_memory_file_status(const struct outside *outside, struct trial *trial)
{
    struct stat status;
    char path[64];

    snprintf(path, sizeof path, "/proc/%u/fd/%d", outside->target, outside->memory_file);
    tell_call(trial, stat(path, &status), "told its attributes");
}

static void by_memory_file_mode(const struct outside *outside, struct trial *trial)
{
    char path[64];

    snprintf(path, sizeof path, "/proc/%u/fd/%d", outside->target, outside->memory_file);
    tell_call(trial, chmod(path, 0600), "changed a mode");
}

/* What the trap server's own processes have open: its journal can be written to. */
static void by_server_file(const struct outside *outside, struct trial *trial)
{
    DIR *processes = opendir("/proc");
    const struct dirent *entry;
    char path[PATH_MAX], name[32];
    pid_t parent;
    unsigned found = 0;

    while (processes != NULL && (entry = readdir(processes)) != NULL) {
        pid_t pid = atoi(entry->d_name);

        if (pid <= 0 || !process_look(pid, name, &parent) || strcmp(name, "trap") != 0)
            continue;
        found++;
        for (int i = 3; i < 80; i++) {
            snprintf(path, sizeof path, "/proc/%d/fd/%d", pid, i);
            if (open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK) >= 0)
                tell_escaped(trial, "opened descriptor %d of the trap server", i);
        }
    }
    if (found == 0 && outside->session[0] == '\0')
        tell_untried(trial, "there is no session");
    else
        tell_held(trial, "%u processes, %s", found, strerror(errno));
}

static void by_task_root(const struct outside *outside, struct trial *trial)
{
    char name[PATH_MAX], task[64];

    snprintf(task, sizeof task, "task/%u/root", outside->target);
    tell_descriptor(trial, process_open(outside, path_in(name, task, outside->secret), O_RDONLY));
}

static void by_environment(const struct outside *outside, struct trial *trial)
{
    tell_descriptor(trial, process_open(outside, "environ", O_RDONLY));
}

static void by_link(const struct outside *outside, struct trial *trial)
{
    char path[64], text[PATH_MAX];

    snprintf(path, sizeof path, "/proc/%u/cwd", outside->target);
    tell_call(trial, readlink(path, text, sizeof text), "told its directory");
}

static void by_maps(const struct outside *outside, struct trial *trial)
{
    int maps = process_open(outside, "maps", O_RDONLY);
    char text[512];

    if (maps < 0)
        tell_held(trial, "%s", strerror(errno));
    else
        tell_call(trial, read(maps, text, sizeof text) > 0 ? 0 : -1, "told its memory's layout");
}

static void by_score(const struct outside *outside, struct trial *trial)
{
    int score = process_open(outside, "oom_score_adj", O_WRONLY);

    tell_call(trial, score < 0 ? -1 : write(score, "500", 3), "chose it to be killed first");
}

static void by_taken_descriptor(const struct outside *outside, struct trial *trial)
{
    int process = (int)syscall(SYS_pidfd_open, target_of(outside), 0);

    if (process < 0)
        tell_held(trial, "%s", strerror(errno));
    else
        tell_call(trial, syscall(SYS_pidfd_getfd, process, outside->descriptor, 0),
                  "took an open file");
}

static void by_kill(const struct outside *outside, struct trial *trial)
{
    tell_call(trial, kill(target_of(outside), SIGUSR1), "signalled it");
}

static void by_kill_zero(const struct outside *outside, struct trial *trial)
{
    tell_call(trial, kill(target_of(outside), 0), "told that it may be signalled");
}

static void by_tkill(const struct outside *outside, struct trial *trial)
{
    tell_call(trial, syscall(SYS_tkill, target_of(outside), SIGUSR1), "signalled it");
}

static void by_tgkill(const struct outside *outside, struct trial *trial)
{
    tell_call(trial, syscall(SYS_tgkill, target_of(outside), target_of(outside), SIGUSR1),
              "signalled it");
}

static void by_group_kill(const struct outside *outside, struct trial *trial)
{
    pid_t group = getpgid(target_of(outside));

    if (group != target_of(outside))
        tell_held(trial, "its group can't be told");
    else
        tell_call(trial, kill(-group, SIGUSR1), "signalled its group");
}

static void by_queue(const struct outside *outside, struct trial *trial)
{
    siginfo_t told = {.si_code = SI_QUEUE, .si_signo = SIGUSR1};

    tell_call(trial, syscall(SYS_rt_sigqueueinfo, target_of(outside), SIGUSR1, &told),
              "signalled it");
}

static void by_pidfd_signal(const struct outside *outside, struct trial *trial)
{
    int process = (int)syscall(SYS_pidfd_open, target_of(outside), 0);

    if (process < 0)
        tell_held(trial, "%s", strerror(errno));
    else
        tell_call(trial, syscall(SYS_pidfd_send_signal, process, SIGUSR1, NULL, 0), "signalled it");
}

/* Whether the target noted a signal; natively that can be read, confined the test reads it. */
static void tell_signal(const struct outside *outside, struct trial *trial, int number)
{
    char events[PATH_MAX], text[65536], wanted[32];
    int length = snprintf(wanted, sizeof wanted, "signal %d ", number);

    path_in(events, outside->directory, "events");
    for (int i = 0; i < 2000; i++) {
        int file = open(events, O_RDONLY | O_CLOEXEC);
        ssize_t got = file < 0 ? 0 : read(file, text, sizeof text);

        if (got > 0 && memmem(text, (size_t)got, wanted, (size_t)length) != NULL)
            tell_escaped(trial, "it was signalled");
        if (file < 0 || trial->outcome == OUTCOME_ESCAPED)
            break;
        close(file);
        usleep(2000);
    }
    tell_held(trial, "nothing came of it that could be seen");
}

/* The kernel signals the owner of a descriptor: that may be anybody. */
static void own_by(const struct outside *outside, struct trial *trial, int number, bool by_control)
{
    int owner = target_of(outside), ends[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
        tell_untried(trial, "no socket pair: %s", strerror(errno));
        return;
    }
    if (fcntl(ends[0], F_SETSIG, number) != 0 ||
        (by_control ? ioctl(ends[0], FIOSETOWN, &owner) : fcntl(ends[0], F_SETOWN, owner)) != 0 ||
        fcntl(ends[0], F_SETFL, O_ASYNC) != 0)
        tell_held(trial, "%s", strerror(errno));
    else if (write(ends[1], "x", 1) != 1)
        tell_untried(trial, "the pair does not work: %s", strerror(errno));
    else
        tell_signal(outside, trial, number);
}

static void by_owner(const struct outside *outside, struct trial *trial)
{
    own_by(outside, trial, SIGUSR2, false);
}

static void by_owner_control(const struct outside *outside, struct trial *trial)
{
    own_by(outside, trial, SIGPWR, true);
}

/* With one that nobody minds. */
static void by_kill_all(const struct outside *outside, struct trial *trial)
{
    if (kill(-1, SIGURG) != 0)
        tell_held(trial, "%s", strerror(errno));
    else
        tell_signal(outside, trial, SIGURG);
}

static void by_priority(const struct outside *outside, struct trial *trial)
{
    tell_call(trial, setpriority(PRIO_PROCESS, outside->target, 3), "slowed it down");
}

static void by_priority_of_user(const struct outside *outside, struct trial *trial)
{
    /* To what most of them have: natively that changes little. */
    (void)outside;
    tell_call(trial, setpriority(PRIO_USER, 0, 0), "changed all processes of the user");
}

static void by_affinity(const struct outside *outside, struct trial *trial)
{
    cpu_set_t all;

    CPU_ZERO(&all);
    for (size_t i = 0; i < CPU_SETSIZE; i++)
        CPU_SET(i, &all);
    tell_call(trial, sched_setaffinity(target_of(outside), sizeof all, &all),
              "chose its processors");
}

static void by_scheduler(const struct outside *outside, struct trial *trial)
{
    struct sched_param none = {0};

    tell_call(trial, sched_setscheduler(target_of(outside), SCHED_BATCH, &none),
              "chose its scheduling");
}

static void by_limit(const struct outside *outside, struct trial *trial)
{
    struct rlimit none = {0, 0};

    tell_call(trial, prlimit(target_of(outside), RLIMIT_MSGQUEUE, &none, NULL), "took its limits");
}

static void by_io_priority(const struct outside *outside, struct trial *trial)
{
    enum { WHO_PROCESS = 1, CLASS_IDLE = 3 << 13 };

    tell_call(trial, syscall(SYS_ioprio_set, WHO_PROCESS, target_of(outside), CLASS_IDLE),
              "chose its I/O priority");
}

static void by_comparison(const struct outside *outside, struct trial *trial)
{
    tell_call(trial, syscall(SYS_kcmp, getpid(), target_of(outside), KCMP_FILES, 0, 0),
              "compared what it has open");
}

static void by_robust_list(const struct outside *outside, struct trial *trial)
{
    void *head;
    size_t length;

    tell_call(trial, syscall(SYS_get_robust_list, target_of(outside), &head, &length),
              "told an address of its");
}

static void by_pages(const struct outside *outside, struct trial *trial)
{
    void *page = (void *)(uintptr_t)(outside->memory & ~4095ul);
    int node = 0, status;

    tell_call(trial, syscall(SYS_move_pages, target_of(outside), 1, &page, &node, &status, 0),
              "moved its memory");
}

static void by_advice(const struct outside *outside, struct trial *trial)
{
    enum { COLD = 20 };
    struct iovec page = {(void *)(uintptr_t)(outside->memory & ~4095ul), 4096};
    int process = (int)syscall(SYS_pidfd_open, target_of(outside), 0);

    if (process < 0)
        tell_held(trial, "%s", strerror(errno));
    else
        tell_call(trial, syscall(SYS_process_madvise, process, &page, 1, COLD, 0),
                  "paged its memory out");
}

static const struct way ways[] = {
    {"ptrace-attach", by_attach, true},
    {"ptrace-seize", by_seize, true},
    {"ptrace-root", by_seize_root, false},
    {"ptrace-guard", by_seize_guard, false},
    {"vm-read", by_vm_read, true},
    {"vm-write", by_vm_write, true},
    {"proc-mem", by_memory_file, true},
    {"proc-mem-write", by_memory_file_write, true},
    {"proc-root", by_root, true},
    {"proc-cwd", by_current_directory, true},
    {"proc-fd", by_open_file, true},
    {"proc-fd-memory", by_memory_file_of, true},
    {"proc-fd-roundabout", by_roundabout, true},
    {"proc-fd-memory-stat", by_memory_file_status, true},
    {"proc-fd-memory-chmod", by_memory_file_mode, true},
    {"proc-fd-server", by_server_file, false},
    {"proc-task-root", by_task_root, true},
    {"proc-environ", by_environment, true},
    {"proc-link", by_link, true},
    {"proc-maps", by_maps, true},
    {"proc-oom-score", by_score, true},
    {"pidfd-getfd", by_taken_descriptor, true},
    {"kill", by_kill, true},
    {"kill-zero", by_kill_zero, true},
    {"tkill", by_tkill, true},
    {"tgkill", by_tgkill, true},
    {"kill-group", by_group_kill, false},
    {"sigqueue", by_queue, true},
    {"pidfd-signal", by_pidfd_signal, true},
    {"kill-all", by_kill_all, false},
    {"signal-owner", by_owner, true},
    {"signal-owner-ioctl", by_owner_control, true},
    {"setpriority", by_priority, true},
    {"setpriority-user", by_priority_of_user, false},
    {"affinity", by_affinity, true},
    {"scheduler", by_scheduler, true},
    {"limits", by_limit, true},
    {"io-priority", by_io_priority, true},
    {"kcmp", by_comparison, true},
    {"robust-list", by_robust_list, true},
    {"move-pages", by_pages, false},
    {"process-madvise", by_advice, false},
};

const struct family family_processes = {"processes", ways, sizeof ways / sizeof ways[0]};
