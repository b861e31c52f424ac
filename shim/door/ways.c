#include <fcntl.h>
#include <linux/stat.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "shim/core/lane.h"
#include "shim/core/scratch.h"
#include "shim/core/text.h"
#include "shim/door/path_text.h"
#include "shim/door/ways.h"

enum { WAYS = 128 };

/* A confined tree has the one root that the trap server sees. */
#define WORLD_TAUGHT 1

/* In ticks of the time stamp counter: 80 ms at 3.3 GHz. A bound, not a clock. */
#define WAY_LIFETIME (1ull << 28)
/* Of what was taught, 10 s: to learn it anew a confined program has to ask. */
#define WAY_LIFETIME_TAUGHT (1ull << 35)

/* STATX_MNT_ID_UNIQUE, which older headers do not have. */
#define MOUNT_NUMBER 0x4000u

static struct {
    /* What every call reads comes first: a line of the cache. */
    char *shared;   /* the part of the table's file that programs write; NULL: not mapped yet, or */
    uint64_t moves; /* of the current directory */
    uint64_t world; /* what "/" is here: the same absolute path leads elsewhere in another mount
                     * name space or behind another root. 0: not asked yet, or not to be known */
    /* A vfork child lives in its parent's memory but has a current directory of its own. `process`
     * is who started here; `mover`: who else moved last, 0 if nobody. */
    int mover;
    int process;
    bool apart;    /* threads may have current directories of their own: nothing relative is kept */
    bool unshared; /* it can't be */
    bool worlds;   /* who uses this memory may have several: nothing absolute is kept */
    bool watched;  /* by valgrind(1), which finds fault with what is read behind a text's end */
    /* Taught: the text of the current directory, as a number, and what binds it to `moves`: two
     * words, each written whole. */
    uint64_t start;
    uint64_t start_check;
    struct space_way ways[WAYS]; /* relative ones: what they mean is this process's own */
} memory IN_DATA;

static uint64_t mix(uint64_t value)
{
    value = (value ^ (value >> 32)) * 0x9e3779b97f4a7c15ull;
    value = (value ^ (value >> 29)) * 0xbf58476d1ce4e5b9ull;
    return value ^ (value >> 32);
}

static __attribute__((noinline)) char *shared_find(void)
{
    char *shared;
    /* That a tree is confined may become known later than that nothing can be written there. */
    if (trap_decides()) {
        shared = (char *)(uintptr_t)the_shim.core.header; /* for reading only */
    } else {
        if (__atomic_load_n(&memory.unshared, __ATOMIC_ACQUIRE))
            return NULL;
        shared = table_map(SPACE_RING_OFFSET, PROT_READ | PROT_WRITE);
    }
    if (shared == NULL)
        __atomic_store_n(&memory.unshared, true, __ATOMIC_RELEASE);
    __atomic_store_n(&memory.shared, shared, __ATOMIC_RELEASE);
    return shared;
}

char *shared_get(void)
{
    char *shared = __atomic_load_n(&memory.shared, __ATOMIC_ACQUIRE);
    return shared != NULL ? shared : shared_find();
}

static uint64_t identity_hash(uint64_t hash, const char *path)
{
    struct stat status;
    if (lane_call(SYS_newfstatat, AT_FDCWD, (long)path, (long)&status, 0, 0) < 0)
        return 0;
    return mix(mix(hash ^ status.st_ino) ^ status.st_dev);
}

/* The root, and the mount name space by the mount that the root is on: no two have one in common,
 * and its number does not come again (since Linux 6.8). */
static uint64_t root_hash(void)
{
    struct statx root;
    if (lane_call(SYS_statx, AT_FDCWD, (long)"/", 0, STATX_INO | MOUNT_NUMBER, (long)&root) == 0 &&
        (root.stx_mask & MOUNT_NUMBER))
        return mix(mix(root.stx_ino) ^ root.stx_mnt_id);
    uint64_t hash = identity_hash(1, "/");
    return hash == 0 ? 0 : identity_hash(hash, "/proc/self/ns/mnt");
}

/* 0: absolute ways are not to be remembered. */
static __attribute__((noinline)) uint64_t world_find(void)
{
    if (__atomic_load_n(&memory.worlds, __ATOMIC_SEQ_CST))
        return 0;
    uint64_t world = root_hash();
    __atomic_store_n(&memory.world, world, __ATOMIC_SEQ_CST);
    /* Another thread may have left meanwhile, and have wiped what was not there yet. */
    if (!__atomic_load_n(&memory.worlds, __ATOMIC_SEQ_CST))
        return world;
    __atomic_store_n(&memory.world, 0, __ATOMIC_SEQ_CST);
    return 0;
}

static inline uint64_t world_get(void)
{
    uint64_t world = __atomic_load_n(&memory.world, __ATOMIC_ACQUIRE);
    return world != 0 ? world : world_find();
}

static volatile struct space_changes *changes_of(char *shared)
{
    return (volatile struct space_changes *)(shared + SPACE_CHANGES_OFFSET);
}

/* Somebody else moved in this memory: what it learned is not for us. */
static __attribute__((noinline)) void mover_check(void)
{
    int self = (int)system_call(SYS_getpid, 0, 0, 0, 0, 0, 0);
    if (__atomic_load_n(&memory.mover, __ATOMIC_ACQUIRE) == self)
        return;
    __atomic_add_fetch(&memory.moves, 1, __ATOMIC_ACQ_REL);
    __atomic_store_n(&memory.mover, self == memory.process ? 0 : self, __ATOMIC_RELEASE);
}

/* What is known of ways must be got at first, or its directory has moved. */
static __attribute__((noinline)) void view_prepare(void)
{
    shared_get();
    if (__atomic_load_n(&memory.mover, __ATOMIC_ACQUIRE) != 0)
        mover_check();
}

void view_take(struct view *view)
{
    const struct space_header *header = the_shim.core.header;
    uint32_t placeholders = __atomic_load_n(&header->placeholders, __ATOMIC_RELAXED);
    bool taught = ways_are_taught();
    uint32_t flags = 0;
    view->ways = NULL;
    view->table = table_active(&the_shim.core, &view->generation);
    if (view->table != NULL && view->table->count == 0)
        view->table = NULL;
    if (view->table != NULL)
        flags = view->table->flags;
    view->shadows = (flags & SPACE_HAS_SHADOWS) != 0;
    view->binds = (flags & SPACE_HAS_BINDS) != 0;
    view->places = (flags & SPACE_HAS_BINDS) != 0 || placeholders != 0;
    view->taught = taught;
    if (!(flags & (SPACE_HAS_SHADOWS | SPACE_HAS_BINDS)) && placeholders == 0 && !taught)
        return;
    if (__atomic_load_n(&memory.shared, __ATOMIC_ACQUIRE) == NULL ||
        __atomic_load_n(&memory.mover, __ATOMIC_ACQUIRE) != 0)
        view_prepare();
    char *shared = __atomic_load_n(&memory.shared, __ATOMIC_ACQUIRE);
    if (shared == NULL)
        return;
    view->changes = __atomic_load_n(&changes_of(shared)->count, __ATOMIC_ACQUIRE);
    view->moves = __atomic_load_n(&memory.moves, __ATOMIC_ACQUIRE);
    view->ways = shared;
}

/* ---- where ways start ---- */

void ways_start_at(const char *directory, size_t length)
{
    memory.start = directory == NULL ? 0 : text_number(directory, length);
}

static uint64_t start_of(const struct stat *status)
{
    return mix(mix(status->st_ino) ^ status->st_dev) | 1;
}

void ways_start_in(const struct stat *directory)
{
    memory.start = start_of(directory);
}

static uint64_t start_of_descriptor(int descriptor)
{
    struct stat status;
    return system_call(SYS_fstat, descriptor, (long)&status, 0, 0, 0, 0) == 0 ? start_of(&status)
                                                                              : 0;
}

/* The current directory's text, as a number; 0: not known. */
static uint64_t start_get(uint64_t moves)
{
    uint64_t start = __atomic_load_n(&memory.start, __ATOMIC_RELAXED);
    if (__atomic_load_n(&memory.start_check, __ATOMIC_RELAXED) == (start ^ mix(~moves)))
        return start;
    struct hold hold;
    char *name = scratch_take(&hold, PATH_LIMIT);
    if (name == NULL)
        return 0;
    long length = lane_call(SYS_getcwd, (long)name, PATH_LIMIT, 0, 0, 0) - 1;
    start = 0;
    if (length > 0 && name[0] == '/') {
        start = text_number(name, (size_t)length);
        __atomic_store_n(&memory.start, start, __ATOMIC_RELAXED);
        __atomic_store_n(&memory.start_check, start ^ mix(~moves), __ATOMIC_RELAXED);
    }
    scratch_give(&hold, name, PATH_LIMIT);
    return start;
}

/* ---- ways as numbers ---- */

/* Where a path starts for who teaches or is taught, as a number; 0: what begins there is not
 * remembered. *shared: it means the same to others. */
static __attribute__((noinline)) uint64_t taught_start(const struct view *view, enum way_kind kind,
                                                       int directory, bool absolute, bool *shared)
{
    *shared = absolute;
    if (absolute)
        return __atomic_load_n(&memory.worlds, __ATOMIC_ACQUIRE) ? 0 : WORLD_TAUGHT;
    *shared = the_shim.teaches || (kind != WAY_START && kind != WAY_PRESENT);
    if (the_shim.teaches)
        return memory.start;
    if (*shared && directory >= 0)
        return start_of_descriptor(directory);
    if (directory != AT_FDCWD || memory.apart)
        return 0;
    return *shared ? start_get(view->moves) : ~(view->moves << 20);
}

/* The number of a way, by that of its text. */
static inline uint64_t number_of(const struct view *view, enum way_kind kind, int directory,
                                 bool absolute, uint64_t number)
{
    bool shared = absolute;
    uint64_t start;
    if (view->ways == NULL)
        return 0;
    if (view->taught)
        start = taught_start(view, kind, directory, absolute, &shared);
    else if (absolute)
        start = world_get();
    else
        start = directory == AT_FDCWD && !memory.apart ? ~(view->moves << 20) : 0;
    if (start == 0)
        return 0;
    /* Kinds apart by more than a letter: short names are hardly mixed. */
    number ^= ((uint64_t)kind + 1) * 0xd6e8feb86659fd93ull;
    number ^= view->generation << 40 ^ view->changes ^ start;
    number = number_add(number ^ number >> 32, 0);
    /* The lowest bit tells where it is kept. */
    return shared ? number | 1 : number & ~1ull;
}

uint64_t way_number(const struct view *view, enum way_kind kind, int directory, const char *path,
                    size_t length)
{
    return number_of(view, kind, directory, path[0] == '/', text_number(path, length));
}

/* A way may be kept in any of a few places that lie together. */
enum { WAY_PLACES = 8 };

static inline struct space_way *way_places(uint64_t number)
{
    _Static_assert((SPACE_WAYS & (SPACE_WAYS - 1)) == 0 && (WAYS & (WAYS - 1)) == 0,
                   "a power of two");
    struct space_way *all =
        number & 1 ? ((struct space_ways *)(void *)(memory.shared + SPACE_WAYS_OFFSET))->ways
                   : memory.ways;
    uint64_t count = number & 1 ? SPACE_WAYS : WAYS;
    return &all[number >> 1 & (count - 1) & ~(uint64_t)(WAY_PLACES - 1)];
}

/* Of these places the one to look at in this turn. */
static inline struct space_way *way_place(struct space_way *places, uint64_t number, unsigned turn)
{
    return &places[((number >> 1) + turn) % WAY_PLACES];
}

/* What binds the two words of a place together. */
static inline uint64_t way_check(uint64_t number, uint64_t learned)
{
    return number ^ learned * 0x9e3779b97f4a7c15ull;
}

/* When it was learned, if this place is the way's; else 0. */
static inline uint64_t way_learned(const struct space_way *way, uint64_t number)
{
    uint64_t learned = __atomic_load_n(&way->learned, __ATOMIC_RELAXED);
    uint64_t check = __atomic_load_n(&way->check, __ATOMIC_RELAXED);
    return check == way_check(number, learned) ? learned : 0;
}

static inline bool way_is_younger(uint64_t number, uint64_t lifetime)
{
    if (number == 0)
        return false;
    struct space_way *places = way_places(number);
    for (unsigned turn = 0; turn < WAY_PLACES; turn++) {
        uint64_t learned = way_learned(way_place(places, number, turn), number);
        if (learned != 0)
            return time_stamp() - learned < lifetime;
    }
    return false;
}

bool way_is_known(uint64_t number)
{
    return way_is_younger(number, ways_are_taught() ? WAY_LIFETIME_TAUGHT : WAY_LIFETIME);
}

bool way_is_recent(uint64_t number)
{
    return way_is_younger(number, WAY_LIFETIME);
}

static void way_learn(uint64_t number)
{
    if (number == 0 || (trap_decides() && (number & 1)))
        return;
    struct space_way *places = way_places(number), *way = way_place(places, number, 0);
    uint64_t now = time_stamp();
    for (unsigned turn = 0; turn < WAY_PLACES; turn++) {
        struct space_way *other = way_place(places, number, turn);
        uint64_t learned = way_learned(other, number);
        /* Others read it: what was written a moment ago is not written again. */
        if (learned != 0 && now - learned < WAY_LIFETIME / 8)
            return;
        if (learned != 0) {
            way = other;
            break;
        }
        if (__atomic_load_n(&other->learned, __ATOMIC_RELAXED) <
            __atomic_load_n(&way->learned, __ATOMIC_RELAXED))
            way = other;
    }
    __atomic_store_n(&way->learned, now, __ATOMIC_RELAXED);
    __atomic_store_n(&way->check, way_check(number, now), __ATOMIC_RELAXED);
}

static inline struct text path_read(const char *path)
{
    return text_read(path, memory.watched);
}

void way_learn_directory(const struct view *view, int directory, const char *path)
{
    struct text text = path_read(path);
    uint64_t number = text.number;
    if (text.length == 0)
        return;
    if (text.way < text.length)
        number = text_number_slash(path, text.length);
    way_learn(number_of(view, WAY_DIRECTORY, directory, path[0] == '/', number));
}

/* How far a walk has shown its path to be a way on which the kernel's and the session's are one; 0:
 * not at all. With a slash at its end the whole path is the way: only if the walk went all of it,
 * and not if it came for the name alone (WALK_NAME), or for an object of procfs. */
static size_t way_walked(const struct walk *walk, const struct text *text, bool found)
{
    return text->way < text->length || (found && S_ISDIR(walk->status.st_mode)) ? text->way : 0;
}

static bool walk_was_plain(const struct walk *walk)
{
    return walk->place == PLACE_HOST && !walk->touched && !walk->fleeting;
}

void way_learn_walk(const struct view *view, int directory, const char *path,
                    const struct walk *walk)
{
    struct text text = path_read(path);
    if (!view->shadows || !walk_was_plain(walk) || text.length == 0)
        return;
    if (way_walked(walk, &text, !walk->missing) > 0)
        way_learn(way_number(view, WAY_DIRECTORY, directory, path, text.way));
    if ((walk->options & WALK_FOLLOW) && !walk->missing)
        way_learn(way_number(view, WAY_FOLLOWED, directory, path, text.length));
}

/* Whether some component of the path's text is called as an entry is, or as the reserved root. */
static bool text_is_named(const struct space_snapshot *table, const char *path)
{
    for (const char *at = path; *at != '\0';) {
        size_t length = 0;
        while (at[length] != '/' && at[length] != '\0')
            length++;
        if (length > 0 && (table_names(table, at, length) || is_reserved(at, length)))
            return true;
        at += length + (at[length] == '/');
    }
    return false;
}

void way_learn_end(const struct view *view, int directory, const char *path,
                   const struct walk *walk)
{
    struct text text = path_read(path);
    /* The walk did not see where the rest would lead; what no entry is called like leads to none.
     */
    if (view->shadows && walk_was_plain(walk) && text.way > 0 &&
        (view->table == NULL || !text_is_named(view->table, path)))
        way_learn(way_number(view, WAY_DIRECTORY, directory, path, text.way));
}

static bool text_ends(const char *text, size_t length, const char *end, size_t end_length)
{
    return length >= end_length &&
           text_equal(text + length - end_length, end_length, end, end_length);
}

void way_teach(const struct view *view, const char *path, const char *whole,
               const struct walk *walk, bool found)
{
    struct text text = path_read(path);
    size_t length = text.length, way = way_walked(walk, &text, found);
    bool direct = text_equal(walk->host, walk->host_length, whole, text_length(whole));
    bool follow = (walk->options & WALK_FOLLOW) != 0;
    if (!walk_was_plain(walk) || length == 0)
        return;
    if (way > 0) {
        way_learn(way_number(view, WAY_DIRECTORY, AT_FDCWD, path, way));
        if (direct)
            way_learn(way_number(view, WAY_DIRECT, AT_FDCWD, path, way));
    }
    if (!found)
        return;
    /* Else the program sees for itself that no symlink is at the end. */
    if (follow && !text_ends(walk->host, walk->host_length, path, length))
        way_learn(way_number(view, WAY_FOLLOWED, AT_FDCWD, path, length));
    if (follow && !direct)
        return;
    if (S_ISREG(walk->status.st_mode) && !walk->slash)
        way_learn(way_number(view, WAY_FILE, AT_FDCWD, path, length));
    if (S_ISDIR(walk->status.st_mode))
        way_learn(way_number(view, WAY_FOLDER, AT_FDCWD, path, length));
}

void way_teach_name(const struct view *view, char *path, size_t length, bool folder)
{
    way_learn(way_number(view, folder ? WAY_FOLDER : WAY_FILE, AT_FDCWD, path, length));
    if (!folder)
        return;
    path[length] = '/';
    way_learn(way_number(view, WAY_DIRECTORY, AT_FDCWD, path, length + 1));
    way_learn(way_number(view, WAY_DIRECT, AT_FDCWD, path, length + 1));
}

/* Of what begins with a dot: whether it is ".", ".." or the reserved root's name. */
static bool last_is_odd(const char *last, size_t length)
{
    return length == 1 || (length == 2 && last[1] == '.') || is_reserved(last, length);
}

bool way_is_clear(const struct view *view, int directory, const char *path)
{
    struct text text = path_read(path);
    const char *last = path + text.way;
    size_t length = text.length - text.way;
    if (view->table == NULL || length == 0 || (last[0] == '.' && last_is_odd(last, length)) ||
        table_names(view->table, last, length) || !table_still(&the_shim.core, view->generation))
        return false;
    return text.way == 0 ||
           way_is_younger(number_of(view, WAY_DIRECTORY, directory, path[0] == '/', text.number),
                          view->taught ? WAY_LIFETIME_TAUGHT : WAY_LIFETIME);
}

/* By what the way to the last component is known. A last component that some entry is called by is
 * this entry or not by the directory's name. The text has told that it is not: of a way that is its
 * own name and of no other. */
static uint64_t plain_number(const struct view *view, int directory, const char *path,
                             const struct text *text)
{
    bool named =
        view->table != NULL && table_names(view->table, path + text->way, text->length - text->way);
    return number_of(view, named ? WAY_DIRECT : WAY_DIRECTORY, directory, path[0] == '/',
                     text->number);
}

long way_look(const struct view *view, int directory, const char *path)
{
    char parent[512];
    struct text text = path_read(path);
    if (text.way >= sizeof parent)
        return -ELOOP;
    if (text.way == 0 || (text.way == 1 && path[0] == '/'))
        return 1;
    uint64_t number = plain_number(view, directory, path, &text);
    if (way_is_known(number))
        return 1;
    bytes_copy(parent, path, text.way);
    parent[text.way] = '\0';
    long direct = path_is_direct(directory, parent, true);
    /* One that ends early is plain as far as it goes; to lead it elsewhere takes a symlink, too.
     * Who looks for a file in a list of directories asks this of many. */
    if (direct == 1 || direct == -ENOENT)
        way_learn(number);
    return direct;
}

void way_learn_direct(const struct view *view, int directory, const char *path)
{
    struct text text = path_read(path);
    if (text.way > 0)
        way_learn(plain_number(view, directory, path, &text));
}

bool way_starts_plain(const struct view *view, int directory)
{
    uint64_t number = way_number(view, WAY_START, directory, "", 0);
    if (way_is_known(number))
        return true;
    if (!start_is_plain(view->table, directory))
        return false;
    way_learn(number);
    return true;
}

bool way_starts_present(const struct view *view, int directory)
{
    uint64_t number = way_number(view, WAY_PRESENT, directory, "", 0);
    if (way_is_known(number))
        return true;
    if (start_is_removed(directory))
        return false;
    way_learn(number);
    return true;
}

static uint64_t target_number(const struct view *view, int directory, const char *path)
{
    return way_number(view, WAY_FOLLOWED, directory, path, path_read(path).length);
}

bool target_is_known(const struct view *view, int directory, const char *path)
{
    return way_is_younger(target_number(view, directory, path),
                          view->taught ? WAY_LIFETIME_TAUGHT : WAY_LIFETIME);
}

bool target_is_plain(const struct view *view, int directory, const char *path)
{
    uint64_t number = target_number(view, directory, path);
    if (way_is_known(number))
        return true;
    struct stat status;
    long result =
        lane_call(SYS_newfstatat, directory, (long)path, (long)&status, AT_SYMLINK_NOFOLLOW, 0);
    if (result < 0 || S_ISLNK(status.st_mode) || !way_is_plain(view, directory, path))
        return false;
    way_learn(number);
    return true;
}

void ways_changed(void)
{
    char *shared = trap_decides() ? NULL : shared_get();
    if (shared != NULL)
        __atomic_add_fetch(&changes_of(shared)->count, 1, __ATOMIC_ACQ_REL);
}

bool text_is_watched(void)
{
    return memory.watched;
}

void ways_start(void)
{
    memory.watched = valgrind_runs();
    memory.process = (int)system_call(SYS_getpid, 0, 0, 0, 0, 0, 0);
}

void ways_moved(void)
{
    int self = (int)system_call(SYS_getpid, 0, 0, 0, 0, 0, 0);
    __atomic_add_fetch(&memory.moves, 1, __ATOMIC_ACQ_REL);
    if (self != memory.process)
        __atomic_store_n(&memory.mover, self, __ATOMIC_RELEASE);
}

void ways_parted(void)
{
    memory.apart = true;
}

void ways_use(char *shared)
{
    __atomic_store_n(&memory.shared, shared, __ATOMIC_RELEASE);
}

void ways_world_changed(void)
{
    /* A thread that has its own, or a vfork child: the others stay in theirs. */
    if (memory.apart || (int)system_call(SYS_getpid, 0, 0, 0, 0, 0, 0) != memory.process)
        __atomic_store_n(&memory.worlds, true, __ATOMIC_SEQ_CST);
    __atomic_store_n(&memory.world, 0, __ATOMIC_SEQ_CST);
}
