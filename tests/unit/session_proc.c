/* hirsel ps and kill: the session's processes, and no others. */
#include <check.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
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

/* The line of `pid` in what ps printed, or NULL. */
static const char *ps_line(pid_t pid)
{
    static char line[4096];
    const char *at;

    ck_assert_int_eq(stage_run("ps", "--session", "t", NULL), 0);
    for (at = stage()->output; *at != '\0'; at += strcspn(at, "\n") + (strchr(at, '\n') != NULL)) {
        if (atoi(at) != pid)
            continue;
        snprintf(line, sizeof line, "%.*s", (int)strcspn(at, "\n"), at);
        return line;
    }
    return NULL;
}

START_TEST(the_table)
{
    pid_t run = stage_start(RUN, "sh", "-c", "sleep 100 & echo $! > child; sleep 100", NULL);
    const char *line;

    ck_assert(stage_await_file("child"));
    line = ps_line(atoi(stage_line("child")));
    ck_assert_ptr_nonnull(line);
    ck_assert_ptr_nonnull(strstr(line, "sleep 100"));
    /* Neither the test, nor init, nor hirsel's own processes. */
    ck_assert_ptr_null(ps_line(getpid()));
    ck_assert_ptr_null(ps_line(stage_server("t", "init")));
    ck_assert_ptr_null(ps_line(stage_server("t", "proc")));
    ck_assert_ptr_null(ps_line(run));
    ck_assert_int_eq(stage_run("kill", "--session", "t", stage_line("child"), NULL), 0);
    ck_assert(stage_await_gone(atoi(stage_line("child"))));
    ck_assert_int_eq(kill(run, SIGTERM), 0);
    stage_wait(run);
}
END_TEST

START_TEST(names_cannot_lie)
{
    pid_t run = stage_start(RUN, "bash", "-c",
                            "echo $$ > up; exec -a $'evil\\n99999 \\e[31mname' sleep 100", NULL);
    const char *line = NULL;

    ck_assert(stage_await_file("up"));
    while (line == NULL || strstr(line, "evil") == NULL)
        line = ps_line(atoi(stage_line("up")));
    ck_assert_ptr_nonnull(strstr(line, "evil\\x0a99999 \\x1b[31mname"));
    ck_assert_int_eq(kill(run, SIGTERM), 0);
    stage_wait(run);
}
END_TEST

START_TEST(servers_by_name)
{
    char line[64];

    ck_assert_int_eq(stage_run("ps", "--servers", "--session", "t", NULL), 0);
    snprintf(line, sizeof line, "%d init\n", stage_server("t", "init"));
    ck_assert_int_eq(stage_run("ps", "--servers", "--session", "t", NULL), 0);
    ck_assert_int_eq(strncmp(stage()->output, line, strlen(line)), 0);
    ck_assert_int_gt(stage_server("t", "fs"), 0);
    ck_assert_int_gt(stage_server("t", "proc"), 0);
    ck_assert_int_gt(stage_server("t", "net"), 0);
}
END_TEST

START_TEST(kills)
{
    static const char *const names[] = {"-9", "-KILL", "-SIGKILL", "--signal=kill", "-SKILL"};

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        pid_t run = stage_start(RUN, "sh", "-c", "echo $$ > up; exec sleep 100", NULL);

        ck_assert(stage_await_file("up"));
        ck_assert_int_eq(stage_run("kill", "--session", "t", names[i], stage_line("up"), NULL), 0);
        ck_assert_msg(stage_wait(run) == 137, "%s", names[i]);
        unlink("up");
    }
}
END_TEST

START_TEST(strangers_are_safe)
{
    char number[32];
    pid_t stranger = fork();

    if (stranger == 0) {
        pause();
        _exit(0);
    }
    snprintf(number, sizeof number, "%d", stranger);
    ck_assert_int_eq(stage_run("kill", "--session", "t", "-9", number, NULL), 1);
    ck_assert_ptr_nonnull(strstr(stage()->errors, "no process of this session"));
    ck_assert_int_eq(waitpid(stranger, NULL, WNOHANG), 0);
    kill(stranger, SIGKILL);
    waitpid(stranger, NULL, 0);
    /* One that is no more, init, numbers that are none, and a process group. */
    ck_assert_int_eq(stage_run("kill", "--session", "t", number, NULL), 1);
    snprintf(number, sizeof number, "%d", stage_server("t", "init"));
    ck_assert_int_eq(stage_run("kill", "--session", "t", number, NULL), 1);
    ck_assert_int_eq(stage_run("kill", "--session", "t", "0", NULL), 1);
    ck_assert_int_eq(stage_run("kill", "--session", "t", "99999999999", NULL), 1);
    ck_assert_int_eq(stage_run("kill", "--session", "t", "1x", NULL), 1);
    ck_assert_int_eq(stage_run("kill", "--session", "t", "--", "-1", NULL), 1);
    ck_assert_int_eq(stage_run("kill", "--session", "t", "-FOO", "1", NULL), 125);
    ck_assert_int_eq(stage_run("kill", "--session", "t", NULL), 125);
}
END_TEST

struct report {
    const char *text;
};

static bool report_is_there(void *context)
{
    struct report *report = context;

    ck_assert_int_eq(stage_run("ps", "--reports", "--session", "t", NULL), 0);
    return strstr(stage()->output, report->text) != NULL;
}

static bool log_has(void *text)
{
    ck_assert_int_eq(stage_run("log", "t", NULL), 0);
    return strstr(stage()->output, text) != NULL;
}

START_TEST(reports)
{
    struct report crash = {"signal SEGV sh -c ulimit"};
    struct report exits = {"status 7 sh -c exit 7"};
    pid_t proc;

    ck_assert_int_eq(stage_run(RUN, "sh", "-c", "ulimit -c 0; kill -SEGV $$; echo never", NULL),
                     139);
    ck_assert(stage_await(report_is_there, &crash));
    ck_assert(stage_await(log_has, "crashed: Segmentation fault"));
    ck_assert_int_eq(stage_run(RUN, "sh", "-c", "exit 7", NULL), 7);
    ck_assert(stage_await(report_is_there, &exits));
    /* They outlive proc. */
    proc = stage_server("t", "proc");
    ck_assert_int_eq(kill(proc, SIGKILL), 0);
    ck_assert(stage_await_gone(proc));
    ck_assert(report_is_there(&crash));
    ck_assert(report_is_there(&exits));
}
END_TEST

/* The end of a process that is nobody's child that reports: by the kernel, where it tells. */
START_TEST(reports_of_grandchildren)
{
    struct report ended = {"sleep 2.75"};
    pid_t run = stage_start(RUN, "sh", "-c", "sh -c 'sleep 2.75; true'; exit 0", NULL);

    ck_assert_int_eq(stage_wait(run), 0);
    ck_assert(stage_await(report_is_there, &ended));
}
END_TEST

START_TEST(spaces_show)
{
    pid_t run = stage_start("run", "--session", "t", "--net", "none", "--", "sh", "-c",
                            "echo $$ > up; exec sleep 100", NULL);
    const char *line;
    unsigned space;

    ck_assert(stage_await_file("up"));
    line = ps_line(atoi(stage_line("up")));
    ck_assert_ptr_nonnull(line);
    ck_assert_int_eq(sscanf(line, "%*d %*d %u", &space), 1);
    ck_assert_uint_gt(space, 0);
    ck_assert_int_eq(kill(run, SIGTERM), 0);
    ck_assert_int_eq(stage_wait(run), 143);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("session_proc");
    TCase *cases = tcase_create("proc");
    SRunner *runner;
    int failed;

    tcase_add_checked_fixture(cases, with_session, without_session);
    tcase_set_timeout(cases, 60);
    tcase_add_test(cases, the_table);
    tcase_add_test(cases, names_cannot_lie);
    tcase_add_test(cases, servers_by_name);
    tcase_add_test(cases, kills);
    tcase_add_test(cases, strangers_are_safe);
    tcase_add_test(cases, reports);
    tcase_add_test(cases, reports_of_grandchildren);
    tcase_add_test(cases, spaces_show);
    suite_add_tcase(suite, cases);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
