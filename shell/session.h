/* Sessions as a user's command sees them: which one is meant, where it is, how to reach it.
 *
 * Functions that fail have said why on standard error, in one line, unless told
 * otherwise. */
#ifndef HIRSEL_SESSION_H
#define HIRSEL_SESSION_H

#include <protobuf-c/protobuf-c.h>
#include <argp.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#include "libmsg/msg.h"
#include "libmsg/rpc.h"
#include "servers/lib/directory.h"

/* How long a command waits for a server: init brings one that died back in less. */
#define SESSION_TIMEOUT_MS 30000

struct session {
    char name[SESSION_NAME_MAX + 1];
    char directory[PATH_MAX];
    bool current; /* this process runs in it */
    struct ev_loop *loop;
    struct port_set *ports;
};

/* The option --session NAME, for every command's `struct argp` as a child; its input is a
 * `const char **`. */
extern const struct argp session_argp;

/* A command's usual row of children: --session alone. In the parser's ARGP_KEY_INIT:
 * state->child_inputs[0] = &session_name; */
extern const struct argp_child session_argp_children[];

/* The directory that holds the sessions' directories; made if `make`. 0 or an errno, said. */
int session_base(char *buffer, size_t size, bool make);

/* The session `name`, or, where that is NULL, the one that this process runs in. 0 or an errno,
 * said: no such session, or neither given nor inside one. session_close afterwards. */
int session_find(const char *name, struct session *session);

/* Whether this process runs in a session: fills *session; ENOENT, not said, where it does not. */
int session_current(struct session *session);

/* The name space that this process has by its shim; 0 without one. */
uint64_t session_space(void);

/* Connect to the server `server` ("fs", "init", …) of the session. NULL with errno, said. */
struct port *session_connect(struct session *session, const char *server);
/* The same in at most `timeout_ms`: 0 or an errno, not said. */
int session_reach(struct session *session, const char *server, int timeout_ms, struct port **port);

/* Call a server, and call it again as long as it is killed and started again meanwhile: with an
 * at-most-once id, so that it does nothing twice. *port is the connection to it, NULL for one that
 * is still to be made; another one may stand there afterwards. 0 or an errno, not said but where
 * the server can't be reached. */
int session_call(struct session *session, const char *server, struct port **port,
                 uint32_t operation, const ProtobufCMessage *body,
                 const ProtobufCMessageDescriptor *answer_type, ProtobufCMessage **answer,
                 int timeout_ms);

/* Harmless on a session that was not found; keeps errno. */
void session_close(struct session *session);

/* The path of an installed part ("libexec/hirsel/init"). 0 or an errno, said. */
int shell_installed(const char *part, char *buffer, size_t size);

#endif
