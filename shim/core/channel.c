#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>

#include "shim/arch/x86_64/syscall.h"
#include "shim/core/channel.h"
#include "shim/core/held.h"
#include "shim/core/lane.h"
#include "shim/core/text.h"

#ifndef SO_COOKIE
#define SO_COOKIE 57
#endif

enum {
    SLOTS = 8,
    /* Ours stay out of the way of what a program expects of low numbers, and below where a
     * descriptor table gets so large that every fork pays for it. */
    DESCRIPTOR_LOW = 200,
    ATTEMPTS = 8,
};

struct slot {
    int state; /* atomic: 0 free, 1 being written, 2 holds a connection */
    int descriptor;
    uint64_t cookie;
};

struct pool {
    int alive; /* 0 in a forked child: the page was wiped */
    struct slot slots[SLOTS];
};

/* The page that forks wipe; and a copy that they do not, by which a child finds the descriptors
 * that it inherited and closes them: a server must see the hang-up of whoever made them. */
static struct {
    struct pool *pool;
    struct slot made[SLOTS];
    struct holds lent; /* the connections that calls have at the moment: descriptor + 1, cookie */
} channels;

static uint64_t cookie_of(int descriptor)
{
    uint64_t cookie = 0;
    int length = sizeof cookie;
    long result = system_call(SYS_getsockopt, descriptor, SOL_SOCKET, SO_COOKIE, (long)&cookie,
                              (long)&length, 0);
    return result == 0 ? cookie : 0;
}

static struct pool *pool_get(void)
{
    struct pool *pool = __atomic_load_n(&channels.pool, __ATOMIC_ACQUIRE);
    if (pool == NULL) {
        long page = system_call(SYS_mmap, 0, 4096, PROT_READ | PROT_WRITE,
                                MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (system_failed(page))
            return NULL;
        system_call(SYS_madvise, page, 4096, MADV_WIPEONFORK, 0, 0, 0);
        struct pool *expected = NULL;
        pool = (struct pool *)page;
        pool->alive = 1;
        if (!__atomic_compare_exchange_n(&channels.pool, &expected, pool, false, __ATOMIC_ACQ_REL,
                                         __ATOMIC_ACQUIRE)) {
            system_call(SYS_munmap, page, 4096, 0, 0, 0, 0);
            pool = expected;
        }
    }
    int wiped = 0;
    if (__atomic_compare_exchange_n(&pool->alive, &wiped, 1, false, __ATOMIC_ACQ_REL,
                                    __ATOMIC_ACQUIRE)) {
        for (size_t i = 0; i < SLOTS; i++) {
            struct slot *made = &channels.made[i];
            if (made->cookie != 0 && cookie_of(made->descriptor) == made->cookie)
                system_call(SYS_close, made->descriptor, 0, 0, 0, 0, 0);
            made->cookie = 0;
        }
    }
    return pool;
}

/* A kept connection to be used alone, or -1. */
static int pool_take(struct pool *pool, struct hold *hold, uint64_t *cookie)
{
    for (size_t i = 0; i < SLOTS; i++) {
        struct slot *slot = &pool->slots[i];
        int full = 2;
        if (!__atomic_compare_exchange_n(&slot->state, &full, 1, false, __ATOMIC_ACQUIRE,
                                         __ATOMIC_RELAXED))
            continue;
        int descriptor = slot->descriptor;
        *cookie = slot->cookie;
        hold_note(hold, (uint64_t)descriptor + 1, *cookie);
        __atomic_store_n(&slot->state, 0, __ATOMIC_RELEASE);
        if (cookie_of(descriptor) == *cookie)
            return descriptor;
        hold_note(hold, 0, 0);
    }
    return -1;
}

static void connection_close(int descriptor, uint64_t cookie)
{
    for (size_t i = 0; i < SLOTS; i++)
        if (channels.made[i].cookie == cookie)
            channels.made[i].cookie = 0;
    system_call(SYS_close, descriptor, 0, 0, 0, 0, 0);
}

static void pool_give(struct pool *pool, int descriptor, uint64_t cookie)
{
    for (size_t i = 0; i < SLOTS; i++) {
        struct slot *slot = &pool->slots[i];
        int empty = 0;
        if (!__atomic_compare_exchange_n(&slot->state, &empty, 1, false, __ATOMIC_ACQUIRE,
                                         __ATOMIC_RELAXED))
            continue;
        slot->descriptor = descriptor;
        slot->cookie = cookie;
        __atomic_store_n(&slot->state, 2, __ATOMIC_RELEASE);
        return;
    }
    connection_close(descriptor, cookie);
}

static long packet_send(int descriptor, const struct wire_header *header, const void *body,
                        size_t length)
{
    struct iovec parts[2] = {
        {(void *)(uintptr_t)header, sizeof *header},
        {(void *)(uintptr_t)body, length},
    };
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = length > 0 ? 2 : 1};
    long result;
    do
        result = lane_call(SYS_sendmsg, descriptor, (long)&message, MSG_NOSIGNAL, 0, 0);
    while (result == -EINTR);
    return result;
}

/* Receive one packet. The length of its body, or -errno; -ECONNRESET at the end. */
static long packet_receive(int descriptor, struct wire_header *header, void *body, size_t size,
                           bool close_on_exec, int *received)
{
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof(int) * 4)];
    } control;
    struct iovec parts[2] = {{header, sizeof *header}, {body, size}};
    struct msghdr message = {
        .msg_iov = parts,
        .msg_iovlen = 2,
        .msg_control = &control,
        .msg_controllen = sizeof control,
    };
    *received = -1;
    long got = system_call(SYS_recvmsg, descriptor, (long)&message,
                           close_on_exec ? MSG_CMSG_CLOEXEC : 0, 0, 0, 0);
    if (got < 0)
        return got;
    for (struct cmsghdr *part = CMSG_FIRSTHDR(&message); part != NULL;
         part = CMSG_NXTHDR(&message, part)) {
        if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS)
            continue;
        const int *descriptors = (const int *)(const void *)CMSG_DATA(part);
        size_t count = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < count; i++) {
            if (*received < 0)
                *received = descriptors[i];
            else
                system_call(SYS_close, descriptors[i], 0, 0, 0, 0, 0);
        }
    }
    if (got == 0)
        return -ECONNRESET;
    bool whole = (size_t)got >= sizeof *header && !(message.msg_flags & MSG_TRUNC) &&
                 header->version == WIRE_VERSION && !(header->flags & WIRE_LONG) &&
                 header->length == (size_t)got - sizeof *header;
    long result = whole ? (long)header->length : -EPROTO;
    /* The descriptor did not fit the program's limit: the kernel dropped it. */
    if (whole && header->descriptors > 0 && *received < 0)
        result = -EMFILE;
    if (result < 0 && *received >= 0) {
        system_call(SYS_close, *received, 0, 0, 0, 0, 0);
        *received = -1;
    }
    return result;
}

/* Close the connections of calls that were left: an answer is on its way there, to nobody. */
static void connections_take_back(void)
{
    uint64_t behind, cookie, mask;
    if (!hold_is_any(&channels.lent))
        return;
    hold_signals(&mask);
    while (hold_take_back(&channels.lent, &behind, &cookie))
        if (cookie_of((int)behind - 1) == cookie)
            connection_close((int)behind - 1, cookie);
    hold_signals_end(&mask);
}

/* Make a connection and say hello; the welcome comes before the first reply. */
static int connection_make(const struct core *core, struct hold *hold, uint64_t *cookie,
                           long *error)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (core->session_length + sizeof "/fs" > sizeof address.sun_path) {
        *error = -EIO;
        return -1;
    }
    bytes_copy(address.sun_path, core->session, core->session_length);
    bytes_copy(address.sun_path + core->session_length, "/fs", sizeof "/fs");
    uint64_t mask;
    hold_signals(&mask);
    long made = system_call(SYS_socket, AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, 0, 0, 0);
    if (made < 0) {
        hold_signals_end(&mask);
        *error = made;
        return -1;
    }
    long high = system_call(SYS_fcntl, made, F_DUPFD_CLOEXEC, DESCRIPTOR_LOW, 0, 0, 0);
    int descriptor = (int)made;
    if (high >= 0) {
        system_call(SYS_close, made, 0, 0, 0, 0, 0);
        descriptor = (int)high;
    }
    *cookie = cookie_of(descriptor);
    hold_note(hold, (uint64_t)descriptor + 1, *cookie);
    hold_signals_end(&mask);
    long result;
    do
        result = system_call(SYS_connect, descriptor, (long)&address, sizeof address, 0, 0, 0);
    while (result == -EINTR);
    if (result == 0) {
        struct wire_header header = {
            .version = WIRE_VERSION, .kind = WIRE_HELLO, .length = sizeof(struct wire_hello)};
        struct wire_hello hello = {.version_min = WIRE_VERSION, .version_max = WIRE_VERSION};
        result = packet_send(descriptor, &header, &hello, sizeof hello);
    }
    if (result < 0) {
        hold_note(hold, 0, 0);
        system_call(SYS_close, descriptor, 0, 0, 0, 0, 0);
        /* Refused, or no such socket: init and all its servers are gone. */
        *error = result == -EPIPE || result == -ECONNRESET ? -ECONNRESET : -EIO;
        return -1;
    }
    for (size_t i = 0; i < SLOTS; i++) {
        uint64_t none = 0;
        if (__atomic_compare_exchange_n(&channels.made[i].cookie, &none, *cookie, false,
                                        __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
            channels.made[i].descriptor = descriptor;
            break;
        }
    }
    return descriptor;
}

/* One request and its reply on one connection. -ECONNRESET: the connection broke. */
static long connection_call(int descriptor, struct exchange *exchange)
{
    static uint32_t last_tag;
    uint32_t tag = __atomic_add_fetch(&last_tag, 1, __ATOMIC_RELAXED);
    struct wire_header header = {
        .version = WIRE_VERSION,
        .kind = WIRE_REQUEST,
        .operation = exchange->operation,
        .request = exchange->request,
        .tag = tag,
        .length = (uint32_t)exchange->length,
    };
    bool cancelled = false;
    long result = packet_send(descriptor, &header, exchange->body, exchange->length);
    if (result < 0)
        return result == -EPIPE ? -ECONNRESET : result;
    for (;;) {
        struct wire_header answer;
        int received;
        result = packet_receive(descriptor, &answer, exchange->answer, exchange->answer_size,
                                exchange->close_on_exec, &received);
        if (result == -EINTR) {
            /* A handler without SA_RESTART ran: the program wants to be told. The server still
             * answers exactly once, so the connection stays in step. */
            if (!cancelled) {
                struct wire_header cancel = {
                    .version = WIRE_VERSION, .kind = WIRE_CANCEL, .tag = tag};
                packet_send(descriptor, &cancel, NULL, 0);
                cancelled = true;
            }
            continue;
        }
        if (result == -EMFILE && answer.tag == tag)
            return result;
        if (result < 0)
            return result == -EPROTO ? -EPROTO : -ECONNRESET;
        if (answer.kind == WIRE_WELCOME && answer.error != 0)
            return -ECONNRESET; /* refused; its hang-up follows */
        if (answer.kind == WIRE_WELCOME && result == (long)sizeof(struct wire_hello)) {
            struct wire_hello welcome;
            bytes_copy(&welcome, exchange->answer, sizeof welcome);
            exchange->space = welcome.space;
            continue;
        }
        if (answer.kind != WIRE_REPLY || answer.tag != tag) {
            if (received >= 0)
                system_call(SYS_close, received, 0, 0, 0, 0, 0);
            continue;
        }
        exchange->answer_length = (size_t)result;
        exchange->descriptor = received;
        if (answer.error == 0)
            return 0;
        if (received >= 0) {
            system_call(SYS_close, received, 0, 0, 0, 0, 0);
            exchange->descriptor = -1;
        }
        if (answer.error == ECANCELED && cancelled)
            return -EINTR;
        return answer.error > 0 && answer.error < 4096 ? -answer.error : -EIO;
    }
}

void channels_close(void)
{
    struct pool *pool = pool_get();
    struct hold hold = {.held = NULL};
    uint64_t cookie;
    int descriptor;
    while (pool != NULL && (descriptor = pool_take(pool, &hold, &cookie)) >= 0)
        connection_close(descriptor, cookie);
}

static long call_held(const struct core *core, struct pool *pool, struct hold *hold,
                      struct exchange *exchange)
{
    for (unsigned attempt = 0; attempt < ATTEMPTS; attempt++) {
        uint64_t cookie = 0;
        long result = -EIO;
        int descriptor = pool_take(pool, hold, &cookie);
        if (descriptor < 0)
            descriptor = connection_make(core, hold, &cookie, &result);
        if (descriptor < 0) {
            if (result == -ECONNRESET)
                continue;
            return result;
        }
        result = connection_call(descriptor, exchange);
        hold_note(hold, 0, 0);
        if (result != -ECONNRESET && result != -EPROTO) {
            pool_give(pool, descriptor, cookie);
            return result;
        }
        connection_close(descriptor, cookie);
        if (result == -EPROTO)
            return -EIO;
        /* The server died in the middle: init holds its listening socket, so connecting again
         * waits for its successor. */
    }
    return -EIO;
}

long channel_call(const struct core *core, struct exchange *exchange)
{
    struct hold hold;
    exchange->descriptor = -1;
    exchange->answer_length = 0;
    struct pool *pool = pool_get();
    if (pool == NULL)
        return -ENOMEM;
    connections_take_back();
    hold_begin(&channels.lent, &hold);
    long result = call_held(core, pool, &hold, exchange);
    hold_end(&hold);
    return result;
}
