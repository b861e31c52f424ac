/* Ways that are allowed when they are looked at, and something else when they are done. */
#include "tests/escape/escape.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "shim/core/lane.h"

#define RACE_MILLISECONDS 500

/* What the other thread does over and over: the two sides of the swing. */
struct swing {
    void (*turn)(struct swing *swing, bool out);
    char *byte; /* of a path that both threads see */
    char own[PATH_MAX], other[PATH_MAX];
    int descriptor, in, out;
    struct open_how how;
    struct sockaddr_in *address;
    uint16_t port_in, port_out;
    bool ended;
};

static void *swing_run(void *context)
{
    struct swing *swing = context;

    for (unsigned i = 0; !__atomic_load_n(&swing->ended, __ATOMIC_RELAXED); i++)
        swing->turn(swing, i % 2 == 1);
    return NULL;
}

static bool time_left(const struct timespec *start)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (now.tv_sec - start->tv_sec) * 1000 + (now.tv_nsec - start->tv_nsec) / 1000000 <
           RACE_MILLISECONDS;
}

/* Try again and again; `attempt` says whether it got through. */
static void race(const struct outside *outside, struct trial *trial, struct swing *swing,
                 bool (*attempt)(const struct outside *outside, struct swing *swing),
                 const char *gain)
{
    struct timespec start;
    pthread_t thread;
    unsigned tries = 0;

    if (pthread_create(&thread, NULL, swing_run, swing) != 0) {
        tell_untried(trial, "no thread");
        return;
    }
    clock_gettime(CLOCK_MONOTONIC, &start);
    while (trial->outcome != OUTCOME_ESCAPED && time_left(&start)) {
        tries++;
        if (attempt(outside, swing))
            tell_escaped(trial, "%s at try %u", gain, tries);
    }
    __atomic_store_n(&swing->ended, true, __ATOMIC_RELAXED);
    pthread_join(thread, NULL);
    tell_held(trial, "%u tries", tries);
}

/* A path that leads to an allowed directory where a byte is NUL, and out where it is a slash. */
static void turn_byte(struct swing *swing, bool out)
{
    *(volatile char *)swing->byte = out ? '/' : '\0';
}

static bool path_prepare(const struct outside *outside, struct trial *trial, struct swing *swing)
{
    size_t length;

    memset(swing, 0, sizeof *swing);
    swing->turn = turn_byte;
    path_of_own(swing->own, outside, trial, "");
    if (mkdir(swing->own, 0700) != 0 && errno != EEXIST) {
        tell_untried(trial, "no directory of its own: %s", strerror(errno));
        return false;
    }
    length = strlen(swing->own);
    swing->byte = swing->own + length;
    snprintf(swing->byte, sizeof swing->own - length, "/../../../../../../../../../../../../..%s",
             outside->secret);
    return true;
}

static bool try_open(const struct outside *outside, struct swing *swing)
{
    int descriptor = (int)syscall(SYS_openat, AT_FDCWD, swing->own, O_RDONLY | O_CLOEXEC, 0);
    bool tells = descriptor >= 0 && descriptor_tells(descriptor);

    (void)outside;
    if (descriptor >= 0)
        close(descriptor);
    return tells;
}

static void by_open(const struct outside *outside, struct trial *trial)
{
    struct swing swing;

    if (path_prepare(outside, trial, &swing))
        race(outside, trial, &swing, try_open, "read the secret");
}

static bool try_stat(const struct outside *outside, struct swing *swing)
{
    struct stat status;

    return syscall(SYS_newfstatat, AT_FDCWD, swing->own, &status, 0) == 0 &&
           status.st_ino == outside->secret_inode;
}

static void by_stat(const struct outside *outside, struct trial *trial)
{
    struct swing swing;

    if (path_prepare(outside, trial, &swing))
        race(outside, trial, &swing, try_stat, "told its attributes");
}

static bool try_chmod(const struct outside *outside, struct swing *swing)
{
    struct stat status;

    (void)outside;
    if (syscall(SYS_chmod, swing->own, 0711) != 0)
        return false;
    /* Of its own directory it is no gain: put back, and see whether it was that. */
    swing->byte[0] = '\0';
    if (stat(swing->other, &status) != 0 || (status.st_mode & 0777) != 0711)
        return true;
    chmod(swing->other, 0700);
    return false;
}

static void by_chmod(const struct outside *outside, struct trial *trial)
{
    char victim[PATH_MAX];
    struct swing swing;
    size_t length;

    if (!path_prepare(outside, trial, &swing))
        return;
    path_of_own(swing.other, outside, trial, "");
    length = strlen(swing.other);
    snprintf(swing.own + length, sizeof swing.own - length,
             "/../../../../../../../../../../../..%s", path_of_victim(victim, outside, trial));
    race(outside, trial, &swing, try_chmod, "changed a mode");
}

static bool try_path_descriptor(const struct outside *outside, struct swing *swing)
{
    int descriptor = (int)syscall(SYS_openat, AT_FDCWD, swing->own, O_PATH | O_CLOEXEC, 0);
    struct stat status;
    bool told = descriptor >= 0 && fstat(descriptor, &status) == 0 &&
                status.st_ino == outside->secret_inode;

    if (descriptor >= 0)
        close(descriptor);
    return told;
}

static void by_path_descriptor(const struct outside *outside, struct trial *trial)
{
    struct swing swing;

    if (path_prepare(outside, trial, &swing))
        race(outside, trial, &swing, try_path_descriptor, "told its attributes");
}

static bool try_cookie(const struct outside *outside, struct swing *swing)
{
    int descriptor = (int)syscall(SYS_openat, AT_FDCWD, swing->own, O_RDONLY, 0, 0, LANE_COOKIE);
    bool tells = descriptor >= 0 && descriptor_tells(descriptor);

    (void)outside;
    if (descriptor >= 0)
        close(descriptor);
    return tells;
}

static void by_cookie(const struct outside *outside, struct trial *trial)
{
    struct swing swing;

    if (path_prepare(outside, trial, &swing))
        race(outside, trial, &swing, try_cookie, "read the secret");
}

/* A symlink that is replaced over and over. */
static void turn_symlink(struct swing *swing, bool out)
{
    char next[PATH_MAX + 8];

    snprintf(next, sizeof next, "%s.next", swing->own);
    if (symlink(out ? swing->other : "settings", next) != 0 || rename(next, swing->own) != 0)
        unlink(next);
}

static void symlink_prepare(const struct outside *outside, struct trial *trial, struct swing *swing)
{
    memset(swing, 0, sizeof *swing);
    swing->turn = turn_symlink;
    path_of_own(swing->own, outside, trial, "");
    snprintf(swing->other, sizeof swing->other, "%s", outside->secret);
}

static void by_symlink(const struct outside *outside, struct trial *trial)
{
    struct swing swing;

    symlink_prepare(outside, trial, &swing);
    race(outside, trial, &swing, try_open, "read the secret");
    unlink(swing.own);
}

static void by_symlink_stat(const struct outside *outside, struct trial *trial)
{
    struct swing swing;

    symlink_prepare(outside, trial, &swing);
    race(outside, trial, &swing, try_stat, "told its attributes");
    unlink(swing.own);
}

/* A directory and a symlink to one outside, exchanged over and over. */
static void turn_directory(struct swing *swing, bool out)
{
    (void)out;
    if (renameat2(AT_FDCWD, swing->own, AT_FDCWD, swing->other, RENAME_EXCHANGE) != 0) {
        char away[PATH_MAX + 8];

        snprintf(away, sizeof away, "%s.away", swing->own);
        rename(swing->own, away);
        rename(swing->other, swing->own);
        rename(away, swing->other);
    }
}

static bool try_below(const struct outside *outside, struct swing *swing)
{
    char path[PATH_MAX];

    (void)outside;
    return file_tells(path_in(path, swing->own, "secret"));
}

static void by_rename(const struct outside *outside, struct trial *trial)
{
    struct swing swing = {.turn = turn_directory};
    char decoy[PATH_MAX];

    path_of_own(swing.own, outside, trial, "");
    path_of_own(swing.other, outside, trial, ".other");
    if (mkdir(swing.own, 0700) != 0 || symlink(outside->directory, swing.other) != 0 ||
        !file_make(path_in(decoy, swing.own, "secret"), "decoy", 0600)) {
        tell_untried(trial, "nothing to exchange: %s", strerror(errno));
        return;
    }
    race(outside, trial, &swing, try_below, "read the secret");
}

/* A descriptor that becomes another directory. */
static void turn_descriptor(struct swing *swing, bool out)
{
    dup2(out ? swing->out : swing->in, swing->descriptor);
}

static bool try_at_descriptor(const struct outside *outside, struct swing *swing)
{
    struct stat status;
    int descriptor = openat(swing->descriptor, "secret", O_RDONLY | O_CLOEXEC);
    bool tells = descriptor >= 0 && descriptor_tells(descriptor);

    if (descriptor >= 0)
        close(descriptor);
    return tells || (fstatat(swing->descriptor, "secret", &status, 0) == 0 &&
                     status.st_ino == outside->secret_inode);
}

static void by_descriptor(const struct outside *outside, struct trial *trial)
{
    struct swing swing = {.turn = turn_descriptor, .descriptor = 60};

    swing.in = open(outside->allowed, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    swing.out = INHERITED_DIRECTORY;
    if (fcntl(swing.out, F_GETFD) < 0)
        tell_untried(trial, "no descriptor %d came in", swing.out);
    else
        race(outside, trial, &swing, try_at_descriptor, "got at the secret");
}

/* A descriptor that is for reading of one file when it is looked at, and for writing of another. */
static bool try_reopen(const struct outside *outside, struct swing *swing)
{
    struct stat inherited, status;
    char path[64];
    bool got;
    int descriptor;

    (void)outside;
    snprintf(path, sizeof path, "/proc/self/fd/%d", swing->descriptor);
    descriptor = open(path, O_RDWR | O_CLOEXEC);
    got = descriptor >= 0 && fstat(INHERITED_FILE, &inherited) == 0 &&
          fstat(descriptor, &status) == 0 && status.st_ino == inherited.st_ino;
    if (descriptor >= 0)
        close(descriptor);
    return got;
}

static void by_reopen(const struct outside *outside, struct trial *trial)
{
    struct swing swing = {.turn = turn_descriptor, .descriptor = 60, .out = INHERITED_FILE};

    swing.in = memfd_create("own", 0);
    if (swing.in < 0 || fcntl(swing.out, F_GETFD) < 0)
        tell_untried(trial, "no descriptor %d came in", swing.out);
    else
        race(outside, trial, &swing, try_reopen, "opened it for writing");
}

/* Flags in memory: of O_PATH Landlock says nothing. */
static void turn_flags(struct swing *swing, bool out)
{
    __atomic_store_n(&swing->how.flags, out ? O_PATH : O_RDONLY, __ATOMIC_RELAXED);
}

static bool try_openat2(const struct outside *outside, struct swing *swing)
{
    struct stat status;
    int descriptor =
        (int)syscall(SYS_openat2, AT_FDCWD, outside->secret, &swing->how, sizeof swing->how, 0, 0);
    bool told = descriptor >= 0 && fstat(descriptor, &status) == 0 &&
                status.st_ino == outside->secret_inode;

    if (descriptor >= 0)
        close(descriptor);
    return told;
}

static void by_openat2(const struct outside *outside, struct trial *trial)
{
    struct swing swing = {.turn = turn_flags};

    race(outside, trial, &swing, try_openat2, "told its attributes");
}

/* An address whose port changes. */
static void turn_port(struct swing *swing, bool out)
{
    __atomic_store_n(&swing->address->sin_port, out ? swing->port_out : swing->port_in,
                     __ATOMIC_RELAXED);
}

static bool try_connect(const struct outside *outside, struct swing *swing)
{
    struct sockaddr_in peer = {.sin_port = 0};
    socklen_t length = sizeof peer;
    int descriptor = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool out =
        descriptor >= 0 &&
        connect(descriptor, (struct sockaddr *)swing->address, sizeof *swing->address) == 0 &&
        getpeername(descriptor, (struct sockaddr *)&peer, &length) == 0 &&
        ntohs(peer.sin_port) == outside->port;

    /* The target's word: it keeps pace, or its queue would be full. */
    if (peer.sin_port != 0)
        descriptor_tells(descriptor);
    if (descriptor >= 0)
        close(descriptor);
    return out;
}

static void by_connect(const struct outside *outside, struct trial *trial)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct swing swing = {.turn = turn_port,
                          .address = &address,
                          .port_in = htons(outside->port_allowed),
                          .port_out = htons(outside->port)};

    address.sin_port = swing.port_in;
    race(outside, trial, &swing, try_connect, "connected out");
}

static const struct way ways[] = {
    {"race-memory-open", by_open, true},          {"race-memory-stat", by_stat, true},
    {"race-memory-chmod", by_chmod, true},        {"race-memory-path", by_path_descriptor, true},
    {"race-memory-cookie", by_cookie, true},      {"race-symlink", by_symlink, true},
    {"race-symlink-stat", by_symlink_stat, true}, {"race-rename", by_rename, true},
    {"race-descriptor", by_descriptor, true},     {"race-reopen", by_reopen, true},
    {"race-memory-openat2", by_openat2, true},    {"race-memory-connect", by_connect, true},
};

const struct family family_races = {"races", ways, sizeof ways / sizeof ways[0]};
