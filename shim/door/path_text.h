/* The text of a path as a number, by which known ways are told apart, and the way in it. The number
 * is made of the text's words of eight bytes, the last of which may be short. */
#ifndef HIRSEL_PATH_TEXT_H
#define HIRSEL_PATH_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A path's text, and the way in it, which is up to the last slash. A slash at the end makes the
 * last component part of the way: a symlink there is followed. */
struct text {
    size_t length;
    size_t way;
    uint64_t number; /* of the way */
};

uint64_t text_number(const char *text, size_t length) __attribute__((visibility("hidden")));
/* Of the text with a slash behind it. */
uint64_t text_number_slash(const char *text, size_t length) __attribute__((visibility("hidden")));
/* Whether this runs in valgrind(1), which finds fault with what is read behind a text's end. */
bool valgrind_runs(void) __attribute__((visibility("hidden")));

/* ---- for text_read alone ---- */

#define TEXT_NUMBER 14695981039346656037ull
#define TEXT_PAGE 4096u

static inline uint64_t number_add(uint64_t number, uint64_t word)
{
    number = (number ^ word) * 0x9e3779b97f4a7c15ull;
    return number ^ number >> 32;
}

static inline uint64_t word_read(const char *text)
{
    uint64_t word;
    __builtin_memcpy(&word, text, sizeof word);
    return word;
}

/* The same as word_read of a text that ends before the next page, or goes on there. */
uint64_t word_read_split(const char *text) __attribute__((visibility("hidden")));
struct text text_read_exactly(const char *path) __attribute__((visibility("hidden")));

#define EACH_BYTE 0x0101010101010101ull

/* In one pass, and by words: behind a system call the processor predicts few branches, and this
 * runs behind each that names a path; so it is here, to be inlined. A word may reach beyond the
 * text, not beyond its page. */
__attribute__((no_sanitize("address"))) static inline struct text text_read(const char *path,
                                                                            bool watched)
{
    uint64_t number = TEXT_NUMBER, way_number = 0, way_word = 0, way_slashes = 0;
    const char *at = path, *way = path;
    uintptr_t last =
        ((uintptr_t)path | (TEXT_PAGE - 1)) + 1 - sizeof number; /* of the page's words */
    if (__builtin_expect(watched, false))
        return text_read_exactly(path);
    for (;; at += sizeof(uint64_t)) {
        uint64_t word;
        if ((uintptr_t)at <= last) {
            word = word_read(at);
        } else {
            word = word_read_split(at);
            last += TEXT_PAGE;
        }
        /* 0x80 where the text ends, and in each slash before that. */
        uint64_t ends = (word - EACH_BYTE) & ~word & (0x80 * EACH_BYTE);
        uint64_t other = word ^ '/' * EACH_BYTE;
        uint64_t slashes =
            ~(((other & (0x7f * EACH_BYTE)) + 0x7f * EACH_BYTE) | other | 0x7f * EACH_BYTE);
        slashes &= (ends & -ends) - 1;
        if (slashes != 0) {
            way_number = number;
            way_word = word;
            way_slashes = slashes;
            way = at;
        }
        if (ends != 0) {
            struct text text = {.length = (size_t)(at - path) + (size_t)__builtin_ctzll(ends) / 8};
            if (way_slashes == 0)
                return text;
            unsigned above = (unsigned)__builtin_clzll(way_slashes);
            text.way = (size_t)(way - path) + sizeof word - above / 8;
            text.number = number_add(way_number, way_word & ~0ull >> above);
            return text;
        }
        number = number_add(number, word);
    }
}

#endif
