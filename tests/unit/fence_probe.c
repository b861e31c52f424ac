/* What the kernel allows, as the probe finds it: here, and below a listener. */
#include <check.h>
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fence/fence.h"

START_TEST(test_probe)
{
    struct fence_probe probe;
    const char *reasons[FENCE_REASONS];
    size_t count;

    ck_assert_int_eq(fence_probe_run(&probe), 0);
    ck_assert_int_eq(probe.landlock, fence_landlock_version());
    ck_assert_int_eq(probe.landlock == 0, probe.landlock_error != 0);
    ck_assert(probe.release[0] != '\0');
    ck_assert(!probe.no_new_privs || prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1);
    /* What was tried has left nothing behind. */
    ck_assert_int_eq(waitpid(-1, NULL, WNOHANG), -1);
    ck_assert_int_eq(errno, ECHILD);
    count = fence_probe_confine(&probe, reasons);
    ck_assert_uint_lt(count, FENCE_REASONS);
    ck_assert_ptr_null(reasons[count]);
    probe = (struct fence_probe){.listener_error = EBUSY, .yama = 3, .child_error = EPERM};
    count = fence_probe_confine(&probe, reasons);
    ck_assert_uint_eq(count, 4);
    probe = (struct fence_probe){.add_descriptor = true, .landlock = 1, .yama = -1};
    ck_assert_uint_eq(fence_probe_confine(&probe, reasons), 0);
}
END_TEST

/* Let everything that is asked go on, until nobody is left who could ask. */
static void questions_pass(int listener)
{
    struct pollfd wait = {.fd = listener, .events = POLLIN};

    while (poll(&wait, 1, 60000) > 0 && wait.revents & POLLIN) {
        struct seccomp_notif question = {0};
        struct seccomp_notif_resp answer = {.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE};

        if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &question) != 0)
            continue;
        answer.id = question.id;
        ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &answer);
    }
}

/* Returns what went wrong, or 0. */
static int probe_below(int *told)
{
    struct fence_options options = {0};
    struct fence_probe probe;
    int listener;

    if (fence_filter_install(&options, &listener) != 0)
        return 1;
    __atomic_store_n(told, listener, __ATOMIC_RELEASE);
    if (fence_probe_run(&probe) != 0)
        return 2;
    if (probe.filter_error != 0 || probe.listener_error != EBUSY)
        return 3;
    return probe.no_new_privs && !probe.wait_killable && !probe.sync_wake_up ? 0 : 4;
}

START_TEST(test_probe_below_listener)
{
    int *told = mmap(NULL, sizeof *told, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    int status;
    pid_t pid;

    ck_assert_ptr_ne(told, MAP_FAILED);
    *told = -1;
    /* It shares our descriptors, so that its listener is ours. */
    pid = (pid_t)syscall(SYS_clone, CLONE_FILES | SIGCHLD, 0, 0, 0, 0);
    ck_assert_int_ge(pid, 0);
    if (pid == 0)
        _exit(probe_below(told));
    while (__atomic_load_n(told, __ATOMIC_ACQUIRE) < 0 && waitpid(pid, &status, WNOHANG) == 0)
        sched_yield();
    ck_assert_int_ge(*told, 0);
    questions_pass(*told);
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_int_eq(status, 0);
}
END_TEST

int main(void)
{
    TCase *probe = tcase_create("probe");
    tcase_add_test(probe, test_probe);
    tcase_add_test(probe, test_probe_below_listener);
    Suite *suite = suite_create("fence_probe");
    suite_add_tcase(suite, probe);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
