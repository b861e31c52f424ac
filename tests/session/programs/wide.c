/* openat2 itself: wide PATH SIZE RESOLVE TAIL tells the error's name of an open for reading, whose
 * struct is SIZE bytes long, the last of which is TAIL. With a word behind it what is opened is
 * written to. */
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static const char *name_of(int error)
{
    return error == EINVAL   ? "EINVAL"
           : error == E2BIG  ? "E2BIG"
           : error == EFAULT ? "EFAULT"
                             : strerror(error);
}

int main(int argc, char **argv)
{
    static union {
        struct open_how how;
        unsigned char bytes[8192];
    } argument;
    char text[64];
    if (argc < 5)
        return 2;
    size_t size = strtoul(argv[2], NULL, 0);
    argument.how.flags = O_CLOEXEC | (argc > 5 ? (uint64_t)O_WRONLY : (uint64_t)O_RDONLY);
    argument.how.resolve = strtoul(argv[3], NULL, 0);
    if (size > sizeof argument.how)
        argument.bytes[size - 1] = (unsigned char)atoi(argv[4]);
    long file = syscall(SYS_openat2, AT_FDCWD, argv[1], &argument, size);
    if (file < 0) {
        puts(name_of(errno));
        return 0;
    }
    ssize_t length = argc > 5 ? write((int)file, "told\n", 5) : read((int)file, text, sizeof text);
    if (length < 0)
        return 1;
    printf("%.*s", argc > 5 ? 0 : (int)length, text);
    return 0;
}
