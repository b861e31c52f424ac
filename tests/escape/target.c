/* escape --target ALLOWED DIRECTORY SETTINGS [SESSION GUARD OTHER HIRSEL]: what is to be reached.
 * It makes what lies outside, writes down where (SETTINGS), and then notes in DIRECTORY/events, a
 * line each, what reaches it, until SIGTERM. The first argument of `escape` is SETTINGS. */
#include "tests/escape/escape.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/keyctl.h>
#include <mqueue.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/xattr.h>
#include <unistd.h>

enum door {
    DOOR_TCP,
    DOOR_TCP6,
    DOOR_ALLOWED, /* may be reached: not noted */
    DOOR_DATAGRAM,
    DOOR_LOCAL,
    DOOR_ABSTRACT,
    DOOR_LOCAL_DATAGRAM,
    DOOR_ABSTRACT_DATAGRAM,
    DOOR_QUEUE,
    DOOR_TERMINAL,
    DOOR_SIGNALS,
    DOOR_COUNT,
};

static const char *const door_names[DOOR_COUNT] = {
    [DOOR_TCP] = "tcp",
    [DOOR_TCP6] = "tcp6",
    [DOOR_ALLOWED] = "allowed",
    [DOOR_DATAGRAM] = "udp",
    [DOOR_LOCAL] = "unix",
    [DOOR_ABSTRACT] = "abstract unix",
    [DOOR_LOCAL_DATAGRAM] = "unix datagram",
    [DOOR_ABSTRACT_DATAGRAM] = "abstract datagram",
    [DOOR_QUEUE] = "a queue's message",
    [DOOR_TERMINAL] = "something on the terminal",
    [DOOR_SIGNALS] = "a signal",
};

struct target {
    struct outside outside;
    struct pollfd doors[DOOR_COUNT];
    int events;
    int secret; /* open for reading */
    int segment, semaphores, messages;
    char queue[64], memory[64], key_name[64];
    long key;
};

/* To be read and to be written over by those who get that far. */
static char secret_text[] = SECRET;

/* A listening stream socket or a datagram socket on the loopback. */
static int port_open(int family, int type, uint16_t *port)
{
    union {
        struct sockaddr head;
        struct sockaddr_in four;
        struct sockaddr_in6 six;
    } address = {.head.sa_family = (sa_family_t)family};
    socklen_t length = family == AF_INET ? sizeof address.four : sizeof address.six;
    int door = socket(family, type | SOCK_CLOEXEC, 0);

    if (family == AF_INET)
        address.four.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    else
        address.six.sin6_addr = in6addr_loopback;
    if (door < 0 || bind(door, &address.head, length) != 0 ||
        (type == SOCK_STREAM && listen(door, 64) != 0) ||
        getsockname(door, &address.head, &length) != 0)
        return -1;
    *port = ntohs(family == AF_INET ? address.four.sin_port : address.six.sin6_port);
    return door;
}

static int local_open(const char *directory, const char *name, int type, bool abstract)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    char path[PATH_MAX];
    int door = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);

    path_in(path, directory, name);
    if (strlen(path) >= sizeof address.sun_path - 1)
        return -1;
    memcpy(address.sun_path + abstract, path, strlen(path));
    if (door < 0 ||
        bind(door, (struct sockaddr *)&address,
             (socklen_t)(offsetof(struct sockaddr_un, sun_path) + abstract + strlen(path))) != 0 ||
        (type == SOCK_STREAM && listen(door, 64) != 0))
        return -1;
    return door;
}

/* Another terminal of the user: whoever opens its name can write there as the programs on it do,
 * and read what is typed. */
static int terminal_open(char *name, size_t size)
{
    int terminal = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);

    if (terminal < 0 || grantpt(terminal) != 0 || unlockpt(terminal) != 0 ||
        ptsname_r(terminal, name, size) != 0)
        return -1;
    /* Open at its other end too: without that its end of file would come again and again. */
    return open(name, O_RDWR | O_NOCTTY | O_CLOEXEC) < 0 ? -1 : terminal;
}

static int signals_open(void)
{
    sigset_t all;

    sigfillset(&all);
    sigdelset(&all, SIGINT);
    sigprocmask(SIG_BLOCK, &all, NULL);
    return signalfd(-1, &all, SFD_CLOEXEC);
}

static void note(const struct target *target, const char *text)
{
    if (dprintf(target->events, "%s\n", text) < 0)
        fprintf(stderr, "escape: cannot note: %s\n", text);
}

static bool files_make(struct target *target)
{
    struct outside *outside = &target->outside;
    char path[PATH_MAX], victim[PATH_MAX], text[2 * PATH_MAX];
    struct stat status;
    bool made;

    path_in(outside->secret, outside->directory, "secret");
    snprintf(text, sizeof text, "#!/bin/sh\necho '%s'\n", SECRET);
    if ((size_t)snprintf(outside->readable, sizeof outside->readable, "%s.readable",
                         outside->directory) >= sizeof outside->readable)
        return false;
    made = (mkdir(outside->readable, 0755) == 0 || errno == EEXIST) &&
           file_make(outside->secret, SECRET "\n", 0644) &&
           file_make(path_in(path, outside->directory, "teller"), text, 0755) &&
           symlink("secret", path_in(path, outside->directory, "pointer")) == 0 &&
           mkdir(path_in(path, outside->directory, "empty"), 0755) == 0 &&
           mkdir(path_in(path, outside->directory, "victims"), 0755) == 0;
    for (size_t i = 0; made && i < FAMILY_COUNT; i++)
        for (size_t j = 0; made && j < families[i]->count; j++) {
            const struct trial trial = {.name = families[i]->ways[j].name};

            made = file_make(path_of_victim(victim, outside, &trial), "untouched\n", 0644);
            if (families[i] == &family_readable)
                made = made && file_make(path_in(path, outside->readable, trial.name), text, 0755);
            /* Where the file system has no attributes the way finds none. */
            setxattr(victim, "user.escape", "x", 1, 0);
        }
    setxattr(outside->secret, "user.escape", "x", 1, 0);
    target->secret = open(outside->secret, O_RDONLY);
    target->events = open(path_in(path, outside->directory, "events"),
                          O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (!made || target->secret < 0 || target->events < 0 || fstat(target->secret, &status) != 0 ||
        chdir(outside->directory) != 0)
        return false;
    outside->secret_inode = status.st_ino;
    outside->descriptor = target->secret;
    outside->memory_file = memfd_create("secret", 0);
    if (outside->memory_file < 0 || write(outside->memory_file, SECRET, strlen(SECRET)) < 0)
        return false;
    return true;
}

static bool doors_open(struct target *target)
{
    struct outside *outside = &target->outside;
    int doors[DOOR_COUNT] = {
        [DOOR_TCP] = port_open(AF_INET, SOCK_STREAM, &outside->port),
        [DOOR_TCP6] = port_open(AF_INET6, SOCK_STREAM, &outside->port6),
        [DOOR_ALLOWED] = port_open(AF_INET, SOCK_STREAM, &outside->port_allowed),
        [DOOR_DATAGRAM] = port_open(AF_INET, SOCK_DGRAM, &outside->port_datagram),
        [DOOR_LOCAL] = local_open(outside->directory, "socket", SOCK_STREAM, false),
        [DOOR_ABSTRACT] = local_open(outside->directory, "socket", SOCK_STREAM, true),
        [DOOR_LOCAL_DATAGRAM] = local_open(outside->directory, "datagrams", SOCK_DGRAM, false),
        [DOOR_ABSTRACT_DATAGRAM] = local_open(outside->directory, "datagrams", SOCK_DGRAM, true),
        [DOOR_QUEUE] =
            mq_open(target->queue, O_RDONLY | O_CREAT | O_CLOEXEC | O_NONBLOCK, 0600, NULL),
        [DOOR_TERMINAL] = terminal_open(outside->terminal, sizeof outside->terminal),
        [DOOR_SIGNALS] = signals_open(),
    };

    for (size_t i = 0; i < DOOR_COUNT; i++)
        target->doors[i] = (struct pollfd){.fd = doors[i], .events = POLLIN};
    /* The others some hosts do not have. */
    return doors[DOOR_TCP] >= 0 && doors[DOOR_ALLOWED] >= 0 && doors[DOOR_DATAGRAM] >= 0 &&
           doors[DOOR_LOCAL] >= 0 && doors[DOOR_ABSTRACT] >= 0 && doors[DOOR_LOCAL_DATAGRAM] >= 0 &&
           doors[DOOR_SIGNALS] >= 0;
}

/* What a host may refuse: the ways to it are then natively closed as well. */
static void objects_make(struct target *target)
{
    key_t key = (key_t)target->outside.key;
    char path[128];
    void *place;

    target->segment = shmget(key, 4096, IPC_CREAT | 0600);
    place = target->segment < 0 ? (void *)-1 : shmat(target->segment, NULL, 0);
    if (place != (void *)-1)
        memcpy(place, secret_text, sizeof secret_text);
    target->semaphores = semget(key, 1, IPC_CREAT | 0600);
    target->messages = msgget(key, IPC_CREAT | 0600);
    snprintf(path, sizeof path, "/dev/shm%s", target->memory);
    file_make(path, SECRET "\n", 0600);
    target->key = syscall(SYS_add_key, "user", target->key_name, secret_text, sizeof secret_text,
                          KEY_SPEC_USER_KEYRING);
    if (target->key >= 0)
        /* Whoever is this user may read it, without holding it. */
        syscall(SYS_keyctl, KEYCTL_SETPERM, target->key, 0x3f3f0000);
}

static void objects_remove(const struct target *target)
{
    char path[128];

    if (target->segment >= 0)
        shmctl(target->segment, IPC_RMID, NULL);
    if (target->semaphores >= 0)
        semctl(target->semaphores, 0, IPC_RMID);
    if (target->messages >= 0)
        msgctl(target->messages, IPC_RMID, NULL);
    mq_unlink(target->queue);
    snprintf(path, sizeof path, "/dev/shm%s", target->memory);
    unlink(path);
    if (target->key >= 0)
        syscall(SYS_keyctl, KEYCTL_UNLINK, target->key, KEY_SPEC_USER_KEYRING);
}

/* Whoever connects is given the secret, in words and as an open file. */
static void stream_answer(const struct target *target, int door, bool descriptors)
{
    union {
        struct cmsghdr head;
        char room[CMSG_SPACE(sizeof(int))];
    } control = {.head = {.cmsg_level = SOL_SOCKET,
                          .cmsg_type = SCM_RIGHTS,
                          .cmsg_len = CMSG_LEN(sizeof(int))}};
    struct iovec text = {secret_text, sizeof secret_text};
    struct msghdr message = {.msg_iov = &text, .msg_iovlen = 1};
    int peer = accept4(door, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

    if (peer < 0)
        return;
    if (descriptors) {
        memcpy(CMSG_DATA(&control.head), &target->secret, sizeof target->secret);
        message.msg_control = &control;
        message.msg_controllen = sizeof control;
    }
    if (sendmsg(peer, &message, MSG_NOSIGNAL) < 0 && errno != EPIPE && errno != ECONNRESET)
        note(target, "a peer that could not be answered");
    close(peer);
}

/* False: told to end. */
static bool door_answer(struct target *target, enum door door)
{
    struct signalfd_siginfo signal;
    int descriptor = target->doors[door].fd;
    char text[256];

    switch (door) {
    case DOOR_SIGNALS:
        if (read(descriptor, &signal, sizeof signal) != (ssize_t)sizeof signal)
            return true;
        if (signal.ssi_signo == SIGTERM)
            return false;
        snprintf(text, sizeof text, "signal %u from %u", signal.ssi_signo, signal.ssi_pid);
        note(target, text);
        return true;
    case DOOR_TCP:
    case DOOR_TCP6:
    case DOOR_LOCAL:
    case DOOR_ABSTRACT:
        stream_answer(target, descriptor, door == DOOR_LOCAL || door == DOOR_ABSTRACT);
        break;
    case DOOR_ALLOWED:
        /* It tells nothing: who is here came by an allowed way. */
        descriptor = accept4(descriptor, NULL, NULL, SOCK_CLOEXEC);
        if (descriptor >= 0)
            close(descriptor);
        break;
    case DOOR_QUEUE: {
        char message[16384];

        if (mq_receive(descriptor, message, sizeof message, NULL) < 0)
            return true;
        break;
    }
    case DOOR_TERMINAL:
        if (read(descriptor, text, sizeof text) < 0)
            return true;
        break;
    default:
        if (recv(descriptor, text, sizeof text, MSG_DONTWAIT) < 0)
            return true;
    }
    if (door != DOOR_ALLOWED)
        note(target, door_names[door]);
    return true;
}

/* Messages in a queue of System V can't be waited for beside others. */
static void messages_take(const struct target *target)
{
    struct {
        long type;
        char text[64];
    } message;

    while (target->messages >= 0 &&
           msgrcv(target->messages, &message, sizeof message.text, 0, IPC_NOWAIT) >= 0)
        note(target, "a message");
}

static bool settings_write(const struct target *target, const char *path)
{
    char next[PATH_MAX + 8];
    int file;
    bool written;

    snprintf(next, sizeof next, "%s.next", path);
    file = open(next, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (file < 0)
        return false;
    written =
        write(file, &target->outside, sizeof target->outside) == (ssize_t)sizeof target->outside;
    return close(file) == 0 && written && rename(next, path) == 0;
}

static bool target_prepare(struct target *target, int argc, char **argv)
{
    struct outside *outside = &target->outside;
    char *const copies[] = {outside->allowed, outside->directory, NULL, outside->session, NULL,
                            outside->other,   outside->hirsel};

    for (int i = 0; i < argc && i < 7; i++)
        if (copies[i] != NULL && realpath(argv[i], copies[i]) == NULL && argv[i][0] != '\0')
            return false;
    outside->guard = argc > 4 ? (uint32_t)strtoul(argv[4], NULL, 10) : 0;
    path_in(outside->program, outside->allowed, "escape");
    outside->target = (uint32_t)getpid();
    outside->memory = (uint64_t)(uintptr_t)secret_text;
    outside->key = 0x68000000u | (uint32_t)getpid();
    snprintf(target->queue, sizeof target->queue, "/hirsel-escape-%u", outside->key);
    snprintf(target->memory, sizeof target->memory, "/hirsel-escape-%u", outside->key);
    snprintf(target->key_name, sizeof target->key_name, "hirsel-escape-%u", outside->key);
    return files_make(target) && doors_open(target);
}

int target_run(int argc, char **argv)
{
    static struct target target;
    bool going = true;

    if (argc < 3) {
        fprintf(stderr, "usage: escape --target ALLOWED DIRECTORY SETTINGS [SESSION GUARD OTHER "
                        "HIRSEL]\n");
        return 2;
    }
    setpgid(0, 0);
    if (!target_prepare(&target, argc, argv)) {
        fprintf(stderr, "escape: the target can't be made: %s\n", strerror(errno));
        return 2;
    }
    objects_make(&target);
    if (!settings_write(&target, argv[2])) {
        fprintf(stderr, "escape: %s: %s\n", argv[2], strerror(errno));
        going = false;
    }
    while (going) {
        int ready = poll(target.doors, DOOR_COUNT, 500);

        messages_take(&target);
        for (size_t i = 0; ready > 0 && i < DOOR_COUNT; i++)
            if (target.doors[i].revents & POLLIN)
                going = door_answer(&target, (enum door)i) && going;
    }
    objects_remove(&target);
    return 0;
}
