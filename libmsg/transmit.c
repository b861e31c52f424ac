/* Sending packets, and queueing those that a peer does not take yet. Never blocks. */
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

/* How many packets of one queue go in one turn of the loop. */
#define FLUSH_TURN 64

/* Duplicates that may wait in all queues of a set: peers that do not read must not use up the
 * descriptors that others need. */
#define QUEUED_DESCRIPTORS_MAX 256

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

/* A sealed memfd with this content, or -1 with errno. */
static int body_memfd(const void *body, size_t length)
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

static void queued_free(struct port *port, struct queued_packet *packet)
{
    descriptors_close(packet->descriptors, packet->header.descriptors);
    port->set->queued_descriptors -= packet->header.descriptors;
    port->queue_bytes -= packet->charge;
    free(packet->descriptors);
    free(packet);
}

void port_queue_clear(struct port *port)
{
    struct queued_packet *packet;
    while ((packet = port->queue_head)) {
        port->queue_head = packet->next;
        queued_free(port, packet);
    }
    port->queue_tail = &port->queue_head;
}

/* Queue a packet. `descriptors` are borrowed but for the first `own` ones, which are taken over,
 * also on error. */
static int enqueue(struct port *port, const struct wire_header *header, const void *body,
                   const int *descriptors, size_t own)
{
    struct port_set *set = port->set;
    size_t count = header->descriptors;
    size_t length = header->flags & WIRE_LONG ? 0 : header->length;
    /* A long body weighs what it weighs, wherever it lies. */
    size_t charge = sizeof(struct queued_packet) + header->length + count * 256;
    struct queued_packet *packet = NULL;
    int error = ENOMEM;

    if (port->queue_bytes + charge > set->queued_bytes) {
        port_end_later(port, ENOBUFS);
        error = ENOBUFS;
        goto failed;
    }
    if (set->queued_descriptors + count > QUEUED_DESCRIPTORS_MAX + own) {
        error = EMFILE;
        goto failed;
    }
    packet = malloc(sizeof *packet + length);
    if (!packet)
        goto failed;
    packet->descriptors = NULL;
    if (count > 0) {
        packet->descriptors = malloc(count * sizeof(int));
        if (!packet->descriptors)
            goto failed;
        error = descriptors_duplicate(packet->descriptors + own, descriptors + own, count - own);
        if (error)
            goto failed;
        memcpy(packet->descriptors, descriptors, own * sizeof(int));
    }
    packet->next = NULL;
    packet->charge = charge;
    packet->header = *header;
    if (length > 0)
        memcpy(packet->body, body, length);
    *port->queue_tail = packet;
    port->queue_tail = &packet->next;
    port->queue_bytes += charge;
    set->queued_descriptors += count;
    /* While the handshake lasts the queue is held back: a writable socket would wake the loop for
     * nothing. */
    if (port->state == PORT_OPEN || port->state == PORT_FRESH)
        ev_io_start(set->loop, &port->writer);
    return 0;
failed:
    if (packet)
        free(packet->descriptors);
    free(packet);
    descriptors_close(descriptors, own);
    return error;
}

/* Nobody reads any more what we send. What the peer sent before is still to be read, so that the
 * end itself is found by reading. */
static void peer_left(struct port *port)
{
    port->peer_gone = true;
    for (struct queued_packet *packet = port->queue_head; packet; packet = packet->next)
        if (packet->header.kind == WIRE_REPLY)
            port->owed_count--;
    port_queue_clear(port);
    ev_io_stop(port->set->loop, &port->writer);
    if (port->stopped)
        port_attend_later(port);
}

static bool is_gone(int error)
{
    return error == EPIPE || error == ECONNRESET || error == ENOTCONN;
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
    if (error == EAGAIN)
        return enqueue(port, header, NULL, descriptors, 1);
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
    else if (error == EAGAIN)
        error = enqueue(port, header, message->body, message->descriptors, 0);
    if (error && is_gone(error)) {
        peer_left(port);
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
    return sent == EAGAIN ? enqueue(port, &header, hello, NULL, 0) : sent;
}

void port_transmit_cancel(struct port *port, uint32_t tag)
{
    struct wire_header header = {.kind = WIRE_CANCEL, .tag = tag};
    struct msg message = {0};
    /* Cancelling is a courtesy: if it can't be sent the answer is ignored all the same. */
    (void)port_transmit(port, &header, &message);
}

/* A packet that can't be sent for itself alone (its descriptors, its size): whoever waits for it
 * is told instead. True: it was changed and may be tried again. */
static bool queued_give_up(struct port *port, struct queued_packet *packet, int error)
{
    if (packet->header.kind == WIRE_REPLY && packet->header.length + packet->header.descriptors) {
        port->set->queued_descriptors -= packet->header.descriptors;
        descriptors_close(packet->descriptors, packet->header.descriptors);
        packet->header.descriptors = 0;
        packet->header.flags = 0;
        packet->header.length = 0;
        packet->header.error = error;
        return true;
    }
    if (packet->header.kind == WIRE_REQUEST) {
        struct packet answer = {.header = packet->header, .lost = error};
        answer.header.kind = WIRE_REPLY;
        if (port_keep(port, &answer))
            port_end_later(port, ENOBUFS);
        else
            port_attend_later(port);
    } else {
        port_end_later(port, error);
    }
    return false;
}

/* An inline packet turned out to be too large for this socket: send its body in a memfd. */
static int queued_lengthen(struct port *port, struct queued_packet *packet)
{
    size_t count = packet->header.descriptors;
    int *descriptors = realloc(packet->descriptors, (count + 1) * sizeof *descriptors);
    if (!descriptors)
        return ENOMEM;
    packet->descriptors = descriptors;
    int memory = body_memfd(packet->body, packet->header.length);
    if (memory < 0)
        return errno;
    memmove(descriptors + 1, descriptors, count * sizeof *descriptors);
    descriptors[0] = memory;
    packet->header.descriptors++;
    packet->header.flags |= WIRE_LONG;
    port->set->queued_descriptors++;
    return 0;
}

static int queued_send(struct port *port, struct queued_packet *packet)
{
    size_t length = packet->header.flags & WIRE_LONG ? 0 : packet->header.length;
    return send_packet(port->descriptor, &packet->header, packet->body, length, packet->descriptors,
                       packet->header.descriptors);
}

void port_flush(struct port *port)
{
    struct queued_packet *packet;

    for (int turn = 0; turn < FLUSH_TURN && (packet = port->queue_head); turn++) {
        int error = queued_send(port, packet);
        if (error == EMSGSIZE && !(packet->header.flags & WIRE_LONG)) {
            error = queued_lengthen(port, packet);
            if (!error)
                error = queued_send(port, packet);
        }
        if (error == EAGAIN)
            break;
        if (is_gone(error)) {
            peer_left(port);
            return;
        }
        if (error && queued_give_up(port, packet, error))
            continue;
        port->queue_head = packet->next;
        if (!port->queue_head)
            port->queue_tail = &port->queue_head;
        bool reply = packet->header.kind == WIRE_REPLY;
        queued_free(port, packet);
        if (reply)
            port_reply_done(port);
    }
    if (port->queue_head)
        ev_io_start(port->set->loop, &port->writer);
    else
        ev_io_stop(port->set->loop, &port->writer);
}

void port_writable(struct ev_loop *loop, ev_io *watcher, int events)
{
    (void)loop;
    (void)events;
    struct port *port = watcher->data;
    port_hold(port);
    if (port->state == PORT_OPEN || port->state == PORT_FRESH)
        port_flush(port);
    port_release(port);
}
