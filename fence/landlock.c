/* Landlock by its own system calls: as much of it as the kernel has. */
#include "fence/fence.h"
#include "shim/core/lane.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The interface as of version 6; the headers of Debian 12 have that of version 2. */
enum { RULE_PATH = 1, RULE_PORT = 2, ASK_VERSION = 1 };

enum {
    FILE_EXECUTE = 1 << 0,
    FILE_WRITE = 1 << 1,
    FILE_READ = 1 << 2,
    DIRECTORY_READ = 1 << 3,
    REMOVE_DIRECTORY = 1 << 4,
    REMOVE_FILE = 1 << 5,
    MAKE_CHARACTER_DEVICE = 1 << 6,
    MAKE_DIRECTORY = 1 << 7,
    MAKE_FILE = 1 << 8,
    MAKE_SOCKET = 1 << 9,
    MAKE_FIFO = 1 << 10,
    MAKE_BLOCK_DEVICE = 1 << 11,
    MAKE_SYMLINK = 1 << 12,
    MOVE_BETWEEN = 1 << 13,   /* version 2 */
    FILE_TRUNCATE = 1 << 14,  /* version 3 */
    DEVICE_CONTROL = 1 << 15, /* version 5 */
};

enum { PORT_BIND = 1 << 0, PORT_CONNECT = 1 << 1 };
enum { SCOPE_ABSTRACT = 1 << 0, SCOPE_SIGNAL = 1 << 1 };

struct ruleset {
    uint64_t files;
    uint64_t ports;  /* version 4 */
    uint64_t scopes; /* version 6 */
};

struct path_rule {
    uint64_t access;
    int32_t descriptor;
} __attribute__((packed));

struct port_rule {
    uint64_t access;
    uint64_t port;
};

/* What a rule on something that is no directory can speak of. */
static const uint64_t file_rights =
    FILE_EXECUTE | FILE_WRITE | FILE_READ | FILE_TRUNCATE | DEVICE_CONTROL;

static const struct {
    enum fence_hold hold;
    int version;
    const char *name;
} holds[] = {
    {FENCE_HOLD_FILES, 1, "files"},
    {FENCE_HOLD_LINK, 2, "moving between directories"},
    {FENCE_HOLD_TRUNCATE, 3, "truncation"},
    {FENCE_HOLD_CONNECT, 4, "connecting to ports"},
    {FENCE_HOLD_BIND, 4, "binding ports"},
    {FENCE_HOLD_DEVICE, 5, "control of devices"},
    {FENCE_HOLD_ABSTRACT, 6, "abstract sockets"},
    {FENCE_HOLD_SIGNAL, 6, "signals"},
};

int fence_landlock_version(void)
{
    long version = syscall(SYS_landlock_create_ruleset, NULL, 0, ASK_VERSION);

    return version < 0 ? 0 : (int)version;
}

unsigned fence_landlock_holds(int version)
{
    unsigned set = 0;

    for (size_t i = 0; i < sizeof holds / sizeof holds[0]; i++)
        if (version >= holds[i].version)
            set |= holds[i].hold;
    return set;
}

const char *fence_hold_name(enum fence_hold hold)
{
    for (size_t i = 0; i < sizeof holds / sizeof holds[0]; i++)
        if (holds[i].hold == hold)
            return holds[i].name;
    return "something unknown";
}

static uint64_t rights_held(unsigned held)
{
    uint64_t rights = 0;

    if (held & FENCE_HOLD_FILES)
        rights |= FILE_EXECUTE | FILE_WRITE | FILE_READ | DIRECTORY_READ | REMOVE_DIRECTORY |
                  REMOVE_FILE | MAKE_CHARACTER_DEVICE | MAKE_DIRECTORY | MAKE_FILE | MAKE_SOCKET |
                  MAKE_FIFO | MAKE_BLOCK_DEVICE | MAKE_SYMLINK;
    if (held & FENCE_HOLD_LINK)
        rights |= MOVE_BETWEEN;
    if (held & FENCE_HOLD_TRUNCATE)
        rights |= FILE_TRUNCATE;
    if (held & FENCE_HOLD_DEVICE)
        rights |= DEVICE_CONTROL;
    return rights;
}

/* Devices are made by root alone: no access means that. */
static uint64_t rights_of(unsigned access)
{
    uint64_t rights = 0;

    if (access & FENCE_READ)
        rights |= FILE_READ | DIRECTORY_READ;
    if (access & FENCE_WRITE)
        rights |= FILE_WRITE | REMOVE_DIRECTORY | REMOVE_FILE | MAKE_DIRECTORY | MAKE_FILE |
                  MAKE_SOCKET | MAKE_FIFO | MAKE_SYMLINK | MOVE_BETWEEN | FILE_TRUNCATE |
                  DEVICE_CONTROL;
    if (access & FENCE_EXECUTE)
        rights |= FILE_EXECUTE;
    return rights;
}

static uint64_t ports_of(unsigned connect, unsigned bind)
{
    return (connect ? (uint64_t)PORT_CONNECT : 0) | (bind ? (uint64_t)PORT_BIND : 0);
}

int fence_landlock_begin(struct fence_landlock *fence, unsigned wanted)
{
    int version = fence_landlock_version();
    unsigned held = wanted & fence_landlock_holds(version);
    struct ruleset ruleset = {
        .files = rights_held(held),
        .ports = ports_of(held & FENCE_HOLD_CONNECT, held & FENCE_HOLD_BIND),
        .scopes = (held & FENCE_HOLD_ABSTRACT ? (uint64_t)SCOPE_ABSTRACT : 0) |
                  (held & FENCE_HOLD_SIGNAL ? (uint64_t)SCOPE_SIGNAL : 0),
    };
    /* A kernel takes what is longer than it knows as long as the rest is nought. */
    size_t size = version >= 6 ? sizeof ruleset : version >= 4 ? 16 : 8;

    *fence = (struct fence_landlock){
        .ruleset = -1, .version = version, .held = held, .missing = wanted & ~held};
    if (version > 0 && held == 0)
        return 0;
    fence->ruleset = (int)syscall(SYS_landlock_create_ruleset, &ruleset, size, 0);
    if (fence->ruleset >= 0)
        return 0;
    fence->held = 0;
    fence->missing = wanted;
    return errno;
}

int fence_landlock_allow_at(struct fence_landlock *fence, int descriptor, unsigned access)
{
    struct path_rule rule = {.access = rights_of(access) & rights_held(fence->held),
                             .descriptor = descriptor};
    struct stat status;

    if (rule.access == 0)
        return 0;
    if (fstat(descriptor, &status) != 0)
        return errno;
    if (!S_ISDIR(status.st_mode))
        rule.access &= file_rights;
    if (rule.access == 0)
        return 0;
    return syscall(SYS_landlock_add_rule, fence->ruleset, RULE_PATH, &rule, 0) == 0 ? 0 : errno;
}

int fence_landlock_allow(struct fence_landlock *fence, const char *path, unsigned access)
{
    /* The host's own, in a session as well, where a shim is below libc. */
    int descriptor = (int)lane_call(SYS_openat, AT_FDCWD, (long)path, O_PATH | O_CLOEXEC, 0, 0);
    int error;

    if (descriptor < 0)
        return -descriptor;
    error = fence_landlock_allow_at(fence, descriptor, access);
    close(descriptor);
    return error;
}

int fence_landlock_allow_port(struct fence_landlock *fence, uint16_t port, unsigned access)
{
    struct port_rule rule = {
        .access = ports_of(access & FENCE_CONNECT, access & FENCE_BIND) &
                  ports_of(fence->held & FENCE_HOLD_CONNECT, fence->held & FENCE_HOLD_BIND),
        .port = port,
    };

    if (rule.access == 0)
        return 0;
    return syscall(SYS_landlock_add_rule, fence->ruleset, RULE_PORT, &rule, 0) == 0 ? 0 : errno;
}

void fence_landlock_end(struct fence_landlock *fence)
{
    if (fence->ruleset >= 0)
        close(fence->ruleset);
    fence->ruleset = -1;
}

int fence_landlock_enforce(struct fence_landlock *fence)
{
    int error = 0;

    if (fence->ruleset >= 0 && (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
                                syscall(SYS_landlock_restrict_self, fence->ruleset, 0) != 0))
        error = errno;
    fence_landlock_end(fence);
    return error;
}
