/* The calls of a confined tree. What Landlock checks again may be left to the kernel: opens, and
 * what makes, takes away and renames names. All else is done here, on a descriptor of the place
 * that the path led to, if the policy allows it there: the caller's memory may change at any time,
 * what is held does not. */
#include "servers/trap/confine.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "servers/trap/act.h"
#include "servers/trap/changes.h"
#include "servers/trap/credentials.h"
#include "servers/trap/policy.h"
#include "servers/trap/swap.h"
#include "shim/core/lane.h"
#include "shim/core/text.h"
#include "shim/door/ways.h"

static void refuse(struct answer *answer, long error)
{
    answer->refused = true;
    answer->result = error;
}

void confine_give(struct answer *answer, long result)
{
    if (result == -EACCES || result == -EPERM)
        refuse(answer, result);
    else
        answer->result = result;
}

/* ---- one path ---- */

/* libc's and ld.so's fstat, which names no path: what the descriptor tells is its owner's. */
static bool status_plain(struct worker *worker, long *result)
{
    const struct call *call = &worker->call;
    int file;

    if (call->number != SYS_newfstatat || (int)call->given[0] < 0)
        return false;
    file = (int)client_descriptor(&worker->client, (int)call->given[0]);
    if (file < 0)
        return false;
    *result = fstat(file, (struct stat *)call->arguments[2]) == 0 ? 0 : -errno;
    close(file);
    return true;
}

/* By descriptor alone: "" with AT_EMPTY_PATH, or no path at all. */
static long run_descriptor(struct worker *worker)
{
    const struct call *call = &worker->call;
    const struct call_shape *shape = &call_shapes[call->number];
    int directory = shape->directory >= 0 ? (int)call->given[shape->directory] : AT_FDCWD;
    struct walk *walk = &worker->walk;
    struct view view;
    struct hold hold;
    long result;

    if (status_plain(worker, &result))
        return result;
    view = view_get();
    if (directory == AT_FDCWD ||
        __atomic_load_n(&the_shim.core.header->placeholders, __ATOMIC_RELAXED)) {
        result = walk_descriptor(walk, &the_shim.caller, view.table, directory);
        walk->status.st_mode = S_IFDIR;
        if (result == 0 && !the_shim.core.bare &&
            (directory == AT_FDCWD || walk->place == PLACE_NODE))
            return path_walked(walk, call->number, call->arguments);
        /* Removed. What is so of its own is no secret to it. */
        if (result != 0 && result != -ESTALE && directory == AT_FDCWD)
            return result;
    }
    result = hold_take_descriptor(worker, directory, &hold);
    if (result < 0)
        return result;
    result = confine_held(worker, &hold, call->arguments);
    hold_give(&hold);
    return result;
}

static bool is_by_descriptor(const struct call *call, long brought)
{
    const struct call_shape *shape = &call_shapes[call->number];

    if (brought == 1)
        return (shape->traits & TRAIT_NULL_PATH) != 0;
    if (call->paths[0][0] != '\0')
        return false;
    if (call->number == SYS_readlinkat)
        return (int)call->given[0] != AT_FDCWD; /* of a symlink that is open as O_PATH */
    return (shape->traits & TRAIT_EMPTY_PATH) && (call->given[shape->flags] & AT_EMPTY_PATH);
}

/* What a walk's failure tells of places that the policy does not show: nothing. */
static long walk_failed(struct worker *worker, long error)
{
    const struct walk *walk = &worker->walk;

    return walk->place == PLACE_HOST && walk->host_length > 0 &&
                   !fence_policy_shows(&worker->policy->rules, walk->host)
               ? hold_hide(worker)
               : error;
}

/* An open that Landlock checks again, as the caller makes it. */
static bool open_is_checked(const struct worker *worker, unsigned flags)
{
    return worker->policy->landlock >= 3 && !(flags & O_PATH) && (flags & O_ACCMODE) != O_ACCMODE;
}

static void act_checked(struct worker *worker, struct answer *answer)
{
    act_slow(worker, answer);
    if (!answer->sent && answer->descriptor < 0)
        confine_give(answer, answer->result);
}

static void confine_open(struct worker *worker, struct answer *answer, bool touched)
{
    unsigned flags = act_open_flags(&worker->call);
    const struct walk *walk = &worker->walk;
    bool checked = open_is_checked(worker, flags);
    /* Its flags are in memory: what was looked at is not what the kernel would read, and of O_PATH
     * Landlock says nothing. What only the caller can do it does as openat. */
    bool wide = worker->call.number == SYS_openat2;
    bool own = text_begins(walk->host, walk->host_length, "/proc/", 6) ||
               text_begins(walk->host, walk->host_length, "/dev/pts/", 9);

    /* What Landlock checks goes to the kernel. But it does not know that a descriptor's file is the
     * caller's already. */
    if (!touched && checked && !own && !wide) {
        answer->proceed = true;
        return;
    }
    if ((touched || wide) && checked && act_open_waits(worker)) {
        act_guided(answer, act_guide_path(worker, walk->host));
        return;
    }
    act_checked(worker, answer);
    if (answer->refused && answer->result == -EACCES && own && !touched && checked) {
        answer->refused = false;
        /* A device, a terminal of its own: Landlock knows. */
        if (wide)
            act_guided(answer, act_guide_path(worker, walk->host));
        else
            answer->proceed = true;
    }
}

long confine_shows(struct worker *worker)
{
    struct hold hold;
    long result = hold_take(worker, &worker->walk, &hold);

    if (result == 0)
        hold_give(&hold);
    return result;
}

/* chdir, chroot. */
static void confine_move(struct worker *worker, struct answer *answer, bool touched)
{
    long result = confine_shows(worker);

    if (result < 0)
        confine_give(answer, result);
    else if (worker->call.number == SYS_chroot)
        refuse(answer, -EPERM);
    else if (touched)
        act_move(worker, answer); /* it confers nothing */
    else
        answer->proceed = true;
}

static void confine_place(struct worker *worker, struct answer *answer, bool touched)
{
    const struct call_shape *shape = &call_shapes[worker->call.number];

    if (shape->verb == VERB_OPEN)
        confine_open(worker, answer, touched);
    else if (shape->verb == VERB_CHDIR || shape->verb == VERB_CHROOT)
        confine_move(worker, answer, touched);
    else if ((shape->traits & TRAIT_NAMES) && !touched && worker->policy->landlock > 0 &&
             shape->verb != VERB_MAKE_SYMLINK)
        answer->proceed = true;
    else /* a new symlink may lead known ways elsewhere: only once it is there can that be told */
        act_checked(worker, answer);
    if (shape->verb == VERB_MAKE_SYMLINK && answer->result == 0)
        changes_tell();
}

/* The tree has a directory of its own where others share memory: a name there leads into it. Not
 * where the name space has something there. True: it was one. */
static bool memory_map(const struct worker *worker, const struct view *view, char path[PATH_LIMIT])
{
    const size_t start = sizeof FENCE_MEMORY - 1;
    const char *own = worker->policy->rules.memory;
    size_t length, rest;

    if (own == NULL || strncmp(path, FENCE_MEMORY, start) != 0 ||
        (path[start] != '/' && path[start] != '\0') || strstr(path, "/..") != NULL ||
        (view->table != NULL && text_find(view, AT_FDCWD, path) == TEXT_TABLE))
        return false;
    length = strlen(own);
    rest = strlen(path + start);
    if (length + rest >= PATH_LIMIT)
        return false;
    memmove(path + length, path + start, rest + 1);
    memcpy(path, own, length);
    return true;
}

/* Whether a path that begins at the root begins at the caller's, and may cross a mount. */
static bool memory_is_meant(const struct call *call)
{
    return !(call_options(call->number, call->arguments) >> WALK_RESOLVE_AT &
             (RESOLVE_IN_ROOT | RESOLVE_NO_XDEV));
}

/* By this a shim finds out that it is in a confined tree, where the look that it takes with this
 * call at a path would be asked about, too. A program's own does not go by the lane. */
static bool is_shims_look(const struct worker *worker)
{
    const struct seccomp_data *data = &worker->slot->notification.data;

    return data->nr == SYS_openat2 && data->args[5] == LANE_COOKIE;
}

static void confine_path(struct worker *worker, struct answer *answer)
{
    struct call *call = &worker->call;
    const struct call_shape *shape = &call_shapes[call->number];
    bool wide = call->number == SYS_openat2;
    long result = wide ? act_bring_how(worker) : 0;
    long brought = result < 0 ? result : call_bring_paths(call, &worker->client);
    struct view view;
    bool touched, mapped;

    if (!wide || brought < 0)
        result = brought < 0 ? brought : call_bring_rest(call, &worker->client);
    if (result < 0 || (brought == 1 && !is_by_descriptor(call, brought))) {
        act_bring_failed(worker, answer, result < 0 ? result : -EFAULT);
        return;
    }
    if (!act_is_still_there(worker)) {
        answer->sent = true;
        return;
    }
    if (is_by_descriptor(call, brought)) {
        confine_give(answer, call_return(call, &worker->client, run_descriptor(worker)));
        return;
    }
    if (confine_program_asked(worker, answer))
        return;
    view = view_get();
    mapped = memory_is_meant(call) && memory_map(worker, &view, call->paths[0]);
    result = decide_walk(worker, &view, 0, &touched);
    touched = touched || mapped;
    if (result < 0) {
        answer->result = walk_failed(worker, result);
        return;
    }
    if (!touched && shape->verb == VERB_OPEN && swap_open(worker, act_open_flags(call), answer))
        return;
    if (worker->walk.place == PLACE_HOST && !act_entry_decides(worker)) {
        confine_place(worker, answer, touched);
        return;
    }
    if (shape->verb == VERB_CHDIR)
        act_move(worker, answer);
    else
        act_slow(worker, answer);
}

/* Whether what the walk is at may lead known ways elsewhere when it has another name: anything but
 * a file. */
static bool pair_moves_ways(const struct worker *worker)
{
    const struct call *call = &worker->call;

    if (worker->walk.missing)
        return false;
    return !S_ISREG(worker->walk.status.st_mode) ||
           (call->number == SYS_renameat2 && (call->given[4] & RENAME_EXCHANGE));
}

static void confine_two_paths(struct worker *worker, struct answer *answer)
{
    struct call *call = &worker->call;
    long result = call_bring_paths(call, &worker->client);
    struct view view;
    bool touched, plain = worker->policy->landlock > 0, host = true, moves = false, nameless;

    if (result != 0) {
        act_bring_failed(worker, answer, result == 1 ? -EFAULT : result);
        return;
    }
    view = view_get();
    nameless = link_is_by_descriptor(call->number, call->arguments);
    /* An object lies behind a bind or not, whatever its name says; and what the caller has open may
     * be the trap server's to link. */
    if (nameless ||
        (call->number == SYS_linkat && view.binds && (call->given[4] & AT_SYMLINK_FOLLOW)))
        plain = false;
    for (unsigned which = nameless; which < 2 && result >= 0; which++) {
        plain = !memory_map(worker, &view, call->paths[which]) && plain;
        result = decide_walk(worker, &view, which, &touched);
        host = host && worker->walk.place == PLACE_HOST;
        plain = plain && !touched;
        if (which == 0)
            moves = pair_moves_ways(worker);
    }
    if (result < 0 && walk_failed(worker, result) != result) {
        answer->result = -ENOENT;
    } else if (result == 0 && plain && !moves) {
        answer->proceed = true; /* Landlock checks it */
    } else {
        act_two(worker, answer);
        if (host && !answer->sent)
            confine_give(answer, answer->result);
    }
    if (moves) {
        ways_changed();
        changes_tell();
    }
}

/* ---- others ---- */

/* fchmod, fchown, fsetxattr, fremovexattr: the descriptor may be open for reading only. Done on
 * what it is open on now, by the name that procfs gives that. */
static long descriptor_run(const struct worker *worker, const struct hold *hold)
{
    const long *arguments = worker->call.arguments;
    long number;

    switch (worker->call.number) {
    case SYS_fchmod:
        number = SYS_chmod;
        break;
    case SYS_fchown:
        number = SYS_chown;
        break;
    case SYS_fsetxattr:
        number = SYS_setxattr;
        break;
    default:
        number = SYS_removexattr;
    }
    return system_call(number, (long)hold->link, arguments[1], arguments[2], arguments[3],
                       arguments[4], 0);
}

static void confine_descriptor(struct worker *worker, struct answer *answer)
{
    struct hold hold;
    long result = call_bring_rest(&worker->call, &worker->client);

    if (result < 0) {
        act_bring_failed(worker, answer, result);
        return;
    }
    result = hold_take_descriptor(worker, (int)worker->call.given[0], &hold);
    if (result == 0) {
        result = hold_allows(worker, &hold, FENCE_WRITE);
        if (result == 0)
            result = descriptor_run(worker, &hold);
        hold_give(&hold);
    }
    confine_give(answer, result);
}

static void confine_other(struct worker *worker, struct answer *answer)
{
    switch (worker->call.number) {
    case SYS_fchmod:
    case SYS_fchown:
    case SYS_fsetxattr:
    case SYS_fremovexattr:
        confine_descriptor(worker, answer);
        return;
    case SYS_kill:
    case SYS_tkill:
    case SYS_tgkill:
    case SYS_rt_sigqueueinfo:
    case SYS_rt_tgsigqueueinfo:
    case SYS_setpriority:
    case SYS_ioprio_set:
    case SYS_sched_setparam:
    case SYS_sched_setscheduler:
    case SYS_sched_setaffinity:
    case SYS_sched_setattr:
    case SYS_prlimit64:
        confine_process(worker, answer);
        return;
    case SYS_getdents:
        act_list(worker, answer);
        return;
    default:
        refuse(answer, -ENOSYS);
    }
}

bool confine_network_is_own(void)
{
    return __atomic_load_n(&the_shim.core.net->mode, __ATOMIC_RELAXED) != SPACE_NET_HOST;
}

void confine(struct worker *worker, struct answer *answer)
{
    struct call *call = &worker->call;
    uint32_t verdict;

    call_begin(call, &worker->slot->notification);
    verdict = fence_program_verdict(&worker->policy->programs[confine_network_is_own()],
                                    &worker->slot->notification.data);
    if ((verdict & SECCOMP_RET_ACTION_FULL) == SECCOMP_RET_ERRNO) {
        refuse(answer, -(long)(verdict & SECCOMP_RET_DATA));
        return;
    }
    if (!credentials_take(&worker->client)) {
        refuse(answer, -EPERM);
        return;
    }
    if (!call_is_known(call->number)) {
        confine_other(worker, answer);
        return;
    }
    switch (call_kinds[call->number]) {
    case CALL_PATH:
    case CALL_ROOT:
        if (is_shims_look(worker))
            refuse(answer, -ENOSYS);
        else
            confine_path(worker, answer);
        return;
    case CALL_TWO_PATHS:
        confine_two_paths(worker, answer);
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
        confine_network(worker, answer);
        return;
    case CALL_FCHDIR:
    case CALL_FSTAT:
    case CALL_FSTATFS:
        answer->proceed = true; /* their own descriptors */
        return;
    default:
        confine_other(worker, answer);
    }
}
