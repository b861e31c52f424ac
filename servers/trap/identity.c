#include "servers/trap/identity.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "servers/trap/client.h"
#include "shim/core/channel.h"
#include "shim/core/host.h"
#include "shim/core/text.h"
#include "shim/door/ways.h"

/* Name spaces whose tables stay mapped: as many as a worker meets in turn. */
enum { NAMES = 8 };

struct names {
    struct core core; /* header NULL: free */
    char *shared;     /* what programs write of the table's file */
    uint64_t used;
};

static struct {
    struct names names[NAMES];
    struct names *now;
    uint64_t turn;
    const struct client *client;
} identity;

struct shim the_shim;

void *table_map(size_t size, int protection)
{
    char path[SESSION_LIMIT + 40];
    size_t length = the_shim.core.session_length;
    int file;
    void *memory;

    bytes_copy(path, the_shim.core.session, length);
    bytes_copy(path + length, "/spaces/", 8);
    length += 8;
    length += text_put_number(path + length, the_shim.core.space);
    bytes_copy(path + length, "/table", sizeof "/table");
    file = open(path, (protection & PROT_WRITE ? O_RDWR : O_RDONLY) | O_CLOEXEC | O_NOFOLLOW);
    if (file < 0)
        return NULL;
    memory = mmap(NULL, size, protection, MAP_SHARED, file, 0);
    close(file);
    return memory == MAP_FAILED ? NULL : memory;
}

/* Results go to copies here; marshal.c takes them to the caller. */
static long here_write(const struct caller *caller, void *to, const void *from, size_t length)
{
    (void)caller;
    bytes_copy(to, from, length);
    return 0;
}

void identity_begin(void)
{
    the_shim.caller.core = &the_shim.core;
    the_shim.caller.write = here_write;
    the_shim.caller.process = "/proc/self";
}

static void names_leave(struct names *names)
{
    if (names->core.header != NULL)
        munmap((void *)(uintptr_t)names->core.header, SPACE_FILE_SIZE);
    if (names->shared != NULL)
        munmap(names->shared, SPACE_RING_OFFSET);
    memset(names, 0, sizeof *names);
}

static int names_load(struct names *names, const char *session, uint64_t space)
{
    struct core *core = &the_shim.core;
    const struct space_header *header;

    memset(core, 0, sizeof *core);
    core->session_length = strlen(session);
    memcpy(core->session, session, core->session_length + 1);
    core->space = space;
    header = table_map(SPACE_FILE_SIZE, PROT_READ);
    if (header == NULL)
        return errno;
    core->header = header;
    names->shared = table_map(SPACE_RING_OFFSET, PROT_READ | PROT_WRITE);
    core->net = (const struct space_net *)(const void *)((const char *)header + SPACE_NET_OFFSET);
    names->core = *core;
    if (header->magic == SPACE_MAGIC && header->layout == SPACE_LAYOUT)
        return 0;
    names_leave(names);
    return EBADMSG;
}

int identity_enter(const char *session, uint64_t space)
{
    struct names *names = identity.now, *oldest = &identity.names[0];

    if (names != NULL && names->core.space == space && strcmp(names->core.session, session) == 0)
        return 0;
    names = NULL;
    for (size_t i = 0; i < NAMES; i++) {
        struct names *at = &identity.names[i];

        if (at->core.header != NULL && at->core.space == space &&
            strcmp(at->core.session, session) == 0)
            names = at;
        if (at->used < oldest->used)
            oldest = at;
    }
    /* The connections that are kept are to one session's servers. */
    if (identity.now != NULL && strcmp(the_shim.core.session, session) != 0)
        channels_close();
    identity.now = NULL;
    if (names == NULL) {
        int error;

        names_leave(oldest);
        error = names_load(oldest, session, space);
        if (error != 0)
            return error;
        names = oldest;
    }
    identity.now = names;
    names->used = ++identity.turn;
    the_shim.core = names->core;
    ways_use(names->shared);
    return 0;
}

/* Where the caller's links may not be read. */
static long place_of_caller(int descriptor, char *text, size_t size)
{
    char link[32];
    int place = client_place(identity.client, descriptor);
    long length;

    if (place < 0)
        return place;
    snprintf(link, sizeof link, "/proc/self/fd/%d", place);
    length = host_link(link, text, size);
    close(place);
    return length;
}

void identity_become(const struct client *client, uint64_t *request)
{
    identity.client = client;
    the_shim.caller.process = client->process;
    the_shim.caller.place = place_of_caller;
    the_shim.caller.foreign = true;
    the_shim.caller.request = request;
}

void identity_be_self(void)
{
    the_shim.caller.process = "/proc/self";
}
