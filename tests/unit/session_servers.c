/* Servers may die at any instant, and clients may do what they like: the session goes on. */
#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "libmsg/wire.h"
#include "proto/init.pb-c.h"
#include "proto/proc.pb-c.h"
#include "tests/unit/fixture/session_stage.h"

static const char *const servers[] = {"fs", "proc", "net"};

static void with_session(void)
{
    stage_setup();
    ck_assert_int_eq(stage_run("start", "t", NULL), 0);
}

static void without_session(void)
{
    ck_assert_int_eq(stage_run("stop", "t", NULL), 0);
    stage_teardown();
}

struct server_wait {
    const char *name;
    pid_t before; /* 0: any will do */
    pid_t now;
};

static bool server_is_new(void *context)
{
    struct server_wait *wait = context;
    pid_t now = stage_server("t", wait->name);

    if (now > 0 && now != wait->before)
        wait->now = now;
    return wait->now > 0;
}

static pid_t server_kill(const char *name)
{
    struct server_wait wait = {.name = name};

    /* It may be about to be started again. */
    ck_assert(stage_await(server_is_new, &wait));
    ck_assert_int_eq(kill(wait.now, SIGKILL), 0);
    return wait.now;
}

START_TEST(each_comes_back)
{
    for (size_t i = 0; i < sizeof servers / sizeof servers[0]; i++) {
        struct server_wait wait = {.name = servers[i], .before = server_kill(servers[i])};

        /* Not waited for: the next request finds the socket, and waits for the new server. */
        ck_assert_int_eq(stage_run("run", "--session", "t", "--", "sh", "-c", "exit 3", NULL), 3);
        ck_assert_int_eq(stage_run("ps", "--session", "t", NULL), 0);
        ck_assert(stage_await(server_is_new, &wait));
    }
    ck_assert_int_eq(stage_run("log", "t", NULL), 0);
    ck_assert_ptr_nonnull(strstr(stage()->output, "was ended by signal 9 (Killed)"));
}
END_TEST

START_TEST(a_storm)
{
    for (int i = 0; i < 60; i++) {
        server_kill(servers[i % 3]);
        ck_assert_int_eq(stage_run("run", "--session", "t", "--", "sh", "-c", "exit 3", NULL), 3);
    }
    ck_assert_int_eq(stage_run("list", NULL), 0);
    ck_assert_ptr_nonnull(strstr(stage()->output, "t "));
}
END_TEST

/* A server that gets up and hangs is ended by hand like any other. */
START_TEST(a_stopped_server)
{
    pid_t proc = stage_server("t", "proc");
    pid_t ps;

    ck_assert_int_eq(kill(proc, SIGSTOP), 0);
    ps = stage_start("ps", "--session", "t", NULL);
    /* init does not wait for it for ever: trees still open. */
    ck_assert_int_eq(stage_run("run", "--session", "t", "--", "sh", "-c", "exit 3", NULL), 3);
    ck_assert_int_eq(kill(proc, SIGKILL), 0);
    stage_wait(ps);
    ck_assert_int_eq(stage_run("ps", "--session", "t", NULL), 0);
}
END_TEST

static int socket_connect(const char *server)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int connection = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

    ck_assert_int_ge(connection, 0);
    snprintf(address.sun_path, sizeof address.sun_path, "%.80s/t/%s", stage()->sessions, server);
    ck_assert_msg(connect(connection, (struct sockaddr *)&address, sizeof address) == 0, "%s: %s",
                  address.sun_path, strerror(errno));
    return connection;
}

static void packet_send(int connection, struct wire_header header, const void *body, size_t length)
{
    char packet[65536];

    header.length = header.length != 0 ? header.length : (uint32_t)length;
    memcpy(packet, &header, sizeof header);
    memcpy(packet + sizeof header, body, length);
    send(connection, packet, sizeof header + length, MSG_NOSIGNAL);
}

static void hello_send(int connection)
{
    struct wire_hello hello = {.version_min = WIRE_VERSION, .version_max = WIRE_VERSION};

    packet_send(connection, (struct wire_header){.version = WIRE_VERSION, .kind = WIRE_HELLO},
                &hello, sizeof hello);
}

/* The reply's error, or -1: the other end hung up; -2: nothing came. */
static int reply_error_read(int connection)
{
    char packet[300000];
    const struct wire_header *header = (const struct wire_header *)packet;
    struct pollfd watched = {.fd = connection, .events = POLLIN};

    do {
        if (poll(&watched, 1, 60000) == 0)
            return -2;
        if (recv(connection, packet, sizeof packet, 0) < (ssize_t)sizeof *header)
            return -1;
    } while (header->kind != WIRE_REPLY);
    return header->error;
}

static const char *const doors[] = {"init", "fs", "proc", "net"};
#define DOORS (sizeof doors / sizeof doors[0])

START_TEST(nonsense)
{
    char noise[4096];
    pid_t before[DOORS];

    srand(7);
    for (size_t d = 0; d < DOORS; d++)
        before[d] = stage_server("t", doors[d]);
    for (size_t d = 0; d < DOORS; d++) {
        for (int round = 0; round < 200; round++) {
            int connection = socket_connect(doors[d]);
            struct wire_header header = {.version = WIRE_VERSION,
                                         .kind = WIRE_REQUEST,
                                         .operation = (uint32_t)(rand() % 130),
                                         .tag = 5};
            size_t length = (size_t)rand() % sizeof noise;

            for (size_t i = 0; i < sizeof noise; i++)
                noise[i] = (char)rand();
            if (round % 4 != 0)
                hello_send(connection);
            switch (round % 5) {
            case 0:
                send(connection, noise, length, MSG_NOSIGNAL);
                break;
            case 1: /* a body that is no message */
                packet_send(connection, header, noise, length);
                break;
            case 2: /* lies about its length */
                header.length = (uint32_t)rand();
                packet_send(connection, header, noise, length);
                break;
            case 3: /* no such operation */
                header.operation = 0xffffff00u + (uint32_t)round;
                packet_send(connection, header, noise, 0);
                ck_assert_int_ne(reply_error_read(connection), -2);
                break;
            default: /* another version; descriptors that are not there; an unknown kind */
                header.version = (uint16_t)rand();
                header.descriptors = (uint16_t)rand();
                header.kind = (uint16_t)rand();
                packet_send(connection, header, noise, length);
                break;
            }
            close(connection);
        }
    }
    for (size_t d = 0; d < DOORS; d++)
        ck_assert_msg(stage_server("t", doors[d]) == before[d], "%s", doors[d]);
}
END_TEST

/* What is for servers alone is not had through the front door; what is asked for strangers is
 * refused. */
START_TEST(authority)
{
    static const uint32_t inner[] = {
        HIRSEL__INIT_OPERATION__INIT_READY,        HIRSEL__INIT_OPERATION__INIT_SPAWN,
        HIRSEL__INIT_OPERATION__INIT_KILL,         HIRSEL__INIT_OPERATION__INIT_KEEP,
        HIRSEL__INIT_OPERATION__INIT_FORGET,       HIRSEL__INIT_OPERATION__INIT_TREES,
        HIRSEL__INIT_OPERATION__INIT_TREE_REMOVED, HIRSEL__INIT_OPERATION__INIT_CHILD_ENDED,
    };

    for (size_t d = 0; d < DOORS; d++) {
        int connection = socket_connect(doors[d]);

        hello_send(connection);
        for (size_t i = 0; i < sizeof inner / sizeof inner[0]; i++) {
            packet_send(connection,
                        (struct wire_header){.version = WIRE_VERSION,
                                             .kind = WIRE_REQUEST,
                                             .operation = inner[i],
                                             .tag = (uint32_t)i + 1},
                        "", 0);
            ck_assert_int_eq(reply_error_read(connection), ENOSYS);
        }
        close(connection);
    }
}
END_TEST

static int descriptors_of(pid_t pid)
{
    char path[64];
    DIR *list;
    int count = 0;

    snprintf(path, sizeof path, "/proc/%d/fd", pid);
    list = opendir(path);
    ck_assert_ptr_nonnull(list);
    while (readdir(list) != NULL)
        count++;
    closedir(list);
    return count;
}

struct settle {
    pid_t pid;
    int count;
};

static bool descriptors_settled(void *context)
{
    struct settle *settle = context;

    /* A few come and go with what was done before and is being done. */
    return descriptors_of(settle->pid) < settle->count + 20;
}

START_TEST(a_thousand_connections)
{
    struct rlimit limit;
    int connections[1000];

    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    /* The first tree starts the trap server. */
    ck_assert_int_eq(stage_run("run", "--session", "t", "--", "true", NULL), 0);
    for (size_t d = 0; d < DOORS; d++) {
        struct settle settle = {.pid = stage_server("t", doors[d])};

        settle.count = descriptors_of(settle.pid);
        for (int i = 0; i < 1000; i++) {
            connections[i] = socket_connect(doors[d]);
            if (i % 2 == 0)
                hello_send(connections[i]);
        }
        /* With all of these open others are served still. */
        ck_assert_int_eq(stage_run("run", "--session", "t", "--", "sh", "-c", "exit 3", NULL), 3);
        ck_assert_int_eq(stage_run("ps", "--session", "t", NULL), 0);
        for (int i = 0; i < 1000; i++)
            close(connections[i]);
        ck_assert_msg(stage_await(descriptors_settled, &settle), "%s: %d descriptors, were %d",
                      doors[d], descriptors_of(settle.pid), settle.count);
    }
}
END_TEST

/* Asks and asks, and never reads. */
START_TEST(a_client_that_never_reads)
{
    for (size_t d = 0; d < DOORS; d++) {
        int connection = socket_connect(doors[d]);
        pid_t before = stage_server("t", doors[d]);
        uint32_t operation = strcmp(doors[d], "init") == 0
                                 ? HIRSEL__INIT_OPERATION__INIT_STATUS
                                 : (uint32_t)HIRSEL__PROC_OPERATION__PROC_LIST;

        hello_send(connection);
        for (int i = 0; i < 3000; i++) {
            struct wire_header header = {.version = WIRE_VERSION,
                                         .kind = WIRE_REQUEST,
                                         .operation = operation,
                                         .tag = (uint32_t)i + 1};

            if (send(connection, &header, sizeof header, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
                break;
        }
        ck_assert_int_eq(stage_run("run", "--session", "t", "--", "sh", "-c", "exit 3", NULL), 3);
        ck_assert_int_eq(stage_server("t", doors[d]), before);
        close(connection);
    }
}
END_TEST

/* A long body, by memfd: init takes none. */
START_TEST(long_bodies)
{
    static char body[60000];
    int connection = socket_connect("init");

    memset(body, 0x0a, sizeof body);
    hello_send(connection);
    packet_send(connection,
                (struct wire_header){.version = WIRE_VERSION,
                                     .kind = WIRE_REQUEST,
                                     .operation = HIRSEL__INIT_OPERATION__INIT_STOP,
                                     .tag = 1},
                body, sizeof body);
    ck_assert_int_eq(reply_error_read(connection), EBADMSG);
    close(connection);
}
END_TEST

/* Seconds of processor time that a process has used. */
static double cpu_of(pid_t pid)
{
    char path[64], *rest;
    unsigned long user, system;

    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    rest = strrchr(stage_line(path), ')');
    ck_assert_ptr_nonnull(rest);
    ck_assert_int_eq(
        sscanf(rest + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system),
        2);
    return (double)(user + system) / (double)sysconf(_SC_CLK_TCK);
}

START_TEST(idle_servers_sleep)
{
    pid_t run =
        stage_start("run", "--session", "t", "--", "sh", "-c", "echo up > up; sleep 3", NULL);
    pid_t pids[DOORS];
    double before[DOORS];

    ck_assert(stage_await_file("up"));
    for (size_t d = 0; d < DOORS; d++) {
        pids[d] = stage_server("t", doors[d]);
        before[d] = cpu_of(pids[d]);
    }
    ck_assert_int_eq(stage_wait(run), 0);
    for (size_t d = 0; d < DOORS; d++)
        ck_assert_msg(cpu_of(pids[d]) - before[d] <= 0.2, "%s used %.2f s", doors[d],
                      cpu_of(pids[d]) - before[d]);
}
END_TEST

/* They gave up what they do not need: the kernel says that a filter is in force. */
START_TEST(servers_are_narrow)
{
    for (size_t i = 0; i < sizeof servers / sizeof servers[0]; i++) {
        char command[128];

        snprintf(command, sizeof command, "grep -q '^Seccomp:.2' /proc/%d/status",
                 stage_server("t", servers[i]));
        ck_assert_msg(system(command) == 0, "%s", servers[i]);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("session_servers");
    TCase *cases = tcase_create("servers");
    SRunner *runner;
    int failed;

    tcase_add_checked_fixture(cases, with_session, without_session);
    tcase_set_timeout(cases, 100);
    tcase_add_test(cases, each_comes_back);
    tcase_add_test(cases, a_storm);
    tcase_add_test(cases, a_stopped_server);
    tcase_add_test(cases, nonsense);
    tcase_add_test(cases, authority);
    tcase_add_test(cases, a_thousand_connections);
    tcase_add_test(cases, a_client_that_never_reads);
    tcase_add_test(cases, long_bodies);
    tcase_add_test(cases, idle_servers_sleep);
    tcase_add_test(cases, servers_are_narrow);
    suite_add_tcase(suite, cases);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
