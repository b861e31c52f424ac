/* Receiving one packet. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "libmsg/internal.h"

static size_t collect_descriptors(struct msghdr *raw, int *descriptors)
{
    size_t count = 0;
    for (struct cmsghdr *part = CMSG_FIRSTHDR(raw); part; part = CMSG_NXTHDR(raw, part)) {
        if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS)
            continue;
        size_t here = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        memcpy(descriptors + count, CMSG_DATA(part), here * sizeof(int));
        count += here;
    }
    return count;
}

/* The body of a long message: copied out of the memfd, never mapped, so that a sender that shrinks
 * it can do no harm. F_GET_SEALS tells memory from anything whose read could block. */
static int read_long(int descriptor, size_t length, struct storage **storage)
{
    struct stat status;
    if (fcntl(descriptor, F_GET_SEALS) < 0 || fstat(descriptor, &status) < 0 ||
        status.st_size < (off_t)length)
        return EPROTO;
    struct storage *body = storage_new(length);
    if (!body)
        return ENOMEM;
    for (size_t done = 0; done < length;) {
        ssize_t n = pread(descriptor, body->body + done, length - done, (off_t)done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            storage_free(body);
            return EPROTO;
        }
        done += (size_t)n;
    }
    *storage = body;
    return 0;
}

/* Make the message of what was received. Takes the descriptors over. */
static int build_message(struct port_set *set, struct packet *packet, const int *descriptors,
                         size_t count)
{
    const struct wire_header *header = &packet->header;
    struct msg *message = &packet->message;
    struct storage *storage = NULL;
    int error = 0;

    if (header->flags & WIRE_LONG) {
        error = read_long(descriptors[0], header->length, &storage);
        descriptors_discard(descriptors, 1);
        descriptors++;
        count--;
    } else {
        storage = storage_new(header->length);
        if (storage)
            memcpy(storage->body, set->body, header->length);
        else
            error = ENOMEM;
    }
    if (error) {
        descriptors_discard(descriptors, count);
        return error;
    }
    message->storage = storage;
    message->body = storage->body;
    message->length = header->length;
    error = message_own_descriptors(message, descriptors, count);
    if (error)
        msg_release(message);
    return error;
}

HOT int packet_receive(struct port *port, int flags, struct packet *packet)
{
    struct port_set *set = port->set;
    int *descriptors = set->descriptors;
    struct iovec part = {&set->header, sizeof set->header + sizeof set->body};
    struct msghdr raw = {
        .msg_iov = &part,
        .msg_iovlen = 1,
        .msg_control = set->control,
        .msg_controllen = sizeof set->control,
    };
    ssize_t n = recvmsg(port->descriptor, &raw, flags | MSG_CMSG_CLOEXEC);
    /* The other end closed with something unread: said once, before what it sent. */
    if (n < 0 && errno == ECONNRESET)
        n = recvmsg(port->descriptor, &raw, flags | MSG_CMSG_CLOEXEC);
    if (n < 0)
        return errno == ECONNRESET ? PACKET_END : errno;
    size_t count = raw.msg_controllen ? collect_descriptors(&raw, descriptors) : 0;
    int error = 0;
    if (n == 0)
        error = PACKET_END;
    else if (raw.msg_flags & MSG_TRUNC)
        error = EMSGSIZE;
    bool truncated = raw.msg_flags & MSG_CTRUNC;
    packet->header = set->header;
    if (!error)
        error = wire_check(&packet->header, (size_t)n, count, truncated);
    if (error) {
        descriptors_discard(descriptors, count);
        return error;
    }

    packet->lost = 0;
    packet->message = (struct msg){
        .operation = packet->header.operation,
        .error = packet->header.error,
        .object = packet->header.object,
        .request = packet->header.request,
    };
    if (truncated) {
        descriptors_discard(descriptors, count);
        packet->lost = EMFILE;
    } else if (packet->header.length || count) {
        error = build_message(set, packet, descriptors, count);
        if (error == ENOMEM) {
            packet->lost = ENOMEM;
            error = 0;
        }
    }
    if (!error && port->tap)
        port->tap(port, TAP_RECEIVED, packet->header.kind, &packet->message, packet->header.tag,
                  port->tap_context);
    return error;
}
