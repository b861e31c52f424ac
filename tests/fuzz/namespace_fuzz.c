/* The namespace file's parser, fed with anything: it ends, its lines count up, and what it read
 * reads back when it is printed. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shell/words.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

static void read_back(const struct words *words)
{
    char *text = NULL;
    size_t length = 0, position = 0;
    unsigned line = 1;
    const char *problem;
    struct words again;
    FILE *file = open_memstream(&text, &length);

    for (size_t i = 0; i < words->count; i++) {
        words_print(file, words->words[i], strlen(words->words[i]));
        putc(' ', file);
    }
    fclose(file);
    if (words_read(text, length, &position, &line, &again, &problem) != 0 ||
        again.count != words->count)
        abort();
    for (size_t i = 0; i < words->count; i++)
        if (strcmp(again.words[i], words->words[i]) != 0)
            abort();
    words_clear(&again);
    free(text);
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
    size_t position = 0;
    unsigned line = 1, last = 0;
    const char *problem = NULL;
    struct words words;
    int error = 0;

    while (error == 0) {
        size_t before = position;
        error = words_read((const char *)data, size, &position, &line, &words, &problem);
        if (position > size || (error == 0 && position <= before) || words.line < last ||
            (error == EINVAL && !problem))
            abort();
        last = words.line;
        if (error == 0)
            read_back(&words);
        words_clear(&words);
    }
    return 0;
}
