/* The prefix table of a name space, as it lies in shared memory.
 *
 * A name space is a file SESSION/spaces/ID/table. fs writes it; every program of the tree has it
 * mapped read-only by its shim. Layout:
 *
 *   offset 0      struct space_header     written by fs
 *   offset 2048   struct space_net        written by net
 *   offset 3072   struct space_changes    written by every program of the tree
 *   offset 4096   struct space_ways       written by every program of the tree
 *   offset 135168 the ring of snapshots   written by fs
 *
 * A snapshot (struct space_snapshot, its entries, its strings) is never changed once published: fs
 * writes the next one behind it in the ring, then stores its offset in `active` (release) and adds
 * one to `generation`. A reader loads `generation`, then `active` (acquire), uses the snapshot, and
 * loads `generation` again: if it moved on by SPACE_RING_SAFE or more, the snapshot may have been
 * written over, and the reader starts again. Until then it may have read anything: it takes counts,
 * offsets and lengths from a snapshot by table_count, table_path and table_target alone, which keep
 * it within the file. So a writer that dies at any instant leaves a good
 * table, and no reader ever waits.
 *
 * No libc here: the shim includes this. */
#ifndef HIRSEL_SPACE_H
#define HIRSEL_SPACE_H

#include <stdint.h>

#define SPACE_MAGIC 0x6c65737269484e53ull /* "SNHirsel" */
#define SPACE_LAYOUT 6
#define SPACE_FILE_SIZE (1u << 20) /* the whole file, sparse; mapped whole */
#define SPACE_NET_OFFSET 2048
#define SPACE_CHANGES_OFFSET 3072
#define SPACE_HANDOVERS_OFFSET 3584
#define SPACE_WAYS_OFFSET 4096
#define SPACE_RING_OFFSET (4096 + 131072)
/* Nothing is ever written behind the ring: what a reader believes of a snapshot that is written
 * over at that moment leads no farther than that. */
#define SPACE_RING_END (SPACE_FILE_SIZE - (3u << 16))
/* A snapshot larger than this is refused (ENOSPC), so that the ring holds at least four. */
#define SPACE_SNAPSHOT_MAX ((SPACE_RING_END - SPACE_RING_OFFSET) / 4)
/* The active snapshot stays whole while fewer than this many more are published. */
#define SPACE_RING_SAFE 2

struct space_header {
    uint64_t magic;
    uint32_t layout;
    uint32_t reserved;
    uint64_t id;         /* of the name space; 0 is the session's default one */
    uint64_t generation; /* atomic; 0: nothing is published yet */
    uint64_t active;     /* atomic: offset of the active snapshot from the file's start */
    /* Set by fs before the first descriptor of a virtual directory is handed out, never cleared:
     * until then no current directory and no dirfd can be a placeholder. */
    uint32_t placeholders;
    uint32_t reserved2;
};

enum space_flags {
    SPACE_HAS_SHADOWS = 1, /* some entry shadows or hides a name that exists on the host */
    SPACE_HAS_BINDS = 2,
    SPACE_HAS_NODES = 4, /* some entry is a node, or a translator runs in this space */
};

struct space_snapshot {
    uint32_t size;  /* of the whole snapshot in bytes, strings included */
    uint32_t count; /* of entries; they follow at once, sorted by path (memcmp order) */
    uint32_t flags; /* enum space_flags */
    uint32_t reserved;
    /* Bloom bits over names: bit space_name_bit(name) is set for the last component of every
     * entry's path / for every component of every entry's path but the last. */
    uint64_t name_bits[4];
    uint64_t ancestor_bits[4];
};

enum space_kind {
    SPACE_BIND = 1,
    SPACE_HIDE = 2,
    SPACE_SYMLINK = 3,
    SPACE_NODE = 4,
};

enum space_entry_flags {
    SPACE_SHADOWS = 1,   /* the path exists on the host below (device, inode are its) */
    SPACE_READ_ONLY = 2, /* changes below give EROFS */
    SPACE_DIRECTORY = 4, /* the bind's target or the node is a directory */
};

struct space_entry {
    uint32_t path;        /* offset of the path from the snapshot's start; absolute, normalised, */
    uint32_t path_length; /*   NUL behind it (not counted); names the session's view */
    uint32_t name;        /* offset of its last component */
    uint32_t target;      /* bind: absolute host path, free of symlinks; symlink: its text */
    uint32_t target_length;
    uint16_t kind;       /* enum space_kind */
    uint16_t flags;      /* enum space_entry_flags */
    uint64_t translator; /* node: the translator's id */
    /* The host directory that holds the path's last component, where there is one: so that a
     * listing knows which names to add and to leave out without asking for its own name. */
    uint64_t parent_device;
    uint64_t parent_inode;
    /* Its own as long as it lasts, 1 to SPACE_SERIAL_MAX: by it a listing that goes on in a table
     * that has changed meanwhile knows what it has shown. */
    uint32_t serial;
    uint32_t reserved;
};
#define SPACE_SERIAL_MAX 0xfffffeu

enum space_network {
    SPACE_NET_HOST = 0,
    SPACE_NET_NONE = 1,
    SPACE_NET_PRIVATE = 2,
};

struct space_net {
    uint32_t mode;  /* atomic; enum space_network */
    uint32_t slice; /* private: the first address of the slice of 127/8, in host byte order */
};

/* How often a program of this name space did what can make a known way lead elsewhere: made a
 * symlink, renamed a directory or a symlink (shim/door/ways.c). The shims map it writable; nothing
 * is enforced by it. */
struct space_changes {
    uint64_t count; /* atomic */
};

/* The libc copy, opened by a program for what it is about to execute: the trap server answers
 * ld.so's open of libc with the descriptor, which is there already (shim/door/handover.h). One is
 * for the threads whose numbers lead to its place. */
struct space_handover {
    uint64_t when; /* a time stamp; 0: nothing */
    uint32_t thread;
    int32_t descriptor;
};
#define SPACE_HANDOVERS 32
struct space_handovers {
    struct space_handover of[SPACE_HANDOVERS];
};

/* What the programs of this name space have found out about absolute paths, for each other: most
 * programs are short, and would each have to find it out anew. Confined programs may only read it:
 * they are taught by the trap server. Two words, each written whole:
 * `check` binds them together, so that a way of which two programs wrote a word each is nobody's.
 * Nothing is enforced by it. */
struct space_way {
    uint64_t learned; /* a time stamp */
    uint64_t check;
};
#define SPACE_WAYS ((SPACE_RING_OFFSET - SPACE_WAYS_OFFSET) / sizeof(struct space_way))
struct space_ways {
    struct space_way ways[SPACE_WAYS];
};

/* Which bit of a 256-bit set stands for this name. Asked for each component of each path of each
 * call: so of a few bytes only, not of all. */
static inline unsigned space_name_bit(const char *name, uint64_t length)
{
    if (length == 0)
        return 0;
    const unsigned char *bytes = (const unsigned char *)name;
    uint64_t hash = bytes[0] * 0x6d2b79f5ul + bytes[length - 1] * 0x1b873593ul +
                    bytes[length / 2] * 0x85ebca6bul + length * 0x9e3779b1ul;
    return (unsigned)(hash >> 24) & 255u;
}

static inline int space_bit_test(const uint64_t bits[4], unsigned bit)
{
    return (int)((bits[bit >> 6] >> (bit & 63)) & 1);
}

#endif
