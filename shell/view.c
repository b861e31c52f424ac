#include "shell/view.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "shell/shell.h"

int view_open(struct view *view, struct session *session, const char *session_name)
{
    *view = (struct view){.session = session};
    if (session_find(session_name, session) != 0)
        return SHELL_FAILED;
    view->fs = session_connect(session, "fs");
    if (view->fs == NULL) {
        session_close(session);
        return SHELL_FAILED;
    }
    return 0;
}

void view_close(struct view *view)
{
    session_close(view->session);
}

int view_call(struct view *view, uint32_t operation, const ProtobufCMessage *body,
              const ProtobufCMessageDescriptor *answer_type, ProtobufCMessage **answer,
              int timeout_ms)
{
    return session_call(view->session, "fs", &view->fs, operation, body, answer_type, answer,
                        timeout_ms);
}

int view_path(const char *path, char absolute[PATH_MAX])
{
    char directory[PATH_MAX];
    int length;

    if (path[0] == '\0') {
        shell_say(0, "an empty name names nothing");
        return ENOENT;
    }
    if (path[0] == '/') {
        length = snprintf(absolute, PATH_MAX, "%s", path);
    } else {
        if (getcwd(directory, sizeof directory) == NULL) {
            int error = errno;
            shell_say(error, "cannot tell the current directory");
            return error;
        }
        length = snprintf(absolute, PATH_MAX, "%s/%s", directory, path);
    }
    if (length >= PATH_MAX) {
        shell_say(ENAMETOOLONG, "%s", path);
        return ENAMETOOLONG;
    }
    return 0;
}

int view_translator(struct view *view, const char *name, bool known, bool silent,
                    ProtobufCMessage **answer)
{
    Hirsel__FsTranslator wanted = HIRSEL__FS_TRANSLATOR__INIT;
    char node[PATH_MAX];
    int error = view_path(name, node);

    if (error != 0)
        return error;
    wanted.path = view_bytes(node);
    wanted.space = view->space;
    wanted.start = known;
    error = view_call(view, HIRSEL__FS_OPERATION__FS_SHOW_TRANSLATOR, &wanted.base,
                      &hirsel__fs_translator_reply__descriptor, answer, SESSION_TIMEOUT_MS);
    if (error == EINVAL && !silent)
        shell_say(0, "%s: no translator is set there", name);
    else if (error == EOPNOTSUPP && !silent)
        shell_say(0, "%s lies in a translator's tree: no other is set there", name);
    else if (error != 0 && !silent)
        shell_say(error, "%s", name);
    return error;
}
