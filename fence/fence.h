/* fence: what a process may do. The table of all system calls and the seccomp filter that is built
 * from it, Landlock, the policy of a confined tree, and what this kernel and container allow.
 *
 * Functions return 0 or an errno unless said otherwise. Nothing here keeps state of its own. */
#ifndef HIRSEL_FENCE_H
#define HIRSEL_FENCE_H

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---- The table of calls: calls.c; docs/syscalls.md is generated from it ---- */

/* Numbers from 0; what is not below it is newer than this table. */
#define FENCE_CALLS 470

enum fence_way {
    FENCE_UNKNOWN = 0, /* no such call is known: native; of a confined tree: as FENCE_ABSENT */
    FENCE_NATIVE,      /* the kernel's alone */
    FENCE_CORE,    /* decided in the core: the trap server is asked, but not about a call with the
                      lane's cookie */
    FENCE_ASKED,   /* the trap server is asked, cookie or not */
    FENCE_NETWORK, /* FENCE_CORE where the network is not the host's, else native */
    FENCE_TOLD,    /* the same, and FENCE_CORE where the name space had binds when the tree began */
    FENCE_DENIED,  /* refused with the row's errno, and counted */
    FENCE_ABSENT,  /* ENOSYS, as a kernel without it says: programs have another way */
};

/* Which arguments change what the way says; filter.c has a function for each. */
enum fence_rule {
    FENCE_RULE_NONE = 0,
    FENCE_RULE_EMPTY_PATH, /* by a descriptor alone (AT_EMPTY_PATH; confined: no path): native */
    FENCE_RULE_OPEN,       /* confined: no lane for what Landlock does not check, as O_PATH */
    FENCE_RULE_TRUNCATE,   /* confined: the lane where Landlock knows of truncation */
    FENCE_RULE_ADDRESS,  /* without an address native, else asked: it has no room for the cookie */
    FENCE_RULE_SENDTO,   /* the same; confined: as FENCE_RULE_MESSAGE where all is streams */
    FENCE_RULE_MESSAGE,  /* confined: a message on a stream goes nowhere else: native */
    FENCE_RULE_LISTEN,   /* confined: native where there are no Internet sockets */
    FENCE_RULE_SOCKET,   /* confined: by family, type and protocol */
    FENCE_RULE_PAIR,     /* confined: no pair of datagram sockets */
    FENCE_RULE_DUMPABLE, /* prctl(PR_SET_DUMPABLE) succeeds without being done */
    FENCE_RULE_CLONE,    /* confined: no new name spaces */
    FENCE_RULE_UNSHARE,  /* the same */
    FENCE_RULE_CONTROL,  /* confined: ioctl without what types for others or changes files */
    FENCE_RULE_PERSONALITY, /* confined: those that programs use */
    FENCE_RULE_PROCESS,     /* confined: of itself (pid 0) native, else asked */
    FENCE_RULE_PRIORITY, /* the same behind a "which"; the row's `argument` is that of a process */
    FENCE_RULE_SIGNAL,   /* confined: native where Landlock keeps signals in, else asked */
    FENCE_RULE_SIGNAL_FILE, /* confined: the same by descriptor, else absent */
    FENCE_RULE_OWNER,       /* confined: fcntl's F_SETOWN, a way to signal, likewise */
    FENCE_RULE_INSPECT,     /* confined: native where Landlock keeps it in, else denied */
};

struct fence_call {
    const char *name;            /* NULL: no such call */
    const char *reason;          /* why it is met so, in a few words */
    const char *confined_reason; /* NULL: the same */
    uint8_t way;                 /* enum fence_way, of a tree that is not confined */
    uint8_t confined;            /* and of one that is */
    uint8_t rule;                /* enum fence_rule */
    uint8_t argument;            /* the argument that the rule is about: flags, a pid */
    uint8_t refusal;             /* the errno of FENCE_DENIED */
};

/* NULL for a number that is no call. */
const struct fence_call *fence_call_at(uint32_t number);

/* ---- The filter: filter.c ---- */

/* A call that one place in a program makes with one text of its own, so that what it asks for is
 * known without looking: two addresses of the same image keep their distance, wherever that lies,
 * and their places in a page. */
struct fence_known {
    uint16_t number;
    uint16_t place;    /* in its page: the instruction behind the system call */
    uint8_t argument;  /* that points at the text */
    uint16_t answer;   /* an errno to be given at once; 0: it goes on */
    uint32_t distance; /* from that instruction to the text, modulo 2^32 */
};

#define FENCE_KNOWN 8

struct fence_options {
    bool confined; /* what Landlock does not hold is asked or refused */
    bool network;  /* the tree's network is not the host's: addresses are asked about */
    bool binds;    /* the tree's name space has binds: names of Unix sockets that come in, too */
    bool internet; /* confined: some host may be reached or port be bound: sockets of the Internet
                      can be made, and each use of an address is asked about */
    bool report;   /* what is denied comes to the listener as well, so that it can be counted. Its
                      answer is what fence_program_verdict says of the same options without this */
    int landlock;  /* confined: the version of Landlock that is in force, 0 for none */
    /* Calls that need not be asked about. Of a confined tree those alone go on that have a lane
     * there: any program can put its code and text so. */
    struct fence_known known[FENCE_KNOWN];
    unsigned known_count;
};

#define FENCE_PROGRAM_MAX 2048

struct fence_program {
    struct fence_options options;
    unsigned short count;
    struct sock_filter code[FENCE_PROGRAM_MAX];
};

void fence_program_build(const struct fence_options *options, struct fence_program *program);

/* What the program says of a call: SECCOMP_RET_… with its data. The trap server asks this first of
 * a notification (with a program built without `report`): SECCOMP_RET_ERRNO is to be answered with
 * that errno and counted; anything else is for the core. It also sees to foreign architectures and
 * x32, whose numbers mean something else. */
uint32_t fence_program_verdict(const struct fence_program *program,
                               const struct seccomp_data *call);

/* Install the filter for the calling thread and all that comes from it, for ever. no_new_privs is
 * set. *listener becomes a descriptor (close on exec) that the notifications come from. EBUSY: a
 * filter above has a listener already. Nothing is done if it fails, but for no_new_privs. */
int fence_filter_install(const struct fence_options *options, int *listener);

/* ---- Landlock: landlock.c ---- */

enum fence_access {
    FENCE_READ = 1,    /* read files, list directories */
    FENCE_WRITE = 2,   /* write, make, remove, rename, truncate */
    FENCE_EXECUTE = 4, /* start programs */
    FENCE_CONNECT = 8, /* connect to a port */
    FENCE_BIND = 16,   /* bind a port */
};

/* What can be held, as a set: fence_landlock_holds, fence_landlock.missing. */
enum fence_hold {
    FENCE_HOLD_FILES = 1,     /* opening, making, removing: version 1 */
    FENCE_HOLD_LINK = 2,      /* renaming and linking between directories; below 2 it never works */
    FENCE_HOLD_TRUNCATE = 4,  /* 3 */
    FENCE_HOLD_CONNECT = 8,   /* TCP ports: 4 */
    FENCE_HOLD_BIND = 16,     /* 4 */
    FENCE_HOLD_DEVICE = 32,   /* ioctl on devices: 5 */
    FENCE_HOLD_ABSTRACT = 64, /* abstract sockets: 6 */
    FENCE_HOLD_SIGNAL = 128,  /* signals: 6 */
    FENCE_HOLD_ALL = 255,
};

/* The kernel's version of Landlock; 0: none. */
int fence_landlock_version(void);
/* What that version can hold: a set of enum fence_hold. */
unsigned fence_landlock_holds(int version);
/* One word for a hold, for messages: "files", "signals". */
const char *fence_hold_name(enum fence_hold hold);

struct fence_landlock {
    int ruleset;
    int version;
    unsigned held;    /* what was asked for and is held */
    unsigned missing; /* what was asked for and this kernel can't hold */
};

/* Begin a fence that holds `wanted` as far as the kernel can: what it holds and no rule allows is
 * forbidden. ENOSYS or EOPNOTSUPP: there is no Landlock (`missing` is all of `wanted`). */
int fence_landlock_begin(struct fence_landlock *fence, unsigned wanted);
/* Allow `access` (FENCE_READ | …) on a file, or on a directory and all below it. The path is the
 * host's, whatever a session makes of it. */
int fence_landlock_allow(struct fence_landlock *fence, const char *path, unsigned access);
/* The same by descriptor (O_PATH will do). */
int fence_landlock_allow_at(struct fence_landlock *fence, int descriptor, unsigned access);
/* Allow FENCE_CONNECT, FENCE_BIND on a TCP port. Nothing where ports are not held. */
int fence_landlock_allow_port(struct fence_landlock *fence, uint16_t port, unsigned access);
/* From now on, for the calling thread and all that comes from it. no_new_privs is set. The ruleset
 * is closed, whatever comes of it. */
int fence_landlock_enforce(struct fence_landlock *fence);
/* Give it up instead. */
void fence_landlock_end(struct fence_landlock *fence);

/* ---- The policy of a confined tree: policy.c; packed as in libmsg/proto/policy.proto ---- */

struct fence_path {
    char *path;      /* absolute, without symlinks, as the host has it */
    unsigned access; /* FENCE_READ | FENCE_WRITE | FENCE_EXECUTE */
};

struct fence_host {
    char *name;          /* as given, for messages */
    uint8_t address[16]; /* IPv4 as ::ffff:a.b.c.d */
    bool any_host;
    bool any_port;
    uint16_t port;
    unsigned access; /* FENCE_CONNECT or FENCE_BIND */
};

struct fence_policy {
    bool confined; /* false: nothing is forbidden, the lists are empty */
    struct fence_path *paths;
    size_t path_count;
    struct fence_host *hosts;
    size_t host_count;
    char **variables; /* of the environment, that are let through */
    size_t variable_count;
    char *memory;   /* the directory that is at FENCE_MEMORY for the tree; NULL: what is there */
    char *programs; /* where it is given what it executes of translators' files; NULL: nowhere */
};

/* Where programs have what they share by name: shm_open(3), sem_open(3). */
#define FENCE_MEMORY "/dev/shm"

void fence_policy_clear(struct fence_policy *policy);
/* Add a path that exists, or a name in a translator's node: symlinks in it, and what a session
 * makes of it, are followed now. ENOENT and its like. */
int fence_policy_add_path(struct fence_policy *policy, const char *path, unsigned access);
/* Add HOST:PORT, [V6]:PORT; either may be "*". A name is looked up now and may stand for several
 * addresses. EINVAL: no such form; EADDRNOTAVAIL: the name is not known. */
int fence_policy_add_host(struct fence_policy *policy, const char *text, unsigned access);
int fence_policy_add_variable(struct fence_policy *policy, const char *name);
/* The directory must be below what is allowed. */
int fence_policy_set_memory(struct fence_policy *policy, const char *directory);
int fence_policy_set_programs(struct fence_policy *policy, const char *directory);
/* The default profile: gcc, git and python work on `directory` and nothing else: the system's
 * programs and libraries may be read and executed, `directory` be written, scratch be had in
 * `scratch` (NULL: none). What does not exist on this host is left out. */
int fence_policy_add_default(struct fence_policy *policy, const char *directory,
                             const char *scratch);

/* Pack: *bytes is malloc's. Unpack: EINVAL for what is malformed, relative, or too much. Empty
 * bytes are the policy that forbids nothing. */
int fence_policy_pack(const struct fence_policy *policy, uint8_t **bytes, size_t *length);
int fence_policy_unpack(struct fence_policy *policy, const uint8_t *bytes, size_t length);

/* Whether the policy allows all of `access` on a real path: absolute, without symlinks or "..". The
 * access of all rules that it lies below is added up, as Landlock does. */
bool fence_policy_allows(const struct fence_policy *policy, const char *path, unsigned access);
/* Whether it may be known that this exists: it is below a rule, or on the way to one. */
bool fence_policy_shows(const struct fence_policy *policy, const char *path);
struct sockaddr;
/* Whether `access` (FENCE_CONNECT or FENCE_BIND) on this address is allowed: of AF_INET and
 * AF_INET6; false for every other family. */
bool fence_policy_allows_address(const struct fence_policy *policy, const struct sockaddr *address,
                                 size_t length, unsigned access);
bool fence_policy_has_hosts(const struct fence_policy *policy);

/* The options of the filter that go with a policy, with the version of Landlock given. */
struct fence_options fence_policy_options(const struct fence_policy *policy, bool network,
                                          int landlock);
/* Hold the calling thread and all that comes from it to the policy by Landlock. *missing becomes
 * what this kernel can't hold (all of it where there is no Landlock; that is no error). */
int fence_policy_enforce(const struct fence_policy *policy, bool network, unsigned *missing);
/* Give up every capability, for good: they would be a way round for root. */
int fence_capabilities_drop(void);

/* ---- What this kernel and container allow: probe.c ---- */

struct fence_probe {
    int filter_error;     /* 0: a seccomp filter can be installed; else why not */
    int listener_error;   /* 0: with a listener; EBUSY: a listener is above us */
    bool wait_killable;   /* SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV */
    bool sync_wake_up;    /* SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP */
    bool add_descriptor;  /* SECCOMP_ADDFD_FLAG_SEND */
    int landlock;         /* version, 0: none */
    int landlock_error;   /* why none */
    int yama;             /* kernel.yama.ptrace_scope; -1: no Yama */
    bool no_new_privs;    /* set already: setuid programs do not work, with us or without */
    int namespace_error;  /* 0: a user name space can be made */
    int sibling_error;    /* 0: process_vm_readv of a sibling's memory */
    int child_error;      /* 0: and of a child's, by that or by its /proc/PID/mem */
    int descriptor_error; /* 0: pidfd_getfd of a child's descriptor */
    int trace_error;      /* 0: PTRACE_SEIZE of a sibling */
    char release[65];     /* of the kernel */
};

/* Try each in processes of its own; takes some milliseconds. EAGAIN and its like if none can be
 * made. */
int fence_probe_run(struct fence_probe *probe);
/* Why a confined tree could not be held here, one line each, the most important first; NULL at the
 * end. `reasons` has room for FENCE_REASONS. */
#define FENCE_REASONS 12
size_t fence_probe_confine(const struct fence_probe *probe, const char *reasons[FENCE_REASONS]);

#endif
