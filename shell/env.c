#include "shell/named.h"
#include "shell/session.h"
#include "shell/shell.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int command_env(int argc, char **argv)
{
    const char *name =
        named_parse(argc, argv,
                    "Print the variable that puts a program into the session NAME by hand: "
                    "env $(hirsel env NAME) CMD.",
                    0);
    struct session session;
    char door[PATH_MAX + 32];

    if (session_find(name, &session) != 0)
        return SHELL_FAILED;
    snprintf(door, sizeof door, "%s/spaces/0/lib/libc.so.6", session.directory);
    if (access(door, R_OK) != 0) {
        shell_say(0, "session '%s' has no libc copy to preload (hirsel log --session %s says why)",
                  session.name, session.name);
        return SHELL_FAILED;
    }
    printf("LD_PRELOAD=%s\n", door);
    return EXIT_SUCCESS;
}
