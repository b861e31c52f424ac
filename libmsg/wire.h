/* The wire: what stands in front of every message on a Hirsel bus.
 *
 * A bus connection is a Unix SOCK_SEQPACKET socket (unix(7)). One packet is one message: this
 * header, then `length` opaque bytes, then (as SCM_RIGHTS) `descriptors` descriptors. The bus
 * knows nothing of what it carries: what the bytes mean is written in libmsg/proto/.
 *
 * This header is shared by libmsg and by the shim, which has no C library: only types here, and
 * functions that call nothing.
 *
 * All integers are in the byte order of the machine: a bus never leaves it. */
#ifndef HIRSEL_WIRE_H
#define HIRSEL_WIRE_H

#include <stdint.h>

/* The version of the header. The opening handshake settles it for a connection; a message whose
 * version differs from the settled one ends the connection (EPROTO). */
#define WIRE_VERSION 1

/* The longest body that goes inline. SO_SNDBUF's default allows 212,960 bytes a packet (measured,
 * Linux 6.18); a longer body goes in a sealed memfd, see WIRE_LONG. */
#define WIRE_INLINE_MAX 65536

/* The longest body at all. A longer one ends the connection (EMSGSIZE). */
#define WIRE_BODY_MAX (64u << 20)

/* SCM_MAX_FD is 253; one is kept for the memfd of a long message. */
#define WIRE_DESCRIPTORS_MAX 252

/* The kernel says who connected, and in a confined tree the trap server does it in its callers'
 * place. Then it has bound the socket to the abstract name WIRE_FOR "PID.START." (and something
 * that makes it the only one): PID is who asked, START when that one began (/proc/PID/stat). Nobody
 * gains by saying so: a confined program can't bind such a name, and any other program of the user
 * may be whom it likes. */
#define WIRE_FOR "hirsel-for."

enum wire_kind {
    /* The first message of a connecting side: body struct wire_hello. The layout of this and of the
     * welcome is the same for ever, and the header's `version` is not looked at. */
    WIRE_HELLO = 1,
    /* The accepting side's answer: body struct wire_hello with what was settled; or `error` is not
     * 0, and the connection is refused and ends. Nothing but a hello is heard before it. */
    WIRE_WELCOME = 2,
    /* A call: exactly one WIRE_REPLY with the same tag answers it. */
    WIRE_REQUEST = 3,
    WIRE_REPLY = 4,
    /* One way, no reply. */
    WIRE_NOTICE = 5,
    /* The caller of `tag` no longer waits; the call still gets its one reply (maybe ECANCELED). */
    WIRE_CANCEL = 6,
};

enum wire_flags {
    /* The body is in a memfd, the first of the descriptors; `length` is its length. */
    WIRE_LONG = 1,
};

struct wire_header {
    uint16_t version;     /* WIRE_VERSION */
    uint16_t kind;        /* enum wire_kind */
    uint32_t operation;   /* of a request or notice: which one; a reply repeats it */
    uint64_t object;      /* a handle that the receiving end gave out on this connection; 0: none */
    uint64_t request;     /* at-most-once id: the same number again is a repeat; 0: may be redone */
    uint32_t tag;         /* chosen by the caller, repeated in the reply */
    int32_t error;        /* of a reply: 0 or a positive errno */
    uint32_t length;      /* of the body in bytes */
    uint16_t descriptors; /* how many come with the packet, the memfd of WIRE_LONG included */
    uint16_t flags;       /* enum wire_flags */
    uint64_t reserved;    /* 0 */
};

_Static_assert(sizeof(struct wire_header) == 48, "the wire's header has no holes");

struct wire_hello {
    uint16_t version_min; /* hello: the lowest version spoken; welcome: the settled one */
    uint16_t version_max; /* hello: the highest; welcome: the same as version_min */
    uint32_t features;    /* a set of bits; welcome: those both sides have */
    uint64_t space;       /* welcome from fs: the caller's name space by descent; else 0 */
};

_Static_assert(sizeof(struct wire_hello) == 16, "the hello has no holes");

#endif
