/* calls FOLDER [trapped]: nanoseconds of single system calls on a file FOLDER/a/b/c/file, one line
 * each
 * ("name ns"): the median of batches. Run natively and in a session in turn. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { BATCHES = 15 };

struct place {
    char file[PATH_MAX];
    char missing[PATH_MAX];
    char link[PATH_MAX];
    int zero;
    int null;
};

static int64_t now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static int call_read(struct place *place)
{
    char byte;
    return read(place->zero, &byte, 1) != 1;
}

static int call_write(struct place *place)
{
    return write(place->null, "x", 1) != 1;
}

static int call_open_close(struct place *place)
{
    int fd = open(place->file, O_RDONLY);
    return fd < 0 || close(fd) < 0;
}

static int call_stat(struct place *place)
{
    struct stat st;
    return stat(place->file, &st) != 0;
}

static int call_stat_missing(struct place *place)
{
    struct stat st;
    return stat(place->missing, &st) == 0;
}

static int call_stat_relative(struct place *place)
{
    struct stat st;
    (void)place;
    return stat("a/b/c/file", &st) != 0;
}

static int call_lstat(struct place *place)
{
    struct stat st;
    return lstat(place->link, &st) != 0;
}

static int call_fstat(struct place *place)
{
    struct stat st;
    return fstat(place->zero, &st) != 0;
}

static int call_readlink(struct place *place)
{
    char text[PATH_MAX];
    return readlink(place->link, text, sizeof text) < 0;
}

static int call_getcwd(struct place *place)
{
    char text[PATH_MAX];
    (void)place;
    return getcwd(text, sizeof text) == NULL;
}

static const struct {
    const char *name;
    int (*call)(struct place *place);
    int count;
} calls[] = {
    {"read", call_read, 20000},
    {"write", call_write, 20000},
    {"open+close", call_open_close, 2000},
    {"stat", call_stat, 4000},
    {"stat, relative", call_stat_relative, 4000},
    {"stat, missing", call_stat_missing, 2000},
    {"lstat of a link", call_lstat, 4000},
    {"fstat", call_fstat, 10000},
    {"readlink", call_readlink, 4000},
    {"getcwd", call_getcwd, 4000},
};

static int order(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
    static struct place place;
    if (argc < 2 || chdir(argv[1]) != 0) {
        fprintf(stderr, "calls: a folder is wanted that holds a/b/c/file and a/b/c/link\n");
        return 2;
    }
    snprintf(place.file, sizeof place.file, "%s/a/b/c/file", argv[1]);
    snprintf(place.missing, sizeof place.missing, "%s/a/b/c/missing", argv[1]);
    snprintf(place.link, sizeof place.link, "%s/a/b/c/link", argv[1]);
    place.zero = open("/dev/zero", O_RDONLY);
    place.null = open("/dev/null", O_WRONLY);
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
        int64_t taken[BATCHES];
        /* A call that is trapped takes ten times as long. */
        int count = argc > 2 ? calls[i].count / 10 : calls[i].count;
        int bad = 0;
        for (int batch = 0; batch < BATCHES; batch++) {
            int64_t start = now();
            for (int n = 0; n < count; n++)
                bad += calls[i].call(&place);
            taken[batch] = now() - start;
        }
        if (bad) {
            fprintf(stderr, "calls: %s went wrong: %s\n", calls[i].name, strerror(errno));
            return 1;
        }
        qsort(taken, BATCHES, sizeof *taken, order);
        printf("%s\t%.1f\n", calls[i].name, (double)taken[BATCHES / 2] / count);
    }
    return 0;
}
