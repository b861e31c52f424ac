/* publish FROM TO HOW: a file without a name is made in the directory FROM, or FROM is opened if it
 * is no directory; then it is given the name TO. HOW: by its name in procfs ("procfs"), by that
 * below a descriptor of procfs's directory ("below"), or by the descriptor alone ("empty"). FROM
 * may be a descriptor that came in: "@N". Prints how that went. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static long linked(int file, const char *to, const char *how)
{
    char name[64];
    int links;

    if (strcmp(how, "empty") == 0)
        return syscall(SYS_linkat, file, "", AT_FDCWD, to, AT_EMPTY_PATH);
    if (strcmp(how, "below") == 0) {
        links = open("/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        snprintf(name, sizeof name, "%d", file);
        return syscall(SYS_linkat, links, name, AT_FDCWD, to, AT_SYMLINK_FOLLOW);
    }
    snprintf(name, sizeof name, "/proc/self/fd/%d", file);
    return syscall(SYS_linkat, AT_FDCWD, name, AT_FDCWD, to, AT_SYMLINK_FOLLOW);
}

int main(int argc, char **argv)
{
    struct stat status;
    int file;

    if (argc < 4)
        return 2;
    if (argv[1][0] == '@')
        file = atoi(argv[1] + 1);
    else if (stat(argv[1], &status) == 0 && S_ISDIR(status.st_mode))
        file = open(argv[1], O_TMPFILE | O_RDWR | O_CLOEXEC, 0640);
    else
        file = open(argv[1], O_RDONLY | O_CLOEXEC);
    if (file < 0) {
        printf("open: %s\n", strerror(errno));
        return 0;
    }
    if (argv[1][0] != '@' && write(file, "published\n", 10) != 10 && errno != EBADF)
        return 1;
    if (linked(file, argv[2], argv[3]) < 0)
        printf("%s\n", strerror(errno));
    else if (fstat(file, &status) == 0)
        printf("linked, %u\n", (unsigned)status.st_nlink);
    return 0;
}
