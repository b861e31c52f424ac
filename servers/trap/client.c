#include "servers/trap/client.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "servers/lib/opener.h"
#include "servers/lib/process.h"
#include "shim/core/text.h"

#define PAGE 4096u
/* Most paths are shorter: what is behind them is not fetched. */
#define TEXT_FIRST 256u
/* The opener answers at once or not at all. */
#define OPENER_SECONDS 2

void client_begin(struct client *client, pid_t tid, int opener)
{
    size_t length;

    client->tid = tid;
    client->opener = opener;
    client->memory = -1;
    client->unreadable = false;
    client->group = 0;
    memcpy(client->process, "/proc/", 6);
    length = 6 + text_put_number(client->process + 6, (uint64_t)tid);
    client->process[length] = '\0';
}

void client_end(struct client *client)
{
    if (client->memory >= 0)
        close(client->memory);
    client->memory = -1;
}

static int descriptor_receive(int socket)
{
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof(int))];
    } control;
    struct opener_answer answer = {.error = EIO};
    struct iovec part = {&answer, sizeof answer};
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = &control,
                             .msg_controllen = sizeof control};
    struct cmsghdr *header;
    int descriptor = -1;
    ssize_t got;

    do
        got = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
    while (got < 0 && errno == EINTR);
    if (got != (ssize_t)sizeof answer)
        return -1;
    header = CMSG_FIRSTHDR(&message);
    if (header != NULL && header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS &&
        header->cmsg_len == CMSG_LEN(sizeof(int)))
        memcpy(&descriptor, CMSG_DATA(header), sizeof descriptor);
    return descriptor;
}

static int request_send(int opener, const struct opener_request *request, int answer)
{
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof(int))];
    } control = {.space = {0}};
    struct iovec part = {(void *)(uintptr_t)request, sizeof *request};
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = &control,
                             .msg_controllen = sizeof control};
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    ssize_t sent;

    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(header), &answer, sizeof answer);
    do
        sent = sendmsg(opener, &message, MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    return sent < 0 ? -1 : 0;
}

/* Have something of it opened by an ancestor of it. A descriptor or -1. */
static int opener_ask(const struct client *client, const struct opener_request *request)
{
    struct timeval wait = {.tv_sec = OPENER_SECONDS};
    int ends[2], opened = -1;

    if (client->opener < 0 || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
        return -1;
    setsockopt(ends[0], SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
    int sent = request_send(client->opener, request, ends[1]);
    close(ends[1]);
    if (sent == 0)
        opened = descriptor_receive(ends[0]);
    close(ends[0]);
    return opened;
}

static int memory_ask(const struct client *client)
{
    struct opener_request request = {.what = OPENER_MEMORY, .tid = (uint32_t)client->tid};

    return opener_ask(client, &request);
}

int client_place(const struct client *client, int descriptor)
{
    struct opener_request request = {.what = OPENER_PLACE,
                                     .tid = (uint32_t)client->tid,
                                     .descriptor = descriptor == AT_FDCWD ? -1 : descriptor};
    char link[64];
    int opened;

    if (descriptor == AT_FDCWD)
        snprintf(link, sizeof link, "%s/cwd", client->process);
    else if (descriptor >= 0)
        snprintf(link, sizeof link, "%s/fd/%d", client->process, descriptor);
    else
        return -EBADF;
    opened = open(link, O_PATH | O_CLOEXEC);
    if (opened >= 0 || (errno != EACCES && errno != EPERM))
        return opened >= 0 ? opened : errno == ENOENT ? -EBADF : -errno;
    opened = opener_ask(client, &request);
    return opened >= 0 ? opened : -EACCES;
}

void client_tell(const struct client *client, const char *program)
{
    struct opener_request request = {.what = OPENER_TELL, .tid = (uint32_t)client->tid};
    int ends[2];

    if (client->opener < 0 || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
        return;
    snprintf(request.name, sizeof request.name, "%s", program);
    request_send(client->opener, &request, ends[1]);
    close(ends[0]);
    close(ends[1]);
}

/* One piece, by whichever way there is: how many bytes, or -errno. */
static long memory_move(struct client *client, void *here, uint64_t there, size_t length,
                        bool write)
{
    struct iovec own = {here, length}, its = {(void *)(uintptr_t)there, length};
    ssize_t moved;

    if (client->unreadable)
        return -EPERM;
    if (client->memory < 0) {
        moved = write ? process_vm_writev(client->tid, &own, 1, &its, 1, 0)
                      : process_vm_readv(client->tid, &own, 1, &its, 1, 0);
        if (moved >= 0 || (errno != EPERM && errno != ENOSYS))
            return moved >= 0 ? moved : -errno;
        client->memory = memory_ask(client);
        if (client->memory < 0) {
            client->unreadable = true;
            return -EPERM;
        }
    }
    moved = write ? pwrite(client->memory, here, length, (off_t)there)
                  : pread(client->memory, here, length, (off_t)there);
    /* Nothing: the address space has gone. */
    return moved > 0 ? moved : moved == 0 ? -ESRCH : errno == EIO ? -EFAULT : -errno;
}

static long memory_all(struct client *client, void *here, uint64_t there, size_t length, bool write)
{
    char *at = here;

    while (length > 0) {
        long moved = memory_move(client, at, there, length, write);

        if (moved <= 0)
            return moved == 0 ? -EFAULT : moved;
        at += moved;
        there += (uint64_t)moved;
        length -= (size_t)moved;
    }
    return 0;
}

long client_read(struct client *client, void *to, uint64_t from, size_t length)
{
    return memory_all(client, to, from, length, false);
}

long client_write(struct client *client, uint64_t to, const void *from, size_t length)
{
    return memory_all(client, (void *)(uintptr_t)from, to, length, true);
}

long client_text(struct client *client, char *to, uint64_t from, size_t size)
{
    size_t done = 0;

    while (done < size) {
        /* Never over the border of a page whose neighbour may not be there. */
        size_t piece = PAGE - (size_t)((from + done) % PAGE);
        long got;

        if (piece > size - done)
            piece = size - done;
        if (done == 0 && piece > TEXT_FIRST)
            piece = TEXT_FIRST;
        got = memory_move(client, to + done, from + done, piece, false);
        if (got <= 0)
            return got == 0 ? -EFAULT : got;
        const char *end = memchr(to + done, '\0', (size_t)got);
        if (end != NULL)
            return end - to;
        done += (size_t)got;
    }
    return -ENAMETOOLONG;
}

/* A process's "/". The mount's number tells mount name spaces apart, as each has its own. */
static bool root_read(const char *process, struct statx *root)
{
    char path[48];

    snprintf(path, sizeof path, "%s/root", process);
    return statx(AT_FDCWD, path, 0, STATX_INO | STATX_MNT_ID, root) == 0;
}

bool client_shares_root(const struct client *client)
{
    static struct statx own;
    struct statx its;

    if (own.stx_mask == 0 && !root_read("/proc/self", &own))
        return true; /* no procfs: nobody can tell */
    return !root_read(client->process, &its) ||
           (own.stx_dev_major == its.stx_dev_major && own.stx_dev_minor == its.stx_dev_minor &&
            own.stx_ino == its.stx_ino && own.stx_mnt_id == its.stx_mnt_id);
}

long client_status(const struct client *client, const char *field, int base)
{
    char text[4096];
    size_t length = strlen(field);
    ssize_t got = process_read(client->tid, "status", text, sizeof text - 1);

    if (got <= 0)
        return -1;
    text[got] = '\0';
    for (char *line = text; line != NULL; line = strchr(line, '\n')) {
        if (*line == '\n')
            line++;
        if (strncmp(line, field, length) == 0 && line[length] == ':')
            return strtol(line + length + 1, NULL, base);
    }
    return -1;
}

long client_group(struct client *client)
{
    if (client->group == 0) {
        long group = client_status(client, "Tgid", 10);

        if (group <= 0)
            return -ESRCH;
        client->group = (pid_t)group;
    }
    return client->group;
}

long client_descriptor(struct client *client, int descriptor)
{
    /* Most threads are their process's only one: to ask procfs for the process costs more. */
    int process = (int)syscall(SYS_pidfd_open, client->tid, 0), got;
    long group = client->tid, error;

    if (process < 0) {
        group = client_group(client);
        if (group < 0)
            return group;
        process = (int)syscall(SYS_pidfd_open, group, 0);
    }
    if (process < 0)
        return -errno;
    got = (int)syscall(SYS_pidfd_getfd, process, descriptor, 0);
    error = -errno;
    close(process);
    if (got < 0 && error == -EPERM) {
        struct opener_request request = {
            .what = OPENER_DESCRIPTOR, .tid = (uint32_t)group, .descriptor = descriptor};

        got = opener_ask(client, &request);
    }
    return got < 0 ? error : got;
}
