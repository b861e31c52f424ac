/* Calls with socket addresses. Of a space whose network is not the host's names are mapped by the
 * shim's core, on a duplicate of the caller's socket. What may block the caller does itself, led by
 * the guide. */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#include "servers/trap/act.h"
#include "servers/trap/guide.h"
#include "shim/core/net.h"
#include "shim/core/net_calls.h"

/* Of one message's data; of a sendmmsg's messages. */
#define DATA_MAX BUFFER_LIMIT
#define MESSAGES_LED 8u

struct net_view act_network_view(void)
{
    const volatile struct space_net *net = the_shim.core.net;
    struct net_view view = {__atomic_load_n(&net->mode, __ATOMIC_ACQUIRE), net->slice};

    if (view.mode == SPACE_NET_PRIVATE && !net_slice_valid(view.slice))
        view.mode = SPACE_NET_NONE;
    return view;
}

/* A socket address of the caller's. 0; 1: the kernel has the right answer (or error); -errno. */
static long address_bring(struct worker *worker, long address, long given,
                          struct sockaddr_storage *to)
{
    int length = (int)given;

    if (address == 0 || length < (int)sizeof(sa_family_t) || length > (int)sizeof *to)
        return 1;
    memset(to, 0, sizeof *to);
    return client_read(&worker->client, to, (uint64_t)address, (size_t)length);
}

static bool is_internet(const struct sockaddr_storage *address)
{
    return address->ss_family == AF_INET || address->ss_family == AF_INET6 ||
           address->ss_family == AF_UNSPEC;
}

/* Whether somebody mapped it already: the shim, or we. */
static bool is_mapped(struct net_view view, const struct sockaddr_storage *address)
{
    struct sockaddr_in in;

    memcpy(&in, address, sizeof in);
    return in.sin_family == AF_INET && view.mode == SPACE_NET_PRIVATE &&
           net_name_in_slice(view.slice, ntohl(in.sin_addr.s_addr));
}

/* The call on a duplicate of the caller's socket, whose number is argument 0. */
static long run_on_duplicate(struct worker *worker, const long arguments[6])
{
    long changed[6], result, descriptor;

    descriptor = client_descriptor(&worker->client, (int)arguments[0]);
    if (descriptor < 0)
        return descriptor;
    memcpy(changed, arguments, sizeof changed);
    changed[0] = descriptor;
    result = net_call(the_shim.core.net, worker->call.number, changed);
    close((int)descriptor);
    return result;
}

static void give(struct answer *answer, long result)
{
    answer->result = result;
}

/* ---- socket, bind, listen, getsockname, getpeername ---- */

static void act_socket(struct worker *worker, struct answer *answer)
{
    long arguments[6];
    long result;

    memcpy(arguments, worker->call.given, sizeof arguments);
    if (arguments[0] == AF_UNIX || arguments[0] == AF_NETLINK) {
        answer->proceed = true;
        return;
    }
    arguments[1] |= SOCK_CLOEXEC;
    result = net_call(the_shim.core.net, SYS_socket, arguments);
    if (result < 0) {
        give(answer, result);
        return;
    }
    answer->descriptor = (int)result;
    answer->close_on_exec = (worker->call.given[1] & SOCK_CLOEXEC) != 0;
}

static void act_bind(struct worker *worker, struct answer *answer)
{
    struct sockaddr_storage address;
    long arguments[6];
    long result = address_bring(worker, worker->call.given[1], worker->call.given[2], &address);

    if (result != 0 || !is_internet(&address)) {
        if (result < 0)
            act_bring_failed(worker, answer, result);
        else
            answer->proceed = true;
        return;
    }
    memcpy(arguments, worker->call.given, sizeof arguments);
    arguments[1] = (long)&address;
    give(answer, run_on_duplicate(worker, arguments));
}

static void act_own_name(struct worker *worker, struct answer *answer)
{
    const long *given = worker->call.given;
    struct sockaddr_storage address;
    uint32_t room, length;
    long arguments[6] = {given[0], (long)&address, (long)&length};
    long result = client_read(&worker->client, &room, (uint64_t)given[2], sizeof room);

    if (result < 0 || (int)room < 0) {
        answer->proceed = true; /* the kernel tells what is wrong */
        return;
    }
    length = room < sizeof address ? room : (uint32_t)sizeof address;
    room = length;
    result = run_on_duplicate(worker, arguments);
    if (result == 0)
        result = client_write(&worker->client, (uint64_t)given[1], &address,
                              length < room ? length : room);
    if (result == 0)
        result = client_write(&worker->client, (uint64_t)given[2], &length, sizeof length);
    give(answer, result);
}

/* ---- connect ---- */

/* A socket that would wait for its connection: the caller does, natively; a connect that is under
 * way does not look at the address. */
static void connect_wait(struct worker *worker, struct answer *answer,
                         const struct sockaddr_storage *address)
{
    struct sockaddr_storage copy = *address;
    struct guidance guidance = {.number = SYS_connect,
                                .text_at = 1,
                                .text = &copy,
                                .text_length = sizeof(struct sockaddr_in),
                                .descriptor = -1};

    guidance.arguments[0] = worker->call.given[0];
    guidance.arguments[2] = sizeof(struct sockaddr_in);
    act_guided(answer, guide(worker, &guidance));
}

static void act_connect(struct worker *worker, struct answer *answer)
{
    const long *given = worker->call.given;
    struct sockaddr_storage address;
    long arguments[6] = {0, (long)&address, given[2]};
    long result = address_bring(worker, given[1], given[2], &address);
    long descriptor;
    int flags;

    if (result != 0 || !is_internet(&address)) {
        if (result < 0)
            act_bring_failed(worker, answer, result);
        else
            answer->proceed = true;
        return;
    }
    descriptor = client_descriptor(&worker->client, (int)given[0]);
    if (descriptor < 0) {
        give(answer, descriptor);
        return;
    }
    /* Not to wait here: the socket is not connected yet, so nobody reads from it meanwhile. */
    arguments[0] = descriptor;
    flags = fcntl((int)descriptor, F_GETFL);
    fcntl((int)descriptor, F_SETFL, flags | O_NONBLOCK);
    result = net_call(the_shim.core.net, SYS_connect, arguments);
    fcntl((int)descriptor, F_SETFL, flags);
    close((int)descriptor);
    if (result == -EINPROGRESS && !(flags & O_NONBLOCK))
        connect_wait(worker, answer, &address);
    else
        give(answer, result);
}

/* ---- sending ---- */

static void act_sendto(struct worker *worker, struct answer *answer)
{
    const long *given = worker->call.given;
    struct sockaddr_storage address;
    long arguments[6];
    long result = address_bring(worker, given[4], given[5], &address);
    size_t length = (size_t)given[2];

    if (result != 0 || !is_internet(&address) || is_mapped(act_network_view(), &address)) {
        if (result < 0)
            act_bring_failed(worker, answer, result);
        else
            answer->proceed = true;
        return;
    }
    if (length > DATA_MAX) {
        give(answer, -EMSGSIZE);
        return;
    }
    memcpy(arguments, given, sizeof arguments);
    arguments[1] = (long)worker->call.memory;
    arguments[4] = (long)&address;
    result = client_read(&worker->client, worker->call.memory, (uint64_t)given[1], length);
    give(answer, result < 0 ? result : run_on_duplicate(worker, arguments));
}

/* What is put into the caller's memory of a message to a mapped address, or of several. */
struct led {
    uint32_t count;
    struct mmsghdr headers[MESSAGES_LED];
    struct sockaddr_storage addresses[MESSAGES_LED];
};

static void led_relocate(void *text, uint64_t at)
{
    struct led *led = text;

    for (uint32_t i = 0; i < led->count; i++)
        if (led->addresses[i].ss_family != 0)
            led->headers[i].msg_hdr.msg_name =
                (void *)(uintptr_t)(at + offsetof(struct led, addresses[i]));
}

/* sendmmsg says how much of each went, in the caller's own headers. */
static void led_after(struct worker *worker, const struct guidance *guidance, uint64_t text,
                      long *result)
{
    const uint64_t to = (uint64_t)worker->call.given[1];

    (void)guidance;
    for (long i = 0; i < *result && i < (long)MESSAGES_LED; i++) {
        uint64_t at = offsetof(struct led, headers[i]) + offsetof(struct mmsghdr, msg_len);
        unsigned length;

        if (client_read(&worker->client, &length, text + at, sizeof length) < 0 ||
            client_write(&worker->client,
                         to + (uint64_t)i * sizeof(struct mmsghdr) +
                             offsetof(struct mmsghdr, msg_len),
                         &length, sizeof length) < 0)
            return;
    }
}

/* Map a message's address into `to`. Its length: it was; 0: it stays as it is; or -errno. */
static long message_map(struct worker *worker, const struct msghdr *message,
                        struct sockaddr_storage *to)
{
    struct net_view view = act_network_view();
    struct sockaddr_storage address;
    struct sockaddr_in mapped;
    struct net_name name;
    long descriptor, result;

    if (message->msg_name == NULL)
        return 0;
    result = address_bring(worker, (long)message->msg_name, (long)message->msg_namelen, &address);
    if (result != 0)
        return result < 0 ? result : 0;
    if (address.ss_family == AF_UNIX)
        return act_local_map(worker, (const struct sockaddr_un *)&address, message->msg_namelen,
                             WALK_FOLLOW, (struct sockaddr_un *)to);
    if (view.mode == SPACE_NET_HOST)
        return 0;
    if (address_read(&name, (long)&address, (long)sizeof(struct sockaddr_in)) != NET_FAMILY_INET ||
        is_mapped(view, &address))
        return 0;
    result = reach_refused(view, name);
    if (result < 0)
        return result == -ECONNREFUSED ? -ENETUNREACH : result;
    descriptor = client_descriptor(&worker->client, (int)worker->call.given[0]);
    if (descriptor < 0)
        return descriptor;
    result =
        socket_protocol(descriptor) == IPPROTO_UDP ? bind_datagram_source(view, descriptor) : 1;
    close((int)descriptor);
    if (result == 1)
        return 0; /* a stream: its peer is known */
    if (result < 0)
        return result;
    mapped = socket_address(datagram_name(view, name));
    memcpy(to, &mapped, sizeof mapped);
    return sizeof mapped;
}

static void act_sendmsg(struct worker *worker, struct answer *answer)
{
    static struct led led;
    const long *given = worker->call.given;
    bool several = worker->call.number == SYS_sendmmsg;
    uint32_t count = several ? (uint32_t)given[2] : 1;
    struct guidance guidance = {.number = worker->call.number,
                                .text_at = 1,
                                .text = &led,
                                .text_length = sizeof led,
                                .text_offset = offsetof(struct led, headers),
                                .descriptor = -1,
                                .relocate = led_relocate,
                                .after = several ? led_after : NULL};
    struct view names = view_get();
    bool mapped = false;
    long result = 0;

    if (act_network_view().mode == SPACE_NET_HOST && names.table == NULL && !names.places) {
        answer->proceed = true;
        return;
    }
    if (count > MESSAGES_LED)
        count = MESSAGES_LED; /* the caller sees how many went */
    memset(&led, 0, sizeof led);
    led.count = count;
    for (uint32_t i = 0; i < count && result >= 0; i++) {
        result = client_read(&worker->client, &led.headers[i],
                             (uint64_t)given[1] + i * sizeof(struct mmsghdr),
                             several ? sizeof(struct mmsghdr) : sizeof(struct msghdr));
        if (result == 0)
            result = message_map(worker, &led.headers[i].msg_hdr, &led.addresses[i]);
        if (result > 0) {
            led.headers[i].msg_hdr.msg_namelen = (socklen_t)result;
            mapped = true;
        }
        /* What is wrong with a later one is told when it is its turn. */
        if (result < 0 && i > 0) {
            count = led.count = i;
            mapped = true;
            result = 0;
        }
    }
    if (result < 0) {
        act_bring_failed(worker, answer, result);
        return;
    }
    if (!mapped) {
        answer->proceed = true;
        return;
    }
    memcpy(guidance.arguments, given, sizeof guidance.arguments);
    if (several)
        guidance.arguments[2] = count;
    act_guided(answer, guide(worker, &guidance));
}

void act_network(struct worker *worker, struct answer *answer)
{
    switch (worker->call.number) {
    case SYS_bind:
    case SYS_connect:
    case SYS_sendto:
        if (act_local(worker, answer))
            return;
        break;
    case SYS_getsockname:
    case SYS_getpeername:
        if (act_local_name(worker, answer))
            return;
        break;
    case SYS_sendmsg:
    case SYS_sendmmsg:
        act_sendmsg(worker, answer);
        return;
    case SYS_accept:
    case SYS_accept4:
    case SYS_recvfrom:
    case SYS_recvmsg:
    case SYS_recvmmsg:
        act_receive(worker, answer);
        return;
    default:
        break;
    }
    if (act_network_view().mode == SPACE_NET_HOST) {
        answer->proceed = true;
        return;
    }
    switch (worker->call.number) {
    case SYS_socket:
        act_socket(worker, answer);
        return;
    case SYS_bind:
        act_bind(worker, answer);
        return;
    case SYS_listen:
        give(answer, run_on_duplicate(worker, worker->call.given));
        return;
    case SYS_connect:
        act_connect(worker, answer);
        return;
    case SYS_getsockname:
    case SYS_getpeername:
        act_own_name(worker, answer);
        return;
    case SYS_sendto:
        act_sendto(worker, answer);
        return;
    default:
        answer->proceed = true;
    }
}
