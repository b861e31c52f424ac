/* Descriptors that a server leaves with init for its next life. */
#include "servers/init/init.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* All servers together. */
#define KEPT_MAX 1024
#define KEPT_NAME_MAX 255

static struct kept **kept_link(struct init *init, const struct slot *owner, const char *name)
{
    struct kept **link = &init->kept;

    while (*link != NULL && ((*link)->owner != owner || strcmp((*link)->name, name) != 0))
        link = &(*link)->next;
    return link;
}

static void kept_drop(struct init *init, struct kept **link)
{
    struct kept *kept = *link;

    *link = kept->next;
    close(kept->descriptor);
    free(kept->name);
    free(kept);
    init->kept_count--;
}

/* Takes the descriptor over; -1: none is held under this name any more. */
int kept_put(struct init *init, const struct slot *owner, const char *name, int descriptor)
{
    struct kept **link = kept_link(init, owner, name);
    struct kept *kept;

    if (*link != NULL)
        kept_drop(init, link);
    if (descriptor < 0)
        return 0;
    kept = calloc(1, sizeof *kept);
    if (kept == NULL || init->kept_count >= KEPT_MAX || strlen(name) > KEPT_NAME_MAX ||
        (kept->name = strdup(name)) == NULL) {
        free(kept);
        close(descriptor);
        return init->kept_count >= KEPT_MAX ? ENOSPC : ENOMEM;
    }
    kept->owner = owner;
    kept->descriptor = descriptor;
    kept->next = init->kept;
    init->kept = kept;
    init->kept_count++;
    return 0;
}

int kept_get(const struct init *init, const struct slot *owner, const char *name)
{
    for (const struct kept *kept = init->kept; kept != NULL; kept = kept->next)
        if (kept->owner == owner && strcmp(kept->name, name) == 0)
            return kept->descriptor;
    return -1;
}

void kept_close(struct init *init)
{
    while (init->kept != NULL)
        kept_drop(init, &init->kept);
}
