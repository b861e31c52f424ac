/* What is asked of the translator itself: its options, and to go away. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "translators/lib/library.h"

struct option_list {
    ProtobufCBinaryData *options;
    size_t count;
    bool failed;
};

static void option_add(void *to, const char *option)
{
    struct option_list *list = to;
    ProtobufCBinaryData *more =
        reallocarray(list->options, list->count + 1, sizeof(ProtobufCBinaryData));
    char *copy = strdup(option);

    if (more)
        list->options = more;
    if (!more || !copy) {
        free(copy);
        list->failed = true;
        return;
    }
    list->options[list->count++] =
        (ProtobufCBinaryData){.len = strlen(copy), .data = (uint8_t *)copy};
}

static void options_reply(struct reply *reply)
{
    Hirsel__NodeReply answer = HIRSEL__NODE_REPLY__INIT;
    struct option_list list = {0};

    if (library.translator->options_get)
        library.translator->options_get(library.state, option_add, &list);
    answer.options = list.options;
    answer.n_options = list.count;
    if (list.failed)
        reply_error(reply, ENOMEM);
    else
        rpc_reply(reply, &answer.base, NULL, 0);
    for (size_t i = 0; i < list.count; i++)
        free(list.options[i].data);
    free(list.options);
}

static int option_set(const ProtobufCBinaryData *argument)
{
    char *option;
    int error;

    if (memchr(argument->data, '\0', argument->len) || argument->len > 4096)
        return EINVAL;
    option = strndup((const char *)argument->data, argument->len);
    if (!option)
        return ENOMEM;
    error = library.translator->options_set ? library.translator->options_set(library.state, option)
                                            : EINVAL;
    free(option);
    return error;
}

void serve_options(struct port *port, ProtobufCMessage *message, struct msg *raw,
                   struct reply *reply, void *context)
{
    const Hirsel__NodeRequest *request = (const Hirsel__NodeRequest *)message;

    (void)port, (void)raw, (void)context;
    for (size_t i = 0; i < request->n_arguments; i++) {
        int error = option_set(&request->arguments[i]);
        if (error != 0) {
            reply_error(reply, error);
            return;
        }
    }
    options_reply(reply);
}

void serve_go_away(struct port *port, ProtobufCMessage *message, struct msg *raw,
                   struct reply *reply, void *context)
{
    const Hirsel__NodeRequest *request = (const Hirsel__NodeRequest *)message;
    bool force = request->flags & 1;
    int error = 0;

    (void)port, (void)raw, (void)context;
    if (!force && (fill_any() || users_any()))
        error = EBUSY;
    if (error == 0 && library.translator->go_away)
        error = library.translator->go_away(library.state, force);
    if (error != 0 && !force) {
        reply_error(reply, error);
        return;
    }
    rpc_reply(reply, NULL, NULL, 0);
    library_leave();
}
