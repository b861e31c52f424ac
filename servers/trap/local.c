/* bind and connect of a Unix socket by a path that leads elsewhere in the session than on the host:
 * the thread itself does it, led to the host's name. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "servers/trap/act.h"
#include "servers/trap/guide.h"
#include "shim/core/unix_name.h"

/* Its path. 1: there is none, or the kernel can say what is wrong with it; 0; -errno. */
static long path_bring(struct worker *worker, char path[UNIX_PATH_SIZE + 1])
{
    const long *given = worker->call.given;
    struct sockaddr_un address = {0};
    int length = (int)given[2];
    long result;

    if (given[1] == 0 || length <= (int)UNIX_PATH_START || length > (int)sizeof address)
        return 1;
    result = client_read(&worker->client, &address, (uint64_t)given[1], (size_t)length);
    if (result < 0)
        return result;
    return unix_name_path(&address, (size_t)length, path) ? 0 : 1;
}

/* Whether the kernel's own walk ends where the session's does. */
static bool is_plain(struct worker *worker, const struct view *view, const char *path,
                     unsigned options)
{
    struct walk *walk = &worker->walk;
    long result = walk_path(walk, &the_shim.caller, view->table, AT_FDCWD, path, options);

    if (result < 0)
        return !walk->touched;
    return !walk->touched && walk->entry == NULL && walk->place == PLACE_HOST;
}

bool act_local(struct worker *worker, struct answer *answer)
{
    unsigned options = worker->call.number == SYS_bind ? WALK_NAME : WALK_FOLLOW;
    struct guidance guidance = {.number = worker->call.number, .text_at = 1, .descriptor = -1};
    char path[UNIX_PATH_SIZE + 1], host[PATH_LIMIT];
    struct sockaddr_un address;
    struct view view = view_get();
    long result;

    if (view.table == NULL && !view.places)
        return false;
    result = path_bring(worker, path);
    if (result == 1)
        return false;
    if (result < 0) {
        act_bring_failed(worker, answer, result);
        return true;
    }
    if (is_plain(worker, &view, path, options) || !client_shares_root(&worker->client))
        return false;
    if (!act_is_still_there(worker)) {
        answer->sent = true;
        return true;
    }
    result = path_to_host(AT_FDCWD, path, options, host, NULL);
    if (result >= 0)
        result = unix_name_out(&the_shim.core, host, &address);
    if (result >= 0) {
        guidance.arguments[0] = worker->call.given[0];
        guidance.arguments[2] = result;
        guidance.text = &address;
        guidance.text_length = (size_t)result;
        result = guide(worker, &guidance);
    }
    act_guided(answer, result);
    return true;
}
