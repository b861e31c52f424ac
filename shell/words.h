/* Words of commands as text, and back: quoting. */
#ifndef HIRSEL_WORDS_H
#define HIRSEL_WORDS_H

#include <stddef.h>
#include <stdio.h>

/* Print a word so that a shell, or a namespace file, reads it back as it is. */
void words_print(FILE *to, const char *word, size_t length);

/* One command of a text: words, ended by NULL, malloc'ed; the line on which it begins. */
struct words {
    char **words;
    size_t count;
    unsigned line;
};

/* The next command of `text` from *position on; *line is kept. 0: read; ENOENT: there is none left;
 * EINVAL: `problem` says what is wrong (from words->line on); ENOMEM. Afterwards, whatever came,
 * words_clear. */
int words_read(const char *text, size_t length, size_t *position, unsigned *line,
               struct words *words, const char **problem);
void words_clear(struct words *words);

#endif
