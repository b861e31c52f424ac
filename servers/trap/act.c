/* In the caller's place, by the shim's own functions. */
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "servers/lib/process.h"
#include "servers/lib/server.h"
#include "servers/trap/act.h"
#include "servers/trap/confine.h"
#include "servers/trap/credentials.h"
#include "servers/trap/guide.h"
#include "servers/trap/rights.h"
#include "servers/trap/swap.h"
#include "servers/trap/worker.h"
#include "shim/core/lane.h"
#include "shim/core/node.h"
#include "shim/core/text.h"

#define MEMORY_DEVICES                                                                             \
    1 /* the major number of null, zero, random: they do not block, nor care who                   \
       * opens them */

static void proceed(struct answer *answer)
{
    answer->proceed = true;
}

static void give(struct answer *answer, long result)
{
    answer->result = result;
}

/* The caller's memory was read by its number: it must still be the same thread. */
bool act_is_still_there(const struct worker *worker)
{
    uint64_t id = worker->slot->notification.id;

    return ioctl(worker->listener, SECCOMP_IOCTL_NOTIF_ID_VALID, &id) == 0;
}

/* Once in a tree: there may be many of these calls. */
static void unreadable_tell(const struct worker *worker)
{
    char name[64];
    ssize_t length;

    if (__atomic_exchange_n(&worker->journal->unreadable_told, 1, __ATOMIC_RELAXED) != 0)
        return;
    length = process_read(worker->client.tid, "comm", name, sizeof name);
    log_line("process %d (%.*s) has the host's names: its memory can't be read, as it may be "
             "executed and not read, or is in a user name space of another tree",
             worker->client.tid, length > 0 ? (int)length - 1 : 0, name);
}

/* What an error of bringing arguments over means. */
void act_bring_failed(const struct worker *worker, struct answer *answer, long error)
{
    if (error == 1) {
        proceed(answer); /* a null pointer */
    } else if (error == -ESRCH) {
        answer->sent = true; /* gone */
    } else if (error == -EPERM) {
        /* Unreadable: the kernel's own answer is the best there is. */
        if (worker->policy == NULL) {
            unreadable_tell(worker);
            proceed(answer);
        } else {
            give(answer, -EACCES);
        }
    } else {
        give(answer, error);
    }
}

unsigned act_open_flags(const struct call *call)
{
    return (unsigned)call_how(call->number, call->arguments).flags;
}

/* A repeat of what a dead worker may have done already: its traces are no error. */
static long repeat_settle(const struct worker *worker, long result)
{
    const struct call_shape *shape = &call_shapes[worker->call.number];
    bool made = shape->verb == VERB_MAKE_DIRECTORY || shape->verb == VERB_MAKE_NODE ||
                shape->verb == VERB_MAKE_SYMLINK || worker->call.number == SYS_link ||
                worker->call.number == SYS_linkat;

    if (worker->slot->tries == 0 || worker->slot->step != STEP_CHANGING)
        return result;
    return result == (made ? -EEXIST : -ENOENT) ? 0 : result;
}

/* An open that makes a file which must not be there: a repeat finds the file it made. */
static void repeat_open(const struct worker *worker, struct call *call)
{
    const struct call_shape *shape = &call_shapes[call->number];

    if (worker->slot->tries == 0 || worker->slot->step != STEP_CHANGING ||
        shape->verb != VERB_OPEN || call->number == SYS_creat)
        return;
    if (call->number == SYS_openat2)
        ((struct open_how *)call->arguments[2])->flags &= ~(uint64_t)O_EXCL;
    else
        call->arguments[shape->flags] &= ~(long)O_EXCL;
}

static bool creates(const struct call *call)
{
    unsigned verb = call_shapes[call->number].verb;

    return verb == VERB_MAKE_DIRECTORY || verb == VERB_MAKE_NODE ||
           (verb == VERB_OPEN && (act_open_flags(call) & (O_CREAT | O_TMPFILE)));
}

/* ---- one path ---- */

/* Whether an open would wait for somebody else, or depends on who opens. */
bool act_open_waits(const struct worker *worker)
{
    const struct walk *walk = &worker->walk;
    unsigned flags = act_open_flags(&worker->call);

    if (walk->place != PLACE_HOST || walk->missing || (flags & O_PATH))
        return false;
    if (S_ISFIFO(walk->status.st_mode))
        return !(flags & O_NONBLOCK) && (flags & O_ACCMODE) != O_RDWR;
    return S_ISCHR(walk->status.st_mode) && major(walk->status.st_rdev) != MEMORY_DEVICES;
}

/* Have the caller repeat the call with the host path that its path leads to. */
long act_guide_path(struct worker *worker, const char *host)
{
    const struct call *call = &worker->call;
    const struct call_shape *shape = &call_shapes[call->number];
    struct guidance guidance = {.number = call->number,
                                .text_at = shape->path,
                                .text = (void *)(uintptr_t)host,
                                .text_length = strlen(host) + 1,
                                .descriptor = -1};

    memcpy(guidance.arguments, call->given, sizeof guidance.arguments);
    if (shape->directory >= 0)
        guidance.arguments[shape->directory] = AT_FDCWD;
    if (call->number == SYS_openat2) {
        const struct open_how how = call_how(call->number, call->arguments);

        /* The walk has kept its restrictions, which are about another path. */
        guidance.number = SYS_openat;
        guidance.arguments[2] = (long)how.flags;
        guidance.arguments[3] = (long)how.mode;
        if (how.resolve & (RESOLVE_BENEATH | RESOLVE_IN_ROOT))
            guidance.arguments[2] |= O_NOFOLLOW;
    }
    return guide(worker, &guidance);
}

void act_guided(struct answer *answer, long result)
{
    if (result < 0)
        give(answer, result);
    else
        answer->sent = true;
}

/* chdir, chroot: where the path leads is another place than the kernel would come to. */
void act_move(struct worker *worker, struct answer *answer)
{
    struct walk *walk = &worker->walk;
    struct guidance guidance = {.number = SYS_fchdir, .text_at = -1, .descriptor = -1};
    bool ended = true;
    long result = 0;

    while (walk->place == PLACE_NODE && ended) {
        result = node_open(walk, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0, &ended);
        if (result < 0)
            break;
        if (!ended)
            guidance.descriptor = (int)result;
    }
    /* A translator's symlink may have led on from there. */
    if (result >= 0 && worker->policy != NULL && walk->place == PLACE_HOST && !walk->missing)
        result = confine_shows(worker);
    if (result < 0) {
        give(answer, result == -ENOKEY ? -ENOENT : result);
    } else if (walk->place == PLACE_RESERVED || walk->missing) {
        give(answer, -ENOENT);
    } else if (guidance.descriptor < 0) {
        act_guided(answer, act_guide_path(worker, walk->host));
    } else if (worker->call.number != SYS_chdir) {
        give(answer, -EPERM);
    } else {
        act_guided(answer, guide(worker, &guidance));
    }
    if (guidance.descriptor >= 0)
        close(guidance.descriptor);
}

/* inotify_add_watch: the caller's own queue. */
static long watch_bring(struct worker *worker, long *queue)
{
    long descriptor = client_descriptor(&worker->client, (int)worker->call.given[0]);

    if (descriptor < 0)
        return descriptor == -EPERM ? -EACCES : descriptor;
    *queue = descriptor;
    return 0;
}

static long run_slow(struct worker *worker)
{
    struct call *call = &worker->call;
    const struct call_shape *shape = &call_shapes[call->number];
    mode_t before = 0;
    bool masked = creates(call);
    long queue = -1, result = 0;

    if (masked) {
        long mask = client_status(&worker->client, "Umask", 8);

        if (mask < 0)
            return -ESRCH;
        before = umask((mode_t)mask);
    }
    if (shape->verb == VERB_WATCH) {
        result = watch_bring(worker, &queue);
        call->arguments[0] = queue;
    }
    if (result == 0) {
        repeat_open(worker, call);
        if (masked || (shape->traits & TRAIT_NAMES))
            worker->slot->step = STEP_CHANGING;
        /* What a policy holds has been walked to, to be looked at. */
        result = worker->policy == NULL ? path_slow(call->number, call->arguments)
                                        : path_walked(&worker->walk, call->number, call->arguments);
    }
    if (queue >= 0)
        close((int)queue);
    if (masked)
        umask(before);
    return repeat_settle(worker, result);
}

/* Where no thread can be led, one that can be read will do instead of one that is a place alone: of
 * what has no effect when it is opened. -1: it can't. */
static int open_readable(int place)
{
    struct stat status;
    char link[32];

    snprintf(link, sizeof link, "/proc/self/fd/%d", place);
    if (fstat(place, &status) != 0 || !(S_ISREG(status.st_mode) || S_ISDIR(status.st_mode)))
        return -1;
    return open(link, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
}

void act_slow(struct worker *worker, struct answer *answer)
{
    struct call *call = &worker->call;
    long result;

    if (!act_is_still_there(worker)) {
        answer->sent = true;
        return;
    }
    result = run_slow(worker);
    if (result == -ESTALE && worker->policy == NULL) {
        proceed(answer);
        return;
    }
    if (result == -ESTALE)
        result = -ENOENT; /* nothing is in a directory that was removed */
    if (call_shapes[call->number].verb != VERB_OPEN || result < 0) {
        give(answer, call_return(call, &worker->client, result));
        return;
    }
    if (fcntl((int)result, F_GETFL) & O_PATH) {
        long passed = act_pass(worker, (int)result);
        int readable = passed == -EPERM ? open_readable((int)result) : -1;

        close((int)result);
        if (readable < 0) {
            act_guided(answer, passed);
            return;
        }
        result = readable;
    }
    answer->descriptor = (int)result;
    answer->close_on_exec = (act_open_flags(call) & O_CLOEXEC) != 0;
}

/* What the walk that decided came to is a file or directory of the host: the call is done there,
 * without another walk. False: it needs more. */
static bool act_by_walk(struct worker *worker, struct answer *answer)
{
    struct call *call = &worker->call;
    const struct call_shape *shape = &call_shapes[call->number];
    const struct walk *walk = &worker->walk;
    unsigned flags;

    if (walk->place != PLACE_HOST || walk->missing || walk->slash || act_entry_decides(worker))
        return false;
    if (shape->verb == VERB_STAT && call->number != SYS_statx) {
        bool plain = S_ISREG(walk->status.st_mode) ||
                     (S_ISDIR(walk->status.st_mode) && walk->status.st_nlink > 0);

        if (!plain || !act_is_still_there(worker))
            return false;
        *(struct stat *)call_status(call->number, call->arguments) = walk->status;
        give(answer, call_return(call, &worker->client, 0));
        return true;
    }
    if (shape->verb != VERB_OPEN || walk->read_only || !S_ISREG(walk->status.st_mode) ||
        call_how(call->number, call->arguments).resolve != 0)
        return false;
    flags = act_open_flags(call);
    if (flags & (O_CREAT | O_PATH | O_TMPFILE))
        return false;
    answer->descriptor = open(walk->host, (int)(flags | O_NOFOLLOW));
    if (answer->descriptor < 0)
        give(answer, -errno);
    answer->close_on_exec = (flags & O_CLOEXEC) != 0;
    return true;
}

/* By descriptor alone: "" with AT_EMPTY_PATH. Whether it stands for a virtual directory. */
static bool descriptor_is_virtual(struct worker *worker, const struct view *view, int descriptor)
{
    return view->places &&
           walk_descriptor(&worker->walk, &the_shim.caller, view->table, descriptor) == 0 &&
           worker->walk.place == PLACE_NODE;
}

/* What was decided goes for our root. A caller with another one has the kernel's own names. */
static long elsewhere(struct worker *worker, long decided)
{
    return decided == VERDICT_CONTINUE || roots_are_one(worker) ? decided : VERDICT_CONTINUE;
}

/* What a shim says of a descriptor of its own. */
static bool act_told(struct worker *worker, struct answer *answer)
{
    const struct call *call = &worker->call;
    int number, descriptor;

    if (call->number != SYS_readlink || !rights_named(call->paths[0], &number))
        return false;
    descriptor = client_place(&worker->client, number);
    if (descriptor >= 0) {
        rights_look(worker, descriptor);
        close(descriptor);
    }
    give(answer, -ENOENT);
    return true;
}

long act_bring_how(struct worker *worker)
{
    struct call *call = &worker->call;
    size_t size = (size_t)call->given[3];
    struct open_how how;
    long result;

    if (size < sizeof how)
        return -EINVAL;
    result = call_bring_rest(call, &worker->client);
    if (result < 0)
        return result;
    if (syscall(SYS_openat2, -1, "", call->arguments[2], size) < 0 && errno != ENOENT)
        return -errno;
    call->arguments[3] = sizeof how;
    return how_take(&how, (const void *)call->arguments[2], size);
}

/* What the kernel would do right and is done here all the same: who makes a symlink counts it; and
 * a link of procfs may say a host's name. */
static bool has_to_be_seen(const struct worker *worker, const struct view *view, bool walked)
{
    unsigned verb = call_shapes[worker->call.number].verb;
    const char *host = worker->walk.host;
    size_t length = worker->walk.host_length;

    if (verb == VERB_MAKE_SYMLINK)
        return view->shadows || view->binds;
    return walked && verb == VERB_READLINK && view->places &&
           text_begins(host, length, "/proc/", 6) && !text_begins(host, length, "/proc/self", 10) &&
           !text_begins(host, length, "/proc/thr", 9);
}

static void act_path(struct worker *worker, struct answer *answer)
{
    struct call *call = &worker->call;
    const struct call_shape *shape = &call_shapes[call->number];
    long result = call->number == SYS_openat2 ? act_bring_how(worker) : 0;
    struct view view;
    bool walked = false;

    if (result == 0)
        result = call_bring_paths(call, &worker->client);
    if (result != 0) {
        act_bring_failed(worker, answer, result);
        return;
    }
    if (act_told(worker, answer))
        return;
    view = view_get();
    if (call->paths[0][0] == '\0') {
        bool by_descriptor =
            (shape->traits & TRAIT_EMPTY_PATH) && (call->given[shape->flags] & AT_EMPTY_PATH) &&
            descriptor_is_virtual(worker, &view, (int)call->given[shape->directory]);

        result = by_descriptor ? VERDICT_ACT : VERDICT_CONTINUE;
    } else {
        result = decide_path(worker, &view, 0, &walked);
    }
    result = elsewhere(worker, result);
    if (result < 0) {
        give(answer, result);
        return;
    }
    if (result == VERDICT_CONTINUE) {
        if (shape->verb == VERB_OPEN && swap_open(worker, act_open_flags(call), answer))
            return;
        if (!has_to_be_seen(worker, &view, walked)) {
            proceed(answer);
            return;
        }
    }
    if (shape->verb == VERB_CHDIR || shape->verb == VERB_CHROOT) {
        act_move(worker, answer);
        return;
    }
    if (!credentials_take(&worker->client)) {
        give(answer, -EPERM);
        return;
    }
    if (shape->verb == VERB_OPEN && walked && act_open_waits(worker)) {
        act_guided(answer, act_guide_path(worker, worker->walk.host));
        return;
    }
    if (call->number != SYS_openat2)
        result = call_bring_rest(call, &worker->client);
    if (result < 0)
        act_bring_failed(worker, answer, result);
    else if (!walked || !act_by_walk(worker, answer))
        act_slow(worker, answer);
}

/* ---- two paths ---- */

void act_two(struct worker *worker, struct answer *answer)
{
    const struct call *call = &worker->call;
    long result;

    if (!act_is_still_there(worker)) {
        answer->sent = true;
        return;
    }
    if (!credentials_take(&worker->client)) {
        give(answer, -EPERM);
        return;
    }
    worker->slot->step = STEP_CHANGING;
    result = repeat_settle(worker, two_paths_slow(call->number, call->arguments));
    if (result != -ESTALE)
        give(answer, result);
    else if (worker->policy == NULL)
        proceed(answer);
    else
        give(answer, -ENOENT);
}

static void act_two_paths(struct worker *worker, struct answer *answer)
{
    struct call *call = &worker->call;
    long result = call_bring_paths(call, &worker->client);
    struct view view;
    bool walked;

    if (result != 0) {
        act_bring_failed(worker, answer, result);
        return;
    }
    view = view_get();
    if (view.table == NULL && !view.places) {
        result = link_is_by_descriptor(call->number, call->arguments)
                     ? VERDICT_CONTINUE
                     : decide_path(worker, &view, 0, &walked);
        if (result == VERDICT_CONTINUE)
            result = decide_path(worker, &view, 1, &walked);
        if (result == VERDICT_CONTINUE) {
            proceed(answer);
            return;
        }
    }
    if (roots_are_one(worker))
        act_two(worker, answer);
    else
        proceed(answer);
}

/* ---- all of them ---- */

bool act_entry_decides(const struct worker *worker)
{
    const struct walk *walk = &worker->walk;
    bool names = (call_shapes[worker->call.number].traits & TRAIT_NAMES) != 0;

    if (walk->entry != NULL)
        return names || walk->entry->kind == SPACE_HIDE || walk->entry->kind == SPACE_SYMLINK;
    return names && walk->table != NULL &&
           table_has_below(walk->table, walk->name, walk->name_length);
}

void act(struct worker *worker, struct answer *answer)
{
    struct call *call = &worker->call;

    call_begin(call, &worker->slot->notification);
    if (call->number == SYS_getdents) {
        act_list(worker, answer);
        return;
    }
    /* Of a chroot the shim has decided, and we are told. */
    if (!call_is_known(call->number) ||
        (call->number == SYS_chroot && worker->slot->notification.data.args[5] == LANE_COOKIE)) {
        proceed(answer);
        return;
    }
    switch (call_kinds[call->number]) {
    case CALL_PATH:
    case CALL_ROOT:
        act_path(worker, answer);
        return;
    case CALL_TWO_PATHS:
        act_two_paths(worker, answer);
        return;
    case CALL_EXECUTE:
        act_execute(worker, answer);
        return;
    case CALL_GETCWD:
        act_getcwd(worker, answer);
        return;
    case CALL_LIST:
        act_list(worker, answer);
        return;
    case CALL_SOCKET:
        act_network(worker, answer);
        return;
    default:
        proceed(answer);
    }
}
