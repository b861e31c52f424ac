/* The name spaces of a session.
 *
 * What a name means in a name space is an entry of its table (shim/core/space.h, which the shims
 * read), a node's record on the host, or the host's own. This is the writer's side: names that
 * come from outside, entries and tables, the seal and the records that bear it, the slow walk, and
 * the name spaces that hold it all together. No message is known here, and no process is started.
 *
 * Functions return 0 or a positive errno, or a pointer that may be NULL, unless said otherwise.
 * Paths are absolute; "session" paths are names in a name space, "host" paths are the host's. */
#ifndef HIRSEL_NAMES_H
#define HIRSEL_NAMES_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

#include <ev.h>

#include "servers/lib/journal.h"
#include "shim/core/space.h"

struct server;

/* ---- name.c: names that came from outside ----
 * They are checked here before anything else looks at them. */

/* The longest path with its NUL, and the longest component, as the kernel has them. */
#define NAME_PATH_SIZE 4096
#define NAME_COMPONENT_MAX 255

/* An absolute path of `length` bytes, copied with a NUL behind it. EINVAL: not absolute, or a NUL
 * inside; ENAMETOOLONG. */
int name_absolute(const void *bytes, size_t length, char path[NAME_PATH_SIZE]);

/* A path below a node as node.proto wants it: no leading or doubled slash, no "." or "..". Empty is
 * right. EINVAL, ENAMETOOLONG. */
int name_below(const void *bytes, size_t length);

/* `directory` + "/" + `name`; ENAMETOOLONG. */
int name_join(const char *directory, const char *name, size_t name_length,
              char path[NAME_PATH_SIZE]);

/* Collapse doubled slashes, "." and a trailing slash. An absolute path without ".."; EINVAL. */
int name_normalise(char path[NAME_PATH_SIZE]);

/* Whether `path` is `prefix` or lies below it; both normalised. */
bool name_is_below(const char *path, const char *prefix);

/* The last component of a normalised path. */
const char *name_last(const char *path);

/* ---- entry.c: the entries of a name space, sorted as the table is ---- */

struct entry {
    char *path; /* absolute, normalised; owned */
    size_t path_length;
    char *target; /* of a bind or a symlink; owned, else NULL */
    uint16_t kind;
    uint16_t flags;
    uint64_t translator;
    uint64_t parent_device;
    uint64_t parent_inode;
    uint32_t serial; /* given by entries_add, if it is 0; stays with the entry */
};

struct entries {
    struct entry *items;
    size_t count;
    size_t room;
    uint32_t serial; /* the last one that was given */
    /* SPACE_HAS_NODES once a translator ran in the space: it stays, because a program may still
     * stand in one of its directories. */
    uint32_t sticky_flags;
};

/* Add a copy of `entry`. EEXIST, ENOMEM. */
int entries_add(struct entries *entries, const struct entry *entry);
/* Take the entry at `path` out and free it. ENOENT. */
int entries_remove(struct entries *entries, const char *path);
int entries_copy(struct entries *to, const struct entries *from);
void entries_free(struct entries *entries);

/* The entry at exactly `path`, or NULL. */
const struct entry *entries_at(const struct entries *entries, const char *path);
/* The longest prefix of `path`, or NULL. */
const struct entry *entries_prefix(const struct entries *entries, const char *path);
/* Whether some entry lies below `path` (itself not counted). */
bool entries_any_below(const struct entries *entries, const char *path);

/* The host path that stands behind the canonical session path `path`, or NULL where there is none
 * (hidden, a translator's). */
const char *entries_host(const struct entries *entries, const char *path,
                         char buffer[NAME_PATH_SIZE]);
/* The session's name of a host path: through a bind if there is one, the longest. NULL: it is too
 * long. */
const char *entries_session(const struct entries *entries, const char *host,
                            char buffer[NAME_PATH_SIZE]);

/* ---- table.c: a name space's table in shared memory ---- */

struct table {
    int descriptor;
    struct space_header *header; /* the whole file, mapped shared */
};

/* Make the file `path` (which must not exist), with `entries` published. `net` (may be NULL) is
 * copied in. */
int table_create(const char *path, uint64_t id, const struct entries *entries,
                 const struct space_net *net, struct table *table);

/* Map an existing one and read its entries. EBADMSG: it is damaged. */
int table_open(const char *path, uint64_t id, struct table *table, struct entries *entries);

/* Publish `entries`. On an error (ENOSPC: too many; or a full disk) the old snapshot stays. */
int table_publish(struct table *table, const struct entries *entries);

/* The active snapshot as entries; EBADMSG: damaged. */
int table_read(const struct table *table, struct entries *entries);

struct space_net *table_net(const struct table *table);
void table_close(struct table *table);

/* ---- seal.c: the user's seal ----
 * A keyed hash, so that only records that this user made are honoured. */

#define SEAL_KEY_SIZE 32
#define SEAL_HEX_SIZE 64

struct seal {
    uint8_t key[SEAL_KEY_SIZE];
};

/* Read the key from $XDG_STATE_HOME/hirsel/key (else ~/.local/state/hirsel/key), made if there is
 * none; where that can't be, a key of this session alone in `session_directory`, with a line in
 * the log. */
int seal_load(struct seal *seal, const char *session_directory);

/* Read the key in `path`, or make it: of two that make it at once both get the same. */
int seal_load_file(struct seal *seal, const char *path);

/* 64 hexadecimal digits of HMAC-SHA256; no NUL. */
void seal_make(const struct seal *seal, const void *text, size_t length, char hex[SEAL_HEX_SIZE]);
bool seal_matches(const struct seal *seal, const void *text, size_t length, const char *hex);

/* ---- record.c: the record of a passive translator ----
 * The text of the dangling symlink that is the node, see docs/architecture.md, "Names":
 *     /.hirsel/1/SEAL/KIND/WORD/WORD... */

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

/* To be freed by record_free. EINVAL: no record; ENOKEY: one that this user did not seal. */
int record_parse(const struct seal *seal, const char *text, size_t length, struct record *record);

void record_free(struct record *record);

/* "file", "directory" or "device:PATH" as kind and device. EINVAL. */
int record_set_kind(struct record *record, const char *kind);
/* The other way round, malloc'ed. */
char *record_kind(char kind, const char *device);

/* Copy `count` words, ended by NULL. */
char **words_copy(char *const *words, size_t count);
void words_free(char **words);

/* ---- walk.c: the slow walk, component by component, in a name space ----
 * As binds and nodes need it. Servers run without the shim: every look here is at the host.
 *
 * These are host calls that wait for as long as the host's file system does (lstat and readlink of
 * each component): they are made for bind, unbind, settrans and showtrans, and never for a
 * program's own file calls. */

enum walk_flags {
    WALK_PARENT = 1, /* up to the last component, which is not looked at */
    WALK_FOLLOW = 2, /* a symlink in the last component is followed */
};

enum walk_kind {
    WALK_HOST,   /* something of the host's */
    WALK_RECORD, /* a node: a sealed symlink on the host */
    WALK_ENTRY,  /* a node of the table */
};

struct walk {
    enum walk_kind kind;
    char path[NAME_PATH_SIZE];         /* free of symlinks, in the session's names */
    char host[NAME_PATH_SIZE];         /* the same on the host */
    char name[NAME_COMPONENT_MAX + 1]; /* WALK_PARENT: the last component */
    struct stat status;                /* of host; of the parent with WALK_PARENT */
    char text[NAME_PATH_SIZE];         /* WALK_RECORD: the symlink's text */
    uint64_t translator;               /* WALK_ENTRY */
};

/* Walk the absolute `path` in the name space of `entries`, for a caller with the pid `self` (whose
 * /proc/self it is). Errors: those of lstat(2); EOPNOTSUPP: it leads into a translator's tree;
 * EINVAL: WALK_PARENT and no last component (the root, "..", "."). */
int walk_path(const struct entries *entries, const struct seal *seal, pid_t self, const char *path,
              unsigned flags, struct walk *walk);

/* ---- space.c, sweep.c: the name spaces of a session ----
 * SESSION/spaces/ID/{table, lib/libc.so.6, origin}. */

struct space {
    struct space *next;
    struct names *names;
    uint64_t id;
    uint64_t origin; /* the space that it was copied from; its own id for the default one */
    pid_t maker;     /* who asked for it, with its start time */
    uint64_t maker_start;
    struct entries entries;
    struct table table;
};

/* What the journal numbers: spaces, and the translators that entries name. */
enum names_counter {
    JOURNAL_SPACES,
    JOURNAL_TRANSLATORS,
};

/* All of them. What is above `spaces` the owner fills in before spaces_load. */
struct names {
    struct server *server;   /* whose session it is, and which trees there are */
    struct journal *journal; /* where the spaces get their numbers */
    struct seal seal;        /* by seal_load */
    void (*dropped)(struct names *names, uint64_t space); /* one is gone */
    struct space *spaces;
    struct ev_timer sweeping; /* while a space waits for its maker to open a tree or to end */
    struct {
        int descriptor; /* inotify's; -1: there is none */
        struct watched *watched;
        size_t count;
        struct ev_io reader;
        struct ev_timer pause;
    } watch; /* watch.c */
};

/* Map what is there, make the default space if it is not. */
int spaces_load(struct names *names);
struct space *space_find(const struct names *names, uint64_t id);
/* Make space `id` as a copy of `origin`, with this network, for `maker`. One that is there already
 * is answered. */
int space_make(struct names *names, uint64_t id, const struct space *origin,
               const struct space_net *net, pid_t maker, struct space **space);
/* Not the default one. */
void space_drop(struct names *names, struct space *space);
/* Drop the spaces that no tree is in and whose maker is gone. */
void spaces_sweep(struct names *names);

/* Change the table and publish it; on an error nothing has changed. */
int space_add(struct space *space, const struct entry *entry);
int space_remove(struct space *space, const char *path);
/* A translator runs in this space: SPACE_HAS_NODES from now on. */
void space_mark_nodes(struct space *space);
/* A virtual directory's descriptor is about to be handed out, and descriptors travel. */
void spaces_mark_placeholders(struct names *names);
/* A record was made or taken away: what the shims remember of ways may lead elsewhere now. */
void spaces_count_change(struct names *names);

/* Whether `space` is `ancestor` or was copied from it, directly or not. */
bool space_descends(const struct names *names, uint64_t space, uint64_t ancestor);
/* A space whose table names the translator, or NULL. */
const struct space *space_of_node(const struct names *names, uint64_t translator);

/* ---- watch.c: what becomes of a table's names on the host ----
 * SPACE_SHADOWS, and which directory a name lies in, are kept true: within a moment, or a second
 * where much happens. Not on file systems that others change unheard (NFS, FUSE). */

/* From now on, for all entries that there are. By spaces_load, after which no call is missing that
 * a narrowed server must be allowed but inotify_add_watch. */
void names_watch_all(struct names *names);
/* And for this one. By space_add. */
void names_watch(struct names *names, const struct space *space, const struct entry *entry);

/* ---- place.c: the place of an entry or a node: a name in a directory that exists ---- */

struct place {
    char path[NAME_PATH_SIZE];      /* in the session: canonical parent + name */
    char host[NAME_PATH_SIZE];      /* the name on the host, in the parent's host directory */
    char directory[NAME_PATH_SIZE]; /* the parent's host directory */
    struct stat parent;
    struct stat status; /* lstat of host, if it exists */
    bool exists;        /* on the host; also where that can't be told */
    bool told;          /* status holds */
    bool read_only;     /* below a read-only bind */
};

/* Find the place that the absolute `path` names in `space`. ENOENT: there is no such directory;
 * ENOTDIR; EINVAL: the root, or a name of dots. */
int place_find(const struct names *names, const struct space *space, pid_t self, const char *path,
               struct place *place);

/* The fields of a table's entry at this place; path is the place's own. */
void place_entry(const struct place *place, struct entry *entry);

#endif
