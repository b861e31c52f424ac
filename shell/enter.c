/* The last step into a session: what is named in the session must be looked up in it, so that step
 * has the shim below it already, which hirsel(1) does not.
 *
 *   enter PIPE COMMAND [ARG…]    become COMMAND; if that fails, write the errno to PIPE
 *   enter --check                succeed if the C library below is a patched copy */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int check(void)
{
    Dl_info info;
    char path[PATH_MAX];

    return dladdr((void *)(uintptr_t)execvp, &info) != 0 && info.dli_fname != NULL &&
                   realpath(info.dli_fname, path) != NULL && strstr(path, "hirsel-libc-") != NULL
               ? 0
               : 1;
}

int main(int argc, char **argv)
{
    int report, error;

    if (argc == 2 && strcmp(argv[1], "--check") == 0)
        return check();
    if (argc < 3)
        return 125;
    report = atoi(argv[1]);
    fcntl(report, F_SETFD, FD_CLOEXEC);
    execvp(argv[2], argv + 2);
    error = errno;
    return write(report, &error, sizeof error) == sizeof error ? 127 : 125;
}
