#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "proto/init.pb-c.h"
#include "servers/net/net.h"

#define INIT_TIMEOUT_MS 5000
/* All slices have had their turn in 102 s. */
#define TURN_MS 50

struct slice *slice_find(const struct net *net, uint32_t address)
{
    struct slice *slice = net->slices;

    while (slice != NULL && slice->address != address)
        slice = slice->next;
    return slice;
}

/* Own a slice as its holder; takes `holder` over. */
static int slice_add(struct net *net, uint32_t address, int holder, struct slice **added)
{
    struct slice *slice = calloc(1, sizeof *slice);

    if (slice == NULL) {
        close(holder);
        return ENOMEM;
    }
    *slice = (struct slice){net->slices, address, holder};
    net->slices = slice;
    if (added != NULL)
        *added = slice;
    return 0;
}

/* EADDRINUSE: another session holds it. */
static int slice_take(struct net *net, uint32_t address, struct slice **taken)
{
    struct sockaddr_in name = {.sin_family = AF_INET,
                               .sin_port = htons(NET_HOLD_PORT),
                               .sin_addr.s_addr = htonl(address + NET_HOLD_ADDRESS)};
    int holder = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int error;

    if (holder < 0)
        return errno;
    /* No SO_REUSEADDR: that it can't be had twice is the point. It listens so that ss(8) shows
     * who holds what. */
    if (bind(holder, (struct sockaddr *)&name, sizeof name) < 0 || listen(holder, 0) < 0) {
        error = errno;
        close(holder);
        return error;
    }
    return slice_add(net, address, holder, taken);
}

int slice_claim(struct net *net, struct slice **slice)
{
    struct timespec now;
    uint64_t turn;

    /* Each in its turn, by the clock: a slice that a short session gave up just now may have
     * connections in TIME_WAIT for a minute, which would keep ports from being bound. */
    if (clock_gettime(CLOCK_BOOTTIME, &now) < 0)
        return errno;
    turn = ((uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000) / TURN_MS;
    for (uint64_t i = 0; i < NET_SLICE_LAST; i++) {
        uint32_t index = NET_SLICE_FIRST + (uint32_t)((turn + i) % NET_SLICE_LAST);
        int error = slice_take(net, NET_LOOPBACK + index * NET_SLICE_SIZE, slice);
        if (error != EADDRINUSE)
            return error;
    }
    return ENOSPC;
}

/* The name by which init keeps it; by slice, not by space: copies of a space share it, and may
 * outlive the space that it was made for. */
static int init_call(const struct net *net, uint32_t operation, uint32_t address,
                     const int *descriptor, int *answer)
{
    char name[32];
    Hirsel__InitKeep body = HIRSEL__INIT_KEEP__INIT;

    if (net->server->control == NULL)
        return ENOTCONN;
    snprintf(name, sizeof name, "slice-%08x", address);
    body.name = name;
    return rpc_call(net->server->control, operation, &body.base, descriptor,
                    descriptor == NULL ? 0 : 1, NULL, NULL, answer, INIT_TIMEOUT_MS);
}

int slice_keep(struct net *net, const struct slice *slice)
{
    return init_call(net, HIRSEL__INIT_OPERATION__INIT_KEEP, slice->address, &slice->holder, NULL);
}

static void slice_release(struct net *net, struct slice *slice)
{
    struct slice **link = &net->slices;
    int error = init_call(net, HIRSEL__INIT_OPERATION__INIT_KEEP, slice->address, NULL, NULL);

    if (error != 0 && net->server->control != NULL)
        log_line("init does not give up %08x: %s", slice->address, strerror(error));
    while (*link != slice)
        link = &(*link)->next;
    *link = slice->next;
    close(slice->holder);
    free(slice);
}

static int slice_load(struct net *net, uint32_t address)
{
    int holder = -1;
    struct slice *slice;
    int error = init_call(net, HIRSEL__INIT_OPERATION__INIT_KEPT, address, NULL, &holder);

    if (error == 0 && holder >= 0)
        return slice_add(net, address, holder, NULL);
    /* net died between writing the table and giving the holder to init. */
    error = slice_take(net, address, &slice);
    return error != 0 ? error : slice_keep(net, slice);
}

int slices_load(struct net *net)
{
    uint64_t *ids;
    size_t count;
    int error = space_list(net, &ids, &count);

    if (error != 0)
        return error;
    for (size_t i = 0; i < count; i++) {
        struct space_net row;
        if (space_read(net, ids[i], &row) != 0 || row.mode != SPACE_NET_PRIVATE ||
            !net_slice_valid(row.slice) || slice_find(net, row.slice) != NULL)
            continue;
        error = slice_load(net, row.slice);
        if (error != 0)
            log_line("the slice %08x of a running space can't be held: %s; another session may "
                     "get it",
                     row.slice, strerror(error));
    }
    free(ids);
    return 0;
}

void slices_sweep(struct net *net)
{
    struct slice *next;
    uint64_t *ids;
    size_t count;

    if (net->slices == NULL || space_list(net, &ids, &count) != 0)
        return;
    for (struct slice *slice = net->slices; slice != NULL; slice = next) {
        bool used = false;
        next = slice->next;
        for (size_t i = 0; i < count && !used; i++) {
            struct space_net row;
            int error = space_read(net, ids[i], &row);
            /* What can't be read for another reason than that it is gone may well use it. */
            used = error == 0 ? row.mode == SPACE_NET_PRIVATE && row.slice == slice->address
                              : error != ENOENT;
        }
        if (!used)
            slice_release(net, slice);
    }
    free(ids);
}
