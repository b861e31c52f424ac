/* What can be told of a node without its translator. */
#include "servers/fs/node.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

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
        if (translator->is_told)
            attributes = translator->told;
        else if (stat(path, &status) == 0)
            attributes_fill(&status, &attributes);
        else
            return errno;
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

bool node_answered_here(const struct translator *translator, const Hirsel__NodeRequest *request,
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

bool node_answered_underlying(const struct translator *translator,
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
