/* archive: what strangers put into archives. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include <archive.h>
#include <archive_entry.h>
#include <check.h>
#include <ev.h>

#include "tests/unit/fixture/translator_client.h"

static struct client client;
static struct archive *packed;

static void pack_begin(int format, int filter)
{
    char path[256];

    client_start(&client, NULL, NULL);
    snprintf(path, sizeof(path), "%s/a", client.directory);
    packed = archive_write_new();
    archive_write_set_format(packed, format);
    archive_write_add_filter(packed, filter);
    if (format == ARCHIVE_FORMAT_TAR_GNUTAR || format == ARCHIVE_FORMAT_TAR_PAX_INTERCHANGE)
        archive_write_set_bytes_in_last_block(packed, 1);
    ck_assert_int_eq(archive_write_open_filename(packed, path), ARCHIVE_OK);
}

static void set_up(void)
{
    pack_begin(ARCHIVE_FORMAT_TAR_GNUTAR, ARCHIVE_FILTER_NONE);
}

static void put(const char *name, mode_t mode, const char *text)
{
    struct archive_entry *entry = archive_entry_new();

    archive_entry_set_pathname(entry, name);
    archive_entry_set_mode(entry, mode);
    archive_entry_set_mtime(entry, 1000000000, 0);
    if (S_ISLNK(mode))
        archive_entry_set_symlink(entry, text);
    else if (mode == 0)
        archive_entry_set_hardlink(entry, text);
    else if (S_ISREG(mode))
        archive_entry_set_size(entry, (la_int64_t)strlen(text));
    else if (S_ISCHR(mode))
        archive_entry_set_rdev(entry, makedev(1, 3));
    if (mode == 0)
        archive_entry_set_mode(entry, S_IFREG | 0644);
    ck_assert_int_eq(archive_write_header(packed, entry), ARCHIVE_OK);
    if (mode != 0 && S_ISREG(mode))
        archive_write_data(packed, text, strlen(text));
    archive_entry_free(entry);
}

#define FILE_MODE (S_IFREG | 0644)
#define DIRECTORY_MODE (S_IFDIR | 0755)
#define LINK_MODE (S_IFLNK | 0777)
#define HARD 0

static void pack_end(void)
{
    if (packed)
        ck_assert_int_eq(archive_write_free(packed), ARCHIVE_OK);
    packed = NULL;
}

static void serve(const char *option, const char *other)
{
    static char path[256];
    static const char *arguments[4];

    pack_end();
    snprintf(path, sizeof(path), "%s/a", client.directory);
    arguments[0] = option;
    arguments[1] = other ? other : path;
    arguments[2] = other ? path : NULL;
    client_start(&client, "archive", arguments);
}

static void begin(void)
{
    serve("--max-entries=1000000", NULL);
}

static void tear_down(void)
{
    pack_end();
    client_stop(&client);
}

static void content_is(const char *path, const char *expected)
{
    char *text = client_read(&client, path, NULL);

    ck_assert_str_eq(text, expected);
    free(text);
}

static bool exists(const char *path)
{
    struct stat attributes;
    int error = client_stat(&client, path, &attributes);

    ck_assert_msg(error == 0 || error == ENOENT || error == ENOTDIR, "%s: %s", path,
                  strerror(error));
    return error == 0;
}

static size_t count(const char *path)
{
    struct client_list list;
    size_t found;

    ck_assert_int_eq(client_list(&client, path, 0, &list), 0);
    found = list.count;
    client_list_free(&list);
    return found;
}

static bool logged(const char *text)
{
    char *log = client_log(&client);
    bool found = strstr(log, text) != NULL;

    free(log);
    return found;
}

START_TEST(names_stay_inside)
{
    put("../evil", FILE_MODE, "1");
    put("a/../../evil", FILE_MODE, "2");
    put("a/../in", FILE_MODE, "3");
    put("..", DIRECTORY_MODE, "");
    put("/abs/olute", FILE_MODE, "4");
    put("//very", FILE_MODE, "5");
    put("./", DIRECTORY_MODE, "");
    put("./x//y/./z", FILE_MODE, "6");
    put("hard", HARD, "../../etc/passwd");
    put("to", HARD, "/etc/passwd");
    begin();
    ck_assert(!exists("evil"));
    ck_assert(!exists("in"));
    content_is("abs/olute", "4");
    content_is("very", "5");
    content_is("x/y/z", "6");
    ck_assert(!exists("hard") && !exists("to"));
    ck_assert_uint_eq(count(""), 3); /* abs, very, x */
    ck_assert(logged("../evil: left out: the name leads out of the archive"));
    ck_assert(logged("names begin with \"/\""));
    ck_assert(logged("6 of 10 entries were left out"));
    shell(&client, "test ! -e evil && test ! -e nodes/evil && test ! -e nodes/7/evil");
}
END_TEST

START_TEST(symlinks_are_not_gone_through)
{
    struct stat attributes;
    char text[100];

    put("up", LINK_MODE, "..");
    put("up/evil", FILE_MODE, "1");
    put("etc", LINK_MODE, "/etc");
    put("etc/passwd", FILE_MODE, "2");
    put("loop", LINK_MODE, "loop");
    put("loop/x", FILE_MODE, "3");
    put("node", LINK_MODE, "/.hirsel/1/abc/f/date");
    put("file", FILE_MODE, "x");
    put("file/below", FILE_MODE, "4");
    put("empty", LINK_MODE, "");
    begin();
    ck_assert(!exists("file/below"));
    ck_assert_int_eq(client_stat(&client, "etc/passwd", &attributes), -1);
    ck_assert_int_eq(client_readlink(&client, "node", text, sizeof(text)), 0);
    ck_assert_str_eq(text, "/.hirsel/1/abc/f/date");
    ck_assert_int_eq(client_stat(&client, "node", &attributes), 0);
    ck_assert(S_ISLNK(attributes.st_mode));
    ck_assert_uint_eq(count(""), 5);
    ck_assert(logged("etc/passwd: left out: what it is in is no directory"));
    shell(&client, "test ! -e nodes/evil && test ! -e evil");
}
END_TEST

START_TEST(the_last_one_wins)
{
    struct stat one, other;

    put("twice", FILE_MODE, "first");
    put("turn", FILE_MODE, "was a file");
    put("dir/in", FILE_MODE, "in");
    put("was-dir", DIRECTORY_MODE, "");
    put("original", FILE_MODE, "old content");
    put("link", HARD, "original");
    put("third", HARD, "link");
    put("twice", FILE_MODE, "second, longer");
    put("turn/below", FILE_MODE, "no");
    put("turn", DIRECTORY_MODE, "");
    put("turn/now", FILE_MODE, "yes");
    put("dir", FILE_MODE, "must not hide what is in it");
    put("was-dir", LINK_MODE, "turn");
    put("original", FILE_MODE, "new content");
    put("dir", S_IFDIR | 0700, "");
    begin();
    content_is("twice", "second, longer");
    content_is("turn/now", "yes");
    ck_assert(!exists("turn/below"));
    content_is("dir/in", "in");
    content_is("original", "new content");
    content_is("link", "old content");
    content_is("third", "old content");
    ck_assert_int_eq(client_stat(&client, "link", &one), 0);
    ck_assert_int_eq(client_stat(&client, "third", &other), 0);
    ck_assert_uint_eq(one.st_ino, other.st_ino);
    ck_assert_uint_eq(one.st_nlink, 2);
    ck_assert_int_eq(client_stat(&client, "original", &one), 0);
    ck_assert_uint_eq(one.st_nlink, 1);
    ck_assert_int_eq(client_stat(&client, "dir", &one), 0);
    ck_assert_uint_eq(one.st_mode, S_IFDIR | 0700);
    ck_assert_int_eq(client_open(&client, "was-dir", O_RDONLY), CLIENT_REDIRECT);
}
END_TEST

/* The same in a stream, where contents are found by counting. */
START_TEST(the_last_one_wins_in_a_stream)
{
    pack_end();
    shell(&client, "rm a");
    packed = archive_write_new();
    archive_write_set_format(packed, ARCHIVE_FORMAT_TAR_PAX_INTERCHANGE);
    archive_write_add_filter(packed, ARCHIVE_FILTER_GZIP);
    {
        char path[256];
        snprintf(path, sizeof(path), "%s/a", client.directory);
        archive_write_open_filename(packed, path);
    }
    put("original", FILE_MODE, "old content");
    put("link", HARD, "original");
    put("late", HARD, "target");
    put("x", FILE_MODE, "x1");
    put("original", FILE_MODE, "new content");
    put("x", FILE_MODE, "x2");
    put("target", FILE_MODE, "came later");
    serve("--max-stream=0", NULL);
    content_is("target", "came later");
    content_is("x", "x2");
    content_is("link", "old content");
    content_is("original", "new content");
    content_is("late", "came later");
}
END_TEST

START_TEST(links_forward)
{
    struct stat attributes;

    put("a", HARD, "b");
    put("b", HARD, "c");
    put("c", HARD, "d/real");
    put("self", HARD, "self");
    put("missing", HARD, "nothing");
    put("d/real", FILE_MODE, "content");
    put("to-dir", HARD, "d");
    put("symbolic", LINK_MODE, "d/real");
    put("hard-symbolic", HARD, "symbolic");
    put("circle1", HARD, "circle2");
    put("circle2", HARD, "circle1");
    begin();
    content_is("a", "content");
    content_is("c", "content");
    ck_assert_int_eq(client_stat(&client, "b", &attributes), 0);
    ck_assert_uint_eq(attributes.st_nlink, 4);
    ck_assert(!exists("self") && !exists("missing") && !exists("to-dir") && !exists("circle1"));
    ck_assert_int_eq(client_stat(&client, "hard-symbolic", &attributes), 0);
    ck_assert(S_ISLNK(attributes.st_mode));
    ck_assert_uint_eq(attributes.st_nlink, 2);
    ck_assert_int_eq(client_open(&client, "hard-symbolic", O_RDONLY), CLIENT_REDIRECT);
    ck_assert(logged("missing: left out: what it is a link to is not there"));
}
END_TEST

START_TEST(odd_entries)
{
    char name[5000];
    struct stat attributes;

    put("device", S_IFCHR | 0666, "");
    put("pipe", S_IFIFO | 0640, "");
    put("setuid", S_IFREG | 06755, "s");
    put("mark", S_IFREG | 01200, "m");
    put("sealed", S_IFREG | 0, "closed");
    put("shut/in", FILE_MODE, "x");
    put("shut", S_IFDIR | 0, "");
    memset(name, 'n', 256);
    name[256] = '\0';
    put(name, FILE_MODE, "too long");
    name[255] = '\0';
    put(name, FILE_MODE, "just right");
    for (int i = 0; i < 2200; i++)
        memcpy(name + 2 * i, "d/", 3);
    put(name, DIRECTORY_MODE, "");
    begin();
    ck_assert(!exists("device"));
    ck_assert_int_eq(client_stat(&client, "pipe", &attributes), 0);
    ck_assert_uint_eq(attributes.st_mode, S_IFIFO | 0640);
    ck_assert_int_eq(attributes.st_size, 0);
    ck_assert_int_eq(client_open(&client, "pipe", O_RDONLY), -ENXIO);
    ck_assert_int_eq(client_open(&client, "pipe", O_RDWR | O_NONBLOCK), -ENXIO);
    ck_assert_int_eq(client_open(&client, "pipe", O_RDONLY | O_DIRECTORY), -ENOTDIR);
    ck_assert_int_eq(client_access(&client, "pipe", W_OK), 0);
    ck_assert_int_eq(client_change(&client, "pipe", HIRSEL__NODE_CHANGE__CHANGE_SIZE), EINVAL);
    ck_assert_int_eq(client_change(&client, "pipe", HIRSEL__NODE_CHANGE__CHANGE_UNLINK), EROFS);
    int pipe_itself = client_open(&client, "pipe", O_PATH);
    struct stat seen;
    ck_assert_int_eq(fstat(pipe_itself, &seen), 0);
    ck_assert(seen.st_mode == attributes.st_mode && seen.st_ino == attributes.st_ino);
    ck_assert_int_eq(seen.st_mtim.tv_sec, attributes.st_mtim.tv_sec);
    close(pipe_itself);
    ck_assert_int_eq(client_stat(&client, "setuid", &attributes), 0);
    ck_assert_uint_eq(attributes.st_mode, S_IFREG | 0755);
    memset(name, 'n', 255);
    name[255] = '\0';
    content_is(name, "just right");
    memset(name, 'n', 256);
    name[256] = '\0';
    ck_assert_int_eq(client_stat(&client, name, &attributes), ENAMETOOLONG);
    ck_assert_int_eq(client_stat(&client, "sealed", &attributes), 0);
    ck_assert_int_eq(client_stat(&client, "mark", &attributes), 0);
    ck_assert_uint_eq(attributes.st_mode, S_IFREG | 0200);
    if (geteuid() != 0) {
        ck_assert_int_eq(client_open(&client, "sealed", O_RDONLY), -EACCES);
        ck_assert_int_eq(client_open(&client, "mark", O_RDONLY), -EACCES);
        ck_assert_int_eq(client_open(&client, "shut", O_RDONLY), -EACCES);
        ck_assert_int_eq(client_stat(&client, "shut/in", &attributes), EACCES);
        ck_assert_int_eq(client_access(&client, "shut", R_OK), EACCES);
    }
    ck_assert(exists("d/d/d/d"));
    for (int i = 0; i < 1990; i++)
        memcpy(name + 2 * i, "d/", 3);
    name[2 * 1990 - 1] = '\0';
    ck_assert(exists(name));
    close(client_open(&client, name, O_RDONLY | O_DIRECTORY));
}
END_TEST

START_TEST(requests_are_checked)
{
    static const char *const bad[] = {"/file", "file/", "a//b", "../x", ".", "a/./b", "a/.."};
    struct stat attributes;
    Hirsel__NodeRequest request;
    char name[6000];

    put("file", FILE_MODE, "x");
    put("a/b", FILE_MODE, "y");
    put("l", LINK_MODE, "a");
    begin();
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        ck_assert_msg(client_stat(&client, bad[i], &attributes) == EINVAL, "%s", bad[i]);
    memset(name, 'x', sizeof(name));
    name[5999] = '\0';
    ck_assert_int_eq(client_stat(&client, name, &attributes), ENAMETOOLONG);
    request = client_request("a\0b");
    request.path.len = 3;
    ck_assert_int_eq(client_call(&client, 16, &request, NULL, NULL), EINVAL);
    ck_assert_int_eq(client_stat(&client, "file/x", &attributes), ENOTDIR);
    ck_assert_int_eq(client_stat(&client, "missing/x", &attributes), ENOENT);
    ck_assert_int_eq(client_stat(&client, "l/b", &attributes), -1);
    ck_assert_int_eq(client_open(&client, "missing", O_RDONLY), -ENOENT);
    ck_assert_int_eq(client_open(&client, "missing", O_RDWR | O_CREAT), -EROFS);
    ck_assert_int_eq(client_open(&client, "missing/x", O_RDWR | O_CREAT), -ENOENT);
    ck_assert_int_eq(client_open(&client, "file", O_RDWR), -EROFS);
    ck_assert_int_eq(client_open(&client, "file", O_RDONLY | O_TRUNC), -EROFS);
    ck_assert_int_eq(client_open(&client, "file", O_CREAT | O_EXCL | O_RDONLY), -EEXIST);
    ck_assert_int_eq(client_open(&client, "file", O_RDONLY | O_DIRECTORY), -ENOTDIR);
    ck_assert_int_eq(client_open(&client, "a", O_RDWR), -EISDIR);
    ck_assert_int_eq(client_open(&client, "a", O_RDONLY | O_CREAT), -EISDIR);
    ck_assert_int_eq(client_open(&client, "a", O_TMPFILE | O_RDWR), -EROFS);
    ck_assert_int_eq(client_open(&client, "l", O_RDONLY | O_NOFOLLOW), -ELOOP);
    ck_assert_int_eq(client_open(&client, "l", O_RDONLY | O_NOFOLLOW | O_DIRECTORY), -ENOTDIR);
    close(client_open(&client, "l", O_PATH | O_NOFOLLOW));
    close(client_open(&client, "file", O_PATH));
    close(client_open(&client, "a", O_PATH | O_DIRECTORY));
    ck_assert_int_eq(client_change(&client, "new", HIRSEL__NODE_CHANGE__CHANGE_MAKE_DIRECTORY),
                     EROFS);
    ck_assert_int_eq(client_change(&client, "a", HIRSEL__NODE_CHANGE__CHANGE_MAKE_DIRECTORY),
                     EEXIST);
    ck_assert_int_eq(client_change(&client, "file", HIRSEL__NODE_CHANGE__CHANGE_UNLINK), EROFS);
    ck_assert_int_eq(client_change(&client, "no", HIRSEL__NODE_CHANGE__CHANGE_UNLINK), ENOENT);
    ck_assert_int_eq(client_change(&client, "a", HIRSEL__NODE_CHANGE__CHANGE_UNLINK), EISDIR);
    ck_assert_int_eq(client_change(&client, "file", HIRSEL__NODE_CHANGE__CHANGE_REMOVE_DIRECTORY),
                     ENOTDIR);
    ck_assert_int_eq(client_change(&client, "file", HIRSEL__NODE_CHANGE__CHANGE_RENAME), EROFS);
    ck_assert_int_eq(client_change(&client, "file", HIRSEL__NODE_CHANGE__CHANGE_MODE), EROFS);
    ck_assert_int_eq(client_change(&client, "", HIRSEL__NODE_CHANGE__CHANGE_RENAME), EBUSY);
    request = client_request("file");
    ck_assert_int_eq(client_call(&client, HIRSEL__NODE_OPERATION__NODE_LIST, &request, NULL, NULL),
                     ENOTDIR);
    request = client_request("a");
    request.size_limit = 10;
    ck_assert_int_eq(client_call(&client, HIRSEL__NODE_OPERATION__NODE_LIST, &request, NULL, NULL),
                     EINVAL);
    request.size_limit = 0xffffffff;
    request.position = 0x7fffffffffffffff;
    ck_assert_int_eq(client_call(&client, HIRSEL__NODE_OPERATION__NODE_LIST, &request, NULL, NULL),
                     0);
    content_is("a/b", "y");
}
END_TEST

START_TEST(broken_archives)
{
    struct stat attributes;

    pack_end();
    switch (_i) {
    case 0: /* no archive at all */
        shell(&client, "head -c 100000 /dev/urandom > a");
        begin();
        ck_assert_int_eq(client_stat(&client, "", &attributes), EIO);
        ck_assert(logged("broken off after 0 entries"));
        break;
    case 1: /* nothing in it */
        shell(&client, ": > a");
        begin();
        ck_assert_uint_eq(count(""), 0);
        break;
    case 2: /* cut off in the middle of a file */
    case 3:
    case 4:
        shell(&client,
              "mkdir s && for i in 1 2 3 4; do head -c 200000 /dev/urandom > s/$i; done && "
              "tar c%sf whole -C s 1 2 3 4 && head -c 500000 whole > a",
              _i == 2 ? "" : "z");
        serve(_i == 4 ? "--max-stream=0" : "--max-stream=1G", NULL);
        ck_assert_uint_eq(count(""), 3);
        free(client_read(&client, "2", NULL));
        ck_assert_int_eq(client_open(&client, "3", O_RDONLY), -EIO);
        ck_assert_int_eq(client_open(&client, "3", O_RDONLY), -EIO);
        free(client_read(&client, "1", NULL));
        break;
    case 5: /* damage in the middle of a zip: one file is lost */
        shell(&client,
              "mkdir s && cd s && for i in 1 2 3; do seq 1 20000 > $i; done && zip -q ../w.zip * "
              "&& cd .. && mv w.zip a && printf 'XXXXXXXXXXXXXXXX' | dd of=a bs=1 seek=60000 "
              "conv=notrunc 2>/dev/null");
        begin();
        ck_assert_uint_eq(count(""), 3);
        free(client_read(&client, "1", NULL));
        ck_assert_int_eq(client_open(&client, "2", O_RDONLY), -EIO);
        free(client_read(&client, "3", NULL));
        break;
    case 6: /* encrypted */
        shell(&client, "echo secret > s && echo open > o && zip -q -P word e.zip s && "
                       "zip -q e.zip o && mv e.zip a");
        begin();
        ck_assert_uint_eq(count(""), 2);
        ck_assert_int_eq(client_open(&client, "s", O_RDONLY), -EIO);
        content_is("o", "open\n");
        ck_assert(logged("s: "));
        break;
    case 7: /* a list that would take contents from the host */
        shell(&client, "printf '#mtree\\n./x type=file contents=/etc/passwd\\n' > a");
        begin();
        ck_assert_int_eq(client_stat(&client, "", &attributes), EIO);
        break;
    default:
        break;
    }
}
END_TEST

START_TEST(bombs)
{
    pack_end();
    shell(&client, "truncate -s 300M z && echo small > s && tar cjf a z s");
    serve("--max-size=10M", _i ? "--max-stream=1G" : "--max-stream=1M");
    ck_assert_int_eq(client_open(&client, "z", O_RDONLY), -EFBIG);
    content_is("s", "small\n");
    ck_assert_int_eq(client_open(&client, "z", O_RDONLY), -EFBIG);
    ck_assert(logged("larger than --max-size allows"));
    if (!_i) {
        ck_assert(logged("would become"));
        shell(&client, "test $(du -sk nodes | cut -f1) -lt 1000");
    }
}
END_TEST

START_TEST(too_many_entries)
{
    char name[32];

    for (int i = 0; i < 500; i++) {
        snprintf(name, sizeof(name), "%d", i);
        put(name, FILE_MODE, "x");
    }
    serve("--max-entries=100", NULL);
    ck_assert_uint_eq(count(""), 100);
    content_is("99", "x");
    ck_assert(logged("more entries than --max-entries allows"));
}
END_TEST

START_TEST(replaced_and_changed)
{
    put("one", FILE_MODE, "first");
    put("two", FILE_MODE, "second");
    put("three", FILE_MODE, "third");
    begin();
    content_is("one", "first");
    shell(&client, "mkdir new && echo new > new/one && tar cf b -C new one && mv b a");
    content_is("two", "second");
    client_kill(&client);
    client_restart(&client);
    content_is("one", "new\n");
    ck_assert(!exists("two"));
    client_kill(&client);
    shell(&client, "echo two > new/two && tar cf a -C new one two");
    client_restart(&client);
    content_is("one", "new\n");
    shell(&client, "printf x | dd of=a bs=1 seek=1500 conv=notrunc 2>/dev/null; touch a");
    content_is("one", "new\n");
    ck_assert_int_eq(client_open(&client, "two", O_RDONLY), -EIO);
    ck_assert(logged("was changed in place"));
}
END_TEST

struct slow {
    struct ev_loop *loop;
    int error;
    bool done;
};

static void slow_done(int error, ProtobufCMessage *answer, struct msg *raw, void *context)
{
    struct slow *slow = context;

    (void)answer, (void)raw;
    slow->error = error;
    slow->done = true;
    ev_break(slow->loop, EVBREAK_ALL);
}

/* Others are answered while a long file is unpacked; who waits for it may give up. */
START_TEST(a_long_file_stops_nobody)
{
    Hirsel__NodeRequest request = client_request("z");
    struct slow slow = {0};
    struct call *call;
    struct stat attributes;
    int answered = 0;

    pack_end();
    shell(&client, "head -c 12000000 /dev/urandom > z && echo small > s && tar cjf a s z && rm z");
    serve("--max-stream=0", NULL);
    ck_assert_int_eq(client_stat(&client, "z", &attributes), 0);
    slow.loop = client.loop;
    for (int round = 0; round < 2; round++) {
        slow.done = false;
        ck_assert_int_eq(rpc_call_start(client.port, HIRSEL__NODE_OPERATION__NODE_OPEN,
                                        &request.base, NULL, 0, &hirsel__node_reply__descriptor,
                                        60000, slow_done, &slow, &call),
                         0);
        for (int i = 0; i < 8 && !slow.done; i++) {
            ck_assert_int_eq(client_stat(&client, "s", &attributes), 0);
            ev_run(client.loop, EVRUN_NOWAIT);
            answered += !slow.done;
        }
        if (round == 0) {
            ck_assert_msg(!slow.done, "already done: %s", strerror(slow.error));
            ck_assert_int_eq(client_go_away(&client, false), EBUSY);
            call_cancel(call);
            ck_assert_int_eq(slow.error, ECANCELED);
        }
    }
    while (!slow.done)
        ev_run(client.loop, EVRUN_ONCE);
    ck_assert_int_eq(slow.error, 0);
    ck_assert_int_gt(answered, 8);
    content_is("s", "small\n");
}
END_TEST

START_TEST(is_narrowed)
{
    put("f", FILE_MODE, "x");
    begin();
    content_is("f", "x");
    shell(&client,
          "grep -q '^NoNewPrivs:.1' /proc/%d/status && grep -q '^Seccomp:.2' /proc/%d/status",
          client.pid, client.pid);
    ck_assert(!logged("runs "));
}
END_TEST

START_TEST(busy_while_used)
{
    int file, directory;

    put("f", FILE_MODE, "x");
    put("d/f", FILE_MODE, "y");
    begin();
    directory = client_open(&client, "d", O_RDONLY | O_DIRECTORY);
    ck_assert_int_eq(client_go_away(&client, false), EBUSY);
    close(directory);
    file = client_open(&client, "f", O_RDONLY);
    ck_assert_int_eq(client_go_away(&client, false), EBUSY);
    close(file);
    ck_assert_int_eq(client_go_away(&client, false), 0);
    ck_assert_int_eq(client_wait(&client), 0);
}
END_TEST

START_TEST(many_links)
{
    char name[32];
    struct stat attributes;

    put("f", FILE_MODE, "x");
    for (int i = 0; i < 3000; i++) {
        snprintf(name, sizeof(name), "d%d/%d", i % 50, i);
        put(name, HARD, "f");
    }
    begin();
    ck_assert_int_eq(client_stat(&client, "d7/7", &attributes), 0);
    ck_assert_uint_eq(attributes.st_nlink, 3001);
    content_is("d49/2999", "x");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("archive_hostile");
    TCase *tests = tcase_create("hostile");
    SRunner *runner = srunner_create(suite);
    int failed;

    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_set_timeout(tests, 100);
    tcase_add_test(tests, names_stay_inside);
    tcase_add_test(tests, symlinks_are_not_gone_through);
    tcase_add_test(tests, the_last_one_wins);
    tcase_add_test(tests, the_last_one_wins_in_a_stream);
    tcase_add_test(tests, links_forward);
    tcase_add_test(tests, odd_entries);
    tcase_add_test(tests, requests_are_checked);
    tcase_add_loop_test(tests, broken_archives, 0, 8);
    tcase_add_loop_test(tests, bombs, 0, 2);
    tcase_add_test(tests, too_many_entries);
    tcase_add_test(tests, replaced_and_changed);
    tcase_add_test(tests, a_long_file_stops_nobody);
    tcase_add_test(tests, is_narrowed);
    tcase_add_test(tests, busy_while_used);
    tcase_add_test(tests, many_links);
    suite_add_tcase(suite, tests);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
