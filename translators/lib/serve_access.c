/* access(2), and what statfs(2) tells. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/vfs.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "translators/lib/library.h"

void serve_access(struct port *port, ProtobufCMessage *message, struct msg *raw,
                  struct reply *reply, void *context)
{
    const Hirsel__NodeRequest *request = (const Hirsel__NodeRequest *)message;
    const char *device = library.translator->device;
    struct stat attributes;
    struct node *node;
    int error;

    (void)port, (void)raw, (void)context;
    if (!walk_node(request, request->follow, reply, &node))
        return;
    if (request->mode & ~7u) {
        error = EINVAL;
    } else if (!node && device) {
        error = faccessat(AT_FDCWD, device, (int)request->mode, AT_EACCESS) == 0 ? 0 : errno;
    } else {
        error = attributes_of(node, &attributes);
        if (error == 0)
            error = permission_check(attributes.st_mode, (int)request->mode);
    }
    if (error != 0)
        reply_error(reply, error);
    else
        rpc_reply(reply, NULL, NULL, 0);
}

void serve_filesystem(struct port *port, ProtobufCMessage *message, struct msg *raw,
                      struct reply *reply, void *context)
{
    const Hirsel__NodeRequest *request = (const Hirsel__NodeRequest *)message;
    Hirsel__NodeReply answer = HIRSEL__NODE_REPLY__INIT;
    const char *device = library.translator->device;
    struct statfs filesystem;
    struct node *node;
    int result;

    (void)port, (void)raw, (void)context;
    if (!walk_node(request, true, reply, &node))
        return;
    result = !node && device ? statfs(device, &filesystem)
                             : fstatfs(library.node_descriptor, &filesystem);
    if (result != 0) {
        reply_error(reply, errno);
        return;
    }
    /* The type stays that of what backs the files: programs (tail -f) choose by it. */
    if (node) {
        filesystem.f_flags |= ST_RDONLY;
        filesystem.f_bfree = filesystem.f_bavail = 0;
        filesystem.f_files = library.node_count;
        filesystem.f_ffree = 0;
        filesystem.f_namelen = NODE_NAME_MAX;
    }
    answer.filesystem.data = (uint8_t *)&filesystem;
    answer.filesystem.len = sizeof(filesystem);
    rpc_reply(reply, &answer.base, NULL, 0);
}
