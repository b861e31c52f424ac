/* Answers of more than an errno. */
#include <string.h>
#include <unistd.h>

#include "translators/lib/library.h"

static void attributes_fill(Hirsel__Attributes *to, const struct stat *from)
{
    hirsel__attributes__init(to);
    to->device = from->st_dev;
    to->inode = from->st_ino;
    to->mode = from->st_mode;
    to->links = from->st_nlink;
    to->user = from->st_uid;
    to->group = from->st_gid;
    to->special = from->st_rdev;
    to->size = (uint64_t)from->st_size;
    to->blocks = (uint64_t)from->st_blocks;
    to->block_size = (uint32_t)from->st_blksize;
    to->access_seconds = from->st_atim.tv_sec;
    to->access_nanoseconds = (uint32_t)from->st_atim.tv_nsec;
    to->change_seconds = from->st_ctim.tv_sec;
    to->change_nanoseconds = (uint32_t)from->st_ctim.tv_nsec;
    to->modify_seconds = from->st_mtim.tv_sec;
    to->modify_nanoseconds = (uint32_t)from->st_mtim.tv_nsec;
}

void reply_attributes(struct reply *reply, const struct stat *attributes)
{
    Hirsel__NodeReply answer = HIRSEL__NODE_REPLY__INIT;
    Hirsel__Attributes packed;

    attributes_fill(&packed, attributes);
    answer.attributes = &packed;
    rpc_reply(reply, &answer.base, NULL, 0);
}

void reply_opened(struct reply *reply, int descriptor, const struct stat *attributes)
{
    Hirsel__NodeReply answer = HIRSEL__NODE_REPLY__INIT;
    Hirsel__Attributes packed;

    attributes_fill(&packed, attributes);
    answer.attributes = &packed;
    rpc_reply(reply, &answer.base, &descriptor, 1);
    close(descriptor);
}

void reply_redirect(struct reply *reply, const struct walk *walk)
{
    Hirsel__NodeReply answer = HIRSEL__NODE_REPLY__INIT;
    const struct node *link = node_original(walk->node);

    answer.redirect = 1;
    answer.consumed = (uint32_t)walk->consumed;
    answer.target.data = (uint8_t *)link->target;
    answer.target.len = link->target ? strlen(link->target) : 0;
    rpc_reply(reply, &answer.base, NULL, 0);
}
