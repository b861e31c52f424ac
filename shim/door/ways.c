#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "shim/core/lane.h"
#include "shim/core/scratch.h"
#include "shim/core/text.h"
#include "shim/door/ways.h"

enum { WAYS = 128 };

/* A confined tree has the one root that the trap server sees. */
#define WORLD_TAUGHT 1

/* In ticks of the time stamp counter: 80 ms at 3.3 GHz. A bound, not a clock. */
#define WAY_LIFETIME (1ull << 28)
/* Of what was taught, 10 s: to learn it anew a confined program has to ask. */
#define WAY_LIFETIME_TAUGHT (1ull << 35)

static struct {
    struct space_way ways[WAYS]; /* relative ones: what they mean is this process's own */
    uint64_t moves;              /* of the current directory */
    /* A vfork child lives in its parent's memory but has a current directory of its own. `process`
     * is who started here; `mover`: who else moved last, 0 if nobody. */
    int process;
    int mover;
    bool apart;    /* threads may have current directories of their own: nothing relative is kept */
    char *shared;  /* the part of the table's file that programs write; NULL: not mapped yet, or */
    bool unshared; /* it can't be */
    uint64_t world; /* what "/" is here: the same absolute path leads elsewhere in another mount
                     * name space or behind another root. 0: not asked yet */
    bool worlds;    /* who uses this memory may have several: nothing absolute is kept */
    /* Taught: the text of the current directory, as a number, and what binds it to `moves`: two
     * words, each written whole. */
    uint64_t start;
    uint64_t start_check;
} memory IN_DATA;

static uint64_t mix(uint64_t value)
{
    value = (value ^ (value >> 32)) * 0x9e3779b97f4a7c15ull;
    value = (value ^ (value >> 29)) * 0xbf58476d1ce4e5b9ull;
    return value ^ (value >> 32);
}

char *shared_get(void)
{
    char *shared = __atomic_load_n(&memory.shared, __ATOMIC_ACQUIRE);
    if (shared != NULL)
        return shared;
    /* For reading only. That a tree is confined may become known later than that nothing can be
     * written there. */
    if (trap_decides())
        return (char *)(uintptr_t)the_shim.core.header;
    if (__atomic_load_n(&memory.unshared, __ATOMIC_ACQUIRE))
        return NULL;
    shared = table_map(SPACE_RING_OFFSET, PROT_READ | PROT_WRITE);
    if (shared == NULL)
        __atomic_store_n(&memory.unshared, true, __ATOMIC_RELEASE);
    __atomic_store_n(&memory.shared, shared, __ATOMIC_RELEASE);
    return shared;
}

static uint64_t identity_hash(uint64_t hash, const char *path)
{
    struct stat status;
    if (lane_call(SYS_newfstatat, AT_FDCWD, (long)path, (long)&status, 0, 0) < 0)
        return 0;
    return mix(mix(hash ^ status.st_ino) ^ status.st_dev);
}

/* 0: absolute ways are not to be remembered. */
static uint64_t world_get(void)
{
    uint64_t world = __atomic_load_n(&memory.world, __ATOMIC_ACQUIRE);
    if (__atomic_load_n(&memory.worlds, __ATOMIC_ACQUIRE))
        return 0;
    if (ways_are_taught())
        return WORLD_TAUGHT;
    if (world != 0)
        return world;
    world = identity_hash(1, "/");
    if (world != 0)
        world = identity_hash(world, "/proc/self/ns/mnt");
    __atomic_store_n(&memory.world, world, __ATOMIC_RELEASE);
    return world;
}

static volatile struct space_changes *changes_of(char *shared)
{
    return (volatile struct space_changes *)(shared + SPACE_CHANGES_OFFSET);
}

/* Somebody else moved in this memory: what it learned is not for us. */
static void mover_check(void)
{
    int self = (int)system_call(SYS_getpid, 0, 0, 0, 0, 0, 0);
    if (__atomic_load_n(&memory.mover, __ATOMIC_ACQUIRE) == self)
        return;
    __atomic_add_fetch(&memory.moves, 1, __ATOMIC_ACQ_REL);
    __atomic_store_n(&memory.mover, self == memory.process ? 0 : self, __ATOMIC_RELEASE);
}

void ways_view(struct view *view)
{
    char *shared = shared_get();
    if (shared == NULL)
        return;
    if (__atomic_load_n(&memory.mover, __ATOMIC_ACQUIRE) != 0)
        mover_check();
    view->remembers = true;
    view->changes = __atomic_load_n(&changes_of(shared)->count, __ATOMIC_ACQUIRE);
    view->moves = __atomic_load_n(&memory.moves, __ATOMIC_ACQUIRE);
}

#define TEXT_HASH 14695981039346656037ull

/* Eight bytes at a time: every path of every call comes by here. */
static uint64_t text_hash(uint64_t hash, const char *text, size_t length)
{
    uint64_t word;
    for (; length >= sizeof word; length -= sizeof word, text += sizeof word) {
        __builtin_memcpy(&word, text, sizeof word);
        hash = (hash ^ word) * 0x9e3779b97f4a7c15ull;
        hash ^= hash >> 32;
    }
    word = length;
    for (size_t size = 4; size > 0; size /= 2) {
        uint32_t part = 0;
        if (!(length & size))
            continue;
        __builtin_memcpy(&part, text, size);
        word = word << (8 * size) | part;
        text += size;
    }
    hash = (hash ^ word) * 0x9e3779b97f4a7c15ull;
    return hash ^ hash >> 32;
}

void ways_start_at(const char *directory, size_t length)
{
    memory.start = directory == NULL ? 0 : text_hash(TEXT_HASH, directory, length);
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
        start = text_hash(TEXT_HASH, name, (size_t)length);
        __atomic_store_n(&memory.start, start, __ATOMIC_RELAXED);
        __atomic_store_n(&memory.start_check, start ^ mix(~moves), __ATOMIC_RELAXED);
    }
    scratch_give(&hold, name, PATH_LIMIT);
    return start;
}

/* Where a path starts, as a number; 0: what begins there is not remembered. *shared: it means the
 * same to others. */
static uint64_t way_start(const struct view *view, enum way_kind kind, int directory, bool absolute,
                          bool *shared)
{
    *shared = absolute;
    if (absolute)
        return world_get();
    *shared = the_shim.teaches || (trap_decides() && kind != WAY_START && kind != WAY_PRESENT);
    if (the_shim.teaches)
        return memory.start;
    if (*shared && directory >= 0)
        return start_of_descriptor(directory);
    if (directory != AT_FDCWD || memory.apart)
        return 0;
    return *shared ? start_get(view->moves) : ~(view->moves << 20);
}

uint64_t way_number(const struct view *view, enum way_kind kind, int directory, const char *path,
                    size_t length)
{
    bool shared;
    uint64_t start =
        view->remembers ? way_start(view, kind, directory, path[0] == '/', &shared) : 0;
    if (start == 0)
        return 0;
    /* Kinds apart by more than a letter: short names are hardly mixed. */
    uint64_t number = text_hash(TEXT_HASH + (uint64_t)kind * 0x9e3779b97f4a7c15ull, path, length);
    number = mix(number ^ view->generation << 40 ^ view->changes ^ start);
    /* The lowest bit tells where it is kept. */
    return shared ? number | 1 : number & ~1ull;
}

/* A way may be kept in any of a few places that lie together; `turn` counts them. */
enum { WAY_PLACES = 8 };

static struct space_way *way_place(uint64_t number, unsigned turn)
{
    uint64_t at = number >> 1;
    struct space_way *all = memory.ways;
    uint64_t count = WAYS;
    if (number & 1) {
        all = ((struct space_ways *)(shared_get() + SPACE_WAYS_OFFSET))->ways;
        count = SPACE_WAYS;
    }
    return &all[(at % count & ~(uint64_t)(WAY_PLACES - 1)) | ((at + turn) % WAY_PLACES)];
}

/* What binds the two words of a place together. */
static uint64_t way_check(uint64_t number, uint64_t learned)
{
    return number ^ learned * 0x9e3779b97f4a7c15ull;
}

/* When it was learned, if this place is the way's; else 0. */
static uint64_t way_learned(const struct space_way *way, uint64_t number)
{
    uint64_t learned = __atomic_load_n(&way->learned, __ATOMIC_RELAXED);
    uint64_t check = __atomic_load_n(&way->check, __ATOMIC_RELAXED);
    return check == way_check(number, learned) ? learned : 0;
}

static bool way_is_younger(uint64_t number, uint64_t lifetime)
{
    for (unsigned turn = 0; number != 0 && turn < WAY_PLACES; turn++) {
        uint64_t learned = way_learned(way_place(number, turn), number);
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
    struct space_way *way = way_place(number, 0);
    uint64_t now = time_stamp();
    for (unsigned turn = 0; turn < WAY_PLACES; turn++) {
        struct space_way *other = way_place(number, turn);
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

void way_learn_directory(const struct view *view, int directory, const char *path)
{
    char way[256];
    size_t length = text_length(path);
    if (length == 0 || length + 1 > sizeof way)
        return;
    bytes_copy(way, path, length);
    if (way[length - 1] != '/')
        way[length++] = '/';
    way_learn(way_number(view, WAY_DIRECTORY, directory, way, length));
}

/* Where a byte is `byte`: 0x80 in its place. */
static uint64_t bytes_equal(uint64_t word, unsigned char byte)
{
    const uint64_t low = 0x7f7f7f7f7f7f7f7full;
    word ^= byte * 0x0101010101010101ull;
    return ~(((word & low) + low) | word | low);
}

/* The length of a path, and of the way in it. By words and not by bytes: behind a system call the
 * processor predicts no branch, and this runs behind each. Aligned: such a word is on one page with
 * the byte that is meant. */
static size_t path_measure(const char *path, size_t *way)
{
    /* A slash at the end makes the last component part of the way: a symlink there is followed. */
    const size_t skipped = (uintptr_t)path % sizeof(uint64_t);
    const uint64_t *at = (const uint64_t *)(const void *)(path - skipped);
    uint64_t mask = ~0ull << (8 * skipped);
    size_t offset = 0, slash_end = 0;
    for (;; at++, offset += sizeof *at, mask = ~0ull) {
        uint64_t ends = bytes_equal(*at, '\0') & mask;
        uint64_t slashes = bytes_equal(*at, '/') & mask;
        if (ends != 0)
            slashes &= (ends & -ends) - 1;
        if (slashes != 0)
            slash_end = offset + (size_t)(63 - __builtin_clzll(slashes)) / 8 + 1;
        if (ends != 0) {
            *way = slash_end == 0 ? 0 : slash_end - skipped;
            return offset + (size_t)__builtin_ctzll(ends) / 8 - skipped;
        }
    }
}

void way_learn_walk(const struct view *view, int directory, const char *path,
                    const struct walk *walk)
{
    size_t way, length = path_measure(path, &way);
    if (!view->shadows || walk->touched || walk->fleeting || length == 0)
        return;
    /* With a slash at its end the whole path is the way: only if the walk went all of it, and not
     * if it came for the name alone (WALK_NAME), or for an object of procfs. */
    if (way < length || (!walk->missing && S_ISDIR(walk->status.st_mode)))
        way_learn(way_number(view, WAY_DIRECTORY, directory, path, way));
    if ((walk->options & WALK_FOLLOW) && !walk->missing)
        way_learn(way_number(view, WAY_FOLLOWED, directory, path, length));
}

static bool text_ends(const char *text, size_t length, const char *end, size_t end_length)
{
    return length >= end_length &&
           text_equal(text + length - end_length, end_length, end, end_length);
}

void way_teach(const struct view *view, const char *path, const char *whole,
               const struct walk *walk, bool found)
{
    size_t way, length = path_measure(path, &way);
    bool direct = text_equal(walk->host, walk->host_length, whole, text_length(whole));
    bool follow = (walk->options & WALK_FOLLOW) != 0;
    if (walk->touched || walk->fleeting || length == 0)
        return;
    if (way > 0 && (way < length || (found && S_ISDIR(walk->status.st_mode)))) {
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

bool way_is_clear(const struct view *view, int directory, const char *path)
{
    size_t way, length = path_measure(path, &way);
    const char *last = path + way;
    if (way == length || last[0] == '.' || table_names(view->table, last, length - way))
        return false;
    return way == 0 || way_is_known(way_number(view, WAY_DIRECTORY, directory, path, way));
}

bool way_is_plain(const struct view *view, int directory, const char *path)
{
    char parent[512];
    size_t end, length = path_measure(path, &end);
    if (end >= sizeof parent)
        return false;
    if (end == 0)
        return true;
    /* A last component that some entry is called by is this entry or not by the directory's name.
     * The text has told that it is not: of a way that is its own name and of no other. */
    bool named = view->table != NULL && table_names(view->table, path + end, length - end);
    uint64_t number = way_number(view, named ? WAY_DIRECT : WAY_DIRECTORY, directory, path, end);
    if (way_is_known(number))
        return true;
    bytes_copy(parent, path, end);
    parent[end] = '\0';
    if (path_is_direct(directory, parent, true) != 1)
        return false;
    way_learn(number);
    return true;
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

bool target_is_plain(const struct view *view, int directory, const char *path)
{
    uint64_t number = way_number(view, WAY_FOLLOWED, directory, path, text_length(path));
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

void ways_start(void)
{
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
        __atomic_store_n(&memory.worlds, true, __ATOMIC_RELEASE);
    __atomic_store_n(&memory.world, 0, __ATOMIC_RELEASE);
}
