/* Records and the seal: round trips, and hostile ones. */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "servers/names/names.h"
#include "tests/unit/fixture/folder.h"

static const struct seal ours = {.key = "0123456789abcdef0123456789abcde"};
static const struct seal theirs = {.key = "another key another key another"};

static char *encode(char kind, const char *device, char **command)
{
    struct record record = {.kind = kind, .device = (char *)device, .command = command};
    char *text;

    while (command[record.count])
        record.count++;
    ck_assert_int_eq(record_encode(&ours, &record, &text), 0);
    return text;
}

static void round_trip_of(char kind, const char *device, char **command)
{
    struct record back;
    char *text = encode(kind, device, command);
    size_t i;

    ck_assert(strlen(text) <= RECORD_TEXT_MAX);
    ck_assert_int_eq(record_parse(&ours, text, strlen(text), &back), 0);
    ck_assert_int_eq(back.kind, kind);
    if (device)
        ck_assert_str_eq(back.device, device);
    for (i = 0; command[i]; i++)
        ck_assert_str_eq(back.command[i], command[i]);
    ck_assert_uint_eq(back.count, i);
    ck_assert_ptr_null(back.command[i]);
    record_free(&back);
    ck_assert_int_eq(record_parse(&theirs, text, strlen(text), &back), ENOKEY);
    free(text);
}

START_TEST(round_trips)
{
    round_trip_of('f', NULL, (char *[]){"hello", NULL});
    round_trip_of('f', NULL, (char *[]){"exec", "", "a b", "", NULL});
    round_trip_of('d', NULL, (char *[]){"/opt/my translator", "%41", "../x", NULL});
    round_trip_of('d', NULL, (char *[]){"archive", "--opt=x:y", "\n\t\x01\xff\xc3\xa4", NULL});
    round_trip_of('p', "/dev/null", (char *[]){"null", NULL});
    round_trip_of('p', "/dev/a b/\xff", (char *[]){"null", "/", NULL});
}
END_TEST

START_TEST(plain_words_stay_readable)
{
    char *text = encode('f', NULL, (char *[]){"exec", "date", "+%s", NULL});

    ck_assert_str_eq(text + strlen(RECORD_PREFIX) + SEAL_HEX_SIZE, "/f/exec/date/+%25s");
    free(text);
}
END_TEST

START_TEST(random_round_trips)
{
    srandom(11);
    for (int round = 0; round < 500; round++) {
        char words[4][20];
        char *command[5] = {words[0], words[1], words[2], words[3], NULL};
        for (int i = 0; i < 4; i++) {
            size_t length = (size_t)random() % 19 + (i == 0);
            for (size_t j = 0; j < length; j++)
                words[i][j] = (char)(random() % 255 + 1);
            words[i][length] = '\0';
        }
        command[random() % 4 + 1] = NULL;
        round_trip_of("fd"[random() & 1], NULL, command);
    }
}
END_TEST

START_TEST(not_to_be_encoded)
{
    char long_word[2000];
    struct record record = {.kind = 'f', .command = (char *[]){NULL}};
    char *text;

    ck_assert_int_eq(record_encode(&ours, &record, &text), EINVAL);
    record.command = (char *[]){"", "x", NULL};
    record.count = 2;
    ck_assert_int_eq(record_encode(&ours, &record, &text), EINVAL);
    memset(long_word, ' ', sizeof(long_word));
    long_word[sizeof(long_word) - 1] = '\0';
    record.command = (char *[]){"exec", long_word, NULL};
    ck_assert_int_eq(record_encode(&ours, &record, &text), ENAMETOOLONG);
    memset(long_word, 'a', sizeof(long_word) - 1);
    record.command = (char *[]){"exec", long_word, long_word, "x", long_word, NULL};
    record.count = 5;
    ck_assert_int_eq(record_encode(&ours, &record, &text), ENAMETOOLONG);
}
END_TEST

START_TEST(one_bit_off)
{
    char *text = encode('f', NULL, (char *[]){"hello", "world", NULL});
    size_t length = strlen(text);
    struct record back;

    for (size_t i = 0; i < length; i++) {
        for (int bit = 0; bit < 8; bit++) {
            text[i] ^= (char)(1 << bit);
            ck_assert_int_ne(record_parse(&ours, text, length, &back), 0);
            text[i] ^= (char)(1 << bit);
        }
    }
    for (size_t i = 0; i < length; i++)
        ck_assert_int_ne(record_parse(&ours, text, i, &back), 0);
    free(text);
}
END_TEST

/* Sealed with our own key, and still not what we write: the parser must not depend on the seal. */
static int parse_sealed(const char *sealed)
{
    char text[RECORD_TEXT_MAX + 1];
    struct record back;
    int error;

    strcpy(text, RECORD_PREFIX);
    seal_make(&ours, sealed, strlen(sealed), text + strlen(RECORD_PREFIX));
    text[strlen(RECORD_PREFIX) + SEAL_HEX_SIZE] = '/';
    strcpy(text + strlen(RECORD_PREFIX) + SEAL_HEX_SIZE + 1, sealed);
    error = record_parse(&ours, text, strlen(text), &back);
    if (!error)
        record_free(&back);
    return error;
}

START_TEST(sealed_but_wrong)
{
    ck_assert_int_eq(parse_sealed("f/hello"), 0);
    ck_assert_int_eq(parse_sealed("f/hello//"), 0); /* two empty words */
    ck_assert_int_eq(parse_sealed("f//hello"), EINVAL);
    ck_assert_int_eq(parse_sealed("x/hello"), EINVAL);
    ck_assert_int_eq(parse_sealed("ff/hello"), EINVAL);
    ck_assert_int_eq(parse_sealed("p/null"), EINVAL);
    ck_assert_int_eq(parse_sealed("pdev/null"), EINVAL);
    ck_assert_int_eq(parse_sealed("p%2Fdev/null"), 0);
    ck_assert_int_eq(parse_sealed("f/%00x"), EINVAL);
    ck_assert_int_eq(parse_sealed("f/%4"), EINVAL);
    ck_assert_int_eq(parse_sealed("f/%"), EINVAL);
    ck_assert_int_eq(parse_sealed("f/%zz"), EINVAL);
    ck_assert_int_eq(parse_sealed("f/%2f"), EINVAL); /* not as we write it */
    ck_assert_int_eq(parse_sealed("f/%41"), EINVAL);
    ck_assert_int_eq(parse_sealed("f/a b"), EINVAL);
    ck_assert_int_eq(parse_sealed("hello"), EINVAL);
}
END_TEST

START_TEST(kinds)
{
    struct record record = {0};
    char *kind;

    ck_assert_int_eq(record_set_kind(&record, "file"), 0);
    ck_assert_int_eq(record.kind, 'f');
    ck_assert_int_eq(record_set_kind(&record, "directory"), 0);
    ck_assert_int_eq(record.kind, 'd');
    ck_assert_int_eq(record_set_kind(&record, "device:null"), EINVAL);
    ck_assert_int_eq(record_set_kind(&record, ""), EINVAL);
    ck_assert_int_eq(record_set_kind(&record, "device:/dev/null"), 0);
    ck_assert_str_eq(record.device, "/dev/null");
    kind = record_kind(record.kind, record.device);
    ck_assert_str_eq(kind, "device:/dev/null");
    free(kind);
    record_free(&record);
}
END_TEST

/* ---- the seal ---- */

START_TEST(seal_as_in_rfc_4231)
{
    /* A key of 32 bytes is none of that document's: theirs of 20 bytes padded with zeros is the
     * same key to HMAC. */
    struct seal seal = {0};
    char hex[SEAL_HEX_SIZE + 1] = "";

    memset(seal.key, 0x0b, 20);
    seal_make(&seal, "Hi There", 8, hex);
    ck_assert_str_eq(hex, "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
    ck_assert(seal_matches(&seal, "Hi There", 8, hex));
    hex[63] = '8';
    ck_assert(!seal_matches(&seal, "Hi There", 8, hex));
}
END_TEST

static char directory[64];

START_TEST(key_is_made_once)
{
    char path[80];
    struct seal one, other;
    struct stat status;
    int ends[2];

    folder_make(directory, sizeof(directory));
    snprintf(path, sizeof(path), "%s/key", directory);
    ck_assert_int_eq(pipe(ends), 0);
    for (int i = 0; i < 16; i++) {
        if (fork() == 0) {
            int error = seal_load_file(&one, path);
            if (write(ends[1], one.key, SEAL_KEY_SIZE) != SEAL_KEY_SIZE)
                error = 1;
            _exit(error != 0);
        }
    }
    for (int i = 0; i < 16; i++) {
        int status_of_child;
        ck_assert(wait(&status_of_child) > 0 && status_of_child == 0);
        ck_assert_int_eq(read(ends[0], i == 0 ? one.key : other.key, SEAL_KEY_SIZE), SEAL_KEY_SIZE);
        if (i > 0)
            ck_assert_mem_eq(one.key, other.key, SEAL_KEY_SIZE);
    }
    ck_assert_int_eq(stat(path, &status), 0);
    ck_assert_int_eq(status.st_mode & 07777, 0600);
    ck_assert_int_eq(status.st_nlink, 1);

    ck_assert_int_eq(chmod(path, 0644), 0);
    ck_assert_int_eq(seal_load_file(&other, path), EPERM);
    ck_assert_int_eq(chmod(path, 0600), 0);
    ck_assert_int_eq(truncate(path, 31), 0);
    ck_assert_int_eq(seal_load_file(&other, path), EBADMSG);
    ck_assert_int_eq(unlink(path), 0);
    ck_assert_int_eq(symlink("/etc/passwd", path), 0);
    ck_assert_int_eq(seal_load_file(&other, path), ELOOP);
    unlink(path);
    ck_assert_int_eq(rmdir(directory), 0); /* no temporary file was left */
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("names_record");
    TCase *tests = tcase_create("record");
    SRunner *runner;
    int failed;

    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, round_trips);
    tcase_add_test(tests, plain_words_stay_readable);
    tcase_add_test(tests, random_round_trips);
    tcase_add_test(tests, not_to_be_encoded);
    tcase_add_test(tests, one_bit_off);
    tcase_add_test(tests, sealed_but_wrong);
    tcase_add_test(tests, kinds);
    tcase_add_test(tests, seal_as_in_rfc_4231);
    tcase_add_test(tests, key_is_made_once);
    suite_add_tcase(suite, tests);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
