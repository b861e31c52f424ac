#include "shim/door/path_text.h"

#include "shim/core/text.h"

/* The word of the last `size` bytes, up to eight, of a text. */
static inline uint64_t word_last(const char *text, size_t length, size_t size)
{
    uint64_t word = 0;
    if (size == 0)
        return 0;
    if (length >= sizeof word)
        return word_read(text + length - sizeof word) >> (8 * (sizeof word - size));
    for (size_t i = 0; i < size; i++)
        word |= (uint64_t)(unsigned char)text[length - size + i] << (8 * i);
    return word;
}

uint64_t text_number(const char *text, size_t length)
{
    uint64_t number = TEXT_NUMBER;
    size_t done = 0;
    for (; length - done > sizeof number; done += sizeof number)
        number = number_add(number, word_read(text + done));
    return number_add(number, word_last(text, length, length - done));
}

uint64_t text_number_slash(const char *text, size_t length)
{
    uint64_t number = TEXT_NUMBER;
    size_t done = 0;
    for (; length - done >= sizeof number; done += sizeof number)
        number = number_add(number, word_read(text + done));
    return number_add(number, word_last(text, length, length - done) |
                                  (uint64_t)'/' << (8 * (length - done)));
}

uint64_t word_read_split(const char *text)
{
    const size_t skipped = (uintptr_t)text % sizeof(uint64_t);
    const uint64_t *at = (const uint64_t *)(const void *)(text - skipped);
    uint64_t word = *at >> (8 * skipped);
    /* The first of a page, to which the step from the last of the page before leads. */
    if (skipped == 0)
        return word;
    for (size_t i = 0; i < sizeof word - skipped; i++)
        if ((unsigned char)(word >> (8 * i)) == 0)
            return word;
    return word | at[1] << (64 - 8 * skipped);
}

struct text text_read_exactly(const char *path)
{
    struct text text = {.length = text_length(path)};
    for (text.way = text.length; text.way > 0 && path[text.way - 1] != '/';)
        text.way--;
    if (text.way > 0)
        text.number = text_number(path, text.way);
    return text;
}

/* Valgrind's client request RUNNING_ON_VALGRIND (its manual, "The client request mechanism"): these
 * instructions do nothing on a processor. */
bool valgrind_runs(void)
{
    volatile uint64_t request[6] = {0x1001};
    uint64_t answer = 0;
    __asm__ volatile("rolq $3, %%rdi\n\trolq $13, %%rdi\n\trolq $61, %%rdi\n\trolq $51, %%rdi\n\t"
                     "xchgq %%rbx, %%rbx"
                     : "+d"(answer)
                     : "a"(request)
                     : "cc", "memory");
    return answer != 0;
}
