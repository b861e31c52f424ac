/* What a translator says of a directory's node itself: fs says the same while no process of it
 * runs, so that nobody sees it end. */
#include "servers/life/internal.h"

#include <string.h>

static bool is_same(const Hirsel__Attributes *one, const Hirsel__Attributes *other)
{
    return one->device == other->device && one->inode == other->inode && one->mode == other->mode &&
           one->links == other->links && one->user == other->user && one->group == other->group &&
           one->special == other->special && one->size == other->size &&
           one->blocks == other->blocks && one->block_size == other->block_size &&
           one->access_seconds == other->access_seconds &&
           one->access_nanoseconds == other->access_nanoseconds &&
           one->change_seconds == other->change_seconds &&
           one->change_nanoseconds == other->change_nanoseconds &&
           one->modify_seconds == other->modify_seconds &&
           one->modify_nanoseconds == other->modify_nanoseconds;
}

void told_set(struct translator *translator, const Hirsel__Attributes *attributes)
{
    translator->told = *attributes;
    /* The message's own memory, which does not last. */
    translator->told.base.n_unknown_fields = 0;
    translator->told.base.unknown_fields = NULL;
    translator->is_told = true;
}

void told_take(struct translator *translator, const struct msg *answer)
{
    Hirsel__NodeReply *reply = hirsel__node_reply__unpack(NULL, answer->length, answer->body);
    const Hirsel__Attributes *attributes = reply ? reply->attributes : NULL;

    if (attributes && !(translator->is_told && is_same(&translator->told, attributes))) {
        told_set(translator, attributes);
        state_save_or_say(translator);
    }
    if (reply)
        hirsel__node_reply__free_unpacked(reply, NULL);
}
