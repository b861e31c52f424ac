/* Every row of the table of calls against what the kernel does under the installed filter. */
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/fs.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "shim/core/calls.h"
#include "shim/core/lane.h"
#include "tests/unit/fence_try.h"

enum { LANDLOCK_ALL = 6, X32 = 0x40000000 };

static const struct fence_options modes[] = {
    {0},
    {.network = true},
    {.confined = true, .landlock = LANDLOCK_ALL},
    {.confined = true, .landlock = LANDLOCK_ALL, .network = true},
    {.confined = true, .landlock = LANDLOCK_ALL, .internet = true},
    {.confined = true, .landlock = 2},
    {.confined = true, .landlock = 0},
    {.binds = true},
    {.confined = true, .landlock = LANDLOCK_ALL, .binds = true},
};
enum {
    OPEN,
    OPEN_NETWORK,
    CONFINED,
    CONFINED_NETWORK,
    CONFINED_INTERNET,
    OLD,
    BARE,
    OPEN_BINDS,
    CONFINED_BINDS,
    MODES
};

/* The kernel itself lets these pass any filter: they are the way back from its probes, and kill who
 * calls them otherwise. */
static bool never_called(uint32_t number)
{
    return number == 335 || number == 336;
}

/* What a rule makes of a call whose arguments are all 0, in a confined tree. */
static int confined_rule(const struct fence_call *call, const struct fence_options *options,
                         bool cookie)
{
    bool addresses = options->network || options->internet;
    int lane = cookie && options->landlock > 0 ? TRY_NATIVE : TRY_ASKED;

    switch ((enum fence_rule)call->rule) {
    case FENCE_RULE_OPEN:
        return lane;
    case FENCE_RULE_TRUNCATE:
        return options->landlock >= 3 ? lane : TRY_ASKED;
    case FENCE_RULE_LISTEN:
        return addresses ? TRY_ASKED : TRY_NATIVE;
    case FENCE_RULE_MESSAGE:
        return addresses ? TRY_ASKED : TRY_NATIVE;
    case FENCE_RULE_SOCKET:
        return EAFNOSUPPORT;
    case FENCE_RULE_PAIR:
        return EACCES;
    case FENCE_RULE_SIGNAL:
        return options->landlock >= 6 ? TRY_NATIVE : TRY_ASKED;
    case FENCE_RULE_SIGNAL_FILE:
        return options->landlock >= 6 ? TRY_NATIVE : ENOSYS;
    case FENCE_RULE_INSPECT:
        return options->landlock > 0 ? TRY_NATIVE : EPERM;
    case FENCE_RULE_PRIORITY:
        return call->argument == 0 ? TRY_NATIVE : TRY_ASKED;
    default:
        /* 0 is the caller itself, no flag, no address, and harmless. */
        return TRY_NATIVE;
    }
}

static int expected(uint32_t number, const struct fence_options *options, bool cookie)
{
    const struct fence_call *call = fence_call_at(number);
    enum fence_way way;

    if (!call)
        return options->confined ? ENOSYS : TRY_NATIVE;
    way = options->confined ? call->confined : call->way;
    if (way == FENCE_DENIED)
        return call->refusal;
    if (way == FENCE_ABSENT)
        return ENOSYS;
    if (options->confined && call->rule != FENCE_RULE_NONE && call->rule != FENCE_RULE_ADDRESS)
        return confined_rule(call, options, cookie);
    if (call->rule == FENCE_RULE_ADDRESS || call->rule == FENCE_RULE_SENDTO)
        return TRY_NATIVE;
    if (way == FENCE_NETWORK && !options->network)
        return TRY_NATIVE;
    if (way == FENCE_TOLD && !options->network && !options->binds)
        return TRY_NATIVE;
    if (way == FENCE_ASKED || (way == FENCE_CORE && options->confined && options->landlock == 0))
        return TRY_ASKED;
    return way == FENCE_NATIVE || cookie ? TRY_NATIVE : TRY_ASKED;
}

static const char *met_text(int met)
{
    static char text[40];

    if (met <= 0)
        return met == TRY_ASKED ? "asked" : "native";
    snprintf(text, sizeof text, "refused: %s", strerrorname_np(met));
    return text;
}

START_TEST(test_every_number)
{
    const struct fence_options *options = &modes[_i / 2];
    bool cookie = _i % 2;
    static struct attempt attempts[FENCE_CALLS + 64];
    size_t count = 0;
    int wrong = 0;

    for (uint32_t number = 0; number < FENCE_CALLS + 50; number++)
        if (!never_called(number))
            attempts[count++] = (struct attempt){
                .number = number, .arguments = {0, 0, 0, 0, 0, cookie ? (long)LANE_COOKIE : 0}};
    attempts_try(options, attempts, count);
    for (size_t i = 0; i < count; i++) {
        const struct fence_call *call = fence_call_at(attempts[i].number);
        int should = expected(attempts[i].number, options, cookie);
        if (attempts[i].met == should)
            continue;
        wrong++;
        fprintf(stderr, "mode %d, %s cookie: %u %s is %s", _i / 2, cookie ? "with" : "without",
                attempts[i].number, call ? call->name : "-", met_text(attempts[i].met));
        fprintf(stderr, ", not %s\n", met_text(should));
    }
    ck_assert_int_eq(wrong, 0);
}
END_TEST

/* What the trap server asks, and what the kernel does, are one. */
START_TEST(test_verdicts)
{
    const struct fence_options *options = &modes[_i];
    static struct fence_program program;
    static struct attempt attempts[FENCE_CALLS + 64];
    size_t count = 0;

    fence_program_build(options, &program);
    ck_assert_uint_lt(program.count, FENCE_PROGRAM_MAX / 2);
    for (uint32_t number = 0; number < FENCE_CALLS + 50; number++)
        if (!never_called(number))
            attempts[count++] = (struct attempt){
                .number = number,
                .arguments = {random() % 4, random(), random() % 32, random(), random() % 2, 0}};
    attempts_try(options, attempts, count);
    for (size_t i = 0; i < count; i++) {
        struct seccomp_data data = {.nr = (int)attempts[i].number, .arch = AUDIT_ARCH_X86_64};
        uint32_t verdict;
        int met;
        for (int j = 0; j < 6; j++)
            data.args[j] = (uint64_t)attempts[i].arguments[j];
        verdict = fence_program_verdict(&program, &data);
        met = verdict == SECCOMP_RET_ALLOW        ? TRY_NATIVE
              : verdict == SECCOMP_RET_USER_NOTIF ? TRY_ASKED
                                                  : (int)(verdict & SECCOMP_RET_DATA);
        ck_assert_msg(attempts[i].met == met || (verdict & SECCOMP_RET_DATA) == 0,
                      "%u: %s, by the program %s", attempts[i].number, met_text(attempts[i].met),
                      met_text(met));
    }
}
END_TEST

/* One call with its arguments, and what becomes of it in the modes of the set. */
struct special {
    const char *what;
    unsigned modes; /* bits */
    uint32_t number;
    long arguments[6];
    int met;
};

#define IN(mode) (1u << (mode))
static const unsigned every_confined = IN(CONFINED) | IN(CONFINED_NETWORK) | IN(CONFINED_INTERNET) |
                                       IN(OLD) | IN(BARE) | IN(CONFINED_BINDS);
static const unsigned landlocked =
    IN(CONFINED) | IN(CONFINED_NETWORK) | IN(CONFINED_INTERNET) | IN(OLD) | IN(CONFINED_BINDS);
static const unsigned unconfined = IN(OPEN) | IN(OPEN_NETWORK) | IN(OPEN_BINDS);
static const unsigned everywhere = (1u << MODES) - 1;
static const unsigned closed = IN(CONFINED) | IN(OLD) | IN(BARE);

enum { COOKIE_LOW = (int)(LANE_COOKIE & 0xffffffff) };
static const long high = 1l << 32;

static void specials_try(const struct special *specials, size_t count)
{
    for (int mode = 0; mode < MODES; mode++) {
        struct attempt attempts[96];
        size_t tried = 0;
        ck_assert_uint_le(count, 96);
        for (size_t i = 0; i < count; i++) {
            if (!(specials[i].modes & IN(mode)))
                continue;
            attempts[tried].number = specials[i].number;
            memcpy(attempts[tried++].arguments, specials[i].arguments,
                   sizeof attempts[0].arguments);
        }
        attempts_try(&modes[mode], attempts, tried);
        tried = 0;
        for (size_t i = 0; i < count; i++)
            if (specials[i].modes & IN(mode)) {
                int met = attempts[tried++].met;
                ck_assert_msg(met == specials[i].met, "%s in mode %d: %s", specials[i].what, mode,
                              met_text(met));
            }
    }
}

#define TRY(specials) specials_try(specials, sizeof(specials) / sizeof((specials)[0]))
#define COOKIE (long)LANE_COOKIE

START_TEST(test_paths)
{
    const struct special specials[] = {
        {"openat", everywhere, SYS_openat, {AT_FDCWD}, TRY_ASKED},
        {"openat, laned", unconfined | landlocked, SYS_openat, {-1, 0, 0, 0, 0, COOKIE}, 0},
        {"openat, laned without Landlock", IN(BARE), SYS_openat, {-1, 0, 0, 0, 0, COOKIE}, -1},
        {"half a cookie", everywhere, SYS_openat, {-1, 0, 0, 0, 0, COOKIE_LOW}, -1},
        {"another half", everywhere, SYS_openat, {-1, 0, 0, 0, 0, COOKIE & ~0xffffffffl}, -1},
        {"O_PATH, laned", every_confined, SYS_openat, {-1, 0, O_PATH, 0, 0, COOKIE}, -1},
        {"O_PATH, laned", unconfined, SYS_openat, {-1, 0, O_PATH, 0, 0, COOKIE}, 0},
        {"mode 3, laned", every_confined, SYS_openat, {-1, 0, O_ACCMODE, 0, 0, COOKIE}, -1},
        {"mode 3, laned", unconfined, SYS_openat, {-1, 0, O_ACCMODE, 0, 0, COOKIE}, 0},
        {"to write, laned", IN(CONFINED), SYS_openat, {-1, 0, O_RDWR, 0, 0, COOKIE}, 0},
        {"open's O_PATH", every_confined, SYS_open, {0, O_PATH, 0, 0, 0, COOKIE}, -1},
        {"O_TRUNC, laned", IN(CONFINED), SYS_openat, {-1, 0, O_TRUNC, 0, 0, COOKIE}, 0},
        {"O_TRUNC, laned, old", IN(OLD), SYS_openat, {-1, 0, O_TRUNC, 0, 0, COOKIE}, -1},
        {"openat2, laned", every_confined, SYS_openat2, {-1, 0, 0, 0, 0, COOKIE}, -1},
        {"openat2, laned", unconfined, SYS_openat2, {-1, 0, 0, 0, 0, COOKIE}, 0},
        {"stat of a path, forged", every_confined, SYS_stat, {0, 0, 0, 0, 0, COOKIE}, -1},
        {"stat of a path, laned", unconfined, SYS_stat, {0, 0, 0, 0, 0, COOKIE}, 0},
        {"fstat by AT_EMPTY_PATH", unconfined, SYS_newfstatat, {3, 0, 0, AT_EMPTY_PATH}, 0},
        {"the same", every_confined, SYS_newfstatat, {3, 1, 0, AT_EMPTY_PATH}, -1},
        {"without a path", every_confined, SYS_newfstatat, {3, 0, 0, AT_EMPTY_PATH}, 0},
        {"the same, forged", every_confined, SYS_newfstatat, {3, 1, 0, 0x1000, 0, COOKIE}, -1},
        {"AT_EMPTY_PATH at cwd", everywhere, SYS_newfstatat, {-100, 0, 0, AT_EMPTY_PATH}, -1},
        {"at cwd, 32 bits", everywhere, SYS_newfstatat, {0xffffff9c, 0, 0, AT_EMPTY_PATH}, -1},
        {"statx of a descriptor", unconfined, SYS_statx, {3, 0, AT_EMPTY_PATH}, 0},
        {"statx of a descriptor", every_confined, SYS_statx, {3, 1, AT_EMPTY_PATH}, -1},
        {"the same, without a path", every_confined, SYS_statx, {3, 0, AT_EMPTY_PATH}, 0},
        {"statx at cwd", everywhere, SYS_statx, {-100, 0, AT_EMPTY_PATH}, -1},
        {"unlink, laned", unconfined | landlocked, SYS_unlink, {0, 0, 0, 0, 0, COOKIE}, 0},
        {"chmod, forged", every_confined, SYS_chmod, {0, 0, 0, 0, 0, COOKIE}, -1},
        {"fchmod", every_confined, SYS_fchmod, {3}, -1},
        {"fchmod", unconfined, SYS_fchmod, {3}, 0},
        {"chdir, forged", every_confined, SYS_chdir, {0, 0, 0, 0, 0, COOKIE}, -1},
        {"execve", everywhere, SYS_execve, {0}, -1},
        {"execve, laned", unconfined | landlocked, SYS_execve, {0, 0, 0, 0, 0, COOKIE}, 0},
        {"execveat, laned", unconfined | landlocked, SYS_execveat, {0, 0, 0, 0, 0, COOKIE}, 0},
        {"truncate, laned, old", IN(OLD), SYS_truncate, {0, 0, 0, 0, 0, COOKIE}, -1},
        {"getdents64", everywhere, SYS_getdents64, {3}, -1},
        {"fstat", everywhere, SYS_fstat, {3}, 0},
    };

    TRY(specials);
}
END_TEST

START_TEST(test_sockets)
{
    const unsigned named = IN(CONFINED_NETWORK) | IN(CONFINED_INTERNET);
    const long udp = SOCK_DGRAM, tcp = SOCK_STREAM | SOCK_CLOEXEC;
    const struct special specials[] = {
        {"Unix stream", every_confined, SYS_socket, {AF_UNIX, tcp}, 0},
        {"Unix packets", every_confined, SYS_socket, {AF_UNIX, SOCK_SEQPACKET}, 0},
        {"Unix datagram", every_confined, SYS_socket, {AF_UNIX, udp}, EACCES},
        {"Unix raw", every_confined, SYS_socket, {AF_UNIX, SOCK_RAW}, EACCES},
        {"Unix datagram, 64 bits",
         every_confined,
         SYS_socket,
         {high | AF_UNIX, high | udp},
         EACCES},
        {"TCP", closed, SYS_socket, {AF_INET, tcp}, EACCES},
        {"TCP, forged", closed, SYS_socket, {AF_INET, tcp, 0, 0, 0, COOKIE}, EACCES},
        {"TCP", IN(CONFINED_INTERNET), SYS_socket, {AF_INET, tcp}, 0},
        {"TCP 6", IN(CONFINED_INTERNET), SYS_socket, {AF_INET6, tcp, IPPROTO_TCP}, 0},
        {"UDP", IN(CONFINED_INTERNET), SYS_socket, {AF_INET, udp}, 0},
        {"TCP of the session",
         IN(CONFINED_NETWORK) | IN(OPEN_NETWORK),
         SYS_socket,
         {AF_INET, 1},
         -1},
        {"TCP, laned", IN(CONFINED_NETWORK), SYS_socket, {AF_INET, tcp, 0, 0, 0, COOKIE}, 0},
        {"raw", every_confined, SYS_socket, {AF_INET, SOCK_RAW, IPPROTO_ICMP}, EACCES},
        {"raw, laned", named, SYS_socket, {AF_INET, SOCK_RAW, 1, 0, 0, COOKIE}, EACCES},
        {"ping", every_confined, SYS_socket, {AF_INET, udp, IPPROTO_ICMP}, EACCES},
        {"MPTCP", every_confined, SYS_socket, {AF_INET, tcp, 262}, EACCES},
        {"SCTP", every_confined, SYS_socket, {AF_INET, tcp, 132}, EACCES},
        {"UDP-lite", every_confined, SYS_socket, {AF_INET, udp, 136}, EACCES},
        {"netlink", every_confined, SYS_socket, {AF_NETLINK, SOCK_RAW}, EAFNOSUPPORT},
        {"packets", every_confined, SYS_socket, {AF_PACKET, SOCK_RAW}, EAFNOSUPPORT},
        {"vsock", every_confined, SYS_socket, {AF_VSOCK, tcp}, EAFNOSUPPORT},
        {"kernel's ciphers", every_confined, SYS_socket, {AF_ALG, SOCK_SEQPACKET}, EAFNOSUPPORT},
        {"a pair", everywhere, SYS_socketpair, {AF_UNIX, tcp}, 0},
        {"a datagram pair", every_confined, SYS_socketpair, {AF_UNIX, udp}, EACCES},
        {"connect", every_confined | IN(OPEN) | IN(OPEN_NETWORK), SYS_connect, {3}, -1},
        {"connect, forged", every_confined, SYS_connect, {3, 0, 0, 0, 0, COOKIE}, -1},
        {"connect, laned", IN(OPEN) | IN(OPEN_NETWORK), SYS_connect, {3, 0, 0, 0, 0, COOKIE}, 0},
        {"bind", IN(OPEN) | IN(OPEN_NETWORK), SYS_bind, {3}, -1},
        {"bind, forged", every_confined, SYS_bind, {3, 0, 0, 0, 0, COOKIE}, -1},
        {"send", everywhere, SYS_sendto, {3}, 0},
        {"send to", named | unconfined, SYS_sendto, {3, 0, 0, 0, 8, 16}, -1},
        {"send to, forged", named | unconfined, SYS_sendto, {3, 0, 0, 0, 8, COOKIE}, -1},
        {"send to on a stream", closed, SYS_sendto, {3, 0, 0, 0, 8, 16}, 0},
        {"send to, high address", named, SYS_sendto, {3, 0, 0, 0, high, 16}, -1},
        {"fast open", closed, SYS_sendto, {3, 0, 0, MSG_FASTOPEN, 8, 16}, EOPNOTSUPP},
        {"sendmsg", closed, SYS_sendmsg, {3}, 0},
        {"sendmsg", named | unconfined, SYS_sendmsg, {3}, -1},
        {"sendmsg, decided", unconfined, SYS_sendmsg, {3, 0, 0, 0, 0, COOKIE}, 0},
        {"getsockname", everywhere, SYS_getsockname, {3}, -1},
        {"sendmsg, forged", named, SYS_sendmsg, {3, 0, 0, 0, 0, COOKIE}, -1},
        {"fast open message", closed, SYS_sendmsg, {3, 0, MSG_FASTOPEN}, EOPNOTSUPP},
        {"fast open messages", closed, SYS_sendmmsg, {3, 0, 1, MSG_FASTOPEN}, EOPNOTSUPP},
        {"receive", everywhere, SYS_recvfrom, {3}, 0},
        {"receive from",
         IN(OPEN_NETWORK) | IN(CONFINED_NETWORK),
         SYS_recvfrom,
         {3, 0, 0, 0, 8},
         -1},
        {"receive from", IN(OPEN) | closed, SYS_recvfrom, {3, 0, 0, 0, 8}, 0},
    };

    TRY(specials);
}
END_TEST

START_TEST(test_processes)
{
    const unsigned scoped = IN(CONFINED) | IN(CONFINED_NETWORK) | IN(CONFINED_INTERNET);
    const unsigned unscoped = IN(OLD) | IN(BARE);
    const struct special specials[] = {
        {"a thread", everywhere, SYS_clone, {CLONE_VM | CLONE_THREAD | CLONE_SIGHAND}, 0},
        {"a child", everywhere, SYS_clone, {SIGCHLD}, 0},
        {"a user name space", every_confined, SYS_clone, {CLONE_NEWUSER | SIGCHLD}, EPERM},
        {"a mount name space", every_confined, SYS_clone, {CLONE_NEWNS | SIGCHLD}, EPERM},
        {"a network", every_confined, SYS_unshare, {CLONE_NEWNET}, EPERM},
        {"a time name space", every_confined, SYS_unshare, {CLONE_NEWTIME}, EPERM},
        {"its own cwd", everywhere, SYS_unshare, {CLONE_FS}, 0},
        {"clone3", every_confined, SYS_clone3, {0}, ENOSYS},
        {"clone3", unconfined, SYS_clone3, {0}, 0},
        {"TIOCSTI", every_confined, SYS_ioctl, {0, 0x5412}, EPERM},
        {"TIOCSTI, 64 bits", every_confined, SYS_ioctl, {0, high | 0x5412}, EPERM},
        {"TIOCLINUX", every_confined, SYS_ioctl, {0, 0x541c}, EPERM},
        {"TIOCSTI", unconfined, SYS_ioctl, {0, 0x5412}, 0},
        {"TCGETS", everywhere, SYS_ioctl, {0, 0x5401}, 0},
        {"FIONREAD", everywhere, SYS_ioctl, {0, 0x541b}, 0},
        {"FICLONE", everywhere, SYS_ioctl, {0, FICLONE}, 0},
        {"FS_IOC_GETFLAGS", everywhere, SYS_ioctl, {0, FS_IOC_GETFLAGS}, 0},
        {"FS_IOC_SETFLAGS", every_confined, SYS_ioctl, {0, FS_IOC_SETFLAGS}, ENOTTY},
        {"FS_IOC_FSSETXATTR", every_confined, SYS_ioctl, {0, FS_IOC_FSSETXATTR}, ENOTTY},
        {"FS_IOC_ENABLE_VERITY", every_confined, SYS_ioctl, {0, 0x40806685}, ENOTTY},
        {"a subvolume's end", every_confined, SYS_ioctl, {0, 0x5000940f}, ENOTTY},
        {"FIOSETOWN", unscoped, SYS_ioctl, {0, 0x8901}, EPERM},
        {"F_SETOWN", unscoped, SYS_fcntl, {0, F_SETOWN, 1}, EPERM},
        {"F_SETOWN", scoped | unconfined, SYS_fcntl, {0, F_SETOWN, 1}, 0},
        {"F_DUPFD", everywhere, SYS_fcntl, {0, F_DUPFD}, 0},
        {"kill", scoped | unconfined, SYS_kill, {1, 9}, 0},
        {"kill", unscoped, SYS_kill, {1, 9}, -1},
        {"pidfd_send_signal", unscoped, SYS_pidfd_send_signal, {3, 9}, ENOSYS},
        {"ptrace", IN(BARE), SYS_ptrace, {16, 1}, EPERM},
        {"ptrace", unconfined | landlocked, SYS_ptrace, {16, 1}, 0},
        {"its own limits", everywhere, SYS_prlimit64, {0, 7}, 0},
        {"another's limits", every_confined, SYS_prlimit64, {1, 7}, -1},
        {"another's limits", unconfined, SYS_prlimit64, {1, 7}, 0},
        {"its priority", everywhere, SYS_setpriority, {0, 0, 5}, 0},
        {"another's priority", every_confined, SYS_setpriority, {0, 1, 5}, -1},
        {"the user's priority", every_confined, SYS_setpriority, {2, 0, 5}, -1},
        {"its io priority", everywhere, SYS_ioprio_set, {1, 0, 5}, 0},
        {"its group's", every_confined, SYS_ioprio_set, {2, 0, 5}, -1},
        {"personality?", everywhere, SYS_personality, {0xffffffff}, 0},
        {"no random addresses", everywhere, SYS_personality, {ADDR_NO_RANDOMIZE}, 0},
        {"another personality", every_confined, SYS_personality, {PER_LINUX32}, EPERM},
        {"PR_SET_NAME", everywhere, SYS_prctl, {PR_SET_NAME}, 0},
        {"io_uring", everywhere, SYS_io_uring_setup, {1}, ENOSYS},
        {"mq_open", every_confined, SYS_mq_open, {0}, ENOSYS},
        {"x32", everywhere, X32 | SYS_openat, {-1, 0, 0, 0, 0, COOKIE}, ENOSYS},
        {"x32's own", everywhere, X32 | 520, {0}, ENOSYS},
        {"no number", everywhere, UINT32_MAX, {0}, ENOSYS},
        {"beyond all", every_confined, 100000, {0}, ENOSYS},
    };

    TRY(specials);
}
END_TEST

/* Every number, asked with `report`, comes to the listener if it was refused, and the program says
 * why; what is absent stays so. */
START_TEST(test_report)
{
    struct fence_options options = modes[CONFINED];
    static struct attempt attempts[FENCE_CALLS];
    size_t count = 0;

    options.report = true;
    for (uint32_t number = 0; number < FENCE_CALLS; number++)
        if (!never_called(number))
            attempts[count++].number = number;
    attempts[count++].number = X32 | SYS_openat;
    attempts_try(&options, attempts, count);
    for (size_t i = 0; i < count; i++) {
        int silent = expected(attempts[i].number, &modes[CONFINED], false);
        const struct fence_call *call = fence_call_at(attempts[i].number);
        if (silent > 0 && !(silent == ENOSYS && (!call || call->confined == FENCE_ABSENT) &&
                            attempts[i].number < X32))
            silent = TRY_ASKED;
        ck_assert_msg(attempts[i].met == silent || attempts[i].number >= X32, "%u: %s",
                      attempts[i].number, met_text(attempts[i].met));
    }
    ck_assert_int_eq(attempts[count - 1].met, TRY_ASKED);
}
END_TEST

/* Not held back: what a program sees. In a child that makes no call but those, as nobody answers
 * what the filter asks; it returns 0, or the step that went wrong. */
static int effect_in_child(int (*effect)(const struct fence_options *),
                           const struct fence_options *options)
{
    int status;
    pid_t pid = fork();

    if (pid == 0)
        _exit(effect(options));
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static int dumpable(const struct fence_options *options)
{
    int listener;

    if (prctl(PR_GET_DUMPABLE) != 1 || fence_filter_install(options, &listener) != 0)
        return 1;
    if (prctl(PR_SET_DUMPABLE, 0) != 0 || prctl(PR_GET_DUMPABLE) != 1)
        return 2;
    if (prctl(PR_SET_DUMPABLE, 1) != 0)
        return 3;
    return prctl(PR_SET_DUMPABLE, 7) == -1 && errno == EINVAL ? 0 : 4;
}

START_TEST(test_dumpable)
{
    ck_assert_int_eq(effect_in_child(dumpable, &modes[_i]), 0);
}
END_TEST

static int lane_opens(const struct fence_options *options)
{
    int listener;
    long directory;
    struct stat status;

    if (fence_filter_install(options, &listener) != 0)
        return 1;
    directory = lane_call(SYS_openat, AT_FDCWD, (long)"/", O_RDONLY | O_DIRECTORY, 0, 0);
    if (directory < 0 || syscall(SYS_fstat, directory, &status) != 0)
        return 2;
    return S_ISDIR(status.st_mode) ? 0 : 3;
}

START_TEST(test_lane_opens)
{
    ck_assert_int_eq(effect_in_child(lane_opens, &modes[_i]), 0);
}
END_TEST

static int second_listener(const struct fence_options *options)
{
    int listener, other;

    return fence_filter_install(options, &listener) == 0 &&
                   fence_filter_install(options, &other) == EBUSY
               ? 0
               : 1;
}

START_TEST(test_second_listener)
{
    ck_assert_int_eq(effect_in_child(second_listener, &modes[_i]), 0);
}
END_TEST

enum { GETPID_32 = 20 };

static long call_32(long number)
{
    long result = number;

    __asm__ volatile("int $0x80" : "+a"(result) : : "r8", "r9", "r10", "r11", "memory");
    return result;
}

static int door_32_is_there(const struct fence_options *options)
{
    (void)options;
    return call_32(GETPID_32) == getpid() ? 0 : 1;
}

static int door_32_is_shut(const struct fence_options *options)
{
    int listener;

    return fence_filter_install(options, &listener) == 0 && (int)call_32(GETPID_32) == -ENOSYS ? 0
                                                                                               : 1;
}

START_TEST(test_int_80)
{
    /* Where the kernel has no such door it kills who tries. */
    if (effect_in_child(door_32_is_there, NULL) == 0)
        ck_assert_int_eq(effect_in_child(door_32_is_shut, &modes[_i]), 0);
}
END_TEST

/* What the shim decides is the core's in the table, and the other way round. */
static const struct {
    uint32_t number;
    const char *reason;
} differences[] = {
    {SYS_fstat, "the shim names a virtual file's own times and owner; the descriptor is real"},
    {SYS_fstatfs, "as fstat"},
    {SYS_fchdir, "the shim keeps its own note of it; a placeholder serves"},
    {SYS_unshare, "the shim keeps its own note of it"},
    {SYS_setns, "the shim keeps its own note of it"},
    {SYS_chroot, "the core's, and the trap server is told of it"},
    {SYS_fcntl, "the shim keeps its own note of locks"},
    {SYS_close, "the shim keeps its own note of listings"},
    {SYS_close_range, "the shim keeps its own note of listings"},
    {SYS_dup2, "the shim keeps its own note of listings"},
    {SYS_dup3, "the shim keeps its own note of listings"},
    {SYS_getdents, "no libc of today makes it, so that the shim need not know it"},
};

START_TEST(test_shim_agrees)
{
    for (uint32_t number = 0; number < CALL_TABLE_SIZE; number++) {
        const struct fence_call *call = fence_call_at(number);
        bool core = call && (call->way == FENCE_CORE || call->way == FENCE_NETWORK ||
                             call->way == FENCE_TOLD);
        bool listed = false;
        for (size_t i = 0; i < sizeof differences / sizeof differences[0]; i++)
            listed |= differences[i].number == number;
        ck_assert_msg((core != (call_kinds[number] != CALL_PLAIN)) == listed, "%u %s", number,
                      call ? call->name : "-");
    }
}
END_TEST

/* A call that is known by its place and its text. */
START_TEST(test_known)
{
    struct fence_options options = modes[_i];
    static struct fence_program program;
    bool confined = options.confined;
    uint32_t open_met =
        confined && options.landlock == 0 ? SECCOMP_RET_USER_NOTIF : SECCOMP_RET_ALLOW;
    const struct {
        uint32_t number;
        uint64_t place, text, flags;
        uint32_t met;
    } calls[] = {
        {SYS_openat, 0x7f1234567abc, 0x7f123457a123, O_CLOEXEC, open_met},
        {SYS_openat, 0x7fffff000abc, 0x7fffff013123, O_CLOEXEC, open_met},
        {SYS_openat, 0x7f1234567abc, 0x7f123457a124, O_CLOEXEC, SECCOMP_RET_USER_NOTIF},
        {SYS_openat, 0x7f1234567abd, 0x7f123457a124, O_CLOEXEC, SECCOMP_RET_USER_NOTIF},
        {SYS_openat, 0x7f1234567abc, 0x7f1234566abc, O_CLOEXEC, SECCOMP_RET_USER_NOTIF},
        {SYS_openat, 0x7f1234567abc, 0x7f123457a123, O_PATH,
         confined ? SECCOMP_RET_USER_NOTIF : SECCOMP_RET_ALLOW},
        {SYS_access, 0x7f1234567010, 0x7f1234560000, R_OK,
         confined ? SECCOMP_RET_USER_NOTIF : SECCOMP_RET_ALLOW},
        {SYS_access, 0x7f1234567abc, 0x7f123457a123, R_OK, SECCOMP_RET_USER_NOTIF},
        {SYS_unlink, 0x7f1234567010, 0x7f1234560000, 0, SECCOMP_RET_USER_NOTIF},
    };

    options.known[0] = (struct fence_known){
        .number = SYS_openat, .place = 0xabc, .argument = 1, .distance = 0x12667};
    options.known[1] = (struct fence_known){
        .number = SYS_access, .place = 0x010, .argument = 0, .distance = (uint32_t)-0x7010};
    options.known_count = 2;
    fence_program_build(&options, &program);
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++) {
        struct seccomp_data data = {.nr = (int)calls[i].number,
                                    .arch = AUDIT_ARCH_X86_64,
                                    .instruction_pointer = calls[i].place};

        if (calls[i].number == SYS_openat) {
            data.args[0] = (uint64_t)AT_FDCWD;
            data.args[1] = calls[i].text;
            data.args[2] = calls[i].flags;
        } else {
            data.args[0] = calls[i].text;
            data.args[1] = calls[i].flags;
        }
        ck_assert_msg(fence_program_verdict(&program, &data) == calls[i].met, "call %zu", i);
    }
}
END_TEST

int main(void)
{
    TCase *rows = tcase_create("rows");
    tcase_set_timeout(rows, 20);
    tcase_add_loop_test(rows, test_every_number, 0, MODES * 2);
    tcase_add_loop_test(rows, test_verdicts, 0, MODES);
    tcase_add_loop_test(rows, test_known, 0, MODES);
    tcase_add_test(rows, test_report);
    tcase_add_test(rows, test_shim_agrees);
    TCase *arguments = tcase_create("arguments");
    tcase_set_timeout(arguments, 20);
    tcase_add_test(arguments, test_paths);
    tcase_add_test(arguments, test_sockets);
    tcase_add_test(arguments, test_processes);
    TCase *effects = tcase_create("effects");
    tcase_add_loop_test(effects, test_dumpable, 0, MODES);
    tcase_add_loop_test(effects, test_lane_opens, 0, OLD + 1);
    tcase_add_loop_test(effects, test_second_listener, 0, MODES);
    tcase_add_loop_test(effects, test_int_80, 0, MODES);
    Suite *suite = suite_create("fence_filter");
    suite_add_tcase(suite, rows);
    suite_add_tcase(suite, arguments);
    suite_add_tcase(suite, effects);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
