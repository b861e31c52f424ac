/* From a request's path to a node. */
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "translators/lib/library.h"

int permission_check(mode_t node, int mode)
{
    mode_t owner = (node >> 6) & 7;

    if ((mode & W_OK) && !S_ISBLK(node) && !S_ISCHR(node) && !S_ISFIFO(node))
        return EROFS;
    if (geteuid() == 0) {
        if (S_ISDIR(node) || (node & 0111))
            owner |= X_OK;
        owner |= R_OK | W_OK;
    }
    return ((mode_t)mode & 7 & ~owner) ? EACCES : 0;
}

int walk_path(const ProtobufCBinaryData *path, bool follow, struct walk *walk)
{
    const char *bytes = (const char *)path->data;
    size_t length = path->len;

    *walk = (struct walk){.node = node_root()};
    if (length >= PATH_MAX)
        return ENAMETOOLONG;
    if (length > 0 && !walk->node)
        return ENOTDIR;
    for (size_t at = 0; at < length;) {
        const char *name = bytes + at;
        const char *slash = memchr(name, '/', length - at);
        size_t name_length = slash ? (size_t)(slash - name) : length - at;
        struct node *parent = walk->node;
        int error;

        if (name_length == 0 || (slash && at + name_length + 1 == length) ||
            memchr(name, '\0', name_length) || (name_length == 1 && name[0] == '.') ||
            (name_length == 2 && name[0] == '.' && name[1] == '.'))
            return EINVAL;
        if (!S_ISDIR(parent->mode))
            return ENOTDIR;
        error = permission_check(parent->mode, X_OK);
        if (error != 0)
            return error;
        if (name_length > NODE_NAME_MAX)
            return ENAMETOOLONG;
        walk->node = node_find(parent, name, name_length);
        at += name_length;
        if (!walk->node) {
            walk->parent = slash ? NULL : parent;
            return ENOENT;
        }
        walk->parent = parent;
        if (S_ISLNK(walk->node->mode) && (slash || follow)) {
            walk->redirect = true;
            walk->consumed = at;
            return 0;
        }
        at += slash ? 1 : 0;
    }
    return 0;
}

bool walk_node(const Hirsel__NodeRequest *request, bool follow, struct reply *reply,
               struct node **node)
{
    struct walk walk;
    int error = walk_path(&request->path, follow, &walk);

    if (error != 0) {
        reply_error(reply, error);
        return false;
    }
    if (walk.redirect) {
        reply_redirect(reply, &walk);
        return false;
    }
    *node = walk.node;
    return true;
}
