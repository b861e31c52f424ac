/* archive: the tree that it shows is the one that tar unpacks, whatever the format. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <archive.h>
#include <archive_entry.h>
#include <check.h>
#include <ev.h>

#include "tests/unit/fixture/translator_client.h"

static struct client client;

/* A tree with everything that tar can carry, in `source`. */
static void tree_make(void)
{
    client_start(&client, NULL, NULL);
    shell(
        &client,
        "mkdir -p source/deep/er/and/deeper source/empty source/linked && cd source && "
        "printf 'int main(void) { return 0; }\\n' > main.c && "
        "printf '#!/bin/sh\\necho ran\\n' > script && chmod 755 script && "
        ": > nothing && "
        "head -c 1000000 /dev/urandom > large && "
        "head -c 300000 /dev/zero > zeros && "
        "ln -s ../main.c deep/up && ln -s /etc/passwd absolute && ln -s dangling/no loop && "
        "ln -s self self && "
        "ln large linked/other && ln large deep/er/third && ln script again && "
        "printf x > \"$(printf 'new\\nline')\" && printf y > \"$(printf 'no\\377utf8')\" && "
        "printf z > 'gr\303\274\303\237e' && printf s > ' space ' && printf d > -dash && "
        "name=$(printf '%%0200d' 7) && printf l > $name && mkdir -p $name.d/$name && "
        "printf m > $name.d/$name/$name && "
        "truncate -s 6M sparse && printf middle | dd of=sparse bs=1 seek=5000000 "
        "conv=notrunc 2>/dev/null && "
        "chmod 400 zeros && chmod 700 deep/er && chmod 1755 empty && "
        "for i in $(seq 1 150); do echo $i > deep/er/and/deeper/$i; done && "
        "touch -d '1999-12-31 23:59:59.123456789' main.c && touch -d 1969-01-02 nothing && "
        "touch -h -d 2001-02-03 deep/up && touch -d 2011-11-11 empty && touch -d 2012-12-12 deep");
}

static void tear_down(void)
{
    client_stop(&client);
}

/* With `streams` a compressed archive is unpacked first; else it is read as it is, again and again.
 */
static void serve(bool streams)
{
    static char path[256];
    static const char *arguments[4];

    snprintf(path, sizeof(path), "%s/a", client.directory);
    arguments[0] = streams ? "--max-stream=1G" : "--max-stream=0";
    arguments[1] = "--";
    arguments[2] = path;
    client_start(&client, "archive", arguments);
}

static const struct {
    const char *pack, *unpack;
} tars[] = {
    {"tar --format=gnu -cf a -C source .", "tar xpf a -C unpacked"},
    {"tar --format=posix -cf a -C source .", "tar xpf a -C unpacked"},
    {"tar --format=gnu -S -czf a -C source .", "tar xpf a -C unpacked"},
    {"tar --format=posix -S -cJf a -C source .", "tar xpf a -C unpacked"},
    {"tar --format=posix -cjf a -C source .", "tar xpf a -C unpacked"},
    {"tar --format=gnu -cf a -C source main.c deep empty linked script again large",
     "tar xpf a -C unpacked"},
};

START_TEST(shows_what_tar_unpacks)
{
    shell(&client, "%s", tars[_i / 2].pack);
    shell(&client, "mkdir unpacked && (%s)", tars[_i / 2].unpack);
    serve(_i % 2);
    ck_assert_uint_gt(client_compare(&client, "unpacked"), 150);
    /* Once more, when everything is filled. */
    ck_assert_uint_gt(client_compare(&client, "unpacked"), 150);
}
END_TEST

/* Pack `source` in a format that has no tool here. */
static void pack(int format, int filter, const char *options)
{
    struct archive *disk = archive_read_disk_new(), *packed = archive_write_new();
    struct archive_entry *entry = archive_entry_new();
    char bytes[65536];

    ck_assert(chdir(client.directory) == 0 && chdir("source") == 0);
    archive_write_set_format(packed, format);
    archive_write_add_filter(packed, filter);
    if (options)
        ck_assert_int_eq(archive_write_set_options(packed, options), ARCHIVE_OK);
    ck_assert_int_eq(archive_write_open_filename(packed, "../a"), ARCHIVE_OK);
    ck_assert_int_eq(archive_read_disk_open(disk, "."), ARCHIVE_OK);
    while (archive_read_next_header2(disk, entry) == ARCHIVE_OK) {
        archive_read_disk_descend(disk);
        if (archive_entry_filetype(entry) == AE_IFREG) {
            ssize_t got;
            int descriptor = open(archive_entry_sourcepath(entry), O_RDONLY);
            archive_entry_sparse_clear(entry);
            if (archive_write_header(packed, entry) == ARCHIVE_OK)
                while ((got = read(descriptor, bytes, sizeof(bytes))) > 0)
                    archive_write_data(packed, bytes, (size_t)got);
            close(descriptor);
        } else {
            archive_write_header(packed, entry);
        }
    }
    archive_entry_free(entry);
    archive_read_free(disk);
    ck_assert_int_eq(archive_write_free(packed), ARCHIVE_OK);
    ck_assert(chdir(client.directory) == 0);
}

/* Unpack with libarchive itself, as the reference. */
static void unpack(void)
{
    struct archive *packed = archive_read_new();
    struct archive_entry *entry;
    int result;

    ck_assert(mkdir("unpacked", 0755) == 0 && chdir("unpacked") == 0);
    archive_read_support_format_all(packed);
    archive_read_support_filter_all(packed);
    ck_assert_int_eq(archive_read_open_filename(packed, "../a", 65536), ARCHIVE_OK);
    while ((result = archive_read_next_header(packed, &entry)) == ARCHIVE_OK ||
           result == ARCHIVE_WARN)
        ck_assert_int_ge(archive_read_extract(packed, entry,
                                              ARCHIVE_EXTRACT_PERM | ARCHIVE_EXTRACT_TIME |
                                                  ARCHIVE_EXTRACT_SECURE_NODOTDOT),
                         ARCHIVE_WARN);
    archive_read_free(packed);
    ck_assert(chdir(client.directory) == 0);
}

static const struct {
    int format, filter;
    const char *options;
} formats[] = {
    {ARCHIVE_FORMAT_ZIP, ARCHIVE_FILTER_NONE, NULL},
    {ARCHIVE_FORMAT_ZIP, ARCHIVE_FILTER_NONE, "zip:compression=store"},
    {ARCHIVE_FORMAT_7ZIP, ARCHIVE_FILTER_NONE, NULL},
    {ARCHIVE_FORMAT_7ZIP, ARCHIVE_FILTER_NONE, "7zip:compression=deflate"},
    {ARCHIVE_FORMAT_ISO9660, ARCHIVE_FILTER_NONE, NULL},
    {ARCHIVE_FORMAT_XAR, ARCHIVE_FILTER_NONE, NULL},
    {ARCHIVE_FORMAT_CPIO_POSIX, ARCHIVE_FILTER_GZIP, NULL},
    {ARCHIVE_FORMAT_CPIO_SVR4_NOCRC, ARCHIVE_FILTER_NONE, NULL},
    {ARCHIVE_FORMAT_TAR_PAX_INTERCHANGE, ARCHIVE_FILTER_ZSTD, NULL},
    {ARCHIVE_FORMAT_TAR_PAX_INTERCHANGE, ARCHIVE_FILTER_LZ4, NULL},
    {ARCHIVE_FORMAT_TAR_PAX_INTERCHANGE, ARCHIVE_FILTER_LZIP, NULL},
    {ARCHIVE_FORMAT_TAR_PAX_INTERCHANGE, ARCHIVE_FILTER_COMPRESS, NULL},
};

START_TEST(shows_what_libarchive_unpacks)
{
    /* Some of these formats hold no such names. */
    shell(&client, "cd source && rm -rf new* no?utf8 000* self sparse gr*");
    pack(formats[_i].format, formats[_i].filter, formats[_i].options);
    unpack();
    serve(true);
    ck_assert_uint_gt(client_compare(&client, "unpacked"), 100);
}
END_TEST

/* libarchive's own reader loses its way in a WARC once it has read a content. */
START_TEST(reads_warc)
{
    struct client_list list;

    shell(&client, "cd source && rm -rf new* no?utf8 000* sparse gr* deep nothing");
    pack(ARCHIVE_FORMAT_WARC, ARCHIVE_FILTER_NONE, NULL);
    serve(true);
    ck_assert_int_eq(client_list(&client, "", 0, &list), 0);
    ck_assert_uint_gt(list.count, 5);
    for (int round = 0; round < 2; round++)
        for (size_t i = 0; i < list.count; i++) {
            size_t lengths[2];
            char path[300], *mine;
            if (list.entries[i].type != 8)
                continue;
            mine = client_read(&client, list.entries[i].name, &lengths[0]);
            snprintf(path, sizeof(path), "mine-%zu", i);
            int copy = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
            ck_assert_int_eq(write(copy, mine, lengths[0]), (ssize_t)lengths[0]);
            close(copy);
            free(mine);
            shell(&client, "cmp mine-%zu \"source/%s\"", i, list.entries[i].name);
        }
    client_list_free(&list);
}
END_TEST

START_TEST(reads_ar)
{
    shell(&client, "cd source && ar rc ../a main.c large");
    serve(true);
    shell(&client, "mkdir unpacked && cd unpacked && ar xo ../a && chmod 644 *");
    ck_assert_uint_eq(client_compare(&client, "unpacked"), 3);
}
END_TEST

START_TEST(opens_in_any_order)
{
    static const char *const packs[] = {
        "tar cf a -C source .",
        "tar cJf a -C source .",
        "tar cJf a -C source .",
        "(cd source/deep/er/and/deeper && zip -q ../../../../../a.zip *) && mv a.zip a",
    };
    const char *prefix = _i == 3 ? "" : "deep/er/and/deeper/";
    unsigned seed = 7;

    shell(&client, "%s", packs[_i]);
    serve(_i % 2);
    for (int i = 0; i < 300; i++) {
        int number = (int)((seed = seed * 1103515245 + 12345) >> 8) % 150 + 1;
        char path[64], *text;
        snprintf(path, sizeof(path), "%s%d", prefix, number);
        text = client_read(&client, path, NULL);
        ck_assert_int_eq(atoi(text), number);
        free(text);
    }
}
END_TEST

static void unheard(int error, ProtobufCMessage *answer, struct msg *raw, void *context)
{
    (void)error, (void)answer, (void)raw, (void)context;
}

/* kill -9 in the middle, again and again: no half file is seen, and identity stays. */
START_TEST(survives_kill)
{
    struct stat before[3], after;
    const char *const names[] = {"large", "deep", "deep/er/and/deeper/77"};

    shell(&client, "%s", _i ? "tar cJf a -C source ." : "tar cf a -C source .");
    shell(&client, "mkdir unpacked && tar xpf a -C unpacked");
    serve(_i % 2);
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(client_stat(&client, names[i], &before[i]), 0);
    for (int round = 0; round < 8; round++) {
        Hirsel__NodeRequest request = client_request("large");
        struct call *call;

        rpc_call_start(client.port, HIRSEL__NODE_OPERATION__NODE_OPEN, &request.base, NULL, 0, NULL,
                       -1, unheard, NULL, &call);
        usleep((useconds_t)(round * 5000));
        client_kill(&client);
        client_restart(&client);
        for (int i = 0; i < 3; i++) {
            ck_assert_int_eq(client_stat(&client, names[i], &after), 0);
            ck_assert_uint_eq(after.st_ino, before[i].st_ino);
        }
        if (round % 4 == 3) {
            size_t length;
            free(client_read(&client, "large", &length));
            ck_assert_uint_eq(length, 1000000);
        }
    }
    client_compare(&client, "unpacked");
}
END_TEST

/* Unpacking goes on while the translator is killed and killed again. */
START_TEST(unpacks_through_kills)
{
    size_t length;

    shell(&client, "head -c 9000000 /dev/urandom > source/large && tar cjf a -C source .");
    serve(true);
    for (int round = 0; round < 100; round++) {
        char path[256];

        client_kill(&client);
        client_restart(&client);
        snprintf(path, sizeof(path), "%s/own/stream", client.node);
        if (access(path, F_OK) == 0)
            break;
        usleep(30000);
    }
    free(client_read(&client, "large", &length));
    ck_assert_uint_eq(length, 9000000);
    shell(&client, "test ! -e nodes/7/own/part && test -e nodes/7/own/stream");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("archive_tree");
    TCase *tests = tcase_create("tree");
    SRunner *runner = srunner_create(suite);
    int failed;

    tcase_add_checked_fixture(tests, tree_make, tear_down);
    tcase_set_timeout(tests, 120);
    tcase_add_loop_test(tests, shows_what_tar_unpacks, 0, 2 * sizeof(tars) / sizeof(tars[0]));
    tcase_add_loop_test(tests, shows_what_libarchive_unpacks, 0,
                        sizeof(formats) / sizeof(formats[0]));
    tcase_add_test(tests, reads_warc);
    tcase_add_test(tests, reads_ar);
    tcase_add_loop_test(tests, opens_in_any_order, 0, 4);
    tcase_add_loop_test(tests, survives_kill, 0, 3);
    tcase_add_test(tests, unpacks_through_kills);
    suite_add_tcase(suite, tests);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
