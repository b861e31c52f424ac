#include "shell/words.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* ---- printing ---- */

static bool byte_is_plain(char byte)
{
    return (byte >= '0' && byte <= '9') || (byte >= 'A' && byte <= 'Z') ||
           (byte >= 'a' && byte <= 'z') || (byte && strchr("._,=+@:/%-", byte));
}

void words_print(FILE *to, const char *word, size_t length)
{
    bool plain = length > 0;

    for (size_t i = 0; i < length; i++)
        plain &= byte_is_plain(word[i]);
    if (plain) {
        fwrite(word, 1, length, to);
        return;
    }
    putc('\'', to);
    for (size_t i = 0; i < length; i++) {
        if (word[i] == '\'')
            fputs("'\\''", to);
        else
            putc(word[i], to);
    }
    putc('\'', to);
}

/* ---- reading ---- */

struct reader {
    const char *at, *end;
    unsigned *line;
    struct words *words;
    size_t room;
    char *word; /* being read; NULL between words */
    size_t word_length, word_room;
    const char *problem;
};

static int word_add(struct reader *reader, char byte)
{
    if (reader->word_length + 1 >= reader->word_room) {
        size_t room = reader->word_room ? reader->word_room * 2 : 32;
        char *larger = realloc(reader->word, room);
        if (!larger)
            return ENOMEM;
        reader->word = larger;
        reader->word_room = room;
    }
    reader->word[reader->word_length++] = byte;
    reader->word[reader->word_length] = '\0';
    return 0;
}

/* A word has begun, even if it stays empty (''). */
static int word_begin(struct reader *reader)
{
    int error = word_add(reader, '\0');

    if (!error)
        reader->word_length--;
    return error;
}

static int word_end(struct reader *reader)
{
    struct words *words = reader->words;

    if (!reader->word)
        return 0;
    if (words->count + 1 >= reader->room) {
        size_t room = reader->room ? reader->room * 2 : 8;
        char **larger = reallocarray(words->words, room, sizeof(char *));
        if (!larger)
            return ENOMEM;
        words->words = larger;
        reader->room = room;
    }
    words->words[words->count++] = reader->word;
    words->words[words->count] = NULL;
    reader->word = NULL;
    reader->word_length = reader->word_room = 0;
    return 0;
}

/* Behind a backslash. `quoted`: within "...", where it stands for itself before most bytes. */
static int escape_read(struct reader *reader, bool quoted)
{
    char byte;

    if (reader->at == reader->end) {
        reader->problem = "a backslash at the end";
        return EINVAL;
    }
    byte = *reader->at++;
    if (byte == '\n') {
        ++*reader->line;
        return 0; /* the line goes on */
    }
    if (quoted && byte != '"' && byte != '\\') {
        int error = word_add(reader, '\\');
        if (error)
            return error;
    }
    return word_add(reader, byte);
}

static int quotes_read(struct reader *reader, char quote)
{
    int error = word_begin(reader);

    while (!error && reader->at < reader->end) {
        char byte = *reader->at++;
        if (byte == quote)
            return 0;
        if (byte == '\n')
            ++*reader->line;
        if (byte == '\\' && quote == '"')
            error = escape_read(reader, true);
        else
            error = word_add(reader, byte);
    }
    if (!error) {
        reader->problem = quote == '"' ? "a \" is not closed" : "a ' is not closed";
        error = EINVAL;
    }
    return error;
}

static void comment_skip(struct reader *reader)
{
    while (reader->at < reader->end && *reader->at != '\n')
        reader->at++;
}

/* One byte, or what it introduces. *done: the command has ended. */
static int byte_read(struct reader *reader, bool *done)
{
    char byte = *reader->at++;
    int error;

    /* A command begins on the line where its first word does. */
    if (!reader->word && reader->words->count == 0)
        reader->words->line = *reader->line;
    switch (byte) {
    case '\n':
        error = word_end(reader);
        ++*reader->line;
        *done = reader->words->count > 0;
        return error;
    case ' ':
    case '\t':
    case '\r':
        return word_end(reader);
    case '\'':
    case '"':
        return quotes_read(reader, byte);
    case '\\':
        return escape_read(reader, false);
    case '#':
        if (!reader->word) {
            comment_skip(reader);
            return 0;
        }
        return word_add(reader, byte);
    default:
        return word_add(reader, byte);
    }
}

int words_read(const char *text, size_t length, size_t *position, unsigned *line,
               struct words *words, const char **problem)
{
    struct reader reader = {
        .at = text + *position, .end = text + length, .line = line, .words = words};
    bool done = false;
    int error = 0;

    *words = (struct words){.line = *line};
    if (memchr(reader.at, '\0', (size_t)(reader.end - reader.at))) {
        *problem = "a NUL byte: this is no text";
        *position = length;
        return EINVAL;
    }
    while (!error && !done && reader.at < reader.end)
        error = byte_read(&reader, &done);
    if (!error)
        error = word_end(&reader);
    free(reader.word);
    *position = (size_t)(reader.at - text);
    if (error)
        *problem = reader.problem;
    else if (words->count == 0)
        error = ENOENT;
    return error;
}

void words_clear(struct words *words)
{
    for (size_t i = 0; i < words->count; i++)
        free(words->words[i]);
    free(words->words);
    *words = (struct words){0};
}
