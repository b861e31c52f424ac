/* hirsel(1): one command with many words. A word is a row of the table in main.c and a file of its
 * own with `int command_WORD(int argc, char **argv)`: argv[0] is "hirsel WORD" (so argp and
 * error(3) say it), the return value is the exit status. */
#ifndef HIRSEL_SHELL_H
#define HIRSEL_SHELL_H

/* Exit statuses as env(1) has them. A wrong option gives SHELL_FAILED too. */
enum shell_status {
    SHELL_FAILED = 125,         /* hirsel itself failed */
    SHELL_CANNOT_EXECUTE = 126, /* the command exists and does not run */
    SHELL_NOT_FOUND = 127,      /* there is no such command */
};

/* One line to standard error: "hirsel WORD: text", and what `error` (an errno; 0: none) means. */
void shell_say(int error, const char *format, ...) __attribute__((format(printf, 2, 3)));

int command_attach(int argc, char **argv);
int command_bind(int argc, char **argv);
int command_doctor(int argc, char **argv);
int command_env(int argc, char **argv);
int command_fsysopts(int argc, char **argv);
int command_kill(int argc, char **argv);
int command_list(int argc, char **argv);
int command_log(int argc, char **argv);
int command_net(int argc, char **argv);
int command_ps(int argc, char **argv);
int command_run(int argc, char **argv);
int command_settrans(int argc, char **argv);
int command_showtrans(int argc, char **argv);
int command_start(int argc, char **argv);
int command_stop(int argc, char **argv);
int command_unbind(int argc, char **argv);

#endif
