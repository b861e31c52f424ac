/* The table of a name space: what is written is read back; a reader beside a writer that hammers
 * always sees a whole snapshot; every state that a killed writer leaves is a good one. */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "servers/names/names.h"
#include "tests/unit/fixture/folder.h"

static char directory[64];
static char path[sizeof(directory) + 16];

static void setup(void)
{
    folder_make(directory, sizeof(directory));
    snprintf(path, sizeof(path), "%s/table", directory);
}

static void teardown(void)
{
    unlink(path);
    rmdir(directory);
}

static void add(struct entries *entries, const char *at, uint16_t kind, const char *target)
{
    struct entry entry = {.path = (char *)at,
                          .target = (char *)target,
                          .kind = kind,
                          .flags = SPACE_SHADOWS,
                          .translator = 7,
                          .parent_device = 1,
                          .parent_inode = 2};
    /* A good ck_assert writes to Check's file as well, and a child is killed here at any time. */
    if (entries_add(entries, &entry) != 0)
        ck_abort_msg("an entry for %s", at);
}

START_TEST(round_trip)
{
    struct entries entries = {0}, back;
    struct table table;
    const struct space_snapshot *snapshot;

    add(&entries, "/b/c", SPACE_BIND, "/host/target");
    add(&entries, "/b", SPACE_HIDE, NULL);
    add(&entries, "/b-", SPACE_SYMLINK, "some text");
    add(&entries, "/x/y/z\n\xff", SPACE_NODE, NULL);
    ck_assert_int_eq(table_create(path, 3, &entries, NULL, &table), 0);
    ck_assert_uint_eq(table.header->generation, 1);
    table_close(&table);

    ck_assert_int_eq(table_open(path, 4, &table, &back), EBADMSG);
    ck_assert_int_eq(table_open(path, 3, &table, &back), 0);
    ck_assert_uint_eq(back.count, 4);
    for (size_t i = 0; i < back.count; i++) {
        const struct entry *one = &entries.items[i], *other = &back.items[i];
        ck_assert_str_eq(one->path, other->path);
        ck_assert_uint_eq(one->kind, other->kind);
        ck_assert_uint_eq(one->flags, other->flags);
        ck_assert_uint_eq(one->translator, other->translator);
        ck_assert_uint_eq(one->parent_device, other->parent_device);
        ck_assert_uint_eq(one->parent_inode, other->parent_inode);
        ck_assert_uint_eq(one->serial, other->serial);
        ck_assert(!one->target == !other->target);
        if (one->target)
            ck_assert_str_eq(one->target, other->target);
    }
    /* In memcmp's order: a '-' comes before a '/'. */
    ck_assert_str_eq(back.items[1].path, "/b-");
    snapshot = (const void *)((const char *)table.header + table.header->active);
    ck_assert_uint_eq(snapshot->flags, SPACE_HAS_SHADOWS | SPACE_HAS_BINDS | SPACE_HAS_NODES);
    ck_assert(space_bit_test(snapshot->name_bits, space_name_bit("c", 1)));
    ck_assert(space_bit_test(snapshot->ancestor_bits, space_name_bit("x", 1)));
    ck_assert(space_bit_test(snapshot->ancestor_bits, space_name_bit("y", 1)));
    entries_free(&entries);
    entries_free(&back);
    table_close(&table);
}
END_TEST

/* A listing goes on by them while entries come and go. */
START_TEST(serials_stay)
{
    struct entries entries = {0}, copy, back;
    struct table table;

    add(&entries, "/b", SPACE_HIDE, NULL);
    add(&entries, "/a", SPACE_HIDE, NULL);
    add(&entries, "/c", SPACE_HIDE, NULL);
    ck_assert_uint_eq(entries_at(&entries, "/b")->serial, 1);
    ck_assert_uint_eq(entries_at(&entries, "/a")->serial, 2);
    ck_assert_uint_eq(entries_at(&entries, "/c")->serial, 3);
    ck_assert_int_eq(entries_remove(&entries, "/a"), 0);
    ck_assert_int_eq(entries_copy(&copy, &entries), 0);
    add(&copy, "/a", SPACE_HIDE, NULL);
    ck_assert_uint_eq(entries_at(&copy, "/b")->serial, 1);
    ck_assert_uint_eq(entries_at(&copy, "/a")->serial, 4);
    ck_assert_int_eq(table_create(path, 3, &copy, NULL, &table), 0);
    table_close(&table);
    ck_assert_int_eq(table_open(path, 3, &table, &back), 0);
    add(&back, "/d", SPACE_HIDE, NULL);
    ck_assert_uint_eq(entries_at(&back, "/d")->serial, 5);
    /* After the last number those are given again that nobody has. */
    back.serial = SPACE_SERIAL_MAX;
    add(&back, "/e", SPACE_HIDE, NULL);
    add(&back, "/f", SPACE_HIDE, NULL);
    ck_assert_uint_eq(entries_at(&back, "/e")->serial, 2);
    ck_assert_uint_eq(entries_at(&back, "/f")->serial, 6);
    entries_free(&entries);
    entries_free(&copy);
    entries_free(&back);
    table_close(&table);
}
END_TEST

START_TEST(too_many)
{
    struct entries entries = {0}, back;
    struct table table;
    char name[3000];
    uint64_t generation;

    ck_assert_int_eq(table_create(path, 0, &entries, NULL, &table), 0);
    memset(name, 'n', sizeof(name));
    name[0] = '/';
    name[sizeof(name) - 1] = '\0';
    for (int i = 0; i < 50; i++) {
        name[1] = (char)('A' + i / 10);
        name[2] = (char)('0' + i % 10);
        add(&entries, name, SPACE_HIDE, NULL);
    }
    ck_assert_int_eq(table_publish(&table, &entries), 0);
    generation = table.header->generation;
    for (int i = 50; i < 70; i++) {
        name[1] = (char)('A' + i / 10);
        name[2] = (char)('0' + i % 10);
        add(&entries, name, SPACE_HIDE, NULL);
    }
    ck_assert_int_eq(table_publish(&table, &entries), ENOSPC);
    ck_assert_uint_eq(table.header->generation, generation);
    ck_assert_int_eq(table_read(&table, &back), 0);
    ck_assert_uint_eq(back.count, 50);
    entries_free(&back);
    entries_free(&entries);
    table_close(&table);
}
END_TEST

START_TEST(damaged)
{
    struct entries entries = {0}, back;
    struct table table;
    struct space_snapshot *snapshot;
    struct space_entry *entry;
    uint64_t active;

    add(&entries, "/a", SPACE_BIND, "/b");
    ck_assert_int_eq(table_create(path, 0, &entries, NULL, &table), 0);
    active = table.header->active;
    snapshot = (void *)((char *)table.header + active);
    entry = (struct space_entry *)(snapshot + 1);
#define DAMAGED(field, value)                                                                      \
    do {                                                                                           \
        __typeof__(field) before = field;                                                          \
        field = value;                                                                             \
        ck_assert_int_eq(table_read(&table, &back), EBADMSG);                                      \
        field = before;                                                                            \
        ck_assert_int_eq(table_read(&table, &back), 0);                                            \
        entries_free(&back);                                                                       \
    } while (0)
    DAMAGED(table.header->active, 0);
    DAMAGED(table.header->active, active + 1);
    DAMAGED(table.header->active, SPACE_RING_END - 8);
    DAMAGED(table.header->active, UINT64_MAX - 7);
    DAMAGED(snapshot->size, UINT32_MAX);
    DAMAGED(snapshot->count, UINT32_MAX);
    DAMAGED(entry->path, UINT32_MAX);
    DAMAGED(entry->path, 0);
    DAMAGED(entry->path_length, UINT32_MAX);
    DAMAGED(entry->path_length, 1);
    DAMAGED(entry->target, UINT32_MAX - 2);
    DAMAGED(entry->target_length, 100);
    table_close(&table);
    ck_assert_int_eq(truncate(path, 8192), 0);
    ck_assert_int_eq(table_open(path, 0, &table, &back), EBADMSG);
    entries_free(&entries);
}
END_TEST

/* ---- a reader as the shim has it ---- */

/* Every entry of snapshot N is named "/N/i": a snapshot of two writings shows. `busy` stands for
 * the time that a reader takes. */
static bool snapshot_is_whole(const struct space_header *header, uint64_t active)
{
    const struct space_snapshot *snapshot = (const void *)((const char *)header + active);
    const struct space_entry *entry = (const struct space_entry *)(snapshot + 1);
    const char *end = (const char *)header + SPACE_FILE_SIZE;
    uint64_t first = 0;

    for (uint32_t i = 0; i < snapshot->count; i++, entry++) {
        uint64_t number, index;
        const char *text;
        /* What is being written over says anything. */
        if ((const char *)(entry + 1) > end)
            return false;
        text = (const char *)snapshot + entry->path;
        if (text >= end || memchr(text, '\0', (size_t)(end - text)) == NULL)
            return false;
        if (entry->path >= snapshot->size ||
            sscanf(text, "/%" SCNu64 "/%" SCNu64, &number, &index) != 2)
            return false;
        if (i == 0)
            first = number;
        if (number != first)
            return false;
    }
    return snapshot->count == first % 50 + 1;
}

static _Noreturn void reader(void)
{
    int descriptor = open(path, O_RDONLY);
    const struct space_header *header =
        mmap(NULL, SPACE_FILE_SIZE, PROT_READ, MAP_SHARED, descriptor, 0);
    uint64_t good = 0, last = 0;

    if (header == MAP_FAILED)
        _exit(1);
    for (;;) {
        uint64_t before = __atomic_load_n(&header->generation, __ATOMIC_ACQUIRE);
        uint64_t active = __atomic_load_n(&header->active, __ATOMIC_ACQUIRE);
        bool whole = snapshot_is_whole(header, active);
        uint64_t after = __atomic_load_n(&header->generation, __ATOMIC_ACQUIRE);
        if (after - before >= SPACE_RING_SAFE)
            continue; /* may have been written over: begin again */
        if (!whole)
            _exit(2);
        if (before < last)
            _exit(3);
        last = before;
        good++;
        if (last > 20000)
            _exit(good > 100 ? 0 : 4);
    }
}

static void entries_number(struct entries *entries, uint64_t number)
{
    memset(entries, 0, sizeof(*entries));
    for (uint64_t i = 0; i <= number % 50; i++) {
        char name[64];
        snprintf(name, sizeof(name), "/%" PRIu64 "/%" PRIu64, number, i);
        add(entries, name, SPACE_HIDE, NULL);
    }
}

START_TEST(reader_beside_writer)
{
    struct entries entries;
    struct table table;
    uint64_t number = 100;
    pid_t child;
    int status;

    entries_number(&entries, number);
    ck_assert_int_eq(table_create(path, 0, &entries, NULL, &table), 0);
    entries_free(&entries);
    child = fork();
    if (child == 0)
        reader();
    while (waitpid(child, &status, WNOHANG) == 0) {
        entries_number(&entries, ++number);
        ck_assert_int_eq(table_publish(&table, &entries), 0);
        entries_free(&entries);
        if (number % 64 == 0)
            sched_yield();
    }
    ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "the reader says %d", status);
    table_close(&table);
}
END_TEST

START_TEST(writer_killed)
{
    struct entries entries, back;
    struct table table;

    entries_number(&entries, 100);
    ck_assert_int_eq(table_create(path, 0, &entries, NULL, &table), 0);
    entries_free(&entries);
    table_close(&table);
    for (int round = 0; round < 30; round++) {
        struct timespec pause = {0, 1000000 + round * 37000};
        pid_t child = fork();
        if (child == 0) {
            uint64_t number = 1000u * (unsigned)round;
            if (table_open(path, 0, &table, &back))
                _exit(1);
            for (;;) {
                entries_number(&entries, ++number);
                table_publish(&table, &entries);
                entries_free(&entries);
            }
        }
        nanosleep(&pause, NULL);
        kill(child, SIGKILL);
        waitpid(child, NULL, 0);
        ck_assert_int_eq(table_open(path, 0, &table, &back), 0);
        ck_assert(snapshot_is_whole(table.header, table.header->active));
        entries_free(&back);
        table_close(&table);
    }
}
END_TEST

START_TEST(net_is_kept)
{
    struct entries entries = {0}, back;
    struct space_net net = {.mode = SPACE_NET_PRIVATE, .slice = 0x7f010000};
    struct table table;

    ck_assert_int_eq(table_create(path, 9, &entries, &net, &table), 0);
    ck_assert_uint_eq(table_net(&table)->slice, 0x7f010000);
    ck_assert_int_eq(table_publish(&table, &entries), 0);
    table_close(&table);
    ck_assert_int_eq(table_open(path, 9, &table, &back), 0);
    ck_assert_uint_eq(table_net(&table)->mode, SPACE_NET_PRIVATE);
    ck_assert_int_eq(table_create(path, 9, &entries, &net, &table), EEXIST);
    entries_free(&back);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("names_table");
    TCase *tests = tcase_create("table");
    SRunner *runner;
    int failed;

    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, round_trip);
    tcase_add_test(tests, serials_stay);
    tcase_add_test(tests, too_many);
    tcase_add_test(tests, damaged);
    tcase_add_test(tests, reader_beside_writer);
    tcase_add_test(tests, writer_killed);
    tcase_add_test(tests, net_is_kept);
    suite_add_tcase(suite, tests);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
