/* Who still uses what was handed out: asked before going away. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <limits.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "translators/lib/library.h"

/* A removed directory tells of its deletion when its last user is gone. Without inotify (a user
 * has only so many) nobody knows, and going away is not refused. */
void users_start(void)
{
    library.users_descriptor = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
}

/* Read what happened so far, so that the kernel's queue stays short. */
static void users_count(void)
{
    _Alignas(struct inotify_event) char events[4096];
    ssize_t length;

    while ((length = read(library.users_descriptor, events, sizeof(events))) > 0) {
        for (char *at = events; at < events + length;) {
            const struct inotify_event *event = (const struct inotify_event *)at;
            if ((event->mask & IN_DELETE_SELF) && library.users > 0)
                library.users--;
            at += sizeof(*event) + event->len;
        }
    }
}

void users_watch(const char *path)
{
    char whole[PATH_MAX];
    int length;

    if (library.users_descriptor < 0)
        return;
    users_count();
    length = snprintf(whole, sizeof(whole), "%s/tree/%s", library.directory, path);
    if (length < (int)sizeof(whole) &&
        inotify_add_watch(library.users_descriptor, whole, IN_DELETE_SELF | IN_ONLYDIR) >= 0)
        library.users++;
}

/* The kernel gives a write lease only if there is no other open descriptor of the file, mapped and
 * executed ones included. */
bool descriptor_is_sole(int descriptor)
{
    if (fcntl(descriptor, F_SETLEASE, F_WRLCK) != 0)
        return false;
    fcntl(descriptor, F_SETLEASE, F_UNLCK);
    return true;
}

static bool node_is_used(struct node *node)
{
    int descriptor;
    bool used;

    if (!node->handed)
        return false;
    descriptor = mirror_descriptor(node, O_RDONLY | O_NONBLOCK);
    if (descriptor < 0)
        return false;
    /* A file system without leases can't tell; EAGAIN is the answer "there are others". */
    used = !descriptor_is_sole(descriptor) && errno == EAGAIN;
    close(descriptor);
    if (!used)
        node->handed = 0;
    return used;
}

bool users_any(void)
{
    if (library.users_descriptor >= 0)
        users_count();
    if (library.users > 0)
        return true;
    for (uint32_t i = 0; i < library.node_count; i++)
        if (S_ISREG(library.nodes[i]->mode) && node_is_used(library.nodes[i]))
            return true;
    return false;
}
