/* Ways to start something that is not held as its parent is. */
#include "tests/escape/escape.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define LOADER "/lib64/ld-linux-x86-64.so.2"

static void by_no_environment(const struct outside *outside, struct trial *trial)
{
    const char *words[] = {outside->program, "--tell", outside->secret, NULL};
    char *none[] = {NULL};

    tell_output(trial, words, none);
}

static void by_no_preload(const struct outside *outside, struct trial *trial)
{
    const char *words[] = {outside->program, "--tell", outside->secret, NULL};

    unsetenv("LD_PRELOAD");
    unsetenv("LD_LIBRARY_PATH");
    unsetenv("HIRSEL_DOOR");
    tell_output(trial, words, NULL);
}

/* The door into another session, where a bind shows the secret below the allowed directory. */
static void by_other_door(const struct outside *outside, struct trial *trial)
{
    char path[PATH_MAX], door[2 * PATH_MAX], library[2 * PATH_MAX];
    const char *words[] = {outside->program, "--tell", path, NULL};

    if (outside->other[0] == '\0') {
        tell_untried(trial, "there is no other session");
        return;
    }
    path_in(path, outside->allowed, "window/secret");
    snprintf(door, sizeof door, "%s/spaces/0", outside->other);
    snprintf(library, sizeof library, "%s/spaces/0/lib", outside->other);
    setenv("HIRSEL_DOOR", door, 1);
    setenv("LD_LIBRARY_PATH", library, 1);
    tell_output(trial, words, NULL);
}

static void by_loader(const struct outside *outside, struct trial *trial)
{
    const char *words[] = {LOADER, outside->program, "--tell", outside->secret, NULL};

    tell_output(trial, words, NULL);
}

static void by_cat(const struct outside *outside, struct trial *trial)
{
    const char *words[] = {"/bin/cat", outside->secret, NULL};

    tell_output(trial, words, NULL);
}

static void by_python(const struct outside *outside, struct trial *trial)
{
    const char *words[] = {"/usr/bin/python3", "-c", "import sys; print(open(sys.argv[1]).read())",
                           outside->secret, NULL};

    tell_output(trial, words, NULL);
}

static void by_script(const struct outside *outside, struct trial *trial)
{
    char own[PATH_MAX], text[2 * PATH_MAX];
    const char *words[] = {own, NULL};

    snprintf(text, sizeof text, "#!/bin/sh\nexec cat '%s'\n", outside->secret);
    if (!file_make(path_of_own(own, outside, trial, ""), text, 0700))
        tell_untried(trial, "no file of its own: %s", strerror(errno));
    else
        tell_output(trial, words, NULL);
    unlink(own);
}

/* The kernel opens the file behind #! itself. */
static void by_interpreter(const struct outside *outside, struct trial *trial)
{
    char own[PATH_MAX], text[2 * PATH_MAX], program[PATH_MAX];
    const char *words[] = {own, NULL};

    snprintf(text, sizeof text, "#!%s\n", path_in(program, outside->directory, "teller"));
    if (!file_make(path_of_own(own, outside, trial, ""), text, 0700))
        tell_untried(trial, "no file of its own: %s", strerror(errno));
    else
        tell_output(trial, words, NULL);
    unlink(own);
}

static void by_outside_program(const struct outside *outside, struct trial *trial)
{
    char program[PATH_MAX];
    const char *words[] = {path_in(program, outside->directory, "teller"), NULL};

    tell_output(trial, words, NULL);
}

static void by_memory(const struct outside *outside, struct trial *trial)
{
    char path[64];
    const char *words[] = {path, "--tell", outside->secret, NULL};
    int memory = memfd_create("escape", 0), program = open(outside->program, O_RDONLY | O_CLOEXEC);
    struct stat status;

    if (memory < 0 || program < 0 || fstat(program, &status) != 0) {
        tell_untried(trial, "no copy in memory: %s", strerror(errno));
        return;
    }
    while (sendfile(memory, program, NULL, (size_t)status.st_size) > 0)
        ;
    snprintf(path, sizeof path, "/proc/self/fd/%d", memory);
    tell_output(trial, words, NULL);
}

static void by_execveat(const struct outside *outside, struct trial *trial)
{
    int ends[2], program = open(outside->program, O_PATH | O_CLOEXEC);
    char *words[] = {"escape", "--tell", (char *)(uintptr_t)outside->secret, NULL};
    char *none[] = {NULL};
    pid_t child;

    if (program < 0 || pipe2(ends, O_CLOEXEC) != 0 || (child = fork()) < 0) {
        tell_untried(trial, "%s", strerror(errno));
        return;
    }
    if (child == 0) {
        dup2(ends[1], STDOUT_FILENO);
        syscall(SYS_execveat, program, "", words, none, AT_EMPTY_PATH);
        _exit(127);
    }
    close(ends[1]);
    if (descriptor_tells(ends[0]))
        tell_escaped(trial, "it printed the secret");
    else
        tell_held(trial, "it did not tell it");
    waitpid(child, NULL, 0);
}

/* A daemon: an orphan in a session of its own. */
static void by_double_fork(const struct outside *outside, struct trial *trial)
{
    int ends[2];
    char byte;

    if (pipe2(ends, O_CLOEXEC) != 0) {
        tell_untried(trial, "no pipe: %s", strerror(errno));
        return;
    }
    if (fork() == 0) {
        setsid();
        if (fork() == 0) {
            /* Until its parent is gone and it was adopted. */
            while (getppid() != 1 && kill(getppid(), 0) == 0 && getpgid(getppid()) == getpgrp())
                usleep(1000);
            tell_descriptor(trial, open(outside->secret, O_RDONLY | O_CLOEXEC));
            _exit(0);
        }
        _exit(0);
    }
    close(ends[1]);
    while (wait(NULL) > 0)
        ;
    /* The end of the pipe says that the orphan has done it. */
    if (read(ends[0], &byte, 1) < 0)
        tell_untried(trial, "%s", strerror(errno));
}

static int thread_open(void *context)
{
    struct {
        const struct outside *outside;
        struct trial *trial;
    } *both = context;

    tell_descriptor(both->trial,
                    (int)syscall(SYS_openat, AT_FDCWD, both->outside->secret, O_RDONLY, 0));
    return 0;
}

/* A thread that shares memory and files and nothing else, made without libc's help. */
static void by_clone(const struct outside *outside, struct trial *trial)
{
    enum { STACK = 1 << 20 };
    struct {
        const struct outside *outside;
        struct trial *trial;
    } both = {outside, trial};
    char *stack = mmap(NULL, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    int child;

    if (stack == MAP_FAILED) {
        tell_untried(trial, "no stack: %s", strerror(errno));
        return;
    }
    child = clone(thread_open, stack + STACK, CLONE_VM | CLONE_FILES | SIGCHLD, &both);
    if (child < 0)
        tell_held(trial, "%s", strerror(errno));
    else
        waitpid(child, NULL, 0);
}

/* A program that is root's by its bit: whether it runs as root. */
static void by_setuid(const struct outside *outside, struct trial *trial)
{
    static const char *const programs[] = {"/usr/bin/su", "/bin/su", "/usr/bin/passwd"};
    char path[64], name[32], text[4096];
    const char *program = NULL;
    unsigned real = 0, effective = 1;
    struct stat status;
    int ends[2];
    pid_t child;

    (void)outside;
    for (size_t i = 0; i < sizeof programs / sizeof programs[0] && program == NULL; i++)
        if (stat(programs[i], &status) == 0 && status.st_uid == 0 && (status.st_mode & S_ISUID))
            program = programs[i];
    if (program == NULL || pipe(ends) != 0) {
        tell_untried(trial, "no setuid program is in sight");
        return;
    }
    child = fork();
    if (child == 0) {
        /* It waits for the password. */
        dup2(ends[0], STDIN_FILENO);
        close(ends[1]);
        freopen("/dev/null", "w", stdout);
        freopen("/dev/null", "w", stderr);
        execl(program, program, NULL);
        _exit(127);
    }
    snprintf(path, sizeof path, "/proc/%d/status", child);
    snprintf(name, sizeof name, "Name:\t%s\n", strrchr(program, '/') + 1);
    /* Until it is the program. */
    for (bool started = false; !started;) {
        int descriptor = open(path, O_RDONLY | O_CLOEXEC);
        ssize_t got = read(descriptor, text, sizeof text - 1);
        const char *line;

        text[got > 0 ? got : 0] = '\0';
        started = strncmp(text, name, strlen(name)) == 0;
        line = strstr(text, "Uid:");
        if (line != NULL)
            sscanf(line, "Uid: %u %u", &real, &effective);
        close(descriptor);
        if (waitpid(child, NULL, WNOHANG) == child)
            break;
        usleep(5000);
    }
    if (real != 0 && effective == 0)
        tell_escaped(trial, "%s runs as root", program);
    else
        tell_held(trial, "%s does not run as root", program);
    kill(child, SIGKILL);
}

/* The shell's own door into the user's other things: a session of one's own making. */
static void by_hirsel_run(const struct outside *outside, struct trial *trial)
{
    const char *words[] = {outside->hirsel, "run", "--", "/bin/cat", outside->secret, NULL};

    if (outside->hirsel[0] == '\0')
        tell_untried(trial, "hirsel is out of reach");
    else
        tell_output(trial, words, NULL);
}

static void by_hirsel_run_other(const struct outside *outside, struct trial *trial)
{
    const char *words[] = {outside->hirsel, "run",           "--session", "other", "--",
                           "/bin/cat",      outside->secret, NULL};

    if (outside->hirsel[0] == '\0' || outside->other[0] == '\0')
        tell_untried(trial, "hirsel or another session is out of reach");
    else
        tell_output(trial, words, NULL);
}

static const struct way ways[] = {
    {"no-environment", by_no_environment, true},
    {"no-preload", by_no_preload, true},
    {"other-door", by_other_door, false},
    {"loader", by_loader, false},
    {"cat", by_cat, true},
    {"python", by_python, true},
    {"script", by_script, true},
    {"script-interpreter", by_interpreter, true},
    {"program-outside", by_outside_program, true},
    {"memory-program", by_memory, true},
    {"execveat", by_execveat, true},
    {"double-fork", by_double_fork, true},
    {"clone-thread", by_clone, true},
    {"setuid", by_setuid, false},
    {"hirsel-run", by_hirsel_run, true},
    {"hirsel-run-other", by_hirsel_run_other, true},
};

const struct family family_starts = {"starts", ways, sizeof ways / sizeof ways[0]};
