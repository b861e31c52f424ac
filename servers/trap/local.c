/* Names of Unix sockets, which are paths. What leads elsewhere in the session than on the host is
 * bound here, on a duplicate of the caller's socket. Where the other end may ask the kernel who it
 * is, the thread itself connects or sends, led to the host's name. What the kernel tells of a name
 * comes back as the session's. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "servers/trap/act.h"
#include "servers/trap/credentials.h"
#include "servers/trap/guide.h"
#include "shim/core/unix_name.h"

/* ---- names that go out ---- */

/* Whether the kernel's own walk ends where the session's does. */
static bool is_plain(struct worker *worker, const struct view *view, const char *path,
                     unsigned options)
{
    struct walk *walk = &worker->walk;
    long result = walk_path(walk, &the_shim.caller, view->table, AT_FDCWD, path, options);

    if (result < 0)
        return !walk->touched;
    return !walk->touched && walk->entry == NULL && walk->place == PLACE_HOST;
}

long act_local_map(struct worker *worker, const struct sockaddr_un *given, size_t length,
                   unsigned options, struct sockaddr_un *to)
{
    char path[UNIX_PATH_SIZE + 1], host[PATH_LIMIT];
    struct view view = view_get();
    long result;

    if ((view.table == NULL && !view.places) || !unix_name_path(given, length, path) ||
        is_plain(worker, &view, path, options) || !client_shares_root(&worker->client))
        return 0;
    result = path_to_host(AT_FDCWD, path, options, host, NULL);
    return result < 0 ? result : unix_name_out(&the_shim.core, host, to);
}

/* sendto is led as sendmsg: its sixth argument is taken, and what is led goes by the lane. */
struct led {
    struct sockaddr_un address; /* bind's and connect's, which are given this alone */
    struct msghdr header;
    struct iovec part;
};

static void led_relocate(void *text, uint64_t at)
{
    struct led *led = text;

    led->header.msg_name = (void *)(uintptr_t)(at + offsetof(struct led, address));
    led->header.msg_iov = (struct iovec *)(uintptr_t)(at + offsetof(struct led, part));
}

static long lead(struct worker *worker, struct led *led, socklen_t length)
{
    const long *given = worker->call.given;
    struct guidance guidance = {.number = worker->call.number,
                                .arguments = {given[0], 0, length},
                                .text_at = 1,
                                .text = led,
                                .text_length = length,
                                .descriptor = -1};

    if (worker->call.number == SYS_sendto) {
        guidance.number = SYS_sendmsg;
        guidance.arguments[2] = given[3];
        guidance.text_length = sizeof *led;
        guidance.text_offset = offsetof(struct led, header);
        guidance.relocate = led_relocate;
        led->header = (struct msghdr){.msg_namelen = length, .msg_iovlen = 1};
        led->part = (struct iovec){(void *)given[1], (size_t)given[2]};
    }
    return guide(worker, &guidance);
}

static bool has_name(int descriptor, const struct sockaddr_un *address, socklen_t length)
{
    struct sockaddr_un name;
    socklen_t size = sizeof name;

    return getsockname(descriptor, (struct sockaddr *)&name, &size) == 0 && size == length &&
           memcmp(&name, address, length) == 0;
}

/* What no thread is needed for: to bind, and to connect a datagram socket, which nobody is told of.
 * 0 or -errno; 1: it is the thread's own to do. */
static long do_here(struct worker *worker, const struct sockaddr_un *address, socklen_t length)
{
    bool binds = worker->call.number == SYS_bind;
    int type = 0, descriptor;
    socklen_t size = sizeof type;
    long result = 1, mask = client_status(&worker->client, "Umask", 8);

    if (worker->call.number == SYS_sendto || mask < 0)
        return 1;
    descriptor = (int)client_descriptor(&worker->client, (int)worker->call.given[0]);
    if (descriptor < 0)
        return 1;
    /* A worker before us may have been ended in between. */
    if (binds && worker->slot->tries > 0 && has_name(descriptor, address, length))
        result = 0;
    else if (binds) {
        worker->slot->step = STEP_CHANGING;
        mask = umask((mode_t)mask);
        result = !credentials_take(&worker->client)                                ? -EPERM
                 : bind(descriptor, (const struct sockaddr *)address, length) == 0 ? 0
                                                                                   : -errno;
        umask((mode_t)mask);
    } else if (getsockopt(descriptor, SOL_SOCKET, SO_TYPE, &type, &size) == 0 && type == SOCK_DGRAM)
        result = connect(descriptor, (const struct sockaddr *)address, length) == 0 ? 0 : -errno;
    close(descriptor);
    return result;
}

bool act_local(struct worker *worker, struct answer *answer)
{
    const long *given = worker->call.given + (worker->call.number == SYS_sendto ? 4 : 1);
    unsigned options = worker->call.number == SYS_bind ? WALK_NAME : WALK_FOLLOW;
    int length = (int)given[1];
    struct sockaddr_un address = {0};
    struct view view = view_get();
    struct led led = {0};
    long result;

    /* What is malformed the kernel can say. */
    if ((view.table == NULL && !view.places) || given[0] == 0 || length <= (int)UNIX_PATH_START ||
        length > (int)sizeof address)
        return false;
    result = client_read(&worker->client, &address, (uint64_t)given[0], (size_t)length);
    if (result < 0) {
        act_bring_failed(worker, answer, result);
        return true;
    }
    result = act_local_map(worker, &address, (size_t)length, options, &led.address);
    if (result == 0)
        return false;
    if (result > 0 && !act_is_still_there(worker)) {
        answer->sent = true;
        return true;
    }
    answer->result = result < 0 ? result : do_here(worker, &led.address, (socklen_t)result);
    if (answer->result == 1)
        act_guided(answer, lead(worker, &led, (socklen_t)result));
    return true;
}

/* ---- names that come in ---- */

/* What the kernel says of a socket of the caller's, as the session says it. Its length; 0: it stays
 * as it is. */
static size_t name_take(struct worker *worker, bool own, int number, struct sockaddr_un *name)
{
    int descriptor = (int)client_descriptor(&worker->client, number);
    struct view view = view_get();
    socklen_t length = sizeof *name;
    int result;

    if (descriptor < 0)
        return 0;
    result = own ? getsockname(descriptor, (struct sockaddr *)name, &length)
                 : getpeername(descriptor, (struct sockaddr *)name, &length);
    close(descriptor);
    return result == 0 ? unix_name_in(&the_shim.caller, view.table, name, length) : 0;
}

static long name_give(struct worker *worker, const struct heard *heard,
                      const struct sockaddr_un *name)
{
    long result = client_write(&worker->client, heard->address, name,
                               heard->length < heard->room ? heard->length : heard->room);

    return result < 0 ? result
                      : client_write(&worker->client, heard->length_at, &heard->length,
                                     sizeof heard->length);
}

bool act_local_name(struct worker *worker, struct answer *answer)
{
    const long *given = worker->call.given;
    struct heard heard = {.address = (uint64_t)given[1], .length_at = (uint64_t)given[2]};
    struct view view = view_get();
    struct sockaddr_un name;

    if (view.table == NULL || !view.binds || given[1] == 0 ||
        client_read(&worker->client, &heard.room, heard.length_at, sizeof heard.room) < 0 ||
        (int)heard.room < 0)
        return false;
    heard.length =
        (uint32_t)name_take(worker, worker->call.number == SYS_getsockname, (int)given[0], &name);
    if (heard.length == 0 || !client_shares_root(&worker->client))
        return false;
    answer->result = name_give(worker, &heard, &name);
    return true;
}

bool act_local_is_doubtful(struct worker *worker)
{
    bool accepts = worker->call.number == SYS_accept || worker->call.number == SYS_accept4;
    struct view view = view_get();
    struct sockaddr_un name;
    int type = SOCK_DGRAM, descriptor;
    socklen_t size = sizeof type;

    if (view.table == NULL || !view.binds || !client_shares_root(&worker->client))
        return false;
    if (accepts)
        return true;
    descriptor = (int)client_descriptor(&worker->client, (int)worker->call.given[0]);
    if (descriptor < 0)
        return false;
    getsockopt(descriptor, SOL_SOCKET, SO_TYPE, &type, &size);
    close(descriptor);
    /* Who sends on a connection is known before. */
    return type == SOCK_DGRAM || name_take(worker, false, (int)worker->call.given[0], &name) > 0;
}

bool act_local_heard(struct worker *worker, const struct heard *heard)
{
    struct heard said = *heard;
    struct sockaddr_un name = {0};
    sa_family_t family = AF_UNSPEC;
    struct view view = view_get();

    if (heard->room < sizeof family || heard->length < sizeof family ||
        client_read(&worker->client, &family, heard->address, sizeof family) < 0 ||
        family != AF_UNIX)
        return false;
    if (heard->length > sizeof name)
        return true;
    if (heard->length <= heard->room)
        said.length =
            client_read(&worker->client, &name, heard->address, heard->length) == 0
                ? (uint32_t)unix_name_in(&the_shim.caller, view.table, &name, heard->length)
                : 0;
    else
        said.length =
            heard->from < 0 ? 0 : (uint32_t)name_take(worker, false, (int)heard->from, &name);
    if (said.length > 0)
        name_give(worker, &said, &name);
    return true;
}
