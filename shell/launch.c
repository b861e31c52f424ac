#include "shell/launch.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "proto/init.pb-c.h"
#include "shell/shell.h"

/* Making the libc copy is part of the first start. */
#define UP_TIMEOUT_MS 60000
#define WORD_UP "up "
#define REMOVED_STEP_MS 5

/* init is nobody's child: it must not go with the shell that started it, nor show up as a child in
 * the command that we become the parent of. */
static int init_start(const char *program, const char *directory, bool once, int notify)
{
    char number[16];
    pid_t pid = fork();
    int status;

    if (pid < 0)
        return errno;
    if (pid == 0) {
        pid = fork();
        if (pid != 0)
            _exit(pid < 0 ? errno : 0);
        snprintf(number, sizeof number, "%d", notify);
        fcntl(notify, F_SETFD, 0);
        execl(program, "init", number, once ? "once" : "stay", directory, (char *)NULL);
        dprintf(notify, "cannot run %s: %s\n", program, strerror(errno));
        _exit(0);
    }
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            /* A shell may have started us with SIGCHLD ignored: init says itself that it is up. */
            return errno == ECHILD ? 0 : errno;
    return WIFEXITED(status) ? WEXITSTATUS(status) : EAGAIN;
}

/* In a session, that session's init starts it, outside of what the session's programs see and are
 * held by. 0, or an errno: it is to be started here. */
static int init_start_outside(const char *program, const char *directory, bool once, int notify)
{
    Hirsel__InitLaunch wanted = HIRSEL__INIT_LAUNCH__INIT;
    struct session outer;
    struct port *port;
    size_t count = 0;
    int error = session_current(&outer);

    if (error != 0)
        return error;
    while (environ[count] != NULL)
        count++;
    wanted.environment = calloc(count + 1, sizeof *wanted.environment);
    if (wanted.environment == NULL)
        return ENOMEM;
    for (; wanted.n_environment < count; wanted.n_environment++) {
        char *variable = environ[wanted.n_environment];

        wanted.environment[wanted.n_environment] =
            (ProtobufCBinaryData){.data = (uint8_t *)variable, .len = strlen(variable)};
    }
    wanted.program = (ProtobufCBinaryData){.data = (uint8_t *)program, .len = strlen(program)};
    wanted.directory =
        (ProtobufCBinaryData){.data = (uint8_t *)directory, .len = strlen(directory)};
    wanted.once = once;
    error = session_reach(&outer, "init", SESSION_TIMEOUT_MS, &port);
    if (error == 0)
        error = rpc_call(port, HIRSEL__INIT_OPERATION__INIT_LAUNCH, &wanted.base, &notify, 1, NULL,
                         NULL, NULL, SESSION_TIMEOUT_MS);
    free(wanted.environment);
    session_close(&outer);
    return error;
}

/* What init says, up to its end of line or of file. 0 or an errno. */
static int word_read(int from, char *text, size_t size)
{
    size_t used = 0;

    while (used + 1 < size && (used == 0 || text[used - 1] != '\n')) {
        struct pollfd watched = {.fd = from, .events = POLLIN};
        ssize_t length;

        if (poll(&watched, 1, UP_TIMEOUT_MS) == 0)
            return ETIMEDOUT;
        length = read(from, text + used, size - used - 1);
        if (length < 0 && errno == EINTR)
            continue;
        if (length < 0)
            return errno;
        if (length == 0)
            break;
        used += (size_t)length;
    }
    if (used > 0 && text[used - 1] == '\n')
        used--;
    text[used] = '\0';
    return used == 0 ? EPIPE : 0;
}

int session_launch(const char *name, int *lease, struct session *session, char *incomplete,
                   size_t size)
{
    char base[PATH_MAX], program[PATH_MAX], word[PATH_MAX];
    int ends[2];
    int error;

    *session = (struct session){0};
    error = session_base(base, sizeof base, true);
    if (error == 0)
        error = shell_installed("libexec/hirsel/init", program, sizeof program);
    if (error != 0)
        return error;
    snprintf(session->name, sizeof session->name, "%s", name);
    if ((size_t)snprintf(session->directory, sizeof session->directory, "%s/%s", base, name) >=
            sizeof session->directory ||
        pipe2(ends, O_CLOEXEC) != 0) {
        shell_say(errno, "cannot start session '%s'", name);
        return ENAMETOOLONG;
    }
    error = init_start_outside(program, session->directory, lease != NULL, ends[1]);
    if (error != 0)
        error = init_start(program, session->directory, lease != NULL, ends[1]);
    close(ends[1]);
    if (error == 0)
        error = word_read(ends[0], word, sizeof word);
    if (error != 0) {
        close(ends[0]);
        shell_say(error == EPIPE ? 0 : error, "cannot start session '%s'%s", name,
                  error == EPIPE ? ": init ended before it was up" : "");
        return error;
    }
    if (strncmp(word, WORD_UP, strlen(WORD_UP)) != 0) {
        close(ends[0]);
        shell_say(0, "cannot start session '%s': %s", name, word);
        return EEXIST;
    }
    if (lease != NULL)
        *lease = ends[0];
    else
        close(ends[0]);
    snprintf(incomplete, size, "%s", word + strlen(WORD_UP));
    return 0;
}

/* `error`: why init gave no answer. If it died, what it left is ours to remove; if it is about to
 * end by itself, it removes it: that is waited for. */
static int session_remove(const struct session *session, int error)
{
    bool ends = error == ECONNRESET || error == ECONNREFUSED || error == ENOTCONN ||
                error == EPIPE || error == ENOENT;

    for (int waited = 0;; waited += REMOVED_STEP_MS) {
        bool removed, killed;
        int failed = directory_clean(session->directory, &removed, &killed);

        if (failed == ENOENT || removed)
            return 0;
        if (failed != 0 || !ends || waited >= SESSION_TIMEOUT_MS)
            return error;
        poll(NULL, 0, REMOVED_STEP_MS);
    }
}

int session_end(struct session *session, unsigned grace_ms, bool say)
{
    Hirsel__InitStop stop = HIRSEL__INIT_STOP__INIT;
    struct port *port = NULL;
    int error;

    stop.grace_ms = grace_ms;
    error = session_reach(session, "init", SESSION_TIMEOUT_MS, &port);
    if (error == 0)
        error = rpc_call(port, HIRSEL__INIT_OPERATION__INIT_STOP, &stop.base, NULL, 0, NULL, NULL,
                         NULL, (int)grace_ms + SESSION_TIMEOUT_MS);
    if (error != 0 && error != ETIMEDOUT)
        error = session_remove(session, error);
    if (error != 0 && say)
        shell_say(error, "cannot end session '%s'", session->name);
    return error;
}
