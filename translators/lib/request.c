/* An open that waits for its answer, as a translator sees it. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "translators/lib/library.h"

static void cancelled(struct reply *reply, void *context)
{
    struct request *request = context;

    (void)reply;
    if (request->cancelled)
        request->cancelled(request, request->cancelled_context);
}

struct request *request_new(struct reply *reply, int flags, struct node *node)
{
    struct request *request = calloc(1, sizeof(*request));

    if (!request)
        return NULL;
    request->reply = reply;
    request->flags = flags;
    request->node = node;
    if (!node) {
        LIST_INSERT_HEAD(&library.requests, request, entry);
        reply_on_cancel(reply, cancelled, request);
    }
    return request;
}

static void request_free(struct request *request)
{
    LIST_REMOVE(request, entry);
    free(request);
}

void *request_state(const struct request *request)
{
    (void)request;
    return library.state;
}

int request_flags(const struct request *request)
{
    return request->flags;
}

bool request_refused_writing(struct request *request)
{
    if ((request->flags & O_ACCMODE) == O_RDONLY && !(request->flags & O_TRUNC))
        return false;
    request_done(request, EROFS);
    return true;
}

void request_done(struct request *request, int error)
{
    reply_error(request->reply, error != 0 ? error : EIO);
    request_free(request);
}

void request_descriptor(struct request *request, int descriptor)
{
    struct stat attributes;

    if (descriptor >= 0 && fstat(descriptor, &attributes) != 0) {
        int error = errno;
        close(descriptor);
        descriptor = -error;
    }
    if (descriptor < 0) {
        request_done(request, -descriptor);
        return;
    }
    reply_opened(request->reply, descriptor, &attributes);
    request_free(request);
}

void request_on_cancel(struct request *request, request_cancelled *told, void *context)
{
    request->cancelled = told;
    request->cancelled_context = context;
}
