/* swing SECONDS ONE OTHER FROM TO: one thread exchanges the names ONE and OTHER over and over,
 * while another renames, links, exchanges, copies by a symlink and takes away FROM and TO. Prints
 * how often each was done; whether it should have been is for others to look at. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

struct swing {
    const char *one, *other;
    unsigned long turns;
    int ended;
};

static void *swing_run(void *context)
{
    struct swing *swing = context;

    while (!__atomic_load_n(&swing->ended, __ATOMIC_RELAXED))
        swing->turns +=
            renameat2(AT_FDCWD, swing->one, AT_FDCWD, swing->other, RENAME_EXCHANGE) == 0;
    return NULL;
}

enum { WAYS = 7 };

static int attempt(unsigned way, const char *from, const char *to)
{
    int file;

    switch (way) {
    case 0:
        return rename(from, to);
    case 1:
        return link(from, to);
    case 2:
        return renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_EXCHANGE);
    case 3:
        return symlink("nowhere", to);
    case 4:
        return unlink(to);
    case 5:
        file = open(to, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
        return file < 0 ? -1 : close(file);
    default:
        return rename(to, from);
    }
}

int main(int argc, char **argv)
{
    static const char *const names[WAYS] = {"renamed", "linked", "exchanged", "symlinks",
                                            "removed", "made",   "taken back"};
    struct swing swing = {0};
    unsigned long done[WAYS] = {0};
    struct timespec now, end;
    pthread_t thread;

    if (argc < 6)
        return 2;
    swing.one = argv[2];
    swing.other = argv[3];
    clock_gettime(CLOCK_MONOTONIC, &end);
    end.tv_sec += atoi(argv[1]);
    if (pthread_create(&thread, NULL, swing_run, &swing) != 0)
        return 1;
    do {
        for (unsigned way = 0; way < WAYS; way++)
            done[way] += attempt(way, argv[4], argv[5]) == 0;
        clock_gettime(CLOCK_MONOTONIC, &now);
    } while (now.tv_sec < end.tv_sec || (now.tv_sec == end.tv_sec && now.tv_nsec < end.tv_nsec));
    __atomic_store_n(&swing.ended, 1, __ATOMIC_RELAXED);
    pthread_join(thread, NULL);
    printf("exchanged %lu times", swing.turns);
    for (unsigned way = 0; way < WAYS; way++)
        printf(", %s %lu", names[way], done[way]);
    puts("");
    return 0;
}
