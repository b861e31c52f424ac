/* What the frame keeps for a server; private to servers/lib. */
#ifndef HIRSEL_FRAME_H
#define HIRSEL_FRAME_H

#include "servers/lib/server.h"

struct server_frame {
    struct tree *trees;
    size_t tree_count;
    size_t tree_size;
    void (*added)(struct server *server, const struct tree *tree);
    void (*removed)(struct server *server, const struct tree *tree);
    struct ev_signal terminate;
    int status; /* with which server_run returns */
};

/* Give up what server->holds says, for good. 0, or an errno, as where there is no Landlock. */
int server_fence(const struct server *server);

int tree_add(struct server *server, const struct tree *tree);
void trees_free(struct server_frame *frame);
void tree_remove(struct server *server, pid_t pid, uint64_t start_time);

#endif
