/* Starting translators for fs, and what is left of them when they end. */
#include "servers/init/init.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "servers/lib/directory.h"
#include "servers/lib/server.h"

/* An environment or a command with more words than this is refused. */
#define WORDS_MAX 65536

static void translator_started(struct child *child, int error);
static void translator_ended(struct child *child, pid_t pid, int status);

static struct translator *translator_of(struct child *child)
{
    return (struct translator *)((char *)child - offsetof(struct translator, child));
}

static struct translator *translator_find(struct init *init, uint64_t id)
{
    struct translator *translator = init->translators;

    while (translator != NULL && translator->id != id)
        translator = translator->next;
    return translator;
}

static void translator_free(struct translator *translator)
{
    struct translator **link = &translator->init->translators;

    while (*link != NULL && *link != translator)
        link = &(*link)->next;
    if (*link != NULL)
        *link = translator->next;
    if (translator->listening >= 0)
        close(translator->listening);
    confined_close(translator);
    trapped_unwait(translator->init, translator);
    free(translator->policy);
    free(translator->name);
    free(translator);
}

static char *bytes_string(const ProtobufCBinaryData *bytes)
{
    if (memchr(bytes->data, '\0', bytes->len) != NULL)
        return NULL;
    return strndup((const char *)bytes->data, bytes->len);
}

static void words_free(char **words)
{
    if (words == NULL)
        return;
    for (char **word = words; *word != NULL; word++)
        free(*word);
    free(words);
}

/* Strings of what fs sent, ended by NULL; NULL with errno. */
static char **words_make(const ProtobufCBinaryData *bytes, size_t count)
{
    char **words;

    if (count > WORDS_MAX) {
        errno = E2BIG;
        return NULL;
    }
    words = calloc(count + 1, sizeof(char *));
    if (words == NULL)
        return NULL;
    for (size_t i = 0; i < count; i++) {
        words[i] = bytes_string(&bytes[i]);
        if (words[i] == NULL) {
            words_free(words);
            errno = EINVAL;
            return NULL;
        }
    }
    return words;
}

static bool same_variable(const char *one, const char *other)
{
    size_t length = strcspn(one, "=");

    return strncmp(one, other, length + 1) == 0;
}

/* Put `variable` (taken over) in, in place of one of the same name. */
static int environment_put(char ***environment, size_t *count, char *variable)
{
    char **moved;

    if (variable == NULL)
        return ENOMEM;
    for (size_t i = 0; i < *count; i++) {
        if (same_variable(variable, (*environment)[i])) {
            free((*environment)[i]);
            (*environment)[i] = variable;
            return 0;
        }
    }
    moved = reallocarray(*environment, *count + 2, sizeof(char *));
    if (moved == NULL) {
        free(variable);
        return ENOMEM;
    }
    moved[(*count)++] = variable;
    moved[*count] = NULL;
    *environment = moved;
    return 0;
}

static char *format_string(const char *format, ...) __attribute__((format(printf, 1, 2)));

static char *format_string(const char *format, ...)
{
    va_list arguments;
    char *text;
    int length;

    va_start(arguments, format);
    length = vasprintf(&text, format, arguments);
    va_end(arguments);
    return length < 0 ? NULL : text;
}

/* init's own, the asker's additions, the door of the name space, and where the node is. */
static char **environment_make(const struct init *init, const Hirsel__InitSpawn *spawn)
{
    char **environment = calloc(1, sizeof(char *));
    char door[PATH_MAX];
    size_t count = 0;
    int error = environment == NULL ? ENOMEM : 0;
    const char *path = getenv("LD_LIBRARY_PATH");

    for (char **variable = environ; *variable != NULL && error == 0; variable++)
        error = environment_put(&environment, &count, strdup(*variable));
    for (size_t i = 0; i < spawn->n_environment && error == 0; i++)
        error = environment_put(&environment, &count, bytes_string(&spawn->environment[i]));
    if (error == 0)
        error = path_make(door, sizeof door, "%s/spaces/%llu/lib", init->directory,
                          (unsigned long long)spawn->space);
    if (error == 0 && access(door, F_OK) == 0)
        error = environment_put(&environment, &count,
                                format_string("LD_LIBRARY_PATH=%s%s%s", door,
                                              path != NULL && *path != '\0' ? ":" : "",
                                              path != NULL ? path : ""));
    if (error == 0)
        error =
            environment_put(&environment, &count,
                            format_string("HIRSEL_NODE_DIRECTORY=%s/nodes/%llu", init->directory,
                                          (unsigned long long)spawn->translator));
    if (error != 0) {
        words_free(environment);
        errno = error;
        return NULL;
    }
    return environment;
}

/* nodes/ID, nodes/ID/tree and the listening socket nodes/ID/port. What is there from an earlier
 * life of the translator stays: it gives its nodes their identity. */
static int place_make(struct translator *translator)
{
    const char *directory = translator->init->directory;
    unsigned long long id = translator->id;
    char path[PATH_MAX];
    int error = path_make(path, sizeof path, "%s/nodes/%llu", directory, id);

    if (error == 0 && mkdir(path, 0700) != 0 && errno != EEXIST)
        error = errno;
    if (error == 0)
        error = path_make(path, sizeof path, "%s/nodes/%llu/tree", directory, id);
    if (error == 0 && mkdir(path, 0700) != 0 && errno != EEXIST)
        error = errno;
    if (error == 0)
        error = path_make(path, sizeof path, "%s/nodes/%llu/port", directory, id);
    if (error == 0)
        error = socket_listen(path, &translator->listening);
    return error;
}

static struct translator *translator_new(struct init *init, const Hirsel__InitSpawn *spawn)
{
    struct translator *translator = calloc(1, sizeof *translator);

    if (translator == NULL)
        return NULL;
    translator->init = init;
    translator->id = spawn->translator;
    translator->listening = -1;
    translator->entry = -1;
    translator->confinement = confinement_find(init, spawn->space);
    translator->child.exec_pipe = -1;
    translator->name = strdup(spawn->name[0] != '\0' ? spawn->name : "translator");
    translator->next = init->translators;
    init->translators = translator;
    if (translator->name == NULL) {
        translator_free(translator);
        return NULL;
    }
    return translator;
}

void translator_spawn(struct slot *asker, const Hirsel__InitSpawn *spawn, int directory,
                      struct reply *reply)
{
    struct init *init = asker->init;
    struct translator *translator = translator_find(init, spawn->translator);
    char **command = NULL;
    char **environment = NULL;
    int control = -1;
    int error = 0;

    if (init->phase != STOP_NOT)
        error = ESHUTDOWN;
    else if (translator != NULL)
        error = EBUSY;
    else if (spawn->n_command == 0 || spawn->command[0].len == 0 ||
             spawn->command[0].data[0] != '/' || spawn->translator == 0)
        error = EINVAL;
    if (error != 0) {
        reply_error(reply, error);
        return;
    }
    translator = translator_new(init, spawn);
    command = words_make(spawn->command, spawn->n_command);
    environment = environment_make(init, spawn);
    if (translator == NULL || command == NULL || environment == NULL)
        error = errno;
    if (error == 0)
        error = place_make(translator);
    if (error == 0 && translator->confinement != NULL)
        error = confined_prepare(translator, &command, &control);
    if (error == 0) {
        struct child_plan plan = {.program = command[0],
                                  .arguments = command,
                                  .environment = environment,
                                  .listening = translator->listening,
                                  .control = control,
                                  .directory = directory,
                                  .own_limits = true};

        translator->child.started = translator_started;
        translator->child.ended = translator_ended;
        error = child_start(init, &translator->child, &plan);
    }
    if (control >= 0)
        close(control);
    words_free(command);
    words_free(environment);
    if (error != 0) {
        log_line("cannot start translator %s: %s", spawn->name, strerror(error));
        if (translator != NULL)
            translator_free(translator);
        reply_error(reply, error);
        return;
    }
    init->spawned_any = true;
    translator->spawning = reply;
    if (translator->confinement != NULL)
        confined_watch(translator);
}

void translator_settled(struct translator *translator, int error)
{
    struct reply *reply = translator->spawning;
    Hirsel__InitSpawned spawned = HIRSEL__INIT_SPAWNED__INIT;

    translator->spawning = NULL;
    spawned.pid = (uint32_t)translator->child.pid;
    if (error != 0) {
        log_line("cannot run translator %s: %s", translator->name, strerror(error));
        reply_error(reply, error);
    } else {
        rpc_reply(reply, &spawned.base, NULL, 0);
    }
}

static void translator_started(struct child *child, int error)
{
    struct translator *translator = translator_of(child);

    /* A confined one is but enter so far. */
    if (error != 0 || translator->confinement == NULL)
        translator_settled(translator, error);
}

/* A large mirror takes its time: a process of its own, init goes on. */
static void place_remove(struct init *init, uint64_t id)
{
    char path[PATH_MAX];

    if (path_make(path, sizeof path, "%s/nodes/%llu", init->directory, (unsigned long long)id) != 0)
        return;
    if (fork() == 0) {
        /* It holds what init holds, the lock too: it must not outlive init. */
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        _exit(directory_remove(path, NULL) == 0 ? 0 : 1);
    }
}

static void translator_ended(struct child *child, pid_t pid, int status)
{
    struct translator *translator = translator_of(child);
    struct init *init = translator->init;
    Hirsel__InitEnd end = HIRSEL__INIT_END__INIT;
    ProtobufCBinaryData name = {strlen(translator->name), (uint8_t *)translator->name};

    confined_read(translator);
    if (translator->spawning != NULL)
        translator_settled(translator, EIO);

    end.pid = (uint32_t)pid;
    end.translator = translator->id;
    end.status = status;
    end.n_command = 1;
    end.command = &name;
    if (WIFSIGNALED(status) && init->phase == STOP_NOT)
        log_line("translator %s (%llu) was ended by signal %d (%s)", translator->name,
                 (unsigned long long)translator->id, WTERMSIG(status), strsignal(WTERMSIG(status)));
    if (translator->forgotten)
        place_remove(init, translator->id);
    if (init->slots[SLOT_FS].control != NULL)
        rpc_notice(init->slots[SLOT_FS].control, HIRSEL__INIT_OPERATION__INIT_CHILD_ENDED,
                   &end.base);
    if (init->slots[SLOT_PROC].control != NULL)
        rpc_notice(init->slots[SLOT_PROC].control, HIRSEL__INIT_OPERATION__INIT_CHILD_ENDED,
                   &end.base);
    translator_free(translator); /* the notices name it */
    if (init->phase != STOP_NOT)
        stop_advance(init);
}

int translator_signal(struct init *init, uint64_t id, int signal)
{
    struct translator *translator = translator_find(init, id);

    if (translator == NULL)
        return ESRCH;
    return kill(translator->child.pid, signal) == 0 ? 0 : errno;
}

int translator_forget(struct init *init, uint64_t id)
{
    struct translator *translator = translator_find(init, id);

    if (id == 0)
        return EINVAL;
    if (translator == NULL) {
        place_remove(init, id);
        return 0;
    }
    translator->forgotten = true;
    return kill(translator->child.pid, SIGTERM) == 0 ? 0 : errno;
}
