/* Opening a node, with the errors of a read-only file system in the kernel's order. */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "translators/lib/library.h"

static bool wants_to_write(int flags)
{
    return (flags & O_ACCMODE) != O_RDONLY || (flags & O_TRUNC);
}

/* The name is missing. */
static int missing_error(const struct walk *walk, int error, int flags)
{
    return error == ENOENT && walk->parent && (flags & O_CREAT) ? EROFS : error;
}

static int symlink_descriptor(struct node *node, int flags)
{
    int error;

    if (flags & O_DIRECTORY)
        return -ENOTDIR;
    if (!(flags & O_PATH))
        return -ELOOP;
    error = mirror_ensure(node);
    return error != 0 ? -error : mirror_descriptor(node, O_PATH | O_NOFOLLOW);
}

static int directory_descriptor(struct node *node, int flags)
{
    int error;

    if (!(flags & O_PATH)) {
        /* O_TMPFILE is O_DIRECTORY and a bit of its own. */
        if ((flags & O_TMPFILE) == O_TMPFILE)
            return -EROFS;
        if ((flags & O_CREAT) || (flags & O_ACCMODE) != O_RDONLY || (flags & O_TRUNC))
            return -EISDIR;
        error = permission_check(node->mode, R_OK);
        if (error != 0)
            return -error;
    }
    return placeholder_open(node, flags);
}

/* Nobody is at its other end, nor can be. */
static int fifo_descriptor(struct node *node, int flags)
{
    static const int wanted[] = {R_OK, W_OK, R_OK | W_OK, R_OK | W_OK};
    int error;

    if (flags & O_DIRECTORY)
        return -ENOTDIR;
    error = flags & O_PATH ? mirror_ensure(node)
                           : permission_check(node->mode, wanted[flags & O_ACCMODE]);
    if (error != 0)
        return -error;
    return flags & O_PATH ? mirror_descriptor(node, O_PATH | O_NOFOLLOW) : -ENXIO;
}

static void answer(struct reply *reply, struct node *node, int descriptor)
{
    struct stat attributes;
    int error = descriptor < 0 ? -descriptor : mirror_stat(node, &attributes);

    if (error == 0) {
        reply_opened(reply, descriptor, &attributes);
        return;
    }
    if (descriptor >= 0)
        close(descriptor);
    reply_error(reply, error);
}

static void open_regular(struct node *node, int flags, struct reply *reply)
{
    struct request *request;

    if (flags & O_DIRECTORY) {
        reply_error(reply, ENOTDIR);
        return;
    }
    if (!(flags & O_PATH) && wants_to_write(flags)) {
        reply_error(reply, EROFS);
        return;
    }
    request = request_new(reply, flags & ~(O_CREAT | O_EXCL | O_TRUNC), node);
    if (request)
        fill_open(request);
    else
        reply_error(reply, ENOMEM);
}

/* Tier 1. What only names the file does not run the translator. */
static void open_single(int flags, struct reply *reply)
{
    const char *device = library.translator->device;
    struct request *request;

    if (flags & O_DIRECTORY) {
        reply_error(reply, ENOTDIR);
        return;
    }
    request = request_new(reply, flags & ~(O_CREAT | O_EXCL | O_CLOEXEC), NULL);
    if (!request) {
        reply_error(reply, ENOMEM);
        return;
    }
    if (flags & O_PATH) {
        int descriptor = device ? open(device, O_PATH | O_CLOEXEC) : file_open(O_PATH);
        request_descriptor(request, device && descriptor < 0 ? -errno : descriptor);
    } else if (library.translator->open) {
        library.translator->open(request);
    } else {
        request_done(request, ENXIO);
    }
}

void serve_open(struct port *port, ProtobufCMessage *message, struct msg *raw, struct reply *reply,
                void *context)
{
    const Hirsel__NodeRequest *request = (const Hirsel__NodeRequest *)message;
    int flags = (int)request->flags;
    bool exclusive;
    struct walk walk;
    int error;

    (void)port, (void)raw, (void)context;
    if (flags & O_PATH)
        flags &= O_PATH | O_DIRECTORY | O_NOFOLLOW;
    exclusive = (flags & O_CREAT) && (flags & O_EXCL);
    error = walk_path(&request->path, !(flags & O_NOFOLLOW) && !exclusive, &walk);
    if (error != 0)
        reply_error(reply, missing_error(&walk, error, flags));
    else if (walk.redirect)
        reply_redirect(reply, &walk);
    else if (exclusive)
        reply_error(reply, EEXIST);
    else if (!walk.node)
        open_single(flags, reply);
    else if (S_ISLNK(walk.node->mode))
        answer(reply, walk.node, symlink_descriptor(walk.node, flags));
    else if (S_ISDIR(walk.node->mode))
        answer(reply, walk.node, directory_descriptor(walk.node, flags));
    else if (S_ISFIFO(walk.node->mode))
        answer(reply, walk.node, fifo_descriptor(walk.node, flags));
    else
        open_regular(walk.node, flags, reply);
}
