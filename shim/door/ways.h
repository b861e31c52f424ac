/* Ways that are known to be plain: on which the kernel's walk and the session's are the same.
 *
 * Only asked where the table shadows names (SPACE_HAS_SHADOWS): there the kernel could be led by
 * a symlink to what the session hides, and to make sure costs a system call or more each time. A
 * way that was found plain stays so until some symlink is made or some directory is renamed. Who
 * does that inside the name space counts it in the table's space_changes; what is done from
 * outside the session is noticed within WAY_LIFETIME. What is known of absolute paths is shared by
 * all programs of the name space (space_ways): most are short, and would learn nothing.
 *
 * A confined program can't look for symlinks: no call that would tell of them is its own to make.
 * It is taught: the trap server notes what it found out when it was asked, of paths that start at
 * the current directory too, and all opens and changes that go a known way are then made without
 * asking. Only the trap server writes there; Landlock checks each of these calls again. */
#ifndef HIRSEL_WAYS_H
#define HIRSEL_WAYS_H

#include "shim/door/door.h"

enum way_kind {
    WAY_DIRECTORY, /* the path up to its last slash, followed to its end */
    WAY_DIRECT,    /* the same, and no symlink is in it: its text is its name */
    WAY_START,     /* where relative paths begin: not behind a bind, not in a mirror */
    WAY_FOLLOWED,  /* the whole path, a symlink at its end followed */
    WAY_PRESENT,   /* where relative paths begin: a directory that is there, no placeholder */
    /* Taught only, of the whole path, on which no symlink is: */
    WAY_FILE,   /* it is a regular file */
    WAY_FOLDER, /* it is a directory */
};

/* In ticks of the processor's counter. */
static inline uint64_t time_stamp(void)
{
    uint32_t low, high;
    __asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
    return (uint64_t)high << 32 | low;
}

/* The part of the table's file that all programs of the name space write; NULL where it can't be
 * had. A confined program may only read it. */
char *shared_get(void) HIDDEN;

/* What the way is remembered by. `length` of `path` is what counts. 0: it can't be remembered. */
uint64_t way_number(const struct view *view, enum way_kind kind, int directory, const char *path,
                    size_t length) HIDDEN;
bool way_is_known(uint64_t number) HIDDEN;
/* What a walk of this path has shown, that came to its end by the view's table. */
void way_learn_walk(const struct view *view, int directory, const char *path,
                    const struct walk *walk) HIDDEN;
/* The same of a walk that ended early, with -ENOENT: a way that is plain as far as it goes. */
void way_learn_end(const struct view *view, int directory, const char *path,
                   const struct walk *walk) HIDDEN;
/* The same of what was taught some 80 ms ago at most. */
bool way_is_recent(uint64_t number) HIDDEN;

/* The same for confined programs, by the trap server; `found`: the walk came to what is there.
 * `whole`: the path's text from the root on, which is where a walk without symlinks ends. Relative
 * paths start where ways_start_at or ways_start_in said. */
void way_teach(const struct view *view, const char *path, const char *whole,
               const struct walk *walk, bool found) HIDDEN;

/* A name that a directory has, which was reached without a symlink: a folder's, else a file's.
 * `path` has room for a byte more. */
void way_teach_name(const struct view *view, char *path, size_t length, bool folder) HIDDEN;

/* The kernel said that `path`, reached by a plain way, is a directory and no symlink: it is a way.
 */
void way_learn_directory(const struct view *view, int directory, const char *path) HIDDEN;

/* The kernel said that no symlink is on the way of `path`, which has been compared with the table
 * (text_find). */
void way_learn_direct(const struct view *view, int directory, const char *path) HIDDEN;

/* Whether it is known already that the way is plain, and nothing in the table is called like the
 * last component. False: it is not known. */
bool way_is_clear(const struct view *view, int directory, const char *path) HIDDEN;
/* Whether the way to the last component is plain, by memory, else by asking the kernel. 1: it is.
 * -ENOENT, -ENOTDIR, -EACCES: it ends before that, for the session too (path_is_direct). Else: walk
 * slowly. The path has been compared with the table before (text_find). */
long way_look(const struct view *view, int directory, const char *path) HIDDEN;
static inline bool way_is_plain(const struct view *view, int directory, const char *path)
{
    return way_look(view, directory, path) == 1;
}
/* Whether a relative path from here begins outside of all binds and mirrors. */
bool way_starts_plain(const struct view *view, int directory) HIDDEN;
/* Whether the directory that a relative path starts from was not removed, as placeholders are. */
bool way_starts_present(const struct view *view, int directory) HIDDEN;
/* Whether it is known already that the whole path, a symlink at its end followed, is plain, and
 * with that no name of the table's. */
bool target_is_known(const struct view *view, int directory, const char *path) HIDDEN;
/* The same of the whole path, a symlink at its end followed. */
bool target_is_plain(const struct view *view, int directory, const char *path) HIDDEN;

/* Something was done that may lead known ways elsewhere. */
void ways_changed(void) HIDDEN;
/* The current directory is another one. */
void ways_moved(void) HIDDEN;
/* Threads of this process may have current directories of their own from now on. */
void ways_parted(void) HIDDEN;
/* This process has, or may have, another root or mount name space. */
void ways_world_changed(void) HIDDEN;
/* For who deals with several name spaces in turn: the part of the table's file that programs write,
 * mapped by the caller. */
void ways_use(char *shared) HIDDEN;
/* When the program starts. */
void ways_start(void) HIDDEN;
/* Whether valgrind(1) looks on, which finds fault with what is read in front of a text or behind
 * it. */
bool text_is_watched(void) HIDDEN;
/* For the trap server: where the relative paths start whose ways it notes next, from AT_FDCWD.
 * NULL: none is noted. */
void ways_start_at(const char *directory, size_t length) HIDDEN;
/* The same, from a directory's descriptor. */
void ways_start_in(const struct stat *directory) HIDDEN;

#endif
