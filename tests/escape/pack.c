#include "tests/escape/pack.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define ANSWER_MILLISECONDS 5000

static void pack_byte(struct pack *pack, uint8_t byte)
{
    if (pack->length < sizeof pack->bytes)
        pack->bytes[pack->length++] = byte;
}

static void pack_varint(struct pack *pack, uint64_t value)
{
    for (; value > 127; value >>= 7)
        pack_byte(pack, (uint8_t)(value | 128));
    pack_byte(pack, (uint8_t)value);
}

void pack_number(struct pack *pack, unsigned field, uint64_t value)
{
    pack_varint(pack, (uint64_t)field << 3);
    pack_varint(pack, value);
}

static void pack_run(struct pack *pack, unsigned field, const void *bytes, size_t length)
{
    pack_varint(pack, (uint64_t)field << 3 | 2);
    pack_varint(pack, length);
    for (size_t i = 0; i < length; i++)
        pack_byte(pack, ((const uint8_t *)bytes)[i]);
}

void pack_text(struct pack *pack, unsigned field, const char *text)
{
    pack_run(pack, field, text, strlen(text));
}

int bus_send(int bus, const struct wire_header *header, const void *body, size_t length,
             const int *descriptors, size_t count)
{
    union {
        struct cmsghdr head;
        char room[CMSG_SPACE(253 * sizeof(int))];
    } control;
    struct iovec parts[2] = {{(void *)(uintptr_t)header, sizeof *header},
                             {(void *)(uintptr_t)body, length}};
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};

    if (count > 0) {
        memset(&control, 0, sizeof control);
        message.msg_control = &control;
        message.msg_controllen = CMSG_SPACE(count * sizeof(int));
        control.head.cmsg_level = SOL_SOCKET;
        control.head.cmsg_type = SCM_RIGHTS;
        control.head.cmsg_len = CMSG_LEN(count * sizeof(int));
        memcpy(CMSG_DATA(&control.head), descriptors, count * sizeof(int));
    }
    return sendmsg(bus, &message, MSG_NOSIGNAL) < 0 ? -1 : 0;
}

static int name_give(int bus, const char *own)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    if (strlen(own) >= sizeof address.sun_path) {
        errno = ENAMETOOLONG;
        return -1;
    }
    memcpy(address.sun_path, own, strlen(own));
    unlink(own);
    return bind(bus, (struct sockaddr *)&address, sizeof address);
}

int bus_socket(void)
{
    return socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
}

int bus_reach(int bus, const char *session, const char *name)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    if ((size_t)snprintf(address.sun_path, sizeof address.sun_path, "%s/%s", session, name) >=
        sizeof address.sun_path) {
        errno = ENAMETOOLONG;
        return -1;
    }
    return connect(bus, (struct sockaddr *)&address, sizeof address);
}

int bus_greet(int bus)
{
    struct wire_header header = {
        .version = WIRE_VERSION, .kind = WIRE_HELLO, .length = sizeof(struct wire_hello)};
    struct wire_hello hello = {.version_min = WIRE_VERSION, .version_max = WIRE_VERSION};
    struct pollfd waiting = {.fd = bus, .events = POLLIN};
    char answer[256];

    if (bus_send(bus, &header, &hello, sizeof hello, NULL, 0) != 0)
        return -1;
    if (poll(&waiting, 1, ANSWER_MILLISECONDS) == 1 && recv(bus, answer, sizeof answer, 0) > 0)
        return 0;
    errno = ECONNRESET;
    return -1;
}

/* By a socket that has a name already: a path. */
static int bus_connect_named(const char *session, const char *name, const char *own)
{
    int bus = bus_socket(), error;

    if (bus < 0)
        return -1;
    if ((own == NULL || name_give(bus, own) == 0) && bus_reach(bus, session, name) == 0 &&
        bus_greet(bus) == 0)
        return bus;
    error = errno;
    close(bus);
    errno = error;
    return -1;
}

int bus_connect(const char *session, const char *name)
{
    return bus_connect_named(session, name, NULL);
}

int bus_reply(int bus, int *taken)
{
    union {
        struct wire_header header;
        char bytes[WIRE_INLINE_MAX + sizeof(struct wire_header)];
    } answer;
    union {
        struct cmsghdr head;
        char room[CMSG_SPACE(253 * sizeof(int))];
    } control;
    struct pollfd waiting = {.fd = bus, .events = POLLIN};

    if (taken != NULL)
        *taken = -1;
    for (;;) {
        struct iovec part = {&answer, sizeof answer};
        struct msghdr message = {.msg_iov = &part,
                                 .msg_iovlen = 1,
                                 .msg_control = &control,
                                 .msg_controllen = sizeof control};
        const struct cmsghdr *head;

        if (poll(&waiting, 1, ANSWER_MILLISECONDS) <= 0)
            return ETIMEDOUT;
        if (recvmsg(bus, &message, MSG_CMSG_CLOEXEC) < (ssize_t)sizeof answer.header)
            return ECONNRESET;
        head = CMSG_FIRSTHDR(&message);
        if (head != NULL && taken != NULL)
            memcpy(taken, CMSG_DATA(head), sizeof *taken);
        if (answer.header.kind == WIRE_REPLY)
            return answer.header.error;
    }
}

static int ask(int bus, uint32_t operation, const struct pack *body, const int *descriptors,
               size_t count, int *taken)
{
    struct wire_header header = {.version = WIRE_VERSION,
                                 .kind = WIRE_REQUEST,
                                 .operation = operation,
                                 .tag = 1,
                                 .length = (uint32_t)body->length,
                                 .descriptors = (uint16_t)count};
    int error;

    if (bus < 0)
        return errno;
    error = bus_send(bus, &header, body->bytes, body->length, descriptors, count) != 0
                ? errno
                : bus_reply(bus, taken);
    close(bus);
    return error;
}

int bus_ask(const char *session, const char *name, uint32_t operation, const struct pack *body,
            const int *descriptors, size_t count)
{
    return ask(bus_connect(session, name), operation, body, descriptors, count, NULL);
}

int bus_ask_for(const char *session, const char *name, uint32_t operation, const struct pack *body,
                int *taken)
{
    *taken = -1;
    return ask(bus_connect(session, name), operation, body, NULL, 0, taken);
}

int bus_ask_named(const char *session, const char *name, const char *own, uint32_t operation,
                  const struct pack *body)
{
    int error = ask(bus_connect_named(session, name, own), operation, body, NULL, 0, NULL);

    unlink(own);
    return error;
}

int bus_ask_on(int bus, uint32_t operation, const struct pack *body)
{
    return ask(bus, operation, body, NULL, 0, NULL);
}
