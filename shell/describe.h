/* What a translator says of itself, before it is set: the words that start it, and what its node
 * is to be. */
#ifndef HIRSEL_DESCRIBE_H
#define HIRSEL_DESCRIBE_H

#include <limits.h>
#include <stddef.h>

#define DESCRIBE_KIND_MAX (PATH_MAX + 16)

/* The path of the translator `name`: an installed one's, or that of a program if it has a slash.
 * `word` is what is recorded: the name, or the program's absolute path. 0 or an errno, said. */
int describe_find(const char *name, char program[PATH_MAX], char word[PATH_MAX]);

/* Ask `program --describe ARG…` in the directory `directory` for the node's kind, as fs wants it
 * ("file", "directory", "device:PATH"). `arguments` ends with NULL. 0 or an errno, said. */
int describe_ask(const char *program, char *const *arguments, const char *directory,
                 char kind[DESCRIBE_KIND_MAX]);

#endif
