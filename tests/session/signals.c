/* Opens of a virtual file from everywhere at once: signal handlers on a small stack of their own in
 * the middle of other opens, threads, forked and vforked children. Usage: signals PATH CONTENT
 * [restart]. Exit status 0 if every open gave what it should (or EINTR, without SA_RESTART). */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *path, *content;
static volatile int handled, wrong, over;
/* One at a time, that of the next instant at the end of each: however long an open takes, what it
 * interrupts gets on. */
static const struct itimerval soon = {{0, 0}, {0, 300}};

static void file_check(void)
{
    char text[256];
    struct stat status;
    int descriptor = open(path, O_RDONLY);
    if (descriptor < 0) {
        wrong += errno != EINTR;
        return;
    }
    ssize_t length = read(descriptor, text, sizeof text);
    if (length != (ssize_t)strlen(content) || memcmp(text, content, (size_t)length) != 0)
        wrong++;
    if (fstat(descriptor, &status) != 0 || status.st_size != length)
        wrong++;
    close(descriptor);
}

static void on_alarm(int number)
{
    (void)number;
    int error = errno;
    handled++;
    file_check();
    if (!over)
        setitimer(ITIMER_REAL, &soon, NULL);
    errno = error;
}

static void *in_thread(void *unused)
{
    for (int i = 0; i < 300; i++)
        file_check();
    return unused;
}

static int descriptors_count(void)
{
    int count = 0;
    DIR *directory = opendir("/proc/self/fd");
    while (directory != NULL && readdir(directory) != NULL)
        count++;
    if (directory != NULL)
        closedir(directory);
    return count;
}

static int child_status(pid_t child)
{
    int status = -1;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR)
        ;
    return status;
}

int main(int argc, char **argv)
{
    if (argc < 3)
        return 100;
    path = argv[1];
    content = argv[2];
    file_check();
    int before = descriptors_count();

    stack_t stack = {.ss_sp = malloc(8192), .ss_size = 8192};
    struct sigaction action = {.sa_handler = on_alarm,
                               .sa_flags = SA_ONSTACK | (argc > 3 ? SA_RESTART : 0)};
    struct itimerval never = {{0, 0}, {0, 0}};
    sigaltstack(&stack, NULL);
    sigaction(SIGALRM, &action, NULL);
    setitimer(ITIMER_REAL, &soon, NULL);
    for (int i = 0; i < 2000; i++)
        file_check();
    pthread_t threads[4];
    for (int i = 0; i < 4; i++)
        pthread_create(&threads[i], NULL, in_thread, NULL);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    over = 1;
    setitimer(ITIMER_REAL, &never, NULL);

    for (int i = 0; i < 30; i++) {
        pid_t child = fork();
        if (child == 0) {
            wrong = 0;
            file_check();
            file_check();
            _exit(wrong);
        }
        wrong += child_status(child) != 0;
        child = vfork();
        if (child == 0) {
            execl(path, path, (char *)NULL); /* not executable: the error must be that */
            _exit(errno == EACCES ? 0 : 9);
        }
        wrong += child_status(child) != 0;
    }
    int after = descriptors_count();
    printf("%d signals, %d wrong, %d descriptors kept\n", handled, wrong, after - before);
    return wrong != 0 || handled < 20 || after - before > 8;
}
