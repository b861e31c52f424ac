/* Publishing, connecting, the handshake, limits on connections, running out of descriptors. */
#include <sys/resource.h>

#include "libmsg/internal.h"
#include "tests/unit/msg_support.h"

static struct world world;

static void setup(void)
{
    world_open(&world);
}

static void teardown(void)
{
    world_close(&world);
}

struct arrivals {
    int count;
    int refusal;
    struct port *port;
    struct hangups hangups;
};

static int arrive(struct port *port, uint64_t *space, void *context)
{
    struct arrivals *arrivals = context;
    arrivals->count++;
    arrivals->port = port;
    *space = 4711;
    ck_assert_int_eq(port_peer(port).pid, getpid());
    ck_assert_int_eq(port_peer(port).uid, getuid());
    port_on_hangup(port, note_hangup, &arrivals->hangups);
    return arrivals->refusal;
}

static struct listener *publish(const char *path, struct arrivals *arrivals)
{
    struct listener *listener;
    ck_assert_int_eq(port_publish(world.set, path, echo, NULL, &listener), 0);
    if (arrivals)
        listener_on_arrival(listener, arrive, arrivals);
    return listener;
}

/* Call and run the loop until it has ended. */
static int call_through(struct port *port)
{
    struct outcome outcome = {0};
    struct msg message = {.operation = 1, .body = "hi", .length = 3};
    int error = msg_call_start(port, &message, 60000, note_outcome, &outcome, NULL);
    if (error)
        return error;
    run_until(&world, &outcome.count, 1);
    return outcome.error;
}

START_TEST(published)
{
    char *path = world_path(&world, "socket");
    struct arrivals arrivals = {0};
    struct stat status;
    struct port *port;
    struct listener *listener = publish(path, &arrivals);
    ck_assert_int_eq(lstat(path, &status), 0);
    ck_assert(S_ISSOCK(status.st_mode));
    ck_assert_int_eq(status.st_mode & 0777, 0600);
    ck_assert_int_eq(port_connect_start(world.set, path, &port), 0);
    ck_assert_uint_eq(port_space(port), 0);
    ck_assert_int_eq(call_through(port), 0);
    ck_assert_int_eq(arrivals.count, 1);
    ck_assert_uint_eq(port_space(port), 4711);
    port_close(port);
    run_until(&world, &arrivals.hangups.count, 1);
    listener_close(listener);
    ck_assert_int_eq(lstat(path, &status), -1);
}
END_TEST

START_TEST(published_again)
{
    /* An old name is taken over in one step; the old listener leaves the new one's name alone. */
    char *path = world_path(&world, "socket");
    struct arrivals first = {0}, second = {0};
    struct port *port;
    struct listener *old = publish(path, &first);
    struct listener *new = publish(path, &second);
    listener_close(old);
    ck_assert_int_eq(port_connect_start(world.set, path, &port), 0);
    ck_assert_int_eq(call_through(port), 0);
    ck_assert_int_eq(first.count, 0);
    ck_assert_int_eq(second.count, 1);
    listener_close(new);
    /* accepted ports outlive their listener */
    ck_assert_int_eq(call_through(port), 0);
}
END_TEST

START_TEST(connect_errors)
{
    struct port *port;
    struct listener *listener;
    ck_assert_int_eq(port_connect(world.set, world_path(&world, "none"), 100, &port), ENOENT);
    ck_assert_int_eq(port_connect_start(world.set, world_path(&world, "none"), &port), ENOENT);
    ck_assert_int_eq(port_connect(world.set, "", 100, &port), ENOENT);
    ck_assert_int_eq(port_publish(world.set, "/nonexistent/x", echo, NULL, &listener), ENOENT);
    /* a name without its listener */
    char *path = world_path(&world, "dead");
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    strcpy(address.sun_path, path);
    int dead = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(bind(dead, (struct sockaddr *)&address, sizeof address), 0);
    close(dead);
    ck_assert_int_eq(port_connect(world.set, path, 100, &port), ECONNREFUSED);
    unlink(path);
    /* not a bus */
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    ck_assert_int_eq(port_adopt(world.set, null, true, &port), ENOTSOCK);
    int stream = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(port_adopt(world.set, stream, true, &port), EPROTOTYPE);
    ck_assert_int_eq(
        port_listen(world.set, open("/dev/null", O_RDONLY | O_CLOEXEC), echo, NULL, &listener),
        ENOTSOCK);
}
END_TEST

START_TEST(long_path)
{
    char path[1200];
    int n = snprintf(path, sizeof path, "%s", world.directory);
    for (int i = 0; i < 10; i++) {
        n += snprintf(path + n, sizeof path - (size_t)n, "/%0100d", i);
        ck_assert_int_eq(mkdir(path, 0700), 0);
    }
    strcpy(path + n, "/socket");
    struct arrivals arrivals = {0};
    struct port *port;
    struct listener *listener = publish(path, &arrivals);
    ck_assert_int_eq(port_connect_start(world.set, path, &port), 0);
    ck_assert_int_eq(call_through(port), 0);
    listener_close(listener);
    path[n] = '\0';
    for (int i = 9; i >= 0; i--) {
        ck_assert_int_eq(rmdir(path), 0);
        path[strlen(path) - 101] = '\0';
    }
}
END_TEST

START_TEST(refused_on_arrival)
{
    char *path = world_path(&world, "socket");
    struct arrivals arrivals = {.refusal = EACCES};
    struct hangups hangups = {0};
    struct port *port;
    struct listener *listener = publish(path, &arrivals);
    ck_assert_int_eq(port_connect_start(world.set, path, &port), 0);
    port_on_hangup(port, note_hangup, &hangups);
    run_until(&world, &hangups.count, 1);
    ck_assert_int_eq(hangups.error, EACCES);
    listener_close(listener);
}
END_TEST

static int refuse_all(struct port *port, uint64_t *space, void *context)
{
    (void)port;
    (void)space;
    (void)context;
    return EDQUOT;
}

START_TEST(blocking_connect)
{
    char *path = world_path(&world, "socket");
    int ready[2];
    char byte;
    struct port *port;
    ck_assert_int_eq(pipe2(ready, O_CLOEXEC), 0);
    pid_t pid = fork();
    if (pid == 0) {
        struct listener *listener;
        if (port_publish(world.set, path, echo, NULL, &listener))
            _exit(1);
        char refusing[200];
        snprintf(refusing, sizeof refusing, "%s2", path);
        if (port_publish(world.set, refusing, echo, NULL, &listener))
            _exit(1);
        listener_on_arrival(listener, refuse_all, NULL);
        if (write(ready[1], "r", 1) != 1)
            _exit(1);
        ev_run(world.loop, 0);
        _exit(0);
    }
    ck_assert_int_eq(read(ready[0], &byte, 1), 1);
    ck_assert_int_eq(port_connect(world.set, path, 60000, &port), 0);
    ck_assert_int_eq(port_peer(port).pid, pid);
    port_close(port);
    ck_assert_int_eq(port_connect(world.set, path, -1, &port), 0);
    port_close(port);
    char refusing[200];
    snprintf(refusing, sizeof refusing, "%s2", path);
    ck_assert_int_eq(port_connect(world.set, refusing, 60000, &port), EDQUOT);
    /* stopped: it does not answer in time */
    kill(pid, SIGSTOP);
    waitpid(pid, NULL, WUNTRACED);
    double from = ev_time();
    ck_assert_int_eq(port_connect(world.set, path, 100, &port), ETIMEDOUT);
    ck_assert(ev_time() - from < 5);
    kill(pid, SIGCONT);
    serve_end(pid, path);
    unlink(refusing);
    close(ready[0]);
    close(ready[1]);
}
END_TEST

/* A listening socket whose queue is full and that nobody accepts from. */
static int full_listener(const char *path, int *fillers, int count, int *filled)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    strcpy(address.sun_path, path);
    ck_assert_int_eq(bind(listener, (struct sockaddr *)&address, sizeof address), 0);
    ck_assert_int_eq(listen(listener, 1), 0);
    for (*filled = 0; *filled < count; ++*filled) {
        fillers[*filled] = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (connect(fillers[*filled], (struct sockaddr *)&address, sizeof address)) {
            ck_assert_int_eq(errno, EAGAIN);
            close(fillers[*filled]);
            return listener;
        }
    }
    ck_abort_msg("the listen queue never fills");
}

START_TEST(full_listen_queue)
{
    char *path = world_path(&world, "socket");
    int fillers[16], filled;
    struct port *blocked, *port, *closed;
    struct listener *listener;
    struct outcome outcome = {0};
    struct msg message = {.operation = 1};
    int socket = full_listener(path, fillers, 16, &filled);
    ck_assert_int_eq(port_connect(world.set, path, 50, &blocked), ETIMEDOUT);
    /* started: it waits and tries again; requests wait with it */
    ck_assert_int_eq(port_connect_start(world.set, path, &port), 0);
    ck_assert_int_eq(port_connect_start(world.set, path, &closed), 0);
    ck_assert_int_eq(msg_call(port, &message, NULL, 50), ETIMEDOUT);
    ck_assert_int_eq(msg_call_start(port, &message, 60000, note_outcome, &outcome, NULL), 0);
    port_close(closed);
    ck_assert_int_eq(port_listen(world.set, socket, echo, NULL, &listener), 0);
    run_until(&world, &outcome.count, 1);
    ck_assert_int_eq(outcome.error, 0);
    for (int i = 0; i < filled; i++)
        close(fillers[i]);
    unlink(path);
}
END_TEST

START_TEST(connect_retry_fails)
{
    /* The listener goes while a started connection waits for room. */
    char *path = world_path(&world, "socket");
    int fillers[16], filled;
    struct port *port;
    struct hangups hangups = {0};
    int socket = full_listener(path, fillers, 16, &filled);
    ck_assert_int_eq(port_connect_start(world.set, path, &port), 0);
    port_on_hangup(port, note_hangup, &hangups);
    close(socket);
    run_until(&world, &hangups.count, 1);
    ck_assert_int_eq(hangups.error, ECONNREFUSED);
    for (int i = 0; i < filled; i++)
        close(fillers[i]);
    unlink(path);
}
END_TEST

START_TEST(given_listener)
{
    /* As init hands it to a server: bound elsewhere, then dies and another takes over. */
    char *path = world_path(&world, "socket");
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct listener *listener;
    struct port *port;
    int kept = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    strcpy(address.sun_path, path);
    ck_assert_int_eq(bind(kept, (struct sockaddr *)&address, sizeof address), 0);
    ck_assert_int_eq(listen(kept, 16), 0);
    for (int life = 0; life < 3; life++) {
        ck_assert_int_eq(port_connect_start(world.set, path, &port), 0);
        ck_assert_int_eq(
            port_listen(world.set, fcntl(kept, F_DUPFD_CLOEXEC, 3), echo, NULL, &listener), 0);
        ck_assert_int_eq(call_through(port), 0);
        listener_close(listener);
        ck_assert_int_eq(access(path, F_OK), 0); /* not ours to remove */
    }
    close(kept);
    unlink(path);
}
END_TEST

START_TEST(thousand_connections)
{
    char *path = world_path(&world, "socket");
    struct arrivals arrivals = {0};
    struct hangups drops = {0};
    struct listener *listener = publish(path, &arrivals);
    listener_on_drop(listener, note_hangup, &drops);
    int before = count_descriptors();
    for (int i = 0; i < 1500; i++) {
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        strcpy(address.sun_path, path);
        int raw = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
        ck_assert_int_eq(connect(raw, (struct sockaddr *)&address, sizeof address), 0);
        if (i % 3 == 0)
            raw_hello(raw);
        if (i % 3 == 1)
            ck_assert_int_eq(send(raw, "junk", 4, MSG_NOSIGNAL), 4);
        close(raw);
        ev_run(world.loop, EVRUN_NOWAIT);
    }
    run_ready(&world);
    ck_assert_int_eq(count_descriptors(), before);
    ck_assert_int_eq(arrivals.count, 500);
    ck_assert_int_eq(arrivals.hangups.count, 500);
    ck_assert_int_eq(drops.count, 500); /* those that sent junk */
    ck_assert_int_eq(drops.error, EPROTO);
    struct port *port;
    ck_assert_int_eq(port_connect_start(world.set, path, &port), 0);
    ck_assert_int_eq(call_through(port), 0);
    listener_close(listener);
}
END_TEST

START_TEST(silent_connection)
{
    /* Who connects and says nothing does not keep its place for ever. */
    char *path = world_path(&world, "socket");
    struct listener *listener = publish(path, NULL);
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct hangups hangups = {0};
    char byte;
    strcpy(address.sun_path, path);
    int raw = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(connect(raw, (struct sockaddr *)&address, sizeof address), 0);
    run_ready(&world);
    struct port *silent = world.set->ports;
    ck_assert_ptr_nonnull(silent);
    ck_assert(ev_is_active(&silent->deadline));
    port_on_hangup(silent, note_hangup, &hangups);
    /* the patience of ten seconds is over */
    ev_feed_event(world.loop, &silent->deadline, EV_TIMER);
    run_until(&world, &hangups.count, 1);
    ck_assert_int_eq(hangups.error, ETIMEDOUT);
    ck_assert_int_eq(recv(raw, &byte, 1, MSG_DONTWAIT), 0);
    close(raw);
    listener_close(listener);
}
END_TEST

START_TEST(publish_errors)
{
    struct listener *listener;
    char path[400];
    /* in the way: a directory */
    ck_assert_int_eq(mkdir(world_path(&world, "taken"), 0700), 0);
    ck_assert_int_eq(port_publish(world.set, world_path(&world, "taken"), echo, NULL, &listener),
                     EISDIR);
    ck_assert_int_eq(rmdir(world_path(&world, "taken")), 0);
    snprintf(path, sizeof path, "%s/%0300d", world.directory, 1);
    ck_assert_int_eq(port_publish(world.set, path, echo, NULL, &listener), ENAMETOOLONG);
    snprintf(path, sizeof path, "%0200d", 1);
    ck_assert_int_eq(port_publish(world.set, path, echo, NULL, &listener), ENAMETOOLONG);
    snprintf(path, sizeof path, "%s/none/%0100d", world.directory, 1);
    ck_assert_int_eq(port_publish(world.set, path, echo, NULL, &listener), ENOENT);
    /* nothing is left behind: world_close removes the directory */
}
END_TEST

START_TEST(spare_descriptor_taken)
{
    /* Not even the spare one is there: accepting pauses, and goes on by itself later. */
    char *path = world_path(&world, "socket");
    struct listener *listener = publish(path, NULL);
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct rlimit limit, none = {0};
    struct wire_header header;
    struct wire_hello hello;
    strcpy(address.sun_path, path);
    int raw = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    run_ready(&world);
    getrlimit(RLIMIT_NOFILE, &limit);
    none.rlim_max = limit.rlim_max;
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
    ck_assert_int_eq(connect(raw, (struct sockaddr *)&address, sizeof address), 0);
    for (int i = 0; i < 100; i++)
        ev_run(world.loop, EVRUN_NOWAIT);
    ck_assert_int_eq(world.set->spare_descriptor, -1);
    ck_assert_uint_eq(ev_pending_count(world.loop), 0); /* not spinning */
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
    raw_hello(raw);
    ck_assert_int_gt(raw_await(&world, raw, &header, &hello, sizeof hello), 0);
    ck_assert_int_eq(header.kind, WIRE_WELCOME);
    ck_assert_int_eq(header.error, 0);
    close(raw);
    listener_close(listener);
}
END_TEST

START_TEST(connection_limit)
{
    char *path = world_path(&world, "socket");
    struct arrivals arrivals = {0};
    struct listener *listener = publish(path, &arrivals);
    struct port *ports[10];
    struct outcome outcome = {0};
    struct msg message = {.operation = 1};
    port_set_limit(world.set, 0, 4, 0);
    for (int i = 0; i < 10; i++) {
        ck_assert_int_eq(port_connect_start(world.set, path, &ports[i]), 0);
        ck_assert_int_eq(msg_call_start(ports[i], &message, -1, note_outcome, &outcome, NULL), 0);
    }
    run_until(&world, &outcome.count, 4);
    run_ready(&world);
    ck_assert_int_eq(outcome.count, 4);
    ck_assert_int_eq(arrivals.count, 4);
    /* each that goes makes room for the next */
    for (int i = 0; i < 6; i++) {
        port_close(ports[i]);
        run_until(&world, &outcome.count, i + 5);
    }
    ck_assert_int_eq(arrivals.count, 10);
    listener_close(listener);
}
END_TEST

START_TEST(no_descriptor_left)
{
    char *path = world_path(&world, "socket");
    struct arrivals arrivals = {0};
    struct listener *listener = publish(path, &arrivals);
    struct rlimit limit, tight;
    struct hangups hangups = {0};
    struct port *port;
    /* the connecting ends are made before the table is full */
    int raw[3];
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    strcpy(address.sun_path, path);
    for (int i = 0; i < 3; i++)
        raw[i] = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(port_connect_start(world.set, path, &port), 0);
    ck_assert_int_eq(call_through(port), 0);
    port_on_hangup(port, note_hangup, &hangups);

    getrlimit(RLIMIT_NOFILE, &limit);
    int used = fcntl(0, F_DUPFD_CLOEXEC, 3);
    tight = (struct rlimit){(rlim_t)used, limit.rlim_max};
    close(used);
    /* up to the lowest free one all are taken */
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &tight), 0);
    ck_assert_int_eq(fcntl(0, F_DUPFD_CLOEXEC, 0), -1);
    for (int i = 0; i < 3; i++) {
        struct wire_header header;
        struct wire_hello hello;
        ck_assert_int_eq(connect(raw[i], (struct sockaddr *)&address, sizeof address), 0);
        ck_assert_int_gt(raw_await(&world, raw[i], &header, &hello, sizeof hello), 0);
        ck_assert_int_eq(header.kind, WIRE_WELCOME);
        ck_assert_int_eq(header.error, EMFILE);
        close(raw[i]); /* one is free again */
        int filler = fcntl(0, F_DUPFD_CLOEXEC, 0);
        ck_assert_int_eq(filler, raw[i]); /* and taken */
        raw[i] = filler;
    }
    /* who is connected is served on, and a request with a descriptor is told why it is not */
    ck_assert_int_eq(call_through(port), 0);
    struct outcome outcome = {0};
    struct msg message = {.operation = 1, .descriptors = raw, .descriptor_count = 2};
    /* It is sent under the wider limit: what others of this user have in flight counts against it.
     */
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
    ck_assert_int_eq(msg_call_start(port, &message, -1, note_outcome, &outcome, NULL), 0);
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &tight), 0);
    run_until(&world, &outcome.count, 1);
    ck_assert_int_eq(outcome.error, EMFILE);
    ck_assert_int_eq(call_through(port), 0);
    ck_assert_int_eq(hangups.count, 0);

    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
    for (int i = 0; i < 3; i++)
        close(raw[i]);
    ck_assert_int_eq(port_connect_start(world.set, path, &port), 0);
    ck_assert_int_eq(call_through(port), 0);
    listener_close(listener);
}
END_TEST

START_TEST(reply_descriptors_lost)
{
    /* The caller is at its limit when the answer's descriptors come. */
    char *path = world_path(&world, "socket");
    pid_t server = serve_elsewhere(path, echo);
    struct rlimit limit, tight;
    struct port *port;
    struct msg answer;
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    struct msg message = {.operation = 1, .descriptors = &null, .descriptor_count = 1};
    int taken[500], count = 0;
    ck_assert_int_eq(port_connect(world.set, path, 60000, &port), 0);
    getrlimit(RLIMIT_NOFILE, &limit);
    /* A full table, and not a low limit: what others of this user have in flight counts against
     * that as well. */
    tight = (struct rlimit){500, limit.rlim_max};
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &tight), 0);
    while (count < 500 && (taken[count] = fcntl(0, F_DUPFD_CLOEXEC, 3)) >= 0)
        count++;
    ck_assert_int_eq(msg_call(port, &message, &answer, 60000), EMFILE);
    while (count > 0)
        close(taken[--count]);
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
    ck_assert_int_eq(msg_call(port, &message, &answer, 60000), 0);
    ck_assert_uint_eq(answer.descriptor_count, 1);
    msg_release(&answer);
    serve_end(server, path);
    close(null);
}
END_TEST

START_TEST(handed_over)
{
    /* One end of a pair becomes another process's port. */
    struct port *one, *other;
    struct msg answer;
    struct msg message = {.operation = 1, .body = "hi", .length = 3};
    ck_assert_int_eq(port_pair(world.set, &one, &other), 0);
    int handed = fcntl(port_descriptor(other), F_DUPFD_CLOEXEC, 3);
    pid_t pid = fork();
    if (pid == 0) {
        struct ev_loop *loop = ev_loop_new(0);
        struct port_set *set = port_set_new(loop);
        struct port *port;
        close(port_descriptor(one));
        close(port_descriptor(other));
        if (port_adopt(set, handed, true, &port))
            _exit(1);
        port_on_message(port, echo, NULL);
        ev_run(loop, 0); /* until nothing is left to watch */
        port_set_free(set);
        _exit(0);
    }
    port_close(other);
    close(handed);
    for (int i = 0; i < 10; i++) {
        ck_assert_int_eq(msg_call(one, &message, &answer, 60000), 0);
        msg_release(&answer);
    }
    port_close(one);
    int status;
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_int_eq(status, 0);
}
END_TEST

START_TEST(handed_over_late)
{
    /* This side has filled the socket before the other's new owner says hello. */
    struct port *one, *other, *adopted;
    static char body[60000];
    struct outcome outcome = {0};
    struct msg message = {.operation = 1, .body = body, .length = sizeof body};
    ck_assert_int_eq(port_pair(world.set, &one, &other), 0);
    int handed = fcntl(port_descriptor(other), F_DUPFD_CLOEXEC, 3);
    port_close(other);
    for (int i = 0; i < 20; i++)
        ck_assert_int_eq(msg_call_start(one, &message, -1, note_outcome, &outcome, NULL), 0);
    ck_assert_int_eq(port_adopt(world.set, handed, true, &adopted), 0);
    port_on_message(adopted, echo, NULL);
    run_until(&world, &outcome.count, 20);
    ck_assert_int_eq(outcome.error, 0);
}
END_TEST

static void fill(TCase *tests)
{
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, published);
    tcase_add_test(tests, published_again);
    tcase_add_test(tests, connect_errors);
    tcase_add_test(tests, long_path);
    tcase_add_test(tests, refused_on_arrival);
    tcase_add_test(tests, blocking_connect);
    tcase_add_test(tests, full_listen_queue);
    tcase_add_test(tests, connect_retry_fails);
    tcase_add_test(tests, given_listener);
    tcase_add_test(tests, thousand_connections);
    tcase_add_test(tests, silent_connection);
    tcase_add_test(tests, publish_errors);
    tcase_add_test(tests, spare_descriptor_taken);
    tcase_add_test(tests, connection_limit);
    tcase_add_test(tests, no_descriptor_left);
    tcase_add_test(tests, reply_descriptors_lost);
    tcase_add_test(tests, handed_over);
    tcase_add_test(tests, handed_over_late);
}

int main(void)
{
    turn_await();
    return run_suite("msg_connect", fill);
}
