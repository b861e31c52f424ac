/* What act.c and confine.c share: how a call is done in the caller's place. */
#ifndef HIRSEL_TRAP_ACT_H
#define HIRSEL_TRAP_ACT_H

#include "servers/trap/worker.h"
#include "shim/core/net_calls.h"

/* What an error of bringing arguments over means for the answer. */
void act_bring_failed(const struct worker *worker, struct answer *answer, long error);
/* The caller's memory was read by its number: whether it still is the same thread. */
bool act_is_still_there(const struct worker *worker);
unsigned act_open_flags(const struct call *call);
/* openat2's flags and restrictions, brought over once and looked at as the kernel does before it
 * looks for the path. 0 or -errno. */
long act_bring_how(struct worker *worker);
/* Where the walk stands: whether an open would wait for somebody else, or depends on who opens. */
bool act_open_waits(const struct worker *worker);
/* Whether the table alone says what becomes of the call there. */
bool act_entry_decides(const struct worker *worker);

/* Have the caller repeat the call with the host path that its path leads to. */
long act_guide_path(struct worker *worker, const char *host);
void act_guided(struct answer *answer, long result);
/* Have it receive this descriptor as its call's result: one that is open as O_PATH alone, which the
 * kernel lets nobody hand over with an answer. It is borrowed. */
long act_pass(struct worker *worker, int descriptor);

/* Calls, their arguments brought over and the worker's walk at its end. */
void act_move(struct worker *worker, struct answer *answer);
void act_slow(struct worker *worker, struct answer *answer);
void act_two(struct worker *worker, struct answer *answer);
/* Calls from their beginning. */
void act_execute(struct worker *worker, struct answer *answer); /* execute.c */
/* directory.c */
void act_getcwd(struct worker *worker, struct answer *answer);
void act_list(struct worker *worker, struct answer *answer);
/* network.c: calls with addresses, of a space whose network is not the host's. */
void act_network(struct worker *worker, struct answer *answer);
struct net_view act_network_view(void);
/* receive.c: those that bring addresses in. */
void act_receive(struct worker *worker, struct answer *answer);
/* local.c: bind, connect and sendto. False: it is none of a Unix socket, or one that the kernel
 * alone gets right. */
bool act_local(struct worker *worker, struct answer *answer);
/* getsockname and getpeername, the same. */
bool act_local_name(struct worker *worker, struct answer *answer);
/* Whether a call that brings the address of a Unix socket in may bring one that the session calls
 * otherwise. */
bool act_local_is_doubtful(struct worker *worker);
/* An address that has come into the caller's memory, with its length; it has not gone on yet. */
struct heard {
    uint64_t address;
    uint64_t length_at;
    uint32_t room;   /* what there was for the address */
    uint32_t length; /* as the kernel has it, which may be more */
    long from;       /* the caller's socket whose peer that is; -1: it is not to be asked again */
};
/* Have the name of a Unix socket there as the session says it. False: it is none. */
bool act_local_heard(struct worker *worker, const struct heard *heard);
/* Where this address leads on the host, at `to`: its length there; 0: the kernel alone gets it
 * right; or -errno. `options`: of the walk. */
struct sockaddr_un;
long act_local_map(struct worker *worker, const struct sockaddr_un *given, size_t length,
                   unsigned options, struct sockaddr_un *to);

#endif
