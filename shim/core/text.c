#include "shim/core/text.h"

/* The compiler makes calls to these four of loops and of assignments; libprotobuf-c calls them
 * too. Hidden: the program's own symbols must not meet ours. */
void *memcpy(void *restrict to, const void *restrict from, size_t length);
void *memmove(void *to, const void *from, size_t length);
void *memset(void *to, int value, size_t length);
int memcmp(const void *one, const void *other, size_t length);
size_t strlen(const char *text);
int strcmp(const char *one, const char *other);

/* Not to be turned into a call of itself, whatever flags this file is built with. */
__attribute__((optimize("no-tree-loop-distribute-patterns"))) void *
memcpy(void *restrict to, const void *restrict from, size_t length)
{
    void *start = to;
    if (length < 32) {
        /* Most are components of paths: the string instruction takes longer to start. */
        unsigned char *target = to;
        const unsigned char *source = from;
        while (length-- > 0)
            *target++ = *source++;
        return start;
    }
    __asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(length) : : "memory");
    return start;
}

void *memmove(void *to, const void *from, size_t length)
{
    unsigned char *target = to;
    const unsigned char *source = from;
    if (target <= source || target >= source + length)
        return memcpy(to, from, length);
    while (length-- > 0)
        target[length] = source[length];
    return to;
}

void *memset(void *to, int value, size_t length)
{
    void *start = to;
    __asm__ volatile("rep stosb" : "+D"(to), "+c"(length) : "a"(value) : "memory");
    return start;
}

int memcmp(const void *one, const void *other, size_t length)
{
    const unsigned char *a = one, *b = other;
    for (size_t i = 0; i < length; i++)
        if (a[i] != b[i])
            return a[i] < b[i] ? -1 : 1;
    return 0;
}

size_t strlen(const char *text)
{
    size_t length = 0;
    while (text[length] != '\0')
        length++;
    return length;
}

int strcmp(const char *one, const char *other)
{
    while (*one != '\0' && *one == *other) {
        one++;
        other++;
    }
    return (unsigned char)*one - (unsigned char)*other;
}

size_t text_length(const char *text)
{
    return strlen(text);
}

bool text_equal(const char *one, size_t one_length, const char *other, size_t other_length)
{
    return one_length == other_length && memcmp(one, other, one_length) == 0;
}

bool text_begins(const char *text, size_t length, const char *start, size_t start_length)
{
    return length >= start_length && memcmp(text, start, start_length) == 0;
}

bool text_below(const char *path, size_t length, const char *prefix, size_t prefix_length)
{
    return text_begins(path, length, prefix, prefix_length) &&
           (length == prefix_length || path[prefix_length] == '/');
}

void bytes_copy(void *to, const void *from, size_t length)
{
    memcpy(to, from, length);
}

void bytes_clear(void *to, size_t length)
{
    memset(to, 0, length);
}

size_t text_put_number(char *to, uint64_t number)
{
    char digits[20];
    size_t count = 0;
    do {
        digits[count++] = (char)('0' + number % 10);
        number /= 10;
    } while (number != 0);
    for (size_t i = 0; i < count; i++)
        to[i] = digits[count - 1 - i];
    return count;
}

bool text_get_number(const char **at, uint64_t *number)
{
    const char *digit = *at;
    uint64_t value = 0;
    if (*digit < '0' || *digit > '9')
        return false;
    for (; *digit >= '0' && *digit <= '9'; digit++) {
        if (value > (UINT64_MAX - 9) / 10)
            return false;
        value = value * 10 + (uint64_t)(*digit - '0');
    }
    *at = digit;
    *number = value;
    return true;
}
