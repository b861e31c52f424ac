#!/bin/bash
# A program that puts its root elsewhere has the kernel's own names there, also where no procfs tells
# the shim what its descriptors are called. So has one that starts in a removed directory.
. "$(dirname "$0")/lib.sh"

cat >root.c <<'E'
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void tell(const char *what, int result)
{
    printf("%s: %s\n", what, result < 0 ? strerror(errno) : "done");
}

int main(void)
{
    struct stat status;
    int place = open("place", O_PATH | O_DIRECTORY);

    if (unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0 || chroot("empty") != 0)
        return 77;
    tell("a file", openat(place, "file", O_RDONLY));
    tell("by a symlink", openat(place, "link", O_RDONLY));
    tell("its status", fstatat(place, "link", &status, 0));
    tell("from the current directory", open("place/link", O_RDONLY));
    tell("a name", renameat(place, "link", AT_FDCWD, "place/moved"));
    tell("and back", renameat(place, "moved", place, "link"));
    tell("a bad descriptor", openat(99, "link", O_RDONLY));
    tell("a missing name", openat(place, "none/link", O_RDONLY));
    return 0;
}
E
cat >gone.py <<'E'
import os, socket
os.mkdir("gone")
os.chdir("gone")
os.rmdir("../gone")
for call in "bind", "connect":
    try:
        getattr(socket.socket(socket.AF_UNIX), call)("socket")
    except OSError as error:
        print(call, error)
E
check 'the program builds' gcc -Wall -Werror -D_GNU_SOURCE -o root root.c
mkdir -p place empty hidden && echo text >place/file && ln -s file place/link
session_start
check 'a table that shadows' hirsel bind --session t --hide "$WORK/hidden"
native=$(./root)
case $? in
0) prints 'with another root' "$native" in_session ./root ;;
77) skip 'with another root: no user name spaces here' ;;
*) not_ok 'natively' ;;
esac
prints 'sockets in a removed directory' "$(python3 gone.py)" in_session python3 gone.py
session_stop
finish
