/* The process beside a tree, from its beginning until it is the attendant of a confined tree. */
#include "shell/beside.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "proto/beside.pb-c.h"
#include "servers/lib/passing.h"
#include "servers/lib/process.h"
#include "shell/shell.h"

#define DESCRIPTORS_MAX 4096
#define PLAN_MAX (16 << 20)

struct given {
    int number; /* that it is to have */
    int now;
};

struct joining {
    int socket; /* to the front */
    pid_t front;
    struct given *given;
    size_t count;
    Hirsel__BesidePlan *packed;
    struct session session;
    struct tree_plan plan;
};

/* ---- whether the front may be left for this place: but for the filter it must be the same ---- */

/* The line `field` of /proc/PID/status into `text`; false: it has none. */
static bool status_line(pid_t pid, const char *field, char *text, size_t size)
{
    char status[8192];
    ssize_t length = process_read(pid, "status", status, sizeof status - 1);
    size_t name = strlen(field);
    const char *line = status;

    if (length <= 0)
        return false;
    status[length] = '\0';
    while (line != NULL && (strncmp(line, field, name) != 0 || line[name] != ':')) {
        line = strchr(line, '\n');
        line = line == NULL ? NULL : line + 1;
    }
    if (line == NULL)
        return false;
    line += name + 1;
    snprintf(text, size, "%.*s", (int)strcspn(line, "\n"), line);
    return true;
}

static bool status_same(pid_t one, pid_t other, const char *field)
{
    char a[4096], b[sizeof a];

    return status_line(one, field, a, sizeof a) && status_line(other, field, b, sizeof b) &&
           strcmp(a, b) == 0;
}

static bool place_same(pid_t one, pid_t other, const char *link)
{
    char path[64];
    struct stat a, b;

    snprintf(path, sizeof path, "/proc/%d/%s", (int)one, link);
    if (stat(path, &a) != 0)
        return false;
    snprintf(path, sizeof path, "/proc/%d/%s", (int)other, link);
    return stat(path, &b) == 0 && a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

/* The filters that it has more than we: one, the session's. With another one it was put into a box
 * that this is outside of. */
static bool filters_fit(pid_t front, pid_t own)
{
    char theirs[32], ours[32];

    return status_line(front, "Seccomp_filters", theirs, sizeof theirs) &&
           status_line(own, "Seccomp_filters", ours, sizeof ours) &&
           strtol(theirs, NULL, 10) == strtol(ours, NULL, 10) + 1;
}

/* Both files of /proc/PID say the same, or both can't be read. */
static bool file_same(pid_t one, pid_t other, const char *file)
{
    char a[4096], b[sizeof a];
    ssize_t first = process_read(one, file, a, sizeof a);
    ssize_t second = process_read(other, file, b, sizeof b);

    return first == second && (first <= 0 || memcmp(a, b, (size_t)first) == 0);
}

/* Be in the control group that the front is in: what it may use up is the user's way to bound what
 * a confined program may. */
static int group_join(pid_t front)
{
    char groups[4096], path[PATH_MAX], number[16];
    ssize_t length = process_read(front, "cgroup", groups, sizeof groups - 1);
    int file, error = 0;

    if (file_same(front, getpid(), "cgroup"))
        return 0;
    /* Where there is one hierarchy only its line is the first. */
    if (length <= 0 || strncmp(groups, "0::/", 4) != 0)
        return EXDEV;
    groups[length] = '\0';
    if (strchr(groups, '\n') == NULL || strchr(groups, '\n')[1] != '\0')
        return EXDEV;
    snprintf(path, sizeof path, "/sys/fs/cgroup%.*s/cgroup.procs", (int)strcspn(groups + 3, "\n"),
             groups + 3);
    file = open(path, O_WRONLY | O_CLOEXEC);
    if (file < 0)
        return EXDEV;
    snprintf(number, sizeof number, "%d", (int)getpid());
    if (write(file, number, strlen(number)) < 0)
        error = EXDEV;
    close(file);
    return error == 0 && file_same(front, getpid(), "cgroup") ? 0 : EXDEV;
}

static int front_check(pid_t front)
{
    static const char *const fields[] = {"Uid", "Gid", "Groups", "CapEff", "CapBnd"};
    static const char *const places[] = {"root",   "ns/mnt", "ns/user",   "ns/pid",
                                         "ns/net", "ns/ipc", "ns/cgroup", "ns/uts"};
    pid_t own = getpid();

    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++)
        if (!status_same(front, own, fields[i]))
            return EPERM;
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++)
        if (!place_same(front, own, places[i]))
            return EXDEV;
    /* Of other security modules than Landlock. */
    if (!file_same(front, own, "attr/current") || !filters_fit(front, own))
        return EPERM;
    return group_join(front);
}

/* ---- what the front gives ---- */

static int word_wait(const struct joining *joining, struct beside_word *word, int *descriptor)
{
    struct pollfd watched = {.fd = joining->socket, .events = POLLIN};
    ssize_t length;

    do {
        if (poll(&watched, 1, -1) < 0 && errno != EINTR)
            return errno;
        length = passing_receive(joining->socket, word, sizeof *word, descriptor);
    } while (length < 0 && (errno == EAGAIN || errno == EINTR));
    /* It failed on its way here, or was ended. */
    return length == sizeof *word && *descriptor >= 0 ? 0 : EPIPE;
}

static int given_add(struct joining *joining, int number, int descriptor)
{
    struct given *more;

    if (joining->count == DESCRIPTORS_MAX || number < 0)
        return EMFILE;
    more = reallocarray(joining->given, joining->count + 1, sizeof *more);
    if (more == NULL)
        return ENOMEM;
    joining->given = more;
    more[joining->count++] = (struct given){.number = number, .now = descriptor};
    return 0;
}

static int packed_read(struct joining *joining, int file)
{
    struct stat status;
    void *bytes;

    if (fstat(file, &status) != 0)
        return errno;
    if (status.st_size <= 0 || status.st_size > PLAN_MAX)
        return EMSGSIZE;
    bytes = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE, file, 0);
    if (bytes == MAP_FAILED)
        return errno;
    joining->packed = hirsel__beside_plan__unpack(NULL, (size_t)status.st_size, bytes);
    munmap(bytes, (size_t)status.st_size);
    return joining->packed == NULL ? EBADMSG : 0;
}

static int all_receive(struct joining *joining)
{
    for (;;) {
        struct beside_word word;
        int descriptor;
        int error = word_wait(joining, &word, &descriptor);

        if (error != 0)
            return error;
        if (word.kind == BESIDE_PLAN) {
            error = packed_read(joining, descriptor);
            close(descriptor);
            return error;
        }
        error =
            word.kind == BESIDE_DESCRIPTOR ? given_add(joining, word.value, descriptor) : EBADMSG;
        if (error != 0)
            return error;
    }
}

/* A copy with its NUL; NULL: no memory, or a NUL in it. */
static char *text_copy(const ProtobufCBinaryData *bytes)
{
    if (bytes->len > 0 && memchr(bytes->data, '\0', bytes->len) != NULL)
        return NULL;
    return strndup(bytes->len > 0 ? (const char *)bytes->data : "", bytes->len);
}

static char **texts_copy(const ProtobufCBinaryData *list, size_t count)
{
    char **texts = calloc(count + 1, sizeof *texts);

    for (size_t i = 0; texts != NULL && i < count; i++) {
        texts[i] = text_copy(&list[i]);
        if (texts[i] == NULL)
            return NULL;
    }
    return texts;
}

static bool text_fill(const ProtobufCBinaryData *bytes, char *text, size_t size)
{
    if (bytes->len >= size || memchr(bytes->data, '\0', bytes->len) != NULL)
        return false;
    memcpy(text, bytes->data, bytes->len);
    text[bytes->len] = '\0';
    return true;
}

/* All that this process will have is for the new tree: nothing is freed. */
static int plan_read(struct joining *joining)
{
    const Hirsel__BesidePlan *packed = joining->packed;
    struct tree_plan *plan = &joining->plan;
    char **environment = texts_copy(packed->environment, packed->n_environment);

    if (packed->policy.len == 0 || packed->n_command == 0 || packed->session_name.len == 0 ||
        packed->session_directory.len == 0 || packed->session_directory.data[0] != '/' ||
        !text_fill(&packed->session_name, joining->session.name, sizeof joining->session.name) ||
        !text_fill(&packed->session_directory, joining->session.directory,
                   sizeof joining->session.directory))
        return EBADMSG;
    plan->session = &joining->session;
    plan->space = packed->space;
    plan->command = texts_copy(packed->command, packed->n_command);
    plan->scratch = text_copy(&packed->scratch);
    if (environment == NULL || plan->command == NULL || plan->scratch == NULL)
        return ENOMEM;
    environ = environment;
    plan->policy = packed->policy.data;
    plan->policy_length = packed->policy.len;
    plan->best_effort = packed->best_effort;
    plan->trap = true;
    sigemptyset(&plan->mask);
    for (int number = 1; number <= 64; number++)
        if ((packed->blocked >> (number - 1)) & 1)
            sigaddset(&plan->mask, number);
    plan->child_action.sa_handler = (packed->ignored >> (SIGCHLD - 1)) & 1 ? SIG_IGN : SIG_DFL;
    return 0;
}

/* ---- to be as the front's child would be ---- */

static void signals_take(uint64_t ignored)
{
    for (int number = 1; number <= 64; number++) {
        bool ignore = number != SIGCHLD && ((ignored >> (number - 1)) & 1) != 0;
        struct sigaction action = {.sa_handler = ignore ? SIG_IGN : SIG_DFL};

        /* Some are nobody's to change. */
        sigaction(number, &action, NULL);
    }
}

static int directory_take(pid_t front)
{
    char path[64];
    int directory, error = 0;

    snprintf(path, sizeof path, "/proc/%d/cwd", (int)front);
    directory = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (directory < 0)
        return errno;
    if (fchdir(directory) != 0)
        error = errno;
    close(directory);
    return error;
}

static int mask_take(pid_t front)
{
    char text[32];

    if (!status_line(front, "Umask", text, sizeof text))
        return ESRCH;
    umask((mode_t)strtoul(text, NULL, 8));
    return 0;
}

/* After all descriptors are at their places: a lower limit holds for new ones only. */
static int limits_take(pid_t front)
{
    cpu_set_t processors;
    int nice;

    for (int resource = 0; resource < RLIMIT_NLIMITS; resource++) {
        struct rlimit limit;

        if (prlimit(front, (__rlimit_resource_t)resource, NULL, &limit) != 0 ||
            setrlimit((__rlimit_resource_t)resource, &limit) != 0)
            return errno;
    }
    errno = 0;
    nice = getpriority(PRIO_PROCESS, (id_t)front);
    if (errno == 0 && nice > getpriority(PRIO_PROCESS, 0))
        setpriority(PRIO_PROCESS, 0, nice);
    if (sched_getaffinity(front, sizeof processors, &processors) == 0)
        sched_setaffinity(0, sizeof processors, &processors);
    return 0;
}

/* First all out of the way of each other, then each to its place. */
static int descriptors_take(struct joining *joining)
{
    struct rlimit limit;
    int above = STDERR_FILENO + 1, end;

    for (size_t i = 0; i < joining->count; i++)
        if (joining->given[i].number >= above)
            above = joining->given[i].number + 1;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return errno;
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
        return errno;
    end = fcntl(joining->socket, F_DUPFD_CLOEXEC, above);
    if (end < 0)
        return EMFILE;
    joining->socket = end;
    for (size_t i = 0; i < joining->count; i++) {
        joining->given[i].now = fcntl(joining->given[i].now, F_DUPFD_CLOEXEC, above);
        if (joining->given[i].now < 0)
            return EMFILE;
    }
    if (close_range(0, (unsigned)above - 1, 0) != 0)
        return errno;
    for (size_t i = 0; i < joining->count; i++) {
        if (dup2(joining->given[i].now, joining->given[i].number) < 0)
            return errno;
        close(joining->given[i].now);
    }
    /* What was received and not placed. */
    return close_range((unsigned)end + 1, ~0u, 0) != 0 ? errno : 0;
}

/* In another session of terminals the command can't be in the front's group: it is in none of the
 * wrong terminal's, and the front passes it what its own sends. */
static void terminal_take(struct joining *joining)
{
    joining->plan.front = joining->front;
    if (getsid(joining->front) == getsid(0))
        joining->plan.group = getpgid(joining->front);
    else
        setsid();
}

static int front_follow(struct joining *joining)
{
    int error = directory_take(joining->front);

    if (error == 0)
        error = mask_take(joining->front);
    if (error == 0)
        error = descriptors_take(joining);
    if (error == 0)
        error = limits_take(joining->front);
    if (error != 0)
        return error;
    signals_take(joining->packed->ignored);
    terminal_take(joining);
    return 0;
}

static bool ready_send(const struct joining *joining)
{
    struct beside_ready ready = {.pid = getpid()};

    ready.error = front_check(joining->front);
    if (ready.error == 0)
        ready.error = fence_probe_run(&ready.probe);
    return passing_send(joining->socket, &ready, sizeof ready, -1, 0) == sizeof ready &&
           ready.error == 0;
}

static _Noreturn void joining_run(int to, pid_t front)
{
    struct joining joining = {.front = front};
    int error;

    joining.socket = to;
    if (!ready_send(&joining))
        _exit(SHELL_FAILED);
    error = all_receive(&joining);
    if (error == EPIPE)
        _exit(SHELL_FAILED);
    if (error == 0)
        error = plan_read(&joining);
    if (error == 0)
        error = front_follow(&joining);
    if (error != 0) {
        struct tree_event event = {.kind = TREE_UNHELD, .value = error};

        passing_send(joining.socket, &event, sizeof event, -1, 0);
        _exit(SHELL_FAILED);
    }
    attendant_run(&joining.plan, joining.socket);
}

/* ---- the keeper ---- */

static void children_kill(void)
{
    char path[64], text[4096];
    int file;
    ssize_t length;

    snprintf(path, sizeof path, "/proc/self/task/%d/children", (int)getpid());
    file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return;
    length = read(file, text, sizeof text - 1);
    close(file);
    if (length <= 0)
        return;
    text[length] = '\0';
    for (char *next = text; *next != '\0';) {
        long pid = strtol(next, &next, 10);

        if (pid <= 1)
            break;
        kill((pid_t)pid, SIGKILL);
        next += strspn(next, " ");
    }
}

/* Should the attendant be killed, what was below it would be taken for the outer tree's, which is
 * free. It ends here instead. */
static _Noreturn void keeper_run(pid_t attendant)
{
    pid_t pid;
    bool left = false;

    close_range(0, ~0u, 0);
    if (chdir("/") != 0)
        _exit(SHELL_FAILED);
    for (;;) {
        if (left)
            children_kill();
        pid = waitpid(-1, NULL, left ? WNOHANG : 0);
        if (pid < 0 && errno == ECHILD)
            _exit(0);
        if (pid == attendant)
            left = true;
        else if (pid == 0)
            poll(NULL, 0, 1);
    }
}

/* A process with all its threads' descriptors but `to` closed. */
static _Noreturn void keeper_begin(int to, pid_t front)
{
    pid_t attendant;
    int end = fcntl(to, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);

    if (end < 0 || prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0)
        _exit(SHELL_FAILED);
    if (end > STDERR_FILENO + 1)
        close_range(STDERR_FILENO + 1, (unsigned)end - 1, 0);
    close_range((unsigned)end + 1, ~0u, 0);
    attendant = fork();
    if (attendant < 0)
        _exit(SHELL_FAILED);
    if (attendant == 0)
        joining_run(end, front);
    keeper_run(attendant);
}

int beside_start(int to, uint32_t asker)
{
    pid_t keeper = fork();

    if (keeper == 0)
        keeper_begin(to, (pid_t)asker);
    return keeper < 0 ? errno : 0;
}
