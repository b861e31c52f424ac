/* Messages to servers, made by hand: what no honest client says must be sayable as well. */
#ifndef HIRSEL_ESCAPE_PACK_H
#define HIRSEL_ESCAPE_PACK_H

#include <stddef.h>
#include <stdint.h>

#include "libmsg/wire.h"

/* The body of a message in the encoding of protocol buffers. */
struct pack {
    uint8_t bytes[16384];
    size_t length;
};

void pack_number(struct pack *pack, unsigned field, uint64_t value);
void pack_text(struct pack *pack, unsigned field, const char *text);

/* Connect to the server NAME of a session and shake hands. A descriptor, or -1 with errno. */
int bus_connect(const char *session, const char *name);
/* The same in parts: a socket; its connection, by whichever thread; the handshake. 0 or -1. */
int bus_socket(void);
int bus_reach(int bus, const char *session, const char *name);
int bus_greet(int bus);
/* Ask on a connection: 0 or an errno. Closes it. */
int bus_ask_on(int bus, uint32_t operation, const struct pack *body);
/* Send a header and what follows; with descriptors. -1 with errno. */
int bus_send(int bus, const struct wire_header *header, const void *body, size_t length,
             const int *descriptors, size_t count);
/* The error of the next reply; ECONNRESET when the server hung up, ETIMEDOUT after some seconds.
 * What comes with it is closed, but for the first descriptor, which becomes *taken if that is not
 * NULL
 * (-1: none came). */
int bus_reply(int bus, int *taken);
/* Ask: connect, send one request, and say what came of it: 0 or an errno. */
int bus_ask(const char *session, const char *name, uint32_t operation, const struct pack *body,
            const int *descriptors, size_t count);
/* The same by a socket of that name. */
int bus_ask_named(const char *session, const char *name, const char *own, uint32_t operation,
                  const struct pack *body);
/* The same, and what comes with the answer. */
int bus_ask_for(const char *session, const char *name, uint32_t operation, const struct pack *body,
                int *taken);

#endif
