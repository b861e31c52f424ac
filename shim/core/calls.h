/* The system calls that the doors look at: one row a number, in calls.c. Every number without a
 * row goes to the kernel as it is. docs/coverage.md is generated from the rows' comments. */
#ifndef HIRSEL_CALLS_H
#define HIRSEL_CALLS_H

#include <stdint.h>

#define CALL_TABLE_SIZE 512

enum call_kind {
    CALL_PLAIN = 0, /* the kernel's alone */
    CALL_PATH,      /* one path; what is done with it: enum call_verb */
    CALL_TWO_PATHS, /* rename, link */
    CALL_EXECUTE,   /* execve, execveat */
    CALL_FCHDIR,    /* moves the current directory */
    CALL_ROOT,      /* chroot: one path too */
    CALL_UNSHARE,   /* unshare, setns: may part the threads' current directories */
    CALL_FSTAT,     /* reveals a descriptor's identity */
    CALL_FSTATFS,
    CALL_GETCWD,
    CALL_LIST,    /* getdents, getdents64 */
    CALL_SOCKET,  /* socket addresses */
    CALL_CONTROL, /* fcntl: its locks go with any descriptor of the file */
    CALL_CLOSE,   /* a descriptor's number is free for another file */
};

enum call_verb {
    VERB_NONE = 0,
    VERB_STAT, /* newfstatat, stat, lstat, statx */
    VERB_OPEN, /* open, openat, openat2, creat */
    VERB_ACCESS,
    VERB_READLINK,
    VERB_CHDIR,
    VERB_WATCH, /* inotify_add_watch */
    VERB_QUERY, /* getxattr, listxattr, statfs, name_to_handle_at: reads, does not change */
    VERB_MAKE_DIRECTORY,
    VERB_MAKE_NODE,
    VERB_MAKE_SYMLINK,
    VERB_UNLINK,
    VERB_REMOVE_DIRECTORY,
    VERB_MODE,
    VERB_OWNER,
    VERB_TIMES,
    VERB_SIZE,
    VERB_ATTRIBUTE, /* setxattr, removexattr */
    VERB_CHROOT,
};

enum call_traits {
    TRAIT_NO_FOLLOW = 1,      /* never follows a symlink in the last component */
    TRAIT_FLAG_NO_FOLLOW = 2, /* does not follow if AT_SYMLINK_NOFOLLOW is in the flags */
    TRAIT_FLAG_FOLLOW = 4,    /* follows only if AT_SYMLINK_FOLLOW is in the flags */
    TRAIT_EMPTY_PATH = 8,     /* AT_EMPTY_PATH is known to it */
    TRAIT_CHANGES = 16,       /* changes what it names */
    TRAIT_NAMES = 32,         /* makes or takes away a name */
    TRAIT_NULL_PATH = 64,     /* a null path means the directory descriptor itself */
};

/* Which argument is what; -1: it has none. Of eight bytes: found by a shift. */
struct __attribute__((aligned(8))) call_shape {
    uint8_t verb;
    uint8_t traits;
    int8_t directory;
    int8_t path;
    int8_t flags;
    /* The second path of CALL_TWO_PATHS. */
    int8_t directory2;
    int8_t path2;
};

extern const uint8_t call_kinds[CALL_TABLE_SIZE] __attribute__((visibility("hidden")));
extern const struct call_shape call_shapes[CALL_TABLE_SIZE] __attribute__((visibility("hidden")));

#endif
