#include "servers/lib/passing.h"

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

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
    return sendmsg(to, &message, flags | MSG_NOSIGNAL);
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
