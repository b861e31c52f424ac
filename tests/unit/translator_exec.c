/* exec, over the protocol. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <check.h>
#include <ev.h>

#include "tests/unit/fixture/translator_client.h"

static struct client client;

static void begin(const char *const *arguments)
{
    client_start(&client, "exec", arguments);
}

static void tear_down(void)
{
    client_stop(&client);
}

#define BEGIN(...) begin((const char *const[]){__VA_ARGS__, NULL})

START_TEST(gives_what_is_printed)
{
    struct stat before, after;
    char *text;

    BEGIN("sh", "-c", "echo run $(cat count); echo x >> count");
    ck_assert_int_eq(client_stat(&client, "", &before), 0);
    ck_assert_int_eq(before.st_size, 0);
    shell(&client, "test ! -e count");
    text = client_read(&client, "", NULL);
    ck_assert_str_eq(text, "run\n");
    free(text);
    text = client_read(&client, "", NULL);
    ck_assert_str_eq(text, "run x\n");
    free(text);
    ck_assert_int_eq(client_stat(&client, "", &after), 0);
    ck_assert_uint_eq(after.st_ino, before.st_ino);
    ck_assert_int_eq(after.st_size, 6);
}
END_TEST

START_TEST(leaves_an_open_file_as_it_was)
{
    char bytes[16] = "";
    char *text;
    int first;

    BEGIN("sh", "-c", "echo $(cat count); echo x >> count");
    first = client_open(&client, "", O_RDONLY);
    text = client_read(&client, "", NULL);
    ck_assert_str_eq(text, "x\n");
    free(text);
    ck_assert_int_eq(read(first, bytes, sizeof(bytes)), 1);
    ck_assert_str_eq(bytes, "\n");
    close(first);
}
END_TEST

START_TEST(status_is_logged_and_content_given)
{
    char *text;

    BEGIN("sh", "-c", "echo part; exit 3");
    text = client_read(&client, "", NULL);
    ck_assert_str_eq(text, "part\n");
    free(text);
    text = client_log(&client);
    ck_assert(strstr(text, "exec") && strstr(text, "sh ended with status 3"));
    free(text);
}
END_TEST

START_TEST(missing_command)
{
    char *text;

    BEGIN("/nowhere/such-a-command");
    ck_assert_int_eq(client_open(&client, "", O_RDONLY), -EIO);
    text = client_log(&client);
    ck_assert(strstr(text, "can't run /nowhere/such-a-command: No such file"));
    free(text);
}
END_TEST

START_TEST(death_by_signal)
{
    BEGIN("sh", "-c", "kill -9 $$");
    ck_assert_int_eq(client_open(&client, "", O_RDONLY), -EIO);
}
END_TEST

START_TEST(timeout_ends_the_whole_group)
{
    struct timespec begin_time, end_time;

    BEGIN("--timeout=1", "sh", "-c", "echo $$ > pid; sleep 60 & sleep 60");
    clock_gettime(CLOCK_MONOTONIC, &begin_time);
    ck_assert_int_eq(client_open(&client, "", O_RDONLY), -ETIMEDOUT);
    clock_gettime(CLOCK_MONOTONIC, &end_time);
    ck_assert_int_le(end_time.tv_sec - begin_time.tv_sec, 50);
    shell(&client, "while kill -0 -- -$(cat pid) 2>/dev/null; do sleep 0.02; done");
}
END_TEST

START_TEST(deaf_command_is_killed)
{
    BEGIN("--timeout=1", "sh", "-c", "trap '' TERM; while :; do sleep 1; done");
    ck_assert_int_eq(client_open(&client, "", O_RDONLY), -ETIMEDOUT);
}
END_TEST

START_TEST(too_much_is_refused)
{
    char *text;

    BEGIN("--max-size=1M", "yes");
    ck_assert_int_eq(client_open(&client, "", O_RDONLY), -EFBIG);
    text = client_log(&client);
    ck_assert(strstr(text, "yes printed more than 1048576 bytes"));
    free(text);
    ck_assert_int_eq(client_open(&client, "", O_RDONLY), -EFBIG);
}
END_TEST

START_TEST(much_is_given)
{
    size_t length;
    char *text;

    BEGIN("sh", "-c", "head -c 20000000 /dev/zero; cat >&2; umask; pwd");
    text = client_read(&client, "", &length);
    ck_assert_uint_gt(length, 20000000);
    ck_assert(strncmp(text + 20000000, "0022\n", 5) == 0 || strlen(text + 20000000) > 5);
    free(text);
}
END_TEST

struct opens {
    int left;
    struct ev_loop *loop;
    int errors[200];
};

struct one {
    struct opens *opens;
    int index;
};

static void opened(int error, ProtobufCMessage *answer, struct msg *raw, void *context)
{
    struct one *one = context;

    (void)answer, (void)raw;
    one->opens->errors[one->index] = error;
    if (--one->opens->left == 0)
        ev_break(one->opens->loop, EVBREAK_ALL);
}

START_TEST(many_at_once)
{
    struct opens opens = {.left = 200};
    struct one ones[200];
    Hirsel__NodeRequest request = client_request("");
    struct call *call;

    BEGIN("sh", "-c", "sleep 0.1; echo done");
    opens.loop = client.loop;
    for (int i = 0; i < 200; i++) {
        ones[i] = (struct one){&opens, i};
        ck_assert_int_eq(rpc_call_start(client.port, HIRSEL__NODE_OPERATION__NODE_OPEN,
                                        &request.base, NULL, 0, &hirsel__node_reply__descriptor,
                                        60000, opened, &ones[i], &call),
                         0);
    }
    ev_run(client.loop, 0);
    for (int i = 0; i < 200; i++)
        ck_assert_int_eq(opens.errors[i], 0);
}
END_TEST

START_TEST(cancel_kills_the_run)
{
    struct opens opens = {.left = 2};
    struct one one = {&opens, 0}, other = {&opens, 1};
    Hirsel__NodeRequest request = client_request("");
    struct call *call[2];
    char *text;

    BEGIN("sh", "-c", "mkfifo fifo$$ && echo $$ >> pids && read x < fifo$$");
    opens.loop = client.loop;
    for (int i = 0; i < 2; i++)
        ck_assert_int_eq(rpc_call_start(client.port, HIRSEL__NODE_OPERATION__NODE_OPEN,
                                        &request.base, NULL, 0, &hirsel__node_reply__descriptor,
                                        60000, opened, i ? &other : &one, &call[i]),
                         0);
    for (int i = 0; i < 20; i++)
        ev_run(client.loop, EVRUN_NOWAIT);
    shell(&client, "until [ -e pids ] && [ $(wc -l < pids) = 2 ]; do sleep 0.02; done");
    /* stat is answered while both run. */
    ck_assert_int_eq(client_stat(&client, "", &(struct stat){0}), 0);
    ck_assert_int_eq(client_go_away(&client, false), EBUSY);
    call_cancel(call[0]);
    call_cancel(call[1]);
    ck_assert_int_eq(opens.errors[0], ECANCELED);
    for (int i = 0; i < 20; i++)
        ev_run(client.loop, EVRUN_NOWAIT);
    shell(&client, "for p in $(cat pids); do while kill -0 $p 2>/dev/null; do sleep 0.02; done; "
                   "done");
    ck_assert_int_eq(client_go_away(&client, false), 0);
    client_wait(&client);
    text = client_log(&client);
    ck_assert_str_eq(text, "");
    free(text);
}
END_TEST

START_TEST(dies_with_its_commands)
{
    struct opens opens = {.left = 1};
    struct one one = {&opens, 0};
    Hirsel__NodeRequest request = client_request("");
    struct call *call;

    BEGIN("sh", "-c", "echo $$ > pid && exec sleep 60");
    opens.loop = client.loop;
    ck_assert_int_eq(rpc_call_start(client.port, HIRSEL__NODE_OPERATION__NODE_OPEN, &request.base,
                                    NULL, 0, &hirsel__node_reply__descriptor, 60000, opened, &one,
                                    &call),
                     0);
    for (int i = 0; i < 20; i++)
        ev_run(client.loop, EVRUN_NOWAIT);
    shell(&client, "until [ -s pid ]; do sleep 0.02; done");
    client_kill(&client);
    ev_run(client.loop, 0);
    ck_assert_int_eq(opens.errors[0], ECONNRESET);
    shell(&client, "while kill -0 $(cat pid) 2>/dev/null; do sleep 0.02; done");
    client_restart(&client);
}
END_TEST

static size_t options(char text[][64], const char *set, int *error)
{
    Hirsel__NodeRequest request = client_request("");
    ProtobufCBinaryData argument = {0};
    Hirsel__NodeReply *answer;
    size_t count;

    if (set) {
        argument = (ProtobufCBinaryData){strlen(set), (uint8_t *)set};
        request.n_arguments = 1;
        request.arguments = &argument;
    }
    *error = client_call(&client, HIRSEL__NODE_OPERATION__NODE_OPTIONS, &request, &answer, NULL);
    if (*error != 0)
        return 0;
    count = answer->n_options;
    for (size_t i = 0; i < count; i++)
        snprintf(text[i], 64, "%.*s", (int)answer->options[i].len, answer->options[i].data);
    rpc_free(&answer->base);
    return count;
}

START_TEST(options_are_shown_and_set)
{
    char text[8][64];
    int error;

    BEGIN("--timeout=7", "--", "date", "+%s");
    ck_assert_uint_eq(options(text, NULL, &error), 4);
    ck_assert_str_eq(text[0], "--timeout=7");
    ck_assert_str_eq(text[1], "--max-size=268435456");
    ck_assert_str_eq(text[2], "date");
    ck_assert_str_eq(text[3], "+%s");
    ck_assert_uint_eq(options(text, "--max-size=3k", &error), 4);
    ck_assert_str_eq(text[1], "--max-size=3072");
    options(text, "--max-size=3x", &error);
    ck_assert_int_eq(error, EINVAL);
    options(text, "--max-size=-3", &error);
    ck_assert_int_eq(error, EINVAL);
    options(text, "--max-size=99999999999999999999", &error);
    ck_assert_int_eq(error, ERANGE);
    options(text, "--unknown", &error);
    ck_assert_int_eq(error, EINVAL);
}
END_TEST

START_TEST(usage)
{
    BEGIN("true");
    shell(&client, "test \"$(%s --describe date)\" = file", client.program);
    shell(&client, "%s --describe 2>&1 | grep -q 'which command'", client.program);
    shell(&client, "%s --describe --bad x 2>&1 | grep -q -- --bad", client.program);
}
END_TEST

START_TEST(inherits_nothing)
{
    char *text;

    BEGIN("sh", "-c", "ls -l /proc/self/fd | grep -c socket; grep SigIgn /proc/self/status");
    text = client_read(&client, "", NULL);
    ck_assert_str_eq(text, "0\nSigIgn:\t0000000000000000\n");
    free(text);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("translator_exec");
    TCase *tests = tcase_create("exec");
    SRunner *runner = srunner_create(suite);
    int failed;

    tcase_add_checked_fixture(tests, NULL, tear_down);
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, gives_what_is_printed);
    tcase_add_test(tests, leaves_an_open_file_as_it_was);
    tcase_add_test(tests, status_is_logged_and_content_given);
    tcase_add_test(tests, missing_command);
    tcase_add_test(tests, death_by_signal);
    tcase_add_test(tests, timeout_ends_the_whole_group);
    tcase_add_test(tests, deaf_command_is_killed);
    tcase_add_test(tests, too_much_is_refused);
    tcase_add_test(tests, much_is_given);
    tcase_add_test(tests, many_at_once);
    tcase_add_test(tests, cancel_kills_the_run);
    tcase_add_test(tests, dies_with_its_commands);
    tcase_add_test(tests, options_are_shown_and_set);
    tcase_add_test(tests, usage);
    tcase_add_test(tests, inherits_nothing);
    suite_add_tcase(suite, tests);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
