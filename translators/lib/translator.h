/* The translator library: what stands between the bus and a translator's few lines.
 *
 * A translator fills a struct translator and calls translator_run from main. Every callback is
 * optional. Tier 1: `open` alone: each open of the node gets the descriptor that it answers, and
 * after the open nothing is asked. Tier 2: a tree of nodes, made with node_new, whose files are
 * filled when they are first opened.
 * Modelled on plan9port's lib9p: a struct of callbacks, NULL meaning the default, one way out.
 *
 * All runs in one thread on one libev loop. A callback that can't answer at once keeps the struct
 * request, or the node, and answers later (exactly once).
 *
 * The library keeps: the mirror (identity of nodes and backing files, docs/architecture.md), the
 * placeholders of opened directories, walking and "go on there" for symlinks, options
 * (fsysopts), go-away, cancelling, narrowing. Everything is read-only except what tier 1's own
 * descriptors allow.
 *
 * Functions return 0 or a positive errno, or a pointer that is NULL with errno set, unless said
 * otherwise. */
#ifndef HIRSEL_TRANSLATOR_H
#define HIRSEL_TRANSLATOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

struct ev_loop;

/* An open that waits for its answer. */
struct request;

/* A node of a tier 2 translator's tree: it lives as long as the translator. */
struct node;

/* Who takes a list of options. */
typedef void option_taker(void *to, const char *option);

struct translator {
    const char *name;      /* for the log: "hello" */
    const char *arguments; /* for --help: "FILE" */
    const char *summary;   /* one line for --help */
    const char *help;      /* further lines for --help, or NULL */
    bool directory;        /* the node is a directory (tier 2); else a file (tier 1) */
    const char *device;    /* the node is like that device: stat is that file's */

    /* Read the command line (argv[0] is the name) and set *state to the translator's own. No file
     * is touched: --describe runs it too. A message to stderr and an errno end the program. NULL:
     * there are no arguments. */
    int (*configure)(int argc, char **argv, void **state);
    /* Open what one needs, before anything is served. A message to stderr and an errno end it. */
    int (*start)(void *state);
    /* After start give up all but what serving takes: no sockets, no exec, no file but one's own
     * node directory; what start opened stays open. Best effort where the kernel lacks Landlock. */
    bool narrow;

    /* Tier 1: somebody opens the node. Answer with request_text, request_descriptor,
     * request_content or request_done. */
    void (*open)(struct request *request);

    /* Tier 2: the content of a file is wanted for the first time: now or later call
     * node_fill_begin, write, node_fill_end. Not called again for a node before node_fill_end. */
    void (*fill)(struct node *node, void *state);
    /* Nobody waits for it any longer. The filling may go on or be ended; node_fill_end is owed
     * either way. NULL: it goes on. */
    void (*fill_unwanted)(struct node *node, void *state);

    /* Options, as fsysopts shows and sets them. */
    void (*options_get)(void *state, option_taker *add, void *to);
    int (*options_set)(void *state, const char *option);
    /* Asked before going away; EBUSY refuses unless `force`. */
    int (*go_away)(void *state, bool force);
};

/* main's whole work. Arguments: --describe, --help, else the translator's own. The exit status. */
int translator_run(int argc, char **argv, const struct translator *translator);

/* The loop, for translators that watch descriptors or work in slices. */
struct ev_loop *translator_loop(void);

/* The umask that the program was started with (its own is 077): for programs that it starts. */
mode_t translator_mask(void);

/* One line to the session's log. Control characters are escaped. */
void translator_log(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* In `start`: requests wait until translator_ready is called; its error, if not 0, answers them
 * all. */
void translator_hold(void);
void translator_ready(int error);

/* In `start`, for tier 2: what the mirror was made from, in words that differ whenever the content
 * does. What a former life left, mirror and own files, is used again if the words are the same,
 * else removed. */
int translator_source(const char *words);
/* A directory for the translator's own files (the library's descriptor). */
int translator_directory(void);

/* In `start`: a process for long work that goes on if the translator is killed, narrowed as the
 * translator will be and without its socket. As fork(2); what it makes must be left where the next
 * life finds it, and it ends by _exit. helper_follow is to be called in it now and then: then it
 * does not outlive the session. */
pid_t translator_fork(void);
void helper_follow(void);

/* How many bytes may still be written to the session's directory before its file system is as
 * good as full. */
uint64_t translator_space(void);

/* Read an option "--NAME=VALUE": its value if `option` is that, else NULL. */
const char *option_value(const char *option, const char *name);
/* A number; as a size with K, M, G or T (of 1024) behind it. EINVAL, ERANGE. */
int option_number(const char *text, uint64_t *number);
int option_size(const char *text, uint64_t *size);

/* ---- tier 1: answering an open, exactly once ---- */

void *request_state(const struct request *request);
/* As of open(2), without O_CREAT, O_EXCL and O_CLOEXEC: the library has seen to them. */
int request_flags(const struct request *request);
/* True if the open asks to write: then it is answered with EROFS. */
bool request_refused_writing(struct request *request);
/* Answer with an errno. */
void request_done(struct request *request, int error);
/* Answer with a descriptor (taken over); a negative one is a negative errno. */
void request_descriptor(struct request *request, int descriptor);
/* Answer with a file that holds `text` (copied). A writer gets EROFS. */
void request_text(struct request *request, const char *text, size_t length);
/* Told when the asker no longer waits; the request must still be answered. */
typedef void request_cancelled(struct request *request, void *context);
void request_on_cancel(struct request *request, request_cancelled *cancelled, void *context);

/* Content that is gathered in a file: made, written by its descriptor, and given as the answer or
 * dropped. */
struct content;
struct content *content_new(void);
int content_descriptor(const struct content *content);
void content_drop(struct content *content);
/* Answer with a file of this content (taken over). */
void request_content(struct request *request, struct content *content);

/* ---- tier 2: the tree ---- */

/* The node itself. */
struct node *node_root(void);
/* A node named `name` (bytes, no '/', no NUL, not "." or "..", at most 255) below `parent`.
 * `attributes` gives mode (regular file, directory, symlink or FIFO), mtime and size; device and
 * inode come from the mirror, the owner is the user. NULL: ENOMEM, EEXIST, EINVAL (a bad name or
 * type), ENOTDIR, ENAMETOOLONG (the path would be too long for the mirror). */
struct node *node_new(struct node *parent, const char *name, size_t name_length,
                      const struct stat *attributes);
/* A symlink's text (copied). EINVAL: empty, or NUL within; ENAMETOOLONG. */
int node_set_target(struct node *node, const char *target, size_t length);
/* Make `node`, not a directory, another name of `original`: same identity and content.
 * Before either was looked up. */
int node_set_link(struct node *node, struct node *original);
/* Before the node was looked up: change what it is, as when a later entry of an archive takes a
 * name again. Names that were linked to it keep what they had. ENOTEMPTY: a directory with
 * something in it becomes none; EBUSY: it was looked up. */
int node_replace(struct node *node, const struct stat *attributes);
/* Mode (type included) of a node. */
mode_t node_mode(const struct node *node);
uint64_t node_size(const struct node *node);
void node_set_size(struct node *node, uint64_t size);
void node_set_times(struct node *node, mode_t mode, struct timespec modified);
struct node *node_find(struct node *parent, const char *name, size_t name_length);
/* The node that a hard link stands for, or itself: it alone is filled, and its data counts. */
struct node *node_original(struct node *node);
/* The name that takes over data and content when `node` is replaced: the next link of an original,
 * else NULL. */
struct node *node_heir(struct node *node);
uint64_t node_data(const struct node *node);
void node_set_data(struct node *node, uint64_t data);
/* Its path below the root, for the log; valid until the next call. */
const char *node_name(const struct node *node);

/* ---- tier 2: filling ---- */

/* Whether the backing file is complete. */
bool node_filled(struct node *node);
/* The empty backing file of a regular file, to be written by pwrite in any order; the library's.
 * Also without having been asked, to fill ahead. Negative errno: -EEXIST: it is filled. */
int node_fill_begin(struct node *node);
/* Filled, or given up with `error`: who waits is answered. The file gets its size, mode and time
 * here. A given-up file is empty again, and asked for anew by the next open. */
void node_fill_end(struct node *node, int error);

#endif
