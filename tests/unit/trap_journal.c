/* The journal, and who has a slot of it. */
#include <check.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "servers/trap/journal.h"

static int journal_new(void)
{
    int file = memfd_create("journal", MFD_CLOEXEC);

    ck_assert_int_ge(file, 0);
    ck_assert_int_eq(ftruncate(file, JOURNAL_SIZE), 0);
    return file;
}

START_TEST(stays_what_it_was)
{
    int file = journal_new();
    struct journal *first = journal_map(file), *second;

    ck_assert_ptr_nonnull(first);
    ck_assert_uint_eq(first->slots[3].notification.id, 0);
    first->slots[3].notification.id = 17;
    count_add(&first->counts[257].answered);
    journal_unmap(first);
    second = journal_map(file);
    ck_assert_ptr_nonnull(second);
    ck_assert_uint_eq(second->slots[3].notification.id, 17);
    ck_assert_uint_eq(second->counts[257].answered, 1);
}
END_TEST

START_TEST(is_refused_what_is_none)
{
    int small = memfd_create("small", MFD_CLOEXEC), file = journal_new();
    uint64_t junk = 1;

    ck_assert_ptr_null(journal_map(small));
    ck_assert_int_eq(errno, EINVAL);
    ck_assert_int_eq(pwrite(file, &junk, sizeof junk, 0), sizeof junk);
    ck_assert_ptr_null(journal_map(file));
    ck_assert_int_eq(errno, EBADMSG);
}
END_TEST

/* A process that has the slot says so on the pipe, and keeps it until it is killed. */
static pid_t slot_keeper(int file, unsigned index, int said)
{
    pid_t pid = fork();

    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        char byte = 'x';

        if (journal_lock(file, index) != 0 || write(said, &byte, 1) != 1)
            _exit(1);
        for (;;)
            pause();
    }
    return pid;
}

static bool said_within(int said, int seconds)
{
    struct timeval wait = {.tv_sec = seconds};
    fd_set set;

    FD_ZERO(&set);
    FD_SET(said, &set);
    return select(said + 1, &set, NULL, NULL, &wait) == 1;
}

START_TEST(one_at_a_time_has_a_slot)
{
    int file = journal_new(), first[2], second[2], other[2];
    pid_t keeper, waiter, neighbour;

    ck_assert_int_eq(pipe(first) | pipe(second) | pipe(other), 0);
    keeper = slot_keeper(file, 2, first[1]);
    ck_assert(said_within(first[0], 10));
    neighbour = slot_keeper(file, 3, other[1]);
    ck_assert(said_within(other[0], 10));
    waiter = slot_keeper(file, 2, second[1]);
    ck_assert(!said_within(second[0], 1));
    kill(keeper, SIGKILL);
    ck_assert(said_within(second[0], 10));
    kill(waiter, SIGKILL);
    kill(neighbour, SIGKILL);
    while (wait(NULL) > 0)
        ;
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("trap_journal");
    TCase *cases = tcase_create("journal");
    SRunner *runner = srunner_create(suite);
    int failed;

    suite_add_tcase(suite, cases);
    tcase_set_timeout(cases, 60);
    tcase_add_test(cases, stays_what_it_was);
    tcase_add_test(cases, is_refused_what_is_none);
    tcase_add_test(cases, one_at_a_time_has_a_slot);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
