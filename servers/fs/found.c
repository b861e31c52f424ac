#include "servers/fs/found.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

int found_find(struct fs *fs, const struct space *space, pid_t self, ProtobufCBinaryData path,
               struct found *found)
{
    char text[NAME_PATH_SIZE];
    const struct entry *entry;
    struct record record;
    ssize_t length;
    int error;

    found->kind = FOUND_OTHER;
    found->translator = NULL;
    error = name_absolute(path.data, path.len, text);
    if (!error)
        error = place_find(&fs->names, space, self, text, &found->place);
    if (error)
        return error;
    entry = entries_at(&space->entries, found->place.path);
    if (entry) {
        if (entry->kind != SPACE_NODE)
            return EBUSY;
        found->kind = FOUND_ENTRY;
        found->translator = life_find(&fs->life, entry->translator);
        return 0;
    }
    if (!found->place.told || !S_ISLNK(found->place.status.st_mode))
        return 0;
    length = readlink(found->place.host, found->text, sizeof(found->text));
    if (length < 0 || length >= (ssize_t)sizeof(found->text))
        return 0;
    found->text[length] = '\0';
    if (record_parse(&fs->names.seal, found->text, (size_t)length, &record))
        return 0;
    record_free(&record);
    found->kind = FOUND_RECORD;
    found->translator = life_find_record(&fs->life, space->id, found->place.status.st_dev,
                                         found->place.status.st_ino, found->text, (size_t)length);
    return 0;
}

int found_know(struct fs *fs, const struct space *space, struct found *found)
{
    struct translator_plan plan = {.space = space->id,
                                   .path = found->place.path,
                                   .host_path = found->place.host,
                                   .directory = found->place.directory,
                                   .device = found->place.status.st_dev,
                                   .inode = found->place.status.st_ino,
                                   .text = found->text};
    struct record record;
    int error;

    if (found->translator)
        return 0;
    if (found->kind != FOUND_RECORD)
        return ENOENT;
    error = record_parse(&fs->names.seal, found->text, strlen(found->text), &record);
    if (error)
        return error;
    plan.record = &record;
    error = life_add(&fs->life, &plan, &found->translator);
    record_free(&record);
    return error;
}
