#include "shell/describe.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "shell/session.h"
#include "shell/shell.h"
#include "shell/view.h"

#define ANSWER_TIMEOUT_MS 10000

/* "archive, exec, hello, null": for the one line of an error. */
static void installed_list(char *text, size_t size)
{
    char directory[PATH_MAX];
    struct dirent **entries;
    size_t used = 0;
    int count = -1;

    text[0] = '\0';
    if (shell_installed("libexec/hirsel/translators", directory, sizeof directory) == 0)
        count = scandir(directory, &entries, NULL, alphasort);
    for (int i = 0; i < count; i++) {
        if (entries[i]->d_name[0] != '.' && used < size)
            used += (size_t)snprintf(text + used, size - used, "%s%s", used ? ", " : "",
                                     entries[i]->d_name);
        free(entries[i]);
    }
    if (count >= 0)
        free(entries);
}

int describe_find(const char *name, char program[PATH_MAX], char word[PATH_MAX])
{
    char part[PATH_MAX], installed[1024];
    int error;

    if (strchr(name, '/')) {
        error = view_path(name, program);
        if (error == 0 && access(program, X_OK) != 0) {
            error = errno;
            shell_say(error, "cannot run the translator %s", name);
        }
        if (error == 0)
            strcpy(word, program);
        return error;
    }
    if (name[0] == '.' || name[0] == '\0' ||
        snprintf(part, sizeof part, "libexec/hirsel/translators/%s", name) >= (int)sizeof part)
        error = ENOENT;
    else if ((error = shell_installed(part, program, PATH_MAX)) != 0)
        return error;
    else
        error = access(program, X_OK) == 0 ? 0 : errno;
    if (error != 0) {
        installed_list(installed, sizeof installed);
        shell_say(0,
                  "there is no translator '%s' (there are: %s; a program of your own is named "
                  "with a slash)",
                  name, installed);
        return error;
    }
    snprintf(word, PATH_MAX, "%s", name);
    return 0;
}

_Noreturn static void child_run(const char *program, char *const *arguments, const char *directory,
                                int output)
{
    size_t count = 0;
    char **words;

    while (arguments[count] != NULL)
        count++;
    words = calloc(count + 3, sizeof(char *));
    if (words == NULL || dup2(output, STDOUT_FILENO) < 0 || chdir(directory) != 0)
        _exit(SHELL_CANNOT_EXECUTE);
    words[0] = (char *)(uintptr_t)program;
    words[1] = (char *)(uintptr_t) "--describe";
    memcpy(words + 2, arguments, count * sizeof(char *));
    int null = open("/dev/null", O_RDONLY);
    if (null >= 0)
        dup2(null, STDIN_FILENO);
    execv(program, words);
    _exit(SHELL_CANNOT_EXECUTE);
}

static int64_t now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Read the one line. 0, ETIMEDOUT, E2BIG, or that of read(2). */
static int answer_read(int descriptor, char *text, size_t size)
{
    int64_t deadline = now_ms() + ANSWER_TIMEOUT_MS;
    size_t length = 0;

    for (;;) {
        struct pollfd watched = {.fd = descriptor, .events = POLLIN};
        int64_t left = deadline - now_ms();
        ssize_t got;
        if (left <= 0 || poll(&watched, 1, (int)left) == 0)
            return ETIMEDOUT;
        got = read(descriptor, text + length, size - 1 - length);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return errno;
        if (got == 0)
            break;
        length += (size_t)got;
        if (length == size - 1)
            return E2BIG;
    }
    text[length] = '\0';
    text[strcspn(text, "\n")] = '\0';
    return 0;
}

static int kind_read(const char *text, char *kind)
{
    static const char device[] = "device ";

    if (strcmp(text, "file") == 0 || strcmp(text, "directory") == 0) {
        strcpy(kind, text);
        return 0;
    }
    if (strncmp(text, device, strlen(device)) == 0 && text[strlen(device)] == '/') {
        snprintf(kind, DESCRIBE_KIND_MAX, "device:%s", text + strlen(device));
        return 0;
    }
    return EINVAL;
}

int describe_ask(const char *program, char *const *arguments, const char *directory,
                 char kind[DESCRIBE_KIND_MAX])
{
    char text[PATH_MAX];
    int ends[2], error, status = 0;
    pid_t pid;

    if (pipe2(ends, O_CLOEXEC) != 0) {
        error = errno;
        shell_say(error, "cannot ask %s", program);
        return error;
    }
    pid = fork();
    if (pid == 0)
        child_run(program, arguments, directory, ends[1]);
    error = pid < 0 ? errno : 0;
    close(ends[1]);
    if (error == 0)
        error = answer_read(ends[0], text, sizeof text);
    close(ends[0]);
    if (pid > 0 && error != 0)
        kill(pid, SIGKILL);
    while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
        continue;
    if (error == ETIMEDOUT) {
        shell_say(0, "%s --describe does not answer", program);
    } else if (error != 0) {
        shell_say(error, "cannot ask %s", program);
    } else if (status != 0) {
        error = EINVAL;
        shell_say(0, "%s does not take this (%s --help says what it takes)", program, program);
    } else if (kind_read(text, kind) != 0) {
        error = EINVAL;
        shell_say(0, "%s is no translator: its --describe says neither file, directory nor device",
                  program);
    }
    return error;
}
