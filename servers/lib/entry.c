#include "servers/lib/entry.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "servers/lib/passing.h"
#include "shim/core/space.h"

int entry_plan_send(int to, uint32_t flags, const uint8_t *policy, size_t policy_length)
{
    size_t length = sizeof(struct entry_plan) + policy_length;
    struct entry_plan *plan;
    ssize_t sent;

    if (length > ENTRY_PLAN_MAX)
        return EMSGSIZE;
    plan = malloc(length);
    if (plan == NULL)
        return ENOMEM;
    plan->flags = flags;
    if (policy_length > 0)
        memcpy(plan + 1, policy, policy_length);
    sent = passing_send(to, plan, length, -1, MSG_DONTWAIT);
    free(plan);
    return sent < 0 ? errno : 0;
}

int entry_word_send(int to, bool trapped)
{
    struct entry_word word = {.trapped = trapped};

    return passing_send(to, &word, sizeof word, -1, MSG_DONTWAIT) < 0 ? errno : 0;
}

static bool network_is_own(int table)
{
    struct space_net net;

    return pread(table, &net, sizeof net, SPACE_NET_OFFSET) == sizeof net &&
           net.mode != SPACE_NET_HOST;
}

/* What is read while fs writes over it is read again. */
static bool has_binds(int table)
{
    struct space_header header = {0}, after = {0};
    struct space_snapshot snapshot = {0};

    do {
        if (pread(table, &header, sizeof header, 0) != sizeof header || header.generation == 0 ||
            pread(table, &snapshot, sizeof snapshot, (off_t)header.active) != sizeof snapshot ||
            pread(table, &after, sizeof after, 0) != sizeof after)
            return false;
    } while (after.generation - header.generation >= SPACE_RING_SAFE);
    return (snapshot.flags & SPACE_HAS_BINDS) != 0;
}

uint32_t entry_space_flags(const char *session, uint64_t space)
{
    char path[PATH_MAX];
    uint32_t flags;
    int table;

    if (snprintf(path, sizeof path, "%s/spaces/%llu/table", session, (unsigned long long)space) >=
        (int)sizeof path)
        return 0;
    table = open(path, O_RDONLY | O_CLOEXEC);
    if (table < 0)
        return 0;
    flags = (network_is_own(table) ? ENTRY_NETWORK : 0u) | (has_binds(table) ? ENTRY_BINDS : 0u);
    close(table);
    return flags;
}
