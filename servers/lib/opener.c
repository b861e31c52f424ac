#include "servers/lib/opener.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "servers/lib/passing.h"

static int descriptor_duplicate(const struct opener_request *request)
{
    int process = (int)syscall(SYS_pidfd_open, request->tid, 0);
    int duplicate, error;

    if (process < 0)
        return -1;
    duplicate = (int)syscall(SYS_pidfd_getfd, process, request->descriptor, 0);
    error = errno;
    close(process);
    errno = error;
    return duplicate;
}

/* A descriptor, or -1 with errno. */
static int request_open(const struct opener_request *request)
{
    char path[64];

    switch (request->what) {
    case OPENER_MEMORY:
        snprintf(path, sizeof path, "/proc/%u/mem", request->tid);
        return open(path, O_RDWR | O_CLOEXEC);
    case OPENER_PLACE:
        if (request->descriptor < 0)
            snprintf(path, sizeof path, "/proc/%u/cwd", request->tid);
        else
            snprintf(path, sizeof path, "/proc/%u/fd/%d", request->tid, request->descriptor);
        return open(path, O_PATH | O_CLOEXEC);
    case OPENER_DESCRIPTOR:
        return descriptor_duplicate(request);
    default:
        errno = EINVAL;
        return -1;
    }
}

static void request_answer(const struct opener_request *request, int to)
{
    struct opener_answer answer = {0};
    int opened = request_open(request);

    if (opened < 0)
        answer.error = errno;
    /* Who asked may be gone: that is its business. */
    passing_send(to, &answer, sizeof answer, opened, MSG_DONTWAIT);
    if (opened >= 0)
        close(opened);
}

static void request_run(struct opener_request *request, int to, const struct opener_hands *hands)
{
    if (request->what == OPENER_BESIDE && hands->beside != NULL &&
        hands->beside(to, request->tid) == 0)
        return;
    if (request->what == OPENER_TELL && hands->tell != NULL) {
        request->name[OPENER_NAME_SIZE - 1] = '\0';
        hands->tell(hands->context, request->name);
        return;
    }
    request_answer(request, to);
}

bool opener_serve(int from, const struct opener_hands *hands)
{
    struct opener_request request;
    int to;
    ssize_t length = passing_receive(from, &request, sizeof request, &to);
    int error = errno;

    if (length == sizeof request && to >= 0)
        request_run(&request, to, hands);
    if (to >= 0)
        close(to);
    return length > 0 || (length < 0 && (error == EAGAIN || error == EINTR));
}
