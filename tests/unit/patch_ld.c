/* ld_patch: this program's own ld.so is patched, each test in a process of its own. */
#include "shim/patch/copy.h"
#include "shim/patch/copy_make.h"
#include "shim/patch/ld_patch.h"
#include "tests/unit/patch_scratch.h"

#include <dlfcn.h>
#include <errno.h>
#include <sys/auxv.h>
#include <sys/mman.h>

/* Counts, and runs the call plainly. */
unsigned long dispatched;
void count_and_pass(void);
__asm__(".text\n"
        "count_and_pass:\n"
        "  incq dispatched(%rip)\n"
        "  jmp *%rcx\n");

/* Says that there is no such file. */
void deny(void);
__asm__(".text\n"
        "deny:\n"
        "  incq dispatched(%rip)\n"
        "  mov $-2, %rax\n"
        "  add $2, %rcx\n"
        "  jmp *%rcx\n");

static struct scratch scratch;
static char error[1024], warning[1024];
static const struct copy_header *copy;
static const void *ld_base;

static const char *const absent = "libnowhere-at-all.so.7";
static const char *const present = "libanl.so.1";

static void setup(void)
{
    char original[SCRATCH_PATH];
    scratch_make(&scratch);
    snprintf(original, sizeof original, "%s", scratch_fixture("patch_fake_libc.so"));
    const char *path = scratch_name(&scratch, "copy.so");
    const struct copy_request request = {.libc = original, .copy = path, .ld = SCRATCH_LD};
    ck_assert_msg(copy_make(&request, error, warning, sizeof error) == 0, "%s", error);
    ck_assert_str_eq(warning, "");
    void *library = dlopen(path, RTLD_NOW);
    ck_assert_msg(library != NULL, "%s", dlerror());
    copy = copy_find(dlsym(library, "fake_plain"));
    ck_assert_ptr_nonnull(copy);
    ld_base = (const void *)getauxval(AT_BASE);
    dispatched = 0;
}

static void teardown(void)
{
    scratch_remove(&scratch);
}

static void fill(void (*dispatcher)(void))
{
    *copy_slot(copy) = (void *)dispatcher;
}

static void check_loading(void)
{
    dispatched = 0;
    ck_assert_ptr_null(dlopen(absent, RTLD_NOW));
    ck_assert_ptr_nonnull(strstr(dlerror(), "cannot open"));
    void *library = dlopen(present, RTLD_NOW);
    ck_assert_ptr_nonnull(library);
    dlclose(library);
}

START_TEST(test_patched)
{
    ck_assert_int_eq(ld_patch(copy, ld_base, _i ? LD_PATCH_ALL : LD_PATCH_USUAL), 0);
    check_loading();
    ck_assert_uint_eq(dispatched, 0); /* the slot is empty */
    fill(count_and_pass);
    check_loading();
    ck_assert_uint_gt(dispatched, 3);
    ck_assert_int_eq(ld_patch(copy, ld_base, LD_PATCH_USUAL), EALREADY);
    /* The dispatcher's answer stands. */
    fill(deny);
    ck_assert_ptr_null(dlopen("libresolv.so.2", RTLD_NOW));
    fill(count_and_pass);
    ck_assert_ptr_nonnull(dlopen("libresolv.so.2", RTLD_NOW));
}
END_TEST

/* getcwd is asked for where a library is named by a relative path; it is among the rare ones. */
START_TEST(test_rare)
{
    unsigned long usual, all;
    char link[SCRATCH_PATH];
    fill(count_and_pass);
    ck_assert_int_eq(chdir(scratch.path), 0);
    snprintf(link, sizeof link, "%s", scratch_fixture("patch_fake_libc.so"));
    ck_assert_int_eq(symlink(link, "one.so"), 0);
    const char *path = scratch_name(&scratch, "two.so");
    const struct copy_request request = {.libc = link, .copy = path};
    ck_assert_int_eq(copy_make(&request, error, warning, sizeof error), 0);
    ck_assert_int_eq(ld_patch(copy, ld_base, _i ? LD_PATCH_ALL : LD_PATCH_USUAL), 0);
    dispatched = 0;
    ck_assert_msg(dlopen("./one.so", RTLD_NOW) != NULL, "%s", dlerror());
    usual = dispatched;
    dispatched = 0;
    ck_assert_msg(dlopen(path, RTLD_NOW) != NULL, "%s", dlerror());
    all = dispatched;
    ck_assert_uint_eq(usual, all + (_i ? 1 : 0));
}
END_TEST

/* A copy's header that can be written to. */
static struct copy_header *header_open(void)
{
    uintptr_t page = (uintptr_t)copy & ~(uintptr_t)(COPY_PAGE - 1);
    ck_assert_int_eq(
        mprotect((void *)page, copy->end - copy->begin, PROT_READ | PROT_WRITE | PROT_EXEC), 0);
    return (struct copy_header *)(uintptr_t)copy;
}

static void untouched(int expected)
{
    const struct copy_ld_site *site = copy_ld_sites(copy);
    static uint8_t before[64][COPY_LD_WINDOW];
    for (unsigned i = 0; i < copy->ld_count; i++)
        memcpy(before[i], (const uint8_t *)ld_base + site[i].start, COPY_LD_WINDOW);
    ck_assert_int_eq(ld_patch(copy, ld_base, LD_PATCH_ALL), expected);
    for (unsigned i = 0; i < copy->ld_count; i++)
        ck_assert_mem_eq(before[i], (const uint8_t *)ld_base + site[i].start, COPY_LD_WINDOW);
}

START_TEST(test_another_ld)
{
    header_open()->ld_build_id[3] ^= 1;
    untouched(ENOEXEC);
}
END_TEST

START_TEST(test_another_window)
{
    struct copy_ld_site *site = (struct copy_ld_site *)((uintptr_t)header_open() + copy->ld_sites);
    site[copy->ld_count - 1].bytes[1] ^= 1;
    untouched(ENOEXEC);
}
END_TEST

START_TEST(test_no_sites)
{
    header_open()->ld_count = 0;
    untouched(ENOENT);
}
END_TEST

START_TEST(test_not_ld)
{
    ck_assert_int_eq(ld_patch(copy, NULL, LD_PATCH_USUAL), ENOEXEC);
    ck_assert_int_eq(ld_patch(copy, (const char *)copy - copy->begin, LD_PATCH_USUAL), ENOEXEC);
}
END_TEST

/* The copy is made, without ld.so, where that is not understood. */
START_TEST(test_unknown_ld)
{
    const char *path = scratch_name(&scratch, "libc.so.6");
    struct copy_request request = {.libc = SCRATCH_LIBC, .copy = path, .ld = "/etc/passwd"};
    ck_assert_msg(copy_make(&request, error, warning, sizeof error) == 0, "%s", error);
    ck_assert_ptr_nonnull(strstr(warning, "/etc/passwd: not an ELF file"));
    request.ld = "/nowhere/ld.so";
    ck_assert_msg(copy_make(&request, error, warning, sizeof error) == 0, "%s", error);
    ck_assert_ptr_nonnull(strstr(warning, "/nowhere/ld.so"));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("patch_ld");
    TCase *ld = tcase_create("ld");
    tcase_add_checked_fixture(ld, setup, teardown);
    tcase_add_loop_test(ld, test_patched, 0, 2);
    tcase_add_loop_test(ld, test_rare, 0, 2);
    tcase_add_test(ld, test_another_ld);
    tcase_add_test(ld, test_another_window);
    tcase_add_test(ld, test_no_sites);
    tcase_add_test(ld, test_not_ld);
    tcase_add_test(ld, test_unknown_ld);
    suite_add_tcase(suite, ld);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
