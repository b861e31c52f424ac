/* proc: answers for the processes of a session. */
#include "servers/proc/proc.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include <seccomp.h>

#include "fence/fence.h"
#include "proto/init.pb-c.h"
#include "proto/proc.pb-c.h"

static void list(struct port *port, ProtobufCMessage *request, struct msg *raw, struct reply *reply,
                 void *context)
{
    (void)port;
    (void)request;
    (void)raw;
    if (reply != NULL)
        table_list(context, reply);
}

/* A confined program signals what is confined with it, but for the root of its tree. */
static bool kill_allowed(struct server *server, pid_t asker, pid_t wanted)
{
    const struct tree *own = tree_of_asker(server, asker);
    const struct tree *other;

    if (own == NULL || !own->confined)
        return true;
    other = tree_of(server, wanted);
    return other != NULL && other->space == own->space && other->pid != wanted;
}

static int kill_checked(struct server *server, pid_t asker, const Hirsel__ProcKill *wanted)
{
    struct process_details details;
    int error;

    if (wanted->pid == 0 || wanted->pid > INT32_MAX)
        return ESRCH;
    if (wanted->signal > (unsigned)SIGRTMAX)
        return EINVAL;
    if (!kill_allowed(server, asker, (pid_t)wanted->pid))
        return EPERM;
    error = table_check(server, (pid_t)wanted->pid, &details);
    if (error == 0 && wanted->start_time != 0 && wanted->start_time != details.start_time)
        error = ESRCH;
    /* By start time: were the number another's by now, nothing happens. */
    return error != 0 ? error
                      : process_signal((pid_t)wanted->pid, details.start_time, (int)wanted->signal);
}

static void kill_process(struct port *port, ProtobufCMessage *request, struct msg *raw,
                         struct reply *reply, void *context)
{
    int error = kill_checked(context, port_peer(port).pid, (const Hirsel__ProcKill *)request);

    (void)raw;
    if (reply != NULL)
        reply_error(reply, error);
}

static void reports(struct port *port, ProtobufCMessage *request, struct msg *raw,
                    struct reply *reply, void *context)
{
    (void)port;
    (void)request;
    (void)raw;
    if (reply != NULL)
        report_list(context, reply);
}

static const struct rpc_operation operations[] = {
    {HIRSEL__PROC_OPERATION__PROC_LIST, NULL, list},
    {HIRSEL__PROC_OPERATION__PROC_KILL, &hirsel__proc_kill__descriptor, kill_process},
    {HIRSEL__PROC_OPERATION__PROC_REPORTS, NULL, reports},
    {0, NULL, NULL},
};

/* init reaped something, or the root of a tree told it how its command ended. */
static void child_ended(struct port *port, ProtobufCMessage *request, struct msg *raw,
                        struct reply *reply, void *context)
{
    const Hirsel__InitEnd *end = (const Hirsel__InitEnd *)request;
    char command[REPORT_COMMAND_MAX];
    size_t used = 0;
    int status = end->status;

    (void)port;
    (void)raw;
    for (size_t i = 0; i < end->n_command && used + 1 < sizeof command; i++) {
        size_t length = end->command[i].len;

        if (length > sizeof command - used - 1)
            length = sizeof command - used - 1;
        memcpy(command + used, end->command[i].data, length);
        used += length;
        command[used++] = '\0';
    }
    report_add(context, (pid_t)end->pid, &status, command, used);
    if (reply != NULL)
        reply_error(reply, 0);
}

static const struct rpc_operation control_operations[] = {
    {HIRSEL__INIT_OPERATION__INIT_CHILD_ENDED, &hirsel__init_end__descriptor, child_ended},
    {0, NULL, NULL},
};

static int start(struct server *server)
{
    int error = report_open(server);

    if (error != 0)
        return error;
    watch_begin(server);
    return 0;
}

int main(int argc, char **argv)
{
    static const int system_calls[] = {SCMP_SYS(pidfd_open), SCMP_SYS(pidfd_send_signal),
                                       SCMP_SYS(ioctl), -1};
    struct proc proc = {0};
    struct server server = {.name = "proc",
                            .operations = operations,
                            .control_operations = control_operations,
                            .start = start,
                            .system_calls = system_calls,
                            .holds = FENCE_HOLD_ALL & ~(unsigned)FENCE_HOLD_SIGNAL,
                            .state = &proc};

    return server_run(&server, argc, argv);
}
