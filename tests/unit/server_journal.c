/* At most once: what was done is answered, across a kill at any instant. */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "servers/lib/journal.h"
#include "tests/unit/fixture/folder.h"

static char directory[64];
static char path[80];

static void setup(void)
{
    folder_make(directory, sizeof(directory));
    snprintf(path, sizeof(path), "%s/requests", directory);
}

static void teardown(void)
{
    unlink(path);
    ck_assert_int_eq(rmdir(directory), 0);
}

START_TEST(states)
{
    struct journal journal;
    uint64_t value = 0;
    int error = 0;

    ck_assert_int_eq(journal_open(&journal, path), 0);
    ck_assert_int_eq(journal_find(&journal, 5, &error, &value), JOURNAL_NEW);
    journal_begin(&journal, 5, 77);
    journal_close(&journal);
    /* A new life. */
    ck_assert_int_eq(journal_open(&journal, path), 0);
    ck_assert_int_eq(journal_find(&journal, 5, &error, &value), JOURNAL_BEGUN);
    ck_assert_uint_eq(value, 77);
    journal_begin(&journal, 5, 77);
    journal_end(&journal, 5, EEXIST, 78);
    journal_close(&journal);
    ck_assert_int_eq(journal_open(&journal, path), 0);
    ck_assert_int_eq(journal_find(&journal, 5, &error, &value), JOURNAL_ENDED);
    ck_assert_int_eq(error, EEXIST);
    ck_assert_uint_eq(value, 78);
    journal_end(&journal, 6, 0, 0); /* never begun: harmless */
    ck_assert_int_eq(journal_find(&journal, 6, &error, &value), JOURNAL_NEW);
    journal_close(&journal);
}
END_TEST

START_TEST(the_last_256)
{
    struct journal journal;
    uint64_t value;
    int error;

    ck_assert_int_eq(journal_open(&journal, path), 0);
    for (uint64_t i = 1; i <= 1000; i++) {
        journal_begin(&journal, i, i);
        journal_end(&journal, i, (int)(i % 100), i * 2);
    }
    for (uint64_t i = 1; i <= 1000; i++) {
        enum journal_state state = journal_find(&journal, i, &error, &value);
        ck_assert_int_eq(state, i > 1000 - JOURNAL_SLOTS ? JOURNAL_ENDED : JOURNAL_NEW);
        if (state == JOURNAL_ENDED) {
            ck_assert_int_eq(error, (int)(i % 100));
            ck_assert_uint_eq(value, i * 2);
        }
    }
    journal_close(&journal);
}
END_TEST

START_TEST(numbers_do_not_come_again)
{
    struct journal journal;

    ck_assert_int_eq(journal_open(&journal, path), 0);
    ck_assert_uint_eq(journal_next(&journal, 0), 1);
    ck_assert_uint_eq(journal_next(&journal, 0), 2);
    ck_assert_uint_eq(journal_next(&journal, 1), 1);
    journal_close(&journal);
    ck_assert_int_eq(journal_open(&journal, path), 0);
    ck_assert_uint_eq(journal_next(&journal, 0), 3);
    journal_skip(&journal, 0, 10);
    journal_skip(&journal, 0, 5);
    ck_assert_uint_eq(journal_next(&journal, 0), 11);
    journal_close(&journal);
}
END_TEST

START_TEST(damaged_is_replaced)
{
    struct journal journal;
    int descriptor = open(path, O_WRONLY | O_CREAT, 0600);

    ck_assert_int_eq(write(descriptor, "rubbish", 7), 7);
    close(descriptor);
    ck_assert_int_eq(journal_open(&journal, path), 0);
    ck_assert_uint_eq(journal_next(&journal, 0), 1);
    journal_close(&journal);
}
END_TEST

/* A server that adds one to a counter for each request, killed again and again; its client repeats
 * what was not answered. Each is done once: the begun value says which number the request was to
 * make, so that finding it made is success. */

static _Noreturn void server(const char *made_path, uint64_t request)
{
    struct journal journal;
    uint64_t value, made = 0;
    int error, descriptor = open(made_path, O_RDWR);

    if (descriptor < 0 || journal_open(&journal, path))
        _exit(1);
    for (;; request++) {
        enum journal_state state = journal_find(&journal, request, &error, &value);
        if (state == JOURNAL_ENDED)
            continue;
        if (pread(descriptor, &made, sizeof(made), 0) < 0)
            _exit(1);
        if (state == JOURNAL_NEW) {
            value = made + 1;
            journal_begin(&journal, request, value);
        }
        if (made != value && pwrite(descriptor, &value, sizeof(value), 0) != sizeof(value))
            _exit(1);
        journal_end(&journal, request, 0, value);
    }
}

START_TEST(killed_and_repeated)
{
    char made_path[80];
    uint64_t request = 1, made, value;
    struct journal journal;
    int error, descriptor;

    snprintf(made_path, sizeof(made_path), "%s/made", directory);
    descriptor = open(made_path, O_RDWR | O_CREAT, 0600);
    ck_assert_int_eq(write(descriptor, &(uint64_t){0}, 8), 8);
    for (int round = 0; round < 40; round++) {
        struct timespec pause = {0, 500000 + round * 21000};
        pid_t child = fork();
        if (child == 0)
            server(made_path, request);
        nanosleep(&pause, NULL);
        kill(child, SIGKILL);
        waitpid(child, NULL, 0);
        ck_assert_int_eq(journal_open(&journal, path), 0);
        ck_assert_int_eq(pread(descriptor, &made, 8, 0), 8);
        /* Where it stands: the last one that was made, begun or ended. */
        if (made > 0) {
            enum journal_state state = journal_find(&journal, made, &error, &value);
            ck_assert_int_ne(state, JOURNAL_NEW);
            ck_assert_uint_eq(value, made);
            request = made > 100 ? made - 100 : 1;
        }
        journal_close(&journal);
    }
    close(descriptor);
    unlink(made_path);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("server_journal");
    TCase *tests = tcase_create("journal");
    SRunner *runner;
    int failed;

    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, states);
    tcase_add_test(tests, the_last_256);
    tcase_add_test(tests, numbers_do_not_come_again);
    tcase_add_test(tests, damaged_is_replaced);
    tcase_add_test(tests, killed_and_repeated);
    suite_add_tcase(suite, tests);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
