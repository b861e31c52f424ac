#include "servers/trap/policy.h"

#include <errno.h>
#include <stdlib.h>

struct policy *policy_read(const uint8_t *bytes, size_t length)
{
    struct policy *policy;
    int error;

    errno = 0;
    if (length == 0)
        return NULL;
    policy = calloc(1, sizeof *policy);
    if (policy == NULL)
        return NULL;
    error = fence_policy_unpack(&policy->rules, bytes, length);
    if (error != 0 || !policy->rules.confined) {
        policy_free(policy);
        errno = error;
        return NULL;
    }
    policy->landlock = fence_landlock_version();
    for (int network = 0; network < 2; network++) {
        struct fence_options options =
            fence_policy_options(&policy->rules, network != 0, policy->landlock);

        options.report = false;
        fence_program_build(&options, &policy->programs[network]);
    }
    return policy;
}

void policy_free(struct policy *policy)
{
    if (policy == NULL)
        return;
    fence_policy_clear(&policy->rules);
    free(policy);
}
