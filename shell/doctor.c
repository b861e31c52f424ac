/* hirsel doctor: what this kernel and container allow, what therefore holds and what does not, in
 * ten lines. */
#include "fence/fence.h"
#include "shell/beside.h"
#include "shell/launch.h"
#include "shell/session.h"
#include "shell/shell.h"

#include <argp.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#define FLOOR_MAJOR 6
#define FLOOR_MINOR 1

enum grade { GRADE_GOOD, GRADE_LESS, GRADE_BAD };

struct finding {
    const char *name;
    enum grade grade;
    char text[PATH_MAX];
};

#define FINDINGS_MAX 12

struct doctor {
    struct finding findings[FINDINGS_MAX];
    size_t count;
    bool json;
    const char *session;
    bool inside; /* this runs in a session */
    bool copied; /* the session has a libc copy */
    bool probed;
    int probe_error;
    struct fence_probe probe;
};

static void finding_add(struct doctor *doctor, const char *name, enum grade grade,
                        const char *format, ...) __attribute__((format(printf, 4, 5)));

static void finding_add(struct doctor *doctor, const char *name, enum grade grade,
                        const char *format, ...)
{
    struct finding *finding = &doctor->findings[doctor->count];
    va_list arguments;

    if (doctor->count == FINDINGS_MAX)
        return;
    doctor->count++;
    finding->name = name;
    finding->grade = grade;
    va_start(arguments, format);
    vsnprintf(finding->text, sizeof finding->text, format, arguments);
    va_end(arguments);
}

static void look_kernel(struct doctor *doctor)
{
    struct utsname kernel;
    int major = 0, minor = 0;
    bool old;

    if (uname(&kernel) != 0)
        return;
    if (sscanf(kernel.release, "%d.%d", &major, &minor) != 2)
        major = 0;
    old = major < FLOOR_MAJOR || (major == FLOOR_MAJOR && minor < FLOOR_MINOR);
    finding_add(doctor, "kernel", old ? GRADE_BAD : GRADE_GOOD, "%s %s (%s): %s", kernel.sysname,
                kernel.release, kernel.machine,
                old ? "older than 6.1, the oldest that is tested"
                : (major == 6 && minor < 15)
                    ? "how processes end is known of each tree's command alone (others: 6.15)"
                    : "all that is used is there");
}

/* Whether a listener is above this process because it runs in a session: as it should be. */
static bool listener_is_ours(const struct doctor *doctor)
{
    return doctor->inside && doctor->probe.listener_error == EBUSY;
}

/* Whether every program's calls come to the trap server. */
static bool calls_come(const struct doctor *doctor)
{
    const struct fence_probe *probe = &doctor->probe;

    return listener_is_ours(doctor) ||
           (probe->filter_error == 0 && probe->listener_error == 0 && probe->add_descriptor);
}

static void look_seccomp(struct doctor *doctor)
{
    const struct fence_probe *probe = &doctor->probe;

    if (probe->filter_error != 0)
        finding_add(doctor, "seccomp", GRADE_LESS, "no filter can be installed: %s",
                    strerror(probe->filter_error));
    else if (listener_is_ours(doctor))
        finding_add(doctor, "seccomp", GRADE_GOOD,
                    "the listener of the session that this runs in is above");
    else if (probe->listener_error == EBUSY)
        finding_add(doctor, "seccomp", GRADE_LESS,
                    "a listener that is not ours is above, and there can be one only");
    else if (probe->listener_error != 0)
        finding_add(doctor, "seccomp", GRADE_LESS, "filters, but no listeners: %s",
                    strerror(probe->listener_error));
    else if (!probe->add_descriptor)
        finding_add(doctor, "seccomp", GRADE_LESS,
                    "listeners, but none that hands out descriptors (Linux 5.14)");
    else
        finding_add(doctor, "seccomp", probe->wait_killable ? GRADE_GOOD : GRADE_LESS,
                    "filters and listeners; %s, %s",
                    probe->wait_killable ? "signals wait for an answer"
                                         : "signals may come before an answer (Linux 5.19)",
                    probe->sync_wake_up ? "who asks wakes the server directly"
                                        : "no direct wake-up: calls are slower (Linux 6.6)");
}

/* What this version does not hold, in words. */
static void holds_name(char *buffer, size_t size, unsigned missing)
{
    size_t used = 0;

    buffer[0] = '\0';
    for (unsigned hold = 1; hold <= FENCE_HOLD_ALL && used < size; hold <<= 1)
        if (missing & hold)
            used += (size_t)snprintf(buffer + used, size - used, "%s%s", used > 0 ? ", " : "",
                                     fence_hold_name((enum fence_hold)hold));
}

static void look_landlock(struct doctor *doctor)
{
    const struct fence_probe *probe = &doctor->probe;
    unsigned missing = FENCE_HOLD_ALL & ~fence_landlock_holds(probe->landlock);
    char names[256];

    holds_name(names, sizeof names, missing);
    if (probe->landlock == 0)
        finding_add(doctor, "landlock", GRADE_LESS, "not there: %s",
                    strerror(probe->landlock_error));
    else if (missing != 0)
        finding_add(doctor, "landlock", GRADE_GOOD, "version %d; the trap server must see to: %s",
                    probe->landlock, names);
    else
        finding_add(doctor, "landlock", GRADE_GOOD,
                    "version %d: files, ports, devices, abstract sockets, signals",
                    probe->landlock);
}

/* The memory of the programs that ask: where it can't be read they can't be answered. */
static void look_memory(struct doctor *doctor)
{
    const struct fence_probe *probe = &doctor->probe;
    const char *yama = probe->yama > 0 ? " (Yama)" : "";

    if (probe->child_error != 0)
        finding_add(doctor, "memory", GRADE_LESS,
                    "that of programs can't be read, not by their ancestors either%s: %s", yama,
                    strerror(probe->child_error));
    else if (probe->sibling_error != 0)
        finding_add(doctor, "memory", GRADE_GOOD,
                    "that of programs is read by ancestors only%s, which each tree has", yama);
    else if (probe->trace_error != 0)
        finding_add(doctor, "memory", GRADE_LESS,
                    "that of programs can be read, but they can't be traced%s: a static program "
                    "can't enter a translator's directory",
                    yama);
    else
        finding_add(doctor, "memory", GRADE_GOOD,
                    "the trap server reads that of programs, and guides them");
}

static void look_needs(struct doctor *doctor)
{
    finding_add(doctor, "needs", GRADE_GOOD,
                "user namespaces are %s, /dev/fuse is %s; neither is needed",
                doctor->probe.namespace_error == 0 ? "there" : "not to be had",
                access("/dev/fuse", R_OK | W_OK) == 0 ? "there" : "not to be had");
}

static void look_coverage(struct doctor *doctor)
{
    if (!doctor->probed)
        finding_add(doctor, "coverage", GRADE_LESS, "what the kernel allows can't be found out: %s",
                    strerror(doctor->probe_error));
    else if ((!calls_come(doctor) || doctor->probe.child_error != 0) && !doctor->copied)
        finding_add(doctor, "coverage", GRADE_BAD, "no program sees the session");
    else if (!calls_come(doctor) || doctor->probe.child_error != 0)
        finding_add(doctor, "coverage", GRADE_LESS,
                    "programs linked with libc see the session; static ones and bare system calls "
                    "pass it by");
    else
        finding_add(doctor, "coverage", GRADE_GOOD,
                    "every program sees the session: static ones, bare system calls, env -i%s",
                    doctor->probe.no_new_privs && !doctor->inside ? ""
                                                                  : "; setuid ones need --no-trap");
}

/* One line of reasons. In a session a confined tree begins beside its filter. */
static void look_confinement(struct doctor *doctor)
{
    const char *reasons[FENCE_REASONS];
    char text[512] = "";
    size_t used = 0, count = 0;
    struct beside beside;
    bool is_beside = listener_is_ours(doctor) && beside_ask(&beside) == 0;

    if (doctor->probed)
        count = fence_probe_confine(is_beside ? &beside.ready.probe : &doctor->probe, reasons);
    if (is_beside)
        close(beside.socket);
    for (size_t i = 0; i < count && used < sizeof text; i++)
        used += (size_t)snprintf(text + used, sizeof text - used, "%s%s", i > 0 ? "; " : "",
                                 reasons[i]);
    if (!doctor->probed)
        finding_add(doctor, "confinement", GRADE_LESS, "whether --confine holds can't be told");
    else if (count == 0)
        finding_add(doctor, "confinement", GRADE_GOOD, "--confine holds%s",
                    is_beside ? ", beside the filter of the session that this runs in" : "");
    else
        finding_add(doctor, "confinement", GRADE_LESS, "--confine would not hold: %s", text);
}

static void look_directory(struct doctor *doctor)
{
    char base[PATH_MAX];
    struct statvfs status;
    const char *unfit;

    if (session_base(base, sizeof base, true) != 0) {
        finding_add(doctor, "directory", GRADE_BAD, "no place for sessions: set HIRSEL_DIR");
        return;
    }
    unfit = directory_unfit(base);
    if (unfit != NULL)
        finding_add(doctor, "directory", GRADE_BAD, "%s: %s", base, unfit);
    else if (statvfs(base, &status) != 0)
        finding_add(doctor, "directory", GRADE_BAD, "%s: %s", base, strerror(errno));
    else if ((status.f_flag & ST_NOEXEC) != 0)
        finding_add(doctor, "directory", GRADE_LESS,
                    "%s is mounted noexec: programs inside translators do not run; set HIRSEL_DIR",
                    base);
    else
        finding_add(doctor, "directory", GRADE_GOOD, "sessions live in %s", base);
}

static void look_parts(struct doctor *doctor)
{
    static const char *const parts[] = {"libexec/hirsel/init",  "libexec/hirsel/fs",
                                        "libexec/hirsel/proc",  "libexec/hirsel/net",
                                        "libexec/hirsel/trap",  "libexec/hirsel/patch-libc",
                                        "libexec/hirsel/enter", "lib/hirsel/shim.so"};
    char path[PATH_MAX], missing[PATH_MAX] = "";

    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        size_t used = strlen(missing);

        if (shell_installed(parts[i], path, sizeof path) != 0 || access(path, R_OK) != 0)
            snprintf(missing + used, sizeof missing - used, " %s", parts[i]);
    }
    if (missing[0] != '\0')
        finding_add(doctor, "parts", GRADE_BAD, "not installed:%s", missing);
    else
        finding_add(doctor, "parts", GRADE_GOOD, "all are installed");
}

/* Does a program start with this copy, and say that it has it? No shell: paths are what they are.
 */
static bool copy_works(const char *copy)
{
    char program[PATH_MAX], preload[PATH_MAX + 64];
    char *arguments[] = {program, (char *)"--check", NULL};
    char *environment[] = {preload, NULL};
    int status;
    pid_t pid;

    snprintf(preload, sizeof preload, "LD_PRELOAD=%s", copy);
    if (shell_installed("libexec/hirsel/enter", program, sizeof program) != 0 ||
        posix_spawn(&pid, program, NULL, NULL, arguments, environment) != 0)
        return false;
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return false;
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/* Whether programs of the session meet the shim. `incomplete` is what its start said. */
static void look_copy_of(struct doctor *doctor, const struct session *session,
                         const char *incomplete)
{
    char copy[PATH_MAX + 32];

    snprintf(copy, sizeof copy, "%s/spaces/0/lib/libc.so.6", session->directory);
    doctor->copied = access(copy, R_OK) == 0;
    if (!doctor->copied && incomplete[0] != '\0')
        finding_add(doctor, "libc", GRADE_LESS, "%s", incomplete);
    else if (!doctor->copied)
        finding_add(doctor, "libc", GRADE_LESS,
                    "programs see session '%s' by the trap server alone, more slowly: no libc copy "
                    "(hirsel log says why)",
                    session->name);
    else if (!copy_works(copy))
        finding_add(doctor, "libc", GRADE_BAD, "a program does not start with %s", copy);
    else
        finding_add(doctor, "libc", GRADE_GOOD,
                    "the patched copy of the C library works (session %s)", session->name);
}

/* The session that is meant, or one that is started for it. */
static void look_copy(struct doctor *doctor)
{
    struct session session;
    char name[SESSION_NAME_MAX + 1], incomplete[256];
    int lease;

    if (doctor->session != NULL || session_current(&session) == 0) {
        if (session_find(doctor->session, &session) == 0)
            look_copy_of(doctor, &session, "");
        else
            finding_add(doctor, "libc", GRADE_BAD, "there is no session '%s'", doctor->session);
        return;
    }
    snprintf(name, sizeof name, "doctor-%d", getpid());
    if (session_launch(name, &lease, &session, incomplete, sizeof incomplete) != 0) {
        finding_add(doctor, "libc", GRADE_BAD, "no session starts");
        return;
    }
    look_copy_of(doctor, &session, incomplete);
    session_end(&session, 1, false);
    close(lease);
    session_close(&session);
}

/* What the kernel and whoever keeps this container allow. */
static void look_fences(struct doctor *doctor)
{
    struct session session;

    doctor->inside = session_current(&session) == 0;
    session_close(&session);
    doctor->probe_error = fence_probe_run(&doctor->probe);
    doctor->probed = doctor->probe_error == 0;
    if (doctor->probed) {
        look_seccomp(doctor);
        look_landlock(doctor);
        look_memory(doctor);
        look_needs(doctor);
    }
    look_coverage(doctor);
    look_confinement(doctor);
}

static const char *grade_name(enum grade grade)
{
    return grade == GRADE_GOOD ? "ok" : grade == GRADE_LESS ? "less" : "BAD";
}

static int findings_print(const struct doctor *doctor)
{
    for (size_t i = 0; i < doctor->count; i++)
        printf("%-5s %-11s %s\n", grade_name(doctor->findings[i].grade), doctor->findings[i].name,
               doctor->findings[i].text);
    return 0;
}

static int findings_print_json(const struct doctor *doctor)
{
    json_t *list = json_array();
    int status = 0;

    for (size_t i = 0; i < doctor->count && status == 0; i++)
        status = json_array_append_new(list, json_pack("{s:s, s:s, s:s}", "name",
                                                       doctor->findings[i].name, "grade",
                                                       grade_name(doctor->findings[i].grade),
                                                       "text", doctor->findings[i].text));
    if (status == 0)
        status = json_dumpf(list, stdout, JSON_INDENT(2));
    putchar('\n');
    json_decref(list);
    return status;
}

static error_t doctor_parse(int key, char *argument, struct argp_state *state)
{
    struct doctor *doctor = state->input;

    (void)argument;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &doctor->session;
        return 0;
    case 'j':
        doctor->json = true;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

int command_doctor(int argc, char **argv)
{
    static const struct argp_option options[] = {
        {.name = "json", .key = 'j', .doc = "for programs to read"},
        {0},
    };
    static const struct argp argp = {
        .options = options,
        .parser = doctor_parse,
        .doc =
            "Say what this kernel and container allow, what therefore holds and what does not. The "
            "status is 0 where all holds, else 1.",
        .children = session_argp_children,
    };
    struct doctor *doctor = calloc(1, sizeof *doctor);
    int status = EXIT_SUCCESS;

    if (doctor == NULL) {
        shell_say(ENOMEM, "the findings");
        return SHELL_FAILED;
    }
    argp_parse(&argp, argc, argv, 0, NULL, doctor);
    look_kernel(doctor);
    look_parts(doctor);
    look_directory(doctor);
    look_copy(doctor);
    look_fences(doctor);
    for (size_t i = 0; i < doctor->count; i++)
        if (doctor->findings[i].grade != GRADE_GOOD)
            status = EXIT_FAILURE;
    if ((doctor->json ? findings_print_json(doctor) : findings_print(doctor)) != 0) {
        shell_say(0, "cannot print the findings");
        status = SHELL_FAILED;
    }
    free(doctor);
    return status;
}
