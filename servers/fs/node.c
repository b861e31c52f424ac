/* Requests for nodes: whose they are, what can be told without starting a translator, and passing
 * on the rest. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "servers/fs/fs.h"

/* ---- what fs answers by itself ---- */

static void attributes_fill(const struct stat *status, Hirsel__Attributes *attributes)
{
    attributes->device = status->st_dev;
    attributes->inode = status->st_ino;
    attributes->mode = status->st_mode;
    attributes->links = status->st_nlink;
    attributes->user = status->st_uid;
    attributes->group = status->st_gid;
    attributes->special = status->st_rdev;
    attributes->size = (uint64_t)status->st_size;
    attributes->blocks = (uint64_t)status->st_blocks;
    attributes->block_size = (uint32_t)status->st_blksize;
    attributes->access_seconds = status->st_atim.tv_sec;
    attributes->access_nanoseconds = (uint32_t)status->st_atim.tv_nsec;
    attributes->change_seconds = status->st_ctim.tv_sec;
    attributes->change_nanoseconds = (uint32_t)status->st_ctim.tv_nsec;
    attributes->modify_seconds = status->st_mtim.tv_sec;
    attributes->modify_nanoseconds = (uint32_t)status->st_mtim.tv_nsec;
}

static int stand_in_answer(const struct translator *translator, uint32_t operation, uint32_t mode,
                           struct reply *reply)
{
    Hirsel__NodeReply answer = HIRSEL__NODE_REPLY__INIT;
    Hirsel__Attributes attributes = HIRSEL__ATTRIBUTES__INIT;
    char path[PATH_MAX];
    struct stat status;
    struct statfs filesystem;
    int error = life_stand_in(translator, path);

    if (error)
        return error;
    answer.translator = translator->id;
    switch (operation) {
    case HIRSEL__NODE_OPERATION__NODE_STAT:
        if (stat(path, &status) < 0)
            return errno;
        attributes_fill(&status, &attributes);
        answer.attributes = &attributes;
        break;
    case HIRSEL__NODE_OPERATION__NODE_ACCESS:
        if (faccessat(AT_FDCWD, path, (int)(mode & 7), AT_EACCESS) < 0)
            return errno;
        break;
    case HIRSEL__NODE_OPERATION__NODE_FILESYSTEM:
        if (statfs(path, &filesystem) < 0)
            return errno;
        answer.filesystem.data = (uint8_t *)&filesystem;
        answer.filesystem.len = sizeof(filesystem);
        break;
    default:
        break;
    }
    rpc_reply(reply, &answer.base, NULL, 0);
    return 0;
}

/* What asks only for the node itself and not for what the translator makes of it: a stat or an ls
 * starts nothing. False: the translator must be asked. */
static bool answered_here(const struct translator *translator, const Hirsel__NodeRequest *request,
                          uint32_t operation, struct reply *reply)
{
    int error = 0;

    if (request->path.len > 0)
        return false;
    switch (operation) {
    case HIRSEL__NODE_OPERATION__NODE_STAT:
    case HIRSEL__NODE_OPERATION__NODE_ACCESS:
    case HIRSEL__NODE_OPERATION__NODE_FILESYSTEM:
        error = stand_in_answer(translator, operation, request->mode, reply);
        if (error)
            reply_error(reply, error);
        return true;
    case HIRSEL__NODE_OPERATION__NODE_READLINK:
        reply_error(reply, EINVAL);
        return true;
    case HIRSEL__NODE_OPERATION__NODE_CHANGE:
        switch (request->change) {
        case HIRSEL__NODE_CHANGE__CHANGE_MAKE_DIRECTORY:
        case HIRSEL__NODE_CHANGE__CHANGE_MAKE_NODE:
        case HIRSEL__NODE_CHANGE__CHANGE_SYMLINK:
            reply_error(reply, EEXIST);
            return true;
        case HIRSEL__NODE_CHANGE__CHANGE_UNLINK:
        case HIRSEL__NODE_CHANGE__CHANGE_REMOVE_DIRECTORY:
        case HIRSEL__NODE_CHANGE__CHANGE_RENAME:
            reply_error(reply, EBUSY); /* as for a mount point */
            return true;
        default:
            return false;
        }
    default:
        return false;
    }
}

/* The translator's own process asks for its own node. What it can mean is the file that the node
 * stands in front of: an archive set on itself. False: there is none. */
static bool underlying_answered(const struct translator *translator,
                                const Hirsel__NodeRequest *request, uint32_t operation,
                                struct reply *reply)
{
    Hirsel__NodeReply answer = HIRSEL__NODE_REPLY__INIT;
    Hirsel__Attributes attributes = HIRSEL__ATTRIBUTES__INIT;
    int flags = (int)(request->flags & (O_ACCMODE | O_APPEND));
    bool opened = operation == HIRSEL__NODE_OPERATION__NODE_OPEN;
    int descriptor = -1;
    struct stat status;

    if (!translator->active || request->path.len > 0 ||
        (!opened && operation != HIRSEL__NODE_OPERATION__NODE_STAT) ||
        lstat(translator->host_path, &status) < 0 || !S_ISREG(status.st_mode))
        return false;
    if (opened) {
        /* Not to wait, if it was exchanged for a FIFO since. */
        descriptor =
            open(translator->host_path, flags | O_CLOEXEC | O_NOCTTY | O_NOFOLLOW | O_NONBLOCK);
        if (descriptor < 0) {
            reply_error(reply, errno);
            return true;
        }
    }
    attributes_fill(&status, &attributes);
    answer.attributes = &attributes;
    answer.translator = translator->id;
    rpc_reply(reply, &answer.base, &descriptor, opened ? 1 : 0);
    if (opened)
        close(descriptor);
    return true;
}

/* ---- going away by request ---- */

struct leaving {
    struct stopper stopper;
    struct reply *reply;
};

static void left(struct stopper *stopper, int error)
{
    struct leaving *leaving = (struct leaving *)stopper;

    if (error)
        reply_error(leaving->reply, error);
    else
        rpc_reply(leaving->reply, NULL, NULL, 0);
    free(leaving);
}

static void go_away(struct translator *translator, bool force, struct reply *reply)
{
    struct leaving *leaving = calloc(1, sizeof(*leaving));

    if (!leaving) {
        reply_error(reply, ENOMEM);
        return;
    }
    leaving->stopper.force = force;
    leaving->stopper.stopped = left;
    leaving->reply = reply;
    life_stop(translator, &leaving->stopper);
}

/* ---- which translator ---- */

/* The record is there, as the asker says: what a translator is started in is taken from it. These
 * host calls are made once for each node and session. */
static int record_check(const Hirsel__NodeRecord *record, const char *host_path)
{
    char text[RECORD_TEXT_MAX + 1];
    struct stat status;
    ssize_t length;

    if (fstatat(AT_FDCWD, host_path, &status, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT) < 0)
        return errno;
    if (status.st_dev != record->device || status.st_ino != record->inode)
        return ENOENT;
    length = readlink(host_path, text, sizeof(text));
    if (length < 0)
        return errno == EINVAL ? ENOENT : errno;
    return (size_t)length == record->text.len &&
                   memcmp(text, record->text.data, record->text.len) == 0
               ? 0
               : ENOENT;
}

/* A node's names, as the asker has them. */
struct node_names {
    char host[NAME_PATH_SIZE];
    char session[NAME_PATH_SIZE];
    char directory[NAME_PATH_SIZE];
    char text[RECORD_TEXT_MAX + 1];
};

/* The plan of a translator with this record. `names` must outlive it. */
static int record_plan(const struct fs *fs, uint64_t space_id, const Hirsel__NodeRecord *wire,
                       const struct record *record, struct node_names *names,
                       struct translator_plan *plan)
{
    const struct space *space = space_find(&fs->names, space_id);
    int error = space ? 0 : ENOENT;

    if (!error)
        error = name_absolute(wire->host_path.data, wire->host_path.len, names->host);
    if (!error)
        error = name_normalise(names->host);
    if (!error && names->host[1] == '\0')
        error = EINVAL;
    if (!error)
        error = record_check(wire, names->host);
    if (error)
        return error;
    *plan = (struct translator_plan){
        .space = space_id,
        .path = entries_session(&space->entries, names->host, names->session),
        .host_path = names->host,
        .directory = names->directory,
        .record = record,
        .device = wire->device,
        .inode = wire->inode,
        .text = names->text};
    if (!plan->path)
        return ENAMETOOLONG;
    strcpy(names->directory, names->host);
    names->directory[name_last(names->host) - names->host] = '\0';
    memcpy(names->text, wire->text.data, wire->text.len);
    names->text[wire->text.len] = '\0';
    return 0;
}

/* The symlink was renamed, or one of its directories: the node has another name now. */
static int record_moved(const struct fs *fs, const Hirsel__NodeRecord *wire,
                        struct translator *translator)
{
    struct translator_plan plan;
    struct node_names names;
    int error = record_plan(fs, translator->space, wire, &translator->record, &names, &plan);

    return error ? error : life_change(translator, &plan);
}

static int translator_by_record(struct fs *fs, uint64_t space, const Hirsel__NodeRecord *wire,
                                struct translator **translator)
{
    struct translator_plan plan;
    struct record record;
    struct node_names names;
    int error;

    *translator = life_find_record(&fs->life, space, wire->device, wire->inode,
                                   (const char *)wire->text.data, wire->text.len);
    if (*translator && strlen((*translator)->host_path) == wire->host_path.len &&
        memcmp((*translator)->host_path, wire->host_path.data, wire->host_path.len) == 0)
        return 0; /* its seal was right when it became known */
    if (*translator)
        return record_moved(fs, wire, *translator);
    error = record_parse(&fs->names.seal, (const char *)wire->text.data, wire->text.len, &record);
    if (error)
        return ENOKEY;
    error = record_plan(fs, space, wire, &record, &names, &plan);
    if (!error)
        error = life_add(&fs->life, &plan, translator);
    record_free(&record);
    return error;
}

/* A translator that the asker may have met: in its own space, in one that its own was copied from
 * (it may stand in a directory of it), or in a copy of its own. */
static int translator_by_id(const struct fs *fs, uint64_t space, uint64_t id,
                            struct translator **translator)
{
    *translator = life_find(&fs->life, id);
    if (!*translator || !(space_descends(&fs->names, space, (*translator)->space) ||
                          space_descends(&fs->names, (*translator)->space, space)))
        return ENOENT;
    return 0;
}

static int request_check(const Hirsel__NodeRequest *request, uint32_t operation)
{
    int error = name_below(request->path.data, request->path.len);

    if (error || operation != HIRSEL__NODE_OPERATION__NODE_CHANGE)
        return error;
    if (request->change == HIRSEL__NODE_CHANGE__CHANGE_RENAME ||
        request->change == HIRSEL__NODE_CHANGE__CHANGE_LINK)
        return name_below(request->other.data, request->other.len);
    if (request->other.len >= NAME_PATH_SIZE)
        return ENAMETOOLONG;
    return request->other.len && memchr(request->other.data, '\0', request->other.len) ? EINVAL : 0;
}

void node_request(struct port *port, ProtobufCMessage *body, struct msg *raw, struct reply *reply,
                  void *context)
{
    Hirsel__NodeRequest *request = (Hirsel__NodeRequest *)body;
    struct fs *fs = fs_of(context);
    const struct asker *asker = asker_of(port);
    uint64_t space = asker_space_for(fs, asker, request->space);
    struct translator *translator = NULL;
    bool self;
    int error;

    if (!reply)
        return;
    error = request_check(request, raw->operation);
    if (!error && request->translator)
        error = translator_by_id(fs, space, request->translator, &translator);
    else if (!error && request->record)
        error = translator_by_record(fs, space, request->record, &translator);
    else if (!error)
        error = EINVAL;
    if (error) {
        reply_error(reply, error);
        return;
    }
    /* Its own process asks: what it waits for here it can't serve meanwhile. */
    self = asker->guarded && asker->guarded == translator->pid;
    if (self && underlying_answered(translator, request, raw->operation, reply))
        return;
    if ((translator->state != TRANSLATOR_RUNNING || self) &&
        answered_here(translator, request, raw->operation, reply))
        return;
    if (raw->operation == HIRSEL__NODE_OPERATION__NODE_GO_AWAY) {
        go_away(translator, request->flags & 1, reply);
        return;
    }
    if (raw->operation == HIRSEL__NODE_OPERATION__NODE_OPEN && translator->record.kind == 'd')
        spaces_mark_placeholders(&fs->names);
    life_pass(translator, raw, reply, space, asker->guarded);
}
