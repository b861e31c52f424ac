/* The table of commands. */
#include "shell/shell.h"

#include <argp.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct command {
    const char *name;
    const char *arguments;
    const char *summary;
    int (*run)(int argc, char **argv);
};

/* In the order of --help: first what most need. */
static const struct command commands[] = {
    {"run", "[OPTION…] [--] [CMD ARG…]", "run a command (or your shell) in a session", command_run},
    {"start", "NAME", "start a session", command_start},
    {"stop", "NAME", "end a session and all that runs in it", command_stop},
    {"list", "", "list the sessions, and clean up after dead ones", command_list},
    {"attach", "NAME", "open your shell in a session", command_attach},
    {"settrans", "[OPTION…] NODE [TRANSLATOR ARG… | -- COMMAND ARG…]",
     "put a translator behind a file", command_settrans},
    {"showtrans", "NODE…", "print a file's translator", command_showtrans},
    {"fsysopts", "NODE [OPTION…]", "print or set a translator's options", command_fsysopts},
    {"bind", "[-r] SOURCE NODE", "show a file or directory under another name", command_bind},
    {"unbind", "NODE…", "undo bind", command_unbind},
    {"ps", "[--servers]", "list the processes of a session", command_ps},
    {"kill", "[-SIGNAL] PID…", "signal processes of a session", command_kill},
    {"net", "", "show the network of each name space of a session", command_net},
    {"log", "[-f]", "show a session's log", command_log},
    {"env", "NAME", "print what puts a program into a session by hand", command_env},
    {"doctor", "[--json]", "say what works on this machine", command_doctor},
};

static const struct command *command_find(const char *name)
{
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++)
        if (strcmp(commands[i].name, name) == 0)
            return &commands[i];
    return NULL;
}

void shell_say(int error, const char *format, ...)
{
    char text[2 * PATH_MAX];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    fflush(stdout);
    if (error == 0)
        fprintf(stderr, "%s: %s\n", program_invocation_name, text);
    else
        fprintf(stderr, "%s: %s: %s\n", program_invocation_name, text, strerror(error));
}

static void help_print(FILE *to)
{
    fprintf(to, "Usage: hirsel COMMAND [ARG…]\n"
                "An operating-system personality in the manner of the Hurd, as a session.\n\n");
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++)
        fprintf(to, "  hirsel %-11s %s\n", commands[i].name, commands[i].summary);
    fprintf(to, "\nEach has --help and takes --session NAME. See hirsel(1).\n");
}

/* Where the user closed a standard descriptor, nothing of ours may take its place; the command
 * that we run finds it closed still. */
static void standard_descriptors_fill(void)
{
    int descriptor;

    do
        descriptor = open("/dev/null", O_RDWR | O_CLOEXEC);
    while (descriptor >= 0 && descriptor <= STDERR_FILENO);
    if (descriptor >= 0)
        close(descriptor);
}

int main(int argc, char **argv)
{
    const struct command *command;
    char full_name[64];
    int status;

    standard_descriptors_fill();
    argp_err_exit_status = SHELL_FAILED;
    program_invocation_name = "hirsel";
    if (argc < 2) {
        help_print(stderr);
        return SHELL_FAILED;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 ||
        strcmp(argv[1], "help") == 0) {
        help_print(stdout);
        return EXIT_SUCCESS;
    }
    command = command_find(argv[1]);
    if (command == NULL) {
        shell_say(0, "there is no command '%s' (hirsel --help lists them)", argv[1]);
        return SHELL_FAILED;
    }
    snprintf(full_name, sizeof full_name, "hirsel %s", command->name);
    program_invocation_name = full_name;
    argv[1] = full_name;
    status = command->run(argc - 1, argv + 1);
    if (fflush(stdout) != 0) {
        shell_say(errno, "cannot write");
        return SHELL_FAILED;
    }
    return status;
}
