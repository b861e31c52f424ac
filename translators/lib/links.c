/* Hard links: several nodes that are one file. */
#include <errno.h>
#include <stdlib.h>

#include "translators/lib/library.h"

struct node *node_original(struct node *node)
{
    return node->link ? TAILQ_FIRST(&node->link->links->members)->node : node;
}

struct node *node_heir(struct node *node)
{
    struct node_link *next =
        node->link && node_original(node) == node ? TAILQ_NEXT(node->link, entry) : NULL;

    return next ? next->node : NULL;
}

uint32_t links_count(const struct node *node)
{
    return node->link ? node->link->links->count : 1;
}

static int links_join(struct node_links *links, struct node *node)
{
    struct node_link *link = malloc(sizeof(*link));

    if (!link)
        return ENOMEM;
    *link = (struct node_link){.node = node, .links = links};
    TAILQ_INSERT_TAIL(&links->members, link, entry);
    links->count++;
    node->link = link;
    return 0;
}

/* The content's number and the attributes go with the original. */
static void content_inherit(struct node *heir, const struct node *from)
{
    heir->data = from->data;
    heir->size = from->size;
    heir->mode = from->mode;
    heir->modified_seconds = from->modified_seconds;
    heir->modified_nanoseconds = from->modified_nanoseconds;
}

void links_leave(struct node *node)
{
    struct node_link *link = node->link;
    struct node_links *links;
    struct node_link *first;

    if (!link)
        return;
    links = link->links;
    first = TAILQ_FIRST(&links->members);
    TAILQ_REMOVE(&links->members, link, entry);
    links->count--;
    node->link = NULL;
    if (link == first && links->count > 0) {
        struct node *heir = TAILQ_FIRST(&links->members)->node;
        content_inherit(heir, node);
        heir->target = node->target;
        node->target = NULL;
    }
    free(link);
    if (links->count == 1) {
        link = TAILQ_FIRST(&links->members);
        link->node->link = NULL;
        free(link);
        links->count = 0;
    }
    if (links->count == 0)
        free(links);
}

int node_set_link(struct node *node, struct node *original)
{
    struct node_links *links = NULL;
    int error;

    original = node_original(original);
    if (node_original(node) == original)
        return 0;
    if (S_ISDIR(node->mode) || S_ISDIR(original->mode))
        return EISDIR;
    if (node->inode != 0 || original->inode != 0)
        return EBUSY;
    if (!original->link) {
        links = malloc(sizeof(*links));
        if (!links)
            return ENOMEM;
        TAILQ_INIT(&links->members);
        links->count = 0;
        error = links_join(links, original);
        if (error != 0) {
            free(links);
            return error;
        }
    }
    links_leave(node);
    error = links_join(original->link->links, node);
    if (error != 0) {
        if (links)
            links_leave(original);
        return error;
    }
    free(node->target);
    node->target = NULL;
    content_inherit(node, original);
    return 0;
}
