/* What a node tells of itself: stat, readlink. */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "translators/lib/library.h"

int attributes_of(struct node *node, struct stat *to)
{
    if (node)
        return mirror_stat(node, to);
    if (library.translator->device)
        return stat(library.translator->device, to) == 0 ? 0 : errno;
    return file_stat(to);
}

void serve_stat(struct port *port, ProtobufCMessage *message, struct msg *raw, struct reply *reply,
                void *context)
{
    const Hirsel__NodeRequest *request = (const Hirsel__NodeRequest *)message;
    struct stat attributes;
    struct node *node;
    int error;

    (void)port, (void)raw, (void)context;
    if (!walk_node(request, request->follow, reply, &node))
        return;
    error = attributes_of(node, &attributes);
    if (error != 0)
        reply_error(reply, error);
    else
        reply_attributes(reply, &attributes);
}

void serve_readlink(struct port *port, ProtobufCMessage *message, struct msg *raw,
                    struct reply *reply, void *context)
{
    const Hirsel__NodeRequest *request = (const Hirsel__NodeRequest *)message;
    Hirsel__NodeReply answer = HIRSEL__NODE_REPLY__INIT;
    struct node *node;

    (void)port, (void)raw, (void)context;
    if (!walk_node(request, false, reply, &node))
        return;
    node = node ? node_original(node) : NULL;
    if (!node || !S_ISLNK(node->mode) || !node->target) {
        reply_error(reply, EINVAL);
        return;
    }
    answer.target.data = (uint8_t *)node->target;
    answer.target.len = strlen(node->target);
    rpc_reply(reply, &answer.base, NULL, 0);
}
