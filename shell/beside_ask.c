/* The front's side of a confined tree that begins beside the one it is started in. */
#include "shell/beside.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proto/beside.pb-c.h"
#include "proto/init.pb-c.h"
#include "servers/lib/passing.h"

/* Another session's init may hang; and what is beside probes the kernel first. */
#define ASK_TIMEOUT_MS 3000
#define READY_TIMEOUT_MS 10000

/* ESRCH: our filter is not this session's. */
static int session_ask(struct session *session, int end)
{
    struct port *init = NULL;
    int error = session_reach(session, "init", ASK_TIMEOUT_MS, &init);

    if (error == 0)
        error = rpc_call(init, HIRSEL__INIT_OPERATION__INIT_TREE_BESIDE, NULL, &end, 1, NULL, NULL,
                         NULL, ASK_TIMEOUT_MS);
    else
        error = ESRCH;
    session_close(session);
    return error;
}

static int other_ask(const char *base, const char *name, int end)
{
    struct session session = {0};

    if ((size_t)snprintf(session.directory, sizeof session.directory, "%s/%s", base, name) >=
            sizeof session.directory ||
        directory_check(session.directory) != 0)
        return ESRCH;
    return session_ask(&session, end);
}

/* A session may have been entered from within another one: then the filter is that one's. */
static int others_ask(const char *current, int end)
{
    char base[PATH_MAX];
    struct dirent *entry;
    DIR *sessions;
    int error = ESRCH;

    snprintf(base, sizeof base, "%s", current);
    *strrchr(base, '/') = '\0';
    sessions = opendir(base);
    if (sessions == NULL)
        return ESRCH;
    while (error == ESRCH && (entry = readdir(sessions)) != NULL)
        if (session_name_valid(entry->d_name) &&
            strcmp(entry->d_name, strrchr(current, '/') + 1) != 0)
            error = other_ask(base, entry->d_name, end);
    closedir(sessions);
    return error;
}

/* It is outside of whatever Landlock this process is below, and what it starts would be, too. */
static int outside_check(pid_t pid)
{
    char link[64], target[16];

    snprintf(link, sizeof link, "/proc/%d/cwd", (int)pid);
    return readlink(link, target, sizeof target) >= 0 ? 0 : EPERM;
}

static int ready_wait(struct beside *beside)
{
    struct pollfd watched = {.fd = beside->socket, .events = POLLIN};
    int none, count;

    do
        count = poll(&watched, 1, READY_TIMEOUT_MS);
    while (count < 0 && errno == EINTR);
    if (count == 0)
        return ETIMEDOUT;
    if (passing_receive(beside->socket, &beside->ready, sizeof beside->ready, &none) !=
        (ssize_t)sizeof beside->ready)
        return EPROTO;
    return beside->ready.error != 0 ? beside->ready.error : outside_check(beside->ready.pid);
}

int beside_ask(struct beside *beside)
{
    struct session session;
    int ends[2];
    int error = session_current(&session);

    beside->socket = -1;
    if (error != 0)
        return ESRCH;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
        return errno;
    error = session_ask(&session, ends[1]);
    if (error == ESRCH)
        error = others_ask(session.directory, ends[1]);
    close(ends[1]);
    beside->socket = ends[0];
    if (error == 0)
        error = ready_wait(beside);
    if (error != 0) {
        close(ends[0]);
        beside->socket = -1;
    }
    return error;
}

static int word_send(int to, int kind, int value, int descriptor)
{
    struct beside_word word = {.kind = kind, .value = value};

    return passing_send(to, &word, sizeof word, descriptor, 0) == sizeof word ? 0 : errno;
}

/* What a child would have: all that is not closed on exec. */
static int descriptors_give(int to)
{
    DIR *descriptors = opendir("/proc/self/fd");
    struct dirent *entry;
    int error = 0;

    if (descriptors == NULL)
        return errno;
    while (error == 0 && (entry = readdir(descriptors)) != NULL) {
        int number = atoi(entry->d_name);
        int flags = entry->d_name[0] == '.' ? -1 : fcntl(number, F_GETFD);

        if (flags >= 0 && (flags & FD_CLOEXEC) == 0)
            error = word_send(to, BESIDE_DESCRIPTOR, number, number);
    }
    closedir(descriptors);
    return error;
}

static ProtobufCBinaryData text_bytes(const char *text)
{
    return (ProtobufCBinaryData){.data = (uint8_t *)text, .len = strlen(text)};
}

/* NULL: no memory. */
static ProtobufCBinaryData *texts_bytes(char **texts, size_t *count)
{
    ProtobufCBinaryData *list;
    size_t length = 0;

    while (texts[length] != NULL)
        length++;
    list = calloc(length + 1, sizeof *list);
    for (size_t i = 0; list != NULL && i < length; i++)
        list[i] = text_bytes(texts[i]);
    *count = length;
    return list;
}

static uint64_t signals_blocked(const sigset_t *set)
{
    uint64_t bits = 0;

    for (int number = 1; number <= 64; number++)
        if (sigismember(set, number) == 1)
            bits |= UINT64_C(1) << (number - 1);
    return bits;
}

/* The front's own, but for SIGCHLD, which it had to change. */
static uint64_t signals_ignored(const struct sigaction *child)
{
    uint64_t bits = 0;

    for (int number = 1; number <= 64; number++) {
        struct sigaction action;

        if (number == SIGCHLD)
            action = *child;
        else if (sigaction(number, NULL, &action) != 0)
            continue;
        if (action.sa_handler == SIG_IGN)
            bits |= UINT64_C(1) << (number - 1);
    }
    return bits;
}

/* A memory file with the packed plan, or -1 with errno. */
static int plan_pack(const Hirsel__BesidePlan *packed)
{
    size_t length = hirsel__beside_plan__get_packed_size(packed);
    int file = memfd_create("hirsel-plan", MFD_CLOEXEC);
    uint8_t *bytes;
    int error;

    if (file < 0)
        return -1;
    bytes = ftruncate(file, (off_t)length) != 0
                ? MAP_FAILED
                : mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (bytes == MAP_FAILED) {
        error = errno;
        close(file);
        errno = error;
        return -1;
    }
    hirsel__beside_plan__pack(packed, bytes);
    munmap(bytes, length);
    return file;
}

static int plan_give(int to, const struct tree_plan *plan)
{
    Hirsel__BesidePlan packed = HIRSEL__BESIDE_PLAN__INIT;
    int file = -1, error = ENOMEM;

    packed.session_name = text_bytes(plan->session->name);
    packed.session_directory = text_bytes(plan->session->directory);
    packed.space = plan->space;
    packed.command = texts_bytes(plan->command, &packed.n_command);
    packed.environment = texts_bytes(environ, &packed.n_environment);
    packed.policy.data = plan->policy;
    packed.policy.len = plan->policy_length;
    packed.best_effort = plan->best_effort;
    packed.scratch = text_bytes(plan->scratch);
    packed.blocked = signals_blocked(&plan->mask);
    packed.ignored = signals_ignored(&plan->child_action);
    if (packed.command != NULL && packed.environment != NULL) {
        file = plan_pack(&packed);
        error = file < 0 ? errno : word_send(to, BESIDE_PLAN, 0, file);
    }
    if (file >= 0)
        close(file);
    free(packed.command);
    free(packed.environment);
    return error;
}

int beside_give(const struct beside *beside, const struct tree_plan *plan)
{
    int error = descriptors_give(beside->socket);

    return error != 0 ? error : plan_give(beside->socket, plan);
}
