/* Whose node it is that a request is for. */
#include "servers/fs/node.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

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

int node_by_record(struct fs *fs, uint64_t space, const Hirsel__NodeRecord *wire,
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

int node_by_id(const struct fs *fs, uint64_t space, uint64_t id, struct translator **translator)
{
    *translator = life_find(&fs->life, id);
    if (!*translator || !(space_descends(&fs->names, space, (*translator)->space) ||
                          space_descends(&fs->names, (*translator)->space, space)))
        return ENOENT;
    return 0;
}
