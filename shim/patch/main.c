/* patch-libc: makes the patched copy of a libc.so.6, or checks one. */
#include "shim/patch/copy_make.h"
#include "shim/patch/copy_verify.h"
#include "shim/patch/status.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>

static const char usage[] =
    "usage: patch-libc [--ld PATH] LIBC COPY [SHIM]\n"
    "       patch-libc --verify COPY [LIBC]\n"
    "\n"
    "Makes COPY of the C library LIBC, with every system call going through a\n"
    "dispatcher. SHIM is the image that has it, and becomes a part of the copy. --ld\n"
    "names the ld.so that belongs to LIBC, if not the one that LIBC names itself.\n"
    "--verify checks a copy, and against LIBC where it is given.\n";

int main(int argc, char **argv)
{
    enum { OPTION_LD = 'l', OPTION_VERIFY = 'v', OPTION_HELP = 'h' };
    static const struct option options[] = {
        {"ld", required_argument, NULL, OPTION_LD},
        {"verify", required_argument, NULL, OPTION_VERIFY},
        {"help", no_argument, NULL, OPTION_HELP},
        {NULL, 0, NULL, 0},
    };
    struct copy_request request = {0};
    const char *verify = NULL;
    char error[1024], warning[1024];
    int option;
    while ((option = getopt_long(argc, argv, "h", options, NULL)) != -1) {
        switch (option) {
        case OPTION_LD:
            request.ld = optarg;
            break;
        case OPTION_VERIFY:
            verify = optarg;
            break;
        case OPTION_HELP:
            fputs(usage, stdout);
            return 0;
        default:
            fputs(usage, stderr);
            return 2;
        }
    }
    int rest = argc - optind;
    if (verify ? rest > 1 : rest < 2 || rest > 3) {
        fputs(usage, stderr);
        return 2;
    }
    if (verify) {
        if (copy_verify(verify, argv[optind], error, sizeof error) == 0)
            return 0;
        fprintf(stderr, "patch-libc: %s: %s\n", verify, error);
        return 1;
    }
    request.libc = argv[optind];
    request.copy = argv[optind + 1];
    request.shim = argv[optind + 2];
    if (copy_make(&request, error, warning, sizeof error) < 0) {
        int why = errno;
        fprintf(stderr, "patch-libc: %s\n", error);
        return why == ENOEXEC ? 1 : PATCH_STATUS_ERRNO + why;
    }
    if (warning[0])
        fprintf(stderr, "patch-libc: %s\n", warning);
    return 0;
}
