#include "shell/session.h"

#include <errno.h>
#include <ev.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "servers/lib/installed.h"
#include "shell/shell.h"

/* A server that dies again and again is not waited for for ever. */
#define CONNECT_AGAIN_MAX 100

static error_t session_parse(int key, char *argument, struct argp_state *state)
{
    const char **name = state->input;

    if (key != 's')
        return ARGP_ERR_UNKNOWN;
    if (!session_name_valid(argument))
        argp_error(state,
                   "'%s' is no session's name: letters, digits, '.', '_' and '-', at most %d",
                   argument, SESSION_NAME_MAX);
    *name = argument;
    return 0;
}

static const struct argp_option session_options[] = {
    {.name = "session",
     .key = 's',
     .arg = "NAME",
     .doc = "the session that is meant (default: the one that this runs in)"},
    {0},
};

const struct argp session_argp = {.options = session_options, .parser = session_parse};
const struct argp_child session_argp_children[] = {{.argp = &session_argp}, {0}};

int session_base(char *buffer, size_t size, bool make)
{
    const char *chosen = getenv("HIRSEL_DIR");
    const char *runtime = getenv("XDG_RUNTIME_DIR");
    int length, error;

    if (chosen != NULL && chosen[0] == '/')
        length = snprintf(buffer, size, "%s", chosen);
    else if (chosen != NULL && chosen[0] != '\0') {
        shell_say(0, "HIRSEL_DIR is '%s': it must be an absolute path", chosen);
        return EINVAL;
    } else if (runtime != NULL && runtime[0] == '/')
        length = snprintf(buffer, size, "%s/hirsel", runtime);
    else
        length = snprintf(buffer, size, "/tmp/hirsel-%u", geteuid());
    if ((size_t)length >= size) {
        shell_say(ENAMETOOLONG, "the sessions' directory");
        return ENAMETOOLONG;
    }
    while (length > 1 && buffer[length - 1] == '/')
        buffer[--length] = '\0';
    if (make && mkdir(buffer, 0700) != 0 && errno != EEXIST) {
        error = errno;
        shell_say(error, "cannot make the sessions' directory %s (set HIRSEL_DIR to another)",
                  buffer);
        return error;
    }
    error = directory_check(buffer);
    if (error == ENOENT && !make)
        return 0;
    if (error == EPERM || error == ENOTDIR)
        shell_say(0,
                  "%s is not safe to use: it must be a directory of your own with mode 0700, and "
                  "no symlink (chmod it, or set HIRSEL_DIR to another)",
                  buffer);
    else if (error != 0)
        shell_say(error, "the sessions' directory %s", buffer);
    return error;
}

static int session_inside(struct session *session)
{
    /* The shim answers this name; it exists nowhere outside a session. */
    ssize_t length = readlink("/.hirsel/session", session->directory, sizeof session->directory);
    const char *name;

    if (length <= 0 || (size_t)length >= sizeof session->directory || session->directory[0] != '/')
        return ENOENT;
    session->directory[length] = '\0';
    name = strrchr(session->directory, '/') + 1;
    if (!session_name_valid(name))
        return ENOENT;
    snprintf(session->name, sizeof session->name, "%s", name);
    session->current = true;
    return 0;
}

int session_current(struct session *session)
{
    *session = (struct session){0};
    return session_inside(session);
}

uint64_t session_space(void)
{
    char text[32];
    ssize_t length = readlink("/.hirsel/space", text, sizeof text - 1);

    if (length <= 0)
        return 0;
    text[length] = '\0';
    return strtoull(text, NULL, 10);
}

int session_find(const char *name, struct session *session)
{
    char base[PATH_MAX];
    int error;

    *session = (struct session){0};
    if (name == NULL) {
        error = session_inside(session);
        if (error != 0)
            shell_say(0, "not in a session: name one with --session (hirsel list shows them)");
        return error;
    }
    error = session_base(base, sizeof base, false);
    if (error != 0)
        return error;
    snprintf(session->name, sizeof session->name, "%s", name);
    if ((size_t)snprintf(session->directory, sizeof session->directory, "%s/%s", base, name) >=
        sizeof session->directory) {
        shell_say(ENAMETOOLONG, "session '%s'", name);
        return ENAMETOOLONG;
    }
    error = directory_check(session->directory);
    if (error == ENOENT)
        shell_say(0, "there is no session '%s' (hirsel start %s makes it)", name, name);
    else if (error != 0)
        shell_say(0, "%s is not safe to use: it must be a directory of your own with mode 0700",
                  session->directory);
    return error;
}

int session_reach(struct session *session, const char *server, int timeout_ms, struct port **port)
{
    char path[PATH_MAX];

    if (session->loop == NULL)
        session->loop = ev_loop_new(EVFLAG_AUTO);
    if (session->loop != NULL && session->ports == NULL)
        session->ports = port_set_new(session->loop);
    if (session->ports == NULL)
        return ENOMEM;
    if ((size_t)snprintf(path, sizeof path, "%s/%s", session->directory, server) >= sizeof path)
        return ENAMETOOLONG;
    return port_connect(session->ports, path, timeout_ms, port);
}

struct port *session_connect(struct session *session, const char *server)
{
    struct port *port;
    int error = session_reach(session, server, SESSION_TIMEOUT_MS, &port);

    /* A server that was killed in the middle of the handshake: init keeps its socket and starts it
     * again. Where the session is dead nobody listens (ECONNREFUSED). */
    for (int again = 0; error == ECONNRESET && again < CONNECT_AGAIN_MAX; again++)
        error = session_reach(session, server, SESSION_TIMEOUT_MS, &port);
    if (error == 0)
        return port;
    if (error == ECONNREFUSED || error == ENOENT || error == ECONNRESET)
        shell_say(0, "session '%s' does not live any more (hirsel list cleans up after it)",
                  session->name);
    else
        shell_say(error, "cannot reach %s of session '%s'", server, session->name);
    errno = error;
    return NULL;
}

int session_call(struct session *session, const char *server, struct port **port,
                 uint32_t operation, const ProtobufCMessage *body,
                 const ProtobufCMessageDescriptor *answer_type, ProtobufCMessage **answer,
                 int timeout_ms)
{
    uint64_t request = request_id_new();

    for (int repeats = 0;; repeats++) {
        int error;

        if (*port == NULL)
            *port = session_connect(session, server);
        if (*port == NULL)
            return errno;
        error = rpc_call_once(*port, request, operation, body, NULL, 0, answer_type, answer, NULL,
                              timeout_ms);
        if ((error != ECONNRESET && error != ENOTCONN && error != EPIPE) ||
            repeats == CONNECT_AGAIN_MAX)
            return error;
        port_close(*port);
        *port = NULL;
    }
}

void session_close(struct session *session)
{
    int saved = errno;

    if (session->ports != NULL)
        port_set_free(session->ports);
    if (session->loop != NULL)
        ev_loop_destroy(session->loop);
    session->ports = NULL;
    session->loop = NULL;
    errno = saved;
}

int shell_installed(const char *part, char *buffer, size_t size)
{
    int error = installed_path(1, part, buffer, size);

    if (error != 0)
        shell_say(error, "cannot tell where %s is", part);
    return error;
}
