/* Whose names a caller has, where trees are nested. */
#include <check.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "servers/lib/server.h"
#include "servers/trap/homes.h"

#define LISTENER 7

static struct homes *homes;

static void setup(void)
{
    homes = homes_new();
    ck_assert_ptr_nonnull(homes);
}

static struct home home_of_process(pid_t pid, uint64_t space)
{
    struct home home = {.root = pid, .space = space, .listener = LISTENER};

    ck_assert_int_eq(process_stat(pid, NULL, &home.start_time), 0);
    return home;
}

START_TEST(nothing_is_nested)
{
    struct home found;
    char session[SESSION_LIMIT];

    ck_assert(!homes_any(homes, LISTENER));
    ck_assert(!home_of(homes, LISTENER, 1, getpid(), &found, session));
}
END_TEST

START_TEST(the_nearest_root_counts)
{
    struct home outer = home_of_process(getppid(), 3), inner = home_of_process(getpid(), 4), found;
    char session[SESSION_LIMIT];

    ck_assert_int_eq(home_add(homes, &outer, NULL), 0);
    ck_assert(homes_any(homes, LISTENER));
    ck_assert(home_of(homes, LISTENER, 1, getpid(), &found, session));
    ck_assert_uint_eq(found.space, 3);
    ck_assert_str_eq(session, "");
    ck_assert_int_eq(home_add(homes, &inner, NULL), 0);
    /* At once: what was known of the caller is out of date. */
    ck_assert(home_of(homes, LISTENER, 1, getpid(), &found, session));
    ck_assert_uint_eq(found.space, 4);
    home_remove(homes, inner.root, inner.start_time);
    ck_assert(home_of(homes, LISTENER, 1, getpid(), &found, session));
    ck_assert_uint_eq(found.space, 3);
    home_remove(homes, outer.root, outer.start_time);
    ck_assert(!homes_any(homes, LISTENER));
    ck_assert(!home_of(homes, LISTENER, 1, getpid(), &found, session));
}
END_TEST

START_TEST(of_another_listener)
{
    struct home own = home_of_process(getpid(), 3), found;
    char session[SESSION_LIMIT];

    ck_assert_int_eq(home_add(homes, &own, NULL), 0);
    ck_assert(!homes_any(homes, LISTENER + 1));
    ck_assert(!home_of(homes, LISTENER + 1, 1, getpid(), &found, session));
}
END_TEST

START_TEST(a_number_that_came_again)
{
    struct home own = home_of_process(getpid(), 3), found;
    char session[SESSION_LIMIT];

    own.start_time++;
    ck_assert_int_eq(home_add(homes, &own, NULL), 0);
    ck_assert(!home_of(homes, LISTENER, 1, getpid(), &found, session));
    home_remove(homes, own.root, own.start_time - 1);
    ck_assert(homes_any(homes, LISTENER));
}
END_TEST

START_TEST(of_another_session)
{
    struct home own = home_of_process(getpid(), 3), found;
    char session[SESSION_LIMIT], longest[SESSION_LIMIT + 1];

    ck_assert_int_eq(home_add(homes, &own, "/run/other"), 0);
    ck_assert(home_of(homes, LISTENER, 1, getpid(), &found, session));
    ck_assert_str_eq(session, "/run/other");
    memset(longest, 'a', SESSION_LIMIT);
    longest[SESSION_LIMIT] = '\0';
    ck_assert_int_eq(home_add(homes, &own, longest), ENAMETOOLONG);
}
END_TEST

START_TEST(sessions_are_forgotten)
{
    struct home own = home_of_process(getpid(), 3);

    for (int i = 0; i < 3 * JOINED_MAX; i++) {
        char session[32];

        snprintf(session, sizeof session, "/run/%d", i);
        ck_assert_int_eq(home_add(homes, &own, session), 0);
        home_remove(homes, own.root, own.start_time);
    }
    for (int i = 0; i < JOINED_MAX; i++) {
        char session[32];

        snprintf(session, sizeof session, "/run/%d", i);
        own.root = 100 + i;
        ck_assert_int_eq(home_add(homes, &own, session), 0);
    }
    own.root++;
    ck_assert_int_eq(home_add(homes, &own, "/run/more"), ENOSPC);
    ck_assert_int_eq(home_add(homes, &own, "/run/3"), 0);
}
END_TEST

START_TEST(no_more_than_fit)
{
    struct home own = home_of_process(getpid(), 3);

    for (int i = 0; i < HOMES_MAX; i++) {
        own.root = 1000 + i;
        ck_assert_int_eq(home_add(homes, &own, NULL), 0);
    }
    own.root++;
    ck_assert_int_eq(home_add(homes, &own, NULL), ENOSPC);
    home_remove(homes, 1500, own.start_time);
    ck_assert_int_eq(home_add(homes, &own, NULL), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("trap_homes");
    TCase *cases = tcase_create("homes");
    SRunner *runner = srunner_create(suite);
    int failed;

    suite_add_tcase(suite, cases);
    tcase_add_checked_fixture(cases, setup, NULL);
    tcase_add_test(cases, nothing_is_nested);
    tcase_add_test(cases, the_nearest_root_counts);
    tcase_add_test(cases, of_another_listener);
    tcase_add_test(cases, a_number_that_came_again);
    tcase_add_test(cases, of_another_session);
    tcase_add_test(cases, sessions_are_forgotten);
    tcase_add_test(cases, no_more_than_fit);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
