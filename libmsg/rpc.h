/* The one place where libmsg and protobuf-c meet: typed calls over untyped messages. */
#ifndef HIRSEL_RPC_H
#define HIRSEL_RPC_H

#include <protobuf-c/protobuf-c.h>
#include "libmsg/msg.h"

/* Send `body` (may be NULL: empty) as operation `operation` with `descriptors` (borrowed) and wait.
 * On 0, *answer is the reply's body as `answer_type` (free it with rpc_free; NULL answer_type: not
 * wanted) and *descriptor (may be NULL) the first descriptor that came, owned, or -1.
 * Errors: those of msg_call; EBADMSG where the body does not unpack. */
int rpc_call(struct port *port, uint32_t operation, const ProtobufCMessage *body,
             const int *descriptors, size_t descriptor_count,
             const ProtobufCMessageDescriptor *answer_type, ProtobufCMessage **answer,
             int *descriptor, int timeout_ms);

/* The same with the at-most-once id `request`: for what must not be done twice. */
int rpc_call_once(struct port *port, uint64_t request, uint32_t operation,
                  const ProtobufCMessage *body, const int *descriptors, size_t descriptor_count,
                  const ProtobufCMessageDescriptor *answer_type, ProtobufCMessage **answer,
                  int *descriptor, int timeout_ms);

/* Call and be told. `answer` is unpacked for `done` and freed after it. */
typedef void rpc_done(int error, ProtobufCMessage *answer, struct msg *raw, void *context);
int rpc_call_start(struct port *port, uint32_t operation, const ProtobufCMessage *body,
                   const int *descriptors, size_t descriptor_count,
                   const ProtobufCMessageDescriptor *answer_type, int timeout_ms, rpc_done *done,
                   void *context, struct call **call);

int rpc_notice(struct port *port, uint32_t operation, const ProtobufCMessage *body);

/* Answer with a body (NULL: empty) and descriptors (borrowed). */
void rpc_reply(struct reply *reply, const ProtobufCMessage *body, const int *descriptors,
               size_t descriptor_count);

/* Unpack a message's body; NULL with errno EBADMSG. */
ProtobufCMessage *rpc_unpack(const struct msg *message, const ProtobufCMessageDescriptor *type);
/* NULL is harmless. */
void rpc_free(ProtobufCMessage *message);

/* A server's operations: the table that rpc_dispatch walks. `request_type` NULL: the body is not
 * unpacked. `run` owns nothing: `request` is freed after it returns. */
struct rpc_operation {
    uint32_t operation;
    const ProtobufCMessageDescriptor *request_type;
    void (*run)(struct port *port, ProtobufCMessage *request, struct msg *raw, struct reply *reply,
                void *context);
};

/* Run the entry of `table` (ended by operation 0) for `message`: ENOSYS to the caller where there
 * is none, EBADMSG where the body does not unpack. */
void rpc_dispatch(const struct rpc_operation *table, struct port *port, struct msg *message,
                  struct reply *reply, void *context);

#endif
