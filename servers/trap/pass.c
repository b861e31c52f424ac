/* A descriptor that is open as O_PATH alone, handed over: with an answer the kernel takes none of
 * these, by a socket it does. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "servers/lib/passing.h"
#include "servers/trap/act.h"
#include "servers/trap/guide.h"

/* What is put into the caller's memory. */
struct led {
    struct msghdr header;
    struct iovec part;
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof(int))];
    } control;
    char byte;
};

static void led_relocate(void *text, uint64_t at)
{
    struct led *led = text;

    led->header.msg_iov = (struct iovec *)(uintptr_t)(at + offsetof(struct led, part));
    led->header.msg_control = (void *)(uintptr_t)(at + offsetof(struct led, control));
    led->part.iov_base = (void *)(uintptr_t)(at + offsetof(struct led, byte));
}

/* Its number, which the kernel wrote there. */
static void led_after(struct worker *worker, const struct guidance *guidance, uint64_t text,
                      long *result)
{
    struct led led;
    int number;

    (void)guidance;
    if (*result < 0)
        return;
    if (client_read(&worker->client, &led, text, sizeof led) < 0) {
        *result = -EFAULT;
    } else if (led.control.header.cmsg_type != SCM_RIGHTS ||
               led.control.header.cmsg_len != CMSG_LEN(sizeof number)) {
        *result = -EMFILE; /* it has no room for one more */
    } else {
        memcpy(&number, CMSG_DATA(&led.control.header), sizeof number);
        *result = number;
    }
}

long act_pass(struct worker *worker, int descriptor)
{
    bool closes = (act_open_flags(&worker->call) & O_CLOEXEC) != 0;
    struct led led = {.header = {.msg_iovlen = 1, .msg_controllen = sizeof led.control},
                      .part = {.iov_len = 1}};
    struct guidance guidance = {.number = SYS_recvmsg,
                                .arguments = {0, 0, closes ? MSG_CMSG_CLOEXEC : 0},
                                .text_at = 1,
                                .text = &led,
                                .text_length = sizeof led,
                                .settle = closes ? F_DUPFD_CLOEXEC : F_DUPFD,
                                .relocate = led_relocate,
                                .after = led_after};
    int ends[2];
    long result;

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
        return -errno;
    guidance.descriptor = ends[0];
    result = passing_send(ends[1], "", 1, descriptor, MSG_NOSIGNAL | MSG_DONTWAIT) == 1
                 ? guide(worker, &guidance)
                 : -errno;
    close(ends[0]);
    close(ends[1]);
    return result;
}
