/* A system call that was brought over: its arguments as the caller gave them, and the same with
 * copies here of what they point to. */
#ifndef HIRSEL_TRAP_CALL_H
#define HIRSEL_TRAP_CALL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <linux/seccomp.h>

#include "servers/trap/client.h"
#include "shim/core/core.h"

enum {
    CALL_POINTERS = 4,    /* that one call has at most */
    BUFFER_LIMIT = 65536, /* the longest buffer that a path call takes or fills */
};

/* A result's place. */
struct result_place {
    uint64_t to; /* the caller's address */
    void *from;
    size_t length;
    bool by_result; /* only as much as the call's result says */
};

struct call {
    int number;
    long given[6];
    long arguments[6]; /* of our own */
    struct result_place results[CALL_POINTERS];
    size_t result_count;
    size_t used; /* of `memory` */
    char paths[2][PATH_LIMIT];
    char memory[CALL_POINTERS * (BUFFER_LIMIT + 64)] __attribute__((aligned(64)));
};

void call_begin(struct call *call, const struct seccomp_notif *notification);

/* Whether call_bring knows this call's arguments. */
bool call_is_known(int number);

/* Bring the paths over. 0; 1: a path is a null pointer; or -errno. */
long call_bring_paths(struct call *call, struct client *client);
/* Bring the rest over and make room for results. 0 or -errno. */
long call_bring_rest(struct call *call, struct client *client);
/* Take the results to the caller: `result`, or -errno. */
long call_return(const struct call *call, struct client *client, long result);

#endif
