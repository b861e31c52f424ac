#include "servers/names/names.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool byte_is_plain(char byte)
{
    return byte && (strchr("._,=+@:-", byte) || (byte >= '0' && byte <= '9') ||
                    (byte >= 'A' && byte <= 'Z') || (byte >= 'a' && byte <= 'z'));
}

/* Append `word` escaped; false: no room. */
static bool escape(char **to, const char *end, const char *word)
{
    static const char digits[] = "0123456789ABCDEF";

    for (; *word; word++) {
        if (byte_is_plain(*word)) {
            if (end - *to < 1)
                return false;
            *(*to)++ = *word;
        } else {
            unsigned char byte = (unsigned char)*word;
            if (end - *to < 3)
                return false;
            *(*to)++ = '%';
            *(*to)++ = digits[byte >> 4];
            *(*to)++ = digits[byte & 15];
        }
    }
    return true;
}

static int hex_value(char digit)
{
    if (digit >= '0' && digit <= '9')
        return digit - '0';
    if (digit >= 'A' && digit <= 'F')
        return digit - 'A' + 10;
    return -1;
}

/* The word that `length` escaped bytes stand for. Only what escape() writes is taken, so that one
 * command has one text. NULL with errno EINVAL or ENOMEM. */
static char *unescape(const char *text, size_t length)
{
    char *word = malloc(length + 1);
    char *to = word;

    if (!word)
        return NULL;
    for (size_t i = 0; i < length; i++) {
        if (byte_is_plain(text[i])) {
            *to++ = text[i];
            continue;
        }
        int high = text[i] == '%' && length - i > 2 ? hex_value(text[i + 1]) : -1;
        int low = high >= 0 ? hex_value(text[i + 2]) : -1;
        char byte = (char)(high * 16 + low);
        if (low < 0 || byte == '\0' || byte_is_plain(byte)) {
            free(word);
            errno = EINVAL;
            return NULL;
        }
        *to++ = byte;
        i += 2;
    }
    *to = '\0';
    return word;
}

int record_encode(const struct seal *seal, const struct record *record, char **text)
{
    char buffer[RECORD_TEXT_MAX + 1];
    size_t prefix = strlen(RECORD_PREFIX);
    char *sealed = buffer + prefix + SEAL_HEX_SIZE + 1; /* KIND/COMMAND */
    char *to = sealed;
    const char *end = buffer + RECORD_TEXT_MAX;

    if (record->count == 0 || record->command[0][0] == '\0')
        return EINVAL;
    *to++ = record->kind;
    if (record->kind == 'p' && !escape(&to, end, record->device))
        return ENAMETOOLONG;
    for (size_t i = 0; i < record->count; i++) {
        if (to == end)
            return ENAMETOOLONG;
        *to++ = '/';
        if (!escape(&to, end, record->command[i]))
            return ENAMETOOLONG;
    }
    *to = '\0';
    memcpy(buffer, RECORD_PREFIX, prefix);
    seal_make(seal, sealed, (size_t)(to - sealed), buffer + prefix);
    buffer[prefix + SEAL_HEX_SIZE] = '/';
    *text = strdup(buffer);
    return *text ? 0 : ENOMEM;
}

static int kind_parse(const char *text, size_t length, struct record *record)
{
    if (length == 1 && (text[0] == 'f' || text[0] == 'd')) {
        record->kind = text[0];
        return 0;
    }
    if (length > 1 && text[0] == 'p') {
        record->kind = 'p';
        record->device = unescape(text + 1, length - 1);
        if (!record->device)
            return errno;
        return record->device[0] == '/' ? 0 : EINVAL;
    }
    return EINVAL;
}

static int command_parse(const char *text, const char *end, struct record *record)
{
    size_t count = 1;

    for (const char *at = text; at < end; at++)
        count += *at == '/';
    record->command = calloc(count + 1, sizeof(char *));
    if (!record->command)
        return ENOMEM;
    while (record->count < count) {
        const char *slash = memchr(text, '/', (size_t)(end - text));
        const char *stop = slash ? slash : end;
        char *word = unescape(text, (size_t)(stop - text));
        if (!word)
            return errno;
        record->command[record->count++] = word;
        text = stop + 1;
    }
    return record->command[0][0] ? 0 : EINVAL;
}

int record_parse(const struct seal *seal, const char *text, size_t length, struct record *record)
{
    size_t prefix = strlen(RECORD_PREFIX);
    const char *end = text + length;
    const char *hex = text + prefix;
    const char *sealed = hex + SEAL_HEX_SIZE + 1;
    const char *slash;
    int error;

    memset(record, 0, sizeof(*record));
    /* At least one byte each of KIND and COMMAND and a slash between. */
    if (length > RECORD_TEXT_MAX || length < prefix + SEAL_HEX_SIZE + 1 + 3 ||
        memcmp(text, RECORD_PREFIX, prefix) != 0 || sealed[-1] != '/')
        return EINVAL;
    /* The seal first: a stranger's bytes are not even parsed. */
    if (!seal_matches(seal, sealed, (size_t)(end - sealed), hex))
        return ENOKEY;
    slash = memchr(sealed, '/', (size_t)(end - sealed));
    if (!slash)
        return EINVAL;
    error = kind_parse(sealed, (size_t)(slash - sealed), record);
    if (!error)
        error = command_parse(slash + 1, end, record);
    if (error)
        record_free(record);
    return error;
}

void record_free(struct record *record)
{
    free(record->device);
    words_free(record->command);
    memset(record, 0, sizeof(*record));
}

int record_set_kind(struct record *record, const char *kind)
{
    static const char device[] = "device:";

    if (strcmp(kind, "file") == 0) {
        record->kind = 'f';
    } else if (strcmp(kind, "directory") == 0) {
        record->kind = 'd';
    } else if (strncmp(kind, device, strlen(device)) == 0 && kind[strlen(device)] == '/') {
        record->kind = 'p';
        record->device = strdup(kind + strlen(device));
        if (!record->device)
            return ENOMEM;
    } else {
        return EINVAL;
    }
    return 0;
}

char *record_kind(char kind, const char *device)
{
    char *text;

    if (kind == 'p')
        return asprintf(&text, "device:%s", device) < 0 ? NULL : text;
    return strdup(kind == 'd' ? "directory" : "file");
}

char **words_copy(char *const *words, size_t count)
{
    char **copy = calloc(count + 1, sizeof(char *));

    for (size_t i = 0; copy && i < count; i++) {
        copy[i] = strdup(words[i]);
        if (!copy[i]) {
            words_free(copy);
            return NULL;
        }
    }
    return copy;
}

void words_free(char **words)
{
    for (char **word = words; word && *word; word++)
        free(*word);
    free(words);
}
