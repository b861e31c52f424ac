/* Ways out by sockets. */
#include "tests/escape/escape.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_alg.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static struct sockaddr_in address_of(uint16_t port)
{
    return (struct sockaddr_in){
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

static socklen_t local_address(struct sockaddr_un *address, const struct outside *outside,
                               const char *name, bool abstract)
{
    char path[PATH_MAX];

    memset(address, 0, sizeof *address);
    address->sun_family = AF_UNIX;
    path_in(path, outside->directory, name);
    memccpy(address->sun_path + abstract, path, '\0', sizeof address->sun_path - 1 - abstract);
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + abstract + strlen(path));
}

static void tell_connection(struct trial *trial, int descriptor, const void *address,
                            socklen_t length)
{
    if (descriptor < 0)
        tell_held(trial, "no socket: %s", strerror(errno));
    else if (connect(descriptor, address, length) != 0)
        tell_held(trial, "%s", strerror(errno));
    else
        tell_escaped(trial, "connected");
}

static void by_tcp(const struct outside *outside, struct trial *trial)
{
    struct sockaddr_in address = address_of(outside->port);

    tell_connection(trial, socket(AF_INET, SOCK_STREAM, 0), &address, sizeof address);
}

static void by_tcp6(const struct outside *outside, struct trial *trial)
{
    struct sockaddr_in6 address = {.sin6_family = AF_INET6, .sin6_port = htons(outside->port6)};

    address.sin6_addr = in6addr_loopback;
    tell_connection(trial, socket(AF_INET6, SOCK_STREAM, 0), &address, sizeof address);
}

static void by_mapped(const struct outside *outside, struct trial *trial)
{
    struct sockaddr_in6 address = {.sin6_family = AF_INET6, .sin6_port = htons(outside->port)};

    inet_pton(AF_INET6, "::ffff:127.0.0.1", &address.sin6_addr);
    tell_connection(trial, socket(AF_INET6, SOCK_STREAM, 0), &address, sizeof address);
}

static void by_fast_open(const struct outside *outside, struct trial *trial)
{
    struct sockaddr_in address = address_of(outside->port);

    tell_call(trial,
              sendto(socket(AF_INET, SOCK_STREAM, 0), "x", 1, MSG_FASTOPEN,
                     (struct sockaddr *)&address, sizeof address),
              "sent to it");
}

static void by_fast_connect(const struct outside *outside, struct trial *trial)
{
    struct sockaddr_in address = address_of(outside->port);
    int descriptor = socket(AF_INET, SOCK_STREAM, 0), one = 1;

    setsockopt(descriptor, IPPROTO_TCP, TCP_FASTOPEN_CONNECT, &one, sizeof one);
    tell_connection(trial, descriptor, &address, sizeof address);
}

static void by_multipath(const struct outside *outside, struct trial *trial)
{
    enum { MULTIPATH_TCP = 262 };
    struct sockaddr_in address = address_of(outside->port);

    tell_connection(trial, socket(AF_INET, SOCK_STREAM, MULTIPATH_TCP), &address, sizeof address);
}

static void by_datagram(const struct outside *outside, struct trial *trial)
{
    struct sockaddr_in address = address_of(outside->port_datagram);

    tell_call(trial,
              sendto(socket(AF_INET, SOCK_DGRAM, 0), "x", 1, 0, (struct sockaddr *)&address,
                     sizeof address),
              "sent a datagram");
}

static void by_connected_datagram(const struct outside *outside, struct trial *trial)
{
    struct sockaddr_in address = address_of(outside->port_datagram);
    int descriptor = socket(AF_INET, SOCK_DGRAM, 0);

    if (connect(descriptor, (struct sockaddr *)&address, sizeof address) != 0)
        tell_held(trial, "%s", strerror(errno));
    else
        tell_call(trial, send(descriptor, "x", 1, 0), "sent a datagram");
}

static void by_message(const struct outside *outside, struct trial *trial)
{
    struct sockaddr_in address = address_of(outside->port_datagram);
    struct iovec text = {(char[]){"x"}, 1};
    struct msghdr message = {
        .msg_name = &address, .msg_namelen = sizeof address, .msg_iov = &text, .msg_iovlen = 1};

    tell_call(trial, sendmsg(socket(AF_INET, SOCK_DGRAM, 0), &message, 0), "sent a datagram");
}

static void by_many_messages(const struct outside *outside, struct trial *trial)
{
    struct sockaddr_in address = address_of(outside->port_datagram);
    struct iovec text = {(char[]){"x"}, 1};
    struct mmsghdr message = {.msg_hdr = {.msg_name = &address,
                                          .msg_namelen = sizeof address,
                                          .msg_iov = &text,
                                          .msg_iovlen = 1}};

    tell_call(trial, sendmmsg(socket(AF_INET, SOCK_DGRAM, 0), &message, 1, 0), "sent a datagram");
}

static void by_bind(const struct outside *outside, struct trial *trial)
{
    struct sockaddr_in address = address_of(0);
    int descriptor = socket(AF_INET, SOCK_STREAM, 0);

    (void)outside;
    if (bind(descriptor, (struct sockaddr *)&address, sizeof address) != 0)
        tell_held(trial, "%s", strerror(errno));
    else
        tell_call(trial, listen(descriptor, 1), "listens on a port");
}

static void by_listen(const struct outside *outside, struct trial *trial)
{
    (void)outside;
    tell_call(trial, listen(socket(AF_INET, SOCK_STREAM, 0), 1), "listens on a port");
}

static void by_bind_datagram(const struct outside *outside, struct trial *trial)
{
    struct sockaddr_in address = address_of(0);

    (void)outside;
    tell_call(trial,
              bind(socket(AF_INET, SOCK_DGRAM, 0), (struct sockaddr *)&address, sizeof address),
              "bound a port");
}

static void by_socket(struct trial *trial, int family, int type, int protocol)
{
    tell_call(trial, socket(family, type, protocol), "made the socket");
}

static void by_raw(const struct outside *outside, struct trial *trial)
{
    (void)outside;
    by_socket(trial, AF_INET, SOCK_RAW, IPPROTO_ICMP);
}

static void by_echo(const struct outside *outside, struct trial *trial)
{
    (void)outside;
    by_socket(trial, AF_INET, SOCK_DGRAM, IPPROTO_ICMP);
}

static void by_packet(const struct outside *outside, struct trial *trial)
{
    (void)outside;
    by_socket(trial, AF_PACKET, SOCK_RAW, 0);
}

static void by_light_datagram(const struct outside *outside, struct trial *trial)
{
    (void)outside;
    by_socket(trial, AF_INET, SOCK_DGRAM, IPPROTO_UDPLITE);
}

static void by_control_stream(const struct outside *outside, struct trial *trial)
{
    (void)outside;
    by_socket(trial, AF_INET, SOCK_STREAM, IPPROTO_SCTP);
}

static void by_virtual_machine(const struct outside *outside, struct trial *trial)
{
    (void)outside;
    by_socket(trial, AF_VSOCK, SOCK_STREAM, 0);
}

static void by_bluetooth(const struct outside *outside, struct trial *trial)
{
    (void)outside;
    by_socket(trial, AF_BLUETOOTH, SOCK_RAW, 1);
}

static void by_algorithm(const struct outside *outside, struct trial *trial)
{
    (void)outside;
    by_socket(trial, AF_ALG, SOCK_SEQPACKET, 0);
}

static void by_netlink(const struct outside *outside, struct trial *trial)
{
    struct {
        struct nlmsghdr head;
        struct rtgenmsg what;
    } ask = {.head = {.nlmsg_len = sizeof ask,
                      .nlmsg_type = RTM_GETLINK,
                      .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP},
             .what = {.rtgen_family = AF_UNSPEC}};
    char answer[8192];
    int descriptor = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);

    (void)outside;
    if (descriptor < 0 || send(descriptor, &ask, sizeof ask, 0) < 0)
        tell_held(trial, "%s", strerror(errno));
    else
        tell_call(trial, recv(descriptor, answer, sizeof answer, 0), "told the network's links");
}

static void by_local(const struct outside *outside, struct trial *trial)
{
    struct sockaddr_un address;
    socklen_t length = local_address(&address, outside, "socket", false);

    tell_connection(trial, socket(AF_UNIX, SOCK_STREAM, 0), &address, length);
}

/* By a name of its own that leads there. */
static void by_local_symlink(const struct outside *outside, struct trial *trial)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    char path[PATH_MAX], own[PATH_MAX];

    path_in(path, outside->directory, "socket");
    path_of_own(own, outside, trial, "");
    if (symlink(path, own) != 0) {
        tell_untried(trial, "no symlink: %s", strerror(errno));
        return;
    }
    memccpy(address.sun_path, own, '\0', sizeof address.sun_path - 1);
    tell_connection(trial, socket(AF_UNIX, SOCK_STREAM, 0), &address, sizeof address);
    unlink(own);
}

static void by_abstract(const struct outside *outside, struct trial *trial)
{
    struct sockaddr_un address;
    socklen_t length = local_address(&address, outside, "socket", true);

    tell_connection(trial, socket(AF_UNIX, SOCK_STREAM, 0), &address, length);
}

static void by_local_datagram(const struct outside *outside, struct trial *trial)
{
    struct sockaddr_un address;
    socklen_t length = local_address(&address, outside, "datagrams", false);

    tell_call(
        trial,
        sendto(socket(AF_UNIX, SOCK_DGRAM, 0), "x", 1, 0, (struct sockaddr *)&address, length),
        "sent a datagram");
}

static void by_abstract_datagram(const struct outside *outside, struct trial *trial)
{
    struct sockaddr_un address;
    socklen_t length = local_address(&address, outside, "datagrams", true);

    tell_call(
        trial,
        sendto(socket(AF_UNIX, SOCK_DGRAM, 0), "x", 1, 0, (struct sockaddr *)&address, length),
        "sent a datagram");
}

/* Each end of a pair of datagram sockets may be sent somewhere else. */
static void by_pair(const struct outside *outside, struct trial *trial)
{
    struct sockaddr_un address;
    socklen_t length = local_address(&address, outside, "datagrams", false);
    int ends[2];

    if (socketpair(AF_UNIX, SOCK_DGRAM, 0, ends) != 0)
        tell_held(trial, "no pair: %s", strerror(errno));
    else if (connect(ends[0], (struct sockaddr *)&address, length) != 0)
        tell_held(trial, "%s", strerror(errno));
    else
        tell_call(trial, send(ends[0], "x", 1, 0), "sent a datagram");
}

/* An open file that somebody outside hands to whoever connects. */
static void by_passed_file(const struct outside *outside, struct trial *trial)
{
    union {
        struct cmsghdr head;
        char room[CMSG_SPACE(sizeof(int))];
    } control;
    char byte;
    struct iovec text = {&byte, 1};
    struct msghdr message = {.msg_iov = &text,
                             .msg_iovlen = 1,
                             .msg_control = &control,
                             .msg_controllen = sizeof control};
    struct sockaddr_un address;
    socklen_t length = local_address(&address, outside, "socket", false);
    int descriptor = socket(AF_UNIX, SOCK_STREAM, 0), file;

    if (descriptor < 0 || connect(descriptor, (struct sockaddr *)&address, length) != 0) {
        tell_held(trial, "%s", strerror(errno));
        return;
    }
    if (recvmsg(descriptor, &message, 0) < 1 || CMSG_FIRSTHDR(&message) == NULL) {
        tell_escaped(trial, "connected, and nothing was passed");
        return;
    }
    memcpy(&file, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof file);
    lseek(file, 0, SEEK_SET);
    tell_descriptor(trial, file);
}

/* A socket's name is a file, too. */
static void by_local_bind(const struct outside *outside, struct trial *trial)
{
    struct sockaddr_un address;
    socklen_t length = local_address(&address, outside, "bound", false);

    tell_call(trial, bind(socket(AF_UNIX, SOCK_STREAM, 0), (struct sockaddr *)&address, length),
              "made a socket outside");
}

static const struct way ways[] = {
    {"tcp", by_tcp, true},
    {"tcp6", by_tcp6, false},
    {"tcp-mapped", by_mapped, false},
    {"tcp-fast-open", by_fast_open, true},
    {"tcp-fast-connect", by_fast_connect, true},
    {"tcp-multipath", by_multipath, false},
    {"udp", by_datagram, true},
    {"udp-connected", by_connected_datagram, true},
    {"udp-sendmsg", by_message, true},
    {"udp-sendmmsg", by_many_messages, true},
    {"bind", by_bind, true},
    {"listen-unbound", by_listen, true},
    {"bind-udp", by_bind_datagram, true},
    {"raw-socket", by_raw, false},
    {"echo-socket", by_echo, false},
    {"packet-socket", by_packet, false},
    {"udp-lite", by_light_datagram, false},
    {"sctp", by_control_stream, false},
    {"vsock", by_virtual_machine, false},
    {"bluetooth", by_bluetooth, false},
    {"algorithm-socket", by_algorithm, false},
    {"netlink", by_netlink, true},
    {"unix", by_local, true},
    {"unix-symlink", by_local_symlink, true},
    {"unix-abstract", by_abstract, true},
    {"unix-datagram", by_local_datagram, true},
    {"unix-abstract-datagram", by_abstract_datagram, true},
    {"unix-pair-datagram", by_pair, true},
    {"passed-file", by_passed_file, true},
    {"unix-bind", by_local_bind, true},
};

const struct family family_network = {"network", ways, sizeof ways / sizeof ways[0]};
