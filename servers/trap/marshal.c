/* What the arguments of the calls point to: by the shape of each call. */
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <linux/stat.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <utime.h>

#include "servers/trap/call.h"
#include "shim/core/calls.h"

enum pointer_kind {
    POINTER_TEXT,   /* in: a text with its NUL */
    POINTER_IN,     /* in: `size` bytes; a null pointer is allowed */
    POINTER_OUT,    /* out: `size` bytes */
    POINTER_IN_BY,  /* in: as long as argument `size` says */
    POINTER_OUT_BY, /* out: room as argument `size` says, filled as the result says */
    POINTER_HANDLE, /* in and out: struct file_handle */
};

struct pointer {
    uint16_t number;
    uint8_t argument;
    uint8_t kind;
    uint16_t size;
};

/* Beside the paths, whose homes are in shim/core/calls.c. In the order of the numbers. */
static const struct pointer pointers[] = {
    {SYS_stat, 1, POINTER_OUT, sizeof(struct stat)},
    {SYS_fstat, 1, POINTER_OUT, sizeof(struct stat)},
    {SYS_lstat, 1, POINTER_OUT, sizeof(struct stat)},
    {SYS_getdents, 1, POINTER_OUT_BY, 2},
    {SYS_getcwd, 0, POINTER_OUT_BY, 1},
    {SYS_symlink, 0, POINTER_TEXT, 0},
    {SYS_readlink, 1, POINTER_OUT_BY, 2},
    {SYS_utime, 1, POINTER_IN, sizeof(struct utimbuf)},
    {SYS_statfs, 1, POINTER_OUT, sizeof(struct statfs)},
    {SYS_fstatfs, 1, POINTER_OUT, sizeof(struct statfs)},
    {SYS_setxattr, 1, POINTER_TEXT, 0},
    {SYS_setxattr, 2, POINTER_IN_BY, 3},
    {SYS_lsetxattr, 1, POINTER_TEXT, 0},
    {SYS_lsetxattr, 2, POINTER_IN_BY, 3},
    {SYS_fsetxattr, 1, POINTER_TEXT, 0},
    {SYS_fsetxattr, 2, POINTER_IN_BY, 3},
    {SYS_getxattr, 1, POINTER_TEXT, 0},
    {SYS_getxattr, 2, POINTER_OUT_BY, 3},
    {SYS_lgetxattr, 1, POINTER_TEXT, 0},
    {SYS_lgetxattr, 2, POINTER_OUT_BY, 3},
    {SYS_listxattr, 1, POINTER_OUT_BY, 2},
    {SYS_llistxattr, 1, POINTER_OUT_BY, 2},
    {SYS_removexattr, 1, POINTER_TEXT, 0},
    {SYS_lremovexattr, 1, POINTER_TEXT, 0},
    {SYS_fremovexattr, 1, POINTER_TEXT, 0},
    {SYS_getdents64, 1, POINTER_OUT_BY, 2},
    {SYS_utimes, 1, POINTER_IN, 2 * sizeof(struct timeval)},
    {SYS_futimesat, 2, POINTER_IN, 2 * sizeof(struct timeval)},
    {SYS_newfstatat, 2, POINTER_OUT, sizeof(struct stat)},
    {SYS_symlinkat, 0, POINTER_TEXT, 0},
    {SYS_readlinkat, 2, POINTER_OUT_BY, 3},
    {SYS_utimensat, 2, POINTER_IN, 2 * sizeof(struct timespec)},
    {SYS_name_to_handle_at, 2, POINTER_HANDLE, 0},
    {SYS_name_to_handle_at, 3, POINTER_OUT, sizeof(int)},
    {SYS_statx, 4, POINTER_OUT, sizeof(struct statx)},
    {SYS_openat2, 2, POINTER_IN_BY, 3},
};

enum { POINTERS = sizeof pointers / sizeof pointers[0] };

void call_begin(struct call *call, const struct seccomp_notif *notification)
{
    call->number = notification->data.nr;
    for (size_t i = 0; i < 6; i++)
        call->given[i] = call->arguments[i] = (long)notification->data.args[i];
    call->result_count = 0;
    call->used = 0;
}

bool call_is_known(int number)
{
    return number >= 0 && number < CALL_TABLE_SIZE && call_kinds[number] != CALL_PLAIN;
}

static long path_bring(struct call *call, struct client *client, int argument, char *to)
{
    long length;

    if (argument < 0)
        return 0;
    if (call->given[argument] == 0)
        return 1;
    length = client_text(client, to, (uint64_t)call->given[argument], PATH_LIMIT);
    call->arguments[argument] = (long)to;
    return length < 0 ? length : 0;
}

long call_bring_paths(struct call *call, struct client *client)
{
    const struct call_shape *shape = &call_shapes[call->number];
    long result = path_bring(call, client, shape->path, call->paths[0]);

    return result != 0 ? result : path_bring(call, client, shape->path2, call->paths[1]);
}

static void *memory_take(struct call *call, size_t size)
{
    void *piece = call->memory + call->used;

    call->used += (size + 15) & ~(size_t)15;
    return piece;
}

static long result_add(struct call *call, const struct pointer *pointer, size_t size,
                       bool by_result)
{
    void *memory = memory_take(call, size);

    call->results[call->result_count++] =
        (struct result_place){.to = (uint64_t)call->given[pointer->argument],
                              .from = memory,
                              .length = size,
                              .by_result = by_result};
    call->arguments[pointer->argument] = (long)memory;
    return 0;
}

static long in_bring(struct call *call, struct client *client, const struct pointer *pointer,
                     size_t size)
{
    void *memory = memory_take(call, size);

    call->arguments[pointer->argument] = (long)memory;
    return client_read(client, memory, (uint64_t)call->given[pointer->argument], size);
}

static long text_bring(struct call *call, struct client *client, const struct pointer *pointer)
{
    char *memory = memory_take(call, PATH_LIMIT);
    long length = client_text(client, memory, (uint64_t)call->given[pointer->argument], PATH_LIMIT);

    call->arguments[pointer->argument] = (long)memory;
    return length < 0 ? length : 0;
}

static long handle_bring(struct call *call, struct client *client, const struct pointer *pointer)
{
    struct file_handle head;
    uint64_t from = (uint64_t)call->given[pointer->argument];
    long result = client_read(client, &head, from, sizeof head);

    if (result < 0)
        return result;
    if (head.handle_bytes > MAX_HANDLE_SZ)
        return -EINVAL;
    result_add(call, pointer, sizeof head + MAX_HANDLE_SZ, false);
    call->results[call->result_count - 1].length = sizeof head + head.handle_bytes;
    memcpy((void *)call->arguments[pointer->argument], &head, sizeof head);
    return 0;
}

static long pointer_bring(struct call *call, struct client *client, const struct pointer *pointer)
{
    size_t size = pointer->size;

    switch (pointer->kind) {
    case POINTER_TEXT:
        return text_bring(call, client, pointer);
    case POINTER_IN:
        return call->given[pointer->argument] == 0 ? 0 : in_bring(call, client, pointer, size);
    case POINTER_OUT:
        return result_add(call, pointer, size, false);
    case POINTER_HANDLE:
        return handle_bring(call, client, pointer);
    case POINTER_IN_BY:
        size = (size_t)call->given[pointer->size];
        if (size > BUFFER_LIMIT)
            return -E2BIG;
        return size == 0 ? 0 : in_bring(call, client, pointer, size);
    default:
        /* Lengths are ints for some calls; a negative one is the kernel's to refuse. */
        if (call->given[pointer->size] <= 0 || (int)call->given[pointer->size] < 0)
            return 0;
        size = (size_t)call->given[pointer->size];
        if (size > BUFFER_LIMIT)
            size = BUFFER_LIMIT;
        call->arguments[pointer->size] = (long)size;
        return result_add(call, pointer, size, true);
    }
}

long call_bring_rest(struct call *call, struct client *client)
{
    for (size_t i = 0; i < POINTERS; i++) {
        long result;

        if (pointers[i].number != call->number)
            continue;
        result = pointer_bring(call, client, &pointers[i]);
        if (result < 0)
            return result;
    }
    return 0;
}

long call_return(const struct call *call, struct client *client, long result)
{
    if (result < 0)
        return result;
    for (size_t i = 0; i < call->result_count; i++) {
        const struct result_place *place = &call->results[i];
        size_t length = place->by_result ? (size_t)result : place->length;
        long written;

        if (length > place->length)
            length = place->length;
        if (length == 0)
            continue;
        written = client_write(client, place->to, place->from, length);
        if (written < 0)
            return written;
    }
    return result;
}
