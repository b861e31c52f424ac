/* Feeds a port what a hostile peer could send: raw packets, near-valid packets, descriptors,
 * memfds, in any order with what this side does itself; and the bodies of every message of the
 * protocols. It fails by the sanitizers, by a leaked descriptor, or by a call that did not end. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <ev.h>

#include "libmsg/rpc.h"
#include "libmsg/wire.h"
#include "proto/fs.pb-c.h"
#include "proto/init.pb-c.h"
#include "proto/net.pb-c.h"
#include "proto/node.pb-c.h"
#include "proto/proc.pb-c.h"

#define HELD_MAX 16

static struct ev_loop *loop;
static struct port_set *set;
static struct reply *held[HELD_MAX];
static struct msg kept[HELD_MAX];
static unsigned held_count;
static int calls_open;
static struct port *port; /* NULL once it has gone */

static const ProtobufCMessageDescriptor *const types[] = {
    &hirsel__node_request__descriptor,   &hirsel__node_reply__descriptor,
    &hirsel__node_record__descriptor,    &hirsel__attributes__descriptor,
    &hirsel__fs_entry__descriptor,       &hirsel__fs_entries__descriptor,
    &hirsel__fs_space__descriptor,       &hirsel__fs_space_make__descriptor,
    &hirsel__fs_translator__descriptor,  &hirsel__fs_translator_reply__descriptor,
    &hirsel__fs_translators__descriptor, &hirsel__init_status__descriptor,
    &hirsel__init_stop__descriptor,      &hirsel__init_tree__descriptor,
    &hirsel__init_trees__descriptor,     &hirsel__init_end__descriptor,
    &hirsel__init_spawn__descriptor,     &hirsel__init_spawned__descriptor,
    &hirsel__init_kill__descriptor,      &hirsel__init_keep__descriptor,
    &hirsel__net_space__descriptor,      &hirsel__net_state__descriptor,
    &hirsel__proc_list__descriptor,      &hirsel__proc_kill__descriptor,
    &hirsel__proc_reports__descriptor,   &hirsel__empty__descriptor,
};

#define TYPES (sizeof types / sizeof *types)

/* ---- bodies ---- */

static void run_operation(struct port *from, ProtobufCMessage *request, struct msg *raw,
                          struct reply *reply, void *context)
{
    (void)from;
    (void)raw;
    (void)context;
    /* What unpacks packs again, into as many bytes as it says. */
    size_t size = protobuf_c_message_get_packed_size(request);
    uint8_t *bytes = malloc(size + 1);
    if (bytes && protobuf_c_message_pack(request, bytes) != size)
        abort();
    free(bytes);
    rpc_reply(reply, request, NULL, 0);
}

static void fuzz_body(const uint8_t *data, size_t size)
{
    if (size == 0)
        return;
    struct rpc_operation table[] = {{1, types[data[0] % TYPES], run_operation}, {0, NULL, NULL}};
    struct msg message = {.operation = 1, .body = data + 1, .length = size - 1};
    rpc_dispatch(table, NULL, &message, NULL, NULL);
    message.operation = 2;
    rpc_dispatch(table, NULL, &message, NULL, NULL);
}

/* ---- packets ---- */

static void cancelled(struct reply *reply, void *context)
{
    (void)context;
    for (unsigned i = 0; i < HELD_MAX; i++) {
        if (held[i] == reply) {
            held[i] = NULL;
            msg_release(&kept[i]);
            reply_error(reply, ECANCELED);
        }
    }
}

static void serve(struct port *from, struct msg *message, struct reply *reply, void *context)
{
    (void)from;
    (void)context;
    unsigned slot = held_count++ % HELD_MAX;
    if (reply && message->operation % 3 == 0 && !held[slot]) {
        held[slot] = reply;
        msg_keep(message, &kept[slot]);
        if (message->operation % 2)
            reply_on_cancel(reply, cancelled, NULL);
        return;
    }
    if (message->operation % 3 == 1) {
        int taken = msg_take(message, 0);
        if (taken >= 0)
            close(taken);
    }
    struct msg answer = *message;
    answer.storage = NULL;
    answer.descriptor_count = 0;
    reply_send(reply, &answer);
}

static void hung_up(struct port *gone, int error, void *context)
{
    (void)gone;
    (void)error;
    (void)context;
    port = NULL;
}

static void done(int error, struct msg *answer, void *context)
{
    (void)error;
    (void)answer;
    (void)context;
    calls_open--;
}

static void answer_held(unsigned slot)
{
    struct reply *reply = held[slot];
    if (!reply)
        return;
    held[slot] = NULL;
    reply_send(reply, &kept[slot]);
    msg_release(&kept[slot]);
}

static void send_packet(int descriptor, const void *bytes, size_t length, const int *descriptors,
                        size_t count)
{
    union {
        struct cmsghdr align;
        unsigned char space[CMSG_SPACE(4 * sizeof(int))];
    } control = {0};
    struct iovec part = {(void *)bytes, length};
    struct msghdr raw = {.msg_iov = &part, .msg_iovlen = 1};
    if (count > 0) {
        raw.msg_control = &control;
        raw.msg_controllen = CMSG_SPACE(count * sizeof(int));
        control.align.cmsg_level = SOL_SOCKET;
        control.align.cmsg_type = SCM_RIGHTS;
        control.align.cmsg_len = CMSG_LEN(count * sizeof(int));
        memcpy(CMSG_DATA(&control.align), descriptors, count * sizeof(int));
    }
    (void)sendmsg(descriptor, &raw, MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* A packet whose header is near enough to a valid one to come further than the first check. */
static void send_near_valid(int descriptor, uint8_t how, const uint8_t *data, size_t size)
{
    unsigned char packet[sizeof(struct wire_header) + 256] = {0};
    struct wire_header header = {0};
    int descriptors[3] = {0, 0, 0};
    size_t count = (how >> 4) & 3;
    size_t length = size > 256 ? 256 : size;

    header.version = WIRE_VERSION;
    header.kind = (uint16_t)(how & 7);
    if (size > 0)
        header.tag = data[0];
    if (size > 1)
        header.operation = data[1];
    if (size > 2 && header.kind == WIRE_REPLY)
        header.error = data[2];
    header.length = (uint32_t)length;
    header.descriptors = (uint16_t)count;
    int memory = -1;
    if ((how & 8) && count > 0) {
        memory = memfd_create("fuzz", MFD_CLOEXEC);
        if (memory >= 0 && write(memory, data, length) == (ssize_t)length)
            descriptors[0] = memory;
        header.flags = WIRE_LONG;
        if (how & 0x80)
            header.length *= 3; /* it lies */
        length = 0;
    }
    memcpy(packet, &header, sizeof header);
    memcpy(packet + sizeof header, data, length);
    send_packet(descriptor, packet, sizeof header + length, descriptors, count);
    if (memory >= 0)
        close(memory);
}

static void send_hello(int descriptor, uint16_t kind)
{
    struct {
        struct wire_header header;
        struct wire_hello hello;
    } packet = {
        {.version = 1, .kind = kind, .length = sizeof(struct wire_hello)},
        {.version_min = 1, .version_max = 1},
    };
    send_packet(descriptor, &packet, sizeof packet, NULL, 0);
}

static void drain(int descriptor)
{
    char bytes[4096];
    while (recv(descriptor, bytes, sizeof bytes, MSG_DONTWAIT) > 0)
        ;
}

static void step(int raw, uint8_t what, const uint8_t *data, size_t size)
{
    struct msg message = {.operation = size > 0 ? data[0] : 0, .body = data, .length = size};
    switch (what & 7) {
    case 0:
        send_packet(raw, data, size, NULL, 0);
        break;
    case 1:
    case 2:
        send_near_valid(raw, size > 0 ? data[0] : what, data, size);
        break;
    case 3:
        for (int turn = 0; turn < 4; turn++)
            ev_run(loop, EVRUN_NOWAIT);
        break;
    case 4:
        if (port && !msg_call_start(port, &message, size % 2 ? -1 : 0, done, NULL, NULL))
            calls_open++;
        break;
    case 5:
        answer_held(what >> 4);
        break;
    case 6:
        send_hello(raw, what & 16 ? WIRE_WELCOME : WIRE_HELLO);
        break;
    case 7:
        drain(raw);
        if (port)
            msg_send(port, &message);
        break;
    }
}

static void fuzz_packets(const uint8_t *data, size_t size)
{
    int ends[2];
    if (size < 2 || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends))
        return;
    if (port_adopt(set, ends[0], data[0] & 1, &port))
        abort();
    port_on_message(port, serve, NULL);
    port_on_hangup(port, hung_up, NULL);
    if (data[0] & 2)
        send_hello(ends[1], data[0] & 1 ? WIRE_WELCOME : WIRE_HELLO);
    port_set_limit(set, data[0] & 4 ? 4096 : 1 << 20, 0, data[0] & 8 ? 2 : 64);
    data++;
    size--;
    while (size >= 2) {
        uint8_t what = data[0];
        size_t length = data[1];
        data += 2;
        size -= 2;
        if (length > size)
            length = size;
        step(ends[1], what, data, length);
        data += length;
        size -= length;
    }
    for (int turn = 0; turn < 8; turn++)
        ev_run(loop, EVRUN_NOWAIT);
    close(ends[1]);
    for (int turn = 0; turn < 8; turn++)
        ev_run(loop, EVRUN_NOWAIT);
    port_close(port);
    port = NULL;
    for (unsigned i = 0; i < HELD_MAX; i++)
        answer_held(i);
    if (calls_open != 0)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!loop) {
        loop = ev_loop_new(0);
        set = loop ? port_set_new(loop) : NULL;
        if (!set)
            abort();
    }
    if (size == 0)
        return 0;
    int before = dup(0);
    close(before);
    if (data[0] & 0x80)
        fuzz_body(data + 1, size - 1);
    else
        fuzz_packets(data, size);
    int after = dup(0);
    close(after);
    if (before != after)
        abort();
    return 0;
}
