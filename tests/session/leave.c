/* Calls left by longjmp from a signal handler: what they held must not be lost. Usage:
 * leave FIFO VIRTUAL CONTENT: opens of a FIFO where nobody writes are left COUNT times, those of a
 * virtual file at any instant, from all depths of the stack, while threads read the virtual file.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

enum { COUNT = 5000, THREADS = 3 };

static const char *content;
static sigjmp_buf back;
static volatile int left, wrong, over;

static void on_alarm(int number)
{
    (void)number;
    left++;
    siglongjmp(back, 1);
}

static void *in_thread(void *path)
{
    char text[256];
    while (!over) {
        int file = open(path, O_RDONLY | O_CLOEXEC);
        ssize_t length = file < 0 ? -1 : read(file, text, sizeof text);
        if (length != (ssize_t)strlen(content) || memcmp(text, content, (size_t)length) != 0)
            wrong++;
        close(file);
        usleep(200);
    }
    return NULL;
}

/* The shim's connections. What the program has opened and, left between the open's end and its
 * number, knows nothing of is lost natively, too: it is closed, if nobody else has files. */
static int sockets_count(bool alone)
{
    struct stat status;
    int count = 0;
    for (int i = 3; i < 1024; i++) {
        if (fstat(i, &status) != 0)
            continue;
        count += S_ISSOCK(status.st_mode);
        if (alone && S_ISREG(status.st_mode))
            close(i);
    }
    return count;
}

static int mappings_count(void)
{
    FILE *maps = fopen("/proc/self/maps", "r");
    int count = 0;
    for (int c = maps == NULL ? EOF : getc(maps); c != EOF; c = getc(maps))
        count += c == '\n';
    if (maps != NULL)
        fclose(maps);
    return count;
}

static long size_of_all(void)
{
    FILE *file = fopen("/proc/self/statm", "r");
    long pages = 0;
    if (file == NULL || fscanf(file, "%ld", &pages) != 1)
        wrong++;
    if (file != NULL)
        fclose(file);
    return pages * 4;
}

static void open_from(const char *path, int depth)
{
    volatile char room[200] = {0};
    if (depth > 0) {
        open_from(path, depth - 1);
        room[0]++;
        return;
    }
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file >= 0)
        close(file);
}

static void leave(const char *path, int microseconds)
{
    struct itimerval once = {{0, 0}, {0, microseconds}}, never = {{0, 0}, {0, 0}};
    if (sigsetjmp(back, 1) == 0) {
        setitimer(ITIMER_REAL, &once, NULL);
        open_from(path, rand() % 30);
    }
    setitimer(ITIMER_REAL, &never, NULL);
}

int main(int argc, char **argv)
{
    if (argc < 4)
        return 100;
    content = argv[3];
    pthread_t threads[THREADS];
    sigset_t alarm_only;
    sigemptyset(&alarm_only);
    sigaddset(&alarm_only, SIGALRM);
    pthread_sigmask(SIG_BLOCK, &alarm_only, NULL);
    for (int i = 0; i < THREADS; i++)
        pthread_create(&threads[i], NULL, in_thread, argv[2]);
    pthread_sigmask(SIG_UNBLOCK, &alarm_only, NULL);
    struct sigaction action = {.sa_handler = on_alarm};
    sigaction(SIGALRM, &action, NULL);
    for (int i = 0; i < 300; i++) {
        leave(argv[1], 100);
        leave(argv[2], 20 + rand() % 100);
    }
    over = 1;
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    left = 0;
    int shims = sockets_count(true), mappings = mappings_count();
    long size = size_of_all();
    for (int i = 0; i < COUNT; i++)
        leave(argv[1], 100);
    int fifo = left;
    for (int i = 0; i < COUNT; i++) {
        leave(argv[2], 20 + rand() % 100);
        if (i % 100 == 0)
            sockets_count(true);
    }
    shims = sockets_count(true) - shims;
    mappings = mappings_count() - mappings;
    size = size_of_all() - size;
    printf(
        "left %d times at the FIFO and %d elsewhere, %d wrong; more: %d of the shim's descriptors, "
        "%d mappings, %ld KiB\n",
        fifo, left - fifo, wrong, shims, mappings, size);
    return wrong != 0 || fifo < COUNT || shims > 16 || mappings > 40 || size > 16384;
}
