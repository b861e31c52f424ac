#include <sys/syscall.h>

#include "shim/core/calls.h"

#ifndef SYS_fchmodat2
#define SYS_fchmodat2 452
#endif

/* Written as one list, so that the two tables can't disagree: kind apart from shape because the
 * entry tests the kind of every system call, and 512 bytes stay in the cache. */
#define CALLS(ROW)                                                                                 \
    /* number, kind, verb, traits, directory, path, flags, directory2, path2 */                    \
    ROW(SYS_open, CALL_PATH, VERB_OPEN, 0, -1, 0, 1, -1, -1)                                       \
    ROW(SYS_creat, CALL_PATH, VERB_OPEN, TRAIT_CHANGES, -1, 0, -1, -1, -1)                         \
    ROW(SYS_openat, CALL_PATH, VERB_OPEN, 0, 0, 1, 2, -1, -1)                                      \
    ROW(SYS_openat2, CALL_PATH, VERB_OPEN, 0, 0, 1, -1, -1, -1)                                    \
    ROW(SYS_stat, CALL_PATH, VERB_STAT, 0, -1, 0, -1, -1, -1)                                      \
    ROW(SYS_lstat, CALL_PATH, VERB_STAT, TRAIT_NO_FOLLOW, -1, 0, -1, -1, -1)                       \
    ROW(SYS_newfstatat, CALL_PATH, VERB_STAT, TRAIT_FLAG_NO_FOLLOW | TRAIT_EMPTY_PATH, 0, 1, 3,    \
        -1, -1)                                                                                    \
    ROW(SYS_statx, CALL_PATH, VERB_STAT,                                                           \
        TRAIT_FLAG_NO_FOLLOW | TRAIT_EMPTY_PATH | TRAIT_NULL_PATH, 0, 1, 2, -1, -1)                \
    ROW(SYS_fstat, CALL_FSTAT, VERB_NONE, 0, 0, -1, -1, -1, -1)                                    \
    ROW(SYS_fstatfs, CALL_FSTATFS, VERB_NONE, 0, 0, -1, -1, -1, -1)                                \
    ROW(SYS_access, CALL_PATH, VERB_ACCESS, 0, -1, 0, -1, -1, -1)                                  \
    ROW(SYS_faccessat, CALL_PATH, VERB_ACCESS, 0, 0, 1, -1, -1, -1)                                \
    ROW(SYS_faccessat2, CALL_PATH, VERB_ACCESS, TRAIT_FLAG_NO_FOLLOW | TRAIT_EMPTY_PATH, 0, 1, 3,  \
        -1, -1)                                                                                    \
    ROW(SYS_readlink, CALL_PATH, VERB_READLINK, TRAIT_NO_FOLLOW, -1, 0, -1, -1, -1)                \
    ROW(SYS_readlinkat, CALL_PATH, VERB_READLINK, TRAIT_NO_FOLLOW, 0, 1, -1, -1, -1)               \
    ROW(SYS_chdir, CALL_PATH, VERB_CHDIR, 0, -1, 0, -1, -1, -1)                                    \
    ROW(SYS_fchdir, CALL_FCHDIR, VERB_NONE, 0, 0, -1, -1, -1, -1)                                  \
    ROW(SYS_unshare, CALL_UNSHARE, VERB_NONE, 0, -1, -1, -1, -1, -1)                               \
    ROW(SYS_setns, CALL_UNSHARE, VERB_NONE, 0, -1, -1, -1, -1, -1)                                 \
    ROW(SYS_chroot, CALL_ROOT, VERB_CHROOT, 0, -1, 0, -1, -1, -1)                                  \
    ROW(SYS_fcntl, CALL_CONTROL, VERB_NONE, 0, 0, -1, -1, -1, -1)                                  \
    ROW(SYS_close, CALL_CLOSE, VERB_NONE, 0, 0, -1, -1, -1, -1)                                    \
    ROW(SYS_close_range, CALL_CLOSE, VERB_NONE, 0, -1, -1, -1, -1, -1)                             \
    ROW(SYS_dup2, CALL_CLOSE, VERB_NONE, 0, 1, -1, -1, -1, -1)                                     \
    ROW(SYS_dup3, CALL_CLOSE, VERB_NONE, 0, 1, -1, -1, -1, -1)                                     \
    ROW(SYS_getcwd, CALL_GETCWD, VERB_NONE, 0, -1, -1, -1, -1, -1)                                 \
    ROW(SYS_getdents64, CALL_LIST, VERB_NONE, 0, 0, -1, -1, -1, -1)                                \
    ROW(SYS_inotify_add_watch, CALL_PATH, VERB_WATCH, 0, -1, 1, -1, -1, -1)                        \
    ROW(SYS_statfs, CALL_PATH, VERB_QUERY, 0, -1, 0, -1, -1, -1)                                   \
    ROW(SYS_getxattr, CALL_PATH, VERB_QUERY, 0, -1, 0, -1, -1, -1)                                 \
    ROW(SYS_lgetxattr, CALL_PATH, VERB_QUERY, TRAIT_NO_FOLLOW, -1, 0, -1, -1, -1)                  \
    ROW(SYS_listxattr, CALL_PATH, VERB_QUERY, 0, -1, 0, -1, -1, -1)                                \
    ROW(SYS_llistxattr, CALL_PATH, VERB_QUERY, TRAIT_NO_FOLLOW, -1, 0, -1, -1, -1)                 \
    ROW(SYS_name_to_handle_at, CALL_PATH, VERB_QUERY, TRAIT_FLAG_FOLLOW | TRAIT_EMPTY_PATH, 0, 1,  \
        4, -1, -1)                                                                                 \
    ROW(SYS_mkdir, CALL_PATH, VERB_MAKE_DIRECTORY, TRAIT_NO_FOLLOW | TRAIT_CHANGES | TRAIT_NAMES,  \
        -1, 0, -1, -1, -1)                                                                         \
    ROW(SYS_mkdirat, CALL_PATH, VERB_MAKE_DIRECTORY,                                               \
        TRAIT_NO_FOLLOW | TRAIT_CHANGES | TRAIT_NAMES, 0, 1, -1, -1, -1)                           \
    ROW(SYS_mknod, CALL_PATH, VERB_MAKE_NODE, TRAIT_NO_FOLLOW | TRAIT_CHANGES | TRAIT_NAMES, -1,   \
        0, -1, -1, -1)                                                                             \
    ROW(SYS_mknodat, CALL_PATH, VERB_MAKE_NODE, TRAIT_NO_FOLLOW | TRAIT_CHANGES | TRAIT_NAMES, 0,  \
        1, -1, -1, -1)                                                                             \
    ROW(SYS_symlink, CALL_PATH, VERB_MAKE_SYMLINK, TRAIT_NO_FOLLOW | TRAIT_CHANGES | TRAIT_NAMES,  \
        -1, 1, -1, -1, -1)                                                                         \
    ROW(SYS_symlinkat, CALL_PATH, VERB_MAKE_SYMLINK,                                               \
        TRAIT_NO_FOLLOW | TRAIT_CHANGES | TRAIT_NAMES, 1, 2, -1, -1, -1)                           \
    ROW(SYS_unlink, CALL_PATH, VERB_UNLINK, TRAIT_NO_FOLLOW | TRAIT_CHANGES | TRAIT_NAMES, -1, 0,  \
        -1, -1, -1)                                                                                \
    ROW(SYS_unlinkat, CALL_PATH, VERB_UNLINK, TRAIT_NO_FOLLOW | TRAIT_CHANGES | TRAIT_NAMES, 0, 1, \
        2, -1, -1)                                                                                 \
    ROW(SYS_rmdir, CALL_PATH, VERB_REMOVE_DIRECTORY,                                               \
        TRAIT_NO_FOLLOW | TRAIT_CHANGES | TRAIT_NAMES, -1, 0, -1, -1, -1)                          \
    ROW(SYS_chmod, CALL_PATH, VERB_MODE, TRAIT_CHANGES, -1, 0, -1, -1, -1)                         \
    ROW(SYS_fchmodat, CALL_PATH, VERB_MODE, TRAIT_CHANGES, 0, 1, -1, -1, -1)                       \
    ROW(SYS_fchmodat2, CALL_PATH, VERB_MODE,                                                       \
        TRAIT_FLAG_NO_FOLLOW | TRAIT_EMPTY_PATH | TRAIT_CHANGES, 0, 1, 3, -1, -1)                  \
    ROW(SYS_chown, CALL_PATH, VERB_OWNER, TRAIT_CHANGES, -1, 0, -1, -1, -1)                        \
    ROW(SYS_lchown, CALL_PATH, VERB_OWNER, TRAIT_NO_FOLLOW | TRAIT_CHANGES, -1, 0, -1, -1, -1)     \
    ROW(SYS_fchownat, CALL_PATH, VERB_OWNER,                                                       \
        TRAIT_FLAG_NO_FOLLOW | TRAIT_EMPTY_PATH | TRAIT_CHANGES, 0, 1, 4, -1, -1)                  \
    ROW(SYS_utime, CALL_PATH, VERB_TIMES, TRAIT_CHANGES, -1, 0, -1, -1, -1)                        \
    ROW(SYS_utimes, CALL_PATH, VERB_TIMES, TRAIT_CHANGES, -1, 0, -1, -1, -1)                       \
    ROW(SYS_futimesat, CALL_PATH, VERB_TIMES, TRAIT_CHANGES | TRAIT_NULL_PATH, 0, 1, -1, -1, -1)   \
    ROW(SYS_utimensat, CALL_PATH, VERB_TIMES,                                                      \
        TRAIT_FLAG_NO_FOLLOW | TRAIT_EMPTY_PATH | TRAIT_CHANGES | TRAIT_NULL_PATH, 0, 1, 3, -1,    \
        -1)                                                                                        \
    ROW(SYS_truncate, CALL_PATH, VERB_SIZE, TRAIT_CHANGES, -1, 0, -1, -1, -1)                      \
    ROW(SYS_setxattr, CALL_PATH, VERB_ATTRIBUTE, TRAIT_CHANGES, -1, 0, -1, -1, -1)                 \
    ROW(SYS_lsetxattr, CALL_PATH, VERB_ATTRIBUTE, TRAIT_NO_FOLLOW | TRAIT_CHANGES, -1, 0, -1, -1,  \
        -1)                                                                                        \
    ROW(SYS_removexattr, CALL_PATH, VERB_ATTRIBUTE, TRAIT_CHANGES, -1, 0, -1, -1, -1)              \
    ROW(SYS_lremovexattr, CALL_PATH, VERB_ATTRIBUTE, TRAIT_NO_FOLLOW | TRAIT_CHANGES, -1, 0, -1,   \
        -1, -1)                                                                                    \
    ROW(SYS_rename, CALL_TWO_PATHS, VERB_NONE, TRAIT_NO_FOLLOW | TRAIT_CHANGES | TRAIT_NAMES, -1,  \
        0, -1, -1, 1)                                                                              \
    ROW(SYS_renameat, CALL_TWO_PATHS, VERB_NONE, TRAIT_NO_FOLLOW | TRAIT_CHANGES | TRAIT_NAMES, 0, \
        1, -1, 2, 3)                                                                               \
    ROW(SYS_renameat2, CALL_TWO_PATHS, VERB_NONE, TRAIT_NO_FOLLOW | TRAIT_CHANGES | TRAIT_NAMES,   \
        0, 1, 4, 2, 3)                                                                             \
    ROW(SYS_link, CALL_TWO_PATHS, VERB_NONE, TRAIT_NO_FOLLOW | TRAIT_CHANGES, -1, 0, -1, -1, 1)    \
    ROW(SYS_linkat, CALL_TWO_PATHS, VERB_NONE,                                                     \
        TRAIT_FLAG_FOLLOW | TRAIT_EMPTY_PATH | TRAIT_CHANGES, 0, 1, 4, 2, 3)                       \
    ROW(SYS_execve, CALL_EXECUTE, VERB_NONE, 0, -1, 0, -1, -1, -1)                                 \
    ROW(SYS_execveat, CALL_EXECUTE, VERB_NONE, TRAIT_FLAG_NO_FOLLOW | TRAIT_EMPTY_PATH, 0, 1, 4,   \
        -1, -1)                                                                                    \
    ROW(SYS_socket, CALL_SOCKET, VERB_NONE, 0, -1, -1, -1, -1, -1)                                 \
    ROW(SYS_bind, CALL_SOCKET, VERB_NONE, 0, -1, -1, -1, -1, -1)                                   \
    ROW(SYS_listen, CALL_SOCKET, VERB_NONE, 0, -1, -1, -1, -1, -1)                                 \
    ROW(SYS_connect, CALL_SOCKET, VERB_NONE, 0, -1, -1, -1, -1, -1)                                \
    ROW(SYS_accept, CALL_SOCKET, VERB_NONE, 0, -1, -1, -1, -1, -1)                                 \
    ROW(SYS_accept4, CALL_SOCKET, VERB_NONE, 0, -1, -1, -1, -1, -1)                                \
    ROW(SYS_getsockname, CALL_SOCKET, VERB_NONE, 0, -1, -1, -1, -1, -1)                            \
    ROW(SYS_getpeername, CALL_SOCKET, VERB_NONE, 0, -1, -1, -1, -1, -1)                            \
    ROW(SYS_sendto, CALL_SOCKET, VERB_NONE, 0, -1, -1, -1, -1, -1)                                 \
    ROW(SYS_recvfrom, CALL_SOCKET, VERB_NONE, 0, -1, -1, -1, -1, -1)                               \
    ROW(SYS_sendmsg, CALL_SOCKET, VERB_NONE, 0, -1, -1, -1, -1, -1)                                \
    ROW(SYS_recvmsg, CALL_SOCKET, VERB_NONE, 0, -1, -1, -1, -1, -1)                                \
    ROW(SYS_sendmmsg, CALL_SOCKET, VERB_NONE, 0, -1, -1, -1, -1, -1)                               \
    ROW(SYS_recvmmsg, CALL_SOCKET, VERB_NONE, 0, -1, -1, -1, -1, -1)

#define ROW_KIND(number, kind, verb, traits, directory, path, flags, directory2, path2)            \
    [number] = kind,
#define ROW_SHAPE(number, kind, verb, traits, directory, path, flags, directory2, path2)           \
    [number] = {verb, traits, directory, path, flags, directory2, path2},

const uint8_t call_kinds[CALL_TABLE_SIZE] = {CALLS(ROW_KIND)};
const struct call_shape call_shapes[CALL_TABLE_SIZE] = {CALLS(ROW_SHAPE)};
