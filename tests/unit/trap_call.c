/* Arguments brought over from another process, and results taken back. */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "servers/trap/call.h"

/* What the caller has in its memory; it is a copy of ours, so its addresses are known. */
static char *page;
static pid_t caller;
static struct client client;
static struct call call;

static void setup(void)
{
    page = mmap(NULL, 3 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ck_assert_ptr_ne(page, MAP_FAILED);
    munmap(page + 2 * 4096, 4096);
    memset(page, 'a', 2 * 4096);
    strcpy(page, "/first");
    strcpy(page + 100, "/second");
    strcpy(page + 4096 - 3, "/across/pages");
    strcpy(page + 2 * 4096 - 5, "/end");
    memset(page + 5000, 'l', 2500);
}

static void caller_start(void)
{
    caller = fork();
    ck_assert_int_ge(caller, 0);
    if (caller == 0)
        for (;;)
            pause();
    client_begin(&client, caller, -1);
}

static void teardown(void)
{
    client_end(&client);
    if (caller > 0) {
        kill(caller, SIGKILL);
        waitpid(caller, NULL, 0);
    }
}

static void begin(int number, const void *one, const void *two, long three, long four)
{
    struct seccomp_notif notification = {
        .pid = (uint32_t)caller,
        .data = {.nr = number,
                 .args = {(uint64_t)one, (uint64_t)two, (uint64_t)three, (uint64_t)four}}};

    call_begin(&call, &notification);
}

START_TEST(paths)
{
    caller_start();
    begin(SYS_rename, page, page + 100, 0, 0);
    ck_assert_int_eq(call_bring_paths(&call, &client), 0);
    ck_assert_str_eq(call.paths[0], "/first");
    ck_assert_str_eq(call.paths[1], "/second");
    ck_assert_ptr_eq((void *)call.arguments[0], call.paths[0]);
    ck_assert_int_eq(call.given[0], (long)page);
    begin(SYS_open, page + 4096 - 3, NULL, 0, 0);
    ck_assert_int_eq(call_bring_paths(&call, &client), 0);
    ck_assert_str_eq(call.paths[0], "/across/pages");
    begin(SYS_open, page + 2 * 4096 - 5, NULL, 0, 0);
    ck_assert_int_eq(call_bring_paths(&call, &client), 0);
    ck_assert_str_eq(call.paths[0], "/end");
}
END_TEST

START_TEST(paths_that_are_none)
{
    memset(page + 10, 'x', 2 * 4096 - 10);
    caller_start();
    begin(SYS_open, NULL, NULL, 0, 0);
    ck_assert_int_eq(call_bring_paths(&call, &client), 1);
    begin(SYS_open, (void *)8, NULL, 0, 0);
    ck_assert_int_eq(call_bring_paths(&call, &client), -EFAULT);
    begin(SYS_open, page + 2 * 4096 - 5, NULL, 0, 0);
    ck_assert_int_eq(call_bring_paths(&call, &client), -EFAULT);
    begin(SYS_open, page + 10, NULL, 0, 0);
    ck_assert_int_eq(call_bring_paths(&call, &client), -ENAMETOOLONG);
}
END_TEST

START_TEST(a_caller_that_is_gone)
{
    caller_start();
    kill(caller, SIGKILL);
    waitpid(caller, NULL, 0);
    caller = 0;
    begin(SYS_open, page, NULL, 0, 0);
    ck_assert_int_eq(call_bring_paths(&call, &client), -ESRCH);
}
END_TEST

START_TEST(results)
{
    struct stat status;

    caller_start();
    begin(SYS_stat, page, page + 2000, 0, 0);
    ck_assert_int_eq(call_bring_rest(&call, &client), 0);
    memset((void *)call.arguments[1], 7, sizeof status);
    ck_assert_int_eq(call_return(&call, &client, 0), 0);
    ck_assert_int_eq(client_read(&client, &status, (uint64_t)page + 2000, sizeof status), 0);
    ck_assert_int_eq(((char *)&status)[sizeof status - 1], 7);
    /* An error brings nothing back. */
    begin(SYS_stat, page, page + 3000, 0, 0);
    ck_assert_int_eq(call_bring_rest(&call, &client), 0);
    memset((void *)call.arguments[1], 8, sizeof status);
    ck_assert_int_eq(call_return(&call, &client, -ENOENT), -ENOENT);
    ck_assert_int_eq(client_read(&client, &status, (uint64_t)page + 3000, sizeof status), 0);
    ck_assert_int_eq(((char *)&status)[0], 'a');
    begin(SYS_stat, page, (void *)16, 0, 0);
    ck_assert_int_eq(call_bring_rest(&call, &client), 0);
    ck_assert_int_eq(call_return(&call, &client, 0), -EFAULT);
}
END_TEST

START_TEST(as_much_as_the_result_says)
{
    char text[8] = {0};

    caller_start();
    begin(SYS_readlink, page, page + 2000, 4096, 0);
    ck_assert_int_eq(call_bring_rest(&call, &client), 0);
    ck_assert_int_eq(call.arguments[2], 4096);
    memset((void *)call.arguments[1], 'r', 4096);
    ck_assert_int_eq(call_return(&call, &client, 3), 3);
    ck_assert_int_eq(client_read(&client, text, (uint64_t)page + 2000, 5), 0);
    ck_assert_str_eq(text, "rrraa");
    /* What has no room is the kernel's to refuse; too much room is cut. */
    begin(SYS_readlink, page, page + 2000, 0, 0);
    ck_assert_int_eq(call_bring_rest(&call, &client), 0);
    ck_assert_uint_eq(call.result_count, 0);
    begin(SYS_readlink, page, page + 2000, -1, 0);
    ck_assert_int_eq(call_bring_rest(&call, &client), 0);
    ck_assert_uint_eq(call.result_count, 0);
    begin(SYS_getdents64, (void *)3, page, INT32_MAX, 0);
    ck_assert_int_eq(call_bring_rest(&call, &client), 0);
    ck_assert_int_eq(call.arguments[2], BUFFER_LIMIT);
}
END_TEST

START_TEST(structures)
{
    struct open_how how = {.flags = O_PATH, .resolve = RESOLVE_BENEATH};

    memcpy(page + 2048, &how, sizeof how);
    caller_start();
    begin(SYS_openat2, (void *)(long)AT_FDCWD, page, (long)page + 2048, sizeof how);
    ck_assert_int_eq(call_bring_rest(&call, &client), 0);
    ck_assert_int_eq(memcmp((void *)call.arguments[2], &how, sizeof how), 0);
    begin(SYS_openat2, (void *)(long)AT_FDCWD, page, (long)page + 2048, 1 << 20);
    ck_assert_int_eq(call_bring_rest(&call, &client), -E2BIG);
    begin(SYS_utimensat, (void *)(long)AT_FDCWD, page, 0, 0);
    ck_assert_int_eq(call_bring_rest(&call, &client), 0);
    ck_assert_int_eq(call.arguments[2], 0);
    begin(SYS_utimensat, (void *)(long)AT_FDCWD, page, 8, 0);
    ck_assert_int_eq(call_bring_rest(&call, &client), -EFAULT);
}
END_TEST

START_TEST(descriptors)
{
    int ends[2];
    long own;

    ck_assert_int_eq(pipe(ends), 0);
    caller_start();
    own = client_descriptor(&client, ends[1]);
    if (own == -EPERM)
        return; /* not allowed here */
    ck_assert_int_ge(own, 0);
    ck_assert_int_eq(write((int)own, "x", 1), 1);
    ck_assert_int_eq(client_descriptor(&client, 999), -EBADF);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("trap_call");
    TCase *cases = tcase_create("call");
    SRunner *runner = srunner_create(suite);
    int failed;

    suite_add_tcase(suite, cases);
    tcase_add_checked_fixture(cases, setup, teardown);
    tcase_add_test(cases, paths);
    tcase_add_test(cases, paths_that_are_none);
    tcase_add_test(cases, a_caller_that_is_gone);
    tcase_add_test(cases, results);
    tcase_add_test(cases, as_much_as_the_result_says);
    tcase_add_test(cases, structures);
    tcase_add_test(cases, descriptors);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
