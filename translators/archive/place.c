/* Entries take their places in the tree, as tar x would put them there: a later entry replaces an
 * earlier one of its name, and directories that nobody told of are made. Nothing leaves the tree.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "translators/archive/archive.h"

/* Links to links that come behind them: so many rounds, then they are left out. */
#define PENDING_ROUNDS 8

static void leave_out(struct archive_file *file, const char *name, const char *why)
{
    file->left_out++;
    translator_log("%s: %s: left out: %s", file->path, name ? name : "?", why);
}

static const char *reason(int error)
{
    switch (error) {
    case EEXIST:
    case ENOTEMPTY:
        return "a directory with something in it has this name";
    case ENOTDIR:
        return "what it is in is no directory";
    case ENAMETOOLONG:
        return "the name is too long";
    case EPERM:
        return "the name leads out of the archive";
    default:
        return strerror(error);
    }
}

/* Where an entry belongs. */
struct spot {
    struct node *parent; /* NULL: the root itself */
    const char *name;
    size_t length;
};

static struct node *directory_pass(struct archive_file *file, struct node *parent, const char *name,
                                   size_t length)
{
    struct stat attributes = {.st_mode = S_IFDIR | 0755, .st_mtim = file->modified};
    struct node *node = node_find(parent, name, length);

    if (!node)
        return node_new(parent, name, length, &attributes);
    if (S_ISDIR(node_mode(node)))
        return node;
    errno = ENOTDIR;
    return NULL;
}

/* Find an entry's place; `make`: with the directories on the way. */
static int spot_find(struct archive_file *file, const char *name, bool make, struct spot *spot)
{
    const char *component, *next;
    int length = name_next(&name, &component);

    *spot = (struct spot){0};
    if (length <= 0)
        return length < 0 ? EPERM : 0;
    spot->parent = node_root();
    for (;;) {
        int next_length = name_next(&name, &next);

        if (next_length < 0)
            return EPERM;
        if (next_length == 0)
            break;
        spot->parent = make ? directory_pass(file, spot->parent, component, (size_t)length)
                            : node_find(spot->parent, component, (size_t)length);
        if (!spot->parent)
            return make ? errno : ENOENT;
        component = next;
        length = next_length;
    }
    spot->name = component;
    spot->length = (size_t)length;
    return 0;
}

static struct node *spot_node(const struct spot *spot)
{
    return spot->parent ? node_find(spot->parent, spot->name, spot->length) : node_root();
}

/* Say whose content an entry is. */
static void content_record(struct archive_file *file, uint64_t data, struct node *node)
{
    if (data != 0 && file->nodes && data_place(data) < file->room)
        file->nodes[data_place(data)] = node;
}

/* Take the content away from whoever had it, so that no pass extracts for a node that became
 * another thing. */
static void content_forget(struct archive_file *file, struct node *node)
{
    if (node == node_original(node))
        content_record(file, node_data(node), NULL);
}

static int spot_take(struct archive_file *file, const struct spot *spot,
                     const struct stat *attributes, struct node **taken)
{
    struct node *node = spot_node(spot);
    struct node *heir;
    int error;

    if (!node) {
        *taken = node_new(spot->parent, spot->name, spot->length, attributes);
        return *taken ? 0 : errno;
    }
    *taken = node;
    heir = node_heir(node);
    content_forget(file, node);
    error = node_replace(node, attributes);
    if (error == 0)
        node_set_data(node, 0);
    if (heir)
        content_record(file, node_data(heir), heir);
    return error;
}

/* The content of `node` is the entry at hand. */
static int content_assign(struct archive_file *file, struct archive_entry *entry, struct node *node)
{
    node = node_original(node);
    if (file->way == ACCESS_DIRECT) {
        node_set_data(node, data_make(entry, (uint64_t)archive_read_header_position(file->reader)));
    } else {
        content_forget(file, node);
        node_set_data(node, data_make(entry, file->count));
        content_record(file, node_data(node), node);
    }
    if (archive_entry_size_is_set(entry))
        node_set_size(node, (uint64_t)archive_entry_size(entry));
    else
        file->measured = node;
    return 0;
}

static void attributes_read(const struct archive_file *file, struct archive_entry *entry,
                            mode_t type, struct stat *to)
{
    memset(to, 0, sizeof(*to));
    to->st_mode = type | (archive_entry_perm(entry) & 07777);
    to->st_mtim = file->modified;
    if (archive_entry_mtime_is_set(entry)) {
        to->st_mtim.tv_sec = archive_entry_mtime(entry);
        to->st_mtim.tv_nsec = archive_entry_mtime_nsec(entry);
    }
}

static int pending_add(struct archive_file *file, const char *name, const char *target)
{
    struct pending *pending = calloc(1, sizeof(*pending));

    if (pending) {
        pending->name = strdup(name);
        pending->target = strdup(target);
    }
    if (!pending || !pending->name || !pending->target) {
        if (pending) {
            free(pending->name);
            free(pending->target);
        }
        free(pending);
        return ENOMEM;
    }
    STAILQ_INSERT_TAIL(&file->pending, pending, entry);
    return 0;
}

static struct node *target_find(struct archive_file *file, const char *target, int *error)
{
    struct spot spot;
    struct node *node = NULL;

    *error = spot_find(file, target, false, &spot);
    if (*error == 0)
        node = spot_node(&spot);
    if (node && S_ISDIR(node_mode(node))) {
        *error = EISDIR;
        node = NULL;
    } else if (!node && *error == 0) {
        *error = ENOENT;
    }
    return node;
}

static int link_make(struct archive_file *file, const struct spot *spot, struct node *original)
{
    struct stat attributes = {.st_mode = node_mode(original)};
    struct node *node = spot_node(spot);
    int error;

    if (node && node_original(node) == node_original(original))
        return 0;
    error = spot_take(file, spot, &attributes, &node);
    return error != 0 ? error : node_set_link(node, original);
}

static int hardlink_place(struct archive_file *file, struct archive_entry *entry, const char *name,
                          const char *target)
{
    struct stat attributes;
    struct node *original;
    struct spot spot;
    int error = spot_find(file, name, true, &spot);

    if (error == 0 && !spot.parent)
        error = EISDIR;
    if (error != 0)
        return error;
    original = target_find(file, target, &error);
    if (!original)
        return error == ENOENT ? pending_add(file, name, target) : error;
    error = link_make(file, &spot, original);
    /* cpio: the content comes with the last name. */
    if (error == 0 && S_ISREG(node_mode(original)) && archive_entry_size_is_set(entry) &&
        archive_entry_size(entry) > 0) {
        attributes_read(file, entry, S_IFREG, &attributes);
        node_set_times(node_original(original), attributes.st_mode, attributes.st_mtim);
        error = content_assign(file, entry, original);
    }
    return error;
}

static int symlink_place(struct archive_file *file, struct archive_entry *entry,
                         const struct spot *spot)
{
    const char *target = entry_symlink(entry);
    struct stat attributes;
    struct node *node;
    int error;

    if (!target || target[0] == '\0')
        return EINVAL;
    if (strlen(target) > 4095)
        return ENAMETOOLONG;
    attributes_read(file, entry, S_IFLNK, &attributes);
    error = spot_take(file, spot, &attributes, &node);
    return error != 0 ? error : node_set_target(node, target, strlen(target));
}

static int regular_place(struct archive_file *file, struct archive_entry *entry,
                         const struct spot *spot)
{
    struct stat attributes;
    struct node *node;
    int error;

    if (archive_entry_size_is_set(entry) && archive_entry_size(entry) < 0)
        return EFBIG;
    attributes_read(file, entry, S_IFREG, &attributes);
    error = spot_take(file, spot, &attributes, &node);
    return error != 0 ? error : content_assign(file, entry, node);
}

static int fifo_place(struct archive_file *file, struct archive_entry *entry,
                      const struct spot *spot)
{
    struct stat attributes;
    struct node *node;

    attributes_read(file, entry, S_IFIFO, &attributes);
    return spot_take(file, spot, &attributes, &node);
}

/* A directory that is there keeps what is in it. */
static int directory_place(struct archive_file *file, struct archive_entry *entry,
                           const struct spot *spot)
{
    struct node *node = spot_node(spot);
    struct stat attributes;

    attributes_read(file, entry, S_IFDIR, &attributes);
    if (!node || !S_ISDIR(node_mode(node)))
        return spot_take(file, spot, &attributes, &node);
    node_set_times(node, attributes.st_mode, attributes.st_mtim);
    return 0;
}

void entry_place(struct archive_file *file, struct archive_entry *entry)
{
    const char *name = entry_name(entry);
    const char *target = entry_hardlink(entry);
    mode_t type = archive_entry_filetype(entry);
    struct spot spot;
    int error;

    if (!name || name[0] == '\0') {
        leave_out(file, NULL, "it has no name that can be read");
        return;
    }
    if (name[0] == '/' && !file->absolute) {
        file->absolute = true;
        translator_log("%s: names begin with \"/\": taken as if they did not", file->path);
    }
    /* ar says only permissions. */
    if (type == 0)
        type = AE_IFREG;
    if (target) {
        error = hardlink_place(file, entry, name, target);
        goto out;
    }
    if (type != AE_IFREG && type != AE_IFDIR && type != AE_IFLNK && type != AE_IFIFO) {
        leave_out(file, name, "a device or a socket");
        return;
    }
    error = spot_find(file, name, true, &spot);
    if (error != 0)
        goto out;
    if (!spot.parent && type != AE_IFDIR)
        error = EISDIR;
    else if (type == AE_IFDIR)
        error = directory_place(file, entry, &spot);
    else if (type == AE_IFLNK)
        error = symlink_place(file, entry, &spot);
    else if (type == AE_IFIFO)
        error = fifo_place(file, entry, &spot);
    else
        error = regular_place(file, entry, &spot);
out:
    if (error != 0)
        leave_out(file, name, reason(error));
}

/* True: it was settled, for good or bad. */
static bool pending_settle(struct archive_file *file, struct pending *pending, bool last)
{
    struct spot spot;
    int error = spot_find(file, pending->name, true, &spot);
    struct node *original;

    /* Something else has taken the name since: it came later and stays. */
    if (error == 0 && spot_node(&spot))
        return true;
    original = target_find(file, pending->target, &error);
    if (!original && error == ENOENT && !last)
        return false;
    if (original)
        error = link_make(file, &spot, original);
    if (error != 0)
        leave_out(file, pending->name,
                  error == ENOENT ? "what it is a link to is not there" : reason(error));
    return true;
}

void pending_resolve(struct archive_file *file)
{
    for (int round = 1; round <= PENDING_ROUNDS && !STAILQ_EMPTY(&file->pending); round++) {
        struct pending_list later = STAILQ_HEAD_INITIALIZER(later);
        struct pending *pending;

        while ((pending = STAILQ_FIRST(&file->pending))) {
            STAILQ_REMOVE_HEAD(&file->pending, entry);
            if (!pending_settle(file, pending, round == PENDING_ROUNDS)) {
                STAILQ_INSERT_TAIL(&later, pending, entry);
                continue;
            }
            free(pending->name);
            free(pending->target);
            free(pending);
        }
        STAILQ_CONCAT(&file->pending, &later);
    }
}
