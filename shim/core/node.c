#include <errno.h>
#include <fcntl.h>
#include <sys/syscall.h>
#include <sys/vfs.h>

#include "proto/node.pb-c.h"

#include "shim/arch/x86_64/syscall.h"
#include "shim/core/channel.h"
#include "shim/core/node.h"
#include "shim/core/relocate.h"
#include "shim/core/scratch.h"
#include "shim/core/text.h"

/* What one request needs: the packed request, the reply, and the arena that it is unpacked in. */
struct work {
    uint8_t request[6 * PATH_LIMIT];
    uint8_t reply[WIRE_INLINE_MAX];
    size_t arena_used;
    uint8_t arena[2 * WIRE_INLINE_MAX] __attribute__((aligned(16)));
};

static void *arena_take(void *context, size_t size)
{
    struct work *work = context;
    size = (size + 15) & ~(size_t)15;
    if (size > sizeof work->arena - work->arena_used)
        return NULL;
    void *piece = work->arena + work->arena_used;
    work->arena_used += size;
    return piece;
}

static void arena_give(void *context, void *piece)
{
    (void)context;
    (void)piece; /* the arena goes as a whole */
}

static uint64_t request_number(void)
{
    static uint64_t last;
    uint64_t seed = __atomic_load_n(&last, __ATOMIC_RELAXED);
    if (seed == 0) {
        uint32_t random = 0;
        system_call(SYS_getrandom, (long)&random, sizeof random, 0, 0, 0, 0);
        uint64_t none = 0;
        __atomic_compare_exchange_n(&last, &none, (uint64_t)(random | 1) << 32, false,
                                    __ATOMIC_RELAXED, __ATOMIC_RELAXED);
    }
    return __atomic_add_fetch(&last, 1, __ATOMIC_RELAXED);
}

/* The at-most-once id of a change. Who may have to repeat a change keeps it. */
static uint64_t change_number(const struct caller *caller)
{
    if (caller->request == NULL)
        return request_number();
    if (*caller->request == 0)
        *caller->request = request_number();
    return *caller->request;
}

struct ask {
    struct work *work;
    struct hold hold; /* of `work` */
    Hirsel__NodeRequest request;
    Hirsel__NodeRecord record;
    Hirsel__NodeReply *reply;
    int descriptor;
    bool close_on_exec;
};

static long ask_begin(struct ask *ask)
{
    ask->work = scratch_take(&ask->hold, sizeof *ask->work);
    if (ask->work == NULL)
        return -ENOMEM;
    ask->work->arena_used = 0;
    shim_relocate();
    hirsel__node_request__init(&ask->request);
    hirsel__node_record__init(&ask->record);
    ask->reply = NULL;
    ask->descriptor = -1;
    ask->close_on_exec = true;
    return 0;
}

static void ask_end(struct ask *ask)
{
    scratch_give(&ask->hold, ask->work, sizeof *ask->work);
}

/* Send the request for where the walk stands. */
static long ask_run(struct ask *ask, struct walk *walk, uint32_t operation, bool *ended)
{
    struct work *work = ask->work;
    size_t rest_length;
    const char *rest = walk_rest(walk, &rest_length);
    *ended = false;
    ask->request.path.data = (uint8_t *)(uintptr_t)rest;
    ask->request.path.len = rest_length;
    /* fs believes it of the trap server alone. */
    if (walk->caller->foreign)
        ask->request.space = walk->caller->core->space;
    if (walk->node.translator != 0) {
        ask->request.translator = walk->node.translator;
    } else {
        ask->record.device = walk->node.device;
        ask->record.inode = walk->node.inode;
        ask->record.text.data = (uint8_t *)walk->node.text;
        ask->record.text.len = walk->node.text_length;
        ask->record.host_path.data = (uint8_t *)walk->node.host;
        ask->record.host_path.len = walk->node.host_length;
        ask->request.record = &ask->record;
    }
    if (hirsel__node_request__get_packed_size(&ask->request) > sizeof work->request)
        return -ENAMETOOLONG;
    struct exchange exchange = {
        .operation = operation,
        .request =
            operation == HIRSEL__NODE_OPERATION__NODE_CHANGE ? change_number(walk->caller) : 0,
        .body = work->request,
        .length = hirsel__node_request__pack(&ask->request, work->request),
        .answer = work->reply,
        .answer_size = sizeof work->reply,
        .close_on_exec = ask->close_on_exec,
    };
    long result = channel_call(walk->caller->core, &exchange);
    if (result < 0)
        return result;
    ask->descriptor = exchange.descriptor;
    ProtobufCAllocator arena = {arena_take, arena_give, work};
    ask->reply = hirsel__node_reply__unpack(&arena, exchange.answer_length, work->reply);
    if (ask->reply == NULL)
        result = -EIO;
    else if (ask->reply->redirect) {
        *ended = true;
        if (walk->caller->request != NULL)
            *walk->caller->request = 0; /* what comes next is another change */
        result = walk_redirect(walk, ask->reply->consumed, (const char *)ask->reply->target.data,
                               ask->reply->target.len);
    }
    if ((result < 0 || *ended) && ask->descriptor >= 0) {
        system_call(SYS_close, ask->descriptor, 0, 0, 0, 0, 0);
        ask->descriptor = -1;
    }
    return result;
}

static void status_fill(struct stat *status, const Hirsel__Attributes *from)
{
    bytes_clear(status, sizeof *status);
    status->st_dev = from->device;
    status->st_ino = from->inode;
    status->st_mode = from->mode;
    status->st_nlink = from->links;
    status->st_uid = from->user;
    status->st_gid = from->group;
    status->st_rdev = from->special;
    status->st_size = (off_t)from->size;
    status->st_blksize = from->block_size;
    status->st_blocks = (blkcnt_t)from->blocks;
    status->st_atim.tv_sec = from->access_seconds;
    status->st_atim.tv_nsec = from->access_nanoseconds;
    status->st_mtim.tv_sec = from->modify_seconds;
    status->st_mtim.tv_nsec = from->modify_nanoseconds;
    status->st_ctim.tv_sec = from->change_seconds;
    status->st_ctim.tv_nsec = from->change_nanoseconds;
}

long node_status(struct walk *walk, bool follow, struct stat *status, bool *ended)
{
    struct ask ask;
    *ended = false;
    long result = ask_begin(&ask);
    if (result < 0)
        return result;
    ask.request.follow = follow;
    result = ask_run(&ask, walk, HIRSEL__NODE_OPERATION__NODE_STAT, ended);
    if (result == 0 && !*ended) {
        if (ask.reply->attributes == NULL)
            result = -EIO;
        else
            status_fill(status, ask.reply->attributes);
    }
    ask_end(&ask);
    return result;
}

long node_open(struct walk *walk, unsigned flags, unsigned mode, bool *ended)
{
    struct ask ask;
    *ended = false;
    long result = ask_begin(&ask);
    if (result < 0)
        return result;
    ask.close_on_exec = (flags & O_CLOEXEC) != 0;
    ask.request.follow =
        !(flags & O_NOFOLLOW) && (flags & (O_CREAT | O_EXCL)) != (O_CREAT | O_EXCL);
    ask.request.flags = flags & ~(unsigned)O_CLOEXEC;
    ask.request.mode = mode;
    result = ask_run(&ask, walk, HIRSEL__NODE_OPERATION__NODE_OPEN, ended);
    if (result == 0 && !*ended)
        result = ask.descriptor >= 0 ? ask.descriptor : -EIO;
    ask_end(&ask);
    return result;
}

long node_link(struct walk *walk, char *text, size_t size, bool *ended)
{
    struct ask ask;
    *ended = false;
    long result = ask_begin(&ask);
    if (result < 0)
        return result;
    result = ask_run(&ask, walk, HIRSEL__NODE_OPERATION__NODE_READLINK, ended);
    if (result == 0 && !*ended) {
        size_t length = ask.reply->target.len;
        if (length > 0) /* else there is no address */
            bytes_copy(text, ask.reply->target.data, length < size ? length : size);
        result = (long)length;
    }
    ask_end(&ask);
    return result;
}

static long access_ask(struct walk *walk, unsigned mode, bool program, bool follow, bool *ended)
{
    struct ask ask;
    *ended = false;
    long result = ask_begin(&ask);
    if (result < 0)
        return result;
    ask.request.follow = follow;
    ask.request.mode = mode;
    ask.request.program = program;
    result = ask_run(&ask, walk, HIRSEL__NODE_OPERATION__NODE_ACCESS, ended);
    ask_end(&ask);
    return result;
}

long node_access(struct walk *walk, unsigned mode, bool follow, bool *ended)
{
    return access_ask(walk, mode, false, follow, ended);
}

long node_executable(struct walk *walk, bool follow, bool *ended)
{
    return access_ask(walk, R_OK | X_OK, true, follow, ended);
}

long node_list(struct walk *walk, uint64_t position, void *entries, size_t size, bool *ended)
{
    struct ask ask;
    *ended = false;
    long result = ask_begin(&ask);
    if (result < 0)
        return result;
    ask.request.position = position;
    ask.request.size_limit = (uint32_t)(size < 32768 ? size : 32768);
    result = ask_run(&ask, walk, HIRSEL__NODE_OPERATION__NODE_LIST, ended);
    if (result == 0 && !*ended) {
        size_t length = ask.reply->entries.len;
        if (length > size)
            result = -EINVAL;
        else {
            if (length > 0) /* else there is no address */
                bytes_copy(entries, ask.reply->entries.data, length);
            result = (long)length;
        }
    }
    ask_end(&ask);
    return result;
}

long node_filesystem(struct walk *walk, void *status, bool *ended)
{
    struct ask ask;
    *ended = false;
    long result = ask_begin(&ask);
    if (result < 0)
        return result;
    result = ask_run(&ask, walk, HIRSEL__NODE_OPERATION__NODE_FILESYSTEM, ended);
    if (result == 0 && !*ended) {
        if (ask.reply->filesystem.len != sizeof(struct statfs))
            result = -EIO;
        else
            bytes_copy(status, ask.reply->filesystem.data, sizeof(struct statfs));
    }
    ask_end(&ask);
    return result;
}

long node_change(struct walk *walk, const struct node_change *change, bool *ended)
{
    struct ask ask;
    int64_t times[4];
    *ended = false;
    long result = ask_begin(&ask);
    if (result < 0)
        return result;
    ask.request.change = (Hirsel__NodeChange)change->change;
    ask.request.follow = change->follow;
    ask.request.mode = change->mode;
    ask.request.flags = change->flags;
    ask.request.device = change->device;
    ask.request.other.data = (uint8_t *)(uintptr_t)change->other;
    ask.request.other.len = change->other_length;
    ask.request.user = change->user;
    ask.request.group = change->group;
    ask.request.size = change->size;
    if (change->has_times) {
        bytes_copy(times, change->times, sizeof times);
        ask.request.times = times;
        ask.request.n_times = 4;
    }
    result = ask_run(&ask, walk, HIRSEL__NODE_OPERATION__NODE_CHANGE, ended);
    ask_end(&ask);
    return result;
}
