/* What the tests of libmsg share: a world of one loop and one port set that notices leaked
 * descriptors, a raw end of the wire, and a server in a process of its own. */
#ifndef HIRSEL_TESTS_MSG_SUPPORT_H
#define HIRSEL_TESTS_MSG_SUPPORT_H

#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <ev.h>

#include "libmsg/msg.h"
#include "libmsg/wire.h"
#include "tests/unit/fixture/folder.h"

#define PATIENCE_SECONDS 60.0

struct world {
    struct ev_loop *loop;
    struct port_set *set;
    int descriptors; /* open before */
    char directory[64];
};

static inline int count_descriptors(void)
{
    int count = 0;
    DIR *directory = opendir("/proc/self/fd");
    ck_assert_ptr_nonnull(directory);
    while (readdir(directory))
        count++;
    closedir(directory);
    return count;
}

static inline void world_open(struct world *world)
{
    memset(world, 0, sizeof *world);
    world->descriptors = count_descriptors();
    world->loop = ev_loop_new(0);
    ck_assert_ptr_nonnull(world->loop);
    world->set = port_set_new(world->loop);
    ck_assert_ptr_nonnull(world->set);
    folder_make(world->directory, sizeof world->directory);
}

static inline void world_close(struct world *world)
{
    port_set_free(world->set);
    ev_loop_destroy(world->loop);
    ck_assert_int_eq(rmdir(world->directory), 0);
    ck_assert_int_eq(count_descriptors(), world->descriptors);
}

static inline char *world_path(struct world *world, const char *name)
{
    static char path[128];
    snprintf(path, sizeof path, "%s/%s", world->directory, name);
    return path;
}

static inline void tick(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)loop;
    (void)timer;
    (void)events;
}

/* Run the loop until *counter reaches value. The tick is for what the loop does before it waits:
 * one run of it would not return after that alone. */
static inline void run_until(struct world *world, const int *counter, int value)
{
    double until = ev_time() + PATIENCE_SECONDS;
    ev_timer timer;
    ev_timer_init(&timer, tick, 0.005, 0.005);
    ev_timer_start(world->loop, &timer);
    while (*counter < value) {
        ev_run(world->loop, EVRUN_ONCE);
        ck_assert_msg(ev_time() < until, "waited in vain");
    }
    ev_timer_stop(world->loop, &timer);
    ck_assert_int_eq(*counter, value);
}

/* Give the loop all that is ready now. */
static inline void run_ready(struct world *world)
{
    for (int turn = 0; turn < 50; turn++)
        ev_run(world->loop, EVRUN_NOWAIT);
}

/* ---- one end of the wire, by hand ---- */

static inline struct wire_header raw_header(uint16_t kind, uint32_t tag, uint32_t length)
{
    return (struct wire_header){
        .version = WIRE_VERSION, .kind = kind, .operation = 1, .tag = tag, .length = length};
}

static inline int raw_send(int descriptor, const struct wire_header *header, const void *body,
                           size_t length, const int *descriptors, size_t count)
{
    union {
        struct cmsghdr align;
        unsigned char space[CMSG_SPACE(253 * sizeof(int))];
    } control;
    struct iovec parts[2] = {{(void *)header, sizeof *header}, {(void *)body, length}};
    struct msghdr raw = {.msg_iov = parts, .msg_iovlen = 2};
    if (count > 0) {
        raw.msg_control = &control;
        raw.msg_controllen = CMSG_SPACE(count * sizeof(int));
        control.align.cmsg_level = SOL_SOCKET;
        control.align.cmsg_type = SCM_RIGHTS;
        control.align.cmsg_len = CMSG_LEN(count * sizeof(int));
        memcpy(CMSG_DATA(&control.align), descriptors, count * sizeof(int));
    }
    return sendmsg(descriptor, &raw, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 ? errno : 0;
}

static inline void raw_hello(int descriptor)
{
    struct wire_hello hello = {.version_min = 1, .version_max = 1};
    struct wire_header header = raw_header(WIRE_HELLO, 0, sizeof hello);
    ck_assert_int_eq(raw_send(descriptor, &header, &hello, sizeof hello, NULL, 0), 0);
}

/* Receive without waiting: the size, 0 at the end, -1 if there is nothing. */
static inline ssize_t raw_receive(int descriptor, struct wire_header *header, void *body,
                                  size_t size)
{
    struct iovec parts[2] = {{header, sizeof *header}, {body, size}};
    struct msghdr raw = {.msg_iov = parts, .msg_iovlen = 2};
    ssize_t n = recvmsg(descriptor, &raw, MSG_DONTWAIT);
    if (n < 0 && errno == ECONNRESET)
        n = recvmsg(descriptor, &raw, MSG_DONTWAIT);
    return n;
}

/* Run the loop until something arrives at the raw end. */
static inline ssize_t raw_await(struct world *world, int descriptor, struct wire_header *header,
                                void *body, size_t size)
{
    double until = ev_time() + PATIENCE_SECONDS;
    for (;;) {
        ev_run(world->loop, EVRUN_NOWAIT);
        ssize_t n = raw_receive(descriptor, header, body, size);
        if (n >= 0 || errno != EAGAIN)
            return n;
        ck_assert_msg(ev_time() < until, "waited in vain");
    }
}

/* A port of `world` whose other end is a raw socket that has shaken hands. */
static inline struct port *raw_port(struct world *world, int *raw)
{
    int ends[2];
    struct port *port;
    struct wire_header header;
    struct wire_hello hello;
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
    ck_assert_int_eq(port_adopt(world->set, ends[0], false, &port), 0);
    raw_hello(ends[1]);
    ck_assert_int_eq(raw_await(world, ends[1], &header, &hello, sizeof hello),
                     sizeof header + sizeof hello);
    ck_assert_int_eq(header.kind, WIRE_WELCOME);
    *raw = ends[1];
    return port;
}

/* ---- a server in another process ---- */

static inline pid_t serve_elsewhere(const char *path, msg_handler *handler)
{
    int ready[2];
    char byte;
    ck_assert_int_eq(pipe2(ready, O_CLOEXEC), 0);
    pid_t pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        struct ev_loop *loop = ev_loop_new(0);
        struct port_set *set = port_set_new(loop);
        struct listener *listener;
        if (!set || port_publish(set, path, handler, set, &listener))
            _exit(1);
        if (write(ready[1], "r", 1) != 1)
            _exit(1);
        ev_run(loop, 0);
        port_set_free(set);
        ev_loop_destroy(loop);
        _exit(0);
    }
    close(ready[1]);
    ck_assert_int_eq(read(ready[0], &byte, 1), 1);
    close(ready[0]);
    return pid;
}

static inline void serve_end(pid_t pid, const char *path)
{
    kill(pid, SIGKILL);
    ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
    unlink(path);
}

/* ---- handlers ---- */

static inline void echo(struct port *port, struct msg *message, struct reply *reply, void *context)
{
    (void)port;
    (void)context;
    struct msg answer = {
        .operation = message->operation,
        .object = message->object,
        .body = message->body,
        .length = message->length,
        .descriptors = message->descriptors,
        .descriptor_count = message->descriptor_count,
    };
    reply_send(reply, &answer);
}

/* What a call ended with. */
struct outcome {
    int count;
    int error;
    size_t length;
    size_t descriptor_count;
    char body[64];
};

static inline void note_outcome(int error, struct msg *answer, void *context)
{
    struct outcome *outcome = context;
    outcome->count++;
    outcome->error = error;
    outcome->length = answer->length;
    outcome->descriptor_count = answer->descriptor_count;
    if (answer->length > 0 && answer->length <= sizeof outcome->body)
        memcpy(outcome->body, answer->body, answer->length);
}

/* How often a port hung up, and why the last time. */
struct hangups {
    int count;
    int error;
};

static inline void note_hangup(struct port *port, int error, void *context)
{
    (void)port;
    struct hangups *hangups = context;
    hangups->count++;
    hangups->error = error;
}

/* For tests that have nearly as much in flight as their user may have, or are refused because of
 * what others of the same user have: they take turns, until they end. */
static inline void turn_await(void)
{
    int place = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (place < 0 || flock(place, LOCK_EX) != 0)
        perror("/tmp is not locked");
}

static inline int run_suite(const char *name, void (*fill)(TCase *))
{
    Suite *suite = suite_create(name);
    TCase *tests = tcase_create(name);
    tcase_set_timeout(tests, 60);
    fill(tests);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}

#endif
