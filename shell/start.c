#include "shell/launch.h"
#include "shell/named.h"
#include "shell/shell.h"

#include <stdio.h>
#include <stdlib.h>

int command_start(int argc, char **argv)
{
    const char *name =
        named_parse(argc, argv, "Start the session NAME, and return when it is up.", 1);
    struct session session;
    char incomplete[256];

    if (session_launch(name, NULL, &session, incomplete, sizeof incomplete) != 0)
        return SHELL_FAILED;
    printf("%s: up", name);
    if (incomplete[0] != '\0')
        printf(", but incomplete: %s", incomplete);
    printf("; setuid programs work only with hirsel run --no-trap\n");
    return EXIT_SUCCESS;
}
