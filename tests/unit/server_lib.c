/* The common frame's parts: the log, what /proc says, removing trees, session directories, giving
 * up system calls. */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "servers/lib/directory.h"
#include "servers/lib/installed.h"
#include "servers/lib/process.h"
#include "servers/lib/server.h"
#include "tests/unit/fixture/folder.h"

static char place[64];

static void setup(void)
{
    folder_make(place, sizeof place);
    ck_assert_int_eq(chdir(place), 0);
}

static void teardown(void)
{
    ck_assert_int_eq(chdir("/"), 0);
    ck_assert_int_eq(directory_remove(place, NULL), 0);
    ck_assert_int_eq(access(place, F_OK), -1);
}

/* What log_line wrote, behind its time and name. */
static const char *logged(const char *text)
{
    static char line[4096];
    int saved = dup(STDERR_FILENO);
    int log = open("log", O_CREAT | O_TRUNC | O_RDWR | O_APPEND, 0600);
    ssize_t length;

    dup2(log, STDERR_FILENO);
    log_line("%s", text);
    dup2(saved, STDERR_FILENO);
    length = pread(log, line, sizeof line - 1, 0);
    line[length < 0 ? 0 : length] = '\0';
    close(log);
    close(saved);
    return strstr(line, "]: ") == NULL ? line : strstr(line, "]: ") + 3;
}

START_TEST(log_is_one_line)
{
    char large[10000];

    log_name("test");
    ck_assert_str_eq(logged("plain"), "plain\n");
    ck_assert_str_eq(logged("two\nlines\t\033[31m\177"), "two\\x0alines\\x09\\x1b[31m\\x7f\n");
    ck_assert_str_eq(logged("gr\303\274n \342\202\254"), "gr\303\274n \342\202\254\n");
    ck_assert_str_eq(logged("\377\303 \302\233 \342\202"), "\\xff\\xc3 \\xc2\\x9b \\xe2\\x82\n");
    memset(large, 'x', sizeof large);
    large[sizeof large - 1] = '\0';
    ck_assert_uint_lt(strlen(logged(large)), 1100);
    ck_assert_int_eq(strchr(logged(large), '\n')[1], '\0');
}
END_TEST

START_TEST(log_is_bounded)
{
    int log = open("log", O_CREAT | O_TRUNC | O_RDWR | O_APPEND, 0600);
    struct stat status;

    dup2(log, STDERR_FILENO);
    for (int i = 0; i < 100000; i++)
        log_line("the same again");
    ck_assert_int_eq(fstat(log, &status), 0);
    ck_assert_int_lt(status.st_size, 100000);
}
END_TEST

START_TEST(processes)
{
    struct process_details details;
    struct process_entry *entries;
    size_t count;
    pid_t parent;
    uint64_t start;
    pid_t child;

    /* A name made to mislead who reads /proc/PID/stat. */
    prctl(PR_SET_NAME, ") Z 1 (x");
    ck_assert_int_eq(process_stat(getpid(), &parent, &start), 0);
    ck_assert_int_eq(parent, getppid());
    ck_assert_uint_gt(start, 0);
    ck_assert_int_eq(process_details(getpid(), &details), 0);
    ck_assert_int_eq(details.state, 'R');
    ck_assert_int_eq(details.group, getpgrp());
    ck_assert_int_eq(details.session, getsid(0));
    ck_assert_int_eq(process_stat(0, NULL, NULL), ESRCH);
    ck_assert_int_eq(process_stat(-1, NULL, NULL), ESRCH);
    child = fork();
    if (child == 0) {
        pause();
        _exit(0);
    }
    ck_assert_int_eq(process_scan(&entries, &count), 0);
    ck_assert_ptr_nonnull(process_find(entries, count, child));
    ck_assert_int_eq(process_descends(entries, count, child, getpid()), 1);
    ck_assert_int_eq(process_descends(entries, count, getpid(), child), 0);
    ck_assert_int_eq(process_descends(entries, count, getpid(), getpid()), 0);
    ck_assert_int_eq(process_descends(entries, count, child, 1), 1);
    free(entries);
    ck_assert_int_eq(process_stat(child, NULL, &start), 0);
    /* Another that had the number before is not meant. */
    ck_assert_int_eq(process_signal(child, start - 1, SIGKILL), ESRCH);
    ck_assert_int_eq(process_signal(child, start, 0), 0);
    ck_assert_int_eq(process_signal(child, start, 999), EINVAL);
    ck_assert_int_eq(process_signal(child, start, SIGKILL), 0);
    ck_assert_int_eq(waitpid(child, NULL, 0), child);
    ck_assert_int_eq(process_signal(child, start, 0), ESRCH);
    ck_assert_int_eq(process_stat(child, NULL, NULL), ESRCH);
}
END_TEST

START_TEST(removing)
{
    int at, next;

    ck_assert_int_eq(mkdir("tree", 0700), 0);
    ck_assert_int_eq(symlink("/etc", "tree/link"), 0);
    ck_assert_int_eq(mkdir("tree/keep", 0700), 0);
    ck_assert_int_eq(mkdir("tree/closed", 0700), 0);
    ck_assert_int_eq(close(open("tree/closed/file", O_CREAT | O_WRONLY, 0)), 0);
    ck_assert_int_eq(chmod("tree/closed", 0), 0);
    /* Deeper than descriptors and PATH_MAX go. */
    at = open("tree", O_RDONLY | O_DIRECTORY);
    for (int i = 0; i < 3000; i++) {
        ck_assert_int_eq(mkdirat(at, "deep", 0700), 0);
        ck_assert_int_eq(close(openat(at, "file", O_CREAT | O_WRONLY, 0600)), 0);
        next = openat(at, "deep", O_RDONLY | O_DIRECTORY);
        ck_assert_int_ge(next, 0);
        if (i % 500 == 7)
            ck_assert_int_eq(fchmod(at, i == 7 ? 0500 : 0), 0);
        close(at);
        at = next;
    }
    close(at);
    ck_assert_int_eq(directory_remove("tree", "keep"), 0);
    ck_assert_int_eq(access("tree/keep", F_OK), 0);
    ck_assert_int_eq(access("tree/deep", F_OK), -1);
    ck_assert_int_eq(access("/etc/passwd", F_OK), 0);
    ck_assert_int_eq(directory_remove("tree", NULL), 0);
    ck_assert_int_eq(access("tree", F_OK), -1);
    ck_assert_int_eq(directory_remove("tree", NULL), 0);
}
END_TEST

START_TEST(names)
{
    ck_assert(session_name_valid("work"));
    ck_assert(session_name_valid("a.b_c-D9"));
    ck_assert(!session_name_valid(""));
    ck_assert(!session_name_valid("."));
    ck_assert(!session_name_valid("-a"));
    ck_assert(!session_name_valid("a/b"));
    ck_assert(!session_name_valid("a b"));
    ck_assert(!session_name_valid("\303\274"));
    ck_assert_ptr_null(directory_unfit("/tmp/hirsel-1000/work"));
    ck_assert_ptr_nonnull(directory_unfit("/tmp/a:b"));
    ck_assert_ptr_nonnull(directory_unfit("/tmp/$ORIGIN"));
}
END_TEST

START_TEST(directories)
{
    bool stale, removed, killed;
    int lock, other;

    ck_assert_int_eq(directory_check("none"), ENOENT);
    ck_assert_int_eq(mkdir("open", 0755), 0);
    ck_assert_int_eq(chmod("open", 0755), 0);
    ck_assert_int_eq(directory_check("open"), EPERM);
    ck_assert_int_eq(symlink("open", "link"), 0);
    ck_assert_int_eq(directory_check("link"), ENOTDIR);
    ck_assert_int_eq(directory_lock("session", &lock, &stale), 0);
    ck_assert(!stale);
    ck_assert_int_eq(directory_check("session"), 0);
    ck_assert_int_eq(directory_lock("session", &other, &stale), EBUSY);
    ck_assert_int_eq(directory_clean("session", &removed, &killed), 0);
    ck_assert(!removed && !killed);
    /* It dies. */
    ck_assert_int_eq(close(open("session/init", O_CREAT | O_WRONLY, 0600)), 0);
    close(lock);
    ck_assert_int_eq(directory_lock("session", &lock, &stale), 0);
    ck_assert(stale);
    ck_assert_int_eq(access("session/init", F_OK), -1);
    ck_assert_int_eq(close(open("session/init", O_CREAT | O_WRONLY, 0600)), 0);
    close(lock);
    ck_assert_int_eq(directory_clean("session", &removed, &killed), 0);
    ck_assert(removed && killed);
    ck_assert_int_eq(access("session", F_OK), -1);
    /* A lock that is a symlink leads nowhere. */
    ck_assert_int_eq(mkdir("session", 0700), 0);
    ck_assert_int_eq(symlink("../victim", "session/lock"), 0);
    ck_assert_int_eq(directory_lock("session", &lock, &stale), ELOOP);
    ck_assert_int_eq(access("victim", F_OK), -1);
}
END_TEST

/* Many make, lock, and clean at the same time: never two at once. */
START_TEST(directories_raced)
{
    pid_t children[6];
    int status;

    for (int i = 0; i < 6; i++) {
        children[i] = fork();
        if (children[i] != 0)
            continue;
        for (int round = 0; round < 200; round++) {
            bool stale, removed, killed;
            int lock;

            if (directory_lock("session", &lock, &stale) == 0) {
                int alone = open("session/alone", O_CREAT | O_EXCL | O_WRONLY, 0600);

                if (alone < 0)
                    _exit(1);
                close(alone);
                if (unlink("session/alone") != 0)
                    _exit(2);
                close(lock);
            }
            directory_clean("session", &removed, &killed);
        }
        _exit(0);
    }
    for (int i = 0; i < 6; i++) {
        ck_assert_int_eq(waitpid(children[i], &status, 0), children[i]);
        ck_assert_int_eq(status, 0);
    }
}
END_TEST

START_TEST(narrowing)
{
    pid_t child = fork();
    int status;

    if (child == 0) {
        static const int more[] = {SYS_mkdir, -1};

        if (server_narrow(more, 0) != 0)
            _exit(1);
        if (mkdir("allowed", 0700) != 0)
            _exit(2);
        if (rmdir("allowed") != -1 || errno != EPERM)
            _exit(3);
        if (fork() != -1 || errno != EPERM)
            _exit(4);
        if (execl("/bin/true", "true", NULL) != -1 || errno != EPERM)
            _exit(5);
        if (socket(AF_INET, SOCK_STREAM, 0) != -1 || errno != EPERM)
            _exit(6);
        if (close(socket(AF_UNIX, SOCK_SEQPACKET, 0)) != 0)
            _exit(7);
        if (kill(getppid(), 0) != -1 || errno != EPERM)
            _exit(8);
        if (open("/dev/null", O_RDONLY) < 0)
            _exit(9);
        _exit(0);
    }
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_msg(status == 0, "status %x", (unsigned)status);
}
END_TEST

START_TEST(installation)
{
    char path[4096];

    ck_assert_int_eq(installed_path(2, "bin/hirsel", path, sizeof path), 0);
    ck_assert_int_eq(path[0], '/');
    ck_assert_ptr_nonnull(strstr(path, "/bin/hirsel"));
    ck_assert_int_eq(installed_path(2, "bin/hirsel", path, 5), ENAMETOOLONG);
    ck_assert_int_eq(installed_path(100, "bin/hirsel", path, sizeof path), ENOENT);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("server_lib");
    TCase *cases = tcase_create("lib");
    SRunner *runner;
    int failed;

    tcase_add_checked_fixture(cases, setup, teardown);
    tcase_set_timeout(cases, 60);
    tcase_add_test(cases, log_is_one_line);
    tcase_add_test(cases, log_is_bounded);
    tcase_add_test(cases, processes);
    tcase_add_test(cases, removing);
    tcase_add_test(cases, names);
    tcase_add_test(cases, directories);
    tcase_add_test(cases, directories_raced);
    tcase_add_test(cases, narrowing);
    tcase_add_test(cases, installation);
    suite_add_tcase(suite, cases);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
