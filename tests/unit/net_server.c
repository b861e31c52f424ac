/* The net server itself, with the test in the part of init and of fs: it gives the server its
 * socket and its control channel, keeps descriptors for it, says which trees there are, and makes
 * the spaces' files. */
#include <arpa/inet.h>
#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <ev.h>

#include "libmsg/rpc.h"
#include "proto/init.pb-c.h"
#include "proto/net.pb-c.h"
#include "servers/lib/server.h"
#include "shim/core/net_name.h"
#include "shim/core/space.h"
#include "tests/unit/fixture/folder.h"

#define KEPT_MAX 16

struct kept {
    char name[64];
    int descriptor;
};

struct stage {
    char directory[64];
    char program[PATH_MAX];
    int listening;
    struct ev_loop *loop;
    struct port_set *ports;
    struct port *control;
    bool ready;
    pid_t pid;
    struct kept kept[KEPT_MAX];
    struct tree trees[4];
    size_t tree_count;
};

static struct stage stage;

static struct kept *kept_find(const char *name)
{
    for (size_t i = 0; i < KEPT_MAX; i++)
        if (stage.kept[i].descriptor > 0 && strcmp(stage.kept[i].name, name) == 0)
            return &stage.kept[i];
    return NULL;
}

static size_t kept_count(void)
{
    size_t count = 0;
    for (size_t i = 0; i < KEPT_MAX; i++)
        count += stage.kept[i].descriptor > 0;
    return count;
}

static void trees_reply(struct reply *reply)
{
    Hirsel__InitTrees body = HIRSEL__INIT_TREES__INIT;
    Hirsel__InitTree trees[4], *pointers[4];
    for (size_t i = 0; i < stage.tree_count; i++) {
        hirsel__init_tree__init(&trees[i]);
        trees[i].pid = (uint32_t)stage.trees[i].pid;
        trees[i].start_time = stage.trees[i].start_time;
        trees[i].space = stage.trees[i].space;
        pointers[i] = &trees[i];
    }
    body.n_trees = stage.tree_count;
    body.trees = pointers;
    rpc_reply(reply, &body.base, NULL, 0);
}

static void keep(const Hirsel__InitKeep *body, struct msg *message, struct reply *reply)
{
    struct kept *kept = kept_find(body->name);
    if (kept != NULL) {
        close(kept->descriptor);
        kept->descriptor = -1;
    }
    for (size_t i = 0; i < KEPT_MAX && message->descriptor_count > 0; i++) {
        if (stage.kept[i].descriptor > 0)
            continue;
        snprintf(stage.kept[i].name, sizeof stage.kept[i].name, "%s", body->name);
        stage.kept[i].descriptor = msg_take(message, 0);
        break;
    }
    reply_error(reply, 0);
}

static void control_message(struct port *port, struct msg *message, struct reply *reply,
                            void *context)
{
    (void)port;
    (void)context;
    if (message->operation == HIRSEL__INIT_OPERATION__INIT_READY) {
        stage.ready = true;
        return;
    }
    if (message->operation == HIRSEL__INIT_OPERATION__INIT_TREES) {
        trees_reply(reply);
        return;
    }
    Hirsel__InitKeep *body =
        (Hirsel__InitKeep *)rpc_unpack(message, &hirsel__init_keep__descriptor);
    ck_assert_ptr_nonnull(body);
    if (message->operation == HIRSEL__INIT_OPERATION__INIT_KEEP) {
        keep(body, message, reply);
    } else {
        ck_assert_uint_eq(message->operation, HIRSEL__INIT_OPERATION__INIT_KEPT);
        struct kept *kept = kept_find(body->name);
        if (kept != NULL)
            rpc_reply(reply, NULL, &kept->descriptor, 1);
        else
            reply_error(reply, ENOENT);
    }
    rpc_free((ProtobufCMessage *)body);
}

/* ---- what fs does ---- */

static void space_path(uint64_t id, const char *rest, char path[128])
{
    snprintf(path, 128, "%s/spaces/%llu%s", stage.directory, (unsigned long long)id, rest);
}

static struct space_net space_row(uint64_t id)
{
    char path[128];
    struct space_net row = {99, 99};
    space_path(id, "/table", path);
    int file = open(path, O_RDONLY);
    ck_assert_int_ge(file, 0);
    ck_assert_int_eq(pread(file, &row, sizeof row, SPACE_NET_OFFSET), sizeof row);
    close(file);
    return row;
}

static void space_make(uint64_t id, uint64_t origin)
{
    char path[128];
    struct space_header header = {.magic = SPACE_MAGIC, .layout = SPACE_LAYOUT, .id = id};
    struct space_net row = {0, 0};
    if (id != 0)
        row = space_row(origin);
    space_path(id, "", path);
    ck_assert_int_eq(mkdir(path, 0700), 0);
    space_path(id, "/table", path);
    int file = open(path, O_RDWR | O_CREAT | O_EXCL, 0600);
    ck_assert_int_ge(file, 0);
    ck_assert_int_eq(pwrite(file, &header, sizeof header, 0), sizeof header);
    ck_assert_int_eq(pwrite(file, &row, sizeof row, SPACE_NET_OFFSET), sizeof row);
    ck_assert_int_eq(ftruncate(file, SPACE_FILE_SIZE), 0);
    close(file);
    if (id == 0)
        return;
    space_path(id, "/origin", path);
    FILE *text = fopen(path, "w");
    fprintf(text, "%llu %d 1\n", (unsigned long long)origin, (int)getpid());
    fclose(text);
}

static void space_drop(uint64_t id)
{
    char path[128];
    space_path(id, "/table", path);
    unlink(path);
    space_path(id, "/origin", path);
    unlink(path);
    space_path(id, "", path);
    ck_assert_int_eq(rmdir(path), 0);
}

/* ---- what init does ---- */

static void server_start(void)
{
    int pair[2];
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
    stage.ready = false;
    stage.pid = fork();
    ck_assert_int_ge(stage.pid, 0);
    if (stage.pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        int listening = fcntl(stage.listening, F_DUPFD, 10), control = fcntl(pair[1], F_DUPFD, 10);
        dup2(listening, SERVER_LISTEN_DESCRIPTOR);
        dup2(control, SERVER_CONTROL_DESCRIPTOR);
        close(listening);
        close(control);
        execl(stage.program, "net", stage.directory, NULL);
        _exit(127);
    }
    close(pair[1]);
    ck_assert_int_eq(port_adopt(stage.ports, pair[0], false, &stage.control), 0);
    port_on_message(stage.control, control_message, NULL);
    while (!stage.ready)
        ev_run(stage.loop, EVRUN_ONCE);
}

static void server_kill(void)
{
    kill(stage.pid, SIGKILL);
    ck_assert_int_eq(waitpid(stage.pid, NULL, 0), stage.pid);
    port_close(stage.control);
}

static void stage_open(void)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    char path[PATH_MAX];
    memset(&stage, 0, sizeof stage);
    folder_make(stage.directory, sizeof stage.directory);
    ssize_t length = readlink("/proc/self/exe", path, sizeof path - 1);
    ck_assert_int_gt(length, 0);
    path[length] = '\0';
    snprintf(stage.program, sizeof stage.program, "%s/../../libexec/hirsel/net", dirname(path));
    snprintf(path, sizeof path, "%s/spaces", stage.directory);
    ck_assert_int_eq(mkdir(path, 0700), 0);
    space_make(0, 0);
    snprintf(name.sun_path, sizeof name.sun_path, "%s/net", stage.directory);
    stage.listening = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(bind(stage.listening, (struct sockaddr *)&name, sizeof name), 0);
    ck_assert_int_eq(listen(stage.listening, 64), 0);
    stage.loop = ev_loop_new(0);
    stage.ports = port_set_new(stage.loop);
    server_start();
}

static void stage_close(void)
{
    server_kill();
    port_set_free(stage.ports);
    ev_loop_destroy(stage.loop);
    for (size_t i = 0; i < KEPT_MAX; i++)
        if (stage.kept[i].descriptor > 0)
            close(stage.kept[i].descriptor);
    close(stage.listening);
    for (uint64_t id = 0; id < 10; id++) {
        char path[128];
        space_path(id, "/table", path);
        if (access(path, F_OK) == 0)
            space_drop(id);
    }
    char path[128];
    snprintf(path, sizeof path, "%s/spaces", stage.directory);
    ck_assert_int_eq(rmdir(path), 0);
    snprintf(path, sizeof path, "%s/net", stage.directory);
    unlink(path);
    ck_assert_int_eq(rmdir(stage.directory), 0);
}

/* This process becomes the root of a tree in `space`: it and its children have that space. */
static void tree_add(uint64_t space)
{
    struct tree tree = {.pid = getpid(), .space = space};
    ck_assert_int_eq(process_stat(tree.pid, NULL, &tree.start_time), 0);
    stage.trees[stage.tree_count++] = tree;
    server_kill();
    server_start();
}

static void tree_remove(void)
{
    Hirsel__InitTree body = HIRSEL__INIT_TREE__INIT;
    struct tree tree = stage.trees[--stage.tree_count];
    body.pid = (uint32_t)tree.pid;
    body.start_time = tree.start_time;
    body.space = tree.space;
    ck_assert_int_eq(
        rpc_notice(stage.control, HIRSEL__INIT_OPERATION__INIT_TREE_REMOVED, &body.base), 0);
}

/* ---- asking ---- */

struct answer {
    bool done;
    int error;
    uint32_t mode, slice;
    uint64_t space;
    size_t states;
};

static void answered(int error, ProtobufCMessage *message, struct msg *raw, void *context)
{
    struct answer *answer = context;
    (void)raw;
    answer->done = true;
    answer->error = error;
    if (error != 0 || message == NULL)
        return;
    if (message->descriptor == &hirsel__net_states__descriptor) {
        answer->states = ((Hirsel__NetStates *)message)->n_states;
        return;
    }
    const Hirsel__NetState *state = (const Hirsel__NetState *)message;
    answer->mode = state->mode;
    answer->slice = state->slice;
    answer->space = state->space;
}

static struct answer ask(uint32_t operation, uint64_t space, uint32_t mode)
{
    char path[128];
    struct port *port;
    struct call *call;
    struct answer answer = {0};
    Hirsel__NetSpace body = HIRSEL__NET_SPACE__INIT;
    snprintf(path, sizeof path, "%s/net", stage.directory);
    body.space = space;
    body.mode = mode;
    ck_assert_int_eq(port_connect_start(stage.ports, path, &port), 0);
    ck_assert_int_eq(rpc_call_start(port, operation, &body.base, NULL, 0,
                                    operation == HIRSEL__NET_OPERATION__NET_LIST
                                        ? &hirsel__net_states__descriptor
                                        : &hirsel__net_state__descriptor,
                                    60000, answered, &answer, &call),
                     0);
    while (!answer.done)
        ev_run(stage.loop, EVRUN_ONCE);
    port_close(port);
    return answer;
}

static struct answer grant(uint64_t space, uint32_t mode)
{
    return ask(HIRSEL__NET_OPERATION__NET_GRANT, space, mode);
}

static bool slice_held(uint32_t slice)
{
    struct sockaddr_in name = {.sin_family = AF_INET,
                               .sin_port = htons(NET_HOLD_PORT),
                               .sin_addr.s_addr = htonl(slice + NET_HOLD_ADDRESS)};
    int probe = socket(AF_INET, SOCK_STREAM, 0);
    bool held = bind(probe, (struct sockaddr *)&name, sizeof name) < 0 && errno == EADDRINUSE;
    close(probe);
    return held;
}

static void await_released(uint32_t slice)
{
    for (int i = 0; slice_held(slice); i++) {
        ck_assert_int_lt(i, 40000);
        ev_run(stage.loop, EVRUN_NOWAIT);
        usleep(1000);
    }
}

/* ---- the tests ---- */

START_TEST(test_private)
{
    space_make(1, 0);
    space_make(2, 0);
    struct answer one = grant(1, SPACE_NET_PRIVATE), two = grant(2, SPACE_NET_PRIVATE);
    ck_assert_int_eq(one.error, 0);
    ck_assert_int_eq(two.error, 0);
    ck_assert_uint_eq(one.mode, SPACE_NET_PRIVATE);
    ck_assert(net_slice_valid(one.slice));
    ck_assert(net_slice_valid(two.slice));
    ck_assert_uint_ne(one.slice, two.slice);
    ck_assert_uint_eq(space_row(1).mode, SPACE_NET_PRIVATE);
    ck_assert_uint_eq(space_row(1).slice, one.slice);
    ck_assert(slice_held(one.slice));
    ck_assert(slice_held(two.slice));
    ck_assert_uint_eq(kept_count(), 2);
    ck_assert_uint_eq(space_row(0).mode, SPACE_NET_HOST);
    /* The same again is no change. */
    ck_assert_uint_eq(grant(1, SPACE_NET_PRIVATE).slice, one.slice);
    ck_assert_uint_eq(kept_count(), 2);
    struct answer status = ask(HIRSEL__NET_OPERATION__NET_STATUS, 2, 0);
    ck_assert_uint_eq(status.slice, two.slice);
    ck_assert_uint_eq(status.space, 2);
    ck_assert_uint_eq(ask(HIRSEL__NET_OPERATION__NET_LIST, 0, 0).states, 3);
}
END_TEST

START_TEST(test_copies)
{
    space_make(1, 0);
    uint32_t slice = grant(1, SPACE_NET_PRIVATE).slice;
    space_make(2, 1);
    space_make(3, 1);
    ck_assert_uint_eq(space_row(2).slice, slice);
    /* Asked for, it gets a network of its own. */
    struct answer own = grant(3, SPACE_NET_PRIVATE);
    ck_assert_int_eq(own.error, 0);
    ck_assert_uint_ne(own.slice, slice);
    ck_assert_uint_eq(grant(3, SPACE_NET_PRIVATE).slice, own.slice);
    /* A copy outlives the space that the slice was made for. */
    space_drop(1);
    ck_assert_int_eq(grant(3, SPACE_NET_NONE).error, 0);
    await_released(own.slice);
    ck_assert(slice_held(slice));
    space_drop(2);
    ck_assert_int_eq(grant(3, SPACE_NET_HOST).error, 0);
    await_released(slice);
    ck_assert_uint_eq(kept_count(), 0);
}
END_TEST

START_TEST(test_killed)
{
    space_make(1, 0);
    space_make(2, 0);
    uint32_t one = grant(1, SPACE_NET_PRIVATE).slice, two = grant(2, SPACE_NET_PRIVATE).slice;
    for (int i = 0; i < 3; i++) {
        server_kill();
        ck_assert(slice_held(one));
        ck_assert(slice_held(two));
        server_start();
        ck_assert(slice_held(one));
        ck_assert_uint_eq(grant(1, SPACE_NET_PRIVATE).slice, one);
        ck_assert_uint_eq(kept_count(), 2);
    }
    /* Killed between the table and init: it takes the slice once more. */
    for (size_t i = 0; i < KEPT_MAX; i++) {
        if (stage.kept[i].descriptor > 0)
            close(stage.kept[i].descriptor);
        stage.kept[i].descriptor = -1;
    }
    server_kill();
    ck_assert(!slice_held(one));
    server_start();
    ck_assert(slice_held(one));
    ck_assert_uint_eq(kept_count(), 2);
    /* What was dropped while it was dead is released. */
    server_kill();
    space_drop(1);
    server_start();
    ck_assert_uint_eq(grant(2, SPACE_NET_PRIVATE).slice, two);
    ck_assert(slice_held(two));
}
END_TEST

START_TEST(test_tree_ends)
{
    space_make(1, 0);
    tree_add(1);
    uint32_t slice = grant(1, SPACE_NET_PRIVATE).slice;
    ck_assert(slice_held(slice));
    tree_remove();
    space_drop(1);
    await_released(slice);
}
END_TEST

START_TEST(test_widening)
{
    space_make(1, 0);
    space_make(2, 0);
    ck_assert_int_eq(grant(1, SPACE_NET_PRIVATE).error, 0);
    tree_add(1);
    space_make(3, 1);
    ck_assert_int_eq(grant(0, SPACE_NET_HOST).error, EPERM); /* one's own */
    ck_assert_int_eq(grant(1, SPACE_NET_HOST).error, EPERM);
    ck_assert_int_eq(grant(3, SPACE_NET_HOST).error, EPERM);
    ck_assert_int_eq(grant(2, SPACE_NET_NONE).error, EPERM); /* another's */
    ck_assert_uint_eq(space_row(2).mode, SPACE_NET_HOST);
    ck_assert_uint_eq(ask(HIRSEL__NET_OPERATION__NET_STATUS, 0, 0).space, 1);
    ck_assert_int_eq(grant(3, SPACE_NET_PRIVATE).error, 0);
    ck_assert_int_eq(grant(3, SPACE_NET_NONE).error, 0);
    ck_assert_int_eq(grant(3, SPACE_NET_PRIVATE).error, 0);
    ck_assert_int_eq(grant(0, SPACE_NET_NONE).error, 0);
    ck_assert_uint_eq(space_row(1).mode, SPACE_NET_NONE);
    ck_assert_int_eq(grant(1, SPACE_NET_PRIVATE).error, EPERM);
    ck_assert_int_eq(grant(3, SPACE_NET_PRIVATE).error, EPERM);
}
END_TEST

START_TEST(test_bad_requests)
{
    ck_assert_int_eq(grant(77, SPACE_NET_PRIVATE).error, ENOENT);
    ck_assert_int_eq(grant(0, 3).error, EINVAL);
    ck_assert_int_eq(grant(0, UINT32_MAX).error, EINVAL);
    ck_assert_int_eq(ask(HIRSEL__NET_OPERATION__NET_STATUS, UINT64_MAX, 0).error, ENOENT);
    ck_assert_int_eq(ask(9999, 0, 0).error, ENOSYS);
    /* A table that is none, and an origin that leads in a circle. */
    char path[128];
    space_make(1, 0);
    space_path(1, "/table", path);
    ck_assert_int_eq(truncate(path, 100), 0);
    ck_assert_int_eq(grant(1, SPACE_NET_PRIVATE).error, EBADMSG);
    ck_assert_int_eq(truncate(path, 0), 0);
    ck_assert_int_eq(grant(1, SPACE_NET_PRIVATE).error, EBADMSG);
    space_make(5, 0);
    space_path(5, "/origin", path);
    ck_assert_int_eq(truncate(path, 0), 0);
    FILE *origin = fopen(path, "w");
    fprintf(origin, "5 1 1\n");
    fclose(origin);
    tree_add(0);
    ck_assert_int_eq(grant(5, SPACE_NET_PRIVATE).error, EPERM);
    ck_assert_int_eq(grant(0, SPACE_NET_NONE).error, 0);
}
END_TEST

int main(void)
{
    TCase *server = tcase_create("server");
    tcase_set_timeout(server, 60);
    tcase_add_checked_fixture(server, stage_open, stage_close);
    tcase_add_test(server, test_private);
    tcase_add_test(server, test_copies);
    tcase_add_test(server, test_killed);
    tcase_add_test(server, test_tree_ends);
    tcase_add_test(server, test_widening);
    tcase_add_test(server, test_bad_requests);
    Suite *suite = suite_create("net_server");
    suite_add_tcase(suite, server);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
