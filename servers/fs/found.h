/* What is at a place: a node of the table, a record, or something else. */
#ifndef HIRSEL_FS_FOUND_H
#define HIRSEL_FS_FOUND_H

#include "servers/fs/fs.h"

enum found_kind {
    FOUND_OTHER, /* nothing, or no node */
    FOUND_ENTRY,
    FOUND_RECORD, /* sealed by this user */
};

struct found {
    enum found_kind kind;
    struct place place;
    char text[NAME_PATH_SIZE];     /* of the record */
    struct translator *translator; /* if it is known already */
};

/* EBUSY: a bind, a symlink or a hidden name of the table is there. Others: those of place_find. */
int found_find(struct fs *fs, const struct space *space, pid_t self, ProtobufCBinaryData path,
               struct found *found);

/* Make the record's translator known, if it is not: found->translator. */
int found_know(struct fs *fs, const struct space *space, struct found *found);

#endif
