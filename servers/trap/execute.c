/* execve, execveat. The kernel starts the program, by the thread itself. But what a script's "#!"
 * names the kernel would look for on the host: where the session has another file there, or where
 * the script itself is another one, the thread is led to start the interpreter with the arguments
 * that the kernel would give it, as the shim does (shim/door/execute.c). */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "servers/trap/act.h"
#include "servers/trap/confine.h"
#include "servers/trap/credentials.h"
#include "servers/trap/guide.h"
#include "servers/trap/policy.h"
#include "servers/trap/rights.h"
#include "shim/core/host.h"
#include "shim/core/text.h"

enum {
    LINE_SIZE = 256,  /* of a script's first, that the kernel looks at */
    SCRIPT_DEPTH = 5, /* scripts as interpreters of scripts: ELOOP behind that */
    WORDS_MAX = 2 * SCRIPT_DEPTH + 1,
    ARGUMENTS_MAX = 32768, /* that one program has */
};

/* What is to be executed in the end. */
struct program {
    bool plain;            /* the kernel alone finds it by `name` */
    char name[PATH_LIMIT]; /* what the program is told that it is called */
    char host[PATH_LIMIT]; /* where it is; not plain */
    /* In front of the caller's arguments but the first; the last one comes first. */
    char *words[WORDS_MAX];
    size_t word_count;
    char lines[SCRIPT_DEPTH][LINE_SIZE];
    char script[PATH_LIMIT];
};

static void give(struct answer *answer, long result)
{
    answer->result = result;
}

/* ---- the file ---- */

/* What the caller's name means to the kernel, opened here. */
static int plain_open(const struct worker *worker, int directory, const char *name)
{
    static const struct {
        const char *name, *there;
    } own[] = {{"/proc/self/", ""}, {"/proc/thread-self/", ""}, {"/dev/fd/", "fd/"}};
    const char *process = worker->client.process;
    char path[PATH_LIMIT + 64];

    if (name[0] != '/' && directory == AT_FDCWD)
        snprintf(path, sizeof path, "%s/cwd/%s", process, name);
    else if (name[0] != '/')
        snprintf(path, sizeof path, "%s/fd/%d/%s", process, directory, name);
    else
        snprintf(path, sizeof path, "%s", name);
    for (size_t i = 0; i < sizeof own / sizeof own[0]; i++)
        if (strncmp(name, own[i].name, strlen(own[i].name)) == 0)
            snprintf(path, sizeof path, "%s/%s%s", process, own[i].there,
                     name + strlen(own[i].name));
    return open(path, O_PATH | O_CLOEXEC);
}

/* Whether the kernel would start it as a script, and says by that what is in it: to a confined
 * program nothing that it may not read. */
static bool is_allowed(const struct worker *worker, int file)
{
    char link[32], real[PATH_LIMIT];
    ssize_t length;

    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    if (faccessat(AT_FDCWD, link, X_OK, AT_EACCESS) != 0)
        return false;
    if (worker->policy == NULL)
        return true;
    length = readlink(link, real, sizeof real - 1);
    if (length <= 0)
        return false;
    real[length] = '\0';
    return fence_policy_allows(&worker->policy->rules, real, FENCE_READ | FENCE_EXECUTE);
}

/* A script's first line, what is behind "#!". False: it is none. */
static bool line_read(const struct worker *worker, int file, char line[LINE_SIZE])
{
    struct stat status;
    char link[32];
    ssize_t length;
    int opened;

    if (fstat(file, &status) != 0 || !S_ISREG(status.st_mode) || !is_allowed(worker, file))
        return false;
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    opened = open(link, O_RDONLY | O_CLOEXEC);
    if (opened < 0)
        return false;
    length = pread(opened, line, LINE_SIZE - 1, 0);
    close(opened);
    if (length < 2 || line[0] != '#' || line[1] != '!')
        return false;
    line[length] = '\0';
    line[strcspn(line, "\n")] = '\0';
    memmove(line, line + 2, strlen(line + 2) + 1);
    return true;
}

/* "interpreter argument": as the kernel cuts it. False: there is none. */
static bool line_cut(char *line, char **interpreter, char **argument)
{
    static const char blank[] = " \t";
    size_t length = strlen(line);

    while (length > 0 && strchr(blank, line[length - 1]) != NULL)
        line[--length] = '\0';
    *interpreter = line + strspn(line, blank);
    if (**interpreter == '\0')
        return false;
    *argument = *interpreter + strcspn(*interpreter, blank);
    if (**argument == '\0') {
        *argument = NULL;
        return true;
    }
    *(*argument)++ = '\0';
    *argument += strspn(*argument, blank);
    return true;
}

/* ---- where a name leads ---- */

/* 0 or -errno. */
static long program_find(struct worker *worker, struct program *program, int directory, bool follow,
                         const char *name)
{
    struct call *call = &worker->call;
    const int number = call->number;
    struct view view = view_get();
    bool walked;
    long result;

    if (name != call->paths[0]) {
        /* An interpreter's name is as one that is executed. */
        call->number = SYS_execve;
        strcpy(call->paths[0], name);
    }
    result = decide_path(worker, &view, 0, &walked);
    call->number = number;
    program->plain = result == VERDICT_CONTINUE;
    if (result == VERDICT_ACT) {
        result = path_to_host(directory, name, follow ? WALK_FOLLOW : 0, program->host, NULL);
        /* A translator opens no FIFO, and the kernel executes none. */
        if (result == -ENXIO)
            result = -EACCES;
        if (result == 0)
            result = confine_program(worker, program->host);
        if (result > 0)
            result = 0;
    } else if (result == VERDICT_CONTINUE) {
        result = 0;
    }
    strcpy(program->name, name);
    return result;
}

static int program_open(const struct worker *worker, const struct program *program, int directory)
{
    return program->plain ? plain_open(worker, directory, program->name)
                          : open(program->host, O_PATH | O_CLOEXEC);
}

/* The kernel finds it, but a confined tree may have to go by another name: procfs's link to an open
 * file of a translator's. *file is exchanged with it. 0 or -errno. */
static long program_review(struct worker *worker, struct program *program, int *file)
{
    char link[32];
    long result;

    if (worker->policy == NULL || !program->plain || *file < 0)
        return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", *file);
    if (host_link(link, program->host, sizeof program->host) < 0)
        return 0;
    result = confine_program(worker, program->host);
    if (result <= 0)
        return result;
    program->plain = false;
    close(*file);
    *file = open(program->host, O_PATH | O_CLOEXEC);
    return 0;
}

/* From a script to its interpreter, and on. 1: it is one that the kernel would not start as the
 * session means it; 0: it is none; or -errno. */
static long script_follow(struct worker *worker, struct program *program, int file)
{
    bool plain = program->plain;
    long result = 0;

    for (unsigned depth = 0; file >= 0; depth++) {
        char *interpreter, *argument;

        if (!line_read(worker, file, program->lines[depth % SCRIPT_DEPTH]))
            break;
        if (depth == SCRIPT_DEPTH) {
            result = -ELOOP;
            break;
        }
        if (!line_cut(program->lines[depth], &interpreter, &argument)) {
            result = -ENOEXEC;
            break;
        }
        if (depth == 0) {
            strcpy(program->script, program->name);
            program->words[program->word_count++] = program->script;
        }
        if (argument != NULL)
            program->words[program->word_count++] = argument;
        program->words[program->word_count++] = interpreter;
        result = program_find(worker, program, AT_FDCWD, true, interpreter);
        plain = plain && program->plain;
        close(file);
        file = result < 0 ? -1 : program_open(worker, program, AT_FDCWD);
        if (result < 0)
            break;
        result = !plain;
    }
    if (file >= 0)
        close(file);
    return result;
}

/* ---- leading the thread to the interpreter ---- */

/* What is put into the caller's memory: this, the list of arguments, and texts. */
struct led {
    size_t own;  /* of the list: they are ours, and counted from the beginning */
    size_t path; /* where it is */
    uint64_t list[];
};

static void led_relocate(void *text, uint64_t at)
{
    struct led *led = text;

    for (size_t i = 0; i < led->own; i++)
        led->list[i] += at;
}

/* The caller's pointers from the second on, with the null pointer: how many, or -errno. */
static long arguments_read(struct worker *worker, uint64_t *to)
{
    uint64_t from = (uint64_t)worker->call.given[worker->call.number == SYS_execveat ? 2 : 1];
    size_t count = 0;

    if (from == 0) {
        to[0] = 0;
        return 1;
    }
    do {
        long result;

        if (count > ARGUMENTS_MAX)
            return -E2BIG;
        result = client_read(&worker->client, &to[count], from + count * sizeof *to, sizeof *to);
        if (result < 0)
            return result;
    } while (to[count++] != 0);
    if (count == 1)
        return 1;
    memmove(to, to + 1, (count - 1) * sizeof *to);
    return (long)count - 1;
}

static size_t text_add(struct led *led, size_t *used, const char *text)
{
    size_t at = *used;

    strcpy((char *)led + at, text);
    *used += strlen(text) + 1;
    return at;
}

/* The most that `led` takes. */
static size_t led_room(const struct program *program)
{
    size_t room = sizeof(struct led) + PATH_LIMIT +
                  (ARGUMENTS_MAX + 2 + program->word_count) * sizeof(uint64_t);

    for (size_t i = 0; i < program->word_count; i++)
        room += strlen(program->words[i]) + 1;
    return room;
}

static long interpreter_lead(struct worker *worker, const struct program *program)
{
    const long *given = worker->call.given;
    struct led *led = malloc(led_room(program));
    size_t used;
    long count;

    if (led == NULL)
        return -ENOMEM;
    led->own = program->word_count;
    count = arguments_read(worker, led->list + led->own);
    if (count < 0) {
        free(led);
        return count;
    }
    used = sizeof *led + (led->own + (size_t)count) * sizeof led->list[0];
    for (size_t i = 0; i < led->own; i++)
        led->list[i] = text_add(led, &used, program->words[led->own - 1 - i]);
    led->path = text_add(led, &used, program->plain ? program->name : program->host);
    struct guidance guidance = {.number = SYS_execve,
                                .text_at = 0,
                                .text = led,
                                .text_length = used,
                                .text_offset = led->path,
                                .also_at = 1,
                                .also_offset = offsetof(struct led, list),
                                .descriptor = -1,
                                .relocate = led_relocate};
    guidance.arguments[2] = given[worker->call.number == SYS_execveat ? 3 : 2];
    count = guide(worker, &guidance);
    free(led);
    return count;
}

/* ---- the calls ---- */

/* By descriptor alone. What is said of it is of no weight: the kernel looks itself. */
static void descriptor_look(struct worker *worker)
{
    int file = client_place(&worker->client, (int)worker->call.given[0]);

    if (file < 0)
        return;
    rights_look(worker, file);
    close(file);
}

/* In a confined tree a translator's file, which is executed by another name than its own, goes by
 * the name that the kernel would give to its script. */
static bool descriptor_name(struct worker *worker)
{
    struct call *call = &worker->call;
    struct view view = view_get();

    if (worker->policy == NULL || call->number != SYS_execveat ||
        !(call->given[4] & AT_EMPTY_PATH) ||
        walk_descriptor(&worker->walk, &the_shim.caller, view.table, (int)call->given[0]) != 0 ||
        worker->walk.place != PLACE_NODE)
        return false;
    snprintf(call->paths[0], sizeof call->paths[0], "/dev/fd/%d", (int)call->given[0]);
    call->arguments[4] &= ~(long)AT_SYMLINK_NOFOLLOW;
    return true;
}

static void execute(struct worker *worker, struct answer *answer)
{
    static struct program program;
    struct call *call = &worker->call;
    const struct call_shape *shape = &call_shapes[call->number];
    int directory = shape->directory >= 0 ? (int)call->given[shape->directory] : AT_FDCWD;
    long result;
    int file;
    bool plain;

    program.word_count = 0;
    result = program_find(worker, &program, directory, call_follows(call->number, call->arguments),
                          call->paths[0]);
    if (result < 0) {
        give(answer, result);
        return;
    }
    file = program_open(worker, &program, directory);
    result = program_review(worker, &program, &file);
    if (result < 0) {
        close(file);
        give(answer, result);
        return;
    }
    plain = program.plain;
    if (file >= 0)
        rights_look(worker, file);
    result = script_follow(worker, &program, file);
    if (result < 0)
        give(answer, result);
    else if (result > 0)
        act_guided(answer, interpreter_lead(worker, &program));
    else if (plain)
        answer->proceed = true;
    else
        act_guided(answer, act_guide_path(worker, program.host));
}

void act_execute(struct worker *worker, struct answer *answer)
{
    struct call *call = &worker->call;
    long result = call_bring_paths(call, &worker->client);

    if (result != 0) {
        act_bring_failed(worker, answer, result);
        return;
    }
    if (!act_is_still_there(worker)) {
        answer->sent = true;
        return;
    }
    if (call->paths[0][0] == '\0' && !descriptor_name(worker)) {
        if (call->number == SYS_execveat)
            descriptor_look(worker);
        answer->proceed = true;
        return;
    }
    /* A caller with another root has the kernel's own names. */
    if (!client_shares_root(&worker->client)) {
        answer->proceed = true;
        return;
    }
    if (!credentials_take(&worker->client)) {
        give(answer, -EPERM);
        return;
    }
    execute(worker, answer);
}
