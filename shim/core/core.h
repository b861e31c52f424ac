/* The core: what a call means in a name space. Written once for every door.
 *
 * A door (the preloaded shim, later the trap server) fills a struct caller: who calls, how to
 * reach the caller's memory and descriptors. Freestanding: no libc, no malloc, no TLS, no locks;
 * safe in a signal handler and in a vfork child. Results are raw: a value or -errno.
 *
 * Texts of paths are byte strings; a *name* is an absolute path in the session's view, normalised,
 * without a slash at the end ("" is the root); a *host path* is the same on the host. */
#ifndef HIRSEL_CORE_H
#define HIRSEL_CORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shim/core/space.h"

#define PATH_LIMIT 4096 /* with the NUL, as the kernel has it (PATH_MAX) */
/* Of a session's directory, with the NUL: a socket's path below it has 108 bytes (unix(7)). */
#define SESSION_LIMIT 108
#define LINKS_LIMIT 40 /* symlinks in one walk, as the kernel has it (MAXSYMLINKS) */

/* The reserved root, which exists on no host, and what a node's record begins with. */
#define RESERVED_ROOT "/.hirsel"
#define RECORD_START "/.hirsel/1/"
#define RECORD_START_LENGTH (sizeof RECORD_START - 1)
/* The shortest record: start, 64 digits of the seal, '/', the kind, '/', one byte. */
#define RECORD_LENGTH_MIN (RECORD_START_LENGTH + 64 + 4)
/* What a placeholder of an opened virtual directory is called in its mirror. */
#define PLACEHOLDER_START ".hirsel-"
#define DELETED_END " (deleted)"

/* A session and a name space in it, as a door found it. Constant after start. */
struct core {
    const struct space_header *header; /* the table, mapped; NULL: no session */
    const struct space_net *net;
    uint64_t space;
    uint64_t own_node; /* in a translator: its id. Its mirror is its own to see */
    bool no_openat2;   /* a seccomp filter of the host refuses it */
    /* The host's own names are meant, without table, records and mirrors: another core has found
     * out already what they mean here. */
    bool bare;
    size_t session_length;
    char session[SESSION_LIMIT]; /* the session's directory */
};

struct walk;

struct caller {
    const struct core *core;
    const char *process; /* "/proc/self", or "/proc/PID" seen from another process */
    /* Another process: descriptors, the current directory and procfs's "self" are not our own, and
     * the kernel can't be asked in its place. */
    bool foreign;
    /* The same where the links of another process may not be read: a link's text and its length, or
     * -errno; NULL: there is no other way. */
    long (*place)(int descriptor, char *text, size_t size);
    /* Where the at-most-once id of a change is kept, for who may have to repeat it; or NULL. */
    uint64_t *request;
    /* Copy to the caller's memory; 0 or -EFAULT. */
    long (*write)(const struct caller *caller, void *to, const void *from, size_t length);
    /* Another process, which a policy holds: makes a call on the host, where the walk came to (of
     * two names: `to` is the second's, else NULL), if it may be made there. The paths among the
     * arguments are still the caller's. NULL: the kernel is asked. */
    long (*host_call)(void *holder, long number, const long arguments[6], const struct walk *walk,
                      const struct walk *to);
    void *holder;
};

/* The active snapshot, or NULL before anything was published. Good for one call: use
 * table_still before trusting what was read from it. */
static inline const struct space_snapshot *table_active(const struct core *core,
                                                        uint64_t *generation)
{
    const struct space_header *header = core->header;
    uint64_t published = __atomic_load_n(&header->generation, __ATOMIC_ACQUIRE);
    uint64_t offset = __atomic_load_n(&header->active, __ATOMIC_ACQUIRE);
    *generation = published;
    if (published == 0 || offset < SPACE_RING_OFFSET ||
        offset > SPACE_RING_END - sizeof(struct space_snapshot))
        return NULL;
    return (const struct space_snapshot *)((const char *)header + offset);
}
/* Whether what was read from that generation's snapshot was its own. */
static inline bool table_still(const struct core *core, uint64_t generation)
{
    /* An acquire fence first: the reads from the snapshot must not sink below this load. */
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
    return __atomic_load_n(&core->header->generation, __ATOMIC_RELAXED) - generation <
           SPACE_RING_SAFE;
}

/* A snapshot that is being written over says anything: these keep within the file, whatever it
 * says. Each looks once; what is asked twice may get two answers. */
uint32_t table_count(const struct space_snapshot *table);
const struct space_entry *table_entries(const struct space_snapshot *table);
struct table_text {
    const char *bytes; /* a NUL ends them somewhere in the file */
    size_t length;     /* less than PATH_LIMIT */
};
struct table_text table_path(const struct space_snapshot *table, const struct space_entry *entry);
/* Its last component; and what is before that and its slash. */
struct table_text table_last(const struct space_snapshot *table, const struct space_entry *entry);
struct table_text table_parent(const struct space_snapshot *table, const struct space_entry *entry);
struct table_text table_target(const struct space_snapshot *table, const struct space_entry *entry);
/* The entry at exactly this name. */
const struct space_entry *table_find(const struct space_snapshot *table, const char *name,
                                     size_t length);
/* The entry with the longest path that `name` is or lies below. */
const struct space_entry *table_cover(const struct space_snapshot *table, const char *name,
                                      size_t length);
/* The bind or node that `name` is or lies below: what is hidden, and a symlink, hold nothing. */
const struct space_entry *table_mount(const struct space_snapshot *table, const char *name,
                                      size_t length);
/* Whether some entry lies strictly below `name`. */
bool table_has_below(const struct space_snapshot *table, const char *name, size_t length);
/* The bind whose target `host` is or lies below; the longest target wins, then the first name. */
const struct space_entry *table_bind_of_host(const struct space_snapshot *table, const char *host,
                                             size_t length);
/* The inode number of a symlink of the table, which has none on the host. */
uint64_t table_inode(const struct space_entry *entry);
/* Whether some entry forbids changes below it. */
bool table_has_read_only(const struct space_snapshot *table);
bool table_has_name(const struct space_snapshot *table, const char *component, size_t length);
/* Whether this component is the last one of some entry's path. Most are told by a bit, in place:
 * this is asked at every call. */
static inline bool table_names(const struct space_snapshot *table, const char *component,
                               size_t length)
{
    return space_bit_test(table->name_bits, space_name_bit(component, length)) &&
           table_has_name(table, component, length);
}
/* Whether this component is in some entry's path before the last one. */
bool table_ancestors(const struct space_snapshot *table, const char *component, size_t length);

#endif
