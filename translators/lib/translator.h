/* The translator library: what stands between the bus and a translator's few lines.
 *
 * A translator fills a struct translator and calls translator_run from main. Every callback is
 * optional. Tier 1: `open` alone: each open of the node gets the descriptor that it answers, and
 * after the open nothing is asked. Tier 2: a tree of nodes (`root`, `lookup`, `list`, …).
 * Modelled on plan9port's lib9p: a struct of callbacks, NULL meaning the default, one way out.
 *
 * Callbacks return 0 or a positive errno unless said otherwise. All run in one thread on one libev
 * loop; one that can't answer at once keeps the struct request and answers later with request_done
 * or request_done_descriptor (exactly once).
 *
 * The library keeps: the mirror (identity of nodes and backing files, docs/architecture.md), the
 * placeholders of opened directories, walking and "go on there" for symlinks, options
 * (fsysopts), go-away, tracing, narrowing. */
#ifndef HIRSEL_TRANSLATOR_H
#define HIRSEL_TRANSLATOR_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

struct ev_loop;
struct request; /* a call that waits for its answer */

/* A node of a tier 2 translator's tree. Made by the translator (node_new), owned by the library
 * from then on: it lives as long as the translator. */
struct node;

struct translator {
    const char *name;      /* for the log: "hello" */
    const char *arguments; /* for --help: "FILE" */
    const char *summary;   /* one line for --help */
    bool directory;        /* the node is a directory (tier 2); else a file */
    const char *device;    /* --describe says "device PATH": stat is that file's */
    /* Before anything is served: check arguments (argv[0] is the name), open what one needs.
     * `state` is set to the translator's own. A message to stderr and an errno end it. */
    int (*start)(int argc, char **argv, void **state);

    /* Tier 1: answer an open of the node. Return the descriptor (the library closes its copy), or
     * a negative errno. `flags` as open(2). */
    int (*open)(void *state, int flags);

    /* Tier 2. */
    struct node *(*root)(void *state);
    /* Fill a file node's backing file: `descriptor` is the empty mirror, open for writing. Called
     * once for each node, at its first open. May answer later. */
    void (*fill)(void *state, struct node *node, int descriptor, struct request *request);
    /* Options, as fsysopts shows and sets them. */
    int (*options_get)(void *state, void (*add)(void *to, const char *option), void *to);
    int (*options_set)(void *state, const char *option);
    /* Asked before going away; EBUSY refuses unless forced. */
    int (*go_away)(void *state, bool force);
};

/* main's whole work. Arguments: --describe, --help, else the translator's own. The exit status. */
int translator_run(int argc, char **argv, const struct translator *translator);

/* The loop, for translators that watch descriptors or work in slices. */
struct ev_loop *translator_loop(void);

/* A descriptor to read `text` from (a sealed memfd is not used: see the mirror). For `open`. */
int translator_text(const char *text, size_t length);

/* ---- nodes of tier 2 ---- */

/* A node named `name` (bytes, no '/', not "." or "..", at most 255) below `parent` (NULL: a root).
 * `attributes` gives mode (type included), times, size; device and inode come from the mirror,
 * owner is the user. NULL with errno: ENOMEM, EEXIST, EINVAL (a bad name), ENOTDIR. */
struct node *node_new(struct node *parent, const char *name, size_t name_length,
                      const struct stat *attributes, void *data);
/* The symlink's text (copied). */
int node_set_target(struct node *node, const char *target, size_t length);
/* Make `node` another name of `original` (a hard link): same identity, same content. */
int node_set_link(struct node *node, struct node *original);
void node_set_attributes(struct node *node, const struct stat *attributes);
const struct stat *node_attributes(const struct node *node);
struct node *node_find(struct node *parent, const char *name, size_t name_length);
struct node *node_parent(const struct node *node);
/* Children in the order of making; NULL ends. */
struct node *node_first(const struct node *node);
struct node *node_next(const struct node *node);
void *node_data(const struct node *node);
void node_set_data(struct node *node, void *data);
/* The node that a hard link stands for, or itself. */
struct node *node_original(struct node *node);

/* ---- answering later ---- */
void request_done(struct request *request, int error);

#endif
