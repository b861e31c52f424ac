/* What may come over the wire. Nothing that a peer sent is believed before it passed here. */
#include <errno.h>

#include "libmsg/internal.h"

static HOT int check_size(const struct wire_header *header, size_t size, size_t received,
                          bool truncated)
{
    if (header->flags & WIRE_LONG) {
        if (header->length > WIRE_BODY_MAX)
            return EMSGSIZE;
        if (size != sizeof *header || header->length == 0 || header->descriptors == 0)
            return EPROTO;
    } else if (header->length > WIRE_INLINE_MAX || size != sizeof *header + header->length) {
        return EPROTO;
    }
    if (header->descriptors > DESCRIPTORS_IN_PACKET)
        return EPROTO;
    if (!(header->flags & WIRE_LONG) && header->descriptors > WIRE_DESCRIPTORS_MAX)
        return EPROTO;
    if (truncated ? received > header->descriptors : received != header->descriptors)
        return EPROTO;
    return 0;
}

static HOT int check_kind(const struct wire_header *header)
{
    /* The layout of the handshake's packets is the same for ever, whatever they settle. */
    bool handshake = header->kind == WIRE_HELLO || header->kind == WIRE_WELCOME;
    if (!handshake && header->version != WIRE_VERSION)
        return EPROTO;
    switch (header->kind) {
    case WIRE_HELLO:
    case WIRE_WELCOME:
        if (header->length != sizeof(struct wire_hello) || header->flags || header->descriptors)
            return EPROTO;
        break;
    case WIRE_REQUEST:
    case WIRE_REPLY:
    case WIRE_NOTICE:
        break;
    case WIRE_CANCEL:
        if (header->length || header->flags || header->descriptors)
            return EPROTO;
        break;
    default:
        return EPROTO;
    }
    bool answer = header->kind == WIRE_REPLY || header->kind == WIRE_WELCOME;
    if (header->error < 0 || header->error > 4095 || (!answer && header->error))
        return EPROTO;
    return 0;
}

HOT int wire_check(const struct wire_header *header, size_t size, size_t received, bool truncated)
{
    if (size < sizeof *header || (header->flags & ~WIRE_LONG) || header->reserved)
        return EPROTO;
    int error = check_kind(header);
    if (!error)
        error = check_size(header, size, received, truncated);
    return error;
}
