/* escape: tries each known way out of `hirsel run --confine`, and says of each whether it was held.
 * Each family of ways is a file with a table of them; what lies outside and is to be reached is
 * made by the target (target.c), which also notes what reached it. */
#ifndef HIRSEL_ESCAPE_H
#define HIRSEL_ESCAPE_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Whoever reads these words has read what is not to be read. */
#define SECRET "the secret is out"

/* Where descriptors are handed in that were opened before the fence. */
enum { INHERITED_DIRECTORY = 7, INHERITED_FILE = 8 };

/* What the target made. */
struct outside {
    char program[PATH_MAX];   /* this program, in reach of the confined */
    char allowed[PATH_MAX];   /* a directory that may be used */
    char directory[PATH_MAX]; /* one that may not: all below is below it */
    char secret[PATH_MAX];
    char readable[PATH_MAX]; /* a directory that may be read and not changed */
    char session[PATH_MAX];  /* the own session's directory; empty: none */
    char other[PATH_MAX];    /* another session's */
    char hirsel[PATH_MAX];   /* the command; empty: out of reach */
    char terminal[64];       /* of the target */
    uint64_t secret_inode;
    uint64_t memory; /* the address of the secret in the target */
    uint64_t parent; /* who started this program */
    uint32_t target; /* its pid */
    uint32_t guard;  /* the pid of the own session's init */
    uint16_t port, port6, port_datagram;
    uint16_t port_allowed; /* also listened to, and not noted */
    uint32_t key;          /* of System V objects */
    int32_t descriptor;    /* of the secret, open in the target */
    int32_t memory_file;   /* likewise, of a file without a name that holds it */
};

enum outcome { OUTCOME_NONE, OUTCOME_HELD, OUTCOME_ESCAPED, OUTCOME_UNTRIED };

/* One way being tried, in a process of its own; shared with the parent. */
struct trial {
    const char *name;
    enum outcome outcome;
    char text[256];
};

void tell_held(struct trial *trial, const char *format, ...) __attribute__((format(printf, 2, 3)));
void tell_escaped(struct trial *trial, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void tell_untried(struct trial *trial, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* By the result of a call: negative is held, and errno says how. */
void tell_call(struct trial *trial, long result, const char *gain);
/* By a descriptor that the secret can be read from, or negative with errno. Closes it. */
void tell_descriptor(struct trial *trial, int descriptor);
/* By what a program of these words prints. With `environment` NULL its own. */
void tell_output(struct trial *trial, const char *const *words, char *const *environment);

/* Whether the secret is read from it. Keeps errno of a failure. */
bool descriptor_tells(int descriptor);
bool file_tells(const char *path);
/* DIRECTORY/NAME; the text is the caller's `buffer` of PATH_MAX bytes. */
const char *path_in(char *buffer, const char *directory, const char *name);
/* The file outside that this way alone may change. */
const char *path_of_victim(char *buffer, const struct outside *outside, const struct trial *trial);
/* A file or directory of this way's own, in the allowed directory. */
const char *path_of_own(char *buffer, const struct outside *outside, const struct trial *trial,
                        const char *suffix);
/* Write a file in the allowed directory. False: it can't be tried. */
bool file_make(const char *path, const char *text, mode_t mode);

typedef void way_attempt(const struct outside *outside, struct trial *trial);

struct way {
    const char *name;
    way_attempt *attempt;
    /* Natively every ordinary user gets through here: if not, the test shows nothing. */
    bool natural;
};

struct family {
    const char *name;
    const struct way *ways;
    size_t count;
};

extern const struct family family_files, family_changes, family_attributes, family_gates,
    family_processes, family_network, family_objects, family_kernel, family_races, family_starts,
    family_servers, family_readable;

#define FAMILY_COUNT 12
extern const struct family *const families[FAMILY_COUNT];

/* Be what is to be reached, until told to end. */
int target_run(int argc, char **argv);

#endif
