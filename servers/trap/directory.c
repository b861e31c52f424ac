/* Calls that ask of a directory by descriptor alone: its name in the session (getcwd), and what is
 * in it. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "servers/trap/act.h"
#include "servers/trap/identity.h"

void act_getcwd(struct worker *worker, struct answer *answer)
{
    struct call *call = &worker->call;
    struct walk *walk = &worker->walk;
    struct view view = view_get();
    size_t size = (size_t)call->given[1];
    long result;

    if (!view.places || walk_descriptor(walk, &the_shim.caller, view.table, AT_FDCWD) < 0 ||
        !walk->touched || !roots_are_one(worker)) {
        answer->proceed = true;
        return;
    }
    const char *name = walk->name_length == 0 ? "/" : walk->name;
    size_t length = strlen(name) + 1;
    if (length > size) {
        answer->result = -ERANGE;
        return;
    }
    result = client_write(&worker->client, (uint64_t)call->given[0], name, length);
    answer->result = result < 0 ? result : (long)length;
}

/* Whether a directory's list may be another one in the session than on the host. */
static bool list_is_doubtful(const struct worker *worker, const struct view *view, int descriptor)
{
    int place = client_place(&worker->client, descriptor);
    char link[32];
    struct stat status;
    bool doubtful = false;

    if (place < 0)
        return false;
    if (fstat(place, &status) == 0 && S_ISDIR(status.st_mode)) {
        doubtful = status.st_nlink == 0;
        for (uint32_t i = 0; !doubtful && view->table != NULL && i < table_count(view->table);
             i++) {
            const struct space_entry *entry = &table_entries(view->table)[i];

            doubtful =
                entry->parent_inode == status.st_ino && entry->parent_device == status.st_dev;
        }
        snprintf(link, sizeof link, "/proc/self/fd/%d", place);
        /* Records are the user's own. */
        doubtful = doubtful || access(link, W_OK) == 0;
    }
    close(place);
    return doubtful;
}

/* Entries as getdents lays them out: as long, the type at their end instead of before the name. */
static void entries_age(char *entries, long length)
{
    const size_t type_at = 2 * sizeof(uint64_t) + sizeof(uint16_t);

    for (long at = 0; at < length;) {
        char *entry = entries + at;
        char type = entry[type_at];
        uint16_t size;

        memcpy(&size, entry + type_at - sizeof size, sizeof size);
        memmove(entry + type_at, entry + type_at + 1, size - type_at - 1);
        entry[size - 1] = type;
        at += size;
    }
}

void act_list(struct worker *worker, struct answer *answer)
{
    struct call *call = &worker->call;
    struct view view = view_get();
    long descriptor, result;

    if ((int)call->given[0] < 0 || !list_is_doubtful(worker, &view, (int)call->given[0])) {
        answer->proceed = true;
        return;
    }
    result = call_bring_rest(call, &worker->client);
    if (result < 0) {
        act_bring_failed(worker, answer, result);
        return;
    }
    descriptor = client_descriptor(&worker->client, (int)call->given[0]);
    if (descriptor < 0) {
        if (descriptor == -EPERM && worker->policy == NULL)
            answer->proceed = true;
        else
            answer->result = descriptor;
        return;
    }
    /* The same open file: its position is the caller's too. */
    call->arguments[0] = descriptor;
    identity_be_self();
    result = list_call(SYS_getdents64, call->arguments);
    if (call->number == SYS_getdents)
        entries_age((char *)call->arguments[1], result);
    identity_become(&worker->client, &worker->slot->request);
    close((int)descriptor);
    answer->result = call_return(call, &worker->client, result);
}
