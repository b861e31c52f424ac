/* The preload door: system calls of a program, met inside the program.
 *
 * Each kind of call has a file here. They decide with the core and then let the kernel act. */
#ifndef HIRSEL_DOOR_H
#define HIRSEL_DOOR_H

#include <errno.h>

#include "shim/core/calls.h"
#include "shim/core/core.h"
#include "shim/core/lane.h"
#include "shim/core/text.h"
#include "shim/core/walk.h"

/* In the file's own data and not in .bss: a mapping less at every exec. */
#define IN_DATA __attribute__((section(".data")))
#define HIDDEN __attribute__((visibility("hidden")))

#define DOOR_VARIABLE "HIRSEL_DOOR="
/* Behind the door's name there, and followed by a number: the descriptor that was handed over
 * (handover.h), should ld.so not have taken it. */
#define DOOR_HANDED ':'
/* Behind the door's name there: openat2 is refused, as in a confined tree. */
#define DOOR_CLOSE '!'
/* In front of a descriptor's number: a name by which the trap server is told, before an exec, that
 * this descriptor is a program's with more rights than its caller's. readlink of it says ENOENT. */
#define RIGHTS_NAME "/.hirsel/rights/"
/* In front of an absolute name in the session: readlink of it says where a confined program may
 * execute that, if it is a translator's file. */
#define PROGRAM_NAME "/.hirsel/program"
/* Goes along with LD_LIBRARY_PATH: ld.so (before glibc 2.37) then leaves out some twenty look-ups
 * for each program's first library, in directories for processors that are no more. Written so that
 * it is known from a user's own. */
#define LEAN_VARIABLE "LD_HWCAP_MASK"
#define LEAN_VALUE "0x0000"

/* All that the shim knows; set once, before the program's first instruction. */
struct shim {
    /* What every call asks comes first: a line of the cache. */
    bool teaches; /* the trap server: what it finds out is for programs that can't (ways.h) */
    bool trapped; /* the trap server hands programs the libc copy: only the door's name goes along,
                   * in DOOR_VARIABLE */
    struct core core;
    struct caller caller;
    char door[SESSION_LIMIT + 40]; /* SESSION/spaces/ID/lib, what LD_LIBRARY_PATH begins with */
    size_t door_length;
    char interpreter[256]; /* of the programs that can come in by this door: ld.so's path */
};
extern struct shim the_shim HIDDEN;

/* Calls the kernel as the program asked, as decided: past the trap server. For calls without a
 * sixth argument, which all but a few of sockets are. */
static inline long call_plain(long number, const long arguments[6])
{
    return lane_call(number, arguments[0], arguments[1], arguments[2], arguments[3], arguments[4]);
}

/* The same to the last argument. */
static inline long call_whole(long number, const long arguments[6])
{
    return system_call(number, arguments[0], arguments[1], arguments[2], arguments[3], arguments[4],
                       arguments[5]);
}

/* Map the first `size` bytes of the name space's table, shared; NULL if it can't be. */
void *table_map(size_t size, int protection) HIDDEN;

long shim_dispatch(long number, const long arguments[6]) HIDDEN;

/* ---- quick.c: may the kernel's answer stand? ---- */

/* Whether the kernel can read a path at this address: 0, -EFAULT, -ENAMETOOLONG. */
long path_check(const char *path) HIDDEN;

struct view;
enum text_finding {
    TEXT_CLEAR, /* no name of the table is touched */
    TEXT_TABLE, /* some name may be: walk slowly */
};
/* Compare a path's components with the table, and look where a relative path with ".." starts. */
enum text_finding text_find(const struct view *view, int directory, const char *path) HIDDEN;

/* Whether a component is called as the reserved root is. */
static inline bool is_reserved(const char *component, size_t length)
{
    return text_equal(component, length, RESERVED_ROOT + 1, sizeof RESERVED_ROOT - 2);
}

/* Whether the last component of `path` is called as a directory on the way to some entry, or, with
 * `entries`, as an entry. */
bool last_is_named(const struct space_snapshot *table, const char *path, bool entries) HIDDEN;

/* What one has to know before a path call. */
struct view {
    const struct space_snapshot *table; /* NULL or empty: nothing is in it */
    uint64_t generation;
    bool shadows;
    bool places; /* a current directory or dirfd may be a bind's or a placeholder */
    bool binds;
    /* What known ways are known by (ways.c), as it was before the kernel was asked anything: what
     * changes in the meantime must not be missed. */
    bool taught;      /* ways_are_taught */
    const void *ways; /* shared_get; NULL: nothing is remembered */
    uint64_t changes;
    uint64_t moves;
};
/* In place, as a copy would cost as much again. (In ways.c.) */
void view_take(struct view *view) HIDDEN;
static inline struct view view_get(void)
{
    struct view view;
    view_take(&view);
    return view;
}

/* Whether a symlink on the way may lead the kernel elsewhere than the session: into what is
 * shadowed; or from a directory inside a bind up and out, where the kernel knows only the bind's
 * target. */
static inline bool links_matter(const struct view *view, const char *path)
{
    return view->shadows || (view->binds && path[0] != '/');
}

/* Whether the directory that a relative path starts from is the host's own: not at or below a
 * bind's target, not in a mirror. Only then ".." means the same to the kernel. */
bool start_is_plain(const struct space_snapshot *table, int directory) HIDDEN;
/* Whether the directory that a relative path starts from was removed, as placeholders are. */
bool start_is_removed(int directory) HIDDEN;
/* Whether a name that the kernel does not find may be in the reserved root, or behind a
 * placeholder, where the kernel finds nothing. */
bool missing_is_doubtful(const struct view *view, int directory, const char *path) HIDDEN;
/* Whether no symlink is on the way of this path. 1: none, the name exists. Else -errno as openat2
 * gives it: -ELOOP if there is one; -ENOENT, -ENOTDIR, -EACCES hold for the walk in the session. */
long path_is_direct(int directory, const char *path, bool follow) HIDDEN;

/* Whether a call that names a path is the trap server's: in a confined tree it is asked about most
 * of them anyway, and there is no openat2 to find out here what a path is. Then one question is
 * better than several. */
static inline bool trap_decides(void)
{
    return the_shim.trapped && the_shim.core.no_openat2;
}
/* Whether what is known of ways comes from the trap server, or goes to those for whom it does. */
static inline bool ways_are_taught(void)
{
    return the_shim.teaches || trap_decides();
}
/* Asks it. A signal may end that before it took the call, with EINTR where the handler has no
 * SA_RESTART: nothing was done then, and no program expects EINTR of a call that does not wait. */
static inline long call_asked(long number, const long arguments[6])
{
    long result;
    do
        result = call_whole(number, arguments);
    while (result == -EINTR);
    return result;
}
/* A confined tree's memory by name: the trap server knows where that is, and to the kernel, which
 * gave `result`, it is another directory, which may not be used. `path` is safe to read. */
bool is_memory_name(const char *path, long result) HIDDEN;
/* openat2 gave this: whether it is of use. */
void openat2_note(long result) HIDDEN;

/* ---- one call each ---- */
long path_call(long number, const long arguments[6]) HIDDEN;
long open_call(long number, const long arguments[6]) HIDDEN;
struct open_how;
/* openat2's third argument, `size` bytes that the kernel has read and found sound. 0; -E2BIG or
 * -EINVAL, as an older kernel says it, for what is not known here. */
long how_take(struct open_how *how, const void *from, size_t size) HIDDEN;
long two_paths_call(long number, const long arguments[6]) HIDDEN;
/* linkat of a descriptor alone. Its path can be read. */
bool link_is_by_descriptor(long number, const long arguments[6]) HIDDEN;
/* The same by the walk at once. For another process: -ESTALE where only the kernel can tell. */
long two_paths_slow(long number, const long arguments[6]) HIDDEN;
long execute_call(long number, const long arguments[6]) HIDDEN;
long chroot_call(long number, const long arguments[6]) HIDDEN;
long unshare_call(long number, const long arguments[6]) HIDDEN;
long fchdir_call(long number, const long arguments[6]) HIDDEN;
long fstat_call(long number, const long arguments[6]) HIDDEN;
long fstatfs_call(long number, const long arguments[6]) HIDDEN;
long getcwd_call(long number, const long arguments[6]) HIDDEN;
long list_call(long number, const long arguments[6]) HIDDEN;
long close_call(long number, const long arguments[6]) HIDDEN;
long socket_call(long number, const long arguments[6]) HIDDEN;

/* ---- shape.c: what a path call's arguments say; of openat2 what they point to must be sound ----
 */
/* Whether it follows a symlink in the last component. */
bool call_follows(long number, const long arguments[6]) HIDDEN;
/* Of an open in any of its forms. */
struct open_how call_how(long number, const long arguments[6]) HIDDEN;
/* How the (first) path is to be walked: enum walk_options, openat2's restrictions among them. */
unsigned call_options(long number, const long arguments[6]) HIDDEN;
/* rmdir, or unlinkat of a directory. */
bool call_removes_directory(long number, const long arguments[6]) HIDDEN;
/* Where VERB_STAT's answer goes. */
void *call_status(long number, const long arguments[6]) HIDDEN;

/* ---- slow.c: by the walk ---- */
/* For another process: -ESTALE where it starts in a removed directory of the host. */
long path_slow(long number, const long arguments[6]) HIDDEN;
/* The same where the walk is done already, by the options that go with the call. */
long path_walked(struct walk *walk, long number, const long arguments[6]) HIDDEN;
/* Where a path ends with "." what is in front of it must be a directory. A walk into a node has not
 * asked yet; nor whether a record is the user's own. 0 or -errno. */
long dot_allows(struct walk *walk) HIDDEN;
/* A walk with the table as it is now, which *view becomes; again if it was written over meanwhile.
 */
long walk_in_view(struct walk *walk, struct view *view, int directory, const char *path,
                  unsigned options) HIDDEN;
/* A path for another call: where it leads on the host, put at `host` (PATH_LIMIT bytes). 0;
 * 1: unchanged, the kernel's own walk is right; or -errno. A virtual file is opened, and its
 * backing file is the host path. `name` (may be NULL, PATH_LIMIT bytes): its session name. */
long path_to_host(int directory, const char *path, unsigned options, char *host, char *name) HIDDEN;

/* ---- list.c ---- */
/* The kernel gave this status of a descriptor: a listing of it begins with the same question. */
void list_prepare(int descriptor, const struct stat *status) HIDDEN;
/* Threads of this process may have descriptors of their own from now on. */
void list_part(void) HIDDEN;
/* Another file comes to this descriptor's number. */
void list_forget(int descriptor) HIDDEN;

/* ---- identity.c ---- */
/* Write a status for stat, fstat, newfstatat (statx: false) or statx to the program. */
long status_write(bool statx, void *to, const struct stat *status) HIDDEN;
/* After readlink gave `length` bytes at `text` for `path`: what the session names instead. */
long link_translate(int directory, const char *path, char *text, size_t size, long length) HIDDEN;

#endif
