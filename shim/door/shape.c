/* What the arguments of a call with a path say, whichever of its forms it is. */
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/inotify.h>
#include <sys/syscall.h>

#include "shim/core/walk.h"
#include "shim/door/door.h"

struct open_how call_how(long number, const long arguments[6])
{
    const struct call_shape *shape = &call_shapes[number];
    if (number == SYS_openat2)
        return *(const struct open_how *)arguments[2];
    if (number == SYS_creat)
        return (struct open_how){.flags = O_CREAT | O_WRONLY | O_TRUNC,
                                 .mode = (unsigned)arguments[1]};
    return (struct open_how){.flags = (unsigned)arguments[shape->flags],
                             .mode = (unsigned)arguments[shape->flags + 1]};
}

bool call_follows(long number, const long arguments[6])
{
    const struct call_shape *shape = &call_shapes[number];
    if (shape->traits & TRAIT_NO_FOLLOW)
        return false;
    if (shape->traits & TRAIT_FLAG_NO_FOLLOW)
        return !(arguments[shape->flags] & AT_SYMLINK_NOFOLLOW);
    if (shape->traits & TRAIT_FLAG_FOLLOW)
        return (arguments[shape->flags] & AT_SYMLINK_FOLLOW) != 0;
    if (shape->verb == VERB_WATCH)
        return !(arguments[2] & IN_DONT_FOLLOW);
    if (shape->verb == VERB_OPEN) {
        uint64_t flags = call_how(number, arguments).flags;
        return !(flags & O_NOFOLLOW) && (flags & (O_CREAT | O_EXCL)) != (O_CREAT | O_EXCL);
    }
    return true;
}

unsigned call_options(long number, const long arguments[6])
{
    const struct call_shape *shape = &call_shapes[number];
    unsigned options = call_follows(number, arguments) ? WALK_FOLLOW : 0;
    if (shape->traits & TRAIT_NAMES)
        options |= WALK_NAME;
    if (shape->verb == VERB_UNLINK || shape->verb == VERB_REMOVE_DIRECTORY)
        options |= WALK_NODE_NAME;
    if (shape->verb == VERB_OPEN)
        options |= (unsigned)call_how(number, arguments).resolve << WALK_RESOLVE_AT;
    return options;
}

bool call_removes_directory(long number, const long arguments[6])
{
    return call_shapes[number].verb == VERB_REMOVE_DIRECTORY ||
           (number == SYS_unlinkat && (arguments[2] & AT_REMOVEDIR));
}

void *call_status(long number, const long arguments[6])
{
    return (void *)arguments[number == SYS_statx ? 4 : call_shapes[number].path + 1];
}
