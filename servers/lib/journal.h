/* What must not be done twice, and numbers that must not come again: a small file in shared memory
 * under SESSION/state/, so that it outlives the server.
 *
 * A request with an id is begun, then done, then ended with its answer. If the server is killed in
 * between, the caller repeats it with the same id: an ended one is answered from here; one that was
 * only begun is run again, knowing that it may find its own work. */
#ifndef HIRSEL_JOURNAL_H
#define HIRSEL_JOURNAL_H

#include <stdbool.h>
#include <stdint.h>

#define JOURNAL_SLOTS 256
/* How many different things a server may number; what each counts is its own affair. */
#define JOURNAL_COUNTERS 2

enum journal_state {
    JOURNAL_NEW,   /* never seen, or so long ago that it was forgotten */
    JOURNAL_BEGUN, /* seen, and perhaps done */
    JOURNAL_ENDED,
};

struct journal {
    struct journal_file *file;
};

/* Map the file at `path`, made if there is none; a damaged one is replaced. */
int journal_open(struct journal *journal, const char *path);
void journal_close(struct journal *journal);

/* The next number; never 0, never one given before. */
uint64_t journal_next(struct journal *journal, unsigned counter);
/* No number up to `least` will be given out any more. */
void journal_skip(struct journal *journal, unsigned counter, uint64_t least);

/* What is known of request `id` (not 0); its answer where it ended, its value where it began. */
enum journal_state journal_find(const struct journal *journal, uint64_t id, int *error,
                                uint64_t *value);
/* `value` is something of the caller's to find again (which number the new thing will have). */
void journal_begin(struct journal *journal, uint64_t id, uint64_t value);
void journal_end(struct journal *journal, uint64_t id, int error, uint64_t value);

#endif
