/* Calls that bring an address in. They may block, so the caller does them itself, led by the guide;
 * what came in is mapped before it goes on: of a space whose network is not the host's, and the
 * names of Unix sockets. */
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "servers/trap/act.h"
#include "servers/trap/guide.h"
#include "shim/core/net_calls.h"

/* Of a recvmmsg, as the kernel has it (UIO_MAXIOV). */
#define MESSAGES_MAX 1024u

/* Map the address that the kernel has told of. */
static void name_map_back(struct worker *worker, const struct heard *heard)
{
    struct sockaddr_in in = {0};
    size_t length = heard->room < sizeof in ? heard->room : sizeof in;
    uint64_t at = heard->address;
    struct net_name name;

    if (act_local_heard(worker, heard) || act_network_view().mode == SPACE_NET_HOST ||
        heard->length < sizeof in || length < ADDRESS_NAME_ROOM ||
        client_read(&worker->client, &in, at, length) < 0 ||
        !address_name((long)&in, (uint32_t)length, &name))
        return;
    address_patch((long)&in, (uint32_t)length,
                  net_name_out(act_network_view().slice, name, true, NULL));
    client_write(&worker->client, at, &in, length);
}

/* accept: an address and its length. */
static void name_after(struct worker *worker, const struct guidance *guidance, uint64_t text,
                       long *result)
{
    const long *given = worker->call.given;
    struct heard heard = {.address = (uint64_t)given[1],
                          .length_at = (uint64_t)given[2],
                          .room = guidance->room,
                          .from = *result};

    (void)text;
    if (*result >= 0 &&
        client_read(&worker->client, &heard.length, heard.length_at, sizeof heard.length) == 0)
        name_map_back(worker, &heard);
}

/* recvfrom, as recvmsg: its sixth argument is taken, and what is led goes by the lane. */
struct led_receive {
    struct msghdr header;
    struct iovec part;
};

static void receive_relocate(void *text, uint64_t at)
{
    struct led_receive *led = text;

    led->header.msg_iov = (struct iovec *)(uintptr_t)(at + offsetof(struct led_receive, part));
}

static void receive_after(struct worker *worker, const struct guidance *guidance, uint64_t text,
                          long *result)
{
    const long *given = worker->call.given;
    struct heard heard = {.address = (uint64_t)given[4],
                          .length_at = (uint64_t)given[5],
                          .room = guidance->room,
                          .from = -1};

    if (*result < 0 ||
        client_read(&worker->client, &heard.length, text + offsetof(struct msghdr, msg_namelen),
                    sizeof heard.length) < 0)
        return;
    if (client_write(&worker->client, heard.length_at, &heard.length, sizeof heard.length) < 0)
        *result = -EFAULT;
    else
        name_map_back(worker, &heard);
}

/* Where the messages that are received say where their addresses are to be, and what room there is:
 * the kernel writes over that. */
static struct heard rooms[MESSAGES_MAX];

/* How many of them, as far as they can be read. */
static unsigned rooms_read(struct worker *worker, bool *wanted)
{
    bool several = worker->call.number == SYS_recvmmsg;
    unsigned count = several ? (unsigned)worker->call.given[2] : 1;

    *wanted = false;
    if (count > MESSAGES_MAX)
        count = MESSAGES_MAX;
    for (unsigned i = 0; i < count; i++) {
        uint64_t at = (uint64_t)worker->call.given[1] + i * sizeof(struct mmsghdr);
        struct msghdr message;

        if (client_read(&worker->client, &message, at, sizeof message) < 0)
            return i;
        rooms[i] = (struct heard){.address = (uint64_t)message.msg_name,
                                  .length_at = at + offsetof(struct msghdr, msg_namelen),
                                  .room = message.msg_namelen,
                                  .from = -1};
        *wanted = *wanted || message.msg_name != NULL;
    }
    return count;
}

static void messages_after(struct worker *worker, const struct guidance *guidance, uint64_t text,
                           long *result)
{
    bool several = worker->call.number == SYS_recvmmsg;
    long count = several ? *result : *result >= 0;

    (void)text;
    for (long i = 0; i < count && i < (long)guidance->room; i++) {
        struct heard *heard = &rooms[i];

        if (heard->address != 0 && client_read(&worker->client, &heard->length, heard->length_at,
                                               sizeof heard->length) == 0)
            name_map_back(worker, heard);
    }
}

/* The caller is led, so that what it got is seen to before it goes on. Where no thread can be led a
 * Unix socket's peer has the host's name. */
static void receive_led(struct worker *worker, struct answer *answer, struct guidance *guidance)
{
    long result = guide(worker, guidance);

    if (result == -EPERM && act_network_view().mode == SPACE_NET_HOST)
        answer->proceed = true;
    else
        act_guided(answer, result);
}

/* Let the caller do what it asked for, and see to what it got. */
static void act_accept(struct worker *worker, struct answer *answer)
{
    const long *given = worker->call.given;
    struct guidance guidance = {
        .number = worker->call.number, .text_at = -1, .descriptor = -1, .after = name_after};

    memcpy(guidance.arguments, given, sizeof guidance.arguments);
    if (given[1] == 0 || given[2] == 0 ||
        client_read(&worker->client, &guidance.room, (uint64_t)given[2], sizeof guidance.room) < 0)
        answer->proceed = true;
    else
        receive_led(worker, answer, &guidance);
}

static void act_recvfrom(struct worker *worker, struct answer *answer)
{
    const long *given = worker->call.given;
    struct led_receive led = {.part = {(void *)given[1], (size_t)given[2]}};
    struct guidance guidance = {.number = SYS_recvmsg,
                                .arguments = {given[0], 0, given[3]},
                                .text_at = 1,
                                .text = &led,
                                .text_length = sizeof led,
                                .descriptor = -1,
                                .relocate = receive_relocate,
                                .after = receive_after};

    if (given[4] == 0 || given[5] == 0 ||
        client_read(&worker->client, &guidance.room, (uint64_t)given[5], sizeof guidance.room) <
            0 ||
        (int)guidance.room < 0) {
        answer->proceed = true;
        return;
    }
    led.header.msg_name = (void *)given[4];
    led.header.msg_namelen = guidance.room;
    led.header.msg_iovlen = 1;
    receive_led(worker, answer, &guidance);
}

static void act_recvmsg(struct worker *worker, struct answer *answer)
{
    const long *given = worker->call.given;
    struct guidance guidance = {
        .number = worker->call.number, .text_at = -1, .descriptor = -1, .after = messages_after};
    bool wanted;

    memcpy(guidance.arguments, given, sizeof guidance.arguments);
    guidance.room = rooms_read(worker, &wanted);
    if (wanted)
        receive_led(worker, answer, &guidance);
    else
        answer->proceed = true;
}

static int domain_of(struct worker *worker)
{
    int descriptor = (int)client_descriptor(&worker->client, (int)worker->call.given[0]);
    int domain = -1;
    socklen_t size = sizeof domain;

    if (descriptor < 0)
        return -1;
    if (getsockopt(descriptor, SOL_SOCKET, SO_DOMAIN, &domain, &size) != 0)
        domain = -1;
    close(descriptor);
    return domain;
}

/* Whether what comes in may say an address that is another one in the session. */
static bool is_doubtful(struct worker *worker)
{
    if (domain_of(worker) == AF_UNIX)
        return act_local_is_doubtful(worker);
    return act_network_view().mode != SPACE_NET_HOST;
}

void act_receive(struct worker *worker, struct answer *answer)
{
    if (!is_doubtful(worker)) {
        answer->proceed = true;
        return;
    }
    switch (worker->call.number) {
    case SYS_recvfrom:
        act_recvfrom(worker, answer);
        return;
    case SYS_recvmsg:
    case SYS_recvmmsg:
        act_recvmsg(worker, answer);
        return;
    default:
        act_accept(worker, answer);
    }
}
