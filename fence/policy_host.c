/* HOST:PORT, as it is given on a command line. */
#include "fence/internal.h"

#include <errno.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

/* "*" or 1 to 65535. */
static bool port_read(const char *text, struct fence_host *host)
{
    unsigned long port;
    char *end;

    if (strcmp(text, "*") == 0) {
        host->any_port = true;
        return true;
    }
    if (text[0] < '0' || text[0] > '9')
        return false;
    port = strtoul(text, &end, 10);
    if (*end != '\0' || port == 0 || port > UINT16_MAX)
        return false;
    host->port = (uint16_t)port;
    return true;
}

/* Every address that the name stands for. */
static int host_look_up(struct fence_policy *policy, struct fence_host *host, const char *name)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    struct addrinfo *found;
    uint16_t port;
    int error = EADDRNOTAVAIL;

    if (getaddrinfo(name, NULL, &hints, &found) != 0)
        return EADDRNOTAVAIL;
    for (const struct addrinfo *at = found; at; at = at->ai_next)
        if (fence_address_read(at->ai_addr, at->ai_addrlen, host->address, &port)) {
            error = fence_host_append(policy, host);
            if (error != 0)
                break;
        }
    freeaddrinfo(found);
    return error;
}

int fence_policy_add_host(struct fence_policy *policy, const char *text, unsigned access)
{
    struct fence_host host = {.access = access};
    char *copy = strdup(text), *name = copy, *colon;
    int error = EINVAL;

    if (!copy)
        return ENOMEM;
    colon = strrchr(copy, ':');
    if (!colon || colon == copy)
        goto out;
    *colon = '\0';
    if (!port_read(colon + 1, &host))
        goto out;
    if (name[0] == '[') {
        if (colon[-1] != ']')
            goto out;
        colon[-1] = '\0';
        name++;
    } else if (strchr(name, ':')) {
        /* An IPv6 address without brackets: where its port begins nobody can tell. */
        goto out;
    }
    host.name = (char *)(uintptr_t)text;
    if (strcmp(name, "*") == 0) {
        host.any_host = true;
        error = fence_host_append(policy, &host);
    } else if (name[0] != '\0') {
        error = host_look_up(policy, &host, name);
    }
out:
    free(copy);
    return error;
}
