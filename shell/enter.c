/* The last step into a session: what is named in the session must be looked up in it, so that step
 * has the shim below it already, which hirsel(1) does not.
 *
 *   enter SOCKET COMMAND [ARG…]   become COMMAND, as servers/lib/entry.h says
 *   enter --check                 succeed if the C library below is a patched copy */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fence/fence.h"
#include "servers/lib/entry.h"
#include "servers/lib/passing.h"
#include "shell/linker.h"
#include "shim/door/door.h"

struct enter {
    int attendant; /* the socket to it */
    struct entry_plan plan;
    struct fence_policy policy;
};

static _Noreturn void enter_fail(const struct enter *enter, int kind, int error)
{
    struct entry_report report = {.kind = kind, .value = error};

    passing_send(enter->attendant, &report, sizeof report, -1, 0);
    _exit(kind == ENTRY_NO_EXEC ? 127 : 125);
}

static void plan_read(struct enter *enter)
{
    static uint8_t message[ENTRY_PLAN_MAX];
    ssize_t length = read(enter->attendant, message, sizeof message);
    int error;

    if (length < (ssize_t)sizeof enter->plan)
        _exit(125);
    memcpy(&enter->plan, message, sizeof enter->plan);
    error = fence_policy_unpack(&enter->policy, message + sizeof enter->plan,
                                (size_t)length - sizeof enter->plan);
    if (error != 0)
        enter_fail(enter, ENTRY_FAILED, error);
}

/* Until the attendant says go on; it leaves where that is not to be. Whether the trap server is
 * there. */
static bool word_wait(const struct enter *enter)
{
    struct entry_word word;
    ssize_t length;

    do
        length = read(enter->attendant, &word, sizeof word);
    while (length < 0 && errno == EINTR);
    if (length != sizeof word)
        _exit(125);
    return word.trapped != 0;
}

/* Sends the listener from beside the filter: nobody answers yet what the filter would ask about. It
 * has our descriptors, hears which one it is, and ends. */
static _Noreturn void courier_run(const struct enter *enter, int number_from, pid_t parent)
{
    struct entry_report report = {.kind = ENTRY_LISTENER};
    int listener;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if ((pid_t)syscall(SYS_getppid) != parent ||
        read(number_from, &listener, sizeof listener) != sizeof listener)
        _exit(0);
    if (passing_send(enter->attendant, &report, sizeof report, listener, 0) < 0) {
        report = (struct entry_report){.kind = ENTRY_UNFILTERED, .value = errno};
        passing_send(enter->attendant, &report, sizeof report, -1, 0);
    }
    _exit(0);
}

static pid_t courier_start(const struct enter *enter, int number_from)
{
    pid_t parent = getpid();
    pid_t courier = (pid_t)syscall(SYS_clone, CLONE_FILES | SIGCHLD, NULL, NULL, NULL, NULL);

    if (courier == 0)
        courier_run(enter, number_from, parent);
    return courier;
}

/* 0: the filter is there, and its listener with the attendant. */
static int filter_install(struct enter *enter, int landlock)
{
    struct fence_options options =
        fence_policy_options(&enter->policy, (enter->plan.flags & ENTRY_NETWORK) != 0, landlock);
    int number[2], listener = -1;
    pid_t courier;
    int error;

    options.binds = (enter->plan.flags & ENTRY_BINDS) != 0;
    linker_calls_add(&options);
    if (pipe2(number, O_CLOEXEC) != 0)
        return errno;
    courier = courier_start(enter, number[0]);
    if (courier < 0)
        return errno;
    error = fence_filter_install(&options, &listener);
    if (error == 0 && write(number[1], &listener, sizeof listener) != sizeof listener)
        error = errno;
    /* It shares the pipe's ends: their closing would tell it nothing. */
    if (error != 0)
        kill(courier, SIGKILL);
    while (waitpid(courier, NULL, 0) < 0 && errno == EINTR)
        continue;
    if (listener >= 0)
        close(listener);
    close(number[0]);
    close(number[1]);
    return error;
}

/* Landlock, and all other authority that a user's process may have. The version in force. */
static int fence_up(struct enter *enter)
{
    struct entry_report report = {.kind = ENTRY_UNFENCED};
    unsigned missing = 0;
    int error;

    if (!enter->policy.confined)
        return 0;
    error = fence_capabilities_drop();
    if (error == 0)
        error = fence_policy_enforce(&enter->policy, (enter->plan.flags & ENTRY_NETWORK) != 0,
                                     &missing);
    if (error != 0)
        enter_fail(enter, ENTRY_FAILED, error);
    if (missing != 0) {
        report.value = (int)missing;
        passing_send(enter->attendant, &report, sizeof report, -1, 0);
        word_wait(enter);
    }
    return fence_landlock_version();
}

/* Where the trap server hands out the libc copy, ld.so needs no LD_LIBRARY_PATH to it; which name
 * space is meant goes along in a variable that no program sees. */
static void door_tell(bool confined)
{
    char door[PATH_MAX];
    ssize_t length = readlink("/.hirsel/door", door, sizeof door - 2);

    if (length <= 0)
        return;
    if (confined)
        door[length++] = DOOR_CLOSE;
    door[length] = '\0';
    setenv("HIRSEL_DOOR", door, 1);
}

/* Before the first call that only the trap server could answer. */
static void filter_up(struct enter *enter, int landlock)
{
    struct entry_report report = {.kind = ENTRY_UNFILTERED};

    if ((enter->plan.flags & ENTRY_FILTER) == 0)
        return;
    report.value = filter_install(enter, landlock);
    if (report.value != 0)
        passing_send(enter->attendant, &report, sizeof report, -1, 0);
    if (word_wait(enter))
        door_tell(enter->policy.confined);
}

static bool variable_passes(const struct fence_policy *policy, const char *variable)
{
    size_t length = strcspn(variable, "=");

    for (size_t i = 0; i < policy->variable_count; i++)
        if (strlen(policy->variables[i]) == length &&
            strncmp(policy->variables[i], variable, length) == 0)
            return true;
    return false;
}

/* What a program knows by its environment is an authority too: tokens, sockets. */
static void environment_filter(const struct fence_policy *policy)
{
    char **to = environ;

    if (!policy->confined)
        return;
    for (char **from = environ; *from != NULL; from++)
        if (variable_passes(policy, *from))
            *to++ = *from;
    *to = NULL;
}

static int check(void)
{
    Dl_info info;
    char path[PATH_MAX];

    return dladdr((void *)(uintptr_t)execvp, &info) != 0 && info.dli_fname != NULL &&
                   realpath(info.dli_fname, path) != NULL && strstr(path, "hirsel-libc-") != NULL
               ? 0
               : 1;
}

int main(int argc, char **argv)
{
    struct enter enter = {0};

    if (argc == 2 && strcmp(argv[1], "--check") == 0)
        return check();
    if (argc < 3)
        return 125;
    enter.attendant = atoi(argv[1]);
    fcntl(enter.attendant, F_SETFD, FD_CLOEXEC);
    plan_read(&enter);
    environment_filter(&enter.policy);
    filter_up(&enter, fence_up(&enter));
    execvp(argv[2], argv + 2);
    enter_fail(&enter, ENTRY_NO_EXEC, errno);
}
