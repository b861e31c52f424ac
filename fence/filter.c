/* The filter, built from the table of calls.
 *
 * The kernel keeps a bitmap of the numbers that are allowed whatever their arguments: for those the
 * program does not run. So only architecture and number are looked at on the way to a plain ALLOW.
 *
 * A jump of BPF goes forward only and its target must be known when it is written: the program is
 * written from its end to its beginning, and each function here returns the place of the first
 * instruction that it wrote. What runs first is therefore written last. */
#include "fence/fence.h"

#include <asm/unistd.h>
#include <errno.h>
#include <linux/audit.h>
#include <linux/fs.h>
#include <linux/sched.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <fcntl.h>

#include "shim/core/lane.h"

#ifndef SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
#define SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV (1UL << 5)
#endif

/* The first version of Landlock that knows of truncation, and of signals. */
enum { LANDLOCK_TRUNCATION = 3, LANDLOCK_SIGNALS = 6 };

enum { PAGE = 4096 };

/* A place in the program, counted from its end. */
typedef unsigned place;

/* How one call is met under the options at hand: rows that agree in this share their code. */
struct meeting {
    uint8_t way;
    uint8_t rule;
    uint8_t argument;
    uint8_t refusal;
    uint16_t known; /* its number, if some of its calls need not be asked about; else 0 */
};

struct writer {
    struct fence_program *program; /* its code is the wrong way round until the end */
    const struct fence_options *options;
    place allow;
    place notify;
    /* What was written already. */
    struct meeting meetings[FENCE_CALLS];
    place places[FENCE_CALLS];
    unsigned known;
};

static place put(struct writer *writer, uint16_t code, uint32_t k)
{
    struct fence_program *program = writer->program;

    program->code[program->count] = (struct sock_filter){.code = code, .k = k};
    return program->count++;
}

static place put_return(struct writer *writer, uint32_t value)
{
    return put(writer, BPF_RET | BPF_K, value);
}

/* A place that a conditional jump can reach, which has eight bits for the way: `ahead` is what is
 * still to be written before the jump. */
static place reachable(struct writer *writer, place target, unsigned ahead)
{
    unsigned distance = writer->program->count + ahead - target - 1;

    return distance <= UINT8_MAX
               ? target
               : put(writer, BPF_JMP | BPF_JA, writer->program->count - target - 1);
}

/* test: BPF_JEQ, BPF_JGE or BPF_JSET. */
static place put_test(struct writer *writer, uint16_t test, uint32_t k, place yes, place no)
{
    place at;

    /* Each may take one instruction more. */
    yes = reachable(writer, yes, 1);
    no = reachable(writer, no, 0);
    at = put(writer, BPF_JMP | test | BPF_K, k);
    writer->program->code[at].jt = (uint8_t)(at - yes - 1);
    writer->program->code[at].jf = (uint8_t)(at - no - 1);
    return at;
}

static place put_load(struct writer *writer, size_t offset)
{
    return put(writer, BPF_LD | BPF_W | BPF_ABS, (uint32_t)offset);
}

/* The low half of an argument: all that the kernel sees of an int. */
static place put_load_low(struct writer *writer, unsigned argument)
{
    return put_load(writer, offsetof(struct seccomp_data, args) + argument * sizeof(uint64_t));
}

static place put_load_high(struct writer *writer, unsigned argument)
{
    return put_load(writer, offsetof(struct seccomp_data, args) + argument * sizeof(uint64_t) +
                                sizeof(uint32_t));
}

static place put_argument_equals(struct writer *writer, unsigned argument, uint64_t value,
                                 place yes, place no)
{
    place low;

    put_test(writer, BPF_JEQ, (uint32_t)value, yes, no);
    low = put_load_low(writer, argument);
    put_test(writer, BPF_JEQ, (uint32_t)(value >> 32), low, no);
    return put_load_high(writer, argument);
}

static place put_int_equals(struct writer *writer, unsigned argument, uint32_t value, place yes,
                            place no)
{
    put_test(writer, BPF_JEQ, value, yes, no);
    return put_load_low(writer, argument);
}

static place put_int_has(struct writer *writer, unsigned argument, uint32_t bits, place yes,
                         place no)
{
    put_test(writer, BPF_JSET, bits, yes, no);
    return put_load_low(writer, argument);
}

/* Whether the argument, of which only the low half and there the bits of `mask` are looked at, is
 * one of these values. */
static place put_int_among(struct writer *writer, unsigned argument, uint32_t mask,
                           const uint32_t *values, size_t count, place yes, place no)
{
    place next = no;

    while (count-- > 0)
        next = put_test(writer, BPF_JEQ, values[count], yes, next);
    if (mask != UINT32_MAX)
        put(writer, BPF_ALU | BPF_AND | BPF_K, mask);
    return put_load_low(writer, argument);
}

static place put_refusal(struct writer *writer, uint32_t error)
{
    return writer->options->report ? writer->notify : put_return(writer, SECCOMP_RET_ERRNO | error);
}

/* Whether the call comes from this place with this text. */
static place put_known(struct writer *writer, const struct fence_known *known, place no)
{
    place near, met = known->answer == 0 ? writer->allow
                                         : put_return(writer, SECCOMP_RET_ERRNO | known->answer);

    put_test(writer, BPF_JEQ, known->distance, met, no);
    put(writer, BPF_ALU | BPF_SUB | BPF_X, 0);
    put_load_low(writer, known->argument);
    put(writer, BPF_MISC | BPF_TAX, 0);
    near = put_load(writer, offsetof(struct seccomp_data, instruction_pointer));
    put_test(writer, BPF_JEQ, known->place, near, no);
    put(writer, BPF_ALU | BPF_AND | BPF_K, PAGE - 1);
    return put_load(writer, offsetof(struct seccomp_data, instruction_pointer));
}

/* Asked, but for what is known. */
static place put_asked(struct writer *writer, const struct meeting *meeting, bool lane)
{
    const struct fence_options *options = writer->options;
    place asked = writer->notify;

    for (unsigned i = 0; meeting->known != 0 && i < options->known_count; i++)
        if (options->known[i].number == meeting->known && (lane || options->known[i].answer != 0))
            asked = put_known(writer, &options->known[i], asked);
    return asked;
}

/* What the core has decided already goes on. */
static place put_lane(struct writer *writer, const struct meeting *meeting)
{
    return put_argument_equals(writer, 5, LANE_COOKIE, writer->allow,
                               put_asked(writer, meeting, true));
}

static place put_way(struct writer *writer, const struct meeting *meeting);

/* By a descriptor alone: it can't be AT_FDCWD, which is negative. */
static place put_empty_path(struct writer *writer, const struct meeting *meeting)
{
    /* Of a confined tree only what has no path at all: another one can't be seen to be empty. */
    if (writer->options->confined) {
        place asked = put_way(writer, meeting);

        return put_argument_equals(writer, 1, 0,
                                   put_int_has(writer, 0, 1u << 31, asked, writer->allow), asked);
    }
    place asked = put_asked(writer, meeting, true);
    place by_descriptor = put_int_has(writer, 0, 1u << 31, asked, writer->allow);
    place other = put_int_has(writer, meeting->argument, AT_EMPTY_PATH, by_descriptor, asked);

    return put_argument_equals(writer, 5, LANE_COOKIE, writer->allow, other);
}

/* Landlock checks what an open makes readable and writable. O_PATH and the access mode 3, which is
 * for ioctl only, make neither. */
static place put_open(struct writer *writer, const struct meeting *meeting)
{
    uint32_t unchecked = O_PATH;
    place checked;

    if (writer->options->landlock < LANDLOCK_TRUNCATION)
        unchecked |= O_TRUNC;
    checked = put_int_has(writer, meeting->argument, unchecked, writer->notify,
                          put_lane(writer, meeting));
    put_test(writer, BPF_JEQ, O_ACCMODE, writer->notify, checked);
    put(writer, BPF_ALU | BPF_AND | BPF_K, O_ACCMODE);
    return put_load_low(writer, meeting->argument);
}

/* Streams can't be sent elsewhere, but for a connect in disguise. */
static place put_message(struct writer *writer, const struct meeting *meeting)
{
    return put_int_has(writer, meeting->argument, MSG_FASTOPEN,
                       put_refusal(writer, meeting->refusal), writer->allow);
}

/* Of one type of sockets, those that the policy and the network let be. */
static place put_internet(struct writer *writer, const struct meeting *meeting)
{
    static const uint32_t stream[] = {0, IPPROTO_TCP}, datagram[] = {0, IPPROTO_UDP};
    place refused = put_refusal(writer, EACCES);
    place allowed = writer->options->network ? put_lane(writer, meeting) : writer->allow;
    place by_datagram, by_stream;

    if (!writer->options->network && !writer->options->internet)
        return refused;
    by_datagram = put_int_among(writer, 2, UINT32_MAX, datagram, 2, allowed, refused);
    by_stream = put_int_among(writer, 2, UINT32_MAX, stream, 2, allowed, refused);
    by_datagram = put_test(writer, BPF_JEQ, SOCK_DGRAM, by_datagram, refused);
    put_test(writer, BPF_JEQ, SOCK_STREAM, by_stream, by_datagram);
    put(writer, BPF_ALU | BPF_AND | BPF_K, 0xf);
    return put_load_low(writer, 1);
}

/* Of the Unix family, what can't be sent elsewhere once it is connected. */
static place put_local(struct writer *writer)
{
    static const uint32_t connected[] = {SOCK_STREAM, SOCK_SEQPACKET};

    return put_int_among(writer, 1, 0xf, connected, 2, writer->allow, put_refusal(writer, EACCES));
}

static place put_socket(struct writer *writer, const struct meeting *meeting)
{
    static const uint32_t families[] = {AF_INET, AF_INET6};
    place internet = put_internet(writer, meeting);
    place local = put_local(writer);
    place other = put_int_among(writer, 0, UINT32_MAX, families, 2, internet,
                                put_refusal(writer, EAFNOSUPPORT));

    return put_int_equals(writer, 0, AF_UNIX, local, other);
}

static place put_dumpable(struct writer *writer)
{
    static const uint32_t settings[] = {0, 1};
    /* Other settings are EINVAL, which the kernel says. */
    place done = put_return(writer, SECCOMP_RET_ERRNO | 0);
    place setting = put_int_among(writer, 1, UINT32_MAX, settings, 2, done, writer->allow);

    return put_int_equals(writer, 0, PR_SET_DUMPABLE, setting, writer->allow);
}

static place put_namespaces(struct writer *writer, const struct meeting *meeting)
{
    uint32_t new = CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER |
                   CLONE_NEWPID | CLONE_NEWNET;

    /* In clone this bit is part of the signal at the end. */
    if (meeting->rule == FENCE_RULE_UNSHARE)
        new |= CLONE_NEWTIME;
    return put_int_has(writer, meeting->argument, new, put_refusal(writer, meeting->refusal),
                       writer->allow);
}

/* The requests of one kind (their second byte) that are let through. */
struct requests {
    uint32_t kind;
    size_t count;
    uint32_t values[5];
};

static place put_control(struct writer *writer, const struct meeting *meeting)
{
    /* What types for another program, and signals it. */
    static const uint32_t typing[] = {TIOCSTI, TIOCLINUX}, owner[] = {FIOSETOWN, SIOCSPGRP};
    /* Many requests of file systems change a file that is open for reading only, or what lies below
     * a directory, and Landlock has no word for them: of their kinds only those pass that are known
     * to be harmless or to need a descriptor for writing. */
    static const struct requests kinds[] = {
        {0x94, 3, {FICLONE, FICLONERANGE, FIDEDUPERANGE}},
        {'X', 1, {FS_IOC_FSGETXATTR}},
        {'f', 2, {FS_IOC_GETFLAGS, 0xc020660b /* FS_IOC_FIEMAP */}},
        {'v', 1, {FS_IOC_GETVERSION}},
    };
    place refused = put_refusal(writer, meeting->refusal);
    place unknown = put_refusal(writer, ENOTTY);
    place next = writer->allow;

    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        place among = put_int_among(writer, meeting->argument, UINT32_MAX, kinds[i].values,
                                    kinds[i].count, writer->allow, unknown);
        put_test(writer, BPF_JEQ, kinds[i].kind << 8, among, next);
        put(writer, BPF_ALU | BPF_AND | BPF_K, 0xff00);
        next = put_load_low(writer, meeting->argument);
    }
    if (writer->options->landlock < LANDLOCK_SIGNALS)
        next = put_int_among(writer, meeting->argument, UINT32_MAX, owner, 2, refused, next);
    return put_int_among(writer, meeting->argument, UINT32_MAX, typing, 2, refused, next);
}

static place put_owner(struct writer *writer, const struct meeting *meeting)
{
    static const uint32_t commands[] = {F_SETOWN, F_SETOWN_EX};

    if (writer->options->landlock >= LANDLOCK_SIGNALS)
        return writer->allow;
    return put_int_among(writer, meeting->argument, UINT32_MAX, commands, 2,
                         put_refusal(writer, meeting->refusal), writer->allow);
}

static place put_personality(struct writer *writer, const struct meeting *meeting)
{
    /* What it is now, and Linux with and without random addresses. */
    static const uint32_t usual[] = {UINT32_MAX, PER_LINUX, PER_LINUX | ADDR_NO_RANDOMIZE};

    return put_int_among(writer, meeting->argument, UINT32_MAX, usual, 3, writer->allow,
                         put_refusal(writer, meeting->refusal));
}

/* The caller itself is 0; what else "which" can be is about more than one process. */
static place put_priority(struct writer *writer, uint32_t process)
{
    place own = put_int_equals(writer, 1, 0, writer->allow, writer->notify);

    return put_int_equals(writer, 0, process, own, writer->notify);
}

static place put_address(struct writer *writer, unsigned argument)
{
    return put_argument_equals(writer, argument, 0, writer->allow, writer->notify);
}

static place put_way(struct writer *writer, const struct meeting *meeting)
{
    switch ((enum fence_way)meeting->way) {
    case FENCE_CORE:
        return put_lane(writer, meeting);
    case FENCE_ASKED:
        return put_asked(writer, meeting, false);
    case FENCE_DENIED:
        return put_refusal(writer, meeting->refusal);
    case FENCE_ABSENT:
        return put_return(writer, SECCOMP_RET_ERRNO | ENOSYS);
    default:
        return writer->allow;
    }
}

/* A call whose arguments matter. */
static place put_rule(struct writer *writer, const struct meeting *meeting)
{
    const struct fence_options *options = writer->options;
    bool signals_held = options->landlock >= LANDLOCK_SIGNALS;
    bool addresses = options->network || options->internet;

    switch ((enum fence_rule)meeting->rule) {
    case FENCE_RULE_EMPTY_PATH:
        return put_empty_path(writer, meeting);
    case FENCE_RULE_OPEN:
        return put_open(writer, meeting);
    case FENCE_RULE_TRUNCATE:
        return options->landlock >= LANDLOCK_TRUNCATION ? put_lane(writer, meeting)
                                                        : writer->notify;
    case FENCE_RULE_ADDRESS:
        return put_address(writer, meeting->argument);
    case FENCE_RULE_SENDTO:
        return addresses || !options->confined ? put_address(writer, 4)
                                               : put_message(writer, meeting);
    case FENCE_RULE_MESSAGE:
        return addresses ? writer->notify : put_message(writer, meeting);
    case FENCE_RULE_LISTEN:
        return addresses ? writer->notify : writer->allow;
    case FENCE_RULE_SOCKET:
        return put_socket(writer, meeting);
    case FENCE_RULE_PAIR:
        return put_int_equals(writer, 0, AF_UNIX, put_local(writer),
                              put_refusal(writer, meeting->refusal));
    case FENCE_RULE_DUMPABLE:
        return put_dumpable(writer);
    case FENCE_RULE_CLONE:
    case FENCE_RULE_UNSHARE:
        return put_namespaces(writer, meeting);
    case FENCE_RULE_CONTROL:
        return put_control(writer, meeting);
    case FENCE_RULE_PERSONALITY:
        return put_personality(writer, meeting);
    case FENCE_RULE_PROCESS:
        return put_int_equals(writer, meeting->argument, 0, writer->allow, writer->notify);
    case FENCE_RULE_PRIORITY:
        return put_priority(writer, meeting->argument);
    case FENCE_RULE_SIGNAL:
        return signals_held ? writer->allow : writer->notify;
    case FENCE_RULE_SIGNAL_FILE:
        return signals_held ? writer->allow : put_return(writer, SECCOMP_RET_ERRNO | ENOSYS);
    case FENCE_RULE_OWNER:
        return put_owner(writer, meeting);
    case FENCE_RULE_INSPECT:
        return options->landlock > 0 ? writer->allow : put_refusal(writer, meeting->refusal);
    default:
        return put_way(writer, meeting);
    }
}

/* Whether a rule says anything under these options. */
static bool rule_applies(const struct fence_options *options, enum fence_rule rule,
                         enum fence_way way)
{
    switch (rule) {
    case FENCE_RULE_NONE:
        return false;
    case FENCE_RULE_DUMPABLE:
        return true;
    case FENCE_RULE_EMPTY_PATH:
        return true;
    case FENCE_RULE_ADDRESS:
        return way != FENCE_NATIVE;
    case FENCE_RULE_SENDTO:
        return options->confined || way != FENCE_NATIVE;
    default:
        return options->confined;
    }
}

static bool has_known(const struct fence_options *options, uint32_t number)
{
    for (unsigned i = 0; i < options->known_count; i++)
        if (options->known[i].number == number)
            return true;
    return false;
}

static struct meeting meeting_of(const struct fence_options *options, uint32_t number)
{
    const struct fence_call *call = fence_call_at(number);
    struct meeting meeting = {.way = options->confined ? FENCE_ABSENT : FENCE_NATIVE};

    if (!call)
        return meeting;
    meeting.way = options->confined ? call->confined : call->way;
    if (meeting.way == FENCE_CORE && options->confined && options->landlock == 0) {
        /* What passed by the lane would not be checked again. */
        meeting.way = FENCE_ASKED;
        return meeting;
    }
    /* The lane of these confers nothing: they only tell addresses. */
    if (meeting.way == FENCE_NETWORK)
        meeting.way = options->network ? FENCE_CORE : FENCE_NATIVE;
    if (meeting.way == FENCE_TOLD)
        meeting.way = options->network || options->binds ? FENCE_CORE : FENCE_NATIVE;
    if (rule_applies(options, call->rule, meeting.way)) {
        meeting.rule = call->rule;
        meeting.argument = call->argument;
    }
    if (meeting.rule != FENCE_RULE_NONE || meeting.way == FENCE_DENIED)
        meeting.refusal = call->refusal;
    if (has_known(options, number))
        meeting.known = (uint16_t)number;
    return meeting;
}

static place put_meeting(struct writer *writer, struct meeting meeting)
{
    for (unsigned i = 0; i < writer->known; i++)
        if (memcmp(&writer->meetings[i], &meeting, sizeof meeting) == 0)
            return writer->places[i];
    writer->meetings[writer->known] = meeting;
    return writer->places[writer->known++] = put_rule(writer, &meeting);
}

/* Numbers from `first` to the next range's are met at `at`. */
struct range {
    uint32_t first;
    place at;
};

/* By halves to the range that the number, which is loaded, lies in. */
static place put_search(struct writer *writer, const struct range *ranges, size_t count)
{
    place low, high;

    if (count == 1)
        return ranges[0].at;
    high = put_search(writer, ranges + count / 2, count - count / 2);
    low = put_search(writer, ranges, count / 2);
    return put_test(writer, BPF_JGE, ranges[count / 2].first, high, low);
}

static void program_turn(struct fence_program *program)
{
    for (unsigned i = 0, j = program->count - 1u; i < j; i++, j--) {
        struct sock_filter held = program->code[i];
        program->code[i] = program->code[j];
        program->code[j] = held;
    }
}

void fence_program_build(const struct fence_options *options, struct fence_program *program)
{
    static const uint32_t frequent[] = {SYS_newfstatat, SYS_openat2, SYS_openat};
    struct range ranges[FENCE_CALLS + 2];
    struct writer writer = {.program = program, .options = options};
    size_t count = 0;
    place strange, search;

    program->options = *options;
    program->count = 0;
    writer.allow = put_return(&writer, SECCOMP_RET_ALLOW);
    writer.notify = put_return(&writer, SECCOMP_RET_USER_NOTIF);
    /* Numbers of x32 and of foreign architectures, which mean something else. */
    strange = options->confined ? put_refusal(&writer, ENOSYS)
                                : put_return(&writer, SECCOMP_RET_ERRNO | ENOSYS);
    for (uint32_t number = 0; number <= FENCE_CALLS; number++) {
        place at = put_meeting(&writer, meeting_of(options, number));
        if (count == 0 || ranges[count - 1].at != at)
            ranges[count++] = (struct range){.first = number, .at = at};
    }
    ranges[count++] = (struct range){.first = __X32_SYSCALL_BIT, .at = strange};
    search = put_search(&writer, ranges, count);
    /* What the shim makes of most path calls comes first: behind the way into the kernel each
     * branch is a surprise to the processor. */
    for (size_t i = sizeof frequent / sizeof frequent[0]; i-- > 0;)
        search = put_test(&writer, BPF_JEQ, frequent[i],
                          put_meeting(&writer, meeting_of(options, frequent[i])), search);
    search = put_load(&writer, offsetof(struct seccomp_data, nr));
    put_test(&writer, BPF_JEQ, AUDIT_ARCH_X86_64, search, strange);
    put_load(&writer, offsetof(struct seccomp_data, arch));
    program_turn(program);
}

uint32_t fence_program_verdict(const struct fence_program *program, const struct seccomp_data *call)
{
    uint32_t value = 0, other = 0;

    for (unsigned at = 0; at < program->count; at++) {
        const struct sock_filter *step = &program->code[at];
        bool yes;

        switch (step->code) {
        case BPF_RET | BPF_K:
            return step->k;
        case BPF_LD | BPF_W | BPF_ABS:
            memcpy(&value, (const char *)call + step->k, sizeof value);
            continue;
        case BPF_ALU | BPF_AND | BPF_K:
            value &= step->k;
            continue;
        case BPF_ALU | BPF_SUB | BPF_X:
            value -= other;
            continue;
        case BPF_MISC | BPF_TAX:
            other = value;
            continue;
        case BPF_JMP | BPF_JA:
            at += step->k;
            continue;
        case BPF_JMP | BPF_JEQ | BPF_K:
            yes = value == step->k;
            break;
        case BPF_JMP | BPF_JGE | BPF_K:
            yes = value >= step->k;
            break;
        default:
            yes = (value & step->k) != 0;
            break;
        }
        at += yes ? step->jt : step->jf;
    }
    return SECCOMP_RET_KILL_PROCESS;
}

static int filter_set(const struct sock_fprog *code, unsigned long flags, int *listener)
{
    long result = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, code);

    if (result < 0)
        return errno;
    *listener = (int)result;
    return 0;
}

int fence_filter_install(const struct fence_options *options, int *listener)
{
    struct fence_program program;
    struct sock_fprog code;
    int error;

    fence_program_build(options, &program);
    code = (struct sock_fprog){.len = program.count, .filter = program.code};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return errno;
    error = filter_set(
        &code, SECCOMP_FILTER_FLAG_NEW_LISTENER | SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV, listener);
    /* Before Linux 5.19; signals then make notifications stale. */
    if (error == EINVAL)
        error = filter_set(&code, SECCOMP_FILTER_FLAG_NEW_LISTENER, listener);
    return error;
}
