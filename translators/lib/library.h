/* What the files of the translator library share. */
#ifndef HIRSEL_TRANSLATOR_LIBRARY_H
#define HIRSEL_TRANSLATOR_LIBRARY_H

#include <sys/queue.h>
#include <sys/stat.h>

#include <ev.h>

#include "libmsg/msg.h"
#include "libmsg/rpc.h"
#include "proto/node.pb-c.h"
#include "translators/lib/translator.h"

/* A node's path must leave room for a placeholder's name within PATH_MAX. */
#define NODE_PATH_MAX 4000
#define NODE_NAME_MAX 255
/* What init hands over. */
#define LISTEN_DESCRIPTOR 3

/* The mode of a backing file that is not complete. Complete it gets its own mode, in one step and
 * last of all: so a translator that was killed leaves no half file that looks like a whole one.
 * No node has this mode for its own. */
#define MIRROR_UNFILLED (S_ISVTX | S_IWUSR)

/* Bytes with a length: what the tree of a directory's children is ordered by. */
struct node_name {
    const char *bytes;
    size_t length;
};

/* A hard link: one of the nodes that are names of one file. The first is the original. */
struct node_link {
    TAILQ_ENTRY(node_link) entry;
    struct node *node;
    struct node_links *links;
};

struct node_links {
    TAILQ_HEAD(, node_link) members;
    uint32_t count;
};

struct node {
    struct node_name name; /* first: the search tree holds pointers to it */
    struct node *parent;
    struct node *first, *last, *next; /* children; the next sibling */
    void *children;                   /* tsearch(3)'s tree of the children's names */
    struct node_link *link;           /* NULL: the file has one name */
    char *target;                     /* of a symlink */
    uint64_t data;
    uint64_t size;
    uint64_t inode; /* of the mirror; 0: it has none yet */
    int64_t modified_seconds;
    uint32_t modified_nanoseconds;
    uint32_t mode;
    uint32_t id; /* its place in library.nodes */
    uint16_t path_length;
    uint8_t filled; /* of an original: its backing file is complete */
    uint8_t handed; /* a descriptor of it was given out */
};

struct request {
    LIST_ENTRY(request) entry; /* in the waiters of a filling, or in the library's */
    struct reply *reply;
    int flags;
    struct node *node; /* NULL: tier 1 */
    request_cancelled *cancelled;
    void *cancelled_context;
};

LIST_HEAD(request_list, request);

/* A file that is being filled. */
struct filling {
    LIST_ENTRY(filling) entry;
    struct node *node;
    int descriptor; /* -1: not begun */
    struct request_list waiters;
};

/* A message that waits until the translator is ready. */
struct held {
    TAILQ_ENTRY(held) entry;
    struct msg message;
    struct reply *reply;
};

struct library {
    const struct translator *translator;
    void *state;
    struct ev_loop *loop;
    struct port_set *ports;
    struct listener *listener;
    ev_timer leave;

    const char *directory; /* SESSION/nodes/ID */
    int node_descriptor;   /* of it */
    int tree_descriptor;   /* of its `tree`; -1 for a file */
    int own_descriptor;    /* of its `own`; -1 for a file */
    uint64_t device;       /* of the mirror */

    struct node **nodes; /* all, by id */
    uint32_t node_count, node_room;

    LIST_HEAD(, filling) fillings;
    struct request_list requests; /* tier 1's */

    bool holding;
    int broken; /* what translator_ready said */
    TAILQ_HEAD(, held) held;

    uint64_t content_count; /* for names */
    int users_descriptor;   /* inotify: placeholders in use; -1: unknown */
    unsigned users;
    mode_t mask; /* the umask that the program was started with */
};

/* The program's one struct. */
extern struct library library;

/* run.c: end the program once the answer that is being sent is out. */
void library_leave(void);

/* serve.c: every message comes in here. */
void library_serve(struct port *port, struct msg *message, struct reply *reply, void *context);

/* node.c */
struct node *node_make_root(const struct stat *attributes);
struct node *node_by_id(uint64_t id);
/* Write a node's path below the root ("" for the root itself). */
void node_path(const struct node *node, char path[NODE_PATH_MAX + 1]);

/* links.c */
void links_leave(struct node *node);
uint32_t links_count(const struct node *node);

/* mirror.c: identity */
/* Give a node its mirror, if it has none. */
int mirror_ensure(struct node *node);
int mirror_stat(struct node *node, struct stat *to);
/* Open the mirror of a file or symlink. Negative errno. */
int mirror_descriptor(struct node *node, int flags);

/* placeholder.c: open a directory. Negative errno. */
int placeholder_open(struct node *node, int flags);

/* users.c: who still uses what was handed out. */
void users_start(void);
/* Watch a placeholder, before it is removed. */
void users_watch(const char *path);
bool users_any(void);
/* Whether nobody but `descriptor` has this file open. */
bool descriptor_is_sole(int descriptor);

/* tree.c: the mirror's directories */
int tree_start(void);

/* fill.c */
/* Answer `request` (an open of its node) once the node is filled. Takes it over. */
void fill_open(struct request *request);
bool fill_any(void);

/* file.c: the one file of tier 1, whose mirror is SESSION/nodes/ID/file. */
int file_start(void);
int file_stat(struct stat *to);
int file_open(int flags);

/* walk.c */
struct walk {
    struct node *node;   /* found; NULL: the name is missing */
    struct node *parent; /* of the last component */
    size_t consumed;     /* redirect: the bytes up to and including the symlink's name */
    bool redirect;       /* `node` is the symlink to go on through */
};
/* 0 with node or redirect; ENOENT with `parent` set where only the last name is missing. */
int walk_path(const ProtobufCBinaryData *path, bool follow, struct walk *walk);
/* The same where the node must be there: redirects and errors are answered and the result is false.
 * *node is NULL for tier 1's own. */
bool walk_node(const Hirsel__NodeRequest *request, bool follow, struct reply *reply,
               struct node **node);
/* What the kernel's permission check for the owner would say. `mode` of access(2). */
int permission_check(mode_t node, int mode);

/* request.c */
struct request *request_new(struct reply *reply, int flags, struct node *node);

/* Answers. */
void reply_redirect(struct reply *reply, const struct walk *walk);
void reply_attributes(struct reply *reply, const struct stat *attributes);
/* An open's answer; the descriptor is taken over. */
void reply_opened(struct reply *reply, int descriptor, const struct stat *attributes);

/* serve_*.c */
/* A node's attributes; NULL: those of tier 1's own. */
int attributes_of(struct node *node, struct stat *to);
void serve_stat(struct port *port, ProtobufCMessage *message, struct msg *raw, struct reply *reply,
                void *context);
void serve_open(struct port *port, ProtobufCMessage *message, struct msg *raw, struct reply *reply,
                void *context);
void serve_readlink(struct port *port, ProtobufCMessage *message, struct msg *raw,
                    struct reply *reply, void *context);
void serve_list(struct port *port, ProtobufCMessage *message, struct msg *raw, struct reply *reply,
                void *context);
void serve_change(struct port *port, ProtobufCMessage *message, struct msg *raw,
                  struct reply *reply, void *context);
void serve_access(struct port *port, ProtobufCMessage *message, struct msg *raw,
                  struct reply *reply, void *context);
void serve_options(struct port *port, ProtobufCMessage *message, struct msg *raw,
                   struct reply *reply, void *context);
void serve_go_away(struct port *port, ProtobufCMessage *message, struct msg *raw,
                   struct reply *reply, void *context);
void serve_filesystem(struct port *port, ProtobufCMessage *message, struct msg *raw,
                      struct reply *reply, void *context);

/* narrow.c */
int narrow(void);

#endif
