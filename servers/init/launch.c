/* Another session's init, wanted by a program of this session. Below that program it would have
 * this session's filter and shim, and take this session's names for the host's. */
#include "servers/init/init.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "servers/lib/process.h"
#include "servers/lib/server.h"

#define WORDS_MAX 4096

bool launch_allowed(struct init *init, pid_t pid)
{
    if (root_confining(init, pid) != NULL)
        return false;
    /* Who is below no tree is a translator, which may be confined, too. */
    for (int depth = 0; depth < PROCESS_DEPTH_MAX && pid > 1; depth++) {
        if (root_find(init, pid) != NULL)
            return true;
        if (process_stat(pid, &pid, NULL) != 0)
            return false;
    }
    return false;
}

static char *text_take(const ProtobufCBinaryData *bytes)
{
    if (memchr(bytes->data, '\0', bytes->len) != NULL) {
        errno = EINVAL;
        return NULL;
    }
    return strndup((const char *)bytes->data, bytes->len);
}

static void words_free(char **words)
{
    for (char **word = words; word != NULL && *word != NULL; word++)
        free(*word);
    free(words);
}

static char **words_take(const ProtobufCBinaryData *texts, size_t count)
{
    char **words = count > WORDS_MAX ? NULL : calloc(count + 1, sizeof(char *));

    for (size_t i = 0; i < count && words != NULL; i++) {
        words[i] = text_take(&texts[i]);
        if (words[i] == NULL) {
            words_free(words);
            words = NULL;
        }
    }
    return words;
}

/* It is nobody's child, as one that hirsel(1) starts itself. */
static _Noreturn void other_become(const struct init *init, const char *program,
                                   const char *directory, bool once, char **environment, int notify)
{
    char number[16];
    char *words[] = {(char *)"init", number, (char *)(once ? "once" : "stay"), (char *)directory,
                     NULL};
    sigset_t none;
    pid_t pid = fork();

    if (pid != 0)
        _exit(pid < 0 ? errno : 0);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGPIPE, SIG_DFL);
    umask(init->umask_before);
    setrlimit(RLIMIT_NOFILE, &init->files_before);
    snprintf(number, sizeof number, "%d", notify);
    fcntl(notify, F_SETFD, 0);
    execve(program, words, environment);
    dprintf(notify, "cannot run %s: %s\n", program, strerror(errno));
    _exit(0);
}

static int other_start(const struct init *init, const char *program, const char *directory,
                       bool once, char **environment, int notify)
{
    int status;
    pid_t pid = fork();

    if (pid < 0)
        return errno;
    if (pid == 0)
        other_become(init, program, directory, once, environment, notify);
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return errno;
    return WIFEXITED(status) ? WEXITSTATUS(status) : EAGAIN;
}

void launch_other(struct init *init, const Hirsel__InitLaunch *wanted, int notify,
                  struct reply *reply)
{
    char *program = text_take(&wanted->program), *directory = text_take(&wanted->directory);
    char **environment = words_take(wanted->environment, wanted->n_environment);
    int error = 0;

    if (program == NULL || directory == NULL || environment == NULL || program[0] != '/' ||
        directory[0] != '/')
        error = EINVAL;
    else
        error = other_start(init, program, directory, wanted->once, environment, notify);
    free(program);
    free(directory);
    words_free(environment);
    reply_error(reply, error);
}
