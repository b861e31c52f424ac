#include "shell/namespace.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "shell/shell.h"
#include "shell/view.h"
#include "shell/words.h"

/* No hand writes a longer one, and a device that never ends is none. */
#define FILE_MAX (1u << 20)

struct line_command {
    const char *name;
    int (*run)(struct view *view, int argc, char **argv);
};

static int hide_run(struct view *view, int argc, char **argv)
{
    char *arguments[] = {argv[0], (char *)(uintptr_t) "--hide", argc == 2 ? argv[1] : NULL, NULL};

    if (argc != 2) {
        shell_say(0, "hide takes one name");
        return SHELL_FAILED;
    }
    return bind_run(view, 3, arguments);
}

static const struct line_command line_commands[] = {
    {"bind", bind_run},
    {"unbind", unbind_run},
    {"hide", hide_run},
    {"settrans", settrans_run},
};

static int line_run(struct view *view, const char *file, struct words *words)
{
    char *invocation = program_invocation_name;
    char place[PATH_MAX + 64];
    int status = SHELL_FAILED;
    char *name = words->words[0];

    for (size_t i = 0; i < sizeof line_commands / sizeof line_commands[0]; i++) {
        if (strcmp(name, line_commands[i].name) != 0)
            continue;
        snprintf(place, sizeof place, "%s:%u: %s", file, words->line, name);
        /* Messages, argp's too, name the line. */
        program_invocation_name = place;
        words->words[0] = place;
        status = line_commands[i].run(view, (int)words->count, words->words);
        words->words[0] = name;
        program_invocation_name = invocation;
        return status;
    }
    shell_say(0, "%s:%u: there is no command '%s' (bind, unbind, hide, settrans)", file,
              words->line, name);
    return SHELL_FAILED;
}

static char *file_read(const char *file, size_t *length)
{
    int descriptor = open(file, O_RDONLY | O_CLOEXEC);
    char *text = malloc(FILE_MAX + 1);
    ssize_t got = 1;

    *length = 0;
    if (descriptor < 0 || text == NULL)
        goto fail;
    while (got > 0 && *length <= FILE_MAX) {
        got = read(descriptor, text + *length, FILE_MAX + 1 - *length);
        if (got < 0)
            goto fail;
        *length += (size_t)got;
    }
    if (*length > FILE_MAX) {
        errno = EFBIG;
        goto fail;
    }
    close(descriptor);
    return text;
fail:
    shell_say(errno, "%s", file);
    if (descriptor >= 0)
        close(descriptor);
    free(text);
    return NULL;
}

int namespace_apply(struct session *session, uint64_t space, const char *file)
{
    struct view view = {.session = session, .space = space};
    struct words words;
    const char *problem = NULL;
    size_t length, position = 0;
    unsigned line = 1;
    int status = 0, error = 0;
    char *text = file_read(file, &length);

    if (text == NULL)
        return SHELL_FAILED;
    view.fs = session_connect(session, "fs");
    if (view.fs == NULL) {
        free(text);
        return SHELL_FAILED;
    }
    while (status == 0 && error == 0) {
        error = words_read(text, length, &position, &line, &words, &problem);
        if (error == 0)
            status = line_run(&view, file, &words);
        else if (error == EINVAL)
            shell_say(0, "%s:%u: %s", file, words.line, problem);
        else if (error != ENOENT)
            shell_say(error, "%s:%u", file, words.line);
        words_clear(&words);
    }
    if (view.fs != NULL)
        port_close(view.fs);
    free(text);
    return status != 0 ? status : error == ENOENT ? 0 : SHELL_FAILED;
}
