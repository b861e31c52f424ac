/* hirsel run passes everything as env(1) would: words, descriptors, signals, the exit status; and
 * what the command leaves behind stays in its tree. */
#include <check.h>
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/fixture/session_stage.h"

static void with_session(void)
{
    stage_setup();
    ck_assert_int_eq(stage_run("start", "t", NULL), 0);
}

static void without_session(void)
{
    ck_assert_int_eq(stage_run("stop", "t", NULL), 0);
    stage_teardown();
}

#define RUN "run", "--session", "t", "--"

static void file_make(const char *name, const char *text, mode_t mode)
{
    int descriptor = open(name, O_CREAT | O_WRONLY | O_TRUNC, 0600);

    ck_assert_int_ge(descriptor, 0);
    ck_assert_int_eq(write(descriptor, text, strlen(text)), (ssize_t)strlen(text));
    ck_assert_int_eq(fchmod(descriptor, mode), 0);
    close(descriptor);
}

START_TEST(exit_statuses)
{
    file_make("data", "no program", 0644);
    file_make("script", "#!/no/such/interpreter\n", 0755);
    ck_assert_int_eq(stage_run(RUN, "true", NULL), 0);
    ck_assert_int_eq(stage_run(RUN, "sh", "-c", "exit 255", NULL), 255);
    ck_assert_int_eq(stage_run(RUN, "sh", "-c", "kill -9 $$", NULL), 137);
    ck_assert_int_eq(stage_run(RUN, "sh", "-c", "kill -SEGV $$", NULL), 139);
    ck_assert_int_eq(stage_run(RUN, "sh", "-c", "kill -HUP $$", NULL), 129);
    ck_assert_int_eq(stage_run(RUN, "./none", NULL), 127);
    ck_assert_ptr_nonnull(strstr(stage()->errors, "./none"));
    ck_assert_int_eq(stage_run(RUN, "none-on-the-path", NULL), 127);
    ck_assert_int_eq(stage_run(RUN, "./script", NULL), 127);
    ck_assert_int_eq(stage_run(RUN, "./data", NULL), 126);
    ck_assert_int_eq(stage_run(RUN, ".", NULL), 126);
    ck_assert_int_eq(stage_run("run", "--session", "none", "true", NULL), 125);
    ck_assert_int_eq(stage_run("run", "--frobnicate", NULL), 125);
    ck_assert_int_eq(stage_run("run", "--net", "all", "true", NULL), 125);
    ck_assert_int_eq(stage_run("run", "--allow-read", "/", "true", NULL), 125);
    ck_assert_int_eq(stage_run("run", "--confine", "--allow-connect", "x", "true", NULL), 125);
    ck_assert_int_eq(stage_run("run", "--confine", "--allow-read", "/none", "true", NULL), 125);
    ck_assert_int_eq(stage_run("run", "--overlay", "true", NULL), 125);
    ck_assert_int_eq(stage_run("run", "--no-trap", "--session", "t", "sh", "-c", "exit 5", NULL),
                     5);
}
END_TEST

START_TEST(words_pass)
{
    ck_assert_int_eq(stage_run(RUN, "printf", "<%s>", "", "a b", "--", "-x", "\n", "\377", NULL),
                     0);
    ck_assert_str_eq(stage()->output, "<><a b><--><-x><\n><\377>");
    /* Options after the command are the command's. */
    ck_assert_int_eq(stage_run("run", "--session", "t", "echo", "--session", "x", NULL), 0);
    ck_assert_str_eq(stage()->output, "--session x\n");
}
END_TEST

START_TEST(environment_passes)
{
    char *output = stage()->output;

    setenv("LD_LIBRARY_PATH", "/nowhere:/else", 1);
    ck_assert_int_eq(stage_run(RUN, "sh", "-c", "echo \"$LD_LIBRARY_PATH,$LD_PRELOAD\"; pwd", NULL),
                     0);
    /* Without the shim the door itself is seen in front of it. */
    ck_assert_ptr_nonnull(strstr(output, "/nowhere:/else,\n"));
    ck_assert_ptr_nonnull(strstr(output, stage()->directory));
    unsetenv("LD_LIBRARY_PATH");
}
END_TEST

START_TEST(descriptors_pass)
{
    pid_t pid = fork();

    if (pid == 0) {
        int source = open("/dev/zero", O_RDONLY);

        dup2(source, 9);
        close_range(3, 8, 0);
        close_range(10, ~0u, 0);
        execl(
            stage()->program, "hirsel", RUN, "python3", "-c",
            "import os; found = [(f, os.readlink('/proc/self/fd/%d' % f)) for f in range(3, 1024) "
            "if os.path.exists('/proc/self/fd/%d' % f)]; open('list', 'w').write(str(found))",
            NULL);
        _exit(99);
    }
    ck_assert_int_eq(stage_wait(pid), 0);
    ck_assert_str_eq(stage_line("list"), "[(9, '/dev/zero')]");
}
END_TEST

START_TEST(closed_descriptors)
{
    pid_t pid = fork();

    /* A command started with 0, 1, 2 closed: nothing of ours may get into their places. */
    if (pid == 0) {
        close(0);
        close(1);
        close(2);
        execl(stage()->program, "hirsel", RUN, "sh", "-c", "ls -l /proc/$$/fd > list 2>&1; exit 3",
              NULL);
        _exit(99);
    }
    ck_assert_int_eq(stage_wait(pid), 3);
    ck_assert_int_eq(system("grep -q socket: list"), 256);
}
END_TEST

START_TEST(signals_pass)
{
    static const struct {
        const char *name;
        int number;
    } signals[] = {{"TERM", SIGTERM}, {"HUP", SIGHUP},   {"USR1", SIGUSR1},  {"USR2", SIGUSR2},
                   {"INT", SIGINT},   {"QUIT", SIGQUIT}, {"WINCH", SIGWINCH}};

    for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++) {
        char script[256];
        pid_t run;

        snprintf(script, sizeof script,
                 "trap 'exit %zu' %s; echo up > up; while :; do sleep 0.01; done", 20 + i,
                 signals[i].name);
        run = stage_start(RUN, "sh", "-c", script, NULL);
        ck_assert(stage_await_file("up"));
        ck_assert_int_eq(kill(run, signals[i].number), 0);
        ck_assert_msg(stage_wait(run) == 20 + (int)i, "SIG%s", signals[i].name);
        unlink("up");
    }
}
END_TEST

START_TEST(a_signal_kills)
{
    pid_t run = stage_start(RUN, "sh", "-c", "echo up > up; exec sleep 100", NULL);

    ck_assert(stage_await_file("up"));
    ck_assert_int_eq(kill(run, SIGTERM), 0);
    ck_assert_int_eq(stage_wait(run), 143);
}
END_TEST

/* Dispositions and the mask are the command's own business. */
START_TEST(signal_state_passes)
{
    sigset_t mask, before;
    char wanted[65536];

    sigemptyset(&mask);
    sigaddset(&mask, SIGUSR2);
    sigaddset(&mask, SIGCHLD);
    sigprocmask(SIG_BLOCK, &mask, &before);
    signal(SIGHUP, SIG_IGN);
    ck_assert_int_eq(stage_run(RUN, "cat", "/proc/self/status", NULL), 0);
    strcpy(wanted, stage()->output);
    sigprocmask(SIG_SETMASK, &before, NULL);
    signal(SIGHUP, SIG_DFL);
    ck_assert_ptr_nonnull(strstr(wanted, "SigBlk:\t0000000000010800"));
    ck_assert_ptr_nonnull(strstr(wanted, "SigIgn:\t0000000000000001"));
    ck_assert_ptr_nonnull(strstr(wanted, "SigCgt:\t0000000000000000"));
}
END_TEST

START_TEST(ignored_children)
{
    pid_t pid = fork();

    if (pid == 0) {
        signal(SIGCHLD, SIG_IGN);
        execl(stage()->program, "hirsel", RUN, "sh", "-c", "exit 7", NULL);
        _exit(99);
    }
    ck_assert_int_eq(stage_wait(pid), 7);
}
END_TEST

static bool is_awake(void *context)
{
    char path[64], line[256];

    snprintf(path, sizeof path, "/proc/%d/stat", *(pid_t *)context);
    snprintf(line, sizeof line, "%.255s", stage_line(path));
    return strrchr(line, ')') != NULL && strrchr(line, ')')[2] != 'T';
}

START_TEST(stops_pass)
{
    int status;
    pid_t run = stage_start(RUN, "sh", "-c",
                            "echo $$ > up; until [ -e go ]; do sleep 0.01; done; exit 8", NULL);
    pid_t command;

    ck_assert(stage_await_file("up"));
    command = atoi(stage_line("up"));
    for (int i = 0; i < 20; i++) {
        ck_assert_int_eq(kill(command, SIGSTOP), 0);
        ck_assert_int_eq(waitpid(run, &status, WUNTRACED), run);
        ck_assert(WIFSTOPPED(status));
        /* Woken through the front, or alone. */
        ck_assert_int_eq(kill(i % 2 == 0 ? run : command, SIGCONT), 0);
        ck_assert_int_eq(waitpid(run, &status, WCONTINUED), run);
        ck_assert(WIFCONTINUED(status));
        ck_assert(stage_await(is_awake, &command));
    }
    file_make("go", "go", 0600);
    ck_assert_int_eq(stage_wait(run), 8);
}
END_TEST

/* Stopped and woken so fast that the front is late. */
START_TEST(quick_stops)
{
    pid_t run = stage_start(RUN, "sh", "-c",
                            "echo $$ > up; until [ -e go ]; do sleep 0.01; done; exit 8", NULL);
    pid_t command;

    ck_assert(stage_await_file("up"));
    command = atoi(stage_line("up"));
    for (int i = 0; i < 500; i++) {
        kill(command, SIGSTOP);
        kill(command, SIGCONT);
    }
    file_make("go", "go", 0600);
    ck_assert_int_eq(stage_wait(run), 8);
}
END_TEST

START_TEST(killed_while_stopped)
{
    int status;
    pid_t run = stage_start(RUN, "sh", "-c", "echo $$ > up; sleep 100", NULL);

    ck_assert(stage_await_file("up"));
    kill(atoi(stage_line("up")), SIGSTOP);
    ck_assert_int_eq(waitpid(run, &status, WUNTRACED), run);
    ck_assert_int_eq(kill(atoi(stage_line("up")), SIGKILL), 0);
    ck_assert_int_eq(stage_wait(run), 137);
}
END_TEST

static const char *const daemon_script =
    "(setsid sh -c 'echo $$ > far; cut -d\" \" -f4 /proc/$$/stat > parent; until [ -e go ]; do "
    "sleep 0.01; done' > /dev/null 2>&1 &) ; until [ -s parent ]; do sleep 0.01; done";

START_TEST(daemons_stay_in_the_tree)
{
    char name[64];

    ck_assert_int_eq(stage_run(RUN, "sh", "-c", daemon_script, NULL), 0);
    ck_assert_int_eq(kill(atoi(stage_line("far")), 0), 0);
    ck_assert_int_eq(stage_run("ps", "--session", "t", NULL), 0);
    snprintf(name, sizeof name, "%7s", stage_line("far"));
    ck_assert_ptr_nonnull(strstr(stage()->output, name));
    file_make("go", "go", 0600);
    ck_assert(stage_await_gone(atoi(stage_line("far"))));
}
END_TEST

/* Who reads the command's output through a pipe gets its end with the command, and not with the
 * attendant. */
START_TEST(pipes_end)
{
    char command[PATH_MAX + 512], line[64] = "";
    FILE *pipe;

    snprintf(command, sizeof command, "%s run --session t -- sh -c '%s; echo done'",
             stage()->program,
             "(setsid sh -c \"until [ -e go ]; do sleep 0.01; done\" >/dev/null 2>&1 &)");
    pipe = popen(command, "r");
    ck_assert_ptr_nonnull(pipe);
    ck_assert_ptr_nonnull(fgets(line, sizeof line, pipe));
    ck_assert_str_eq(line, "done\n");
    ck_assert_ptr_null(fgets(line, sizeof line, pipe));
    ck_assert_int_eq(pclose(pipe), 0);
    file_make("go", "go", 0600);
}
END_TEST

START_TEST(killed_attendant)
{
    pid_t run = stage_start(RUN, "sh", "-c",
                            "echo $PPID > up; until [ -e go ]; do sleep 0.01; done; exit 9", NULL);

    ck_assert(stage_await_file("up"));
    ck_assert_int_eq(kill(atoi(stage_line("up")), SIGKILL), 0);
    ck_assert(stage_await_gone(atoi(stage_line("up"))));
    /* Signals still get through. */
    ck_assert_int_eq(kill(run, SIGSTOP), 0);
    ck_assert_int_eq(kill(run, SIGCONT), 0);
    file_make("go", "go", 0600);
    ck_assert_int_eq(stage_wait(run), 9);
}
END_TEST

START_TEST(killed_front)
{
    pid_t run = stage_start(RUN, "sh", "-c", "echo $$ > up; exec sleep 100", NULL);

    ck_assert(stage_await_file("up"));
    ck_assert_int_eq(kill(run, SIGKILL), 0);
    ck_assert_int_eq(stage_wait(run), -SIGKILL);
    ck_assert(stage_await_gone(atoi(stage_line("up"))));
}
END_TEST

/* From inside: the session that one is in, another name space of it, another session. */
START_TEST(nested)
{
    char script[PATH_MAX + 128], other[128];

    snprintf(script, sizeof script, "%s run -- readlink /.hirsel/session /.hirsel/space",
             stage()->program);
    ck_assert_int_eq(stage_run(RUN, "sh", "-c", script, NULL), 0);
    snprintf(other, sizeof other, "%s/t\n0\n", stage()->sessions);
    ck_assert_str_eq(stage()->output, other);
    snprintf(script, sizeof script,
             "%s run --net none -- readlink /.hirsel/space; readlink "
             "/.hirsel/space",
             stage()->program);
    ck_assert_int_eq(stage_run(RUN, "sh", "-c", script, NULL), 0);
    ck_assert_int_gt(atoi(stage()->output), 0);
    ck_assert_ptr_nonnull(strstr(stage()->output, "\n0\n"));
    ck_assert_int_eq(stage_run("start", "u", NULL), 0);
    snprintf(script, sizeof script,
             "%s run --session u -- sh -c 'readlink /.hirsel/session'; exit 3", stage()->program);
    ck_assert_int_eq(stage_run(RUN, "sh", "-c", script, NULL), 3);
    snprintf(other, sizeof other, "%s/u\n", stage()->sessions);
    ck_assert_str_eq(stage()->output, other);
    ck_assert_int_eq(stage_run("stop", "u", NULL), 0);
    /* A session that was started in a session. */
    snprintf(script, sizeof script, "%s start u", stage()->program);
    ck_assert_int_eq(stage_run(RUN, "sh", "-c", script, NULL), 0);
    ck_assert_int_eq(stage_run("run", "--session", "u", "--", "readlink", "/.hirsel/session", NULL),
                     0);
    ck_assert_str_eq(stage()->output, other);
    ck_assert_int_eq(stage_run("stop", "u", NULL), 0);
}
END_TEST

START_TEST(many_at_once)
{
    pid_t runs[40];

    for (int i = 0; i < 40; i++) {
        char script[32];

        snprintf(script, sizeof script, "exit %d", i);
        runs[i] = stage_start(RUN, "sh", "-c", script, NULL);
    }
    for (int i = 0; i < 40; i++)
        ck_assert_int_eq(stage_wait(runs[i]), i);
}
END_TEST

START_TEST(the_users_shell)
{
    file_make("shell", "#!/bin/sh\necho own shell; exit 12\n", 0755);
    setenv("SHELL", "./shell", 1);
    ck_assert_int_eq(stage_run("run", "--session", "t", NULL), 12);
    ck_assert_str_eq(stage()->output, "own shell\n");
    ck_assert_int_eq(stage_run("attach", "t", NULL), 12);
    ck_assert_int_eq(stage_run("attach", "none", NULL), 125);
    ck_assert_int_eq(stage_run("attach", NULL), 125);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("session_run");
    TCase *cases = tcase_create("run");
    SRunner *runner;
    int failed;

    tcase_add_checked_fixture(cases, with_session, without_session);
    tcase_set_timeout(cases, 60);
    tcase_add_test(cases, exit_statuses);
    tcase_add_test(cases, words_pass);
    tcase_add_test(cases, environment_passes);
    tcase_add_test(cases, descriptors_pass);
    tcase_add_test(cases, closed_descriptors);
    tcase_add_test(cases, signals_pass);
    tcase_add_test(cases, a_signal_kills);
    tcase_add_test(cases, signal_state_passes);
    tcase_add_test(cases, ignored_children);
    tcase_add_test(cases, stops_pass);
    tcase_add_test(cases, quick_stops);
    tcase_add_test(cases, killed_while_stopped);
    tcase_add_test(cases, daemons_stay_in_the_tree);
    tcase_add_test(cases, pipes_end);
    tcase_add_test(cases, killed_attendant);
    tcase_add_test(cases, killed_front);
    tcase_add_test(cases, nested);
    tcase_add_test(cases, many_at_once);
    tcase_add_test(cases, the_users_shell);
    suite_add_tcase(suite, cases);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
