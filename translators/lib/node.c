/* The tree of a tier 2 translator: names and what they stand for. */
#include <errno.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>

#include "translators/lib/library.h"

/* A balanced tree and no hash: names come from archives, and nobody may choose them so that they
 * collide. */
static int name_compare(const void *one, const void *other)
{
    const struct node_name *a = one, *b = other;
    int difference = memcmp(a->bytes, b->bytes, a->length < b->length ? a->length : b->length);

    if (difference == 0)
        difference = (a->length > b->length) - (a->length < b->length);
    return difference;
}

static int name_check(const char *name, size_t length)
{
    if (length == 0 || memchr(name, '/', length) || memchr(name, '\0', length))
        return EINVAL;
    if (name[0] == '.' && (length == 1 || (length == 2 && name[1] == '.')))
        return EINVAL;
    return length > NODE_NAME_MAX ? ENAMETOOLONG : 0;
}

static void attributes_set(struct node *node, const struct stat *attributes)
{
    node->size = S_ISREG(attributes->st_mode) ? (uint64_t)attributes->st_size : 0;
    node_set_times(node, attributes->st_mode, attributes->st_mtim);
}

void node_set_times(struct node *node, mode_t mode, struct timespec modified)
{
    mode &= S_IFMT | 01777;
    if (S_ISREG(mode) && (mode & 07777) == MIRROR_UNFILLED)
        mode &= ~(mode_t)S_ISVTX;
    node->mode = mode;
    node->modified_seconds = modified.tv_sec;
    node->modified_nanoseconds = (uint32_t)modified.tv_nsec;
    if (modified.tv_nsec < 0 || modified.tv_nsec > 999999999)
        node->modified_nanoseconds = 0;
}

static int type_check(mode_t mode)
{
    return S_ISREG(mode) || S_ISDIR(mode) || S_ISLNK(mode) || S_ISFIFO(mode) ? 0 : EINVAL;
}

static int nodes_add(struct node *node)
{
    if (library.node_count == library.node_room) {
        uint32_t room = library.node_room ? library.node_room * 2 : 256;
        struct node **nodes = NULL;

        if (room > library.node_room)
            nodes = reallocarray(library.nodes, room, sizeof(struct node *));
        if (!nodes)
            return ENOMEM;
        library.nodes = nodes;
        library.node_room = room;
    }
    node->id = library.node_count;
    library.nodes[library.node_count++] = node;
    return 0;
}

static struct node *node_allocate(const char *name, size_t length, const struct stat *attributes)
{
    struct node *node = calloc(1, sizeof(*node) + length);

    if (!node)
        return NULL;
    memcpy(node + 1, name, length);
    node->name = (struct node_name){(const char *)(node + 1), length};
    attributes_set(node, attributes);
    return node;
}

struct node *node_make_root(const struct stat *attributes)
{
    struct node *node = node_allocate("", 0, attributes);

    if (node && nodes_add(node) != 0) {
        free(node);
        errno = ENOMEM;
        return NULL;
    }
    return node;
}

struct node *node_root(void)
{
    return library.node_count ? library.nodes[0] : NULL;
}

struct node *node_new(struct node *parent, const char *name, size_t name_length,
                      const struct stat *attributes)
{
    size_t path_length = (size_t)parent->path_length + (parent->path_length ? 1 : 0) + name_length;
    struct node *node = NULL;
    struct node_name **place;
    int error = name_check(name, name_length);

    if (error == 0)
        error = type_check(attributes->st_mode);
    if (error == 0 && !S_ISDIR(parent->mode))
        error = ENOTDIR;
    if (error == 0 && path_length > NODE_PATH_MAX)
        error = ENAMETOOLONG;
    if (error != 0)
        goto out;
    error = ENOMEM;
    node = node_allocate(name, name_length, attributes);
    if (!node)
        goto out;
    place = tsearch(&node->name, &parent->children, name_compare);
    if (!place)
        goto out;
    if (*place != &node->name) {
        error = EEXIST;
        goto out;
    }
    if (nodes_add(node) != 0) {
        tdelete(&node->name, &parent->children, name_compare);
        goto out;
    }
    node->parent = parent;
    node->path_length = (uint16_t)path_length;
    if (parent->last)
        parent->last->next = node;
    else
        parent->first = node;
    parent->last = node;
    return node;
out:
    free(node);
    errno = error;
    return NULL;
}

int node_set_target(struct node *node, const char *target, size_t length)
{
    char *copy;

    if (!S_ISLNK(node->mode) || length == 0 || memchr(target, '\0', length))
        return EINVAL;
    if (length > 4095)
        return ENAMETOOLONG;
    copy = strndup(target, length);
    if (!copy)
        return ENOMEM;
    free(node->target);
    node->target = copy;
    node->size = length;
    return 0;
}

struct node *node_find(struct node *parent, const char *name, size_t name_length)
{
    struct node_name key = {name, name_length};
    struct node_name **place = tfind(&key, &parent->children, name_compare);

    return place ? (struct node *)*place : NULL;
}

mode_t node_mode(const struct node *node)
{
    return node->mode;
}

uint64_t node_size(const struct node *node)
{
    return node->size;
}

void node_set_size(struct node *node, uint64_t size)
{
    node->size = size;
}

uint64_t node_data(const struct node *node)
{
    return node->data;
}

void node_set_data(struct node *node, uint64_t data)
{
    node->data = data;
}

struct node *node_by_id(uint64_t id)
{
    return id < library.node_count ? library.nodes[id] : NULL;
}

void node_path(const struct node *node, char path[NODE_PATH_MAX + 1])
{
    char *end = path + node->path_length;

    *end = '\0';
    for (; node->parent; node = node->parent) {
        end -= node->name.length;
        memcpy(end, node->name.bytes, node->name.length);
        if (node->parent->parent)
            *--end = '/';
    }
}

const char *node_name(const struct node *node)
{
    static char path[NODE_PATH_MAX + 1];

    node_path(node, path);
    return path;
}

int node_replace(struct node *node, const struct stat *attributes)
{
    int error = type_check(attributes->st_mode);

    if (error != 0)
        return error;
    if (node->inode != 0 && node->parent)
        return EBUSY;
    if (node->first && !S_ISDIR(attributes->st_mode))
        return ENOTEMPTY;
    if (!node->parent && !S_ISDIR(attributes->st_mode))
        return ENOTDIR;
    links_leave(node);
    free(node->target);
    node->target = NULL;
    attributes_set(node, attributes);
    return 0;
}
