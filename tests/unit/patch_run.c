/* Real programs under the patched libc: with the slot empty, and with a dispatcher that counts.
 * They must print what they print natively. */
#include "shim/patch/copy_make.h"
#include "tests/unit/patch_scratch.h"

#include <errno.h>
#include <sys/wait.h>

enum { WITHOUT_SHIM, WITH_SHIM };

static struct scratch scratch;
static char error[1024], warning[1024];

static void setup(void)
{
    scratch_make(&scratch);
}

static void teardown(void)
{
    scratch_remove(&scratch);
}

/* Makes a copy; its folder for LD_LIBRARY_PATH. */
static const char *library(int with_shim)
{
    const char *folder = scratch_name(&scratch, with_shim ? "with" : "without");
    char copy[256], shim[SCRATCH_PATH];
    snprintf(copy, sizeof copy, "%s/libc.so.6", folder);
    snprintf(shim, sizeof shim, "%s", scratch_fixture("patch_shim.so"));
    const struct copy_request request = {
        .libc = SCRATCH_LIBC, .copy = copy, .shim = with_shim ? shim : NULL};
    ck_assert_int_eq(mkdir(folder, 0755), 0);
    ck_assert_msg(copy_make(&request, error, warning, sizeof error) == 0, "%s", error);
    return folder;
}

struct result {
    int status;
    size_t size;
    char output[65536];
};

static void variable(char *list, size_t size, const char *name, const char *value)
{
    snprintf(list, size, "%s=%s", name, value);
}

/* Runs a command in an empty folder with an environment of our making. */
static void run(const char *const *command, const char *library_path, const char *log,
                struct result *result)
{
    int ends[2];
    char libraries[256], log_variable[256], home[256];
    char *environment[] = {"PATH=/usr/bin:/bin", "LC_ALL=C", home, NULL, NULL, NULL};
    const char *folder = scratch_name(&scratch, "folder");
    char remove_command[256];
    snprintf(remove_command, sizeof remove_command, "rm -rf %s && mkdir %s", folder, folder);
    ck_assert_int_eq(system(remove_command), 0);
    variable(home, sizeof home, "HOME", folder);
    if (library_path) {
        variable(libraries, sizeof libraries, "LD_LIBRARY_PATH", library_path);
        variable(log_variable, sizeof log_variable, "PATCH_SHIM_LOG", log ? log : "/dev/null");
        environment[3] = libraries;
        environment[4] = log_variable;
    }
    ck_assert_int_eq(pipe(ends), 0);
    pid_t pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        dup2(ends[1], 1);
        dup2(ends[1], 2);
        close(ends[0]);
        close(ends[1]);
        if (chdir(folder) == 0)
            execvpe(command[0], (char *const *)command, environment);
        _exit(127);
    }
    close(ends[1]);
    result->size = 0;
    ssize_t got;
    while ((got = read(ends[0], result->output + result->size,
                       sizeof result->output - 1 - result->size)) > 0)
        result->size += (size_t)got;
    result->output[result->size] = 0;
    close(ends[0]);
    ck_assert_int_eq(waitpid(pid, &result->status, 0), pid);
}

static unsigned long count_of(const char *log)
{
    size_t size;
    unsigned long sum = 0;
    if (access(log, R_OK) < 0)
        return 0;
    char *bytes = (char *)scratch_read(log, &size);
    for (char *line = bytes; line < bytes + size;) {
        char *end = memchr(line, '\n', (size_t)(bytes + size - line));
        if (!end)
            break;
        sum += strtoul(line, NULL, 10);
        line = end + 1;
    }
    free(bytes);
    return sum;
}

static const char *const programs[][4] = {
    {"bash", "-c",
     "for i in 1 2 3; do x=$(echo $i | cat); echo $x; done; sort < /etc/passwd | wc -l; (exit 3); "
     "echo $?; diff <(ls /usr) <(ls /usr) && echo same; sleep 0.1 & wait $!; echo $?; trap 'echo "
     "t' "
     "USR1; kill -USR1 $$; cd /usr/share; pwd -P; umask; ulimit -n; test -e /etc/passwd && echo "
     "yes"},
    {"python3", "-c",
     "import json, os, subprocess, threading, socket, sqlite3, ssl, asyncio, ctypes, tempfile\n"
     "print(subprocess.check_output(['echo', 'sub']))\n"
     "async def go():\n"
     "  p = await asyncio.create_subprocess_exec('true')\n"
     "  return await p.wait()\n"
     "print(asyncio.run(go()))\n"
     "print(sqlite3.connect('a.db').execute('select 1').fetchall())\n"
     "print(sorted(os.listdir('/usr')), sum(len(f) for _, _, f in "
     "os.walk('/usr/share/doc/bash')))\n"
     "ts = [threading.Thread(target=lambda: open('/etc/passwd').read()) for _ in range(8)]\n"
     "[t.start() for t in ts]; [t.join() for t in ts]\n"
     "with tempfile.TemporaryFile() as f: print(f.write(b'x' * 100000))\n"
     "print(socket.getaddrinfo('127.0.0.1', 80)[0][4])\n"},
    {"perl", "-e",
     "use POSIX; use File::Find; my $n = 0; find(sub { $n++ }, '/usr/share/perl5'); print "
     "\"$n\\n\";"
     "print `echo back`; my $p = fork(); exit 4 if !$p; waitpid($p, 0); print $? >> 8, \"\\n\";"
     "$SIG{ALRM} = sub { die \"alarm\\n\" }; alarm 1; eval { sleep 5 }; print $@;"},
    {"sh", "-c",
     "git init -q g && cd g && echo a > a && git add a && git -c user.email=a@b -c user.name=n "
     "commit -qm m --date=2020-01-01T00:00:00 && git log --format=%T && git gc -q && git status -s "
     "&& git fsck && cd .. && git clone -q g h && ls h"},
    {"sh", "-c",
     "printf '#include <stdio.h>\\nint main(void) { puts(\"built\"); return 0; }\\n' > a.c && "
     "gcc -O1 -o a a.c && ./a"},
    {"sh", "-c",
     "mkdir d && cp -a /usr/share/doc/bash d/ && tar cf a.tar d && mkdir e && tar xf a.tar -C e && "
     "diff -r d e/d && find e -type f | wc -l && grep -rc the e | sort | head -3; gzip < a.tar | "
     "gunzip | cmp - a.tar && echo same"},
};

START_TEST(test_programs)
{
    static struct result native, copied;
    const char *const *command = programs[_i];
    run(command, NULL, NULL, &native);
    for (int with_shim = 0; with_shim <= 1; with_shim++) {
        const char *log = scratch_name(&scratch, "log");
        run(command, library(with_shim), log, &copied);
        ck_assert_msg(copied.status == native.status, "status 0x%x, natively 0x%x: %s",
                      copied.status, native.status, copied.output);
        ck_assert_str_eq(copied.output, native.output);
        ck_assert_msg((count_of(log) > 50) == with_shim, "%lu calls dispatched", count_of(log));
    }
}
END_TEST

static void run_fixture(const char *name, const char *argument, int with_shim, int status)
{
    static struct result result;
    char path[SCRATCH_PATH];
    const char *command[] = {path, argument, NULL};
    snprintf(path, sizeof path, "%s", scratch_fixture(name));
    run(command, library(with_shim), NULL, &result);
    ck_assert_msg(WIFEXITED(result.status) && WEXITSTATUS(result.status) == status,
                  "%s: status 0x%x: %s", name, result.status, result.output);
}

START_TEST(test_misc)
{
    run_fixture("patch_misc", _i == WITH_SHIM ? "dispatched" : NULL, _i, 0);
}
END_TEST

START_TEST(test_cancel)
{
    run_fixture("patch_cancel", NULL, _i, 0);
}
END_TEST

START_TEST(test_address_sanitizer)
{
    run_fixture("patch_asan", NULL, _i, 0);
}
END_TEST

START_TEST(test_address_sanitizer_finds)
{
    run_fixture("patch_asan", "use after free", _i, 1);
}
END_TEST

/* Many processes start with the copy while it is being replaced. */
START_TEST(test_replaced_while_used)
{
    static struct result result;
    const char *folder = library(WITHOUT_SHIM);
    char copy[256];
    snprintf(copy, sizeof copy, "%s/libc.so.6", folder);
    pid_t pid = fork();
    if (pid == 0) {
        const struct copy_request request = {.libc = SCRATCH_LIBC, .copy = copy};
        for (int i = 0; i < 10; i++)
            if (copy_make(&request, error, warning, sizeof error) < 0)
                _exit(1);
        _exit(0);
    }
    static const char *const command[] = {
        "sh", "-c", "i=0; while [ $i -lt 200 ]; do /bin/true || exit 1; i=$((i+1)); done", NULL};
    run(command, folder, NULL, &result);
    ck_assert_msg(result.status == 0, "%s", result.output);
    int status;
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_int_eq(status, 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("patch_run");
    TCase *runs = tcase_create("runs");
    tcase_set_timeout(runs, 60);
    tcase_add_checked_fixture(runs, setup, teardown);
    tcase_add_loop_test(runs, test_programs, 0, (int)(sizeof programs / sizeof *programs));
    tcase_add_loop_test(runs, test_misc, WITHOUT_SHIM, WITH_SHIM + 1);
    tcase_add_loop_test(runs, test_cancel, WITHOUT_SHIM, WITH_SHIM + 1);
    tcase_add_loop_test(runs, test_address_sanitizer, WITHOUT_SHIM, WITH_SHIM + 1);
    tcase_add_loop_test(runs, test_address_sanitizer_finds, WITHOUT_SHIM, WITH_SHIM + 1);
    tcase_add_test(runs, test_replaced_while_used);
    suite_add_tcase(suite, runs);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
