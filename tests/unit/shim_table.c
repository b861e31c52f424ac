/* The table's searches, against ones that look at every row. */
#include <check.h>
#include <stdio.h>

#include "shim/core/text.h"
#include "tests/unit/shim_table.h"

enum { ROWS = 12, ROUNDS = 300, QUESTIONS = 200 };

static char paths[ROWS][64], targets[ROWS][64];
static struct row rows[ROWS];

static unsigned chance(unsigned below)
{
    return (unsigned)random() % below;
}

/* Few names, some of them each other's beginning. */
static void path_by_chance(char *path)
{
    static const char *const names[] = {"a", "b", "ab", "a b", "a.", "c"};
    unsigned count = 1 + chance(4);

    *path = '\0';
    for (unsigned i = 0; i < count; i++) {
        strcat(path, "/");
        strcat(path, names[chance(6)]);
    }
}

static size_t rows_by_chance(void)
{
    static const uint16_t kinds[] = {SPACE_BIND, SPACE_BIND, SPACE_HIDE, SPACE_SYMLINK, SPACE_NODE};
    size_t count = 0, wanted = chance(ROWS);

    for (size_t i = 0; i < wanted; i++) {
        bool known = false;
        path_by_chance(paths[count]);
        path_by_chance(targets[count]);
        for (size_t j = 0; j < count; j++)
            known |= strcmp(paths[j], paths[count]) == 0;
        if (known)
            continue;
        rows[count] = (struct row){.path = paths[count], .kind = kinds[chance(5)]};
        rows[count].target = rows[count].kind == SPACE_BIND ? targets[count] : NULL;
        count++;
    }
    return count;
}

static bool is_below(const char *path, const char *prefix)
{
    size_t length = strlen(prefix);

    return strncmp(path, prefix, length) == 0 && (path[length] == '/' || path[length] == '\0');
}

static const char *path_of(const struct space_snapshot *table, const struct space_entry *entry)
{
    return entry == NULL ? "none" : table_path(table, entry).bytes;
}

static void searches_check(const struct space_snapshot *table, size_t count, const char *name)
{
    const char *at = "none", *cover = "none", *mount = "none", *bind = "none";
    size_t cover_length = 0, mount_length = 0, bind_length = 0;
    bool below = false, named = false;
    const char *last = strrchr(name, '/') + 1;

    for (size_t i = 0; i < count; i++) {
        const char *path = rows[i].path;
        bool holds = rows[i].kind == SPACE_BIND || rows[i].kind == SPACE_NODE;
        if (strcmp(path, name) == 0)
            at = path;
        else if (is_below(path, name))
            below = true;
        if (is_below(name, path) && strlen(path) > cover_length) {
            cover = path;
            cover_length = strlen(path);
        }
        if (holds && is_below(name, path) && strlen(path) > mount_length) {
            mount = path;
            mount_length = strlen(path);
        }
        if (rows[i].kind == SPACE_BIND && is_below(name, rows[i].target) &&
            strlen(rows[i].target) > bind_length) {
            bind = path;
            bind_length = strlen(rows[i].target);
        }
        named |= strcmp(strrchr(path, '/') + 1, last) == 0;
    }
    size_t length = strlen(name);
    ck_assert_str_eq(path_of(table, table_find(table, name, length)), at);
    ck_assert_str_eq(path_of(table, table_cover(table, name, length)), cover);
    ck_assert_str_eq(path_of(table, table_mount(table, name, length)), mount);
    ck_assert_str_eq(path_of(table, table_bind_of_host(table, name, length)), bind);
    ck_assert_int_eq(table_has_below(table, name, length), below);
    ck_assert_int_eq(table_names(table, last, strlen(last)), named);
}

START_TEST(searches)
{
    char name[64];

    srandom(1);
    for (int round = 0; round < ROUNDS; round++) {
        size_t count = rows_by_chance();
        struct space_snapshot *table = table_make(rows, count);
        for (int i = 0; i < QUESTIONS; i++) {
            path_by_chance(name);
            searches_check(table, count, name);
        }
        for (size_t i = 0; i < count; i++)
            searches_check(table, count, rows[i].path);
        ck_assert(table_cover(table, "", 0) == NULL);
        ck_assert_int_eq(table_has_below(table, "", 0), count > 0);
        free(table);
    }
}
END_TEST

START_TEST(ancestors)
{
    struct row row[] = {{.path = "/usr/lib/x", .kind = SPACE_HIDE}};
    struct space_snapshot *table = table_make(row, 1);

    ck_assert(table_ancestors(table, "usr", 3));
    ck_assert(table_ancestors(table, "lib", 3));
    ck_assert(!table_ancestors(table, "x", 1));
    free(table);
}
END_TEST

START_TEST(texts)
{
    char digits[20];
    uint64_t number;
    const char *at = "18446744073709551616 too large";

    ck_assert(text_below("/a/b", 4, "/a", 2));
    ck_assert(text_below("/a", 2, "/a", 2));
    ck_assert(!text_below("/ab", 3, "/a", 2));
    ck_assert(text_below("/a", 2, "", 0));
    ck_assert(!text_below("/a", 2, "/a/b", 4));
    ck_assert_uint_eq(text_put_number(digits, 0), 1);
    ck_assert_uint_eq(text_put_number(digits, UINT64_MAX), 20);
    ck_assert_mem_eq(digits, "18446744073709551615", 20);
    ck_assert(!text_get_number(&at, &number));
    at = "12/tree";
    ck_assert(text_get_number(&at, &number));
    ck_assert_uint_eq(number, 12);
    ck_assert_str_eq(at, "/tree");
    at = "x";
    ck_assert(!text_get_number(&at, &number));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("shim_table");
    TCase *test = tcase_create("table");
    SRunner *runner = srunner_create(suite);
    int failed;

    tcase_add_test(test, searches);
    tcase_add_test(test, ancestors);
    tcase_add_test(test, texts);
    suite_add_tcase(suite, test);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
