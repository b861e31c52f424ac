/* Sockets of a confined tree. Whatever names an address is done here, on a duplicate of the
 * caller's socket and with a copy of the address: neither can be changed behind our back. */
#include "servers/trap/confine.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#include "libmsg/wire.h"
#include "servers/lib/server.h"
#include "servers/trap/act.h"
#include "servers/trap/policy.h"
#include "shim/core/net.h"
#include "shim/core/net_name.h"
#include "shim/core/text.h"

#define PATH_START offsetof(struct sockaddr_un, sun_path)
#define PARTS_MAX 64u
#define MESSAGES_MAX 16u
#define DESCRIPTORS_MAX 253u /* as the kernel has it (SCM_MAX_FD) */
/* A full listener is asked again so often, and so long. */
#define FULL_MILLISECONDS 10
#define FULL_ATTEMPTS 500

static bool socket_is(long descriptor, int option, int wanted)
{
    int value = 0;
    socklen_t length = sizeof value;

    return getsockopt((int)descriptor, SOL_SOCKET, option, &value, &length) == 0 && value == wanted;
}

static bool is_internet(const struct sockaddr_storage *address)
{
    return address->ss_family == AF_INET || address->ss_family == AF_INET6;
}

static long address_bring(struct worker *worker, long from, long given,
                          struct sockaddr_storage *address)
{
    int length = (int)given;

    if (length < (int)sizeof(sa_family_t) || length > (int)sizeof *address)
        return -EINVAL;
    memset(address, 0, sizeof *address);
    return client_read(&worker->client, address, (uint64_t)from, (size_t)length);
}

/* Whether it is an address of the session's own network, as the shim maps them: natively good. */
static bool is_mapped(const struct sockaddr_storage *address)
{
    const volatile struct space_net *net = the_shim.core.net;
    struct sockaddr_in in;

    memcpy(&in, address, sizeof in);
    return in.sin_family == AF_INET &&
           __atomic_load_n(&net->mode, __ATOMIC_RELAXED) == SPACE_NET_PRIVATE &&
           net_slice_valid(net->slice) && net_name_in_slice(net->slice, ntohl(in.sin_addr.s_addr));
}

static int type_of(long descriptor)
{
    return socket_is(descriptor, SO_TYPE, SOCK_STREAM) ? SOCK_STREAM : SOCK_DGRAM;
}

/* Of a network of the session's own: whether the address leads to a program of the host. */
static bool is_hosts(long descriptor, const struct sockaddr_storage *address)
{
    const uint32_t slice = the_shim.core.net->slice;
    struct sockaddr_in in;
    struct net_name name;

    memcpy(&in, address, sizeof in);
    if (in.sin_family != AF_INET || !net_slice_valid(slice))
        return false;
    name = (struct net_name){ntohl(in.sin_addr.s_addr), ntohs(in.sin_port)};
    if (!is_mapped(address))
        name = net_name_in(slice, name);
    return net_port_is_hosts(slice, type_of(descriptor), name.port);
}

/* A call of the Internet, with an address that the policy allows or that is the session's own. */
static long internet_run(const struct worker *worker, long number, long descriptor,
                         const struct sockaddr_storage *address, long length)
{
    const long arguments[6] = {descriptor, (long)address, length};
    unsigned access = number == SYS_bind ? FENCE_BIND : FENCE_CONNECT;

    if (confine_network_is_own() && !is_mapped(address))
        return net_call(the_shim.core.net, number, arguments);
    if (confine_network_is_own() && number == SYS_connect && is_hosts(descriptor, address))
        return -ECONNREFUSED;
    if (!confine_network_is_own() &&
        !fence_policy_allows_address(&worker->policy->rules, (const struct sockaddr *)address,
                                     (size_t)length, access))
        return -EACCES;
    return system_call(number, descriptor, (long)address, length, 0, 0, 0);
}

/* ---- Unix sockets with a path ---- */

/* Walk to the path of an address. 0: the worker's walk stands there, on the host. */
static long path_walk(struct worker *worker, const struct sockaddr_storage *address, long length,
                      bool make)
{
    const struct sockaddr_un *local = (const struct sockaddr_un *)(const void *)address;
    size_t size = (size_t)length - PATH_START;
    struct view view = view_get();
    char path[sizeof local->sun_path + 1];
    long result;

    if ((size_t)length <= PATH_START || size > sizeof local->sun_path || local->sun_path[0] == '\0')
        return -EACCES; /* no name, or one of those that every program of the host sees */
    memcpy(path, local->sun_path, size);
    path[size] = '\0';
    result = walk_path(&worker->walk, &the_shim.caller, view.table, AT_FDCWD, path,
                       make ? WALK_NAME : WALK_FOLLOW);
    if (result == -ESTALE)
        result = -ENOENT;
    if (result == 0 && worker->walk.place != PLACE_HOST)
        result = make ? -EACCES : -ECONNREFUSED;
    return result;
}

/* Whether it is where this session's servers are spoken to: who asks there is known to them. */
static bool is_servers(const struct worker *worker, const struct hold *hold)
{
    static const char *const names[] = {"/fs", "/init", "/proc", "/net", "/trap"};
    size_t length = strlen(worker->session);

    if (strncmp(hold->real, worker->session, length) != 0)
        return false;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strcmp(hold->real + length, names[i]) == 0)
            return true;
    return false;
}

/* Whether it is the session's, and not what confined trees make in their TMPDIR. */
static bool is_sessions(const struct worker *worker, const struct hold *hold)
{
    size_t length = strlen(worker->session);

    return text_below(hold->real, strlen(hold->real), worker->session, length) &&
           strncmp(hold->real + length, "/scratch/", sizeof "/scratch/" - 1) != 0;
}

/* The session's servers ask the kernel who connected, and that would be us: the socket's own name
 * says for whom. */
static long caller_tell(const struct worker *worker, long descriptor)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    socklen_t size = sizeof name;
    uint64_t start;
    int length;

    if (getsockname((int)descriptor, (struct sockaddr *)&name, &size) != 0)
        return -errno;
    if (size > PATH_START) /* from an earlier attempt; with one of its own it would pass for us */
        return name.sun_path[0] == '\0' &&
                       memcmp(name.sun_path + 1, WIRE_FOR, sizeof WIRE_FOR - 1) == 0
                   ? 0
                   : -EACCES;
    if (process_stat(worker->client.tid, NULL, &start) != 0)
        return -ESRCH;
    length = snprintf(name.sun_path + 1, sizeof name.sun_path - 1, WIRE_FOR "%d.%llu.%d.%llx",
                      worker->client.tid, (unsigned long long)start, getpid(),
                      (unsigned long long)worker->slot->notification.id);
    return bind((int)descriptor, (const struct sockaddr *)&name,
                (socklen_t)(PATH_START + 1 + (size_t)length)) == 0
               ? 0
               : -errno;
}

static long local_connect(struct worker *worker, long descriptor,
                          const struct sockaddr_storage *address, long length, bool waits)
{
    struct sockaddr_un there = {.sun_family = AF_UNIX};
    struct hold hold;
    long result = path_walk(worker, address, length, false);

    if (result == 0)
        result = hold_take_unseen(worker, &worker->walk, &hold);
    if (result < 0)
        return result;
    if (is_servers(worker, &hold))
        result = caller_tell(worker, descriptor);
    else if (is_sessions(worker, &hold))
        result = -EACCES; /* a translator hears fs alone */
    else
        result = hold_allows(worker, &hold, FENCE_WRITE);
    if (result < 0 && !fence_policy_shows(&worker->policy->rules, hold.real))
        result = hold_hide(worker);
    if (result == 0) {
        strcpy(there.sun_path, hold.link);
        for (int i = 0; i < FULL_ATTEMPTS; i++) {
            result = connect((int)descriptor, (const struct sockaddr *)&there,
                             (socklen_t)(PATH_START + strlen(hold.link) + 1)) == 0
                         ? 0
                         : -errno;
            if (result != -EAGAIN || !waits || !act_is_still_there(worker))
                break;
            poll(NULL, 0, FULL_MILLISECONDS);
        }
    }
    hold_give(&hold);
    return result;
}

/* What is to be bound. */
struct binding {
    int descriptor;
    int directory; /* the caller's current one, where the path begins there */
    int parent;    /* where the socket is to be made, held */
    mode_t mask;
    bool far; /* `path` leads there, but through names that may lead elsewhere by now */
    const char *path;
    volatile long result;
};

/* The kernel tells a socket's name as it was given, so it must be given as the caller did. Landlock
 * sees to it that the name leads to what is held, or to nothing. */
static long binding_fence(const struct binding *binding)
{
    struct fence_landlock fence;
    int error = fence_landlock_begin(&fence, FENCE_HOLD_FILES);

    if (error == 0)
        error = fence_landlock_allow_at(&fence, binding->parent, FENCE_WRITE);
    if (error != 0) {
        fence_landlock_end(&fence);
        return -error;
    }
    return -fence_landlock_enforce(&fence);
}

static long binding_run(const struct binding *binding)
{
    struct sockaddr_un here = {.sun_family = AF_UNIX};
    size_t length = strlen(binding->path);
    long result = 0;

    if (length >= sizeof here.sun_path)
        return -ENAMETOOLONG;
    if (fchdir(binding->far ? binding->directory : binding->parent) != 0)
        return -errno;
    if (binding->far)
        result = binding_fence(binding);
    if (result < 0)
        return result;
    memcpy(here.sun_path, binding->path, length);
    umask(binding->mask);
    return bind(binding->descriptor, (const struct sockaddr *)&here,
                (socklen_t)(PATH_START + length + 1)) == 0
               ? 0
               : -errno;
}

/* In a process of its own: what it gives up and where it goes is its own. vfork, as its end is
 * nobody's to wait for here. */
static long binding_make(struct binding *binding)
{
    pid_t pid = vfork();

    if (pid == 0) {
        binding->result = binding_run(binding);
        _exit(0);
    }
    return pid < 0 ? -errno : binding->result;
}

static long current_directory(const struct worker *worker)
{
    char path[64];
    int descriptor;

    snprintf(path, sizeof path, "%s/cwd", worker->client.process);
    descriptor = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    return descriptor < 0 ? -errno : descriptor;
}

static long local_bind(struct worker *worker, long descriptor,
                       const struct sockaddr_storage *address, long length)
{
    struct sockaddr_un given = {0};
    struct binding binding = {.descriptor = (int)descriptor, .path = given.sun_path, .far = true};
    struct hold parent;
    long mask, result = path_walk(worker, address, length, true);

    if (result == 0 && worker->walk.end != END_NAME)
        result = -EADDRINUSE;
    if (result == 0 && worker->walk.read_only)
        result = -EROFS;
    if (result == 0 && act_entry_decides(worker))
        result = -EADDRINUSE;
    if (result == 0)
        result = hold_take_parent(worker, &worker->walk, &parent);
    if (result < 0)
        return result;
    result = hold_allows(worker, &parent, FENCE_WRITE);
    mask = client_status(&worker->client, "Umask", 8);
    if (result == 0 && mask < 0)
        result = -ESRCH;
    if (result == 0)
        result = current_directory(worker);
    if (result >= 0) {
        binding.directory = (int)result;
        binding.parent = parent.descriptor;
        binding.mask = (mode_t)mask;
        memcpy(&given, address, (size_t)length);
        /* Where only the session's names lead there: as the shim, by the host's name. */
        if (worker->walk.touched)
            binding.path = worker->walk.host;
        result = worker->policy->landlock > 0 ? binding_make(&binding) : -ENAMETOOLONG;
        if (result == -ENAMETOOLONG) {
            binding.far = false;
            binding.path = parent.name;
            result = binding_make(&binding);
        }
        close(binding.directory);
    }
    hold_give(&parent);
    return result;
}

/* ---- the calls ---- */

static long address_run(struct worker *worker, long descriptor)
{
    const long *given = worker->call.given;
    long number = worker->call.number;
    struct sockaddr_storage address;
    long result = address_bring(worker, given[1], given[2], &address);
    int flags = fcntl((int)descriptor, F_GETFL);

    if (result < 0)
        return result;
    if (address.ss_family == AF_UNSPEC && number == SYS_connect)
        return system_call(number, descriptor, (long)&address, given[2], 0, 0, 0);
    if (!is_internet(&address) && address.ss_family != AF_UNIX)
        return -EACCES;
    if (number == SYS_bind)
        return address.ss_family == AF_UNIX
                   ? local_bind(worker, descriptor, &address, given[2])
                   : internet_run(worker, number, descriptor, &address, given[2]);
    /* Not to wait here: the socket is not connected yet, so nobody reads from it meanwhile. */
    fcntl((int)descriptor, F_SETFL, flags | O_NONBLOCK);
    result = address.ss_family == AF_UNIX
                 ? local_connect(worker, descriptor, &address, given[2], !(flags & O_NONBLOCK))
                 : internet_run(worker, number, descriptor, &address, given[2]);
    fcntl((int)descriptor, F_SETFL, flags);
    return result == -EINPROGRESS && !(flags & O_NONBLOCK) ? -EINPROGRESS : result;
}

/* A process of its own waits for a connection and answers: the worker is wanted elsewhere. */
static long connection_await(struct worker *worker, long descriptor)
{
    struct seccomp_notif_resp response = {.id = worker->slot->notification.id};
    struct pollfd watched[2] = {{.fd = (int)descriptor, .events = POLLOUT},
                                {.fd = worker->listener, .events = 0}};
    pid_t pid = fork();

    if (pid != 0)
        return pid < 0 ? -errno : 0;
    for (;;) {
        if (poll(watched, 2, 1000) > 0 && watched[0].revents != 0) {
            /* Again: that tells what became of it, and makes the socket fit for the next one where
             * it failed. The address is not looked at. */
            struct sockaddr any = {.sa_family = AF_INET};

            if (connect((int)descriptor, &any, sizeof any) != 0)
                response.error = -errno;
            ioctl(worker->listener, SECCOMP_IOCTL_NOTIF_SEND, &response);
            _exit(0);
        }
        if (ioctl(worker->listener, SECCOMP_IOCTL_NOTIF_ID_VALID, &response.id) != 0)
            _exit(0);
    }
}

static void confine_address(struct worker *worker, struct answer *answer)
{
    long descriptor = client_descriptor(&worker->client, (int)worker->call.given[0]);
    long result;
    int flags;

    if (descriptor < 0) {
        confine_give(answer, descriptor);
        return;
    }
    if (!act_is_still_there(worker)) {
        answer->sent = true;
        close((int)descriptor);
        return;
    }
    flags = fcntl((int)descriptor, F_GETFL);
    result = address_run(worker, descriptor);
    if (result == -EINPROGRESS && !(flags & O_NONBLOCK)) {
        result = connection_await(worker, descriptor);
        answer->sent = result == 0;
    }
    close((int)descriptor);
    if (!answer->sent)
        confine_give(answer, result);
}

/* Whether a message may go to this address; a private network maps it. */
static long target_check(const struct worker *worker, long descriptor,
                         const struct sockaddr_storage *address, long length)
{
    if (confine_network_is_own())
        return type_of(descriptor) == SOCK_DGRAM && is_hosts(descriptor, address) ? -ECONNREFUSED
                                                                                  : 0;
    return is_internet(address) && fence_policy_allows_address(&worker->policy->rules,
                                                               (const struct sockaddr *)address,
                                                               (size_t)length, FENCE_CONNECT)
               ? 0
               : -EACCES;
}

/* A message to send, brought over whole. */
struct parcel {
    struct sockaddr_storage address;
    struct iovec data;
    struct msghdr message;
    int descriptors[DESCRIPTORS_MAX];
    size_t descriptor_count;
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(DESCRIPTORS_MAX * sizeof(int))];
    } control;
};

static void parcel_end(struct parcel *parcel)
{
    for (size_t i = 0; i < parcel->descriptor_count; i++)
        close(parcel->descriptors[i]);
    parcel->descriptor_count = 0;
}

/* Descriptors that go along: duplicates of the caller's. Credentials would be ours. */
static long control_bring(struct worker *worker, struct parcel *parcel, const void *from,
                          size_t length)
{
    struct cmsghdr header;
    int numbers[DESCRIPTORS_MAX];
    size_t count;
    long result;

    if (length < sizeof header)
        return -EINVAL;
    result = client_read(&worker->client, &header, (uint64_t)from, sizeof header);
    if (result < 0)
        return result;
    if (header.cmsg_level != SOL_SOCKET || header.cmsg_type != SCM_RIGHTS ||
        header.cmsg_len < CMSG_LEN(0) || header.cmsg_len > length ||
        length > CMSG_SPACE(header.cmsg_len - CMSG_LEN(0)))
        return -EPERM;
    count = (header.cmsg_len - CMSG_LEN(0)) / sizeof(int);
    if (count > DESCRIPTORS_MAX)
        return -EINVAL;
    result = client_read(&worker->client, numbers, (uint64_t)from + CMSG_LEN(0),
                         count * sizeof numbers[0]);
    for (size_t i = 0; i < count && result == 0; i++) {
        long own = client_descriptor(&worker->client, numbers[i]);

        if (own < 0)
            return own;
        parcel->descriptors[parcel->descriptor_count++] = (int)own;
    }
    memcpy(CMSG_DATA(&parcel->control.header), parcel->descriptors, count * sizeof(int));
    parcel->control.header.cmsg_level = SOL_SOCKET;
    parcel->control.header.cmsg_type = SCM_RIGHTS;
    parcel->control.header.cmsg_len = CMSG_LEN(count * sizeof(int));
    parcel->message.msg_control = &parcel->control;
    parcel->message.msg_controllen = CMSG_SPACE(count * sizeof(int));
    return result;
}

/* The data of `count` parts. A stream takes what there is room for. */
static long data_bring(struct worker *worker, struct parcel *parcel, const struct iovec *parts,
                       size_t count, bool stream)
{
    const size_t room = sizeof worker->call.memory;
    long result = 0;

    parcel->data = (struct iovec){worker->call.memory, 0};
    for (size_t i = 0; i < count && result == 0; i++) {
        size_t length = parts[i].iov_len;

        if (length > room - parcel->data.iov_len) {
            if (!stream)
                return -EMSGSIZE;
            length = room - parcel->data.iov_len;
        }
        result = client_read(&worker->client, worker->call.memory + parcel->data.iov_len,
                             (uint64_t)parts[i].iov_base, length);
        parcel->data.iov_len += length;
    }
    parcel->message.msg_iov = &parcel->data;
    parcel->message.msg_iovlen = 1;
    return result;
}

static long parcel_bring(struct worker *worker, struct parcel *parcel, const struct msghdr *from,
                         const struct iovec *parts, long descriptor)
{
    bool local = socket_is(descriptor, SO_DOMAIN, AF_UNIX);
    long result = 0;

    memset(&parcel->message, 0, sizeof parcel->message);
    parcel->descriptor_count = 0;
    /* The sockets of this family that a confined tree has are connected: an address is not looked
     * at. */
    if (from->msg_name != NULL && from->msg_namelen > 0 && !local) {
        result =
            address_bring(worker, (long)from->msg_name, (long)from->msg_namelen, &parcel->address);
        if (result == 0)
            result = target_check(worker, descriptor, &parcel->address, (long)from->msg_namelen);
        parcel->message.msg_name = &parcel->address;
        parcel->message.msg_namelen = from->msg_namelen;
    }
    if (result == 0 && from->msg_controllen > 0)
        result =
            local ? control_bring(worker, parcel, from->msg_control, from->msg_controllen) : -EPERM;
    if (result == 0)
        result = data_bring(worker, parcel, parts, from->msg_iovlen,
                            socket_is(descriptor, SO_TYPE, SOCK_STREAM));
    return result;
}

static long parcel_send(const struct parcel *parcel, long descriptor, long flags)
{
    const long arguments[6] = {descriptor, (long)&parcel->message,
                               flags | MSG_DONTWAIT | MSG_NOSIGNAL};

    bool native = !confine_network_is_own() ||
                  (parcel->message.msg_name != NULL && is_mapped(&parcel->address));

    return !native ? net_call(the_shim.core.net, SYS_sendmsg, arguments)
                   : system_call(SYS_sendmsg, arguments[0], arguments[1], arguments[2], 0, 0, 0);
}

/* A process of its own waits for room and answers. */
static long parcel_await(struct worker *worker, const struct parcel *parcel, long descriptor,
                         long flags)
{
    struct seccomp_notif_resp response = {.id = worker->slot->notification.id};
    struct pollfd watched = {.fd = (int)descriptor, .events = POLLOUT};
    pid_t pid = fork();

    if (pid != 0)
        return pid < 0 ? -errno : 0;
    for (;;) {
        long result;

        poll(&watched, 1, 1000);
        if (ioctl(worker->listener, SECCOMP_IOCTL_NOTIF_ID_VALID, &response.id) != 0)
            _exit(0);
        result = parcel_send(parcel, descriptor, flags);
        if (result == -EAGAIN)
            continue;
        response.error = result < 0 ? (int)result : 0;
        response.val = result < 0 ? 0 : result;
        ioctl(worker->listener, SECCOMP_IOCTL_NOTIF_SEND, &response);
        _exit(0);
    }
}

/* `sent`: an answer is given by another process. */
static long message_send(struct worker *worker, long descriptor, const struct msghdr *message,
                         const struct iovec *parts, long flags, bool *sent)
{
    static struct parcel parcel;
    long result = flags & MSG_FASTOPEN ? -EOPNOTSUPP
                                       : parcel_bring(worker, &parcel, message, parts, descriptor);

    if (result == 0)
        result = parcel_send(&parcel, descriptor, flags);
    if (result == -EAGAIN && sent != NULL && !(flags & MSG_DONTWAIT) &&
        !(fcntl((int)descriptor, F_GETFL) & O_NONBLOCK)) {
        result = parcel_await(worker, &parcel, descriptor, flags);
        *sent = result == 0;
    }
    parcel_end(&parcel);
    return result;
}

static long parts_bring(struct worker *worker, const struct msghdr *message, struct iovec *parts)
{
    if (message->msg_iovlen > PARTS_MAX)
        return -EMSGSIZE;
    return client_read(&worker->client, parts, (uint64_t)message->msg_iov,
                       message->msg_iovlen * sizeof *parts);
}

/* sendmmsg: as many as go without waiting, and one at least. */
static long messages_send(struct worker *worker, long descriptor)
{
    const long *given = worker->call.given;
    struct iovec parts[PARTS_MAX];
    uint32_t sent = 0;
    long result = 0;

    for (; sent < (uint32_t)given[2] && sent < MESSAGES_MAX; sent++) {
        uint64_t at = (uint64_t)given[1] + sent * sizeof(struct mmsghdr);
        struct mmsghdr header;
        unsigned length;

        result = client_read(&worker->client, &header, at, sizeof header);
        if (result == 0)
            result = parts_bring(worker, &header.msg_hdr, parts);
        if (result == 0)
            result = message_send(worker, descriptor, &header.msg_hdr, parts, given[3], NULL);
        if (result < 0)
            break;
        length = (unsigned)result;
        client_write(&worker->client, at + offsetof(struct mmsghdr, msg_len), &length,
                     sizeof length);
    }
    return sent > 0 ? (long)sent : result;
}

static long any_send(struct worker *worker, long descriptor, bool *sent)
{
    const long *given = worker->call.given;
    struct iovec parts[PARTS_MAX];
    struct msghdr message = {0};
    long flags = given[2], result = 0;

    if (worker->call.number == SYS_sendmmsg)
        return messages_send(worker, descriptor);
    if (worker->call.number == SYS_sendto) {
        flags = given[3];
        parts[0] = (struct iovec){(void *)given[1], (size_t)given[2]};
        message.msg_name = (void *)given[4];
        message.msg_namelen = (socklen_t)given[5];
        message.msg_iovlen = 1;
    } else {
        result = client_read(&worker->client, &message, (uint64_t)given[1], sizeof message);
        if (result == 0)
            result = parts_bring(worker, &message, parts);
    }
    return result < 0 ? result : message_send(worker, descriptor, &message, parts, flags, sent);
}

static void confine_send(struct worker *worker, struct answer *answer)
{
    long descriptor = client_descriptor(&worker->client, (int)worker->call.given[0]);
    long result;

    if (descriptor < 0) {
        confine_give(answer, descriptor);
        return;
    }
    if (act_is_still_there(worker))
        result = any_send(worker, descriptor, &answer->sent);
    else
        answer->sent = true, result = 0;
    close((int)descriptor);
    if (!answer->sent)
        confine_give(answer, result);
}

static void confine_listen(struct worker *worker, struct answer *answer)
{
    long descriptor = client_descriptor(&worker->client, (int)worker->call.given[0]);
    const long arguments[6] = {descriptor, worker->call.given[1]};
    struct sockaddr_storage address;
    socklen_t length = sizeof address;
    long result;

    if (descriptor < 0) {
        confine_give(answer, descriptor);
        return;
    }
    if (confine_network_is_own()) {
        result = net_call(the_shim.core.net, SYS_listen, arguments);
    } else {
        /* One that is not bound yet gets a port of the kernel's choice. */
        result =
            getsockname((int)descriptor, (struct sockaddr *)&address, &length) == 0 ? 0 : -errno;
        if (result == 0 && is_internet(&address) &&
            !fence_policy_allows_address(&worker->policy->rules, (struct sockaddr *)&address,
                                         length, FENCE_BIND))
            result = -EACCES;
        if (result == 0 && listen((int)descriptor, (int)arguments[1]) != 0)
            result = -errno;
    }
    close((int)descriptor);
    confine_give(answer, result);
}

void confine_network(struct worker *worker, struct answer *answer)
{
    switch (worker->call.number) {
    case SYS_bind:
    case SYS_connect:
        confine_address(worker, answer);
        return;
    case SYS_listen:
        confine_listen(worker, answer);
        return;
    case SYS_sendto:
    case SYS_sendmsg:
    case SYS_sendmmsg:
        confine_send(worker, answer);
        return;
    default:
        /* They make sockets of the kinds that the filter lets be, or tell addresses. */
        act_network(worker, answer);
    }
}
