/* At most once: a request with an id that was done already is answered, not done. */
#ifndef HIRSEL_FS_ONCE_H
#define HIRSEL_FS_ONCE_H

#include "servers/fs/fs.h"

struct once {
    struct fs *fs;
    uint64_t request; /* 0: may be redone */
    bool repeat;      /* it was begun before, and may find its own work done */
    uint64_t value;   /* of that beginning */
};

/* True: it was done and ended with *error and once->value. */
bool once_ended(struct once *once, struct fs *fs, const struct msg *message, int *error);
void once_begin(struct once *once, uint64_t value);
void once_end(const struct once *once, int error);

#endif
