/* hirsel net: which network the programs of each name space have. */
#include "shell/session.h"
#include "shell/shell.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>

#include "proto/net.pb-c.h"
#include "shim/core/net_name.h"
#include "shim/core/space.h"

static error_t net_parse(int key, char *argument, struct argp_state *state)
{
    (void)argument;
    if (key != ARGP_KEY_INIT)
        return ARGP_ERR_UNKNOWN;
    state->child_inputs[0] = state->input;
    return 0;
}

static const char *mode_name(uint32_t mode)
{
    switch (mode) {
    case SPACE_NET_HOST:
        return "host";
    case SPACE_NET_NONE:
        return "none";
    case SPACE_NET_PRIVATE:
        return "private";
    default:
        return "?";
    }
}

static void states_print(const Hirsel__NetStates *states)
{
    printf("%-8s %-8s %s\n", "SPACE", "NETWORK", "SLICE");
    for (size_t i = 0; i < states->n_states; i++) {
        const Hirsel__NetState *state = states->states[i];
        struct in_addr address = {.s_addr = htonl(state->slice)};
        char text[INET_ADDRSTRLEN];
        if (state->mode == SPACE_NET_PRIVATE)
            printf("%-8" PRIu64 " %-8s %s/%d\n", state->space, mode_name(state->mode),
                   inet_ntop(AF_INET, &address, text, sizeof text), 8 + NET_SLICE_BITS);
        else
            printf("%-8" PRIu64 " %s\n", state->space, mode_name(state->mode));
    }
}

/* 0 or an errno, said. */
static int states_ask(struct session *session, ProtobufCMessage **states)
{
    struct port *net = NULL;
    int error = session_call(session, "net", &net, HIRSEL__NET_OPERATION__NET_LIST, NULL,
                             &hirsel__net_states__descriptor, states, SESSION_TIMEOUT_MS);

    if (error != 0 && net != NULL)
        shell_say(error, "cannot ask net of session '%s'", session->name);
    if (net != NULL)
        port_close(net);
    return error;
}

int command_net(int argc, char **argv)
{
    static const struct argp argp = {
        .parser = net_parse,
        .doc = "Show the network of each name space of a session: the host's own, none, or a "
               "private one and the part of 127.0.0.0/8 that it lives in.",
        .children = session_argp_children,
    };
    const char *name = NULL;
    struct session session;
    ProtobufCMessage *states = NULL;
    int error;

    argp_parse(&argp, argc, argv, 0, NULL, &name);
    if (session_find(name, &session) != 0)
        return SHELL_FAILED;
    error = states_ask(&session, &states);
    if (error == 0)
        states_print((const Hirsel__NetStates *)states);
    rpc_free(states);
    session_close(&session);
    return error == 0 ? EXIT_SUCCESS : SHELL_FAILED;
}
