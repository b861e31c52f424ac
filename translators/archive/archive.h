/* archive: a directory that shows what is in an archive, read-only.
 *
 * A compressed archive is unpacked into a plain one first, by a process of its own, in the
 * translator's own directory, if it does not grow too large: then every file can be reached
 * directly, and a next life finds it done.
 * Then comes the index: every header, once. Then the contents, when files are opened: where passing
 * over an entry costs as much as reading it (a compressed stream that grew too large) a pass
 * extracts all that it passes; else only what is wanted is read.
 * Index and contents go in slices, so that other requests are answered in between. */
#ifndef HIRSEL_ARCHIVE_H
#define HIRSEL_ARCHIVE_H

#include <sys/queue.h>
#include <time.h>

#include <archive.h>
#include <archive_entry.h>
#include <ev.h>

#include "translators/lib/translator.h"

/* A node's data says where its content is; 0: nowhere, it is empty. Its lower bits are a place and
 * 1: in a plain tar the offset of the header, else the entry's number, counted from 0. Its upper
 * bits are a mark of the entry's name: if libarchive counts differently when it passes over
 * contents and when it reads them, nobody gets another's content. */
#define PLACE_BITS 44

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
    unsigned begins; /* how often the reader began anew for it */
};

enum access_way {
    ACCESS_DIRECT,     /* plain tar: a reader can begin at any header */
    ACCESS_SKIPPING,   /* passing over contents is free */
    ACCESS_ONCE,       /* the same, but a reader that has read a content can't go on */
    ACCESS_SEQUENTIAL, /* passing over contents costs as much as reading them */
};

struct archive_file;
/* A small piece of work; false: there is no more. */
typedef bool slice_work(struct archive_file *file);

struct archive_file {
    const char *path;  /* as the command line has it */
    uint64_t max_size; /* of all contents; 0: the room there is */
    uint64_t max_entries;
    uint64_t max_stream; /* of the unpacked stream that is kept */
    struct source source;
    struct timespec
        modified; /* the archive's own, not its unpacked stream's: of what has no time */
    ev_timer slice;
    slice_work *work;
    struct archive *reader;
    enum access_way way;

    ev_timer patience; /* until it is unpacked */

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
    uint64_t next;        /* the place of the entry that the reader comes to next */
    struct node *current; /* being extracted */
    int descriptor;       /* its backing file */
    uint64_t written;     /* bytes of contents, the one being extracted included */
    uint64_t begun;       /* the same before it */
    uint64_t checked;     /* the same when the room was looked at last */
    unsigned passes;
    bool stale; /* the file was changed in place */
};

enum reader_formats {
    READ_ANY,
    READ_TAR,    /* plain tar, from the middle */
    READ_STREAM, /* what is compressed, whatever it is */
};

/* source.c */
/* From now on `descriptor` (taken over) is what is read. ESPIPE: not a regular file. */
int source_adopt(struct source *source, int descriptor);
int source_open(struct source *source, const char *path);
/* Whether the file is still what it was when it was opened. */
bool source_unchanged(const struct source *source);
/* A reader that begins at `offset`; NULL with errno. */
struct archive *reader_open(struct source *source, int64_t offset, enum reader_formats formats);
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
/* The data of a node whose content is this entry's; the place that it says, and whether the entry
 * is the one. */
uint64_t data_make(struct archive_entry *entry, uint64_t place);
uint64_t data_place(uint64_t data);
bool data_is_of(uint64_t data, struct archive_entry *entry);

/* place.c: entries take their places in the tree. */
void entry_place(struct archive_file *file, struct archive_entry *entry);
/* Hard links whose targets came behind them. */
void pending_resolve(struct archive_file *file);

/* index.c: the last step of the start; it says translator_ready. */
void index_start(struct archive_file *file);

/* stream.c: have a compressed archive unpacked once, if it is not too large; then the index. */
int stream_start(struct archive_file *file);
/* Unpack it into `descriptor`. False: it is not compressed, or would be too large. */
bool stream_unpack(struct archive_file *file, int descriptor);

/* slice.c: work in slices. */
/* Have `work` called again and again while it returns true, other requests in between. */
void slice_start(struct archive_file *file, slice_work *work);

/* content.c */
void content_start(struct archive_file *file);
void content_fill(struct node *node, void *state);
void content_unwanted(struct node *node, void *state);

#endif
