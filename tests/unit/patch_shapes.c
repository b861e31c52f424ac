/* System calls in the shapes that the real libc does not have: a made-up one is patched, loaded and
 * called, with an empty slot and with a dispatcher. */
#include "shim/patch/copy.h"
#include "shim/patch/copy_make.h"
#include "shim/patch/copy_verify.h"
#include "tests/unit/patch_scratch.h"

#include <dlfcn.h>
#include <execinfo.h>
#include <pthread.h>
#include <signal.h>

/* Counts, and runs the call plainly. */
unsigned long dispatched;
void count_and_pass(void);
__asm__(".text\n"
        "count_and_pass:\n"
        "  .cfi_startproc\n"
        "  .cfi_def_cfa rsp, 0\n"
        "  .cfi_register rip, rcx\n"
        "  incq dispatched(%rip)\n"
        "  jmp *%rcx\n"
        "  .cfi_endproc\n");

static struct scratch scratch;
static char error[1024], warning[1024];
static void *library;

static int make(const char *fixture)
{
    char original[SCRATCH_PATH];
    snprintf(original, sizeof original, "%s", scratch_fixture(fixture));
    const char *copy = scratch_name(&scratch, "copy.so");
    const struct copy_request request = {.libc = original, .copy = copy};
    if (copy_make(&request, error, warning, sizeof error) < 0)
        return -1;
    ck_assert_msg(copy_verify(copy, original, error, sizeof error) == 0, "%s", error);
    library = dlopen(copy, RTLD_NOW);
    ck_assert_msg(library != NULL, "%s", dlerror());
    return 0;
}

static void setup(void)
{
    scratch_make(&scratch);
}

static void teardown(void)
{
    scratch_remove(&scratch);
}

static void *symbol(const char *name)
{
    void *address = dlsym(library, name);
    ck_assert_msg(address != NULL, "%s", name);
    return address;
}

static void slot_fill(void)
{
    const struct copy_header *copy = copy_find(symbol("fake_plain"));
    ck_assert_ptr_nonnull(copy);
    ck_assert_ptr_null(*copy_slot(copy));
    *copy_slot(copy) = (void *)count_and_pass;
    dispatched = 0;
}

START_TEST(test_calls)
{
    ck_assert_msg(make("patch_fake_libc.so") == 0, "%s", error);
    long (*plain)(void) = (long (*)(void))symbol("fake_plain");
    long (*relative)(void) = (long (*)(void))symbol("fake_relative_before");
    long (*jumped)(int) = (long (*)(int))symbol("fake_jumped_to");
    long (*switched)(int) = (long (*)(int))symbol("fake_switched");
    long *saved = symbol("fake_saved");
    for (int filled = 0; filled <= 1; filled++) {
        if (filled)
            slot_fill();
        ck_assert_int_eq(plain(), getppid());
        ck_assert_int_eq(relative(), getppid());
        for (int way = 0; way <= 1; way++) {
            *saved = 0;
            ck_assert_int_eq(jumped(way), getppid());
            ck_assert_int_eq(*saved, getppid());
            ck_assert_int_eq(switched(way), getppid());
        }
        ck_assert_uint_eq(dispatched, filled ? 6 : 0);
    }
}
END_TEST

static int cleaned;

static void on_exit_clean(void)
{
    cleaned++;
}

static long (*wait_for_ever)(void (*)(void));
static volatile pid_t waiting;

static void *wait_run(void *nothing)
{
    pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, NULL);
    waiting = gettid();
    wait_for_ever(on_exit_clean);
    return nothing;
}

static void await_sleep(void)
{
    char path[64], line[256];
    do {
        line[0] = 0;
        snprintf(path, sizeof path, "/proc/self/task/%d/syscall", waiting);
        FILE *file = fopen(path, "r");
        if (file) {
            if (!fgets(line, sizeof line, file))
                line[0] = 0;
            fclose(file);
        }
    } while (strncmp(line, "34 ", 3) != 0); /* pause */
}

/* A thread that sleeps in the system call of a function with a clean-up. */
static pthread_t wait_start(const char *function)
{
    pthread_t thread;
    ck_assert_msg(make("patch_fake_libc.so") == 0, "%s", error);
    wait_for_ever = (long (*)(void (*)(void)))symbol(function);
    ck_assert_int_eq(pthread_create(&thread, NULL, wait_run, NULL), 0);
    await_sleep();
    return thread;
}

static const char *const waits[] = {"fake_wait_in_place", "fake_wait_moved"};

START_TEST(test_cancel_cleans_up)
{
    void *result;
    pthread_t thread = wait_start(waits[_i]);
    ck_assert_int_eq(pthread_cancel(thread), 0);
    ck_assert_int_eq(pthread_join(thread, &result), 0);
    ck_assert_ptr_eq(result, PTHREAD_CANCELED);
    ck_assert_int_eq(cleaned, 1);
}
END_TEST

static volatile int handled, caller_seen;

static void on_signal(int number)
{
    void *frames[32];
    int count = backtrace(frames, 32);
    (void)number;
    for (int i = 0; i < count; i++)
        if ((uintptr_t)frames[i] - (uintptr_t)wait_run < 256)
            caller_seen = 1;
    handled = 1;
}

START_TEST(test_backtrace)
{
    void *warm_up[1];
    backtrace(warm_up, 1);
    const struct sigaction action = {.sa_handler = on_signal};
    ck_assert_int_eq(sigaction(SIGUSR1, &action, NULL), 0);
    pthread_t thread = wait_start(waits[_i]);
    ck_assert_int_eq(pthread_kill(thread, SIGUSR1), 0);
    pthread_join(thread, NULL);
    ck_assert(handled && caller_seen);
    ck_assert_int_eq(cleaned, 1);
}
END_TEST

START_TEST(test_unpatchable)
{
    ck_assert_int_eq(make("patch_fake_unpatchable.so"), -1);
    ck_assert_msg(strstr(error, "can't be patched") != NULL, "%s", error);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("patch_shapes");
    TCase *shapes = tcase_create("shapes");
    tcase_set_timeout(shapes, 20);
    tcase_add_checked_fixture(shapes, setup, teardown);
    tcase_add_test(shapes, test_calls);
    tcase_add_loop_test(shapes, test_cancel_cleans_up, 0, 2);
    tcase_add_loop_test(shapes, test_backtrace, 0, 2);
    tcase_add_test(shapes, test_unpatchable);
    suite_add_tcase(suite, shapes);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
