/* The user's seal: a keyed hash, so that only records that this user made are honoured. */
#ifndef HIRSEL_FS_SEAL_H
#define HIRSEL_FS_SEAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SEAL_KEY_SIZE 32
#define SEAL_HEX_SIZE 64

struct seal {
    uint8_t key[SEAL_KEY_SIZE];
};

/* Read the key from $XDG_STATE_HOME/hirsel/key (else ~/.local/state/hirsel/key), made if there is
 * none; where that can't be, a key of this session alone in `session_directory`, with a line in
 * the log. */
int seal_load(struct seal *seal, const char *session_directory);

/* Read the key in `path`, or make it: of two that make it at once both get the same. */
int seal_load_file(struct seal *seal, const char *path);

/* 64 hexadecimal digits of HMAC-SHA256; no NUL. */
void seal_make(const struct seal *seal, const void *text, size_t length, char hex[SEAL_HEX_SIZE]);
bool seal_matches(const struct seal *seal, const void *text, size_t length, const char *hex);

#endif
