/* What came of a trial, and the helpers that most ways share. */
#include "tests/escape/escape.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static void tell(struct trial *trial, enum outcome outcome, const char *format, va_list arguments)
{
    /* An escape once told is not taken back by what comes after it. */
    if (trial->outcome == OUTCOME_ESCAPED)
        return;
    vsnprintf(trial->text, sizeof trial->text, format, arguments);
    trial->outcome = outcome;
}

void tell_held(struct trial *trial, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    tell(trial, OUTCOME_HELD, format, arguments);
    va_end(arguments);
}

void tell_escaped(struct trial *trial, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    tell(trial, OUTCOME_ESCAPED, format, arguments);
    va_end(arguments);
}

void tell_untried(struct trial *trial, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    tell(trial, OUTCOME_UNTRIED, format, arguments);
    va_end(arguments);
}

void tell_call(struct trial *trial, long result, const char *gain)
{
    if (result < 0)
        tell_held(trial, "%s", strerror(errno));
    else
        tell_escaped(trial, "%s", gain);
}

bool descriptor_tells(int descriptor)
{
    char text[65536];
    size_t length = 0;
    ssize_t got = 0;

    while (length < sizeof text - 1 &&
           (got = read(descriptor, text + length, sizeof text - 1 - length)) > 0)
        length += (size_t)got;
    return memmem(text, length, SECRET, strlen(SECRET)) != NULL;
}

bool file_tells(const char *path)
{
    int descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    bool tells;

    if (descriptor < 0)
        return false;
    tells = descriptor_tells(descriptor);
    close(descriptor);
    return tells;
}

void tell_descriptor(struct trial *trial, int descriptor)
{
    if (descriptor < 0) {
        tell_held(trial, "%s", strerror(errno));
        return;
    }
    errno = 0;
    if (descriptor_tells(descriptor))
        tell_escaped(trial, "read the secret");
    else
        tell_held(trial, "opened, but nothing read: %s", strerror(errno));
    close(descriptor);
}

void tell_output(struct trial *trial, const char *const *words, char *const *environment)
{
    int ends[2];
    pid_t child;

    if (pipe2(ends, O_CLOEXEC) != 0 || (child = fork()) < 0) {
        tell_untried(trial, "no pipe or process: %s", strerror(errno));
        return;
    }
    if (child == 0) {
        dup2(ends[1], STDOUT_FILENO);
        dup2(ends[1], STDERR_FILENO);
        execve(words[0], (char *const *)words, environment != NULL ? environment : environ);
        dprintf(STDOUT_FILENO, "exec: %s", strerror(errno));
        _exit(127);
    }
    close(ends[1]);
    if (descriptor_tells(ends[0]))
        tell_escaped(trial, "%s printed the secret", words[0]);
    else
        tell_held(trial, "%s did not tell it", words[0]);
    close(ends[0]);
    waitpid(child, NULL, 0);
}

const char *path_in(char *buffer, const char *directory, const char *name)
{
    if ((size_t)snprintf(buffer, PATH_MAX, "%s/%s", directory, name) >= PATH_MAX)
        buffer[0] = '\0';
    return buffer;
}

const char *path_of_victim(char *buffer, const struct outside *outside, const struct trial *trial)
{
    char name[NAME_MAX];

    snprintf(name, sizeof name, "victims/%s", trial->name);
    return path_in(buffer, outside->directory, name);
}

const char *path_of_own(char *buffer, const struct outside *outside, const struct trial *trial,
                        const char *suffix)
{
    char name[NAME_MAX];

    snprintf(name, sizeof name, "%s%s", trial->name, suffix);
    return path_in(buffer, outside->allowed, name);
}

bool file_make(const char *path, const char *text, mode_t mode)
{
    int descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    bool made;

    if (descriptor < 0)
        return false;
    made = write(descriptor, text, strlen(text)) == (ssize_t)strlen(text) &&
           fchmod(descriptor, mode) == 0;
    return close(descriptor) == 0 && made;
}
