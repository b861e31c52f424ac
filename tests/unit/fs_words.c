/* The namespace file's parser: words, quotes, comments, lines; and printing that reads back. */
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shell/words.h"

static struct words words;
static unsigned line;
static size_t position;
static const char *problem;

static int next(const char *text)
{
    words_clear(&words);
    return words_read(text, strlen(text), &position, &line, &words, &problem);
}

static void setup(void)
{
    line = 1;
    position = 0;
    words_clear(&words);
}

static void teardown(void)
{
    words_clear(&words);
}

START_TEST(simple)
{
    const char *text = "# a comment\n\n  bind -r /a\t/b # why\n"
                       "settrans x -- date '+%s'\\\n more\nlast";

    ck_assert_int_eq(next(text), 0);
    ck_assert_uint_eq(words.count, 4);
    ck_assert_uint_eq(words.line, 3);
    ck_assert_str_eq(words.words[0], "bind");
    ck_assert_str_eq(words.words[3], "/b");
    ck_assert_ptr_null(words.words[4]);
    ck_assert_int_eq(next(text), 0);
    ck_assert_uint_eq(words.line, 4);
    ck_assert_uint_eq(words.count, 6);
    ck_assert_str_eq(words.words[4], "+%s");
    ck_assert_str_eq(words.words[5], "more");
    ck_assert_int_eq(next(text), 0);
    ck_assert_uint_eq(words.line, 6);
    ck_assert_str_eq(words.words[0], "last");
    ck_assert_int_eq(next(text), ENOENT);
    ck_assert_int_eq(next(text), ENOENT);
}
END_TEST

START_TEST(quotes)
{
    const char *text =
        "a'b c'd \"x \\\" \\\\ \\n 'y'\" '' \"\" e\\ f g#h '#' 'two\nlines' \\#\r\nz";

    ck_assert_int_eq(next(text), 0);
    ck_assert_uint_eq(words.count, 9);
    ck_assert_str_eq(words.words[0], "ab cd");
    ck_assert_str_eq(words.words[1], "x \" \\ \\n 'y'");
    ck_assert_str_eq(words.words[2], "");
    ck_assert_str_eq(words.words[3], "");
    ck_assert_str_eq(words.words[4], "e f");
    ck_assert_str_eq(words.words[5], "g#h");
    ck_assert_str_eq(words.words[6], "#");
    ck_assert_str_eq(words.words[7], "two\nlines");
    ck_assert_str_eq(words.words[8], "#");
    ck_assert_int_eq(next(text), 0);
    ck_assert_uint_eq(words.line, 3);
}
END_TEST

START_TEST(wrong)
{
    static const char *const texts[] = {"ok\n\nbind 'x", "ok\n\nbind \"x\ny", "ok\n\nbind x\\"};

    for (size_t i = 0; i < 3; i++) {
        setup();
        ck_assert_int_eq(next(texts[i]), 0);
        problem = NULL;
        ck_assert_int_eq(next(texts[i]), EINVAL);
        ck_assert_uint_eq(words.line, 3);
        ck_assert_ptr_nonnull(problem);
    }
    setup();
    ck_assert_int_eq(words_read("a\0b\n", 4, &position, &line, &words, &problem), EINVAL);
    ck_assert_uint_eq(position, 4);
}
END_TEST

START_TEST(printed_reads_back)
{
    srandom(3);
    for (int round = 0; round < 2000; round++) {
        char word[40], text[200] = "";
        size_t length = (size_t)random() % 39;
        FILE *file = fmemopen(text, sizeof(text), "w");
        for (size_t i = 0; i < length; i++)
            word[i] = random() % 3 ? (char)(random() % 255 + 1) : "'\"\\ \n#"[random() % 6];
        word[length] = '\0';
        words_print(file, word, length);
        fclose(file);
        setup();
        ck_assert_int_eq(next(text), 0);
        ck_assert_uint_eq(words.count, 1);
        ck_assert_str_eq(words.words[0], word);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("fs_words");
    TCase *tests = tcase_create("words");
    SRunner *runner;
    int failed;

    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, simple);
    tcase_add_test(tests, quotes);
    tcase_add_test(tests, wrong);
    tcase_add_test(tests, printed_reads_back);
    suite_add_tcase(suite, tests);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
