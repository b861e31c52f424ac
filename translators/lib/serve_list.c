/* Directories' entries, as getdents64(2) lays them out. A position is 0 for ".", 1 for "..", 2 for
 * the first child, and the last child's id + 3 after that: it stays right over restarts as long as
 * the nodes are made in the same order. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "libmsg/wire.h"
#include "translators/lib/library.h"

#define LIST_DEFAULT 32768
/* With its frame within one packet. */
#define LIST_MAX (WIRE_INLINE_MAX - 512)
#define FIRST_CHILD 2
#define AFTER_CHILD 3

/* struct linux_dirent64; <dirent.h> has it only as struct dirent of a fixed size. */
struct record {
    uint64_t inode;
    int64_t next;
    uint16_t length;
    uint8_t type;
    char name[];
} __attribute__((packed));

struct listing {
    uint8_t *bytes;
    size_t used, size;
};

/* False: there is no more room. */
static bool record_add(struct listing *listing, uint64_t inode, uint64_t next, mode_t mode,
                       const char *name, size_t name_length)
{
    size_t length = (sizeof(struct record) + name_length + 1 + 7) & ~(size_t)7;
    struct record *record = (struct record *)(void *)(listing->bytes + listing->used);

    if (length > listing->size - listing->used)
        return false;
    memset(record, 0, length);
    record->inode = inode;
    record->next = (int64_t)next;
    record->length = (uint16_t)length;
    record->type = (uint8_t)((mode & S_IFMT) >> 12);
    memcpy(record->name, name, name_length);
    listing->used += length;
    return true;
}

static int children_add(struct listing *listing, struct node *child)
{
    for (; child; child = child->next) {
        int error = mirror_ensure(child);

        /* Too many links of one file: left out, as good as not there. */
        if (error == EMLINK)
            continue;
        /* What is there is told first; the next call meets the error again. */
        if (error != 0)
            return listing->used > 0 ? 0 : error;
        if (!record_add(listing, child->inode, (uint64_t)child->id + AFTER_CHILD, child->mode,
                        child->name.bytes, child->name.length))
            break;
    }
    return 0;
}

static int listing_make(struct listing *listing, struct node *node, uint64_t position)
{
    struct node *parent = node->parent ? node->parent : node;
    struct node *child = node->first;
    bool room = true;
    int error = mirror_ensure(node);

    if (error != 0)
        return error;
    if (position == 0)
        room = record_add(listing, node->inode, 1, S_IFDIR, ".", 1);
    if (room && position <= 1)
        room = record_add(listing, parent->inode, FIRST_CHILD, S_IFDIR, "..", 2);
    if (position >= AFTER_CHILD) {
        struct node *last = node_by_id(position - AFTER_CHILD);
        if (!last || last->parent != node)
            return 0;
        child = last->next;
    }
    if (room)
        error = children_add(listing, child);
    /* As getdents64 says when not even one fits. */
    if (error == 0 && listing->used == 0 && (!room || child))
        error = EINVAL;
    return error;
}

void serve_list(struct port *port, ProtobufCMessage *message, struct msg *raw, struct reply *reply,
                void *context)
{
    const Hirsel__NodeRequest *request = (const Hirsel__NodeRequest *)message;
    Hirsel__NodeReply answer = HIRSEL__NODE_REPLY__INIT;
    struct listing listing = {.size = request->size_limit ? request->size_limit : LIST_DEFAULT};
    struct node *node;
    int error;

    (void)port, (void)raw, (void)context;
    if (!walk_node(request, true, reply, &node))
        return;
    if (!node || !S_ISDIR(node->mode)) {
        reply_error(reply, ENOTDIR);
        return;
    }
    if (listing.size > LIST_MAX)
        listing.size = LIST_MAX;
    listing.bytes = malloc(listing.size);
    error = listing.bytes ? listing_make(&listing, node, request->position) : ENOMEM;
    if (error == 0) {
        answer.entries.data = listing.bytes;
        answer.entries.len = listing.used;
        rpc_reply(reply, &answer.base, NULL, 0);
    } else {
        reply_error(reply, error);
    }
    free(listing.bytes);
}
