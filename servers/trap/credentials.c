#include "servers/trap/credentials.h"

#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fsuid.h>
#include <unistd.h>

#include "servers/lib/process.h"

enum { GROUPS_MAX = 256 };

static struct {
    bool taken;
    bool known; /* our own groups */
    int count;
    gid_t groups[GROUPS_MAX];
} own;

/* The fourth number of a line: that of the file system. */
static bool line_read(const char *text, const char *field, unsigned *number)
{
    const char *line = strstr(text, field);

    return line != NULL && sscanf(line + strlen(field), "%*u %*u %*u %u", number) == 1;
}

static int groups_read(const char *text, gid_t groups[GROUPS_MAX])
{
    const char *at = strstr(text, "\nGroups:");
    int count = 0;

    if (at == NULL)
        return 0;
    at += sizeof "\nGroups:" - 1;
    while (count < GROUPS_MAX && *at != '\n' && *at != '\0') {
        char *end;
        unsigned long group = strtoul(at, &end, 10);

        if (end == at)
            break;
        groups[count++] = (gid_t)group;
        at = end + strspn(end, " ");
    }
    return count;
}

bool credentials_take(const struct client *client)
{
    char text[4096];
    gid_t groups[GROUPS_MAX];
    unsigned user, group;
    ssize_t length;

    if (geteuid() != 0)
        return true;
    length = process_read(client->tid, "status", text, sizeof text - 1);
    if (length <= 0)
        return false;
    text[length] = '\0';
    if (!line_read(text, "\nUid:", &user) || !line_read(text, "\nGid:", &group))
        return false;
    if (user == 0)
        return true;
    if (!own.known) {
        own.count = getgroups(GROUPS_MAX, own.groups);
        own.known = own.count >= 0;
    }
    own.taken = true;
    if (!own.known || setgroups((size_t)groups_read(text, groups), groups) != 0)
        return false;
    setfsgid(group);
    setfsuid(user);
    /* They do not fail aloud. */
    return setfsuid((uid_t)-1) == (int)user;
}

void credentials_give(void)
{
    if (!own.taken)
        return;
    own.taken = false;
    setfsuid(0);
    setfsgid(getegid());
    if (own.known && setgroups((size_t)own.count, own.groups) != 0)
        abort(); /* with another's groups nothing may go on */
}
