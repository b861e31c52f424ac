/* fs: what is asked of the name spaces (servers/names) and of the life of translators
 * (servers/life), by whom, and what is answered. What its parts share. */
#ifndef HIRSEL_FS_H
#define HIRSEL_FS_H

#include <limits.h>
#include <stdint.h>
#include <sys/types.h>

#include "fence/fence.h"
#include "proto/fs.pb-c.h"
#include "proto/init.pb-c.h"
#include "proto/node.pb-c.h"
#include "servers/life/life.h"
#include "servers/lib/once.h"
#include "servers/lib/server.h"
#include "servers/names/names.h"

struct fs {
    struct server *server;
    struct journal journal; /* what must not be done twice */
    struct names names;
    struct life life;
    char installed[PATH_MAX]; /* the directory of installed translators */
    ev_tstamp dropped_at;     /* when the log last said that a caller was dropped */
    unsigned dropped;         /* callers since then */
    struct held *held;        /* what confined trees are held to; see policy.c */
};

static inline struct fs *fs_of(void *server)
{
    return ((struct server *)server)->state;
}

/* Who calls: known from the kernel when the connection was made, kept with its port. */
struct asker {
    struct fs *fs;
    pid_t pid;
    pid_t guarded; /* the ancestor (or itself) that is init's own child; 0: none */
    bool in_tree;  /* below a root that init knows, whose space this is: */
    uint64_t space;
    bool is_trap; /* the trap server, which asks in its callers' place and names their space */
};

port_arrival asker_arrival;
const struct asker *asker_of(const struct port *port);
/* The asker's own name space. */
uint64_t asker_space(const struct fs *fs, const struct asker *asker);
/* The space of who is asked for by this asker: its own, or what the trap server says. */
uint64_t asker_space_for(const struct fs *fs, const struct asker *asker, uint64_t named);
/* The name space `wanted` (0: the asker's own) if the asker may change it: its own, or one that was
 * copied from its own. EPERM, ENOENT. */
int asker_choose(struct fs *fs, const struct asker *asker, uint64_t wanted, struct space **space);

/* policy.c: what a confined asker may have. */
void policy_learn(struct server *server, const struct tree *tree);
void policies_learn(struct fs *fs);
void policy_forget(struct fs *fs, uint64_t space);
/* NULL: the asker is not confined. */
const struct fence_policy *policy_of(const struct fs *fs, const struct asker *asker);
/* The same of who asks about a node in that name space: the trap server asks for others. */
const struct fence_policy *policy_of_node_asker(const struct fs *fs, const struct asker *asker,
                                                uint64_t space);
/* May the host path be used so? `access`: a set of enum fence_access; 0: be known of. ENOENT,
 * EACCES. */
int policy_check(const struct fence_policy *policy, const char *host_path, unsigned access);
int policy_check_node(const struct fence_policy *policy, const struct translator *translator,
                      const Hirsel__NodeRequest *request, uint32_t operation);

/* The operations, one file each group. */
void bind_add(struct port *, ProtobufCMessage *, struct msg *, struct reply *, void *);
void bind_remove(struct port *, ProtobufCMessage *, struct msg *, struct reply *, void *);
void bind_list(struct port *, ProtobufCMessage *, struct msg *, struct reply *, void *);
void space_request_make(struct port *, ProtobufCMessage *, struct msg *, struct reply *, void *);
void space_request_drop(struct port *, ProtobufCMessage *, struct msg *, struct reply *, void *);
void setting_request(struct port *, ProtobufCMessage *, struct msg *, struct reply *, void *);
void showing_request(struct port *, ProtobufCMessage *, struct msg *, struct reply *, void *);
void showing_running(struct port *, ProtobufCMessage *, struct msg *, struct reply *, void *);
void node_request(struct port *, ProtobufCMessage *, struct msg *, struct reply *, void *);

#endif
