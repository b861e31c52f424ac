/* A path's text may lie anywhere, across the end of a page too: what it names does not depend on
 * that. Usage: crossing PATH OTHER: for each place of the text around the end of a page PATH is
 * looked at, and then OTHER, of the same length; each must stay the file that it is. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PAGE = 4096 };

static ino_t inode_of(const char *path)
{
    struct stat status;
    return lstat(path, &status) == 0 ? status.st_ino : 0;
}

int main(int argc, char **argv)
{
    char *pages = mmap(NULL, 3 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    int wrong = 0;
    if (argc < 3 || pages == MAP_FAILED || munmap(pages + 2 * PAGE, PAGE) != 0)
        return 100;
    size_t length = strlen(argv[1]) + 1;
    ino_t one = inode_of(argv[1]), other = inode_of(argv[2]);
    if (strlen(argv[2]) + 1 != length || one == 0 || other == 0 || one == other)
        return 101;
    /* The last place ends with the second page, behind which there is nothing. */
    for (size_t at = PAGE - length - 8; at <= 2 * PAGE - length; at++) {
        if (at > PAGE + 8 && at < 2 * PAGE - length - 16)
            continue;
        for (int i = 1; i <= 2; i++) {
            memcpy(pages + at, argv[i], length);
            ino_t found = inode_of(pages + at);
            char text[8];
            if (found != (i == 1 ? one : other) || access(pages + at, F_OK) != 0 ||
                readlink(pages + at, text, sizeof text) >= 0) {
                printf("%s at %zu of a page is another one\n", argv[i], at % PAGE);
                wrong++;
            }
        }
    }
    /* Of what is behind its end nothing need be known: for who runs this by valgrind. */
    for (size_t more = 0; more < 16; more++) {
        int i = 1 + more % 2;
        char *copy = malloc(more / 2 + length);
        if (copy == NULL)
            return 102;
        memset(copy, '/', more / 2);
        memcpy(copy + more / 2, argv[i], length);
        wrong += inode_of(copy) != (i == 1 ? one : other);
        free(copy);
    }
    return wrong != 0;
}
