/* What confined askers may have of fs. fs acts with the user's rights; a confined program has less,
 * and so have the translators that were started for it. The trap server asks for others, in whose
 * name space it says. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "servers/fs/fs.h"

/* The policy of the confined trees of a name space; as long as that lasts. */
struct held {
    struct held *next;
    uint64_t space;
    struct fence_policy policy;
};

static struct held *held_find(const struct fs *fs, uint64_t space)
{
    struct held *held = fs->held;

    while (held && held->space != space)
        held = held->next;
    return held;
}

static void learn(struct fs *fs, const struct tree *tree)
{
    struct held *held;
    int error;

    if (!tree->confined || held_find(fs, tree->space))
        return;
    held = calloc(1, sizeof(*held));
    if (!held) {
        log_line("no memory for what space %llu is confined to", (unsigned long long)tree->space);
        abort(); /* fs is started again, and asks init for all trees */
    }
    error = fence_policy_unpack(&held->policy, tree->policy, tree->policy_length);
    if (error) {
        log_line("what space %llu is confined to can't be read: its programs get nothing: %s",
                 (unsigned long long)tree->space, strerror(error));
        fence_policy_clear(&held->policy);
    }
    held->policy.confined = true;
    held->space = tree->space;
    held->next = fs->held;
    fs->held = held;
}

void policy_learn(struct server *server, const struct tree *tree)
{
    learn(server->state, tree);
}

void policies_learn(struct fs *fs)
{
    const struct tree *trees;
    size_t count = tree_list(fs->server, &trees);

    for (size_t i = 0; i < count; i++)
        learn(fs, &trees[i]);
}

void policy_forget(struct fs *fs, uint64_t space)
{
    for (struct held **link = &fs->held; *link; link = &(*link)->next) {
        struct held *held = *link;

        if (held->space != space)
            continue;
        *link = held->next;
        fence_policy_clear(&held->policy);
        free(held);
        return;
    }
}

const struct fence_policy *policy_of(const struct fs *fs, const struct asker *asker)
{
    const struct held *held;

    /* Outside of all trees, and nothing that init started: the user. */
    if (!fs->held || asker->is_trap || !(asker->in_tree || asker->guarded))
        return NULL;
    held = held_find(fs, asker_space(fs, asker));
    return held ? &held->policy : NULL;
}

const struct fence_policy *policy_of_node_asker(const struct fs *fs, const struct asker *asker,
                                                uint64_t space)
{
    const struct held *held;

    if (!asker->is_trap)
        return policy_of(fs, asker);
    held = held_find(fs, space);
    return held ? &held->policy : NULL;
}

static unsigned open_access(uint32_t flags)
{
    switch (flags & O_ACCMODE) {
    case O_RDONLY:
        return flags & (O_CREAT | O_TRUNC) ? FENCE_READ | FENCE_WRITE : FENCE_READ;
    case O_WRONLY:
        return FENCE_WRITE;
    default:
        return FENCE_READ | FENCE_WRITE;
    }
}

/* What an operation takes; 0: to know that the node is there. */
static unsigned operation_access(const Hirsel__NodeRequest *request, uint32_t operation)
{
    switch (operation) {
    case HIRSEL__NODE_OPERATION__NODE_OPEN:
        return request->flags & O_PATH ? 0 : open_access(request->flags);
    case HIRSEL__NODE_OPERATION__NODE_LIST:
        return FENCE_READ;
    case HIRSEL__NODE_OPERATION__NODE_ACCESS:
        return (request->mode & R_OK ? (unsigned)FENCE_READ : 0u) |
               (request->program ? (unsigned)FENCE_EXECUTE : 0u) |
               (request->mode & W_OK ? (unsigned)FENCE_WRITE : 0u);
    case HIRSEL__NODE_OPERATION__NODE_OPTIONS:
        return request->n_arguments > 0 ? FENCE_WRITE : FENCE_READ;
    case HIRSEL__NODE_OPERATION__NODE_CHANGE:
    case HIRSEL__NODE_OPERATION__NODE_GO_AWAY:
        return FENCE_WRITE;
    default:
        return 0;
    }
}

int policy_check(const struct fence_policy *policy, const char *host_path, unsigned access)
{
    if (!policy)
        return 0;
    if (!fence_policy_shows(policy, host_path))
        return ENOENT;
    return access == 0 || fence_policy_allows(policy, host_path, access) ? 0 : EACCES;
}

int policy_check_node(const struct fence_policy *policy, const struct translator *translator,
                      const Hirsel__NodeRequest *request, uint32_t operation)
{
    char path[NAME_PATH_SIZE];

    if (!policy)
        return 0;
    /* Names below the node are free of "..", and so below the same rules; a rule for one of them
     * is asked for as well. */
    if (snprintf(path, sizeof(path), "%s%s%.*s", translator->host_path,
                 request->path.len ? "/" : "", (int)request->path.len,
                 (const char *)request->path.data) >= (int)sizeof(path))
        return ENAMETOOLONG;
    return policy_check(policy, path, operation_access(request, operation));
}
