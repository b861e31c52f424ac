/* A reader of a table that is written over while it reads: stopped in the middle, it meets anything
 * at all. It stays within the file, and begins again. */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "shim/core/node.h"
#include "shim/core/unix_name.h"
#include "shim/door/door.h"
#include "tests/unit/shim_table.h"

enum { PAGE = 4096, ROUNDS = 4000, READS = 20000, SLOTS = 4 };

static char *file; /* between two pages that nobody may touch */
static struct space_header *header;

static void file_make(void)
{
    char *map =
        mmap(NULL, SPACE_FILE_SIZE + 2 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    ck_assert_ptr_ne(map, MAP_FAILED);
    file = map + PAGE;
    ck_assert_int_eq(mprotect(file, SPACE_FILE_SIZE, PROT_READ | PROT_WRITE), 0);
    header = (struct space_header *)(void *)file;
    the_shim.core.header = header;
    the_shim.core.net = (const struct space_net *)(const void *)(file + SPACE_NET_OFFSET);
    strcpy(the_shim.core.session, "/nowhere/session");
    the_shim.core.session_length = strlen(the_shim.core.session);
    the_shim.caller.core = &the_shim.core;
    the_shim.caller.process = "/proc/self";
}

/* Numbers that are believed: small ones, those about a limit, and any. */
static uint32_t number_by_chance(void)
{
    static const uint32_t limits[] = {PATH_LIMIT, SPACE_SNAPSHOT_MAX, SPACE_RING_END,
                                      SPACE_FILE_SIZE, UINT32_MAX};
    uint32_t number = (uint32_t)random() ^ (uint32_t)random() << 16;

    switch (random() % 4) {
    case 0:
        return number % 512;
    case 1:
        return limits[random() % 5] + number % 64 - 32;
    case 2:
        return number % SPACE_SNAPSHOT_MAX;
    default:
        return number;
    }
}

static void rubbish_put(struct space_snapshot *table)
{
    struct space_entry *entry = (struct space_entry *)(table + 1);
    uint32_t fits = (uint32_t)((size_t)(file + SPACE_RING_END - (char *)entry) / sizeof *entry);

    memset(file + SPACE_RING_OFFSET, "/a\xff"[random() % 3], SPACE_RING_END - SPACE_RING_OFFSET);
    memset(table->name_bits, 0xff, sizeof table->name_bits);
    memset(table->ancestor_bits, 0xff, sizeof table->ancestor_bits);
    table->count = random() % 2 ? (uint32_t)random() % 32 : number_by_chance();
    table->flags = SPACE_HAS_SHADOWS | SPACE_HAS_BINDS;
    for (uint32_t i = 0; i < 32 && i < fits; i++, entry++) {
        entry->path = number_by_chance();
        entry->path_length = number_by_chance();
        entry->name = number_by_chance();
        entry->target = number_by_chance();
        entry->target_length = number_by_chance();
        entry->kind = (uint16_t)(random() % 6);
        entry->flags = (uint16_t)(random() % 8);
        entry->translator = 1;
    }
}

static void questions_ask(const struct view *view)
{
    static const char *const names[] = {"",       "/",   "/a",
                                        "/a/a/a", "///", "/aaaaaaaaaaaaaaaaaaaaaaaa/b"};
    static struct walk walk;

    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const char *name = names[i];
        size_t length = strlen(name);
        struct sockaddr_un address = {.sun_family = AF_UNIX};

        strcpy(address.sun_path, name);
        table_find(view->table, name, length);
        table_cover(view->table, name, length);
        table_mount(view->table, name, length);
        table_has_below(view->table, name, length);
        table_bind_of_host(view->table, name, length);
        table_has_name(view->table, name, length);
        table_has_read_only(view->table);
        text_find(view, AT_FDCWD, name);
        last_is_named(view->table, name, true);
        walk_path(&walk, &the_shim.caller, view->table, AT_FDCWD, name, WALK_FOLLOW);
        walk_path(&walk, &the_shim.caller, view->table, AT_FDCWD, name, WALK_NAME);
        walk.caller = &the_shim.caller;
        walk.table = view->table;
        walk_from_host(&walk, name, length);
        unix_name_in(&the_shim.caller, view->table, &address,
                     offsetof(struct sockaddr_un, sun_path) + length + 1);
    }
}

START_TEST(rubbish)
{
    const uint64_t last = SPACE_RING_END - sizeof(struct space_snapshot);

    srandom(5);
    file_make();
    header->generation = 1;
    for (int round = 0; round < ROUNDS; round++) {
        uint64_t offset =
            random() % 4 == 0
                ? last - (uint64_t)random() % 4096 / 8 * 8
                : SPACE_RING_OFFSET + (uint64_t)random() % (last - SPACE_RING_OFFSET) / 8 * 8;
        uint64_t generation;

        header->active = offset;
        rubbish_put((struct space_snapshot *)(void *)(file + offset));
        struct view view = {.table = table_active(&the_shim.core, &generation),
                            .generation = generation,
                            .shadows = true,
                            .places = true,
                            .binds = true};
        ck_assert_ptr_nonnull(view.table);
        questions_ask(&view);
    }
}
END_TEST

START_TEST(clear_no_more)
{
    struct row row = {.path = "/etc/name", .target = "/usr", .kind = SPACE_BIND};
    struct space_snapshot *table = table_make(&row, 1);

    file_make();
    memcpy(file + SPACE_RING_OFFSET, table, table->size);
    header->active = SPACE_RING_OFFSET;
    header->generation = 1;
    struct view view = {.table = table_active(&the_shim.core, &view.generation)};
    ck_assert_int_eq(text_find(&view, AT_FDCWD, "/etc/name"), TEXT_TABLE);
    ck_assert_int_eq(text_find(&view, AT_FDCWD, "/etc/other"), TEXT_CLEAR);
    header->generation++;
    ck_assert_int_eq(text_find(&view, AT_FDCWD, "/etc/other"), TEXT_CLEAR);
    header->generation++;
    ck_assert_int_eq(text_find(&view, AT_FDCWD, "/etc/other"), TEXT_TABLE);
    free(table);
}
END_TEST

static atomic_bool over;

/* As fs publishes, and what is two behind becomes rubbish at once. */
static void *publish(void *context)
{
    const struct space_snapshot *table = context;
    const size_t slot = SPACE_SNAPSHOT_MAX / 8 * 8;

    for (uint64_t next = 1; !atomic_load(&over); next++) {
        uint64_t offset = SPACE_RING_OFFSET + next % SLOTS * slot;
        char *behind = file + SPACE_RING_OFFSET + (next + SLOTS - 2) % SLOTS * slot;

        memcpy(file + offset, table, table->size);
        __atomic_store_n(&header->active, offset, __ATOMIC_RELEASE);
        __atomic_add_fetch(&header->generation, 1, __ATOMIC_RELEASE);
        for (size_t i = 0; i < table->size; i++)
            __atomic_store_n(behind + i, (char)(next * 37 + i), __ATOMIC_RELAXED);
        for (long i = random() % 3000; i > 0; i--)
            __atomic_signal_fence(__ATOMIC_SEQ_CST);
    }
    return NULL;
}

START_TEST(overtaken)
{
    struct row row = {.path = "/etc/name", .target = "/usr", .kind = SPACE_BIND};
    struct space_snapshot *table = table_make(&row, 1);
    static struct walk walk;
    unsigned good = 0;
    pthread_t writer;

    file_make();
    memcpy(file + SPACE_RING_OFFSET, table, table->size);
    header->active = SPACE_RING_OFFSET;
    header->generation = 1;
    ck_assert_int_eq(pthread_create(&writer, NULL, publish, table), 0);
    for (int i = 0; i < READS; i++) {
        struct view view;
        long result = walk_in_view(&walk, &view, AT_FDCWD, "/etc/name/lib", WALK_FOLLOW);

        /* Overtaken each time: it is told so. */
        if (result == -EAGAIN)
            continue;
        ck_assert_int_eq(result, 0);
        ck_assert_str_eq(walk.name, "/etc/name/lib");
        ck_assert_str_eq(walk.host, "/usr/lib");
        good++;
    }
    atomic_store(&over, true);
    pthread_join(writer, NULL);
    ck_assert_uint_gt(good, 0);
    free(table);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("trap_overrun");
    TCase *test = tcase_create("overrun");
    SRunner *runner = srunner_create(suite);
    int failed;

    tcase_set_timeout(test, 60);
    tcase_add_test(test, rubbish);
    tcase_add_test(test, clear_no_more);
    tcase_add_test(test, overtaken);
    suite_add_tcase(suite, test);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
