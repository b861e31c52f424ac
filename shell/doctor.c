/* hirsel doctor: what works on this machine and what does not, in ten lines. */
#include "shell/launch.h"
#include "shell/session.h"
#include "shell/shell.h"

#include <argp.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <linux/seccomp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#define FLOOR_MAJOR 6
#define FLOOR_MINOR 1
#define LANDLOCK_VERSION_FLAG 1u

enum grade { GRADE_GOOD, GRADE_LESS, GRADE_BAD };

struct finding {
    const char *name;
    enum grade grade;
    char text[PATH_MAX];
};

#define FINDINGS_MAX 16

struct doctor {
    struct finding findings[FINDINGS_MAX];
    size_t count;
    bool json;
    const char *session;
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

/* The number in a file of /proc/sys; -1: there is none. */
static long number_read(const char *path)
{
    FILE *file = fopen(path, "re");
    long number = -1;

    if (file == NULL)
        return -1;
    if (fscanf(file, "%ld", &number) != 1)
        number = -1;
    fclose(file);
    return number;
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

static void look_seccomp(struct doctor *doctor)
{
    unsigned action = SECCOMP_RET_USER_NOTIF;
    bool notify = syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) == 0;

    finding_add(doctor, "seccomp", notify ? GRADE_GOOD : GRADE_LESS, "%s",
                notify ? "filters and notifications work; the servers narrow themselves"
                       : "no notifications: a later trap server will not work here");
}

static void look_landlock(struct doctor *doctor)
{
    long version = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_VERSION_FLAG);

    if (version > 0)
        finding_add(doctor, "landlock", version >= 4 ? GRADE_GOOD : GRADE_LESS, "version %ld%s",
                    version, version >= 4 ? "" : ": it does not cover TCP (6.7)");
    else
        finding_add(doctor, "landlock", GRADE_LESS,
                    "not there: a later --confine will have to open everything itself");
}

static void look_yama(struct doctor *doctor)
{
    long scope = number_read("/proc/sys/kernel/yama/ptrace_scope");

    finding_add(doctor, "yama", GRADE_GOOD, "%s",
                scope <= 0 ? "no restriction on reading one's own processes"
                           : "only ancestors read a program's memory: init is one");
}

static void look_namespaces(struct doctor *doctor)
{
    long most = number_read("/proc/sys/user/max_user_namespaces");
    long restricted = number_read("/proc/sys/kernel/apparmor_restrict_unprivileged_userns");
    bool off = most == 0 || restricted == 1 ||
               number_read("/proc/sys/kernel/unprivileged_userns_clone") == 0;

    finding_add(doctor, "userns", GRADE_GOOD, "user namespaces are %s; hirsel needs none",
                off ? "switched off" : "there");
}

static void look_fuse(struct doctor *doctor)
{
    bool readable = access("/dev/fuse", R_OK | W_OK) == 0;

    finding_add(doctor, "fuse", GRADE_GOOD, "/dev/fuse is %s; hirsel needs none",
                readable ? "there" : "not there or not yours");
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
    static const char *const parts[] = {"libexec/hirsel/init",       "libexec/hirsel/fs",
                                        "libexec/hirsel/proc",       "libexec/hirsel/net",
                                        "libexec/hirsel/patch-libc", "libexec/hirsel/enter",
                                        "lib/hirsel/shim.so"};
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

/* Whether programs of the session meet the shim: one is started with the copy and says. */
static void look_copy_of(struct doctor *doctor, const struct session *session)
{
    char copy[PATH_MAX + 32], program[PATH_MAX], command[3 * PATH_MAX];

    snprintf(copy, sizeof copy, "%s/spaces/0/lib/libc.so.6", session->directory);
    if (access(copy, R_OK) != 0) {
        finding_add(doctor, "libc", GRADE_BAD,
                    "session '%s' has no libc copy: programs are not "
                    "retargeted (its log says why)",
                    session->name);
        return;
    }
    if (shell_installed("libexec/hirsel/enter", program, sizeof program) != 0)
        return;
    snprintf(command, sizeof command, "LD_PRELOAD='%s' '%s' --check", copy, program);
    if (strchr(copy, '\'') != NULL || strchr(program, '\'') != NULL || system(command) != 0)
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
            look_copy_of(doctor, &session);
        else
            finding_add(doctor, "libc", GRADE_BAD, "there is no session '%s'", doctor->session);
        return;
    }
    snprintf(name, sizeof name, "doctor-%d", getpid());
    if (session_launch(name, &lease, &session, incomplete, sizeof incomplete) != 0) {
        finding_add(doctor, "libc", GRADE_BAD, "no session starts");
        return;
    }
    look_copy_of(doctor, &session);
    session_end(&session, 1, false);
    close(lease);
    session_close(&session);
}

static void look_coverage(struct doctor *doctor)
{
    finding_add(doctor, "coverage", GRADE_LESS,
                "programs linked with libc are served; static ones and raw system calls run "
                "natively, past the session (a later trap server brings them in)");
    finding_add(doctor, "confinement", GRADE_LESS,
                "a session gives names, it does not take authority away (--confine comes later)");
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
        .doc = "Say what works on this machine and what does not. The status is 1 where something "
               "that is needed does not work.",
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
    look_seccomp(doctor);
    look_landlock(doctor);
    look_yama(doctor);
    look_namespaces(doctor);
    look_fuse(doctor);
    look_coverage(doctor);
    for (size_t i = 0; i < doctor->count; i++)
        if (doctor->findings[i].grade == GRADE_BAD)
            status = EXIT_FAILURE;
    if ((doctor->json ? findings_print_json(doctor) : findings_print(doctor)) != 0) {
        shell_say(0, "cannot print the findings");
        status = SHELL_FAILED;
    }
    free(doctor);
    return status;
}
