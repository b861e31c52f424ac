/* The record of a passive translator: the text of the dangling symlink that is the node.
 *
 *     /.hirsel/1/SEAL/KIND/WORD/WORD...
 *
 * See docs/architecture.md, "Names". */
#ifndef HIRSEL_FS_RECORD_H
#define HIRSEL_FS_RECORD_H

#include <stddef.h>

#include "servers/fs/seal.h"

#define RECORD_PREFIX "/.hirsel/1/"
/* A symlink's text is at most PATH_MAX - 1. */
#define RECORD_TEXT_MAX 4095

struct record {
    char kind;      /* 'f', 'd' or 'p' */
    char *device;   /* kind 'p': which path's stat the node shows */
    char **command; /* ended by NULL */
    size_t count;
};

/* The sealed text, malloc'ed. EINVAL: no command, an empty first word; ENAMETOOLONG. */
int record_encode(const struct seal *seal, const struct record *record, char **text);

/* EINVAL: no record; ENOKEY: one that this user did not seal. */
int record_parse(const struct seal *seal, const char *text, size_t length, struct record *record);

void record_free(struct record *record);

/* "file", "directory" or "device:PATH" as kind and device. EINVAL. */
int record_set_kind(struct record *record, const char *kind);
/* The other way round, malloc'ed. */
char *record_kind(char kind, const char *device);

/* Copy `count` words, ended by NULL. */
char **words_copy(char *const *words, size_t count);
void words_free(char **words);

#endif
