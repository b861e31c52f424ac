/* sockets PLACE: what is said by and of Unix sockets whose names are in the folder PLACE. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *place;

static socklen_t address_of(struct sockaddr_un *address, const char *name)
{
    memset(address, 0, sizeof *address);
    address->sun_family = AF_UNIX;
    snprintf(address->sun_path, sizeof address->sun_path, "%s%s%s", name[0] == '/' ? place : "",
             name[0] == '/' ? "/" : "", name[0] == '/' ? name + 1 : name);
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(address->sun_path) + 1);
}

static void said(const char *what, long result)
{
    if (result < 0)
        printf("%s: %s\n", what, strerror(errno));
    else
        printf("%s: %ld\n", what, result);
}

static void told(const char *what, int (*call)(int, struct sockaddr *, socklen_t *), int file,
                 socklen_t room)
{
    struct sockaddr_un address = {0};
    socklen_t length = room;

    if (call(file, (struct sockaddr *)&address, &length) != 0) {
        said(what, -1);
        return;
    }
    if (room < sizeof address)
        address.sun_path[room - offsetof(struct sockaddr_un, sun_path)] = '\0';
    printf("%s: %u %s\n", what, (unsigned)length, address.sun_path);
}

static int made(int kind, const char *name)
{
    struct sockaddr_un address;
    int file = socket(AF_UNIX, kind | SOCK_CLOEXEC, 0);
    socklen_t length = address_of(&address, name);

    if (name[0] != '\0')
        said("bind", bind(file, (struct sockaddr *)&address, length));
    return file;
}

/* What came to it, and from which process. */
static void heard(int file)
{
    char text[64] = "", control[CMSG_SPACE(sizeof(struct ucred))];
    struct iovec part = {text, sizeof text - 1};
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = control,
                             .msg_controllen = sizeof control};
    struct ucred sender = {0};

    if (recvmsg(file, &message, MSG_DONTWAIT) < 0) {
        said("heard", -1);
        return;
    }
    if (CMSG_FIRSTHDR(&message) != NULL)
        memcpy(&sender, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof sender);
    printf("heard: %s, %s\n", text, sender.pid == getpid() ? "from me" : "from somebody");
}

static void send_each_way(int from, int to, const char *name)
{
    struct sockaddr_un address;
    struct iovec part = {(void *)"message", 7};
    struct msghdr message = {.msg_name = &address, .msg_iov = &part, .msg_iovlen = 1};

    message.msg_namelen = address_of(&address, name);
    printf("to %s\n", name);
    said("sendto", sendto(from, "text", 4, 0, (struct sockaddr *)&address, message.msg_namelen));
    heard(to);
    said("sendmsg", sendmsg(from, &message, 0));
    heard(to);
}

/* The third is to nobody: two are sent, and the fourth never. */
static void send_several(int from, int to)
{
    struct sockaddr_un addresses[4];
    struct iovec part = {(void *)"one of", 6};
    struct mmsghdr messages[4] = {0};
    static const char *const names[] = {"/server", "place/server", "/missing", "/server"};

    for (int i = 0; i < 4; i++)
        messages[i].msg_hdr = (struct msghdr){.msg_name = &addresses[i],
                                              .msg_namelen = address_of(&addresses[i], names[i]),
                                              .msg_iov = &part,
                                              .msg_iovlen = 1};
    said("sendmmsg", sendmmsg(from, messages, 4, 0));
    printf("of %u and %u bytes\n", messages[0].msg_len, messages[1].msg_len);
    for (int i = 0; i < 3; i++)
        heard(to);
}

/* A name that came in, of which there was room for so much. */
static void named(const char *what, long result, const struct sockaddr_un *address,
                  socklen_t length, socklen_t room)
{
    const socklen_t start = offsetof(struct sockaddr_un, sun_path);
    socklen_t shown = length < room ? length : room;

    if (result < 0) {
        said(what, result);
        return;
    }
    printf("%s: from a name of %u bytes: %.*s\n", what, (unsigned)length,
           shown > start ? (int)(shown - start) : 0, address->sun_path);
}

static void heard_from(int file, socklen_t room, int flags)
{
    struct sockaddr_un address = {0};
    socklen_t length = room;
    char text[64];
    long result = recvfrom(file, text, sizeof text, flags, (struct sockaddr *)&address, &length);

    named("recvfrom", result, &address, length, room);
}

/* With a descriptor beside it. */
static void heard_message(int file, socklen_t room)
{
    struct sockaddr_un address = {0};
    char text[64], control[CMSG_SPACE(sizeof(int)) + CMSG_SPACE(sizeof(struct ucred))];
    struct iovec part = {text, sizeof text};
    struct msghdr message = {.msg_name = &address,
                             .msg_namelen = room,
                             .msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = control,
                             .msg_controllen = sizeof control};
    long result = recvmsg(file, &message, MSG_DONTWAIT);
    struct cmsghdr *header = result < 0 ? NULL : CMSG_FIRSTHDR(&message);

    named("recvmsg", result, &address, message.msg_namelen, room);
    for (; header != NULL; header = CMSG_NXTHDR(&message, header))
        if (header->cmsg_type == SCM_RIGHTS) {
            int got;

            memcpy(&got, CMSG_DATA(header), sizeof got);
            printf("with a descriptor that is %s\n", fcntl(got, F_GETFD) >= 0 ? "open" : "not");
            close(got);
        }
}

static void pass(int file, int descriptor)
{
    char control[CMSG_SPACE(sizeof(int))] = {0};
    struct iovec part = {(void *)"pass", 4};
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = control,
                             .msg_controllen = sizeof control};
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);

    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof descriptor);
    memcpy(CMSG_DATA(header), &descriptor, sizeof descriptor);
    said("pass", sendmsg(file, &message, 0));
}

static void heard_several(int file)
{
    struct sockaddr_un addresses[3] = {0};
    struct timespec soon = {.tv_nsec = 1000000};
    struct mmsghdr messages[3] = {0};
    char text[3][64];
    struct iovec parts[3];
    int count;

    for (int i = 0; i < 3; i++) {
        parts[i] = (struct iovec){text[i], sizeof text[i]};
        messages[i].msg_hdr = (struct msghdr){.msg_name = i == 1 ? NULL : &addresses[i],
                                              .msg_namelen = sizeof addresses[i],
                                              .msg_iov = &parts[i],
                                              .msg_iovlen = 1};
    }
    count = recvmmsg(file, messages, 3, MSG_DONTWAIT, &soon);
    said("recvmmsg", count);
    for (int i = 0; i < count; i++)
        named("of it", messages[i].msg_len, &addresses[i], messages[i].msg_hdr.msg_namelen,
              sizeof addresses[i]);
}

static volatile sig_atomic_t rings;

static void ring(int signal)
{
    (void)signal;
    rings++;
}

/* In half of them a signal comes first: the call fails, or goes on. */
static void interrupted(int file, int flags, const char *what)
{
    const struct itimerval soon = {.it_value = {.tv_usec = 30000}};
    struct sigaction action = {.sa_handler = ring, .sa_flags = flags};

    sigaction(SIGALRM, &action, NULL);
    rings = 0;
    printf("%s\n", what);
    setitimer(ITIMER_REAL, &soon, NULL);
    heard_from(file, sizeof(struct sockaddr_un), 0);
    printf("%d signal\n", (int)rings);
}

/* Somebody sends while the receiver waits. */
static pid_t sender_start(int from)
{
    pid_t child = fork();

    if (child == 0) {
        usleep(100000);
        _exit(send(from, "late", 4, 0) != 4);
    }
    return child;
}

static void names_of_messages(int from, int to)
{
    const struct timeval soon = {.tv_usec = 20000}, never = {0};

    said("send", send(from, "text", 4, 0));
    heard_from(to, sizeof(struct sockaddr_un), 0);
    pass(from, from);
    heard_message(to, sizeof(struct sockaddr_un));
    for (int i = 0; i < 3; i++)
        said("send", send(from, "text", 4, 0));
    heard_from(to, sizeof(struct sockaddr_un), MSG_PEEK);
    heard_several(to);
    heard_from(to, sizeof(struct sockaddr_un), MSG_DONTWAIT);
    heard_message(to, sizeof(struct sockaddr_un));
    setsockopt(to, SOL_SOCKET, SO_RCVTIMEO, &soon, sizeof soon);
    heard_from(to, sizeof(struct sockaddr_un), 0);
    setsockopt(to, SOL_SOCKET, SO_RCVTIMEO, &never, sizeof never);
    interrupted(to, 0, "a signal");
    fflush(stdout);
    sender_start(from);
    interrupted(to, SA_RESTART, "a signal on the way");
    wait(NULL);
    said("no room",
         recvfrom(to, NULL, 0, MSG_DONTWAIT, (struct sockaddr *)4096, (socklen_t *)4096));
}

static void accepted_from(int server, const char *name, socklen_t room, int flags)
{
    struct sockaddr_un address = {0};
    socklen_t length = address_of(&address, "/stream");
    int client = made(SOCK_STREAM, name), accepted;

    said("connect", connect(client, (struct sockaddr *)&address, length));
    memset(&address, 0, sizeof address);
    length = room;
    accepted = flags < 0 ? accept(server, (struct sockaddr *)&address, &length)
                         : accept4(server, (struct sockaddr *)&address, &length, flags);
    named("accept", accepted, &address, length, room);
    printf("it is closed by exec: %d\n", fcntl(accepted, F_GETFD));
    said("send", send(client, "stream", 6, 0));
    heard_from(accepted, sizeof address, 0);
    heard_message(accepted, sizeof address);
    close(accepted);
    close(client);
}

/* Datagrams by address, which in a private network is another one. */
static void internet(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t length = sizeof address;
    int server = socket(AF_INET, SOCK_DGRAM, 0), client = socket(AF_INET, SOCK_DGRAM, 0);
    struct iovec part = {(void *)"message", 7};
    struct mmsghdr message = {
        .msg_hdr = {
            .msg_name = &address, .msg_namelen = length, .msg_iov = &part, .msg_iovlen = 1}};

    said("bind", bind(server, (struct sockaddr *)&address, length));
    said("its name", getsockname(server, (struct sockaddr *)&address, &length));
    said("sendto", sendto(client, "text", 4, 0, (struct sockaddr *)&address, length));
    heard(server);
    said("sendmsg", sendmsg(client, &message.msg_hdr, 0));
    heard(server);
    said("sendmmsg", sendmmsg(client, &message, 1, 0));
    heard(server);
    said("no length", sendto(client, "text", 4, 0, (struct sockaddr *)&address, 0));
    said("too long", sendto(client, "text", 4, 0, (struct sockaddr *)&address, 4096));
}

int main(int argc, char **argv)
{
    static const char *const names[] = {"/server", "place/server", "way/server",    "/missing",
                                        "/file",   "/missing/a",   "/sub/../server"};
    struct sockaddr_un address;
    int server, client, accepted, pair[2], on = 1;

    if (argc < 2)
        return 2;
    place = argv[1];
    server = made(SOCK_DGRAM, "/server");
    client = made(SOCK_DGRAM, "/client");
    setsockopt(server, SOL_SOCKET, SO_PASSCRED, &on, sizeof on);
    told("the server's name", getsockname, server, sizeof address);
    told("a short room", getsockname, server, 12);
    told("no peer", getpeername, server, sizeof address);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        send_each_way(client, server, names[i]);
    send_several(client, server);
    said("connect", connect(client, (struct sockaddr *)&address, address_of(&address, "/server")));
    told("its peer", getpeername, client, sizeof address);
    said("send", send(client, "connected", 9, 0));
    heard(server);
    names_of_messages(client, server);
    said("sendto nobody", sendto(client, "text", 4, 0, NULL, 0));
    heard(server);

    server = made(SOCK_STREAM, "/stream");
    said("listen", listen(server, 4));
    fcntl(server, F_SETFL, O_NONBLOCK); /* nobody comes where connecting fails */
    client = made(SOCK_STREAM, "");
    said("connect", connect(client, (struct sockaddr *)&address, address_of(&address, "/stream")));
    accepted = accept(server, NULL, NULL);
    told("the stream's peer", getpeername, client, sizeof address);
    told("its own", getsockname, accepted, sizeof address);
    told("nameless", getsockname, client, sizeof address);
    told("nobody", getpeername, accepted, sizeof address);
    accepted_from(server, "/client-of-stream", sizeof address, -1);
    accepted_from(server, "/other", 20, SOCK_CLOEXEC);
    accepted_from(server, "", sizeof address, 0);
    told("nobody waits", accept, server, sizeof address);
    said("a name in vain", sendto(client, "text", 4, 0, (struct sockaddr *)&address,
                                  address_of(&address, "/stream")));
    said("a pair", socketpair(AF_UNIX, SOCK_DGRAM, 0, pair));
    said("its text", send(pair[0], "text", 4, 0));
    heard(pair[1]);
    internet();
    said("no memory", getsockname(server, (struct sockaddr *)4096, (socklen_t *)4096));
    said("no socket",
         sendto(99, "text", 4, 0, (struct sockaddr *)&address, address_of(&address, "/stream")));
    return 0;
}
