/* Sessions' lives: start, list, stop; names; directories that are not safe; what dead ones leave.
 */
#include <check.h>
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/fixture/session_stage.h"

static char *session_path(const char *rest)
{
    static char path[256];

    snprintf(path, sizeof path, "%s/%s", stage()->sessions, rest);
    return path;
}

START_TEST(start_and_stop)
{
    struct stat status;

    ck_assert_int_eq(stage_run("start", "work", NULL), 0);
    ck_assert_ptr_nonnull(strstr(stage()->output, "work: up"));
    ck_assert_int_eq(stat(session_path("work"), &status), 0);
    ck_assert_int_eq(status.st_mode & 07777, 0700);
    ck_assert_int_eq(stage_run("start", "work", NULL), 125);
    ck_assert_ptr_nonnull(strstr(stage()->errors, "exists already"));
    ck_assert_int_eq(stage_run("list", NULL), 0);
    ck_assert_ptr_nonnull(strstr(stage()->output, "work "));
    ck_assert_int_eq(stage_run("run", "--session", "work", "--", "sh", "-c", "exit 3", NULL), 3);
    ck_assert_int_eq(stage_run("stop", "work", NULL), 0);
    ck_assert_int_ne(stat(session_path("work"), &status), 0);
    ck_assert_int_eq(stage_run("stop", "work", NULL), 125);
    ck_assert_int_eq(stage_run("run", "--session", "work", "--", "true", NULL), 125);
}
END_TEST

START_TEST(two_at_the_same_time)
{
    pid_t starts[8];
    int up = 0;

    /* Many start the same one: one of them gets it. */
    for (int i = 0; i < 8; i++)
        starts[i] = stage_start("start", "race", NULL);
    for (int i = 0; i < 8; i++)
        up += stage_wait(starts[i]) == 0;
    ck_assert_int_eq(up, 1);
    ck_assert_int_eq(stage_run("start", "other", NULL), 0);
    ck_assert_int_eq(stage_run("list", NULL), 0);
    ck_assert_ptr_nonnull(strstr(stage()->output, "race "));
    ck_assert_ptr_nonnull(strstr(stage()->output, "other "));
    ck_assert_int_eq(stage_run("stop", "race", NULL), 0);
    ck_assert_int_eq(stage_run("stop", "other", NULL), 0);
}
END_TEST

START_TEST(bad_names)
{
    static const char *const names[] = {
        "..",      ".",   "",     "a/b", "-x",
        ".hidden", "a b", "a\nb", "a:b", "123456789012345678901234567890123"};

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        ck_assert_msg(stage_run("start", "--", names[i], NULL) == 125, "'%s'", names[i]);
    ck_assert_int_eq(stage_run("start", "12345678901234567890123456789012", NULL), 0);
    ck_assert_int_eq(stage_run("stop", "--session", "12345678901234567890123456789012", NULL), 0);
}
END_TEST

START_TEST(unsafe_directories)
{
    char path[80];

    /* Others may write in it. */
    ck_assert_int_eq(mkdir(stage()->sessions, 0700), 0);
    ck_assert_int_eq(chmod(stage()->sessions, 0755), 0);
    ck_assert_int_eq(stage_run("start", "work", NULL), 125);
    ck_assert_ptr_nonnull(strstr(stage()->errors, "not safe"));
    ck_assert_int_eq(stage_run("run", "--", "true", NULL), 125);
    /* A symlink may lead anywhere. */
    ck_assert_int_eq(rename(stage()->sessions, "elsewhere"), 0);
    ck_assert_int_eq(chmod("elsewhere", 0700), 0);
    ck_assert_int_eq(symlink("elsewhere", stage()->sessions), 0);
    ck_assert_int_eq(stage_run("start", "work", NULL), 125);
    ck_assert_int_eq(unlink(stage()->sessions), 0);
    /* Paths that a socket or LD_LIBRARY_PATH can't hold. */
    snprintf(path, sizeof path, "%s/a:b", stage()->directory);
    setenv("HIRSEL_DIR", path, 1);
    ck_assert_int_eq(stage_run("start", "work", NULL), 125);
    ck_assert_ptr_nonnull(strstr(stage()->errors, "HIRSEL_DIR"));
    setenv("HIRSEL_DIR", "relative", 1);
    ck_assert_int_eq(stage_run("start", "work", NULL), 125);
    setenv("HIRSEL_DIR", stage()->sessions, 1);
    /* A file in a session's place. */
    ck_assert_int_eq(mkdir(stage()->sessions, 0700), 0);
    ck_assert_int_eq(close(open(session_path("work"), O_CREAT | O_WRONLY, 0600)), 0);
    ck_assert_int_eq(stage_run("start", "work", NULL), 125);
    ck_assert_int_eq(unlink(session_path("work")), 0);
}
END_TEST

START_TEST(a_long_path_is_refused)
{
    char path[320] = "";

    snprintf(path, sizeof path, "%s/%0100d", stage()->directory, 7);
    ck_assert_int_eq(mkdir(path, 0700), 0);
    setenv("HIRSEL_DIR", path, 1);
    ck_assert_int_eq(stage_run("start", "work", NULL), 125);
    ck_assert_ptr_nonnull(strstr(stage()->errors, "too long"));
    ck_assert_int_eq(stage_run("list", NULL), 0);
    ck_assert_int_eq(rmdir(path), 0);
    setenv("HIRSEL_DIR", stage()->sessions, 1);
}
END_TEST

/* The session's directory after init was killed in it. */
static void session_kill(const char *name)
{
    pid_t init, fs, proc;

    ck_assert_int_eq(stage_run("start", name, NULL), 0);
    init = stage_server(name, "init");
    fs = stage_server(name, "fs");
    proc = stage_server(name, "proc");
    ck_assert_int_gt(init, 0);
    ck_assert_int_gt(proc, 0);
    ck_assert_int_eq(kill(init, SIGKILL), 0);
    ck_assert(stage_await_gone(init));
    ck_assert(fs <= 0 || stage_await_gone(fs));
    ck_assert(stage_await_gone(proc));
}

START_TEST(killed_init)
{
    struct stat status;
    char path[512];

    session_kill("work");
    /* A tree that can't simply be removed: no permissions, and deep. */
    snprintf(path, sizeof path, "%s/nodes/1", session_path("work"));
    ck_assert_int_eq(mkdir(path, 0700), 0);
    for (int i = 0; i < 50; i++) {
        strcat(path, "/d");
        ck_assert_int_eq(mkdir(path, 0700), 0);
    }
    snprintf(path, sizeof path, "%s/nodes/1/d/d", session_path("work"));
    ck_assert_int_eq(chmod(path, 0), 0);
    ck_assert_int_eq(stage_run("run", "--session", "work", "--", "true", NULL), 125);
    ck_assert_int_eq(stage_run("list", NULL), 0);
    ck_assert_ptr_nonnull(strstr(stage()->output, "work: init was killed; cleaned up"));
    ck_assert_int_ne(stat(session_path("work"), &status), 0);
    ck_assert_int_eq(stage_run("list", NULL), 0);
    ck_assert_str_eq(stage()->output, "");
}
END_TEST

START_TEST(started_again_after_a_kill)
{
    session_kill("work");
    ck_assert_int_eq(stage_run("start", "work", NULL), 0);
    ck_assert_int_eq(stage_run("log", "work", NULL), 0);
    ck_assert_ptr_nonnull(strstr(stage()->output, "had been killed; cleaned up"));
    ck_assert_int_eq(stage_run("stop", "work", NULL), 0);
    session_kill("work");
    ck_assert_int_eq(stage_run("stop", "work", NULL), 0);
}
END_TEST

/* A program goes on without its session, and is not waited for by anything. */
START_TEST(killed_init_and_a_program)
{
    pid_t run, init;

    ck_assert_int_eq(stage_run("start", "work", NULL), 0);
    run = stage_start("run", "--session", "work", "--", "sh", "-c",
                      "echo up > up; until [ -e go ]; do sleep 0.01; done; exit 6", NULL);
    ck_assert(stage_await_file("up"));
    init = stage_server("work", "init");
    ck_assert_int_eq(kill(init, SIGKILL), 0);
    ck_assert(stage_await_gone(init));
    ck_assert_int_eq(close(open("go", O_CREAT | O_WRONLY, 0600)), 0);
    ck_assert_int_eq(stage_wait(run), 6);
}
END_TEST

START_TEST(terminated_init)
{
    pid_t run, init;

    ck_assert_int_eq(stage_run("start", "work", NULL), 0);
    run = stage_start("run", "--session", "work", "--", "sh", "-c", "echo up > up; exec sleep 100",
                      NULL);
    ck_assert(stage_await_file("up"));
    init = stage_server("work", "init");
    ck_assert_int_eq(kill(init, SIGTERM), 0);
    ck_assert(stage_await_gone(init));
    ck_assert_int_eq(stage_wait(run), 128 + SIGTERM);
}
END_TEST

START_TEST(stop_ends_the_stubborn)
{
    pid_t run;

    ck_assert_int_eq(stage_run("start", "work", NULL), 0);
    /* Deaf to SIGTERM, in a session of its own, with an empty environment, below a daemon. */
    run = stage_start("run", "--session", "work", "--", "sh", "-c",
                      "trap '' TERM HUP; (setsid env -i /bin/sh -c \"trap '' TERM HUP; echo \\$\\$ "
                      "> far; while :; do /bin/sleep 0.1; done\" &) ; while :; do sleep 0.1; done",
                      NULL);
    ck_assert(stage_await_file("far"));
    ck_assert_int_eq(stage_run("stop", "--grace", "0.1", "work", NULL), 0);
    ck_assert_int_eq(stage_wait(run), 128 + SIGKILL);
    ck_assert(stage_await_gone(atoi(stage_line("far"))));
}
END_TEST

static bool is_stopped(void *path)
{
    char stat[64], line[256];
    const char *rest;

    snprintf(stat, sizeof stat, "/proc/%.20s/stat", stage_line(path));
    snprintf(line, sizeof line, "%.255s", stage_line(stat));
    rest = strrchr(line, ')');
    return rest != NULL && rest[2] == 'T';
}

START_TEST(stop_wakes_the_stopped)
{
    pid_t run;

    ck_assert_int_eq(stage_run("start", "work", NULL), 0);
    run =
        stage_start("run", "--session", "work", "--", "sh", "-c",
                    "trap 'echo bye > bye; exit 0' TERM; sh -c 'echo $PPID > up; kill -STOP $PPID; "
                    "sleep 100' & wait",
                    NULL);
    ck_assert(stage_await(is_stopped, (char *)"up"));
    ck_assert_int_eq(stage_run("stop", "work", NULL), 0);
    stage_wait(run);
    ck_assert_str_eq(stage_line("bye"), "bye");
}
END_TEST

START_TEST(one_shot)
{
    ck_assert_int_eq(stage_run("run", "--", "sh", "-c", "echo hi; ls \"$HIRSEL_DIR\"", NULL), 0);
    ck_assert_ptr_nonnull(strstr(stage()->output, "hi\nrun-"));
    /* It ends with its command, daemons and all. */
    ck_assert_int_eq(stage_run("run", "--", "sh", "-c", "sleep 100 & echo $! > left; exit 4", NULL),
                     4);
    ck_assert(stage_await_gone(atoi(stage_line("left"))));
    ck_assert_int_eq(rmdir(stage()->sessions), 0);
}
END_TEST

START_TEST(one_shot_killed)
{
    pid_t run = stage_start("run", "--", "sh", "-c", "echo $$ > up; exec sleep 100", NULL);

    ck_assert(stage_await_file("up"));
    ck_assert_int_eq(kill(run, SIGKILL), 0);
    ck_assert_int_eq(stage_wait(run), -SIGKILL);
    ck_assert(stage_await_gone(atoi(stage_line("up"))));
    /* Teardown sees to it that the session is gone, too; it may take a moment. */
}
END_TEST

/* An installation of one's own, whose fs is this script. */
static void installation_make(const char *fs)
{
    char command[2 * PATH_MAX];
    int script;

    snprintf(
        command, sizeof command,
        "set -e; from=$(dirname \"$(dirname %.200s)\"); rm -rf i; mkdir -p i/bin i/libexec/hirsel;"
        "cp \"$from/bin/hirsel\" i/bin; cd i/libexec/hirsel;"
        "cp \"$from/libexec/hirsel/\"{init,proc,net,enter} .",
        stage()->program);
    setenv("SCRIPT", command, 1);
    ck_assert_int_eq(system("bash -c \"$SCRIPT\""), 0);
    script = open("i/libexec/hirsel/fs", O_CREAT | O_WRONLY | O_TRUNC, 0755);
    ck_assert_int_eq(write(script, fs, strlen(fs)), (ssize_t)strlen(fs));
    close(script);
    snprintf(stage()->program, sizeof stage()->program, "%s/i/bin/hirsel", stage()->directory);
}

START_TEST(a_server_that_does_not_start)
{
    struct stat status;

    installation_make("#!/bin/sh\necho \"now fs[$$]: no, thanks\" >&2\nexit 3\n");
    ck_assert_int_eq(stage_run("start", "work", NULL), 125);
    ck_assert_str_eq(stage()->errors,
                     "hirsel start: cannot start session 'work': fs does not start: "
                     "no, thanks\n");
    ck_assert_int_eq(stage_run("run", "--", "true", NULL), 125);
    /* The session's end and the word of its failure may cross. */
    ck_assert_int_eq(stage_run("list", NULL), 0);
    ck_assert(stat(session_path("work"), &status) != 0 || stage_run("stop", "work", NULL) == 0 ||
              stat(session_path("work"), &status) != 0);
}
END_TEST

START_TEST(a_part_that_is_missing)
{
    installation_make("");
    ck_assert_int_eq(unlink("i/libexec/hirsel/fs"), 0);
    ck_assert_int_eq(stage_run("start", "work", NULL), 0);
    ck_assert_ptr_nonnull(strstr(stage()->output, "incomplete"));
    ck_assert_ptr_nonnull(strstr(stage()->output, "fs is not installed"));
    ck_assert_ptr_nonnull(strstr(stage()->output, "shim"));
    ck_assert_int_eq(stage_run("doctor", "--session", "work", NULL), 1);
    ck_assert_ptr_nonnull(strstr(stage()->output, "not installed:"));
    ck_assert_int_eq(stage_run("run", "--session", "work", "--", "sh", "-c", "exit 3", NULL), 3);
    ck_assert_int_eq(stage_run("stop", "work", NULL), 0);
}
END_TEST

START_TEST(descriptors_of_the_starter)
{
    pid_t init;
    char path[64];
    DIR *list;
    struct dirent *entry;
    int high = 0;
    int stray = open("/dev/zero", O_RDONLY); /* not FD_CLOEXEC */

    ck_assert_int_gt(dup2(stray, 77), 0);
    ck_assert_int_eq(stage_run("start", "work", NULL), 0);
    init = stage_server("work", "init");
    snprintf(path, sizeof path, "/proc/%d/fd", init);
    list = opendir(path);
    ck_assert_ptr_nonnull(list);
    while ((entry = readdir(list)) != NULL) {
        char target[128] = "";

        high += readlinkat(dirfd(list), entry->d_name, target, sizeof target - 1) > 0 &&
                strcmp(target, "/dev/zero") == 0;
    }
    closedir(list);
    ck_assert_int_eq(high, 0);
    ck_assert_int_eq(stage_run("stop", "work", NULL), 0);
}
END_TEST

/* A whole installation of one's own, but that its trap server is this script; NULL: it has none. */
static void trap_replace(const char *script)
{
    char command[2 * PATH_MAX];
    int trap;

    snprintf(command, sizeof command,
             "set -e; from=$(dirname \"$(dirname %.200s)\"); rm -rf i; mkdir -p i;"
             "cp -a \"$from\"/{bin,lib,libexec} i; rm -f i/libexec/hirsel/trap",
             stage()->program);
    setenv("SCRIPT", command, 1);
    ck_assert_int_eq(system("bash -c \"$SCRIPT\""), 0);
    if (script != NULL) {
        trap = open("i/libexec/hirsel/trap", O_CREAT | O_WRONLY | O_TRUNC, 0755);
        ck_assert_int_eq(write(trap, script, strlen(script)), (ssize_t)strlen(script));
        close(trap);
    }
    snprintf(stage()->program, sizeof stage()->program, "%s/i/bin/hirsel", stage()->directory);
}

/* The command runs, once; the user is told, once. */
static void untrapped_run(void)
{
    ck_assert_int_eq(stage_run("run", "--", "sh", "-c", "echo once; exit 3", NULL), 3);
    ck_assert_str_eq(stage()->output, "once\n");
    ck_assert_ptr_nonnull(strstr(stage()->errors, "not retargeted"));
    ck_assert_ptr_eq(strchr(stage()->errors, '\n'), strrchr(stage()->errors, '\n'));
    ck_assert_int_eq(stage_run("run", "--no-trap", "--", "sh", "-c", "exit 4", NULL), 4);
    ck_assert_str_eq(stage()->errors, "");
    /* What can't be held does not run. */
    ck_assert_int_eq(stage_run("run", "--confine", "--", "touch", "ran", NULL), 125);
    ck_assert_ptr_nonnull(strstr(stage()->errors, "cannot confine"));
    ck_assert_int_ne(access("ran", F_OK), 0);
}

START_TEST(no_trap_server)
{
    trap_replace(NULL);
    untrapped_run();
}
END_TEST

START_TEST(a_trap_server_that_does_not_start)
{
    trap_replace("#!/bin/sh\nexit 3\n");
    untrapped_run();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("session_life");
    TCase *cases = tcase_create("life");
    SRunner *runner;
    int failed;

    tcase_add_checked_fixture(cases, stage_setup, stage_teardown);
    tcase_set_timeout(cases, 60);
    tcase_add_test(cases, start_and_stop);
    tcase_add_test(cases, two_at_the_same_time);
    tcase_add_test(cases, bad_names);
    tcase_add_test(cases, unsafe_directories);
    tcase_add_test(cases, a_long_path_is_refused);
    tcase_add_test(cases, killed_init);
    tcase_add_test(cases, started_again_after_a_kill);
    tcase_add_test(cases, killed_init_and_a_program);
    tcase_add_test(cases, terminated_init);
    tcase_add_test(cases, stop_ends_the_stubborn);
    tcase_add_test(cases, stop_wakes_the_stopped);
    tcase_add_test(cases, one_shot);
    tcase_add_test(cases, one_shot_killed);
    tcase_add_test(cases, a_server_that_does_not_start);
    tcase_add_test(cases, a_part_that_is_missing);
    tcase_add_test(cases, descriptors_of_the_starter);
    tcase_add_test(cases, no_trap_server);
    tcase_add_test(cases, a_trap_server_that_does_not_start);
    suite_add_tcase(suite, cases);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
