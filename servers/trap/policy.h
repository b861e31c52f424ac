/* What a confined tree may do. */
#ifndef HIRSEL_TRAP_POLICY_H
#define HIRSEL_TRAP_POLICY_H

#include "fence/fence.h"

struct policy {
    struct fence_policy rules;
    int landlock; /* its version, as it holds the tree; 0: not at all */
    /* What the filter says of itself, without what it reports: by whether the network is not the
     * host's. */
    struct fence_program programs[2];
};

/* NULL with errno 0 where the bytes forbid nothing; else NULL with errno. */
struct policy *policy_read(const uint8_t *bytes, size_t length);
void policy_free(struct policy *policy);

#endif
