/* traps DIRECTORY: how many system calls of the youngest process tree of the session in DIRECTORY
 * were asked of its trap server: "total N", then a line for each call: its name, how often it was
 * left to the kernel, answered, refused. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <ev.h>

#include "fence/fence.h"
#include "libmsg/msg.h"
#include "libmsg/rpc.h"
#include "proto/trap.pb-c.h"

enum { TIMEOUT_MS = 10000 };

static const Hirsel__TrapTree *tree_newest(const Hirsel__TrapState *state)
{
    const Hirsel__TrapTree *newest = NULL;
    for (size_t i = 0; i < state->n_trees; i++)
        if (!newest || state->trees[i]->id > newest->id)
            newest = state->trees[i];
    return newest;
}

static void tree_print(const Hirsel__TrapTree *tree)
{
    printf("total %llu\n", (unsigned long long)tree->notifications);
    for (size_t i = 0; i < tree->n_calls; i++) {
        const Hirsel__TrapCount *count = tree->calls[i];
        const struct fence_call *call = fence_call_at(count->number);
        printf("%s %llu %llu %llu\n", call && call->name ? call->name : "?",
               (unsigned long long)count->continued, (unsigned long long)count->answered,
               (unsigned long long)count->refused);
    }
}

int main(int argc, char **argv)
{
    char path[PATH_MAX];
    struct port *port;
    ProtobufCMessage *answer = NULL;
    if (argc != 2 || (size_t)snprintf(path, sizeof path, "%s/trap", argv[1]) >= sizeof path) {
        fprintf(stderr, "traps: a session's directory is wanted\n");
        return 2;
    }
    struct ev_loop *loop = ev_loop_new(EVFLAG_AUTO);
    struct port_set *ports = loop ? port_set_new(loop) : NULL;
    int error = ports ? port_connect(ports, path, TIMEOUT_MS, &port) : ENOMEM;
    if (error == 0)
        error = rpc_call(port, HIRSEL__TRAP_OPERATION__TRAP_STATUS, NULL, NULL, 0,
                         &hirsel__trap_state__descriptor, &answer, NULL, TIMEOUT_MS);
    if (error != 0) {
        fprintf(stderr, "traps: %s: %s\n", path, strerror(error));
        return 1;
    }
    const Hirsel__TrapTree *tree = tree_newest((const Hirsel__TrapState *)answer);
    if (tree)
        tree_print(tree);
    else
        printf("total 0\n");
    rpc_free(answer);
    return 0;
}
