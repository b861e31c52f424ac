/* Sending packets. What can't go now is queued (queue.c). Never blocks. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "libmsg/internal.h"

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008u /* since Linux 6.3 */
#endif

/* Short packets are copied together: cheaper than having the kernel gather them. */
#define GATHER_MIN 1024

static HOT int send_bytes(int descriptor, const void *bytes, size_t length)
{
    while (send(descriptor, bytes, length, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
        if (errno != EINTR)
            return errno;
    return 0;
}

static int send_short(int descriptor, const struct wire_header *header, const void *body,
                      size_t length)
{
    struct {
        struct wire_header header;
        unsigned char body[GATHER_MIN];
    } packet;
    packet.header = *header;
    memcpy(packet.body, body, length);
    return send_bytes(descriptor, &packet, sizeof *header + length);
}

static int send_gathered(int descriptor, const struct wire_header *header, const void *body,
                         size_t length, const int *descriptors, size_t count)
{
    union {
        struct cmsghdr align;
        unsigned char space[CONTROL_SIZE];
    } control;
    struct iovec parts[2] = {{(void *)header, sizeof *header}, {(void *)body, length}};
    struct msghdr raw = {.msg_iov = parts, .msg_iovlen = length > 0 ? 2 : 1};

    if (count > 0) {
        raw.msg_control = &control;
        raw.msg_controllen = CMSG_SPACE(count * sizeof(int));
        control.align.cmsg_level = SOL_SOCKET;
        control.align.cmsg_type = SCM_RIGHTS;
        control.align.cmsg_len = CMSG_LEN(count * sizeof(int));
        memcpy(CMSG_DATA(&control.align), descriptors, count * sizeof(int));
    }
    while (sendmsg(descriptor, &raw, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
        if (errno != EINTR)
            return errno;
    return 0;
}

static HOT int send_packet(int descriptor, const struct wire_header *header, const void *body,
                           size_t length, const int *descriptors, size_t count)
{
    if (count > 0 || length > GATHER_MIN)
        return send_gathered(descriptor, header, body, length, descriptors, count);
    if (length > 0)
        return send_short(descriptor, header, body, length);
    return send_bytes(descriptor, header, sizeof *header);
}

/* For the queue. What is sent at once has a copy of its own in the path of every call. */
int packet_send(int descriptor, const struct wire_header *header, const void *body, size_t length,
                const int *descriptors, size_t count)
{
    return send_packet(descriptor, header, body, length, descriptors, count);
}

int body_memfd(const void *body, size_t length)
{
    int descriptor =
        memfd_create("hirsel message", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL);
    if (descriptor < 0 && errno == EINVAL)
        descriptor = memfd_create("hirsel message", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (descriptor < 0)
        return -1;
    for (size_t done = 0; done < length;) {
        ssize_t n = write(descriptor, (const char *)body + done, length - done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            goto failed;
        done += (size_t)n;
    }
    if (fcntl(descriptor, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL))
        goto failed;
    return descriptor;
failed:;
    int error = errno ? errno : EIO;
    close(descriptor);
    errno = error;
    return -1;
}

/* Whether a packet that was not sent can go later. */
static bool must_wait(int error)
{
    return error == EAGAIN || error == ETOOMANYREFS;
}

/* Queue what was not sent for `error`. */
static int put_off(struct port *port, const struct wire_header *header, const void *body,
                   const int *descriptors, size_t own, int error)
{
    int failed = port_queue_put(port, header, body, descriptors, own);
    /* It goes as soon as fewer are in flight: that is worth another try. */
    return failed == EMFILE && error == ETOOMANYREFS ? error : failed;
}

static int transmit_long(struct port *port, struct wire_header *header, const struct msg *message)
{
    int descriptors[DESCRIPTORS_IN_PACKET];
    int memory = body_memfd(message->body, message->length);
    if (memory < 0)
        return errno;
    descriptors[0] = memory;
    if (message->descriptor_count > 0)
        memcpy(descriptors + 1, message->descriptors, message->descriptor_count * sizeof(int));
    header->flags = WIRE_LONG;
    header->descriptors = (uint16_t)(message->descriptor_count + 1);

    bool open = port->state == PORT_OPEN || port->state == PORT_FRESH;
    int error = EAGAIN;
    if (open && !port->queue_head)
        error = send_packet(port->descriptor, header, NULL, 0, descriptors, header->descriptors);
    if (must_wait(error))
        return put_off(port, header, NULL, descriptors, 1, error);
    close(memory);
    return error;
}

HOT int port_transmit(struct port *port, struct wire_header *header, const struct msg *message)
{
    if (message->length > WIRE_BODY_MAX || message->descriptor_count > WIRE_DESCRIPTORS_MAX)
        return EMSGSIZE;
    if (port->state >= PORT_ENDING || port->peer_gone)
        return ENOTCONN;
    header->version = WIRE_VERSION;
    header->length = (uint32_t)message->length;
    header->descriptors = (uint16_t)message->descriptor_count;
    header->flags = 0;
    header->reserved = 0;
    if (port->tap)
        port->tap(port, TAP_SENT, header->kind, message, header->tag, port->tap_context);

    bool open = port->state == PORT_OPEN || port->state == PORT_FRESH;
    bool inline_body = message->length <= WIRE_INLINE_MAX;
    int error = EAGAIN;
    if (open && inline_body && !port->queue_head)
        error = send_packet(port->descriptor, header, message->body, message->length,
                            message->descriptors, message->descriptor_count);
    /* A small net.core.wmem_default makes even inline packets too large. */
    if (!inline_body || (error == EMSGSIZE && message->length > 0))
        error = transmit_long(port, header, message);
    else if (must_wait(error))
        error = put_off(port, header, message->body, message->descriptors, 0, error);
    if (error && peer_is_gone(error)) {
        port_peer_left(port);
        error = ENOTCONN;
    }
    return error;
}

int port_transmit_hello(struct port *port, uint16_t kind, int error, const struct wire_hello *hello)
{
    struct wire_header header = {
        .version = WIRE_VERSION,
        .kind = kind,
        .error = error,
        .length = sizeof *hello,
    };
    struct msg message = {.body = hello, .length = sizeof *hello, .error = error};
    if (port->tap)
        port->tap(port, TAP_SENT, kind, &message, 0, port->tap_context);
    int sent = send_packet(port->descriptor, &header, hello, sizeof *hello, NULL, 0);
    /* One of a pair may have filled the socket before it is greeted. */
    return sent == EAGAIN ? port_queue_put(port, &header, hello, NULL, 0) : sent;
}

void port_transmit_cancel(struct port *port, uint32_t tag)
{
    struct wire_header header = {.kind = WIRE_CANCEL, .tag = tag};
    struct msg message = {0};
    /* Cancelling is a courtesy: if it can't be sent the answer is ignored all the same. */
    (void)port_transmit(port, &header, &message);
}
