/* The table of processes: not kept but read, by descent from the roots of the session's trees. */
#include "servers/proc/proc.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "proto/init.pb-c.h"
#include "proto/proc.pb-c.h"

#define COMMAND_MAX 4096
#define STATUS_TIMEOUT_MS 2000

struct table {
    struct process_entry *entries;
    size_t count;
    const struct tree *trees;
    size_t tree_count;
    Hirsel__InitStatus *status; /* servers and translators; NULL: init did not say */
};

/* What belongs to one row of the answer. */
struct row {
    Hirsel__Process process;
    char state[2];
    char terminal[32];
    uint8_t command[COMMAND_MAX];
};

static const struct tree *root_at(const struct table *table, pid_t pid, uint64_t start_time)
{
    for (size_t i = 0; i < table->tree_count; i++)
        if (table->trees[i].pid == pid && table->trees[i].start_time == start_time)
            return &table->trees[i];
    return NULL;
}

/* The innermost tree that the process is in; the root of a tree is in the one around it. */
static const struct tree *tree_above(const struct table *table, pid_t pid)
{
    const struct process_entry *entry = process_find(table->entries, table->count, pid);

    for (size_t steps = 0; entry != NULL && steps <= table->count; steps++) {
        const struct tree *tree;

        entry = process_find(table->entries, table->count, entry->details.parent);
        if (entry == NULL)
            return NULL;
        tree = root_at(table, entry->pid, entry->details.start_time);
        if (tree != NULL)
            return tree;
    }
    return NULL;
}

static const char *server_name(const struct table *table, pid_t pid)
{
    for (size_t i = 0; table->status != NULL && i < table->status->n_servers; i++)
        if (table->status->servers[i]->pid == (uint32_t)pid)
            return table->status->servers[i]->name;
    return NULL;
}

static void terminal_name(unsigned device, char *name, size_t size)
{
    unsigned major_number = major(device), minor_number = minor(device);

    if (device == 0)
        name[0] = '\0';
    else if (major_number >= 136 && major_number <= 143)
        snprintf(name, size, "pts/%u", (major_number - 136) * 256 + minor_number);
    else if (major_number == 4 && minor_number < 64)
        snprintf(name, size, "tty%u", minor_number);
    else if (major_number == 4)
        snprintf(name, size, "ttyS%u", minor_number - 64);
    else
        snprintf(name, size, "%u:%u", major_number, minor_number);
}

static void row_fill(struct row *row, const struct process_entry *entry, const struct tree *tree,
                     const char *server)
{
    Hirsel__Process *process = &row->process;
    ssize_t length = process_read(entry->pid, "cmdline", (char *)row->command, COMMAND_MAX);

    hirsel__process__init(process);
    /* A zombie has no arguments left, but a name. */
    if (length <= 0) {
        length = process_read(entry->pid, "comm", (char *)row->command, COMMAND_MAX);
        if (length > 0 && row->command[length - 1] == '\n')
            length--;
    }
    while (length > 0 && row->command[length - 1] == '\0')
        length--;
    row->state[0] = entry->details.state;
    row->state[1] = '\0';
    terminal_name(entry->details.terminal, row->terminal, sizeof row->terminal);
    process->pid = (uint32_t)entry->pid;
    process->parent = (uint32_t)entry->details.parent;
    process->group = (uint32_t)entry->details.group;
    process->session = (uint32_t)entry->details.session;
    process->start_time = entry->details.start_time;
    process->state = row->state;
    process->cpu_ticks = entry->details.cpu_ticks;
    process->resident_pages = entry->details.resident_pages;
    process->space = tree != NULL ? tree->space : 0;
    process->command.data = row->command;
    process->command.len = length < 0 ? 0 : (size_t)length;
    process->server = (char *)(server != NULL ? server : "");
    process->terminal = row->terminal;
}

static int table_open(struct server *server, struct table *table)
{
    *table = (struct table){0};
    table->tree_count = tree_list(server, &table->trees);
    return process_scan(&table->entries, &table->count);
}

static void table_close(struct table *table)
{
    free(table->entries);
    if (table->status != NULL)
        rpc_free(&table->status->base);
}

static void list_send(const struct table *table, struct reply *reply)
{
    Hirsel__ProcList list = HIRSEL__PROC_LIST__INIT;
    Hirsel__Process **processes = calloc(table->count + 1, sizeof(Hirsel__Process *));

    if (processes == NULL) {
        reply_error(reply, ENOMEM);
        return;
    }
    list.processes = processes;
    for (size_t i = 0; i < table->count; i++) {
        const struct process_entry *entry = &table->entries[i];
        const struct tree *tree = tree_above(table, entry->pid);
        const char *name = server_name(table, entry->pid);
        struct row *row;

        /* The roots are hirsel's own: shown as such. */
        if (root_at(table, entry->pid, entry->details.start_time) != NULL)
            name = "tree";
        if (tree == NULL && name == NULL)
            continue;
        row = malloc(sizeof *row);
        if (row == NULL)
            break;
        row_fill(row, entry, tree, name);
        processes[list.n_processes++] = &row->process;
    }
    rpc_reply(reply, &list.base, NULL, 0);
    for (size_t i = 0; i < list.n_processes; i++)
        free((struct row *)processes[i]);
    free(processes);
}

/* A list that waits for init's word on its servers. */
struct listing {
    struct server *server;
    struct reply *reply;
};

static void status_told(int error, ProtobufCMessage *answer, struct msg *raw, void *context)
{
    struct listing *listing = context;
    struct table table;
    int scan_error = table_open(listing->server, &table);

    (void)raw;
    if (scan_error != 0) {
        reply_error(listing->reply, scan_error);
    } else {
        /* Only borrowed: it is freed after us. */
        table.status = error == 0 ? (Hirsel__InitStatus *)answer : NULL;
        list_send(&table, listing->reply);
        table.status = NULL;
        table_close(&table);
    }
    free(listing);
}

void table_list(struct server *server, struct reply *reply)
{
    struct listing *listing = malloc(sizeof *listing);
    struct call *call;
    int error = ENOMEM;

    if (listing != NULL) {
        listing->server = server;
        listing->reply = reply;
        error = rpc_call_start(server->control, HIRSEL__INIT_OPERATION__INIT_STATUS, NULL, NULL, 0,
                               &hirsel__init_status__descriptor, STATUS_TIMEOUT_MS, status_told,
                               listing, &call);
    }
    if (error != 0) {
        free(listing);
        reply_error(reply, error);
    }
}

int table_check(struct server *server, pid_t pid, struct process_details *details)
{
    pid_t init = getppid();

    if (process_details(pid, details) != 0 || pid == init)
        return ESRCH;
    /* Servers, translators and what they started are the user's to signal too. */
    return tree_of(server, pid) != NULL || process_is_below(pid, init) ? 0 : ESRCH;
}
