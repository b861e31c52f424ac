/* Bytes and texts without a C library. The shim's object has its own memcpy and friends as well
 * (text.c), because the compiler and libprotobuf-c call them by name. */
#ifndef HIRSEL_TEXT_H
#define HIRSEL_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

size_t text_length(const char *text);
bool text_equal(const char *one, size_t one_length, const char *other, size_t other_length);
/* Whether `text` begins with `start`. */
bool text_begins(const char *text, size_t length, const char *start, size_t start_length);
/* Whether `path` is `prefix` or lies below it; both without a slash at the end, "" is the root. */
bool text_below(const char *path, size_t length, const char *prefix, size_t prefix_length);
void bytes_copy(void *to, const void *from, size_t length);
void bytes_clear(void *to, size_t length);
void *memmove(void *to, const void *from, size_t length);
/* Decimal digits of `number` at `to` (up to 20, no NUL); how many. */
size_t text_put_number(char *to, uint64_t number);
/* The decimal number at *at, which moves behind it. False where there is none. */
bool text_get_number(const char **at, uint64_t *number);

#endif
