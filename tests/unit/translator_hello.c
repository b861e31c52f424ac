/* Tier 1: hello and null, over the protocol. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <check.h>

#include "tests/unit/fixture/translator_client.h"

static struct client client;

static void hello_set_up(void)
{
    client_start(&client, "hello", NULL);
}

static void null_set_up(void)
{
    client_start(&client, "null", NULL);
}

static void tear_down(void)
{
    client_stop(&client);
}

START_TEST(greets)
{
    char *text = client_read(&client, "", NULL);

    ck_assert_str_eq(text, "Hello, world!\n");
    free(text);
}
END_TEST

START_TEST(keeps_identity)
{
    struct stat before, after, opened;
    int one, other;

    ck_assert_int_eq(client_stat(&client, "", &before), 0);
    ck_assert_uint_eq(before.st_mode, S_IFREG | 0444);
    one = client_open(&client, "", O_RDONLY);
    ck_assert(fstat(one, &opened) == 0);
    ck_assert_uint_eq(opened.st_ino, before.st_ino);
    ck_assert_uint_eq(opened.st_dev, before.st_dev);
    other = client_open(&client, "", O_RDONLY);
    ck_assert_int_eq(client_stat(&client, "", &after), 0);
    ck_assert_uint_eq(after.st_ino, before.st_ino);
    ck_assert_int_eq(after.st_size, 14);
    ck_assert_uint_eq(after.st_mode, S_IFREG | 0444);
    ck_assert(fcntl(one, F_GETFD) & FD_CLOEXEC);
    close(one);
    close(other);
    client_kill(&client);
    client_restart(&client);
    ck_assert_int_eq(client_stat(&client, "", &after), 0);
    ck_assert_uint_eq(after.st_ino, before.st_ino);
}
END_TEST

START_TEST(finds_the_file_that_fs_made)
{
    struct stat native, told;

    client_kill(&client);
    shell(&client, "rm nodes/7/file && install -m 444 /dev/null nodes/7/file");
    shell(&client, "test $(stat -c %%s nodes/7/file) = 0");
    ck_assert(chdir(client.node) == 0 && stat("file", &native) == 0);
    client_restart(&client);
    free(client_read(&client, "", NULL));
    ck_assert_int_eq(client_stat(&client, "", &told), 0);
    ck_assert_uint_eq(told.st_ino, native.st_ino);
    ck_assert(chdir("/") == 0);
}
END_TEST

START_TEST(refuses_what_a_file_refuses)
{
    struct stat attributes;
    int descriptor;

    ck_assert_int_eq(client_open(&client, "", O_WRONLY), -EROFS);
    ck_assert_int_eq(client_open(&client, "", O_RDWR), -EROFS);
    ck_assert_int_eq(client_open(&client, "", O_RDONLY | O_TRUNC), -EROFS);
    ck_assert_int_eq(client_open(&client, "", O_RDONLY | O_DIRECTORY), -ENOTDIR);
    ck_assert_int_eq(client_open(&client, "", O_RDWR | O_CREAT | O_EXCL), -EEXIST);
    ck_assert_int_eq(client_open(&client, "below", O_RDONLY), -ENOTDIR);
    ck_assert_int_eq(client_stat(&client, "below/it", &attributes), ENOTDIR);
    ck_assert_int_eq(client_access(&client, "", R_OK), 0);
    ck_assert_int_eq(client_access(&client, "", W_OK), EROFS);
    ck_assert_int_eq(client_access(&client, "", X_OK), EACCES);
    ck_assert_int_eq(client_access(&client, "", 64), EINVAL);
    ck_assert_int_eq(client_change(&client, "", HIRSEL__NODE_CHANGE__CHANGE_MODE), EROFS);
    ck_assert_int_eq(client_change(&client, "", HIRSEL__NODE_CHANGE__CHANGE_UNLINK), EBUSY);
    ck_assert_int_eq(client_change(&client, "", 1000), EINVAL);
    descriptor = client_open(&client, "", O_RDONLY | O_CREAT);
    ck_assert_int_ge(descriptor, 0);
    close(descriptor);
    descriptor = client_open(&client, "", O_PATH);
    ck_assert_int_ge(descriptor, 0);
    ck_assert_int_eq(fcntl(descriptor, F_GETFL) & O_PATH, O_PATH);
    close(descriptor);
}
END_TEST

START_TEST(answers_the_unknown)
{
    Hirsel__NodeRequest request = client_request("");
    struct msg rubbish = {.operation = 16, .body = "\xff\xff\xff", .length = 3}, answer;

    ck_assert_int_eq(client_call(&client, 4711, &request, NULL, NULL), ENOSYS);
    ck_assert_int_eq(msg_call(client.port, &rubbish, &answer, 60000), EBADMSG);
    ck_assert_int_eq(client_call(&client, 16, &request, NULL, NULL), 0);
}
END_TEST

START_TEST(writes_nothing_for_the_same_content)
{
    struct stat before, after;

    free(client_read(&client, "", NULL));
    ck_assert_int_eq(client_stat(&client, "", &before), 0);
    for (int i = 0; i < 100; i++)
        free(client_read(&client, "", NULL));
    ck_assert_int_eq(client_stat(&client, "", &after), 0);
    ck_assert_int_eq(before.st_mtim.tv_nsec, after.st_mtim.tv_nsec);
    shell(&client, "test \"$(ls -A nodes/7 | tr '\\n' ' ')\" = 'file port '");
}
END_TEST

START_TEST(leaks_no_descriptor)
{
    for (int i = 0; i < 1000; i++) {
        int descriptor = client_open(&client, "", O_RDONLY);
        ck_assert_int_ge(descriptor, 0);
        close(descriptor);
        ck_assert_int_eq(client_open(&client, "", O_WRONLY), -EROFS);
    }
    shell(&client, "test $(ls /proc/%d/fd | wc -l) -lt 20", client.pid);
}
END_TEST

START_TEST(goes_away_unless_busy)
{
    ck_assert_int_eq(client_go_away(&client, false), 0);
    ck_assert_int_eq(client_wait(&client), 0);
}
END_TEST

START_TEST(null_is_the_device)
{
    struct stat told, native;
    char byte;
    int descriptor;

    ck_assert(stat("/dev/null", &native) == 0);
    ck_assert_int_eq(client_stat(&client, "", &told), 0);
    ck_assert_uint_eq(told.st_rdev, native.st_rdev);
    ck_assert_uint_eq(told.st_mode, native.st_mode);
    ck_assert_uint_eq(told.st_ino, native.st_ino);
    descriptor = client_open(&client, "", O_RDWR | O_CREAT | O_TRUNC);
    ck_assert_int_ge(descriptor, 0);
    ck_assert_int_eq(write(descriptor, "x", 1), 1);
    ck_assert_int_eq(read(descriptor, &byte, 1), 0);
    close(descriptor);
    ck_assert_int_eq(client_access(&client, "", R_OK | W_OK), 0);
    ck_assert_int_eq(client_access(&client, "", X_OK), EACCES);
    ck_assert_int_eq(client_change(&client, "", HIRSEL__NODE_CHANGE__CHANGE_MODE), EPERM);
    ck_assert_int_eq(client_change(&client, "", HIRSEL__NODE_CHANGE__CHANGE_SIZE), EINVAL);
    descriptor = client_open(&client, "", O_PATH);
    ck_assert_int_ge(descriptor, 0);
    close(descriptor);
}
END_TEST

START_TEST(describe)
{
    shell(&client, "test \"$(%s --describe)\" = 'device /dev/null'", client.program);
    shell(&client, "%s --help | grep -q settrans", client.program);
    shell(&client, "! %s --describe surplus 2>/dev/null", client.program);
    shell(&client, "%s 2>&1 </dev/null | grep -q 'by a session only'", client.program);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("translator_hello");
    TCase *hello = tcase_create("hello"), *null = tcase_create("null");
    SRunner *runner = srunner_create(suite);
    int failed;

    tcase_add_checked_fixture(hello, hello_set_up, tear_down);
    tcase_set_timeout(hello, 60);
    tcase_add_test(hello, greets);
    tcase_add_test(hello, keeps_identity);
    tcase_add_test(hello, finds_the_file_that_fs_made);
    tcase_add_test(hello, refuses_what_a_file_refuses);
    tcase_add_test(hello, answers_the_unknown);
    tcase_add_test(hello, writes_nothing_for_the_same_content);
    tcase_add_test(hello, leaks_no_descriptor);
    tcase_add_test(hello, goes_away_unless_busy);
    suite_add_tcase(suite, hello);
    tcase_add_checked_fixture(null, null_set_up, tear_down);
    tcase_add_test(null, null_is_the_device);
    tcase_add_test(null, describe);
    suite_add_tcase(suite, null);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
