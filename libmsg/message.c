/* What a message that one received holds. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "libmsg/internal.h"

HOT struct storage *storage_new(size_t capacity)
{
    struct storage *storage = malloc(sizeof *storage + capacity);
    if (!storage)
        return NULL;
    storage->many = NULL;
    storage->capacity = capacity;
    return storage;
}

void storage_free(struct storage *storage)
{
    if (!storage)
        return;
    free(storage->many);
    free(storage);
}

void descriptors_close(const int *descriptors, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (descriptors[i] >= 0)
            close(descriptors[i]);
}

void descriptors_discard(const int *descriptors, size_t count)
{
    const struct linger none = {0};
    for (size_t i = 0; i < count; i++)
        if (descriptors[i] >= 0)
            (void)setsockopt(descriptors[i], SOL_SOCKET, SO_LINGER, &none, sizeof none);
    descriptors_close(descriptors, count);
}

int descriptors_duplicate(int *to, const int *from, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        to[i] = fcntl(from[i], F_DUPFD_CLOEXEC, 3);
        if (to[i] < 0) {
            int error = errno;
            descriptors_close(to, i);
            return error;
        }
    }
    return 0;
}

int message_own_descriptors(struct msg *message, const int *descriptors, size_t count)
{
    message->descriptors = NULL;
    message->descriptor_count = 0;
    if (count == 0)
        return 0;
    struct storage *storage = message->storage;
    if (!storage) {
        storage = storage_new(0);
        if (!storage)
            goto no_memory;
        message->storage = storage;
    }
    int *place = storage->few;
    if (count > STORAGE_FEW) {
        place = malloc(count * sizeof *place);
        if (!place)
            goto no_memory;
        storage->many = place;
    }
    memcpy(place, descriptors, count * sizeof *place);
    message->descriptors = place;
    message->descriptor_count = count;
    return 0;
no_memory:
    descriptors_close(descriptors, count);
    return ENOMEM;
}

int message_copy(struct msg *to, const struct msg *from)
{
    int descriptors[DESCRIPTORS_IN_PACKET];

    *to = *from;
    to->storage = NULL;
    to->body = NULL;
    to->descriptors = NULL;
    to->descriptor_count = 0;
    if (from->descriptor_count > DESCRIPTORS_IN_PACKET)
        return EMSGSIZE;
    if (from->length > 0) {
        struct storage *storage = storage_new(from->length);
        if (!storage)
            return ENOMEM;
        memcpy(storage->body, from->body, from->length);
        to->storage = storage;
        to->body = storage->body;
    }
    if (from->descriptor_count == 0)
        return 0;
    int error = descriptors_duplicate(descriptors, from->descriptors, from->descriptor_count);
    if (!error)
        error = message_own_descriptors(to, descriptors, from->descriptor_count);
    if (error)
        msg_release(to);
    return error;
}

int msg_take(struct msg *message, size_t index)
{
    if (!message->storage || index >= message->descriptor_count ||
        message->descriptors[index] < 0) {
        errno = EBADMSG;
        return -1;
    }
    int descriptor = message->descriptors[index];
    message->descriptors[index] = -1;
    return descriptor;
}

HOT void msg_release(struct msg *message)
{
    struct storage *storage = message->storage;
    if (!storage)
        return;
    descriptors_discard(message->descriptors, message->descriptor_count);
    storage_free(storage);
    message->storage = NULL;
    message->body = NULL;
    message->length = 0;
    message->descriptors = NULL;
    message->descriptor_count = 0;
}

HOT void msg_keep(struct msg *message, struct msg *to)
{
    *to = *message;
    /* What is left in the handler's hands is a view, whose release does nothing. */
    message->storage = NULL;
    if (to->length == 0 || (to->storage && ((struct storage *)to->storage)->capacity > 0))
        return;
    /* A local port's message: its body lies in the caller's memory, which will not wait. */
    struct storage *storage = storage_new(to->length);
    if (!storage) {
        to->body = NULL;
        to->length = 0;
        to->error = ENOMEM;
        return;
    }
    memcpy(storage->body, to->body, to->length);
    struct storage *old = to->storage;
    if (old) {
        storage->many = old->many;
        memcpy(storage->few, old->few, sizeof storage->few);
        to->descriptors = old->many ? old->many : storage->few;
        old->many = NULL;
        storage_free(old);
        message->descriptors = to->descriptors;
    }
    to->storage = storage;
    to->body = storage->body;
    message->body = to->body;
}
