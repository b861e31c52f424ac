/* archive: a directory that shows what is in an archive, read-only.
 *
 * The archive is read twice at the most. First the index: every header, once, up front. Then the
 * contents, when files are opened: where passing over an entry costs as much as reading it
 * (compressed streams) one pass extracts all that it passes; else only what is wanted is read.
 * Both go in slices, so that other requests are answered in between. */
#ifndef HIRSEL_ARCHIVE_H
#define HIRSEL_ARCHIVE_H

#include <sys/queue.h>
#include <time.h>

#include <archive.h>
#include <archive_entry.h>
#include <ev.h>

#include "translators/lib/translator.h"

/* An entry's place in the archive, counted from 0; a node's data is that and 1, or in a plain tar
 * its header's offset and 1. 0: no content. */

/* What libarchive reads from. */
struct source {
    int descriptor;
    int64_t at, size;
    struct timespec modified;
    uint64_t device, inode;
};

/* A hard link whose target has not been seen yet. */
struct pending {
    STAILQ_ENTRY(pending) entry;
    char *name, *target;
};

STAILQ_HEAD(pending_list, pending);

/* A node that somebody waits for. */
struct wanted {
    TAILQ_ENTRY(wanted) entry;
    struct node *node;
};

enum access_way {
    ACCESS_DIRECT,     /* plain tar: a reader can begin at any header */
    ACCESS_SKIPPING,   /* passing over contents is free */
    ACCESS_SEQUENTIAL, /* passing over contents costs as much as reading them */
};

struct archive_file {
    const char *path;  /* as the command line has it */
    uint64_t max_size; /* of all contents; 0: the room there is */
    uint64_t max_entries;
    struct source source;
    ev_timer slice;
    struct archive *reader;
    enum access_way way;

    /* The index. */
    struct node *measured; /* its size has to be counted */
    bool skipping;         /* the current entry's content is being passed over */
    uint64_t count;        /* of entries */
    uint64_t left_out;
    bool absolute; /* names that begin with a slash were met */
    struct pending_list pending;
    struct node **nodes; /* whose content an entry is, by place; NULL: nobody's */
    uint64_t room;
    unsigned failures; /* in a row */

    /* The contents. */
    TAILQ_HEAD(, wanted) wanted;
    uint64_t next;             /* the place of the entry that the reader comes to next */
    struct node *current;      /* being extracted */
    int descriptor;            /* its backing file */
    uint64_t written, checked; /* in all; when the room was looked at last */
    unsigned passes;
    bool stale; /* the file was changed in place */
};

/* source.c */
int source_open(struct source *source, const char *path);
/* Whether the file is still what it was when it was opened. */
bool source_unchanged(const struct source *source);
/* A reader that begins at `offset`; NULL with errno. `tar_only` for the middle of a plain tar. */
struct archive *reader_open(struct source *source, int64_t offset, bool tar_only);
void reader_close(struct archive **reader);

/* name.c: entries' names. */
/* The next component at *at, which moves on behind it: its length, 0 at the end, -1 for "..".
 * Slashes and "." are passed over. */
int name_next(const char **at, const char **component);
/* An entry's name and link targets in the bytes of the archive, as good as libarchive gives them;
 * NULL where it has none. */
const char *entry_name(struct archive_entry *entry);
const char *entry_hardlink(struct archive_entry *entry);
const char *entry_symlink(struct archive_entry *entry);

/* place.c: entries take their places in the tree. */
void entry_place(struct archive_file *file, struct archive_entry *entry);
/* Hard links whose targets came behind them. */
void pending_resolve(struct archive_file *file);

/* index.c */
int index_start(struct archive_file *file);
bool clock_expired(const struct timespec *begin);

/* content.c */
void content_start(struct archive_file *file);
void content_fill(struct node *node, void *state);
void content_unwanted(struct node *node, void *state);

#endif
