/* What the files of this folder share. */
#ifndef HIRSEL_FENCE_INTERNAL_H
#define HIRSEL_FENCE_INTERNAL_H

#include "fence/fence.h"

/* Add a copy of `host`. */
int fence_host_append(struct fence_policy *policy, const struct fence_host *host);
/* The address, IPv4 as ::ffff:a.b.c.d, and port of an Internet address; false for any other. */
bool fence_address_read(const struct sockaddr *address, size_t length, uint8_t bytes[16],
                        uint16_t *port);

#endif
