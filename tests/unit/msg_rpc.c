/* Typed calls, and the small parts below: the header's check, ids. */
#include "tests/unit/msg_support.h"

#include "libmsg/internal.h"
#include "libmsg/rpc.h"
#include "proto/fs.pb-c.h"
#include "proto/node.pb-c.h"

static struct world world;

static void setup(void)
{
    world_open(&world);
}

static void teardown(void)
{
    world_close(&world);
}

/* ---- a server with two operations ---- */

enum { OPERATION_PATH = 1, OPERATION_RAW = 2, OPERATION_NOT_THERE = 3, OPERATION_JUNK = 4 };

static uint64_t last_request;
static int notices;

static void run_path(struct port *port, ProtobufCMessage *request, struct msg *raw,
                     struct reply *reply, void *context)
{
    (void)port;
    ck_assert_ptr_eq(context, &world);
    const Hirsel__NodeRequest *node = (const Hirsel__NodeRequest *)request;
    Hirsel__NodeReply answer = HIRSEL__NODE_REPLY__INIT;
    last_request = raw->request;
    answer.target = node->path;
    answer.translator = node->translator + 1;
    if (!reply)
        notices++;
    rpc_reply(reply, &answer.base, raw->descriptors, raw->descriptor_count);
}

static void run_raw(struct port *port, ProtobufCMessage *request, struct msg *raw,
                    struct reply *reply, void *context)
{
    (void)port;
    (void)context;
    (void)raw;
    ck_assert_ptr_null(request);
    rpc_reply(reply, NULL, NULL, 0);
}

static void run_junk(struct port *port, ProtobufCMessage *request, struct msg *raw,
                     struct reply *reply, void *context)
{
    (void)port;
    (void)request;
    (void)raw;
    (void)context;
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    struct msg answer = {
        .body = "\xff\xff\xff", .length = 3, .descriptors = &null, .descriptor_count = 1};
    reply_send(reply, &answer);
    close(null);
}

static const struct rpc_operation operations[] = {
    {OPERATION_PATH, &hirsel__node_request__descriptor, run_path},
    {OPERATION_RAW, NULL, run_raw},
    {OPERATION_JUNK, NULL, run_junk},
    {0, NULL, NULL},
};

static void dispatch(struct port *port, struct msg *message, struct reply *reply, void *context)
{
    rpc_dispatch(operations, port, message, reply, context);
}

static Hirsel__NodeRequest request_for(const char *path, size_t length)
{
    Hirsel__NodeRequest request = HIRSEL__NODE_REQUEST__INIT;
    request.path.data = (uint8_t *)path;
    request.path.len = length;
    request.translator = 41;
    return request;
}

START_TEST(calling)
{
    struct port *port = port_local(world.set, dispatch, &world);
    const size_t lengths[] = {0, 10, 4000, 100000};
    char *path = calloc(1, 100000);
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    memset(path, 'p', 100000);
    for (int i = 0; i < 4; i++) {
        Hirsel__NodeRequest request = request_for(path, lengths[i]);
        ProtobufCMessage *answer;
        int descriptor;
        ck_assert_int_eq(rpc_call(port, OPERATION_PATH, &request.base, &null, 1,
                                  &hirsel__node_reply__descriptor, &answer, &descriptor, 60000),
                         0);
        const Hirsel__NodeReply *reply = (const Hirsel__NodeReply *)answer;
        ck_assert_uint_eq(reply->target.len, lengths[i]);
        ck_assert_uint_eq(reply->translator, 42);
        ck_assert_int_ge(descriptor, 0);
        ck_assert_uint_eq(last_request, 0);
        close(descriptor);
        rpc_free(answer);
    }
    Hirsel__NodeRequest request = request_for(path, 1);
    int descriptor;
    ck_assert_int_eq(rpc_call_once(port, 77, OPERATION_PATH, &request.base, NULL, 0, NULL, NULL,
                                   &descriptor, 60000),
                     0);
    ck_assert_int_eq(descriptor, -1);
    ck_assert_uint_eq(last_request, 77);
    close(null);
    free(path);
    rpc_free(NULL);
}
END_TEST

START_TEST(errors)
{
    struct port *port = port_local(world.set, dispatch, &world);
    ProtobufCMessage *answer;
    int descriptor;
    ck_assert_int_eq(rpc_call(port, OPERATION_NOT_THERE, NULL, NULL, 0, NULL, NULL, NULL, 60000),
                     ENOSYS);
    ck_assert_int_eq(rpc_call(port, 0, NULL, NULL, 0, NULL, NULL, NULL, 60000), ENOSYS);
    ck_assert_int_eq(rpc_call(port, OPERATION_RAW, NULL, NULL, 0, NULL, NULL, NULL, 60000), 0);
    /* an empty body is a message of defaults */
    ck_assert_int_eq(rpc_call(port, OPERATION_RAW, NULL, NULL, 0, &hirsel__node_reply__descriptor,
                              &answer, NULL, 60000),
                     0);
    rpc_free(answer);
    ck_assert_int_eq(rpc_call(port, OPERATION_JUNK, NULL, NULL, 0, &hirsel__node_reply__descriptor,
                              &answer, &descriptor, 60000),
                     EBADMSG);
    ck_assert_ptr_null(answer);
    ck_assert_int_eq(descriptor, -1);
    struct msg junk = {.operation = OPERATION_PATH, .body = "\xff\xff", .length = 2};
    ck_assert_int_eq(msg_call(port, &junk, NULL, 60000), EBADMSG);
    ck_assert_int_eq(msg_send(port, &junk), 0);
    ck_assert_ptr_null(rpc_unpack(&junk, &hirsel__node_request__descriptor));
    ck_assert_int_eq(errno, EBADMSG);
    port_close(port);
}
END_TEST

START_TEST(noticing)
{
    struct port *port = port_local(world.set, dispatch, &world);
    Hirsel__NodeRequest request = request_for("x", 1);
    ck_assert_int_eq(rpc_notice(port, OPERATION_PATH, &request.base), 0);
    ck_assert_int_eq(notices, 1);
}
END_TEST

struct typed {
    int count;
    int error;
    uint64_t translator;
    size_t descriptors;
};

static void typed_done(int error, ProtobufCMessage *answer, struct msg *raw, void *context)
{
    struct typed *typed = context;
    typed->count++;
    typed->error = error;
    typed->translator = answer ? ((Hirsel__NodeReply *)answer)->translator : 0;
    typed->descriptors = raw->descriptor_count;
}

START_TEST(starting)
{
    struct port *one, *other;
    struct typed typed = {0};
    struct call *call;
    Hirsel__NodeRequest request = request_for("x", 1);
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    ck_assert_int_eq(port_pair(world.set, &one, &other), 0);
    port_on_message(other, dispatch, &world);
    ck_assert_int_eq(rpc_call_start(one, OPERATION_PATH, &request.base, &null, 1,
                                    &hirsel__node_reply__descriptor, 60000, typed_done, &typed,
                                    &call),
                     0);
    run_until(&world, &typed.count, 1);
    ck_assert_int_eq(typed.error, 0);
    ck_assert_uint_eq(typed.translator, 42);
    ck_assert_uint_eq(typed.descriptors, 1);
    ck_assert_int_eq(rpc_call_start(one, OPERATION_JUNK, NULL, NULL, 0,
                                    &hirsel__node_reply__descriptor, 60000, typed_done, &typed,
                                    NULL),
                     0);
    run_until(&world, &typed.count, 2);
    ck_assert_int_eq(typed.error, EBADMSG);
    ck_assert_int_eq(rpc_call_start(one, OPERATION_PATH, &request.base, NULL, 0, NULL, 60000,
                                    typed_done, &typed, &call),
                     0);
    call_cancel(call);
    ck_assert_int_eq(typed.error, ECANCELED);
    port_close(other);
    run_ready(&world);
    close(null);
}
END_TEST

START_TEST(starting_fails)
{
    struct port *one, *other;
    struct typed typed = {0};
    struct call *call;
    ck_assert_int_eq(port_pair(world.set, &one, &other), 0);
    port_hold(one);
    port_close(one);
    ck_assert_int_eq(
        rpc_call_start(one, OPERATION_RAW, NULL, NULL, 0, NULL, 60000, typed_done, &typed, &call),
        ENOTCONN);
    ck_assert_ptr_null(call);
    ck_assert_int_eq(rpc_notice(one, OPERATION_RAW, NULL), ENOTCONN);
    ck_assert_int_eq(rpc_call(one, OPERATION_RAW, NULL, NULL, 0, NULL, NULL, NULL, 10), ENOTCONN);
    ck_assert_int_eq(typed.count, 0);
    port_release(one);
}
END_TEST

/* ---- ids ---- */

START_TEST(slots)
{
    struct slots table = {0};
    int objects[3000];
    uint64_t ids[3000];
    ck_assert_ptr_null(slots_find(&table, 0));
    ck_assert_ptr_null(slots_find(&table, 12345));
    for (uint64_t i = 0; i < 3000; i++) {
        ids[i] = slots_put(&table, i + 1, &objects[i], NULL);
        ck_assert_uint_ne(ids[i], 0);
    }
    for (int i = 0; i < 3000; i += 2)
        slots_drop(&table, slots_find(&table, ids[i]));
    for (int i = 0; i < 3000; i++) {
        struct slot *slot = slots_find(&table, ids[i]);
        ck_assert(i % 2 ? slot && slot->object == &objects[i] : !slot);
    }
    uint32_t count = table.count;
    for (uint64_t i = 0; i < 1500; i++)
        ck_assert_uint_ne(slots_put(&table, 5000 + i, &objects[i], NULL), 0);
    ck_assert_uint_eq(table.count, count); /* places are used again */
    slots_clear(&table);
}
END_TEST

/* ---- the header ---- */

START_TEST(checking)
{
    struct wire_header good = raw_header(WIRE_REQUEST, 1, 10);
    struct wire_header header = good;
    ck_assert_int_eq(wire_check(&header, 58, 0, false), 0);
    ck_assert_int_eq(wire_check(&header, 57, 0, false), EPROTO);
    ck_assert_int_eq(wire_check(&header, 59, 0, false), EPROTO);
    ck_assert_int_eq(wire_check(&header, 0, 0, false), EPROTO);
    ck_assert_int_eq(wire_check(&header, 58, 1, false), EPROTO);
    header.descriptors = 3;
    ck_assert_int_eq(wire_check(&header, 58, 3, false), 0);
    ck_assert_int_eq(wire_check(&header, 58, 2, false), EPROTO);
    ck_assert_int_eq(wire_check(&header, 58, 2, true), 0); /* lost, not lied about */
    ck_assert_int_eq(wire_check(&header, 58, 4, true), EPROTO);
    header.descriptors = 252;
    ck_assert_int_eq(wire_check(&header, 58, 252, false), 0);
    header.descriptors = 253;
    ck_assert_int_eq(wire_check(&header, 58, 253, false), EPROTO);
    header.flags = WIRE_LONG;
    ck_assert_int_eq(wire_check(&header, 48, 253, false), 0);
    header.descriptors = 254;
    ck_assert_int_eq(wire_check(&header, 48, 254, false), EPROTO);
    header = raw_header(WIRE_REQUEST, 1, WIRE_INLINE_MAX);
    ck_assert_int_eq(wire_check(&header, 48 + WIRE_INLINE_MAX, 0, false), 0);
    header.length++;
    ck_assert_int_eq(wire_check(&header, 48 + WIRE_INLINE_MAX + 1, 0, false), EPROTO);
    header = raw_header(WIRE_REPLY, 1, 0);
    header.error = 4095;
    ck_assert_int_eq(wire_check(&header, 48, 0, false), 0);
    header.error = 4096;
    ck_assert_int_eq(wire_check(&header, 48, 0, false), EPROTO);
}
END_TEST

static void fill(TCase *tests)
{
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, calling);
    tcase_add_test(tests, errors);
    tcase_add_test(tests, noticing);
    tcase_add_test(tests, starting);
    tcase_add_test(tests, starting_fails);
    tcase_add_test(tests, slots);
    tcase_add_test(tests, checking);
}

int main(void)
{
    return run_suite("msg_rpc", fill);
}
