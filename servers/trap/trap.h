/* trap(8): the system calls of a session's programs that the shim did not decide. Private to
 * servers/trap.
 *
 * main serves the control channel and the socket. For each listener it forks *workers*, processes
 * that block in the kernel for the next notification and answer it: one that hangs in a dead file
 * system blocks nobody else. A worker becomes the caller: it brings the arguments over, and calls
 * the very functions of the shim. */
#ifndef HIRSEL_TRAP_H
#define HIRSEL_TRAP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "servers/lib/server.h"

struct trap {
    struct server *server;
    struct listening *listeners;
};

#endif
