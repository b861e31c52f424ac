/* Ways by parts of the kernel that give more than they look like. */
#include "tests/escape/escape.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/perf_event.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

static void by_unshare(const struct outside *outside, struct trial *trial)
{
    (void)outside;
    tell_call(trial, unshare(CLONE_NEWUSER | CLONE_NEWNS), "is root of a name space");
}

static void by_clone(const struct outside *outside, struct trial *trial)
{
    long child = syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, NULL, NULL, NULL, 0);

    (void)outside;
    if (child == 0)
        _exit(0);
    tell_call(trial, child, "its child is root of a name space");
}

static void by_clone3(const struct outside *outside, struct trial *trial)
{
    struct clone_args arguments = {.flags = CLONE_NEWUSER, .exit_signal = SIGCHLD};
    long child = syscall(SYS_clone3, &arguments, sizeof arguments);

    (void)outside;
    if (child == 0)
        _exit(0);
    tell_call(trial, child, "its child is root of a name space");
}

static void by_setns(const struct outside *outside, struct trial *trial)
{
    char path[64];
    int space;

    snprintf(path, sizeof path, "/proc/%u/ns/mnt", outside->target);
    space = open(path, O_RDONLY | O_CLOEXEC);
    tell_call(trial, space < 0 ? -1 : setns(space, 0), "entered a name space");
}

static void by_mount(const struct outside *outside, struct trial *trial)
{
    tell_call(trial, mount(outside->directory, outside->allowed, NULL, MS_BIND, NULL), "mounted");
}

static void by_fsopen(const struct outside *outside, struct trial *trial)
{
    (void)outside;
    tell_call(trial, syscall(SYS_fsopen, "tmpfs", 0), "opened a file system");
}

static void by_move_mount(const struct outside *outside, struct trial *trial)
{
    enum { CLONE = 1 };
    int tree = (int)syscall(SYS_open_tree, AT_FDCWD, outside->directory, CLONE);

    tell_call(trial,
              tree < 0 ? -1 : syscall(SYS_move_mount, tree, "", AT_FDCWD, outside->allowed, 4),
              "moved a mount");
}

static void by_chroot(const struct outside *outside, struct trial *trial)
{
    tell_call(trial, chroot(outside->allowed), "changed its root");
}

static void by_pivot_root(const struct outside *outside, struct trial *trial)
{
    tell_call(trial, syscall(SYS_pivot_root, outside->allowed, outside->allowed),
              "changed its root");
}

static void by_list_mounts(const struct outside *outside, struct trial *trial)
{
    enum { LIST_MOUNTS = 458 };
    struct {
        uint32_t size, spare;
        uint64_t id, last;
    } ask = {.size = 24, .id = UINT64_MAX};
    uint64_t found[16];

    (void)outside;
    tell_call(trial, syscall(LIST_MOUNTS, &ask, found, 16, 0), "listed mounts");
}

static void by_bpf(const struct outside *outside, struct trial *trial)
{
    union bpf_attr attributes;

    (void)outside;
    memset(&attributes, 0, sizeof attributes);
    attributes.map_type = BPF_MAP_TYPE_ARRAY;
    attributes.key_size = 4;
    attributes.value_size = 4;
    attributes.max_entries = 1;
    tell_call(trial, syscall(SYS_bpf, BPF_MAP_CREATE, &attributes, sizeof attributes),
              "made a map of bpf");
}

static void observe(pid_t pid, struct trial *trial)
{
    struct perf_event_attr attributes = {.type = PERF_TYPE_SOFTWARE,
                                         .size = sizeof attributes,
                                         .config = PERF_COUNT_SW_TASK_CLOCK,
                                         .exclude_kernel = 1,
                                         .exclude_hv = 1};

    tell_call(trial, syscall(SYS_perf_event_open, &attributes, pid, -1, -1, 0), "observes it");
}

static void by_perf(const struct outside *outside, struct trial *trial)
{
    (void)outside;
    observe(0, trial);
}

static void by_perf_target(const struct outside *outside, struct trial *trial)
{
    observe((pid_t)outside->target, trial);
}

static void by_userfaultfd(const struct outside *outside, struct trial *trial)
{
    enum { USER_MODE_ONLY = 1 };

    (void)outside;
    tell_call(trial, syscall(SYS_userfaultfd, O_CLOEXEC | USER_MODE_ONLY),
              "can stop the kernel at a page");
}

/* Types into a terminal as if the user had. */
static void type_into(struct trial *trial, unsigned long request, const char *what)
{
    int terminal = posix_openpt(O_RDWR | O_NOCTTY), other = -1;

    /* The leader of a group can't begin a session. */
    if (fork() != 0) {
        wait(NULL);
        return;
    }
    setsid();
    if (terminal >= 0 && grantpt(terminal) == 0 && unlockpt(terminal) == 0)
        other = open(ptsname(terminal), O_RDWR);
    if (other >= 0 && ioctl(other, TIOCSCTTY, 0) == 0)
        tell_call(trial, ioctl(other, request, what), "typed into the terminal");
    else if (ioctl(STDIN_FILENO, request, what) != 0 && errno == EPERM)
        /* On what is no terminal the kernel would say so: it was not asked. */
        tell_held(trial, "%s, whatever it is tried on", strerror(errno));
    else
        tell_untried(trial, "no terminal of its own: %s", strerror(errno));
    _exit(0);
}

static void by_typing(const struct outside *outside, struct trial *trial)
{
    (void)outside;
    type_into(trial, TIOCSTI, "x");
}

/* Requests are 32 bits to the kernel: whatever stands above them. */
static void by_typing_high(const struct outside *outside, struct trial *trial)
{
    (void)outside;
    type_into(trial, (1ul << 32) | TIOCSTI, "x");
}

static void by_pasting(const struct outside *outside, struct trial *trial)
{
    (void)outside;
    type_into(trial, TIOCLINUX, "\3");
}

static void by_other_terminal(const struct outside *outside, struct trial *trial)
{
    int terminal;

    if (outside->terminal[0] == '\0') {
        tell_untried(trial, "the target has no terminal");
        return;
    }
    terminal = open(outside->terminal, O_RDWR | O_NOCTTY | O_CLOEXEC);
    tell_call(trial, terminal < 0 ? -1 : write(terminal, "x", 1), "wrote on another terminal");
}

static void by_personality(const struct outside *outside, struct trial *trial)
{
    (void)outside;
    tell_call(trial, personality(READ_IMPLIES_EXEC), "changed what its calls mean");
}

static void by_rights(const struct outside *outside, struct trial *trial)
{
    (void)outside;
    if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1)
        tell_held(trial, "no_new_privs is set");
    else
        tell_escaped(trial, "setuid programs would have their rights");
}

static void by_capabilities(const struct outside *outside, struct trial *trial)
{
    unsigned capability = 0;

    (void)outside;
    for (unsigned i = 0; i < 64; i++)
        if (prctl(PR_CAPBSET_READ, i, 0, 0, 0) == 1 &&
            prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, i, 0, 0) == 0)
            capability = i + 1;
    if (capability != 0)
        tell_escaped(trial, "raised capability %u", capability - 1);
    else
        tell_held(trial, "no capability could be raised");
}

static const struct way ways[] = {
    {"userns-unshare", by_unshare, false},
    {"userns-clone", by_clone, false},
    {"userns-clone3", by_clone3, false},
    {"setns", by_setns, false},
    {"mount", by_mount, false},
    {"fsopen", by_fsopen, false},
    {"move-mount", by_move_mount, false},
    {"chroot", by_chroot, false},
    {"pivot-root", by_pivot_root, false},
    {"list-mounts", by_list_mounts, false},
    {"bpf", by_bpf, false},
    {"perf", by_perf, false},
    {"perf-target", by_perf_target, false},
    {"userfaultfd", by_userfaultfd, false},
    {"terminal-typing", by_typing, false},
    {"terminal-typing-high", by_typing_high, false},
    {"terminal-pasting", by_pasting, false},
    {"terminal-other", by_other_terminal, false},
    {"personality", by_personality, true},
    {"new-privileges", by_rights, true},
    {"capabilities", by_capabilities, false},
};

const struct family family_kernel = {"kernel", ways, sizeof ways / sizeof ways[0]};
