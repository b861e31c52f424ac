/* executes WAY [PATH WORD…]: executes PATH with these words as its arguments, by its name (path),
 * by a descriptor (descriptor; closing: one that is closed by it), by procfs's name of that (link).
 * told: says what it was told of itself. again WORD…: executes itself by procfs's name. race PATH
 * OTHER: has one exec after another in whose memory the name changes all the while. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

enum { TRIES = 300 };

static int told(char **words)
{
    char exe[PATH_MAX] = "?", name[32] = "";
    ssize_t length = readlink("/proc/self/exe", exe, sizeof exe - 1);
    int file = open("/proc/self/comm", O_RDONLY | O_CLOEXEC);

    if (length > 0)
        exe[length] = '\0';
    length = file < 0 ? 0 : read(file, name, sizeof name - 1);
    name[length > 0 ? length - 1 : 0] = '\0';
    printf("%s is %s, called %s, and %s opened\n", words[0], exe, name,
           open("/proc/self/exe", O_RDONLY | O_CLOEXEC) < 0 ? "can't be" : "can be");
    for (words += 2; *words; words++)
        printf("  %s\n", *words);
    return 0;
}

static int execute_open(const char *way, char **words)
{
    int file = open(words[0], O_RDONLY | (strcmp(way, "closing") == 0 ? O_CLOEXEC : 0));
    char link[32];

    if (file < 0) {
        printf("open: %s\n", strerror(errno));
        return 1;
    }
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    if (strcmp(way, "link") == 0)
        execve(link, words, environ);
    else
        syscall(SYS_execveat, file, "", words, environ, AT_EMPTY_PATH);
    printf("%s\n", strerror(errno));
    return 1;
}

static int race(char **paths)
{
    char *text = mmap(NULL, PATH_MAX, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    size_t length = strlen(paths[0]) + 1;
    char *words[] = {paths[0], (char *)"told", NULL};
    pid_t other;

    if (text == MAP_FAILED || strlen(paths[1]) + 1 != length)
        return 100;
    memcpy(text, paths[0], length);
    other = fork();
    if (other == 0)
        for (unsigned turn = 0;; turn++)
            memcpy(text, paths[turn & 1], length);
    for (int i = 0; i < TRIES; i++) {
        pid_t pid = fork();

        if (pid == 0) {
            execve(text, words, environ);
            _exit(1);
        }
        waitpid(pid, NULL, 0);
    }
    kill(other, SIGKILL);
    waitpid(other, NULL, 0);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc < 2)
        return 100;
    if (strcmp(argv[1], "told") == 0)
        return told(argv);
    if (argc < 3)
        return 100;
    if (strcmp(argv[1], "race") == 0 && argc == 4)
        return race(argv + 2);
    if (strcmp(argv[1], "again") == 0) {
        execve("/proc/self/exe", argv + 1, environ);
    } else if (strcmp(argv[1], "path") == 0) {
        execve(argv[2], argv + 2, environ);
    } else {
        return execute_open(argv[1], argv + 2);
    }
    printf("%s\n", strerror(errno));
    return 1;
}
