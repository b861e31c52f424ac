/* A name space as the commands that change it see it: which one, and the way to fs. */
#ifndef HIRSEL_VIEW_H
#define HIRSEL_VIEW_H

#include <argp.h>
#include <limits.h>
#include <stdint.h>

#include "proto/fs.pb-c.h"
#include "shell/session.h"

struct view {
    struct session *session;
    struct port *fs;
    uint64_t space; /* 0: the caller's own; of a caller from outside: the session's default one */
};

/* Find the session and connect. The exit status of a failure, said; else 0. */
int view_open(struct view *view, struct session *session, const char *session_name);
void view_close(struct view *view);

/* Ask fs. It may be killed and come back at any instant: the request is repeated under the same
 * number and done once. 0 or an errno, not said but where the session itself is gone. */
int view_call(struct view *view, uint32_t operation, const ProtobufCMessage *body,
              const ProtobufCMessageDescriptor *answer_type, ProtobufCMessage **answer,
              int timeout_ms);

/* `path` from the root, as the caller names it. 0 or an errno, said. */
int view_path(const char *path, char absolute[PATH_MAX]);

/* What fs says of the translator at `name` (FsTranslatorReply). `known`: it is to have a number. 0
 * or an errno, said unless `silent`. */
int view_translator(struct view *view, const char *name, bool known, bool silent,
                    ProtobufCMessage **answer);

static inline ProtobufCBinaryData view_bytes(const char *text)
{
    return (ProtobufCBinaryData){.len = __builtin_strlen(text), .data = (uint8_t *)(uintptr_t)text};
}

/* The commands themselves, as hirsel(1) and a namespace file give them. argv[0] is said in
 * messages. The exit status. */
int bind_run(struct view *view, int argc, char **argv);
int unbind_run(struct view *view, int argc, char **argv);
int settrans_run(struct view *view, int argc, char **argv);

#endif
