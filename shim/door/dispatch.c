#include "shim/door/door.h"
#include "shim/door/taught.h"

__attribute__((used)) long shim_dispatch(long number, const long arguments[6])
{
    /* The most frequent by a jump that is one: it is predicted better than the switch's. */
    if (call_kinds[number] == CALL_PATH)
        return path_call(number, arguments);
    switch (call_kinds[number]) {
    case CALL_TWO_PATHS:
        return two_paths_call(number, arguments);
    case CALL_EXECUTE:
        return execute_call(number, arguments);
    case CALL_FCHDIR:
        return fchdir_call(number, arguments);
    case CALL_ROOT:
        return chroot_call(number, arguments);
    case CALL_UNSHARE:
        return unshare_call(number, arguments);
    case CALL_FSTAT:
        return fstat_call(number, arguments);
    case CALL_FSTATFS:
        return fstatfs_call(number, arguments);
    case CALL_GETCWD:
        return getcwd_call(number, arguments);
    case CALL_LIST:
        return list_call(number, arguments);
    case CALL_CONTROL:
        return control_call(number, arguments);
    case CALL_CLOSE:
        return close_call(number, arguments);
    case CALL_SOCKET:
        return socket_call(number, arguments);
    default:
        return call_whole(number, arguments);
    }
}
