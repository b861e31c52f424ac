/* Would the kernel's own walk come to the place that the session's does? Asked of each path: few
 * questions to the host where the answer is yes, which is almost always. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "servers/trap/teach.h"
#include "servers/trap/worker.h"
#include "shim/core/host.h"
#include "shim/core/restrict.h"
#include "shim/core/text.h"
#include "shim/door/ways.h"

enum { TABLE_ATTEMPTS = 8 };

/* One path and how it is asked about. */
struct question {
    const struct view *view;
    const struct call_shape *shape;
    int directory;
    const char *path;
    bool follow;
    unsigned options;            /* for the walk */
    uint64_t resolve;            /* openat2's */
    char probe[PATH_LIMIT + 64]; /* the same path, as this process can name it */
    bool absolute;               /* the probe is where the path leads by its text */
};

static bool has_dots(const char *path)
{
    for (const char *at = path; *at != '\0'; at++)
        if (at[0] == '.' && at[1] == '.' && (at[2] == '/' || at[2] == '\0') &&
            (at == path || at[-1] == '/'))
            return true;
    return false;
}

static bool probe_join(struct question *question, size_t length)
{
    size_t rest = strlen(question->path);

    if (length + 1 + rest >= sizeof question->probe)
        return false;
    question->probe[length] = '/';
    memcpy(question->probe + length + 1, question->path, rest + 1);
    return true;
}

/* The link in procfs to where a relative path starts. */
static size_t start_link(const struct client *client, int directory, char *link)
{
    size_t length = strlen(client->process);

    memcpy(link, client->process, length);
    if (directory == AT_FDCWD) {
        memcpy(link + length, "/cwd", 5);
        return length + 4;
    }
    memcpy(link + length, "/fd/", 4);
    length += 4;
    length += text_put_number(link + length, (uint64_t)directory);
    link[length] = '\0';
    return length;
}

/* Where the start's name counts: put it in front, if it is the host's own and the session's. */
static bool start_put(const struct client *client, struct question *question)
{
    const struct core *core = &the_shim.core;
    char link[64];
    long length;

    if (question->directory != AT_FDCWD && question->directory < 0)
        return false;
    start_link(client, question->directory, link);
    length = host_link(link, question->probe, PATH_LIMIT);
    if (length <= 0 || question->probe[0] != '/')
        return false;
    size_t end = (size_t)length;
    if (end >= sizeof DELETED_END - 1 &&
        strcmp(question->probe + end - (sizeof DELETED_END - 1), DELETED_END) == 0)
        return false;
    if (text_begins(question->probe, end, core->session, core->session_length) ||
        (question->view->table != NULL &&
         table_bind_of_host(question->view->table, question->probe, end) != NULL))
        return false;
    question->absolute = probe_join(question, end == 1 ? 0 : end);
    return question->absolute;
}

/* Name the path for this process. False: only the walk can. */
static bool probe_make(const struct client *client, struct question *question)
{
    const struct view *view = question->view;

    if (question->path[0] == '/') {
        /* procfs has names that mean another process to each. */
        if (text_begins(question->path, strlen(question->path), "/proc", 5))
            return false;
        strcpy(question->probe, question->path);
        question->absolute = true;
        return true;
    }
    if (question->path[0] == '\0')
        return false;
    if (view->shadows || view->places || has_dots(question->path))
        return start_put(client, question);
    if (question->directory != AT_FDCWD && question->directory < 0)
        return false;
    return probe_join(question, start_link(client, question->directory, question->probe));
}

static bool is_record(const char *path, const struct stat *status)
{
    char start[RECORD_START_LENGTH + 1];
    ssize_t got;

    if ((size_t)status->st_size < RECORD_LENGTH_MIN)
        return false;
    got = readlink(path, start, sizeof start);
    return got > 0 && text_begins(start, (size_t)got, RECORD_START, RECORD_START_LENGTH);
}

/* Of what is not there, or seems not to be: whether no symlink is on the way, which the kernel
 * could have been led astray by. */
static bool missing_is_plain(const struct question *question)
{
    long direct;

    if (!question->absolute)
        return false;
    direct = path_is_direct(AT_FDCWD, question->probe, question->follow);
    return direct == -ENOENT || direct == -ENOTDIR;
}

/* The quick answer: true, the kernel's walk is right; false: not known. */
static bool is_plain(struct worker *worker, struct question *question)
{
    const struct view *view = question->view;
    struct stat *status = &worker->status;
    long result;

    if (view->table != NULL) {
        if (question->shape->traits & TRAIT_NAMES)
            return false;
        if (table_has_read_only(view->table) &&
            (question->shape->traits & TRAIT_CHANGES || question->shape->verb == VERB_OPEN ||
             question->shape->verb == VERB_ACCESS))
            return false;
    }
    /* What a link of procfs says may have another name here. */
    if (question->shape->verb == VERB_READLINK && view->places)
        return false;
    /* By another root the path's text, and that of a symlink, is another place. */
    if (question->resolve & RESOLVE_IN_ROOT)
        return false;
    if (!probe_make(&worker->client, question))
        return false;
    if (text_find(view, AT_FDCWD, question->absolute ? question->probe : question->path) ==
        TEXT_TABLE)
        return false;
    if (view->shadows && !way_is_plain(view, AT_FDCWD, question->probe))
        return false;
    result = host_status(question->probe, status);
    if (result == 0) {
        worker->status_known = true;
        if (!S_ISLNK(status->st_mode))
            return true;
        if (is_record(question->probe, status))
            return false;
        if (!question->follow)
            return true;
        if (view->shadows)
            return way_is_known(
                way_number(view, WAY_FOLLOWED, AT_FDCWD, question->probe, strlen(question->probe)));
        return stat(question->probe, status) == 0;
    }
    if (result == -ENOENT || result == -ENOTDIR)
        return view->shadows || missing_is_plain(question);
    /* A start that we may not go by says nothing of what is behind it; nor does a name that is too
     * long with the start's in front of it. */
    return result != -ELOOP && result != -ENAMETOOLONG && (result != -EACCES || question->absolute);
}

/* Walk, by a table that holds still. */
static long walk_take(struct worker *worker, const struct question *question)
{
    struct walk *walk = &worker->walk;
    long result = -EAGAIN;

    for (unsigned i = 0; i < TABLE_ATTEMPTS && result == -EAGAIN; i++) {
        struct view view = view_get();

        result = walk_path(walk, &the_shim.caller, view.table, question->directory, question->path,
                           question->options);
        if (view.table != NULL && !table_still(&the_shim.core, view.generation)) {
            result = -EAGAIN;
            continue;
        }
        if (result == 0 && question->absolute && question->resolve == 0)
            way_learn_walk(&view, AT_FDCWD, question->probe, walk);
        break;
    }
    return result;
}

/* By the walk. */
static long walk_judge(struct worker *worker, const struct question *question)
{
    const struct walk *walk = &worker->walk;
    long result = walk_take(worker, question);

    if (result == -ESTALE)
        return VERDICT_CONTINUE;
    if (result < 0)
        return walk->touched ? result : VERDICT_CONTINUE;
    if (walk->touched || walk->entry != NULL || walk->place != PLACE_HOST)
        return VERDICT_ACT;
    if ((question->shape->traits & TRAIT_NAMES) && walk->table != NULL &&
        table_has_below(walk->table, walk->name, walk->name_length))
        return VERDICT_ACT;
    return VERDICT_CONTINUE;
}

static struct question *question_make(const struct worker *worker, const struct view *view,
                                      unsigned which)
{
    static struct question question;
    const struct call *call = &worker->call;
    const struct call_shape *shape = &call_shapes[call->number];
    int directory = which == 0 ? shape->directory : shape->directory2;

    question.view = view;
    question.shape = shape;
    question.directory = directory >= 0 ? (int)call->given[directory] : AT_FDCWD;
    question.path = call->paths[which];
    question.options = call_options(call->number, call->arguments);
    if (which > 0)
        question.options &= ~(unsigned)WALK_FOLLOW;
    question.follow = (question.options & WALK_FOLLOW) != 0;
    question.resolve = question.options >> WALK_RESOLVE_AT;
    question.absolute = false;
    return &question;
}

long decide_path(struct worker *worker, const struct view *view, unsigned which, bool *walked)
{
    struct question *question = question_make(worker, view, which);

    worker->status_known = false;
    *walked = false;
    if (is_plain(worker, question))
        return VERDICT_CONTINUE;
    *walked = true;
    return walk_judge(worker, question);
}

/* Say where the ways start that are noted next, and what the path's text says without symlinks.
 * NULL: what starts there is not remembered. */
static const char *start_teach(const struct worker *worker, struct question *question)
{
    const char *path = question->path;
    struct stat status;
    char link[64];
    size_t length;

    if (path[0] == '/') /* procfs has names that mean another process to each */
        return text_begins(path, strlen(path), "/proc", 5) ? NULL : path;
    if (!start_put(&worker->client, question))
        return NULL;
    if (question->directory == AT_FDCWD) {
        length = strlen(question->probe) - strlen(path) - 1;
        ways_start_at(length == 0 ? "/" : question->probe, length == 0 ? 1 : length);
        return question->probe;
    }
    start_link(&worker->client, question->directory, link);
    /* The same directory may be had by another name, a bind's. What is below it without a symlink
     * is the same all the same. */
    if (stat(link, &status) != 0 || strcmp(worker->walk.host, question->probe) != 0)
        return NULL;
    ways_start_in(&status);
    return question->probe;
}

/* Note for the confined program what it can't find out, so that it need not ask again. */
static void walk_teach(const struct worker *worker, const struct view *view,
                       struct question *question, bool found)
{
    const char *whole = the_shim.teaches ? start_teach(worker, question) : NULL;
    int verb = question->shape->verb;

    /* Who renames one file has often more to rename: of what is known to be a file that need not be
     * asked. */
    bool names = verb == VERB_STAT || verb == VERB_ACCESS || verb == VERB_READLINK ||
                 call_kinds[worker->call.number] == CALL_TWO_PATHS;

    if (whole != NULL)
        teach(view, question->path, whole, &worker->walk, found, names);
    ways_start_at(NULL, 0);
}

long decide_walk(struct worker *worker, const struct view *view, unsigned which, bool *touched)
{
    struct question *question = question_make(worker, view, which);
    const struct walk *walk = &worker->walk;
    long result;

    worker->status_known = false;
    result = walk_take(worker, question);
    if (result == -ESTALE)
        return -ENOENT;
    *touched = walk->touched || walk->entry != NULL || walk->place != PLACE_HOST;
    /* That nothing is there is worth knowing, too: the kernel will say when something is. */
    if ((result == 0 || result == -ENOENT) && !*touched && question->resolve == 0)
        walk_teach(worker, view, question, result == 0 && !walk->missing);
    return result;
}
