/* trap: the system calls that the shim did not decide. */
#include <errno.h>
#include <stdlib.h>

#include "proto/trap.pb-c.h"
#include "servers/trap/trap.h"

static void run_status(struct port *port, ProtobufCMessage *request, struct msg *raw,
                       struct reply *reply, void *context)
{
    Hirsel__TrapState state = HIRSEL__TRAP_STATE__INIT;

    (void)port;
    (void)request;
    (void)raw;
    (void)context;
    rpc_reply(reply, &state.base, NULL, 0);
}

static void run_serve(struct port *port, ProtobufCMessage *request, struct msg *raw,
                      struct reply *reply, void *context)
{
    (void)port;
    (void)request;
    (void)raw;
    (void)context;
    reply_error(reply, ENOSYS);
}

static const struct rpc_operation operations[] = {
    {HIRSEL__TRAP_OPERATION__TRAP_STATUS, NULL, run_status},
    {0, NULL, NULL},
};

static const struct rpc_operation control_operations[] = {
    {HIRSEL__TRAP_OPERATION__TRAP_SERVE, &hirsel__trap_serve__descriptor, run_serve},
    {0, NULL, NULL},
};

int main(int argc, char **argv)
{
    struct trap trap = {0};
    struct server server = {
        .name = "trap",
        .operations = operations,
        .control_operations = control_operations,
        .state = &trap,
    };

    trap.server = &server;
    return server_run(&server, argc, argv);
}
