/* Changes, all refused: a tree is read-only, with the errors that say most. A missing name is
 * ENOENT (the kernel's own order would say EROFS for it in unlink and rename, but rm -f and make
 * want to know that there is nothing to do). */
#include <errno.h>

#include "translators/lib/library.h"

static bool change_makes(Hirsel__NodeChange change)
{
    switch (change) {
    case HIRSEL__NODE_CHANGE__CHANGE_MAKE_DIRECTORY:
    case HIRSEL__NODE_CHANGE__CHANGE_MAKE_NODE:
    case HIRSEL__NODE_CHANGE__CHANGE_SYMLINK:
        return true;
    default:
        return false;
    }
}

static bool change_follows(const Hirsel__NodeRequest *request)
{
    switch (request->change) {
    case HIRSEL__NODE_CHANGE__CHANGE_MODE:
    case HIRSEL__NODE_CHANGE__CHANGE_OWNER:
    case HIRSEL__NODE_CHANGE__CHANGE_TIMES:
    case HIRSEL__NODE_CHANGE__CHANGE_SIZE:
        return request->follow;
    default:
        return false;
    }
}

static int device_error(Hirsel__NodeChange change)
{
    return change == HIRSEL__NODE_CHANGE__CHANGE_SIZE ? EINVAL : EPERM;
}

/* The error of a change of what is there. */
static int present_error(const struct node *node, Hirsel__NodeChange change)
{
    bool directory = node && S_ISDIR(node->mode);

    if (change_makes(change))
        return EEXIST;
    switch (change) {
    case HIRSEL__NODE_CHANGE__CHANGE_LINK:
    case HIRSEL__NODE_CHANGE__CHANGE_RENAME:
        return !node || !node->parent ? EBUSY : EROFS;
    case HIRSEL__NODE_CHANGE__CHANGE_UNLINK:
        return directory ? EISDIR : !node ? EBUSY : EROFS;
    case HIRSEL__NODE_CHANGE__CHANGE_REMOVE_DIRECTORY:
        return !directory ? ENOTDIR : !node->parent ? EBUSY : EROFS;
    case HIRSEL__NODE_CHANGE__CHANGE_SIZE:
        return directory ? EISDIR : node && S_ISFIFO(node->mode) ? EINVAL : EROFS;
    case HIRSEL__NODE_CHANGE__CHANGE_MODE:
    case HIRSEL__NODE_CHANGE__CHANGE_OWNER:
    case HIRSEL__NODE_CHANGE__CHANGE_TIMES:
        return EROFS;
    default:
        return EINVAL;
    }
}

void serve_change(struct port *port, ProtobufCMessage *message, struct msg *raw,
                  struct reply *reply, void *context)
{
    const Hirsel__NodeRequest *request = (const Hirsel__NodeRequest *)message;
    struct walk walk;
    int error = walk_path(&request->path, change_follows(request), &walk);

    (void)port, (void)raw, (void)context;
    if (error == 0 && walk.redirect) {
        reply_redirect(reply, &walk);
        return;
    }
    if (error == ENOENT && walk.parent &&
        (change_makes(request->change) || request->change == HIRSEL__NODE_CHANGE__CHANGE_LINK))
        error = EROFS;
    else if (error == 0 && !walk.node && library.translator->device &&
             change_follows(&(Hirsel__NodeRequest){.change = request->change, .follow = 1}))
        error = device_error(request->change);
    else if (error == 0)
        error = present_error(walk.node, request->change);
    reply_error(reply, error);
}
