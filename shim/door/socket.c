/* Calls with socket addresses: paths of Unix sockets are paths; addresses of a space whose network
 * is not the host's are dealt with in shim/core/net.c. */
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>

#include "shim/core/lane.h"
#include "shim/core/net.h"
#include "shim/core/scratch.h"
#include "shim/core/text.h"
#include "shim/door/door.h"

#define PATH_START offsetof(struct sockaddr_un, sun_path)
/* Of an address's path, with a NUL. */
#define UNIX_PATH_SIZE (sizeof((struct sockaddr_un *)0)->sun_path + 1)

/* Copy from an address that may be bad. 0 or -EFAULT. */
static long memory_read(void *to, const void *from, size_t length)
{
    struct iovec here = {to, length}, there = {(void *)(uintptr_t)from, length};
    long self = system_call(SYS_getpid, 0, 0, 0, 0, 0, 0);
    long got = system_call(SYS_process_vm_readv, self, (long)&here, 1, (long)&there, 1, 0);
    return got == (long)length ? 0 : -EFAULT;
}

/* The path of a named Unix address, with a NUL; 0 if it is one. */
static long address_path(const void *address, size_t length, char path[UNIX_PATH_SIZE])
{
    struct sockaddr_un copy;
    if (address == NULL || length <= PATH_START || length > sizeof copy)
        return -EINVAL;
    bytes_clear(&copy, sizeof copy);
    long result = memory_read(&copy, address, length);
    if (result < 0)
        return result;
    if (copy.sun_family != AF_UNIX || copy.sun_path[0] == '\0')
        return -EINVAL;
    size_t path_length = length - PATH_START;
    bytes_copy(path, copy.sun_path, path_length);
    path[path_length] = '\0';
    return 0;
}

/* An address for a host path of any length: a long one goes by way of its directory. */
static long address_make(struct sockaddr_un *address, char *host, int *directory)
{
    size_t length = text_length(host);
    *directory = -1;
    bytes_clear(address, sizeof *address);
    address->sun_family = AF_UNIX;
    if (length < sizeof address->sun_path) {
        bytes_copy(address->sun_path, host, length + 1);
        return 0;
    }
    size_t name = length;
    while (name > 0 && host[name - 1] != '/')
        name--;
    if (length - name > 64)
        return -ENAMETOOLONG;
    host[name - 1] = '\0';
    long opened =
        lane_call(SYS_openat, AT_FDCWD, (long)host, O_PATH | O_DIRECTORY | O_CLOEXEC, 0, 0);
    if (opened < 0)
        return opened;
    *directory = (int)opened;
    bytes_copy(address->sun_path, "/proc/self/fd/", 14);
    size_t at = 14 + text_put_number(address->sun_path + 14, (uint64_t)opened);
    address->sun_path[at++] = '/';
    bytes_copy(address->sun_path + at, host + name, length - name + 1);
    return 0;
}

/* The call again, with the address that the session's path leads to. `at`: which argument. */
static long call_with_path(long number, const long arguments[6], int at, const char *path)
{
    long changed[6];
    struct sockaddr_un address;
    int directory = -1;
    char *host = scratch_take(PATH_LIMIT);
    if (host == NULL)
        return -ENOMEM;
    long result = path_to_host(AT_FDCWD, path, number == SYS_bind ? 0 : WALK_FOLLOW, host, NULL);
    if (result == 0)
        result = address_make(&address, host, &directory);
    if (result == 0) {
        bytes_copy(changed, arguments, sizeof changed);
        changed[at] = (long)&address;
        changed[at + 1] = (long)(PATH_START + text_length(address.sun_path) + 1);
        result = call_whole(number, changed);
    }
    if (directory >= 0)
        system_call(SYS_close, directory, 0, 0, 0, 0, 0);
    scratch_give(host, PATH_LIMIT);
    return result;
}

/* bind, connect, sendto: an address goes out. */
static long call_out(long number, const long arguments[6], int at, const struct view *view)
{
    char path[UNIX_PATH_SIZE];
    if (address_path((const void *)arguments[at], (size_t)arguments[at + 1], path) < 0)
        return call_whole(number, arguments);
    bool direct =
        text_find(view->table, AT_FDCWD, path) == TEXT_CLEAR &&
        (!links_matter(view, path) || path_is_direct(AT_FDCWD, path, number != SYS_bind) != -ELOOP);
    if (!direct)
        return call_with_path(number, arguments, at, path);
    long result = call_whole(number, arguments);
    if (result == -ENOENT)
        return call_with_path(number, arguments, at, path);
    return result;
}

/* getsockname, getpeername, accept: an address came in. */
static void address_translate(void *address, const unsigned *given, const struct view *view)
{
    struct sockaddr_un *local = address;
    if (address == NULL || given == NULL || *given <= PATH_START + 1 || *given > sizeof *local ||
        local->sun_family != AF_UNIX || local->sun_path[0] != '/')
        return;
    size_t length = 0;
    while (length < *given - PATH_START && local->sun_path[length] != '\0')
        length++;
    const struct space_entry *bind = table_bind_of_host(view->table, local->sun_path, length);
    if (bind == NULL)
        return;
    size_t behind = length - bind->target_length;
    if (bind->path_length + behind + 1 > *given - PATH_START)
        return; /* would be longer than what the caller was told fits */
    char tail[sizeof local->sun_path];
    bytes_copy(tail, local->sun_path + bind->target_length, behind);
    bytes_copy(local->sun_path, table_text(view->table, bind->path), bind->path_length);
    bytes_copy(local->sun_path + bind->path_length, tail, behind);
    local->sun_path[bind->path_length + behind] = '\0';
}

long socket_call(long number, const long arguments[6])
{
    const struct core *core = &the_shim.core;
    if (__atomic_load_n(&core->net->mode, __ATOMIC_RELAXED) != SPACE_NET_HOST) {
        char path[UNIX_PATH_SIZE];
        bool unix_path = (number == SYS_bind || number == SYS_connect) &&
                         address_path((const void *)arguments[1], (size_t)arguments[2], path) == 0;
        if (!unix_path)
            return net_call(core->net, number, arguments);
    }
    struct view view = view_get();
    if (view.table == NULL && !view.places)
        return call_whole(number, arguments);
    long result;
    switch (number) {
    case SYS_bind:
    case SYS_connect:
        return call_out(number, arguments, 1, &view);
    case SYS_sendto:
        /* Natively first: sending is frequent, and almost always to the connected peer. */
        result = call_whole(number, arguments);
        if (result == -ENOENT && arguments[4] != 0)
            return call_out(number, arguments, 4, &view);
        return result;
    case SYS_getsockname:
    case SYS_getpeername:
    case SYS_accept:
    case SYS_accept4:
        result = call_whole(number, arguments);
        if (result >= 0 && view.table != NULL)
            address_translate((void *)arguments[1], (const unsigned *)arguments[2], &view);
        return result;
    default:
        return call_whole(number, arguments);
    }
}
