/* Filling backing files, and those who wait for it. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "translators/lib/library.h"

static struct filling *filling_find(const struct node *node)
{
    struct filling *filling;

    LIST_FOREACH(filling, &library.fillings, entry)
    if (filling->node == node)
        return filling;
    return NULL;
}

static struct filling *filling_new(struct node *node)
{
    struct filling *filling = calloc(1, sizeof(*filling));

    if (!filling)
        return NULL;
    filling->node = node;
    filling->descriptor = -1;
    LIST_INIT(&filling->waiters);
    LIST_INSERT_HEAD(&library.fillings, filling, entry);
    return filling;
}

static void filling_free(struct filling *filling)
{
    LIST_REMOVE(filling, entry);
    if (filling->descriptor >= 0)
        close(filling->descriptor);
    free(filling);
}

bool fill_any(void)
{
    return !LIST_EMPTY(&library.fillings) || !LIST_EMPTY(&library.requests);
}

/* The kernel decides whether the file's own mode allows the open. */
static void waiter_answer(struct request *request, int error)
{
    struct node *node = request->node;
    struct stat attributes;
    int descriptor = -1;

    if (error == 0) {
        descriptor = mirror_descriptor(node, request->flags);
        if (descriptor < 0)
            error = -descriptor;
        else if (fstat(descriptor, &attributes) != 0)
            error = errno;
    }
    if (error == 0) {
        node_original(node)->handed = 1;
        reply_opened(request->reply, descriptor, &attributes);
    } else {
        if (descriptor >= 0)
            close(descriptor);
        reply_error(request->reply, error);
    }
    free(request);
}

static void waiter_cancelled(struct reply *reply, void *context)
{
    struct request *request = context;
    struct node *node = node_original(request->node);
    struct filling *filling = filling_find(node);

    LIST_REMOVE(request, entry);
    free(request);
    reply_error(reply, ECANCELED);
    if (filling && LIST_EMPTY(&filling->waiters) && library.translator->fill_unwanted)
        library.translator->fill_unwanted(node, library.state);
}

void fill_open(struct request *request)
{
    struct node *node = node_original(request->node);
    struct filling *filling;
    int error = mirror_ensure(request->node);

    if (error != 0 || node->filled) {
        waiter_answer(request, error);
        return;
    }
    filling = filling_find(node);
    if (filling) {
        LIST_INSERT_HEAD(&filling->waiters, request, entry);
        reply_on_cancel(request->reply, waiter_cancelled, request);
        return;
    }
    filling = filling_new(node);
    if (!filling || !library.translator->fill) {
        if (filling)
            filling_free(filling);
        waiter_answer(request, filling ? EIO : ENOMEM);
        return;
    }
    LIST_INSERT_HEAD(&filling->waiters, request, entry);
    reply_on_cancel(request->reply, waiter_cancelled, request);
    library.translator->fill(node, library.state);
}

bool node_filled(struct node *node)
{
    node = node_original(node);
    return mirror_ensure(node) == 0 && node->filled;
}

int node_fill_begin(struct node *node)
{
    struct filling *filling;
    int error;

    node = node_original(node);
    if (!S_ISREG(node->mode))
        return -EINVAL;
    error = mirror_ensure(node);
    if (error != 0)
        return -error;
    if (node->filled)
        return -EEXIST;
    filling = filling_find(node);
    if (filling && filling->descriptor >= 0)
        return -EALREADY;
    if (!filling)
        filling = filling_new(node);
    if (!filling)
        return -ENOMEM;
    /* O_TRUNC: a killed life may have left a part. */
    filling->descriptor = mirror_descriptor(node, O_WRONLY | O_TRUNC);
    if (filling->descriptor < 0) {
        error = filling->descriptor;
        filling->descriptor = -1;
        if (LIST_EMPTY(&filling->waiters))
            filling_free(filling);
        return error;
    }
    return filling->descriptor;
}

/* The mode last: it is what says that the file is complete. */
static int filling_complete(struct filling *filling)
{
    const struct node *node = filling->node;
    struct timespec time = {(time_t)node->modified_seconds, (long)node->modified_nanoseconds};
    struct timespec times[2] = {time, time};

    if (ftruncate(filling->descriptor, (off_t)node->size) != 0 ||
        futimens(filling->descriptor, times) != 0 ||
        fchmod(filling->descriptor, node->mode & 07777) != 0)
        return errno;
    return 0;
}

void node_fill_end(struct node *node, int error)
{
    struct filling *filling;
    struct request *request;

    node = node_original(node);
    filling = filling_find(node);
    if (!filling)
        return;
    if (error == 0)
        error = filling->descriptor >= 0 ? filling_complete(filling) : EIO;
    if (error == 0)
        node->filled = 1;
    else if (filling->descriptor >= 0 && ftruncate(filling->descriptor, 0) != 0)
        translator_log("%s: can't give back the room of a part: errno %d", node_name(node), errno);
    /* Closed before anybody is told: who opens the file to execute it must not find a writer. */
    if (filling->descriptor >= 0)
        close(filling->descriptor);
    /* Out of the list first: an answer may lead to a new open of the same node. */
    LIST_REMOVE(filling, entry);
    while ((request = LIST_FIRST(&filling->waiters))) {
        LIST_REMOVE(request, entry);
        waiter_answer(request, error);
    }
    free(filling);
}
