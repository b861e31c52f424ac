/* The policy of a confined tree: what it allows, its packed form, and Landlock held to it. */
#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fence/fence.h"
#include "tests/unit/fixture/folder.h"

static char place[PATH_MAX]; /* a directory for the test's files */

static void place_make(void)
{
    char name[64];

    folder_make(name, sizeof name);
    ck_assert_ptr_nonnull(realpath(name, place));
}

static void place_remove(void)
{
    char command[PATH_MAX + 16];

    snprintf(command, sizeof command, "rm -rf '%s'", place);
    ck_assert_int_eq(system(command), 0);
}

/* A path below the place; good for four uses. */
static const char *below(const char *name)
{
    static char paths[4][PATH_MAX * 2];
    static unsigned next;
    char *path = paths[next++ % 4];

    snprintf(path, sizeof paths[0], "%s/%s", place, name);
    return path;
}

static void file_make(const char *name)
{
    int file = open(below(name), O_CREAT | O_WRONLY | O_CLOEXEC, 0700);

    ck_assert_int_ge(file, 0);
    ck_assert_int_eq(write(file, "text", 4), 4);
    close(file);
}

static void path_put(struct fence_policy *policy, const char *path, unsigned access)
{
    ck_assert_int_eq(fence_policy_add_path(policy, path, access), 0);
}

START_TEST(test_allows)
{
    struct fence_policy policy = {0};

    ck_assert(fence_policy_allows(&policy, "/etc/passwd", FENCE_WRITE));
    policy.confined = true;
    ck_assert(!fence_policy_allows(&policy, "/etc/passwd", FENCE_READ));
    path_put(&policy, "/usr", FENCE_READ | FENCE_EXECUTE);
    path_put(&policy, "/usr/lib", FENCE_WRITE);
    ck_assert(fence_policy_allows(&policy, "/usr", FENCE_READ));
    ck_assert(fence_policy_allows(&policy, "/usr/bin/x", FENCE_READ | FENCE_EXECUTE));
    ck_assert(!fence_policy_allows(&policy, "/usr/bin/x", FENCE_READ | FENCE_WRITE));
    ck_assert(!fence_policy_allows(&policy, "/usrx", FENCE_READ));
    ck_assert(!fence_policy_allows(&policy, "/us", FENCE_READ));
    ck_assert(fence_policy_allows(&policy, "/usr/lib/x", FENCE_READ | FENCE_WRITE));
    ck_assert(!fence_policy_allows(&policy, "/usr/libx", FENCE_WRITE));
    ck_assert(fence_policy_shows(&policy, "/"));
    ck_assert(fence_policy_shows(&policy, "/usr"));
    ck_assert(fence_policy_shows(&policy, "/usr/share"));
    ck_assert(!fence_policy_shows(&policy, "/us"));
    ck_assert(!fence_policy_shows(&policy, "/etc"));
    path_put(&policy, "/", FENCE_READ);
    ck_assert(fence_policy_allows(&policy, "/", FENCE_READ));
    ck_assert(fence_policy_allows(&policy, "/etc", FENCE_READ));
    ck_assert(fence_policy_shows(&policy, "/etc"));
    fence_policy_clear(&policy);
}
END_TEST

START_TEST(test_paths_are_real)
{
    struct fence_policy policy = {.confined = true};

    place_make();
    file_make("file");
    ck_assert_int_eq(symlink("file", below("link")), 0);
    path_put(&policy, below("link"), FENCE_READ);
    ck_assert_str_eq(policy.paths[0].path, below("file"));
    ck_assert_int_eq(fence_policy_add_path(&policy, below("none"), FENCE_READ), ENOENT);
    ck_assert_int_eq(fence_policy_add_path(&policy, "", FENCE_READ), ENOENT);
    ck_assert_uint_eq(policy.path_count, 1);
    fence_policy_clear(&policy);
    place_remove();
}
END_TEST

static bool reaches(const struct fence_policy *policy, const char *host, unsigned port,
                    unsigned access)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};

    if (inet_pton(AF_INET, host, &in.sin_addr) == 1)
        return fence_policy_allows_address(policy, (struct sockaddr *)&in, sizeof in, access);
    ck_assert_int_eq(inet_pton(AF_INET6, host, &in6.sin6_addr), 1);
    return fence_policy_allows_address(policy, (struct sockaddr *)&in6, sizeof in6, access);
}

/* What is in a node nobody knows without its translator: the name is enough. */
START_TEST(test_nodes)
{
    static const char *const wrong[] = {"node/../x", "node/./x", "node/..", "other/x", "none/x"};
    struct fence_policy policy = {.confined = true};
    char wanted[3][PATH_MAX + 32];

    place_make();
    ck_assert_int_eq(symlink("/.hirsel/1/0123/d/archive", below("node")), 0);
    ck_assert_int_eq(symlink("/nowhere", below("other")), 0);
    ck_assert_int_eq(chdir(place), 0);
    path_put(&policy, below("node/bin/a program"), FENCE_READ);
    path_put(&policy, "node/", FENCE_READ);
    path_put(&policy, "./node/...//", FENCE_READ);
    snprintf(wanted[0], sizeof wanted[0], "%s/node/bin/a program", place);
    snprintf(wanted[1], sizeof wanted[1], "%s/node", place);
    snprintf(wanted[2], sizeof wanted[2], "%s/node/...", place);
    for (size_t i = 0; i < 3; i++)
        ck_assert_str_eq(policy.paths[i].path, wanted[i]);
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        ck_assert_int_eq(fence_policy_add_path(&policy, wrong[i], FENCE_READ), ENOENT);
    fence_policy_clear(&policy);
    ck_assert_int_eq(chdir("/"), 0);
    place_remove();
}
END_TEST

START_TEST(test_hosts)
{
    static const char *const wrong[] = {"",        "host",  ":80",     "host:",  "host:0",
                                        "h:65536", "h:1x",  "h:-1",    "::1:80", "[::1]",
                                        "[::1]80", "[]:80", "[::1:80", "h: 80",  "h:+1"};
    struct fence_policy policy = {.confined = true};
    struct sockaddr_un local = {.sun_family = AF_UNIX};
    struct sockaddr_in in = {.sin_family = AF_INET};

    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        ck_assert_msg(fence_policy_add_host(&policy, wrong[i], FENCE_CONNECT) == EINVAL, "%s",
                      wrong[i]);
    ck_assert_int_eq(fence_policy_add_host(&policy, "no.such.host.invalid:80", FENCE_CONNECT),
                     EADDRNOTAVAIL);
    ck_assert(!fence_policy_has_hosts(&policy));
    ck_assert_int_eq(fence_policy_add_host(&policy, "127.0.0.1:80", FENCE_CONNECT), 0);
    ck_assert_int_eq(fence_policy_add_host(&policy, "[::1]:81", FENCE_CONNECT), 0);
    ck_assert_int_eq(fence_policy_add_host(&policy, "*:82", FENCE_BIND), 0);
    ck_assert_int_eq(fence_policy_add_host(&policy, "10.1.2.3:*", FENCE_CONNECT), 0);
    ck_assert_str_eq(policy.hosts[0].name, "127.0.0.1:80");
    ck_assert(reaches(&policy, "127.0.0.1", 80, FENCE_CONNECT));
    ck_assert(reaches(&policy, "::ffff:127.0.0.1", 80, FENCE_CONNECT));
    ck_assert(!reaches(&policy, "127.0.0.1", 80, FENCE_BIND));
    ck_assert(!reaches(&policy, "127.0.0.1", 81, FENCE_CONNECT));
    ck_assert(!reaches(&policy, "127.0.0.2", 80, FENCE_CONNECT));
    ck_assert(!reaches(&policy, "0.0.0.0", 80, FENCE_CONNECT));
    ck_assert(reaches(&policy, "::1", 81, FENCE_CONNECT));
    ck_assert(!reaches(&policy, "::1", 80, FENCE_CONNECT));
    ck_assert(reaches(&policy, "0.0.0.0", 82, FENCE_BIND));
    ck_assert(!reaches(&policy, "0.0.0.0", 82, FENCE_CONNECT));
    ck_assert(reaches(&policy, "10.1.2.3", 1, FENCE_CONNECT));
    ck_assert(!fence_policy_allows_address(&policy, (struct sockaddr *)&local, sizeof local,
                                           FENCE_CONNECT));
    for (size_t length = 0; length < sizeof in; length++)
        ck_assert(!fence_policy_allows_address(&policy, (struct sockaddr *)&in, length, 0));
    fence_policy_clear(&policy);
}
END_TEST

START_TEST(test_pack)
{
    struct fence_policy policy = {.confined = true}, copy;
    uint8_t *bytes;
    size_t length;

    path_put(&policy, "/usr", FENCE_READ | FENCE_EXECUTE);
    path_put(&policy, "/", FENCE_WRITE);
    ck_assert_int_eq(fence_policy_add_host(&policy, "127.0.0.1:80", FENCE_CONNECT), 0);
    ck_assert_int_eq(fence_policy_add_host(&policy, "*:*", FENCE_BIND), 0);
    ck_assert_int_eq(fence_policy_add_variable(&policy, "TERM"), 0);
    ck_assert_int_eq(fence_policy_add_variable(&policy, "A=B"), EINVAL);
    ck_assert_int_eq(fence_policy_add_variable(&policy, ""), EINVAL);
    ck_assert_int_eq(fence_policy_set_memory(&policy, "/nowhere"), ENOENT);
    ck_assert_int_eq(fence_policy_set_memory(&policy, "/proc"), 0);
    ck_assert_int_eq(fence_policy_set_memory(&policy, "/usr/.."), 0);
    ck_assert_int_eq(fence_policy_set_programs(&policy, "/nowhere"), ENOENT);
    ck_assert_int_eq(fence_policy_set_programs(&policy, "/proc"), 0);
    ck_assert_int_eq(fence_policy_pack(&policy, &bytes, &length), 0);
    ck_assert_int_eq(fence_policy_unpack(&copy, bytes, length), 0);
    ck_assert(copy.confined);
    ck_assert_uint_eq(copy.path_count, 2);
    ck_assert_str_eq(copy.paths[0].path, "/usr");
    ck_assert_uint_eq(copy.paths[0].access, FENCE_READ | FENCE_EXECUTE);
    ck_assert_str_eq(copy.paths[1].path, "/");
    ck_assert_uint_eq(copy.host_count, 2);
    ck_assert(reaches(&copy, "127.0.0.1", 80, FENCE_CONNECT));
    ck_assert(!reaches(&copy, "127.0.0.1", 81, FENCE_CONNECT));
    ck_assert(reaches(&copy, "1.2.3.4", 81, FENCE_BIND));
    ck_assert_uint_eq(copy.variable_count, 1);
    ck_assert_str_eq(copy.variables[0], "TERM");
    ck_assert_str_eq(copy.memory, "/");
    ck_assert_str_eq(copy.programs, "/proc");
    fence_policy_clear(&copy);
    /* Cut anywhere: an error, or less of it, but nothing else. */
    for (size_t cut = 0; cut < length; cut++)
        if (fence_policy_unpack(&copy, bytes, cut) == 0) {
            ck_assert_uint_le(copy.path_count, 2);
            fence_policy_clear(&copy);
        }
    /* One byte wrong: never more than the lists can hold, never a path that is none. */
    for (size_t at = 0; at < length; at++)
        for (int bit = 0; bit < 8; bit++) {
            bytes[at] ^= (uint8_t)(1 << bit);
            if (fence_policy_unpack(&copy, bytes, length) == 0) {
                for (size_t i = 0; i < copy.path_count; i++)
                    ck_assert_int_eq(copy.paths[i].path[0], '/');
                fence_policy_clear(&copy);
            }
            bytes[at] ^= (uint8_t)(1 << bit);
        }
    free(bytes);
    fence_policy_clear(&policy);
    ck_assert_int_eq(fence_policy_unpack(&copy, NULL, 0), 0);
    ck_assert(!copy.confined);
    ck_assert(fence_policy_allows(&copy, "/x", FENCE_WRITE));
}
END_TEST

START_TEST(test_hostile)
{
    static char *const paths[] = {"",    "usr",     "/usr/",  "//usr",  "/usr//lib",
                                  "/..", "/usr/..", "/./usr", "/usr/.", "/a/../b"};

    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        struct fence_path path = {.path = paths[i], .access = FENCE_READ};
        struct fence_policy policy = {.confined = true, .paths = &path, .path_count = 1}, copy;
        uint8_t *bytes;
        size_t length;
        ck_assert_int_eq(fence_policy_pack(&policy, &bytes, &length), 0);
        ck_assert_msg(fence_policy_unpack(&copy, bytes, length) == EINVAL, "%s", paths[i]);
        free(bytes);
    }
}
END_TEST

START_TEST(test_options)
{
    struct fence_policy policy = {0};
    struct fence_options options = fence_policy_options(&policy, true, 6);

    ck_assert(!options.confined && options.network && !options.report && options.landlock == 0);
    policy.confined = true;
    options = fence_policy_options(&policy, false, 6);
    ck_assert(options.confined && !options.network && !options.internet && options.report);
    ck_assert_int_eq(options.landlock, 6);
    ck_assert_int_eq(fence_policy_add_host(&policy, "*:80", FENCE_CONNECT), 0);
    ck_assert(fence_policy_options(&policy, false, 6).internet);
    fence_policy_clear(&policy);
}
END_TEST

/* A child that is held to `policy` tries; 0, or the line that went wrong. */
static int held_child(const struct fence_policy *policy, int (*effect)(void))
{
    int status;
    pid_t pid = fork();

    if (pid == 0) {
        unsigned missing;
        if (fence_policy_enforce(policy, false, &missing) != 0)
            _exit(255);
        _exit(effect());
    }
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static bool opens(const char *path, int flags)
{
    int file = open(path, flags | O_CLOEXEC, 0600);

    if (file >= 0)
        close(file);
    return file >= 0;
}

static int files_effect(void)
{
    char reopened[64];
    int file, again;

    if (!opens(below("read/file"), O_RDONLY) || opens(below("read/file"), O_WRONLY))
        return 1;
    if (errno != EACCES || opens(below("read/new"), O_WRONLY | O_CREAT))
        return 2;
    if (!opens(below("write/new"), O_WRONLY | O_CREAT) || !opens(below("write/file"), O_RDWR))
        return 3;
    if (opens(below("none/file"), O_RDONLY) || opens(below("none"), O_RDONLY | O_DIRECTORY))
        return 4;
    if (opens(below("write/out"), O_RDONLY) || opens("/etc/passwd", O_RDONLY))
        return 5;
    if (rename(below("write/file"), below("write/renamed")) != 0)
        return 6;
    if (unlink(below("read/file")) == 0 || mkdir(below("none/made"), 0700) == 0)
        return 7;
    if (link("x", below("write/l")) == 0 || symlink("x", below("write/l")) != 0)
        return 8;
    file = open(below("write/renamed"), O_RDWR | O_CLOEXEC);
    snprintf(reopened, sizeof reopened, "/proc/self/fd/%d", file);
    again = open(reopened, O_RDONLY | O_CLOEXEC);
    if (file < 0 || again < 0)
        return 9;
    return 0;
}

START_TEST(test_files_held)
{
    struct fence_policy policy = {.confined = true};

    if (fence_landlock_version() < 2)
        return;
    place_make();
    ck_assert_int_eq(
        mkdir(below("read"), 0700) | mkdir(below("write"), 0700) | mkdir(below("none"), 0700), 0);
    file_make("read/file");
    file_make("write/file");
    file_make("none/file");
    ck_assert_int_eq(symlink("../none/file", below("write/out")), 0);
    path_put(&policy, below("read"), FENCE_READ);
    path_put(&policy, below("write"), FENCE_READ | FENCE_WRITE);
    path_put(&policy, "/proc", FENCE_READ);
    ck_assert_int_eq(held_child(&policy, files_effect), 0);
    fence_policy_clear(&policy);
    place_remove();
}
END_TEST

static int execute_effect(void)
{
    char *arguments[] = {"true", NULL};

    execv(below("true"), arguments);
    if (errno != EACCES)
        return 1;
    execv("/usr/bin/true", arguments);
    return 2;
}

START_TEST(test_execution_held)
{
    struct fence_policy policy = {.confined = true};
    char command[PATH_MAX + 64];

    if (fence_landlock_version() < 2)
        return;
    place_make();
    snprintf(command, sizeof command, "cp /usr/bin/true '%s/true'", place);
    ck_assert_int_eq(system(command), 0);
    path_put(&policy, place, FENCE_READ | FENCE_WRITE);
    ck_assert_int_eq(fence_policy_add_default(&policy, place, NULL), 0);
    policy.paths[policy.path_count - 1].access = FENCE_READ | FENCE_WRITE;
    ck_assert_int_eq(held_child(&policy, execute_effect), 0);
    fence_policy_clear(&policy);
    place_remove();
}
END_TEST

/* What the default profile is for. */
static int build_effect(void)
{
    return chdir(place) == 0 && setenv("TMPDIR", place, 1) == 0 && setenv("HOME", place, 1) == 0
               ? WEXITSTATUS(system(
                     "exec >log 2>&1 </dev/null; set -e; echo 'int main(void){return 0;}' >m.c; "
                     "gcc -o m m.c; ./m; python3 -c 'import os; open(\"p\", \"w\").write(\"x\")'; "
                     "if which git; then git init -q . && git add m.c && git -c user.name=a -c "
                     "user.email=b commit -q -m c; fi; "
                     "for f in /etc /home /root /tmp /var /dev/shm; do "
                     "if cat $f/. || ls $f; then exit 9; fi; done; "
                     "if touch /usr/x /dev/x /proc/self/comm; then exit 10; fi"))
               : 99;
}

START_TEST(test_default_profile)
{
    struct fence_policy policy = {.confined = true};

    if (fence_landlock_version() < 2)
        return;
    place_make();
    ck_assert_int_eq(fence_policy_add_default(&policy, place, NULL), 0);
    if (held_child(&policy, build_effect) != 0) {
        char command[PATH_MAX + 16];
        snprintf(command, sizeof command, "cat '%s/log'", place);
        ck_assert_int_eq(system(command), 0);
        ck_abort_msg("the default profile is too narrow");
    }
    fence_policy_clear(&policy);
    place_remove();
}
END_TEST

static uint16_t port_open, port_other;
static struct sockaddr_un abstract;
static socklen_t abstract_length;

static int connect_error(uint16_t port)
{
    struct sockaddr_in in = {
        .sin_family = AF_INET, .sin_port = port, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int end = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int error = connect(end, (struct sockaddr *)&in, sizeof in) == 0 ? 0 : errno;

    close(end);
    return error;
}

static int reach_effect(void)
{
    struct sockaddr_in in = {.sin_family = AF_INET};
    int end = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int version = fence_landlock_version();

    if (connect_error(port_open) != 0)
        return 1;
    if (version >= 4 && connect_error(port_other) != EACCES)
        return 2;
    if (version >= 4 && (bind(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0),
                              (struct sockaddr *)&in, sizeof in) == 0 ||
                         errno != EACCES))
        return 3;
    if (version >= 6 &&
        (connect(end, (struct sockaddr *)&abstract, abstract_length) == 0 || errno != EPERM))
        return 4;
    if (version >= 6 && (kill(getppid(), 0) == 0 || errno != EPERM))
        return 5;
    if (kill(getpid(), 0) != 0)
        return 6;
    return 0;
}

static uint16_t port_listen(int *listener)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof in;

    *listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(bind(*listener, (struct sockaddr *)&in, sizeof in), 0);
    ck_assert_int_eq(listen(*listener, 8), 0);
    ck_assert_int_eq(getsockname(*listener, (struct sockaddr *)&in, &length), 0);
    return in.sin_port;
}

START_TEST(test_reach_held)
{
    struct fence_policy policy = {.confined = true};
    int listeners[3];
    char host[32];

    if (fence_landlock_version() < 2)
        return;
    port_open = port_listen(&listeners[0]);
    port_other = port_listen(&listeners[1]);
    /* The kernel chooses a name of its own for what is bound to none. */
    abstract.sun_family = AF_UNIX;
    listeners[2] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(bind(listeners[2], (struct sockaddr *)&abstract, sizeof(sa_family_t)), 0);
    ck_assert_int_eq(listen(listeners[2], 1), 0);
    abstract_length = sizeof abstract;
    ck_assert_int_eq(getsockname(listeners[2], (struct sockaddr *)&abstract, &abstract_length), 0);
    snprintf(host, sizeof host, "127.0.0.1:%u", ntohs(port_open));
    ck_assert_int_eq(fence_policy_add_host(&policy, host, FENCE_CONNECT), 0);
    ck_assert_int_eq(held_child(&policy, reach_effect), 0);
    for (int i = 0; i < 3; i++)
        close(listeners[i]);
    fence_policy_clear(&policy);
}
END_TEST

START_TEST(test_holds)
{
    ck_assert_uint_eq(fence_landlock_holds(0), 0);
    ck_assert_uint_eq(fence_landlock_holds(2), FENCE_HOLD_FILES | FENCE_HOLD_LINK);
    ck_assert_uint_eq(fence_landlock_holds(6), FENCE_HOLD_ALL);
    ck_assert_uint_eq(fence_landlock_holds(99), FENCE_HOLD_ALL);
    ck_assert_str_eq(fence_hold_name(FENCE_HOLD_SIGNAL), "signals");
}
END_TEST

static int capabilities_effect(void)
{
    char text[4096];
    int file = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
    ssize_t length = read(file, text, sizeof text - 1);

    if (length <= 0)
        return 1;
    text[length] = '\0';
    return strstr(text, "CapEff:\t0000000000000000") && strstr(text, "CapPrm:\t0000000000000000")
               ? 0
               : 2;
}

START_TEST(test_capabilities)
{
    struct fence_policy nothing = {0};

    ck_assert_int_eq(fence_capabilities_drop(), 0);
    ck_assert_int_eq(held_child(&nothing, capabilities_effect), 0);
}
END_TEST

int main(void)
{
    TCase *policy = tcase_create("policy");
    tcase_add_test(policy, test_allows);
    tcase_add_test(policy, test_paths_are_real);
    tcase_add_test(policy, test_nodes);
    tcase_add_test(policy, test_hosts);
    tcase_add_test(policy, test_pack);
    tcase_add_test(policy, test_hostile);
    tcase_add_test(policy, test_options);
    TCase *held = tcase_create("held");
    tcase_set_timeout(held, 30);
    tcase_add_test(held, test_files_held);
    tcase_add_test(held, test_execution_held);
    tcase_add_test(held, test_default_profile);
    tcase_add_test(held, test_reach_held);
    tcase_add_test(held, test_holds);
    tcase_add_test(held, test_capabilities);
    Suite *suite = suite_create("fence_policy");
    suite_add_tcase(suite, policy);
    suite_add_tcase(suite, held);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
