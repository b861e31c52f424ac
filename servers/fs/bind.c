/* Entries of a name space: bind, hide, symlink; unbind; list. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "servers/fs/fs.h"

static void answer(struct reply *reply, int error)
{
    if (error)
        reply_error(reply, error);
    else
        rpc_reply(reply, NULL, NULL, 0);
}

/* The bind's target as a host path free of symlinks. */
static int target_resolve(struct fs *fs, const struct space *space, pid_t self,
                          ProtobufCBinaryData target, struct walk *walk)
{
    char path[NAME_PATH_SIZE];
    int error = name_absolute(target.data, target.len, path);

    if (!error)
        error = walk_path(&space->entries, &fs->names.seal, self, path, WALK_FOLLOW, walk);
    if (!error && walk->kind != WALK_HOST)
        error = EOPNOTSUPP;
    return error;
}

static int symlink_text(ProtobufCBinaryData target, char text[NAME_PATH_SIZE])
{
    if (target.len >= NAME_PATH_SIZE)
        return ENAMETOOLONG;
    if (target.len == 0)
        return ENOENT;
    if (memchr(target.data, '\0', target.len))
        return EINVAL;
    memcpy(text, target.data, target.len);
    text[target.len] = '\0';
    return 0;
}

static int entry_fill(struct fs *fs, const struct space *space, pid_t self,
                      const Hirsel__FsEntry *wire, const struct place *place, struct walk *target,
                      struct entry *entry)
{
    const struct entry *around;
    int error;

    place_entry(place, entry);
    if (wire->read_only)
        entry->flags |= SPACE_READ_ONLY;
    switch (wire->kind) {
    case HIRSEL__ENTRY_KIND__ENTRY_BIND:
        entry->kind = SPACE_BIND;
        error = target_resolve(fs, space, self, wire->target, target);
        entry->target = target->host;
        around = entries_prefix(&space->entries, target->path);
        /* What can't be changed under one name can't be under another. */
        if (!error && around)
            entry->flags |= around->flags & SPACE_READ_ONLY;
        if (!error && S_ISDIR(target->status.st_mode))
            entry->flags |= SPACE_DIRECTORY;
        return error;
    case HIRSEL__ENTRY_KIND__ENTRY_HIDE:
        entry->kind = SPACE_HIDE;
        return place->exists ? 0 : ENOENT;
    case HIRSEL__ENTRY_KIND__ENTRY_SYMLINK:
        entry->kind = SPACE_SYMLINK;
        entry->target = target->text;
        return symlink_text(wire->target, target->text);
    default:
        return EINVAL;
    }
}

static bool entry_same(const struct entry *one, const struct entry *other)
{
    return one->kind == other->kind && one->flags == other->flags &&
           strcmp(one->path, other->path) == 0 &&
           (!one->target || strcmp(one->target, other->target) == 0);
}

static int add(struct fs *fs, struct space *space, pid_t self, const Hirsel__FsEntry *wire,
               const struct once *once)
{
    /* Too long for a small stack. */
    struct adding {
        struct place place;
        struct walk target;
        char path[NAME_PATH_SIZE];
    } *adding = malloc(sizeof(*adding));
    struct entry entry = {0};
    const struct entry *there;
    int error = ENOMEM;

    if (!adding)
        return error;
    error = name_absolute(wire->path.data, wire->path.len, adding->path);
    if (!error)
        error = place_find(&fs->names, space, self, adding->path, &adding->place);
    if (!error)
        error = entry_fill(fs, space, self, wire, &adding->place, &adding->target, &entry);
    if (error)
        goto out;
    there = entries_at(&space->entries, adding->place.path);
    if (there)
        error = once->repeat && entry_same(there, &entry) ? 0 : EEXIST;
    /* Entries below would show through: what covers comes first, what it holds after. */
    else if (entries_any_below(&space->entries, adding->place.path))
        error = EBUSY;
    else
        error = space_add(space, &entry);
out:
    free(adding);
    return error;
}

static int take_away(struct fs *fs, struct space *space, pid_t self, const Hirsel__FsEntry *wire,
                     const struct once *once)
{
    struct place place;
    const struct entry *there;
    char path[NAME_PATH_SIZE], plain[NAME_PATH_SIZE];
    int error = name_absolute(wire->path.data, wire->path.len, path);

    if (error)
        return error;
    /* As it stands, first: its parent may be gone by now. */
    strcpy(plain, path);
    there = name_normalise(plain) == 0 ? entries_at(&space->entries, plain) : NULL;
    if (!there) {
        error = place_find(&fs->names, space, self, path, &place);
        if (error)
            return error;
        there = entries_at(&space->entries, place.path);
        strcpy(plain, place.path);
    }
    if (!there)
        return once->repeat ? 0 : ENOENT;
    if (there->kind == SPACE_NODE)
        return EINVAL; /* settrans takes it away */
    if (entries_any_below(&space->entries, plain))
        return EBUSY;
    return space_remove(space, plain);
}

typedef int change(struct fs *fs, struct space *space, pid_t self, const Hirsel__FsEntry *wire,
                   const struct once *once);

/* What bind and unbind have in common: whose space it is, and that it is done once. */
static void change_run(change *change_space, struct port *port, const Hirsel__FsEntry *wire,
                       struct msg *raw, struct reply *reply, struct fs *fs)
{
    const struct asker *asker = asker_of(port);
    struct space *space;
    struct once once;
    int error = asker_choose(fs, asker, wire->space, &space);

    if (error || once_ended(&once, &fs->journal, raw, &error)) {
        answer(reply, error);
        return;
    }
    once_begin(&once, 0);
    error = change_space(fs, space, asker->pid, wire, &once);
    once_end(&once, error);
    answer(reply, error);
}

void bind_add(struct port *port, ProtobufCMessage *request, struct msg *raw, struct reply *reply,
              void *context)
{
    change_run(add, port, (const Hirsel__FsEntry *)request, raw, reply, fs_of(context));
}

void bind_remove(struct port *port, ProtobufCMessage *request, struct msg *raw, struct reply *reply,
                 void *context)
{
    change_run(take_away, port, (const Hirsel__FsEntry *)request, raw, reply, fs_of(context));
}

static Hirsel__EntryKind wire_kind(uint16_t kind)
{
    switch (kind) {
    case SPACE_BIND:
        return HIRSEL__ENTRY_KIND__ENTRY_BIND;
    case SPACE_HIDE:
        return HIRSEL__ENTRY_KIND__ENTRY_HIDE;
    case SPACE_SYMLINK:
        return HIRSEL__ENTRY_KIND__ENTRY_SYMLINK;
    case SPACE_NODE:
        return HIRSEL__ENTRY_KIND__ENTRY_NODE;
    default:
        return HIRSEL__ENTRY_KIND__ENTRY_NONE;
    }
}

void bind_list(struct port *port, ProtobufCMessage *request, struct msg *raw, struct reply *reply,
               void *context)
{
    const Hirsel__FsSpace *wanted = (const Hirsel__FsSpace *)request;
    Hirsel__FsEntries answered = HIRSEL__FS_ENTRIES__INIT;
    struct fs *fs = fs_of(context);
    struct space *space;
    Hirsel__FsEntry *wires;
    int error = asker_choose(fs, asker_of(port), wanted->space, &space);

    (void)raw;
    if (error) {
        reply_error(reply, error);
        return;
    }
    wires = calloc(space->entries.count + 1, sizeof(*wires));
    answered.entries = calloc(space->entries.count + 1, sizeof(*answered.entries));
    if (!wires || !answered.entries) {
        reply_error(reply, ENOMEM);
        goto out;
    }
    answered.space = space->id;
    answered.n_entries = space->entries.count;
    for (size_t i = 0; i < space->entries.count; i++) {
        const struct entry *entry = &space->entries.items[i];
        Hirsel__FsEntry *wire = answered.entries[i] = &wires[i];
        hirsel__fs_entry__init(wire);
        wire->kind = wire_kind(entry->kind);
        wire->path = (ProtobufCBinaryData){entry->path_length, (uint8_t *)entry->path};
        if (entry->target)
            wire->target = (ProtobufCBinaryData){strlen(entry->target), (uint8_t *)entry->target};
        wire->read_only = (entry->flags & SPACE_READ_ONLY) != 0;
        wire->translator = entry->translator;
        wire->space = space->id;
    }
    rpc_reply(reply, &answered.base, NULL, 0);
out:
    free(answered.entries);
    free(wires);
}
