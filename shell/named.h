/* Commands that take nothing but a session's name, as a word or as --session. */
#ifndef HIRSEL_NAMED_H
#define HIRSEL_NAMED_H

/* The name, or NULL where none was given and `required` is 0. Ends the program on bad options. */
const char *named_parse(int argc, char **argv, const char *documentation, int required);

#endif
