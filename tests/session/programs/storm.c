/* storm FOLDER PROCESSES CALLS MICROSECONDS [plain]: static processes that make CALLS calls on
 * paths each and check every answer, while a timer signals them. "plain": their handler does not
 * restart calls, so that EINTR is an answer that may come. FOLDER is the place of trap.sh. The exit
 * status says whether all answers were right. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

static volatile sig_atomic_t signals;
static bool plain;

struct process {
    int number;
    long interrupted;
    long wrong;
    char file[64], other[64], folder[64];
};

static void count_signal(int number)
{
    (void)number;
    signals++;
}

/* Whether the call is to be made again. */
static bool again(struct process *process, long result)
{
    if (result >= 0 || errno != EINTR || !plain)
        return false;
    process->interrupted++;
    return true;
}

static void want(struct process *process, bool right, const char *what)
{
    int error = errno;
    if (right)
        return;
    if (process->wrong++ < 5)
        printf("process %d: %s: %s\n", process->number, what, strerror(error));
}

static void read_back(struct process *process, const char *path, const char *wanted)
{
    char text[32] = "";
    int descriptor;
    ssize_t length;
    do
        descriptor = open(path, O_RDONLY);
    while (again(process, descriptor));
    want(process, descriptor >= 0, path);
    if (descriptor < 0)
        return;
    do
        length = read(descriptor, text, sizeof text - 1);
    while (again(process, length));
    want(process, length > 0 && strcmp(text, wanted) == 0, "what was read");
    close(descriptor);
}

static void look(struct process *process, int turn)
{
    struct stat status;
    int result;
    switch (turn % 5) {
    case 0:
        read_back(process, "node/tree/f1", "virtual 1\n");
        break;
    case 1:
        read_back(process, "bound/place/x", "bound\n");
        break;
    case 2:
        do
            result = stat("node/tree/f2", &status);
        while (again(process, result));
        want(process, result == 0 && status.st_size == 10, "stat");
        break;
    case 3:
        do
            result = access("hidden/x", F_OK);
        while (again(process, result));
        want(process, result < 0 && errno == ENOENT, "access of what is hidden");
        break;
    default:
        read_back(process, "plain", "of the host\n");
        break;
    }
}

/* Each is done once, or the next one fails. */
static void change(struct process *process, int turn)
{
    int result;
    switch (turn % 6) {
    case 0:
        do
            result = mkdir(process->folder, 0700);
        while (again(process, result));
        want(process, result == 0, "mkdir");
        break;
    case 1:
        do
            result = open(process->file, O_CREAT | O_EXCL | O_WRONLY, 0600);
        while (again(process, result));
        want(process, result >= 0, "open that makes");
        if (result >= 0)
            close(result);
        break;
    case 2:
        do
            result = rename(process->file, process->other);
        while (again(process, result));
        want(process, result == 0, "rename");
        break;
    case 3:
        do
            result = link(process->other, process->file);
        while (again(process, result));
        want(process, result == 0, "link");
        break;
    case 4:
        do
            result = unlink(process->file);
        while (again(process, result));
        want(process, result == 0, "unlink");
        do
            result = unlink(process->other);
        while (again(process, result));
        want(process, result == 0, "unlink of the other");
        break;
    default:
        do
            result = rmdir(process->folder);
        while (again(process, result));
        want(process, result == 0, "rmdir");
        break;
    }
}

static int work(int number, int calls, long interval)
{
    struct process process = {.number = number};
    struct sigaction action = {.sa_handler = count_signal, .sa_flags = plain ? 0 : SA_RESTART};
    struct itimerval timer = {.it_interval.tv_usec = interval, .it_value.tv_usec = interval};

    snprintf(process.folder, sizeof process.folder, "bound/place/d%d", number);
    snprintf(process.file, sizeof process.file, "bound/place/d%d/f", number);
    snprintf(process.other, sizeof process.other, "bound/place/d%d/g", number);
    sigaction(SIGALRM, &action, NULL);
    if (interval > 0)
        setitimer(ITIMER_REAL, &timer, NULL);
    for (int made = 0; made + 2 <= calls; made += 2) {
        look(&process, made / 2);
        change(&process, made / 2);
    }
    timer = (struct itimerval){0};
    setitimer(ITIMER_REAL, &timer, NULL);
    printf("process %d: %d calls, %ld signals, %ld times EINTR, %ld wrong\n", number, calls,
           (long)signals, process.interrupted, process.wrong);
    fflush(stdout);
    return process.wrong != 0;
}

int main(int argc, char **argv)
{
    int status, failed = 0;
    if (argc < 5 || chdir(argv[1]) != 0) {
        fprintf(stderr, "storm: FOLDER PROCESSES CALLS MICROSECONDS [plain]\n");
        return 2;
    }
    plain = argc > 5;
    /* 12 calls are a round that leaves nothing. */
    int calls = atoi(argv[3]) / 12 * 12;
    for (int number = 0; number < atoi(argv[2]); number++)
        if (fork() == 0)
            _exit(work(number, calls, atol(argv[4])));
    while (wait(&status) > 0)
        failed |= status != 0;
    return failed;
}
