#include "servers/lib/passing.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Between two tries, and in all: where the sender must not wait, and else. */
#define CROWD_PAUSE_MS 10
#define CROWD_SHORT_MS 1000
#define CROWD_LIMIT_MS 10000

union control {
    struct cmsghdr header;
    char space[CMSG_SPACE(sizeof(int))];
};

ssize_t passing_send(int to, const void *bytes, size_t length, int descriptor, int flags)
{
    struct iovec part = {.iov_base = (void *)bytes, .iov_len = length};
    union control control = {0};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};

    if (descriptor >= 0) {
        message.msg_control = &control;
        message.msg_controllen = sizeof control;
        control.header.cmsg_level = SOL_SOCKET;
        control.header.cmsg_type = SCM_RIGHTS;
        control.header.cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(&control.header), &descriptor, sizeof(int));
    }
    /* What all of the user's processes have in flight counts against this one's limit: this passes,
     * and nothing tells when. */
    for (int left = flags & MSG_DONTWAIT ? CROWD_SHORT_MS : CROWD_LIMIT_MS;;
         left -= CROWD_PAUSE_MS) {
        ssize_t sent = sendmsg(to, &message, flags | MSG_NOSIGNAL);

        if (sent >= 0 || errno != ETOOMANYREFS || left <= 0)
            return sent;
        poll(NULL, 0, CROWD_PAUSE_MS);
    }
}

ssize_t passing_receive(int from, void *bytes, size_t size, int *descriptor)
{
    struct iovec part = {.iov_base = bytes, .iov_len = size};
    union control control = {0};
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = &control,
                             .msg_controllen = sizeof control};
    ssize_t length = recvmsg(from, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);

    *descriptor = -1;
    if (length >= 0 && message.msg_controllen >= CMSG_LEN(sizeof(int)) &&
        control.header.cmsg_type == SCM_RIGHTS)
        memcpy(descriptor, CMSG_DATA(&control.header), sizeof(int));
    return length;
}
