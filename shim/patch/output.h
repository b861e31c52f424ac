/* A file that appears whole or not at all. */
#ifndef HIRSEL_OUTPUT_H
#define HIRSEL_OUTPUT_H

#include <limits.h>
#include <stddef.h>

struct output {
    const char *path;
    char temporary[PATH_MAX]; /* beside it, until the commit */
    int fd;
};

/* Each: 0, or -1 with errno. After output_begin succeeded: one output_commit that succeeds, or
 * output_abort. */
int output_begin(struct output *output, const char *path);
int output_add(struct output *output, const void *bytes, size_t size);
int output_close(struct output *output); /* all of it is on disk */
int output_commit(struct output *output);
void output_abort(struct output *output);

/* errno in words. */
const char *output_why(void);

#endif
