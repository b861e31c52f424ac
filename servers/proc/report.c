/* How processes ended. The last reports lie in memory that init holds too: a proc that is started
 * again goes on where its predecessor was. */
#include "servers/proc/proc.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "proto/init.pb-c.h"
#include "proto/proc.pb-c.h"

#define RING_MAGIC 0x31676e6972706572ull /* "reprring1", and the layout's number */
#define RING_NAME "reports"
#define INIT_TIMEOUT_MS 3000

/* The memory that a predecessor left, or new memory, given to init. -1 with errno. */
static int ring_descriptor(struct server *server)
{
    Hirsel__InitKeep keep = HIRSEL__INIT_KEEP__INIT;
    struct stat status;
    int descriptor = -1;

    keep.name = (char *)RING_NAME;
    rpc_call(server->control, HIRSEL__INIT_OPERATION__INIT_KEPT, &keep.base, NULL, 0, NULL, NULL,
             &descriptor, INIT_TIMEOUT_MS);
    if (descriptor >= 0 && fstat(descriptor, &status) == 0 &&
        status.st_size == sizeof(struct report_ring))
        return descriptor;
    if (descriptor >= 0)
        close(descriptor);
    descriptor = memfd_create("hirsel-reports", MFD_CLOEXEC);
    if (descriptor < 0)
        return -1;
    if (ftruncate(descriptor, sizeof(struct report_ring)) != 0) {
        int error = errno;

        close(descriptor);
        errno = error;
        return -1;
    }
    if (rpc_call(server->control, HIRSEL__INIT_OPERATION__INIT_KEEP, &keep.base, &descriptor, 1,
                 NULL, NULL, NULL, INIT_TIMEOUT_MS) != 0)
        log_line("init does not keep the reports");
    return descriptor;
}

int report_open(struct server *server)
{
    struct proc *proc = proc_of(server);
    int descriptor = ring_descriptor(server);
    int error = 0;

    if (descriptor < 0)
        return errno;
    proc->ring = mmap(NULL, sizeof *proc->ring, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
    if (proc->ring == MAP_FAILED)
        error = errno;
    else if (proc->ring->magic != RING_MAGIC)
        *proc->ring = (struct report_ring){.magic = RING_MAGIC};
    close(descriptor);
    return error;
}

/* A command's arguments as one line. */
static void command_line(const char *command, size_t length, char *line, size_t size)
{
    size_t used = 0;

    while (length > 0 && command[length - 1] == '\0')
        length--;
    while (used < length && used + 1 < size) {
        line[used] = command[used] == '\0' ? ' ' : command[used];
        used++;
    }
    line[used] = '\0';
}

static bool is_crash(int signal)
{
    static const int faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP, SIGSYS};

    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++)
        if (faults[i] == signal)
            return true;
    return false;
}

/* Is this end written down already? init and the kernel may both tell of it. */
static struct report *report_find(struct report_ring *ring, pid_t pid, int64_t since)
{
    uint64_t first = ring->written > REPORTS_MAX ? ring->written - REPORTS_MAX : 0;

    for (uint64_t i = ring->written; i > first; i--) {
        struct report *report = &ring->reports[(i - 1) % REPORTS_MAX];

        if (report->seconds < since)
            return NULL;
        if (report->pid == (uint32_t)pid)
            return report;
    }
    return NULL;
}

void report_add(struct server *server, pid_t pid, const int *status, const char *command,
                size_t command_length)
{
    struct report_ring *ring = proc_of(server)->ring;
    int64_t now = time(NULL);
    struct report *report = report_find(ring, pid, now - 5);
    bool known_before = report != NULL && report->status_known != 0;
    char line[REPORT_COMMAND_MAX];

    if (report == NULL) {
        report = &ring->reports[ring->written % REPORTS_MAX];
        *report = (struct report){.pid = (uint32_t)pid};
        ring->written++;
    }
    report->seconds = now;
    if (report->command_length == 0 && command_length > 0) {
        report->command_length =
            (uint16_t)(command_length < REPORT_COMMAND_MAX ? command_length : REPORT_COMMAND_MAX);
        memcpy(report->command, command, report->command_length);
    }
    if (status == NULL || known_before)
        return;
    report->status = *status;
    report->status_known = 1;
    if (WIFSIGNALED(*status) && is_crash(WTERMSIG(*status))) {
        command_line(report->command, report->command_length, line, sizeof line);
        log_line("process %d (%s) crashed: %s%s", pid, line, strsignal(WTERMSIG(*status)),
                 WCOREDUMP(*status) ? " (core dumped)" : "");
    }
}

void report_list(struct server *server, struct reply *reply)
{
    const struct report_ring *ring = proc_of(server)->ring;
    uint64_t first = ring->written > REPORTS_MAX ? ring->written - REPORTS_MAX : 0;
    Hirsel__ProcReports list = HIRSEL__PROC_REPORTS__INIT;
    Hirsel__ProcReport *items = calloc(REPORTS_MAX, sizeof *items);
    Hirsel__ProcReport *pointers[REPORTS_MAX];

    if (items == NULL) {
        reply_error(reply, ENOMEM);
        return;
    }
    list.reports = pointers;
    for (uint64_t i = first; i < ring->written; i++) {
        const struct report *report = &ring->reports[i % REPORTS_MAX];
        Hirsel__ProcReport *item = &items[list.n_reports];

        hirsel__proc_report__init(item);
        item->pid = report->pid;
        item->seconds = report->seconds;
        item->status = report->status;
        item->status_known = report->status_known != 0;
        item->command.data = (uint8_t *)report->command;
        item->command.len = report->command_length < REPORT_COMMAND_MAX ? report->command_length
                                                                        : REPORT_COMMAND_MAX;
        while (item->command.len > 0 && item->command.data[item->command.len - 1] == '\0')
            item->command.len--;
        pointers[list.n_reports++] = item;
    }
    rpc_reply(reply, &list.base, NULL, 0);
    free(items);
}
