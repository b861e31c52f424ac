/* The slow walk, in a small tree of the host with a table over it. */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "shim/core/node.h"
#include "shim/core/walk.h"
#include "tests/unit/fixture/folder.h"
#include "tests/unit/shim_table.h"

static char base[64];
static struct core core;
static struct caller caller;
static struct space_snapshot *table;
static struct walk walk;

/* The only node is a directory; its translator has no symlinks. */
long node_status(struct walk *at, bool follow, struct stat *status, bool *ended)
{
    (void)at;
    (void)follow;
    *ended = false;
    status->st_mode = S_IFDIR | 0755;
    return 0;
}

static const char *in_base(const char *path)
{
    static char texts[8][256];
    static unsigned next;
    char *text = texts[next++ % 8];

    snprintf(text, sizeof texts[0], "%s%s", base, path);
    return text;
}

static void file_make(const char *path)
{
    int file = open(in_base(path), O_CREAT | O_WRONLY, 0644);

    ck_assert_int_ge(file, 0);
    close(file);
}

static void set_up(void)
{
    folder_make(base, sizeof base);
    /* target/deep/file, target/up -> .. ; target/veiled/in ; host/link -> target ; host/secret */
    ck_assert_int_eq(mkdir(in_base("/target"), 0755), 0);
    ck_assert_int_eq(mkdir(in_base("/target/deep"), 0755), 0);
    ck_assert_int_eq(mkdir(in_base("/target/veiled"), 0755), 0);
    ck_assert_int_eq(mkdir(in_base("/host"), 0755), 0);
    file_make("/target/deep/file");
    file_make("/host/secret");
    ck_assert_int_eq(symlink("..", in_base("/target/up")), 0);
    ck_assert_int_eq(symlink(in_base("/host/bind/"), in_base("/host/link")), 0);
    ck_assert_int_eq(symlink("secret/", in_base("/host/slash")), 0);
    ck_assert_int_eq(symlink("loop", in_base("/host/loop")), 0);
    struct row rows[] = {
        {.path = in_base("/host/bind"), .target = in_base("/target"), .kind = SPACE_BIND},
        {.path = in_base("/host/bind/veiled"), .kind = SPACE_HIDE},
        {.path = in_base("/host/secret"), .kind = SPACE_HIDE},
        {.path = in_base("/host/node"), .kind = SPACE_NODE, .translator = 7},
        {.path = in_base("/host/there"), .target = "bind/deep", .kind = SPACE_SYMLINK},
    };
    table = table_make(rows, 5);
    strcpy(core.session, "/nowhere/session");
    core.session_length = strlen(core.session);
    caller.core = &core;
    caller.process = "/proc/self";
}

static void tear_down(void)
{
    char command[128];

    ck_assert_int_eq(chdir("/"), 0);
    snprintf(command, sizeof command, "rm -rf '%s'", base);
    ck_assert_int_eq(system(command), 0);
    free(table);
}

static long go(const char *path, unsigned options)
{
    return walk_path(&walk, &caller, table, AT_FDCWD, path, options);
}

static void stands(const char *name, const char *host)
{
    ck_assert_int_eq(walk.place, PLACE_HOST);
    ck_assert_str_eq(walk.name, in_base(name));
    ck_assert_str_eq(walk.host, in_base(host));
}

START_TEST(bind)
{
    ck_assert_int_eq(go(in_base("/host/bind/deep/file"), WALK_FOLLOW), 0);
    stands("/host/bind/deep/file", "/target/deep/file");
    ck_assert(walk.touched);
    ck_assert_int_eq(go(in_base("/host/link/deep/.././deep"), WALK_FOLLOW), 0);
    stands("/host/bind/deep", "/target/deep");
    /* Out of the bind by its name, and not out of its target. */
    ck_assert_int_eq(go(in_base("/host/bind/.."), WALK_FOLLOW), 0);
    stands("/host", "/host");
    ck_assert_int_eq(go(in_base("/host/bind/up"), WALK_FOLLOW), 0);
    stands("/host", "/host");
    ck_assert_int_eq(go(in_base("/target/up"), WALK_FOLLOW), 0);
    stands("", "");
    ck_assert_int_eq(go(in_base("/host/there/file"), WALK_FOLLOW), 0);
    stands("/host/bind/deep/file", "/target/deep/file");
}
END_TEST

START_TEST(hidden)
{
    ck_assert_int_eq(go(in_base("/host/secret"), WALK_FOLLOW), 0);
    ck_assert(walk.missing);
    ck_assert_int_eq(go(in_base("/host/secret/x"), WALK_FOLLOW), -ENOENT);
    ck_assert_int_eq(go(in_base("/host/bind/veiled/x"), WALK_FOLLOW), -ENOENT);
    ck_assert_int_eq(go(in_base("/target/veiled"), WALK_FOLLOW), 0);
    ck_assert(!walk.missing);
}
END_TEST

START_TEST(relative)
{
    ck_assert_int_eq(chdir(in_base("/target/deep")), 0);
    ck_assert_int_eq(go("file", WALK_FOLLOW), 0);
    stands("/host/bind/deep/file", "/target/deep/file");
    ck_assert_int_eq(go("../..", WALK_FOLLOW), 0);
    stands("/host", "/host");
    /* A current directory whose name is hidden: it goes up on the host. */
    ck_assert_int_eq(chdir(in_base("/target/veiled")), 0);
    ck_assert_int_eq(go("../deep", WALK_FOLLOW), 0);
    stands("/host/bind/deep", "/target/deep");
    ck_assert_int_eq(go(".", WALK_FOLLOW), 0);
    stands("/host/bind/veiled", "/target/veiled");
}
END_TEST

START_TEST(ends)
{
    ck_assert_int_eq(go(in_base("/host/loop"), WALK_FOLLOW), -ELOOP);
    ck_assert_int_eq(go(in_base("/host/loop"), 0), 0);
    ck_assert_int_eq(go(in_base("/host/link/"), WALK_NAME), 0);
    stands("/host/link", "/host/link");
    ck_assert_int_eq(walk.end, END_NAME);
    ck_assert(walk.slash);
    ck_assert_int_eq(go(in_base("/host/link"), WALK_FOLLOW), 0);
    ck_assert(walk.slash);
    ck_assert_int_eq(go(in_base("/host/."), WALK_NAME), 0);
    ck_assert_int_eq(walk.end, END_DOT);
    ck_assert_int_eq(go(in_base("/host/../"), WALK_NAME), 0);
    ck_assert_int_eq(walk.end, END_DOTS);
    ck_assert_int_eq(go("///", WALK_NAME), 0);
    ck_assert_int_eq(walk.end, END_ROOT);
    ck_assert_int_eq(go(in_base("/target/deep/file/.."), WALK_FOLLOW), -ENOTDIR);
    ck_assert_int_eq(go(in_base("/target/none/.."), WALK_FOLLOW), -ENOENT);
    ck_assert_int_eq(go("", WALK_FOLLOW), -ENOENT);
}
END_TEST

START_TEST(procfs)
{
    ck_assert_int_eq(chdir(in_base("/target/deep")), 0);
    ck_assert_int_eq(go("/proc/self/cwd/file", WALK_FOLLOW), 0);
    stands("/host/bind/deep/file", "/target/deep/file");
    ck_assert(walk.fleeting);
    ck_assert_int_eq(chdir(in_base("/host")), 0);
    ck_assert_int_eq(go("/proc/self/cwd/loop", 0), 0);
    stands("/host/loop", "/host/loop");
    ck_assert(walk.fleeting && !walk.touched);
    /* At the end it is followed by the kernel, wherever it leads. */
    ck_assert_int_eq(go("/proc/self/cwd/", WALK_FOLLOW), 0);
    ck_assert(S_ISLNK(walk.status.st_mode));
    ck_assert(!walk.fleeting);
    ck_assert_int_eq(go("/proc/self/cwd/..", WALK_FOLLOW), 0);
    stands("", "");
    ck_assert_int_eq(go("/proc/self/exe/..", WALK_FOLLOW), -ENOTDIR);
    ck_assert_int_eq(go("/proc/self/exe/.", WALK_FOLLOW), -ENOTDIR);
    ck_assert_int_eq(go("/proc/self/exe/x", WALK_FOLLOW), -ENOTDIR);
}
END_TEST

START_TEST(node)
{
    size_t length;

    ck_assert_int_eq(go(in_base("/host/node/a/b"), WALK_FOLLOW), 0);
    ck_assert_int_eq(walk.place, PLACE_NODE);
    ck_assert_uint_eq(walk.node.translator, 7);
    ck_assert_str_eq(walk_rest(&walk, &length), "a/b");
    ck_assert_uint_eq(length, 3);
    ck_assert_int_eq(go(in_base("/host/node/a/../.."), WALK_FOLLOW), 0);
    stands("/host", "/host");
    /* "Go on there", met behind "a", and ".." behind what it leads to. */
    ck_assert_int_eq(go(in_base("/host/node/a/b"), WALK_FOLLOW), 0);
    ck_assert_int_eq(walk_redirect(&walk, 1, "c/d", 3), 0);
    ck_assert_str_eq(walk_rest(&walk, &length), "c/d/b");
    ck_assert_int_eq(walk_redirect(&walk, 5, in_base("/host/bind"), strlen(in_base("/host/bind"))),
                     0);
    stands("/host/bind", "/target");
    ck_assert_int_eq(go(in_base("/host/node/a"), WALK_FOLLOW), 0);
    ck_assert_int_eq(walk_redirect(&walk, 0, "c", 1), -EIO);
    ck_assert_int_eq(walk_redirect(&walk, 2, "c", 1), -EIO);
}
END_TEST

START_TEST(too_long)
{
    static char path[PATH_LIMIT + 1];

    memset(path, 'a', 300);
    path[0] = '/';
    ck_assert_int_eq(go(path, WALK_FOLLOW), -ENAMETOOLONG);
    memset(path, '/', PATH_LIMIT);
    ck_assert_int_eq(go(path, WALK_FOLLOW), -ENAMETOOLONG);
    path[PATH_LIMIT - 1] = '\0';
    ck_assert_int_eq(go(path, WALK_FOLLOW), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("shim_walk");
    TCase *test = tcase_create("walk");
    SRunner *runner = srunner_create(suite);
    int failed;

    tcase_add_checked_fixture(test, set_up, tear_down);
    tcase_add_test(test, bind);
    tcase_add_test(test, hidden);
    tcase_add_test(test, relative);
    tcase_add_test(test, ends);
    tcase_add_test(test, procfs);
    tcase_add_test(test, node);
    tcase_add_test(test, too_long);
    suite_add_tcase(suite, test);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
