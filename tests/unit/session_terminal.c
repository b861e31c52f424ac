/* Job control: `hirsel run` at a terminal, under a real shell, as if the command were started
 * without it. */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/unit/fixture/session_stage.h"

#define PATIENCE_MS 60000

struct terminal {
    int master;
    pid_t shell;
    char seen[65536];
    size_t used;
    size_t from; /* what was waited for already */
};

static struct terminal terminal;

/* An interactive bash on a terminal of its own, in a session's neighbourhood. */
static void with_terminal(void)
{
    stage_setup();
    ck_assert_int_eq(stage_run("start", "t", NULL), 0);
    terminal = (struct terminal){0};
    setenv("H", stage()->program, 1);
    setenv("PS1", "ready> ", 1);
    terminal.shell = forkpty(&terminal.master, NULL, NULL, NULL);
    ck_assert_int_ge(terminal.shell, 0);
    if (terminal.shell == 0) {
        setenv("SHELL", "/bin/bash", 1);
        execl("/bin/bash", "bash", "--norc", "--noprofile", "--noediting", "-i", NULL);
        _exit(99);
    }
}

/* Wait until `text` comes after what was waited for before. */
static void expect(const char *text)
{
    struct timespec now;
    long until;

    clock_gettime(CLOCK_MONOTONIC, &now);
    until = now.tv_sec * 1000 + now.tv_nsec / 1000000 + PATIENCE_MS;
    for (;;) {
        struct pollfd watched = {.fd = terminal.master, .events = POLLIN};
        char *found = strstr(terminal.seen + terminal.from, text);
        ssize_t length;
        long left;

        if (found != NULL) {
            terminal.from = (size_t)(found - terminal.seen) + strlen(text);
            return;
        }
        clock_gettime(CLOCK_MONOTONIC, &now);
        left = until - (now.tv_sec * 1000 + now.tv_nsec / 1000000);
        if (left <= 0 || poll(&watched, 1, (int)left) == 0)
            ck_abort_msg("'%s' did not come; seen: %s", text, terminal.seen + terminal.from);
        length = read(terminal.master, terminal.seen + terminal.used,
                      sizeof terminal.seen - terminal.used - 1);
        if (length <= 0)
            ck_abort_msg("the terminal closed before '%s'; seen: %s", text, terminal.seen);
        terminal.used += (size_t)length;
        terminal.seen[terminal.used] = '\0';
    }
}

static void type(const char *text)
{
    ck_assert_int_eq(write(terminal.master, text, strlen(text)), (ssize_t)strlen(text));
}

/* Whether the terminal's foreground is a process of this name that waits for something. */
static bool is_foreground(void *name)
{
    char path[64], line[256], *rest;
    pid_t group = tcgetpgrp(terminal.master);

    snprintf(path, sizeof path, "/proc/%d/stat", group);
    snprintf(line, sizeof line, "%.255s", stage_line(path));
    rest = strrchr(line, ')');
    if (group == terminal.shell || rest == NULL || rest[2] != 'S')
        return false;
    *rest = '\0';
    return strcmp(strchr(line, '(') + 1, name) == 0;
}

/* What else came since then, for whoever reads why a test failed. */
static const char *seen_since(void)
{
    struct pollfd watched = {.fd = terminal.master, .events = POLLIN};
    ssize_t length = 1;

    while (length > 0 && poll(&watched, 1, 0) > 0) {
        length = read(terminal.master, terminal.seen + terminal.used,
                      sizeof terminal.seen - terminal.used - 1);
        terminal.used += length > 0 ? (size_t)length : 0;
    }
    terminal.seen[terminal.used] = '\0';
    return terminal.seen + terminal.from;
}

static void expect_foreground(const char *name)
{
    char path[64], line[256];
    pid_t group;

    if (stage_await(is_foreground, (void *)name))
        return;
    group = tcgetpgrp(terminal.master);
    snprintf(path, sizeof path, "/proc/%d/stat", group);
    snprintf(line, sizeof line, "%.255s", stage_line(path));
    ck_abort_msg("%s is not in the foreground, but %d (the shell is %d): %s; seen: %s", name, group,
                 terminal.shell, line, seen_since());
}

static void without_terminal(void)
{
    type("exit 0\n");
    ck_assert_int_eq(stage_wait(terminal.shell), 0);
    close(terminal.master);
    ck_assert_int_eq(stage_run("stop", "t", NULL), 0);
    stage_teardown();
}

START_TEST(interrupt)
{
    expect("ready> ");
    type("$H run --session t -- sleep 100\n");
    /* At the earliest: the command itself may not have begun. */
    expect_foreground("hirsel");
    type("\003");
    expect("ready> ");
    type("$H run --session t -- sh -c 'echo sta''rted; exec sleep 100'\n");
    expect("started\r\n");
    type("\003");
    expect("ready> ");
    type("echo status $?\n");
    expect("status 130\r\n");
    /* A command that takes it is not ended by it, nor are we. */
    expect("ready> ");
    type(
        "$H run --session t -- sh -c 'trap \"echo tra\"\"pped; exit 4\" INT; echo sta''rted; while "
        ":; do sleep 0.01; done'\n");
    expect("started\r\n");
    type("\003");
    expect("trapped\r\n");
    expect("ready> ");
    type("echo status $?\n");
    expect("status 4\r\n");
    expect("ready> ");
}
END_TEST

START_TEST(quit)
{
    expect("ready> ");
    type("ulimit -c 0; $H run --session t -- sh -c 'echo sta''rted; exec sleep 100'\n");
    expect("started\r\n");
    type("\034");
    expect("ready> ");
    type("echo status $?\n");
    expect("status 131\r\n");
    expect("ready> ");
}
END_TEST

START_TEST(suspend_and_resume)
{
    expect("ready> ");
    type("$H run --session t -- sh -c 'echo sta''rted; read line; echo \"go\"\"t $line\"; exit "
         "6'\n");
    expect("started\r\n");
    for (int i = 0; i < 3; i++) {
        type("\032");
        expect("Stopped");
        expect("ready> ");
        type("jobs\n");
        expect("Stopped");
        expect("ready> ");
        /* In the background it reads the terminal, and is stopped for it. */
        type("bg; until jobs | grep 'Stopped'; do sleep 0.02; done\n");
        expect("ready> ");
        type("fg\n");
        expect("read line");
        expect_foreground("hirsel");
    }
    type("a line\n");
    expect("got a line\r\n");
    expect("ready> ");
    type("echo status $?\n");
    expect("status 6\r\n");
    expect("ready> ");
}
END_TEST

START_TEST(background)
{
    expect("ready> ");
    type("$H run --session t -- sh -c 'exec sleep 0.2; exit 5' &\n");
    expect("ready> ");
    type("wait $!; echo status $?\n");
    expect("status 0\r\n");
    expect("ready> ");
    type("$H run --session t -- sleep 100 & sleep 0.1; kill %1; wait %1; echo status $?\n");
    expect("status 143\r\n");
    expect("ready> ");
}
END_TEST

/* A shell in the session has job control of its own, and gives the terminal back. */
START_TEST(a_shell_within)
{
    expect("ready> ");
    type("PS1='within> ' $H run --session t -- bash --norc --noprofile --noediting -i\n");
    expect("within> ");
    type("sleep 100\n");
    expect_foreground("sleep");
    type("\032");
    expect("Stopped");
    expect("within> ");
    type("kill %1; wait %1 2>/dev/null; echo job $?\n");
    expect("job ");
    expect("within> ");
    type("set -m; cat\n");
    expect_foreground("cat");
    type("\003");
    expect("within> ");
    type("exit 9\n");
    expect("ready> ");
    type("echo status $?\n");
    expect("status 9\r\n");
    expect("ready> ");
    type("$H attach t\n");
    expect_foreground("bash");
    type("exit 11\n");
    expect("ready> ");
    type("echo status $?\n");
    expect("status 11\r\n");
    expect("ready> ");
}
END_TEST

/* A shell that is killed leaves the terminal with its process group: it comes back. */
START_TEST(a_killed_shell)
{
    expect("ready> ");
    type("PS1='within> ' $H run --session t -- bash --norc --noprofile --noediting -i\n");
    expect("within> ");
    type("kill -9 $$\n");
    expect("ready> ");
    type("echo status $?\n");
    expect("status 137\r\n");
    expect("ready> ");
    /* Also in a script, where no shell takes it back. */
    type("bash -c '$H run --session t -- bash --norc -ic \"kill -9 \\$\\$\"; read x; echo "
         "\"re\"\"ad "
         "$x\"'\n");
    type("input\n");
    expect("read input\r\n");
    expect("ready> ");
}
END_TEST

START_TEST(tty_is_ours)
{
    expect("ready> ");
    type("$H run --session t -- sh -c 'tty; cat < /dev/tty' ; echo status $?\n");
    expect("/dev/pts/");
    type("through\n\004");
    expect("through\r\nthrough\r\n");
    expect("status 0\r\n");
    expect("ready> ");
    type("$H run -- sh -c 'read line; echo \"li\"\"ne $line\"' ; echo status $?\n");
    type("one shot\n");
    expect("line one shot\r\n");
    expect("status 0\r\n");
    expect("ready> ");
}
END_TEST

/* Stop the session while shells of it wait at a prompt: they end soon, the outer one goes on. */
START_TEST(stopped_session)
{
    expect("ready> ");
    type("PS1='within> ' $H run --session t -- bash --norc --noprofile --noediting -i\n");
    expect("within> ");
    ck_assert_int_eq(stage_run("stop", "t", NULL), 0);
    expect("ready> ");
    type("echo status $?\n");
    /* By SIGTERM, if it had no time to ignore that. */
    expect("status 1");
    expect("ready> ");
    ck_assert_int_eq(stage_run("start", "t", NULL), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("session_terminal");
    TCase *cases = tcase_create("terminal");
    SRunner *runner;
    int failed;

    tcase_add_checked_fixture(cases, with_terminal, without_terminal);
    tcase_set_timeout(cases, 60);
    tcase_add_test(cases, interrupt);
    tcase_add_test(cases, quit);
    tcase_add_test(cases, suspend_and_resume);
    tcase_add_test(cases, background);
    tcase_add_test(cases, a_shell_within);
    tcase_add_test(cases, a_killed_shell);
    tcase_add_test(cases, tty_is_ours);
    tcase_add_test(cases, stopped_session);
    suite_add_tcase(suite, cases);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
