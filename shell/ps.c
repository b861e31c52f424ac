#include "shell/session.h"
#include "shell/shell.h"

#include <argp.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "proto/init.pb-c.h"
#include "proto/proc.pb-c.h"

struct ps {
    const char *name;
    bool servers;
    bool reports;
};

enum ps_key { KEY_SERVERS = 256, KEY_REPORTS };

static error_t ps_parse(int key, char *argument, struct argp_state *state)
{
    struct ps *ps = state->input;

    (void)argument;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &ps->name;
        return 0;
    case KEY_SERVERS:
        ps->servers = true;
        return 0;
    case KEY_REPORTS:
        ps->reports = true;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

/* A program chooses its arguments: they must not move the cursor or begin a line. */
static void command_print(const ProtobufCBinaryData *command)
{
    for (size_t i = 0; i < command->len; i++) {
        unsigned char byte = command->data[i];

        if (byte == '\0')
            putchar(' ');
        else if (byte < 0x20 || byte == 0x7f)
            printf("\\x%02x", byte);
        else
            putchar(byte);
    }
    putchar('\n');
}

static int call(struct session *session, const char *server, uint32_t operation,
                const ProtobufCMessageDescriptor *type, ProtobufCMessage **answer)
{
    struct port *port = session_connect(session, server);
    int error;

    if (port == NULL)
        return errno;
    error = rpc_call(port, operation, NULL, NULL, 0, type, answer, NULL, SESSION_TIMEOUT_MS);
    if (error != 0)
        shell_say(error, "%s of session '%s' does not answer", server, session->name);
    return error;
}

static int servers_show(struct session *session)
{
    ProtobufCMessage *answer;
    const Hirsel__InitStatus *status;
    int error = call(session, "init", HIRSEL__INIT_OPERATION__INIT_STATUS,
                     &hirsel__init_status__descriptor, &answer);

    if (error != 0)
        return error;
    status = (const Hirsel__InitStatus *)answer;
    for (size_t i = 0; i < status->n_servers; i++) {
        const Hirsel__InitServer *server = status->servers[i];

        printf("%u %s", server->pid, server->name);
        if (server->translator != 0)
            printf(" (translator %llu)", (unsigned long long)server->translator);
        if (server->restarts != 0)
            printf(" (restarted %u times)", server->restarts);
        putchar('\n');
    }
    rpc_free(answer);
    return 0;
}

static int processes_show(struct session *session)
{
    ProtobufCMessage *answer;
    const Hirsel__ProcList *list;
    long ticks = sysconf(_SC_CLK_TCK);
    long page = sysconf(_SC_PAGESIZE) / 1024;
    int error = call(session, "proc", HIRSEL__PROC_OPERATION__PROC_LIST,
                     &hirsel__proc_list__descriptor, &answer);

    if (error != 0)
        return error;
    list = (const Hirsel__ProcList *)answer;
    printf("%7s %7s %5s %-7s %s %7s %8s %s\n", "PID", "PPID", "SPACE", "TTY", "S", "TIME", "RSS",
           "COMMAND");
    for (size_t i = 0; i < list->n_processes; i++) {
        const Hirsel__Process *process = list->processes[i];
        unsigned long long seconds = process->cpu_ticks / (unsigned long long)ticks;

        if (process->server[0] != '\0')
            continue;
        printf("%7u %7u %5llu %-7s %s %4llu:%02llu %7lluK ", process->pid, process->parent,
               (unsigned long long)process->space,
               process->terminal[0] != '\0' ? process->terminal : "-", process->state, seconds / 60,
               seconds % 60,
               (unsigned long long)process->resident_pages * (unsigned long long)page);
        command_print(&process->command);
    }
    rpc_free(answer);
    return 0;
}

static int reports_show(struct session *session)
{
    ProtobufCMessage *answer;
    const Hirsel__ProcReports *list;
    int error = call(session, "proc", HIRSEL__PROC_OPERATION__PROC_REPORTS,
                     &hirsel__proc_reports__descriptor, &answer);

    if (error != 0)
        return error;
    list = (const Hirsel__ProcReports *)answer;
    for (size_t i = 0; i < list->n_reports; i++) {
        const Hirsel__ProcReport *report = list->reports[i];
        time_t when = (time_t)report->seconds;
        struct tm parts;
        char time_text[32];

        localtime_r(&when, &parts);
        strftime(time_text, sizeof time_text, "%Y-%m-%d %H:%M:%S", &parts);
        printf("%s %u ", time_text, report->pid);
        if (!report->status_known)
            printf("ended ");
        else if (WIFSIGNALED(report->status))
            printf("signal %s ", sigabbrev_np(WTERMSIG(report->status)));
        else
            printf("status %d ", WEXITSTATUS(report->status));
        command_print(&report->command);
    }
    rpc_free(answer);
    return 0;
}

int command_ps(int argc, char **argv)
{
    static const struct argp_option options[] = {
        {.name = "servers",
         .key = KEY_SERVERS,
         .doc = "the servers and translators instead, one a line: pid, name"},
        {.name = "reports",
         .key = KEY_REPORTS,
         .doc = "the last processes that ended instead, and how"},
        {0},
    };
    static const struct argp argp = {
        .options = options,
        .parser = ps_parse,
        .doc = "List the processes of a session.",
        .children = session_argp_children,
    };
    struct ps ps = {0};
    struct session session;
    int error;

    argp_parse(&argp, argc, argv, 0, NULL, &ps);
    if (session_find(ps.name, &session) != 0)
        return SHELL_FAILED;
    error = ps.servers   ? servers_show(&session)
            : ps.reports ? reports_show(&session)
                         : processes_show(&session);
    session_close(&session);
    return error == 0 ? EXIT_SUCCESS : SHELL_FAILED;
}
