/* null: takes everything and gives nothing, as /dev/null does. */
#include <errno.h>
#include <fcntl.h>

#include "translators/lib/translator.h"

static void null_open(struct request *request)
{
    int descriptor = open("/dev/null", request_flags(request) | O_CLOEXEC);

    request_descriptor(request, descriptor >= 0 ? descriptor : -errno);
}

int main(int argc, char **argv)
{
    static const struct translator null = {
        .name = "null",
        .summary = "A node that takes everything and gives nothing.",
        .device = "/dev/null",
        .open = null_open,
    };

    return translator_run(argc, argv, &null);
}
