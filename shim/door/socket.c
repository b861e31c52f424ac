/* Calls with socket addresses: the names of Unix sockets are paths, both ways; addresses of a space
 * whose network is not the host's are dealt with in shim/core/net.c. */
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include "shim/core/memory.h"
#include "shim/core/net.h"
#include "shim/core/net_calls.h"
#include "shim/core/scratch.h"
#include "shim/core/text.h"
#include "shim/core/unix_name.h"
#include "shim/door/door.h"

#define MESSAGES_MAX 1024u /* as the kernel has it (UIO_MAXIOV) */

/* sendto with an address as a message: it has no room for the lane's cookie. What the kernel finds
 * wrong with the lengths of one and not of the other it is asked itself. */
static long send_native(const long arguments[6])
{
    long length = (int)arguments[5];
    if (!the_shim.trapped || trap_decides() || arguments[4] == 0 || length <= 0 ||
        length > (long)sizeof(struct sockaddr_storage) || arguments[2] < 0)
        return call_native(SYS_sendto, arguments);
    struct iovec part = {(void *)arguments[1], (size_t)arguments[2]};
    struct msghdr message = {.msg_name = (void *)arguments[4],
                             .msg_namelen = (socklen_t)length,
                             .msg_iov = &part,
                             .msg_iovlen = 1};
    return lane_call(SYS_sendmsg, arguments[0], (long)&message, arguments[3], 0, 0);
}

/* As decided. */
static long decided_call(long number, const long arguments[6])
{
    return number == SYS_sendto ? send_native(arguments) : call_native(number, arguments);
}

static bool network_is_the_hosts(void)
{
    return __atomic_load_n(&the_shim.core.net->mode, __ATOMIC_RELAXED) == SPACE_NET_HOST;
}

/* The call with the addresses of the space's network. */
static long network_call(long number, const long arguments[6])
{
    return network_is_the_hosts() ? decided_call(number, arguments)
                                  : net_call(the_shim.core.net, number, arguments);
}

/* ---- addresses that go out ---- */

/* An address as the program gives it, and the call with another one in its place. */
struct outgoing {
    long number;
    const long *arguments;
    long address;
    long length;
    /* sendmsg: a copy of its message; else which argument the address is, its length the next. */
    struct msghdr *message;
    int at;
};

static long outgoing_call(const struct outgoing *out, struct sockaddr_un *address, long length)
{
    long changed[6];
    bytes_copy(changed, out->arguments, sizeof changed);
    if (out->message == NULL) {
        changed[out->at] = (long)address;
        changed[out->at + 1] = length;
    } else {
        out->message->msg_name = address;
        out->message->msg_namelen = (socklen_t)length;
        changed[1] = (long)out->message;
    }
    return decided_call(out->number, changed);
}

/* The call with the address of the file that the session's path leads to. */
static long outgoing_walk(const struct outgoing *out, const char *path)
{
    struct sockaddr_un address;
    struct hold hold;
    char *host = scratch_take(&hold, PATH_LIMIT);
    if (host == NULL)
        return -ENOMEM;
    unsigned options = out->number == SYS_bind ? WALK_NAME : WALK_FOLLOW;
    long result = path_to_host(AT_FDCWD, path, options, host, NULL);
    if (result == 0)
        result = unix_name_out(&the_shim.core, host, &address);
    if (result > 0)
        result = outgoing_call(out, &address, result);
    scratch_give(&hold, host, PATH_LIMIT);
    return result;
}

/* bind, connect, sendto, sendmsg. */
static long outgoing_send(const struct outgoing *out, const struct view *view)
{
    struct sockaddr_un address;
    char path[UNIX_PATH_SIZE + 1];
    bool making = out->number == SYS_bind;
    if (out->length <= (long)UNIX_PATH_START || out->length > (long)sizeof address ||
        !memory_read(&address, out->address, (size_t)out->length) ||
        !unix_name_path(&address, (size_t)out->length, path))
        return network_call(out->number, out->arguments);
    bool direct = text_find(view, AT_FDCWD, path) == TEXT_CLEAR &&
                  !(making && view->table != NULL && table_has_read_only(view->table)) &&
                  (!links_matter(view, path) || path_is_direct(AT_FDCWD, path, !making) != -ELOOP);
    /* What was read is what is sent: the program's own bytes may change meanwhile. */
    long result = direct ? outgoing_call(out, &address, out->length) : -ENOENT;
    if (result != -ENOENT)
        return result;
    result = outgoing_walk(out, path);
    return result == -ESTALE ? outgoing_call(out, &address, out->length) : result;
}

static long address_send(long number, const long arguments[6], int at, const struct view *view)
{
    struct outgoing out = {
        .number = number,
        .arguments = arguments,
        .address = arguments[at],
        .length = (int)arguments[at + 1],
        .at = at,
    };
    return outgoing_send(&out, view);
}

static long message_send(const long arguments[6], const struct view *view)
{
    struct msghdr message;
    if (!memory_read(&message, arguments[1], sizeof message) || message.msg_name == NULL)
        return network_call(SYS_sendmsg, arguments);
    struct outgoing out = {
        .number = SYS_sendmsg,
        .arguments = arguments,
        .address = (long)message.msg_name,
        .length = (int)message.msg_namelen,
        .message = &message,
    };
    return outgoing_send(&out, view);
}

static bool is_unix(long descriptor)
{
    return socket_option(descriptor, SOL_SOCKET, SO_DOMAIN) == AF_UNIX;
}

/* sendmmsg, one by one as the kernel does. */
static long messages_send(const long arguments[6], const struct view *view)
{
    if (!is_unix(arguments[0]))
        return network_call(SYS_sendmmsg, arguments);
    unsigned long count = (unsigned)arguments[2];
    if (count > MESSAGES_MAX)
        count = MESSAGES_MAX;
    unsigned long sent = 0;
    long result = 0;
    for (; sent < count; sent++) {
        long at = arguments[1] + (long)(sent * sizeof(struct mmsghdr));
        long length_at = at + (long)offsetof(struct mmsghdr, msg_len);
        const long one[6] = {arguments[0], at, arguments[3], 0, 0, 0};
        result = memory_writable(length_at, arguments[0]) ? message_send(one, view) : -EFAULT;
        if (system_failed(result))
            break;
        *(unsigned *)length_at = (unsigned)result;
    }
    return sent > 0 ? (long)sent : result;
}

/* ---- addresses that come in ---- */

/* Where the program wants an address. */
struct incoming {
    long address;
    long length_at;
    uint32_t room;
};

static bool incoming_read(struct incoming *in, long address, long length_at)
{
    in->address = address;
    in->length_at = length_at;
    return address != 0 && length_at != 0 && memory_read(&in->room, length_at, sizeof in->room);
}

/* The kernel has written an address there: say what the session calls it. `whole`: a socket and the
 * call that tell it again where the program's room was too small; or -1. */
static void incoming_translate(const struct incoming *in, long whole, long number,
                               const struct view *view)
{
    struct sockaddr_un address;
    uint32_t length;
    bytes_copy(&length, (const void *)in->length_at, sizeof length);
    if (length <= UNIX_PATH_START + 1 || length > sizeof address)
        return;
    uint32_t got = length < in->room ? length : in->room;
    socklen_t room = sizeof address;
    if (got == length)
        bytes_copy(&address, (const void *)in->address, got);
    else if (whole < 0 || lane_call(number, whole, (long)&address, (long)&room, 0, 0) != 0 ||
             room != length)
        return;
    length = (uint32_t)unix_name_in(&the_shim.caller, view->table, &address, length);
    if (length == 0)
        return;
    /* There may be less than the program says that there is. */
    got = length < in->room ? length : in->room;
    if (the_shim.caller.write(&the_shim.caller, (void *)in->address, &address, got) == 0)
        bytes_copy((void *)in->length_at, &length, sizeof length);
}

static long address_receive(long number, const long arguments[6], int at, const struct view *view)
{
    struct incoming in;
    bool wanted = incoming_read(&in, arguments[at], arguments[at + 1]);
    bool as_message =
        number == SYS_recvfrom && wanted && the_shim.trapped && network_is_the_hosts();
    long result = as_message ? receive_from(arguments, in.room) : network_call(number, arguments);
    if (!wanted || system_failed(result))
        return result;
    bool own = number == SYS_getsockname || number == SYS_getpeername;
    bool accepted = number == SYS_accept || number == SYS_accept4;
    incoming_translate(&in,
                       own        ? arguments[0]
                       : accepted ? result
                                  : -1,
                       own ? number : SYS_getpeername, view);
    return result;
}

static bool message_read(struct incoming *in, long at)
{
    struct msghdr message;
    if (!memory_read(&message, at, sizeof message) || message.msg_name == NULL)
        return false;
    in->address = (long)message.msg_name;
    in->length_at = at + (long)offsetof(struct msghdr, msg_namelen);
    in->room = message.msg_namelen;
    return true;
}

static long message_receive(const long arguments[6], const struct view *view)
{
    struct incoming in;
    bool wanted = message_read(&in, arguments[1]);
    long result = network_call(SYS_recvmsg, arguments);
    if (wanted && !system_failed(result))
        incoming_translate(&in, -1, 0, view);
    return result;
}

static long messages_receive(const long arguments[6], const struct view *view)
{
    unsigned long count = (unsigned)arguments[2];
    if (count > MESSAGES_MAX)
        count = MESSAGES_MAX;
    const size_t size = MESSAGES_MAX * sizeof(struct incoming);
    struct hold hold;
    struct incoming *in = count > 0 && is_unix(arguments[0]) ? scratch_take(&hold, size) : NULL;
    if (in == NULL)
        return network_call(SYS_recvmmsg, arguments);
    for (unsigned long i = 0; i < count; i++)
        if (!message_read(&in[i], arguments[1] + (long)(i * sizeof(struct mmsghdr))))
            in[i].room = 0;
    long result = network_call(SYS_recvmmsg, arguments);
    for (long i = 0; i < result; i++)
        if (in[i].room > 0)
            incoming_translate(&in[i], -1, 0, view);
    scratch_give(&hold, in, size);
    return result;
}

long socket_call(long number, const long arguments[6])
{
    struct view view = view_get();
    if ((view.table != NULL || view.places) && !trap_decides()) {
        switch (number) {
        case SYS_bind:
        case SYS_connect:
            return address_send(number, arguments, 1, &view);
        case SYS_sendto:
            return arguments[4] == 0 ? network_call(number, arguments)
                                     : address_send(number, arguments, 4, &view);
        case SYS_sendmsg:
            return message_send(arguments, &view);
        case SYS_sendmmsg:
            return messages_send(arguments, &view);
        default:
            break;
        }
    }
    if (view.table != NULL && view.binds) {
        switch (number) {
        case SYS_getsockname:
        case SYS_getpeername:
        case SYS_accept:
        case SYS_accept4:
            return address_receive(number, arguments, 1, &view);
        case SYS_recvfrom:
            return address_receive(number, arguments, 4, &view);
        case SYS_recvmsg:
            return message_receive(arguments, &view);
        case SYS_recvmmsg:
            return messages_receive(arguments, &view);
        default:
            break;
        }
    }
    return network_call(number, arguments);
}
