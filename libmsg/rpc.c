/* Typed calls over untyped messages. */
#include <errno.h>
#include <stdlib.h>

#include "libmsg/rpc.h"

/* Bodies up to this size are packed on the stack. */
#define PACK_SMALL 2048

struct packed {
    struct msg message;
    void *allocated;
    unsigned char small[PACK_SMALL];
};

static int pack(struct packed *packed, uint32_t operation, const ProtobufCMessage *body,
                const int *descriptors, size_t descriptor_count)
{
    packed->allocated = NULL;
    packed->message = (struct msg){
        .operation = operation,
        .descriptors = (int *)descriptors,
        .descriptor_count = descriptor_count,
    };
    if (!body)
        return 0;
    size_t length = protobuf_c_message_get_packed_size(body);
    uint8_t *place = packed->small;
    if (length > sizeof packed->small) {
        place = packed->allocated = malloc(length);
        if (!place)
            return ENOMEM;
    }
    packed->message.body = place;
    packed->message.length = protobuf_c_message_pack(body, place);
    return 0;
}

int rpc_call_once(struct port *port, uint64_t request, uint32_t operation,
                  const ProtobufCMessage *body, const int *descriptors, size_t descriptor_count,
                  const ProtobufCMessageDescriptor *answer_type, ProtobufCMessage **answer,
                  int *descriptor, int timeout_ms)
{
    struct packed packed;
    struct msg reply;

    if (answer)
        *answer = NULL;
    if (descriptor)
        *descriptor = -1;
    int error = pack(&packed, operation, body, descriptors, descriptor_count);
    if (error)
        return error;
    packed.message.request = request;
    error = msg_call(port, &packed.message, &reply, timeout_ms);
    free(packed.allocated);
    if (error)
        return error;
    if (answer_type && answer) {
        *answer = rpc_unpack(&reply, answer_type);
        if (!*answer)
            error = errno;
    }
    if (!error && descriptor && reply.descriptor_count > 0)
        *descriptor = msg_take(&reply, 0);
    msg_release(&reply);
    return error;
}

int rpc_call(struct port *port, uint32_t operation, const ProtobufCMessage *body,
             const int *descriptors, size_t descriptor_count,
             const ProtobufCMessageDescriptor *answer_type, ProtobufCMessage **answer,
             int *descriptor, int timeout_ms)
{
    return rpc_call_once(port, 0, operation, body, descriptors, descriptor_count, answer_type,
                         answer, descriptor, timeout_ms);
}

struct pending {
    const ProtobufCMessageDescriptor *answer_type;
    rpc_done *done;
    void *context;
};

static void pending_done(int error, struct msg *raw, void *context)
{
    struct pending *pending = context;
    ProtobufCMessage *answer = NULL;
    if (!error && pending->answer_type) {
        answer = rpc_unpack(raw, pending->answer_type);
        if (!answer)
            error = errno;
    }
    pending->done(error, answer, raw, pending->context);
    rpc_free(answer);
    free(pending);
}

int rpc_call_start(struct port *port, uint32_t operation, const ProtobufCMessage *body,
                   const int *descriptors, size_t descriptor_count,
                   const ProtobufCMessageDescriptor *answer_type, int timeout_ms, rpc_done *done,
                   void *context, struct call **call)
{
    struct packed packed;
    if (call)
        *call = NULL;
    struct pending *pending = malloc(sizeof *pending);
    if (!pending)
        return ENOMEM;
    *pending = (struct pending){answer_type, done, context};
    int error = pack(&packed, operation, body, descriptors, descriptor_count);
    if (!error) {
        error = msg_call_start(port, &packed.message, timeout_ms, pending_done, pending, call);
        free(packed.allocated);
    }
    if (error)
        free(pending);
    return error;
}

int rpc_notice(struct port *port, uint32_t operation, const ProtobufCMessage *body)
{
    struct packed packed;
    int error = pack(&packed, operation, body, NULL, 0);
    if (error)
        return error;
    error = msg_send(port, &packed.message);
    free(packed.allocated);
    return error;
}

void rpc_reply(struct reply *reply, const ProtobufCMessage *body, const int *descriptors,
               size_t descriptor_count)
{
    struct packed packed;
    int error = pack(&packed, 0, body, descriptors, descriptor_count);
    if (error) {
        reply_error(reply, error);
        return;
    }
    reply_send(reply, &packed.message);
    free(packed.allocated);
}

ProtobufCMessage *rpc_unpack(const struct msg *message, const ProtobufCMessageDescriptor *type)
{
    ProtobufCMessage *made = protobuf_c_message_unpack(type, NULL, message->length, message->body);
    if (!made)
        errno = EBADMSG;
    return made;
}

void rpc_free(ProtobufCMessage *message)
{
    if (message)
        protobuf_c_message_free_unpacked(message, NULL);
}

void rpc_dispatch(const struct rpc_operation *table, struct port *port, struct msg *message,
                  struct reply *reply, void *context)
{
    ProtobufCMessage *request = NULL;

    while (table->operation && table->operation != message->operation)
        table++;
    if (!table->operation) {
        reply_error(reply, ENOSYS);
        return;
    }
    if (table->request_type) {
        request = rpc_unpack(message, table->request_type);
        if (!request) {
            reply_error(reply, EBADMSG);
            return;
        }
    }
    table->run(port, request, message, reply, context);
    rpc_free(request);
}
