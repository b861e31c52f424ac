/* Names and the slow walk. Without entries it must give realpath(3)'s answer, for random paths too.
 */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "servers/names/names.h"
#include "servers/lib/directory.h"
#include "tests/unit/fixture/folder.h"

static const struct seal seal = {.key = "0123456789abcdef0123456789abcde"};
static char root[PATH_MAX];
static struct entries entries;
static struct walk walk;

static void make_directory(const char *name)
{
    ck_assert_int_eq(mkdir(name, 0700), 0);
}

static void make_file(const char *name)
{
    int descriptor = open(name, O_WRONLY | O_CREAT | O_EXCL, 0600);
    ck_assert_int_ge(descriptor, 0);
    close(descriptor);
}

static void make_symlink(const char *text, const char *name)
{
    ck_assert_int_eq(symlink(text, name), 0);
}

static void setup(void)
{
    char real[PATH_MAX];

    folder_make(root, sizeof(root));
    ck_assert_ptr_nonnull(realpath(root, real));
    strcpy(root, real);
    ck_assert_int_eq(chdir(root), 0);
    make_directory("a");
    make_directory("a/b");
    make_directory("a/b/c");
    make_file("a/b/file");
    make_directory("other");
    make_directory("other/inner");
    make_symlink("a/b", "relative");
    make_symlink("../other", "a/up");
    make_symlink("loop2", "loop1");
    make_symlink("loop1", "loop2");
    make_symlink("nowhere", "dangling");
    make_symlink("a/b/file", "to-file");
    make_symlink("/.hirsel/1/0000/f/hello", "forged");
    char absolute[PATH_MAX + 16];
    snprintf(absolute, sizeof(absolute), "%s/a/up", root);
    make_symlink(absolute, "other/absolute");
    memset(&entries, 0, sizeof(entries));
}

static void teardown(void)
{
    entries_free(&entries);
    ck_assert_int_eq(directory_remove(root, NULL), 0);
}

/* root + "/" + path */
static const char *at(const char *path)
{
    static char buffers[4][2 * PATH_MAX];
    static int turn;
    char *buffer = buffers[turn++ % 4];
    snprintf(buffer, sizeof(buffers[0]), "%s/%s", root, path);
    return buffer;
}

static void bind(const char *path, const char *target)
{
    struct entry entry = {
        .path = (char *)at(path), .target = (char *)at(target), .kind = SPACE_BIND};
    ck_assert_int_eq(entries_add(&entries, &entry), 0);
}

static void set(const char *path, uint16_t kind, const char *target)
{
    struct entry entry = {
        .path = (char *)at(path), .target = (char *)target, .kind = kind, .translator = 42};
    ck_assert_int_eq(entries_add(&entries, &entry), 0);
}

static int go(const char *path, unsigned flags)
{
    return walk_path(&entries, &seal, getpid(), at(path), flags, &walk);
}

START_TEST(names)
{
    char path[NAME_PATH_SIZE];
    char longest[NAME_PATH_SIZE + 1];

    ck_assert_int_eq(name_absolute("a", 1, path), EINVAL);
    ck_assert_int_eq(name_absolute("", 0, path), EINVAL);
    ck_assert_int_eq(name_absolute("/a\0b", 4, path), EINVAL);
    memset(longest, '/', sizeof(longest));
    ck_assert_int_eq(name_absolute(longest, 4096, path), ENAMETOOLONG);
    ck_assert_int_eq(name_absolute(longest, 4095, path), 0);
    ck_assert_int_eq(name_normalise(path), 0);
    ck_assert_str_eq(path, "/");
    strcpy(path, "//a/./b//c/.");
    ck_assert_int_eq(name_normalise(path), 0);
    ck_assert_str_eq(path, "/a/b/c");
    strcpy(path, "/a/../b");
    ck_assert_int_eq(name_normalise(path), EINVAL);
    strcpy(path, "/..a/...");
    ck_assert_int_eq(name_normalise(path), 0);
    ck_assert_str_eq(path, "/..a/...");

    ck_assert_int_eq(name_below("", 0), 0);
    ck_assert_int_eq(name_below("a/b\n\xff", 5), 0);
    ck_assert_int_eq(name_below("/a", 2), EINVAL);
    ck_assert_int_eq(name_below("a/", 2), EINVAL);
    ck_assert_int_eq(name_below("a//b", 4), EINVAL);
    ck_assert_int_eq(name_below("a/../b", 6), EINVAL);
    ck_assert_int_eq(name_below("..", 2), EINVAL);
    ck_assert_int_eq(name_below(".", 1), EINVAL);
    ck_assert_int_eq(name_below("a\0b", 3), EINVAL);
    memset(longest, 'x', sizeof(longest));
    ck_assert_int_eq(name_below(longest, 4096), ENAMETOOLONG);
    ck_assert_int_eq(name_below(longest, 256), ENAMETOOLONG);
    ck_assert_int_eq(name_below(longest, 255), 0);

    ck_assert(name_is_below("/a/b", "/a"));
    ck_assert(name_is_below("/a", "/a"));
    ck_assert(!name_is_below("/ab", "/a"));
    ck_assert(name_is_below("/ab", "/"));
}
END_TEST

START_TEST(entries_order)
{
    char buffer[4096];
    struct entry entry = {.kind = SPACE_BIND, .target = "/host"};
    struct entries table = {0};

    for (const char **path = (const char *[]){"/a/b", "/a", "/a-b", "/a/b/c", "/z", NULL}; *path;
         path++) {
        entry.path = (char *)*path;
        ck_assert_int_eq(entries_add(&table, &entry), 0);
        ck_assert_int_eq(entries_add(&table, &entry), EEXIST);
    }
    ck_assert_str_eq(entries_prefix(&table, "/a/b/cc")->path, "/a/b");
    ck_assert_str_eq(entries_prefix(&table, "/a/b/c/d")->path, "/a/b/c");
    ck_assert_ptr_null(entries_prefix(&table, "/b"));
    ck_assert_str_eq(entries_host(&table, "/a/x", buffer), "/host/x");
    ck_assert_str_eq(entries_host(&table, "/q/x", buffer), "/q/x");
    ck_assert_str_eq(entries_session(&table, "/host/x", buffer), "/a/x");
    ck_assert_int_eq(entries_remove(&table, "/a/b"), 0);
    ck_assert_int_eq(entries_remove(&table, "/a/b"), ENOENT);
    ck_assert_str_eq(entries_prefix(&table, "/a/b/cc")->path, "/a");
    ck_assert(entries_any_below(&table, "/a"));
    ck_assert(!entries_any_below(&table, "/z"));
    ck_assert(!entries_any_below(&table, "/a/b/c"));
    entries_free(&table);
    entry.path = "/mine";
    entry.target = "/";
    ck_assert_int_eq(entries_add(&table, &entry), 0);
    ck_assert_str_eq(entries_host(&table, "/mine", buffer), "/");
    ck_assert_str_eq(entries_host(&table, "/mine/etc", buffer), "/etc");
    ck_assert_str_eq(entries_session(&table, "/", buffer), "/mine");
    ck_assert_str_eq(entries_session(&table, "/etc", buffer), "/mine/etc");
    entries_free(&table);
}
END_TEST

START_TEST(plain)
{
    ck_assert_int_eq(go("a//b/./file", WALK_FOLLOW), 0);
    ck_assert_str_eq(walk.path, at("a/b/file"));
    ck_assert_str_eq(walk.host, at("a/b/file"));
    ck_assert_int_eq(go("relative/file", WALK_FOLLOW), 0);
    ck_assert_str_eq(walk.path, at("a/b/file"));
    ck_assert_int_eq(go("relative/../up/inner", WALK_FOLLOW), 0);
    ck_assert_str_eq(walk.path, at("other/inner"));
    ck_assert_int_eq(go("to-file/", WALK_FOLLOW), ENOTDIR);
    ck_assert_int_eq(go("a/b/file/x", WALK_FOLLOW), ENOTDIR);
    ck_assert_int_eq(go("a/b/file/..", WALK_FOLLOW), ENOTDIR);
    ck_assert_int_eq(go("loop1", WALK_FOLLOW), ELOOP);
    ck_assert_int_eq(go("dangling", WALK_FOLLOW), ENOENT);
    ck_assert_int_eq(go("dangling", 0), 0);
    ck_assert(S_ISLNK(walk.status.st_mode));
    ck_assert_int_eq(go("relative/", 0), 0);
    ck_assert_str_eq(walk.path, at("a/b"));
    /* A stranger's record starts nothing: it is the dangling symlink that it is. */
    ck_assert_int_eq(go("forged", WALK_FOLLOW), ENOENT);
    ck_assert_int_eq(go("forged", 0), 0);
    ck_assert_int_eq(walk.kind, WALK_HOST);
    ck_assert_int_eq(walk_path(&entries, &seal, 1, "/", WALK_FOLLOW, &walk), 0);
    ck_assert_str_eq(walk.path, "/");
    ck_assert_int_eq(walk_path(&entries, &seal, 1, "/../..", WALK_FOLLOW, &walk), 0);
    ck_assert_str_eq(walk.path, "/");
    ck_assert_int_eq(walk_path(&entries, &seal, 1, "/.hirsel/session", 0, &walk), ENOENT);
}
END_TEST

START_TEST(parents)
{
    ck_assert_int_eq(go("relative/new", WALK_PARENT), 0);
    ck_assert_str_eq(walk.path, at("a/b"));
    ck_assert_str_eq(walk.name, "new");
    ck_assert_int_eq(go("a/up/new///", WALK_PARENT), 0);
    ck_assert_str_eq(walk.path, at("other"));
    ck_assert_str_eq(walk.name, "new");
    ck_assert_int_eq(go("relative", WALK_PARENT), 0);
    ck_assert_str_eq(walk.name, "relative");
    ck_assert_int_eq(go("missing/new", WALK_PARENT), ENOENT);
    ck_assert_int_eq(go("a/..", WALK_PARENT), EINVAL);
    ck_assert_int_eq(go("a/.", WALK_PARENT), EINVAL);
    ck_assert_int_eq(walk_path(&entries, &seal, 1, "/", WALK_PARENT, &walk), EINVAL);
}
END_TEST

START_TEST(with_entries)
{
    struct record record = {.kind = 'd', .command = (char *[]){"archive", "x", NULL}, .count = 2};
    char *text;

    bind("other/bound", "a/b");
    set("a/hidden", SPACE_HIDE, NULL);
    set("link", SPACE_SYMLINK, "other/bound/c");
    set("node", SPACE_NODE, NULL);
    ck_assert_int_eq(go("other/bound/file", WALK_FOLLOW), 0);
    ck_assert_str_eq(walk.path, at("other/bound/file"));
    ck_assert_str_eq(walk.host, at("a/b/file"));
    /* ".." goes up in the session's names, not in the host's. */
    ck_assert_int_eq(go("other/bound/../inner", WALK_FOLLOW), 0);
    ck_assert_str_eq(walk.path, at("other/inner"));
    ck_assert_int_eq(go("link", WALK_FOLLOW), 0);
    ck_assert_str_eq(walk.path, at("other/bound/c"));
    ck_assert_str_eq(walk.host, at("a/b/c"));
    ck_assert_int_eq(go("a/hidden", 0), ENOENT);
    ck_assert_int_eq(go("a/hidden/x", 0), ENOENT);
    ck_assert_int_eq(go("a/hidden", WALK_PARENT), 0);
    ck_assert_int_eq(go("node", 0), 0);
    ck_assert_int_eq(walk.kind, WALK_ENTRY);
    ck_assert_uint_eq(walk.translator, 42);
    ck_assert_int_eq(go("node/inside", 0), EOPNOTSUPP);

    ck_assert_int_eq(record_encode(&seal, &record, &text), 0);
    make_symlink(text, "sealed");
    make_symlink("sealed", "to-sealed");
    ck_assert_int_eq(go("to-sealed", WALK_FOLLOW), 0);
    ck_assert_int_eq(walk.kind, WALK_RECORD);
    ck_assert_str_eq(walk.path, at("sealed"));
    ck_assert_str_eq(walk.text, text);
    ck_assert_int_eq(go("sealed/x", WALK_FOLLOW), EOPNOTSUPP);
    free(text);
}
END_TEST

START_TEST(self_is_the_caller)
{
    char path[PATH_MAX];

    ck_assert_int_eq(walk_path(&entries, &seal, 1, "/proc/self/status", WALK_FOLLOW, &walk), 0);
    ck_assert_str_eq(walk.path, "/proc/1/status");
    snprintf(path, sizeof(path), "/proc/%d/task/%d/status", getpid(), getpid());
    ck_assert_int_eq(
        walk_path(&entries, &seal, getpid(), "/proc/thread-self/status", WALK_FOLLOW, &walk), 0);
    ck_assert_str_eq(walk.path, path);
}
END_TEST

START_TEST(long_ones)
{
    char path[2 * PATH_MAX];
    char name[PATH_MAX];

    memset(name, 'n', 256);
    name[256] = '\0';
    ck_assert_int_eq(go(name, 0), ENAMETOOLONG);
    ck_assert_int_eq(go(name, WALK_PARENT), ENAMETOOLONG);
    /* A symlink whose text and what follows are together too long. */
    memset(name, '/', 3000);
    strcpy(name + 3000, "a");
    make_symlink(name, "slashes");
    strcpy(path, "slashes/");
    memset(path + 8, '/', 2000);
    strcpy(path + 2008, "b");
    ck_assert_int_eq(go(path, 0), ENAMETOOLONG);
}
END_TEST

START_TEST(random_walks)
{
    static const char *const parts[] = {"a",     "b",       "c",        "file",     "other",
                                        "inner", "up",      "relative", "..",       ".",
                                        "",      "to-file", "loop1",    "dangling", "absolute"};
    size_t count = sizeof(parts) / sizeof(parts[0]);
    int reached = 0;

    srandom(7);
    for (int round = 0; round < 20000; round++) {
        char path[512] = "", real[PATH_MAX], full[PATH_MAX + 512];
        int length = (int)(random() % 8) + 1;
        int error, native;
        for (int i = 0; i < length; i++) {
            strcat(path, parts[(size_t)random() % count]);
            if (i + 1 < length || random() % 4 == 0)
                strcat(path, "/");
        }
        snprintf(full, sizeof(full), "%s/%s", root, path);
        error = go(path, WALK_FOLLOW);
        native = realpath(full, real) ? 0 : errno;
        ck_assert_msg(error == native, "%s: %s, natively %s", path, strerror(error),
                      strerror(native));
        if (!error)
            ck_assert_str_eq(walk.path, real);
        reached += !error;
    }
    ck_assert_int_gt(reached, 1000);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("names_walk");
    TCase *tests = tcase_create("walk");
    SRunner *runner;
    int failed;

    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, names);
    tcase_add_test(tests, entries_order);
    tcase_add_test(tests, plain);
    tcase_add_test(tests, parents);
    tcase_add_test(tests, with_entries);
    tcase_add_test(tests, self_is_the_caller);
    tcase_add_test(tests, long_ones);
    tcase_add_test(tests, random_walks);
    suite_add_tcase(suite, tests);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
