/* What the files of this folder share. */
#ifndef HIRSEL_FENCE_INTERNAL_H
#define HIRSEL_FENCE_INTERNAL_H

#include "fence/fence.h"

/* Add a copy of `host`. */
int fence_host_append(struct fence_policy *policy, const struct fence_host *host);
/* The address, IPv4 as ::ffff:a.b.c.d, and port of an Internet address; false for any other. */
bool fence_address_read(const struct sockaddr *address, size_t length, uint8_t bytes[16],
                        uint16_t *port);

/* The host's name of what a path leads to; NULL with errno. Where this is a program of a session
 * the path is one of its names: libc finds what it means, and the kernel says where that is. */
char *fence_path_host(const char *path);
/* The same of a path that is, or leads below, a sealed node: the host's name of the node, and the
 * rest. */
char *fence_path_in_node(const char *path);

#endif
