/* A server gives up the files and sockets that it does not need, by Landlock; its system calls it
 * gives up in narrow.c. */
#include "fence/fence.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#include "servers/lib/frame.h"

int server_fence(const struct server *server)
{
    struct fence_landlock fence;
    int error;

    if (server->holds == 0)
        return 0;
    /* The log's times: libc reads the zone's file when it first needs it. */
    tzset();
    error = fence_landlock_begin(&fence, server->holds);
    if (error != 0)
        return error;
    error = fence_landlock_allow(&fence, server->directory, FENCE_READ | FENCE_WRITE);
    /* Who calls, and which tree that belongs to. */
    if (error == 0)
        error = fence_landlock_allow(&fence, "/proc", FENCE_READ);
    if (error == 0)
        return fence_landlock_enforce(&fence);
    fence_landlock_end(&fence);
    return error;
}
