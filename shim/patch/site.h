/* A system call's site, and the window of it that a jump replaces. */
#ifndef HIRSEL_SITE_H
#define HIRSEL_SITE_H

#include "shim/patch/code.h"

#define SITE_JUMP 5 /* bytes of the jump that a window must hold */

struct site {
    uint64_t call;                     /* address of the `syscall` */
    int64_t number;                    /* of the system call; -1: not known */
    const struct unwind_entry *unwind; /* NULL: none */
    uint64_t begin, end;               /* the window: whole instructions, entered only at `begin` */
    bool moved;                        /* the `syscall` is in the window; else it lies at its end */
};

enum site_wish {
    SITE_ANY = 0,
    SITE_INDEPENDENT, /* no instruction in the window names memory relative to itself */
};

/* What is known of the system call; the window is yet empty. */
void site_describe(const struct code_map *map, uint64_t call, struct site *site);

/* Calls that come back to another stack, twice, or that are recognised by their bytes. */
bool site_is_left_alone(const struct site *site);

/* Chooses the window: 1, 0 if none is possible, or -1 with the image's error set. */
int site_choose(const struct code_map *map, struct site *site, enum site_wish wish);

#endif
