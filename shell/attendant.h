/* The attendant: the root of a process tree. Private to shell/attendant.c and entry.c. */
#ifndef HIRSEL_SHELL_ATTENDANT_H
#define HIRSEL_SHELL_ATTENDANT_H

#include <stdbool.h>

#include "shell/tree.h"

struct attendant {
    const struct tree_plan *plan;
    int front; /* -1: the front is gone */
    pid_t front_process;
    struct port *init;
    int signals; /* a signalfd for SIGCHLD; -1: none could be had */
    int entry;   /* to the enter that is becoming the command; -1: it has */
    int opener;  /* to the trap server, which asks for what only we may open; -1: it is not there */
    bool filter; /* the command is to have a filter */
    pid_t group; /* the process group that the user's shell made; 0: the command's own */
    pid_t command;
    bool announced; /* the front was told of the command */
    bool told;      /* the front, of a setuid program */
    bool running;
    bool stopped;         /* the command is */
    uint32_t stops;       /* of the command, in all */
    unsigned front_stops; /* that the front was told of, and has not said to be over */
};

/* attendant.c */
void event_send(struct attendant *attendant, int kind, int value, int descriptor);
_Noreturn void attendant_fail(struct attendant *attendant, int error, const char *what);

/* entry.c: the command's way in. */
void entry_start(struct attendant *attendant);
/* Read what there is on `entry`; it is -1 once it has become the command. */
void entry_read(struct attendant *attendant);

#endif
