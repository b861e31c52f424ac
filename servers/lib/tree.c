/* The process trees that init knows, and descent: which of them a process belongs to. */
#include "servers/lib/frame.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "servers/lib/process.h"

/* A copy with a policy of its own. 0 or ENOMEM. */
static int tree_copy(const struct tree *tree, struct tree *copy)
{
    uint8_t *policy = NULL;

    if (tree->policy_length > 0) {
        policy = malloc(tree->policy_length);
        if (policy == NULL)
            return ENOMEM;
        memcpy(policy, tree->policy, tree->policy_length);
    }
    *copy = *tree;
    copy->policy = policy;
    return 0;
}

static void tree_clear(struct tree *tree)
{
    free((uint8_t *)(uintptr_t)tree->policy);
}

void trees_free(struct server_frame *frame)
{
    for (size_t i = 0; i < frame->tree_count; i++)
        tree_clear(&frame->trees[i]);
    free(frame->trees);
}

int tree_add(struct server *server, const struct tree *tree)
{
    struct server_frame *frame = server->frame;

    for (size_t i = 0; i < frame->tree_count; i++) {
        struct tree old = frame->trees[i];

        if (old.pid != tree->pid)
            continue;
        if (tree_copy(tree, &frame->trees[i]) != 0)
            return ENOMEM;
        tree_clear(&old);
        return 0;
    }
    if (frame->tree_count == frame->tree_size) {
        size_t larger = frame->tree_size == 0 ? 16 : frame->tree_size * 2;
        struct tree *moved = reallocarray(frame->trees, larger, sizeof *moved);

        if (moved == NULL)
            return ENOMEM;
        frame->trees = moved;
        frame->tree_size = larger;
    }
    if (tree_copy(tree, &frame->trees[frame->tree_count]) != 0)
        return ENOMEM;
    frame->tree_count++;
    return 0;
}

void tree_remove(struct server *server, pid_t pid, uint64_t start_time)
{
    struct server_frame *frame = server->frame;

    for (size_t i = 0; i < frame->tree_count; i++) {
        struct tree gone = frame->trees[i];

        if (gone.pid != pid || gone.start_time != start_time)
            continue;
        frame->trees[i] = frame->trees[--frame->tree_count];
        if (frame->removed != NULL)
            frame->removed(server, &gone);
        tree_clear(&gone);
        return;
    }
}

size_t tree_list(struct server *server, const struct tree **trees)
{
    *trees = server->frame->trees;
    return server->frame->tree_count;
}

void tree_on_removed(struct server *server, void (*removed)(struct server *, const struct tree *))
{
    server->frame->removed = removed;
}

void tree_on_added(struct server *server, void (*added)(struct server *, const struct tree *))
{
    server->frame->added = added;
}

static const struct tree *root_find(struct server *server, pid_t pid, uint64_t start_time)
{
    struct server_frame *frame = server->frame;

    for (size_t i = 0; i < frame->tree_count; i++)
        if (frame->trees[i].pid == pid && frame->trees[i].start_time == start_time)
            return &frame->trees[i];
    return NULL;
}

/* NULL with *gone: a process on the way up is gone, or the way has no end. */
static const struct tree *tree_climb(struct server *server, pid_t pid, bool *gone)
{
    *gone = false;
    for (int depth = 0; depth < PROCESS_DEPTH_MAX && pid > 1; depth++) {
        pid_t parent;
        uint64_t start_time;
        const struct tree *root;

        *gone = process_stat(pid, &parent, &start_time) != 0;
        if (*gone)
            return NULL;
        root = root_find(server, pid, start_time);
        if (root != NULL)
            return root;
        pid = parent;
    }
    *gone = pid > 1;
    return NULL;
}

const struct tree *tree_of(struct server *server, pid_t pid)
{
    bool gone;

    return tree_climb(server, pid, &gone);
}

const struct tree *tree_of_asker(struct server *server, pid_t pid)
{
    static const struct tree nobody = {.space = TREE_NOBODY, .confined = true};
    const struct server_frame *frame = server->frame;
    bool gone;
    const struct tree *tree = tree_climb(server, pid, &gone);

    if (tree == NULL && gone)
        for (size_t i = 0; i < frame->tree_count; i++)
            if (frame->trees[i].confined)
                return &nobody;
    return tree;
}
