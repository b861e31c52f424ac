#!/bin/bash
# What a confined program does without asking, by what it was taught: the answers are the same as
# natively, what changes is seen, and what it opens only to look at it is left as it was.
. "$(dirname "$0")/lib.sh"

confine_needed
session_start
in_session() {
    hirsel run --session "$SESSION" --confine -- "$@"
}

mkdir -p tree/{a,b}/{c,d} place/{target,bound,hidden}
for folder in tree/{a,b}/{c,d}; do
    for file in 1 2 3; do echo "$folder/$file" >"$folder/$file"; done
done
echo bound >place/target/x
echo native >place/bound/x
echo secret >place/hidden/x
ln -s a/c tree/way
ln -s nowhere tree/dangling
chmod 600 tree/a/c/1 && chmod 000 tree/b/d/3 && touch -d 2020-02-02 tree/a/d/2
check 'a bind' hirsel bind --session "$SESSION" place/target place/bound
check 'a hidden folder' hirsel bind --session "$SESSION" --hide place/hidden

# The first time it is asked, the second time known.
look='find tree -printf "%p %y %m %s %t %n %i %u %l\n" | sort; ls -lR --time-style=full-iso tree; stat -L tree/* tree/*/*;
    for f in tree/*/*/* tree/none tree/none/x tree/a/c/1/x; do test -e $f; echo $?; test -r $f; echo $?; test -w $f; echo $?; test -x $f; echo $?; done;
    cat tree/*/*/[12] tree/way/* 2>&1; python3 -c "
import os
for base, folders, files in os.walk(\"tree\"):
    for name in folders + files + [\"none\", \"none/none\"]:
        for call in (os.stat, os.lstat, os.readlink, os.path.realpath, lambda path: os.access(path, os.R_OK)):
            try:
                print(name, call(os.path.join(base, name)))
            except OSError as error:
                print(name, error)
"'
sh -c "$look" >native 2>&1
in_session sh -c "{ $look; } >first 2>&1; { $look; } >second 2>&1"
# Reading a file says when it was read.
for seen in native first second; do sed -i -e 's/st_atime=[0-9]*//' -e '/^Access: 2/d' $seen; done
if cmp -s native first; then ok 'looks tell what they do natively'; else not_ok 'looks tell what they do natively' && diff native first | head; fi
if cmp -s native second; then ok 'and so they do when they are known'; else not_ok 'and so they do when they are known' && diff native second | head; fi

# What changes while a name is known.
prints 'changes are seen at once' "$(printf '%s\n' 'regular file' 'symbolic link' directory fifo none 'regular file' native bound)" in_session python3 -c '
import os, stat, subprocess
def kind(path):
    print(subprocess.run(["stat", "-c", "%F", path], capture_output=True, text=True).stdout.strip() or "none")
os.mkdir("w")
open("w/x", "w").write("text")
for _ in range(3):
    os.stat("w/x")
kind("w/x")
os.rename("w/x", "w/y"); os.symlink("y", "w/x")
assert stat.S_ISLNK(os.lstat("w/x").st_mode) and os.readlink("w/x") == "y"
kind("w/x")
os.unlink("w/x"); os.mkdir("w/x")
for _ in range(3):
    os.stat("w/x")
kind("w/x")
os.rmdir("w/x"); os.mkfifo("w/x")
kind("w/x")
os.unlink("w/x")
kind("w/x")
os.rename("w/y", "w/x")
kind("w/x")
os.mkdir("w/place"); os.mkdir("w/place/bound"); open("w/place/bound/x", "w").write("native\n")
for _ in range(3):
    subprocess.run(["cat", "w/place/bound/x"], stdout=subprocess.DEVNULL)
print(open("w/place/bound/x").read(), end="")
os.rename("w/place", "w/away"); os.symlink("../place", "w/place")
print(open("w/place/bound/x").read(), end="")'
status_is 'a symlink does not lead to what is hidden' 1 in_session sh -c 'mkdir v && mkdir v/hidden && echo x >v/hidden/x && cat v/hidden/x v/hidden/x >/dev/null && mv v u && ln -s place v && cat v/hidden/x'
prints 'paths follow the current directory' "$(printf '%s\n' tree/a/c/1 tree/b/c/1 tree/a/c/1)" \
    in_session sh -c 'cd tree/a; cat c/1; cat c/1 >/dev/null; cd ../b; cat c/1; cd ..; cat a/c/1'
prints 'and a descriptor' "$(printf '%s\n' 11 11)" in_session python3 -c '
import os
for folder in ("tree/a", "tree/b", "tree/a", "tree/b"):
    where = os.open(folder, os.O_RDONLY)
    if folder == "tree/b":
        os.stat("c/1", dir_fd=where)
        print(os.stat("c/1", dir_fd=where).st_size)
    os.close(where)'

# Names that are not what the kernel takes them for, in a directory that is known.
prints 'shared memory stays the tree'"'"'s own' "$(printf '%s\n' 2 True x False)" in_session sh -c 'python3 -c "
import os
for _ in range(2):
    os.stat(\"/dev/null\")
open(\"/dev/shm/x\", \"w\").write(\"x\\n\")
print(os.stat(\"/dev/shm/x\").st_size, os.path.exists(\"/dev/shm/x\"), open(\"/dev/shm/x\").read().strip(), sep=\"\\n\")
print(os.path.exists(\"/dev/shm/none\"))"; true'
# What is known of one name is not of another.
prints 'a link between files is none of them' 0 in_session python3 -c '
import os, string
letters, wrong = string.ascii_lowercase, 0
for name in letters:
    os.mkdir(name.upper())
    for other in letters:
        if other != name:
            open(name.upper() + "/" + other, "w").close()
    os.symlink("target", name.upper() + "/" + name)
for name in letters:
    for _ in range(2):
        os.lstat(name.upper() + "/" + name)
        try:
            wrong += os.readlink(name.upper() + "/" + name) != "target"
        except OSError:
            wrong += 1
print(wrong)'

# Renames of files are taught with their directory: what is no file any more is noticed all the same.
prints 'a directory that was a file is moved' "$(printf '%s\n' 'moved y/d/x' secret-free)" in_session sh -c 'python3 -c "
import os, shutil
for name in \"abc\":
    open(name, \"w\").close()
os.makedirs(\"y/d\"); open(\"y/d/x\", \"w\").write(\"first\")
for _ in range(3):
    os.stat(\"y/d/x\")
os.rename(\"a\", \"a1\"); os.rename(\"b\", \"b1\")
os.unlink(\"c\"); os.mkdir(\"c\"); os.symlink(\"../place/hidden\", \"c/d\")
os.rename(\"y\", \"z\"); os.rename(\"c\", \"y\")
shutil.rmtree(\"z\")
try:
    print(open(\"y/d/x\").read())
except FileNotFoundError:
    print(\"moved y/d/x\")
os.mkdir(\"c\"); os.rename(\"b1\", \"c/b\"); os.rename(\"c\", \"e\")
print(\"secret-free\" if os.listdir(\"e\") == [\"b\"] else os.listdir(\"e\"))"; true'

# To look at a FIFO does not open it, though its name was a file's.
prints 'a FIFO wakes nobody who is looked at' "$(printf '%s\n' waits message)" in_session bash -c '
    mkfifo fifo; { echo message >fifo; echo written >told; } &
    for i in 1 2 3; do stat fifo; ls -l fifo; test -r fifo; find . -name fifo -size 0; done >/dev/null
    python3 -c "import os; [os.stat(\"fifo\") for i in range(100)]"
    [[ -e told ]] || echo waits
    cat fifo; wait'

# close(2) gives up the locks of fcntl(2): a look must not.
cat >lock.c <<'END'
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static int lock(int file, int bare)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    long result = SYS_fcntl;

    if (!bare)
        return fcntl(file, F_SETLK, &lock);
    __asm__ volatile("syscall" : "+a"(result) : "D"((long)file), "S"((long)F_SETLK), "d"(&lock) : "rcx", "r11", "memory");
    return result < 0 ? -1 : 0;
}

static int other_is_kept_out(const char *path)
{
    int status;
    pid_t child = fork();

    if (child == 0)
        _exit(lock(open(path, O_RDWR), 0) == 0 ? 1 : 0);
    waitpid(child, &status, 0);
    return status == 0;
}

static void *look(void *path)
{
    struct stat status;

    for (int i = 0; i < 20000; i++)
        stat(path, &status);
    return NULL;
}

int main(int count, char **arguments)
{
    struct stat status;
    pthread_t thread;
    int file, kept = 1, threads = count > 3;

    for (int i = 0; i < 5; i++)
        stat(arguments[1], &status);
    if (threads)
        pthread_create(&thread, NULL, look, arguments[1]);
    file = open(arguments[1], O_RDWR);
    if (lock(file, arguments[2][0] == 'b') != 0)
        return 2;
    for (int i = 0; i < 50; i++) {
        stat(arguments[1], &status);
        access(arguments[1], R_OK);
        kept &= other_is_kept_out(arguments[1]);
    }
    if (threads)
        pthread_join(thread, NULL);
    kept &= other_is_kept_out(arguments[1]);
    puts(kept ? "kept" : "lost");
    return 0;
}
END
gcc -O1 -D_GNU_SOURCE -o lock lock.c -pthread
echo x >locked
prints 'a look leaves locks alone' kept in_session ./lock locked libc
prints 'also one that the shim did not see made' kept in_session ./lock locked bare
for i in 1 2 3; do prints "while another thread looks, $i" kept in_session ./lock locked libc threads; done
prints 'no descriptor is left' same in_session python3 -c '
import os
before = os.listdir("/proc/self/fd")
for i in range(1000):
    os.stat("tree/a/c/1"); os.stat("tree"); os.access("tree/a", os.R_OK); os.path.realpath("tree/a/c/2")
print("same" if os.listdir("/proc/self/fd") == before else os.listdir("/proc/self/fd"))'

# The libc copy that an exec puts at a certain descriptor: nobody sees it there, nobody loses what it
# has there, and what can't be put there is had otherwise.
prints 'an exec leaves no descriptor' '0 1 2 3' in_session sh -c 'python3 -c "
import os, subprocess
try: os.execv(\"/usr/bin/none\", [\"none\"])
except OSError: pass
try: os.execv(\"/etc/passwd\", [\"none\"])
except OSError: pass
print(*sorted(map(int, os.listdir(\"/proc/self/fd\"))))"'
prints 'a descriptor of that number stays' "$(printf '%s\n' mine mine)" in_session bash -c 'echo mine >mine; exec 61<mine; cat <&61; sh -c "cat /proc/self/fd/61"'
prints 'also where the copy is open there' copy in_session bash -c 'copy=$(sed -n "s/.* //; /hirsel-libc/{p;q}" /proc/self/maps); exec 60<"$copy" 62<"$copy"; sh -c "[ /proc/self/fd/60 -ef /proc/self/fd/62 ] && echo copy"'
prints 'without room for it programs start' "$(printf '%s\n' 32 started)" in_session bash -c 'ulimit -n 32; ulimit -n; sh -c "/bin/true && env echo started"'
gcc -O1 -static -x c -o listing - <<'END'
#include <fcntl.h>
#include <stdio.h>

int main(void)
{
    for (int i = 3; i < 256; i++)
        if (fcntl(i, F_GETFD) >= 0)
            printf("%d\n", i);
    puts("end");
    return 0;
}
END
prints 'nor do static programs see it' end in_session sh -c './listing; true'

# Two confined trees have each a name space, but they may work in the same place.
mkdir -p both/d && echo file >both/d/x && mkfifo both/ask both/answer
in_session bash -c 'exec <>both/ask >both/answer; for i in 1 2 3; do cat both/d/x; done >known; echo ready
    read -r; cat both/d/x || echo none' 2>/dev/null &
exec 8<both/answer
read -r line <&8
in_session sh -c 'rm -r both/d && ln -s ../place/hidden both/d'
echo go >both/ask
prints 'a symlink that another tree makes is seen' 'ready none' echo "$line" "$(cat <&8)"
exec 8<&-
wait

# What the policy does not show stays so, asked once and again.
status_is 'a foreign file' 1 in_session sh -c 'for i in 1 2 3; do stat /etc/shadow /root /home; done'
status_is 'is not opened either' 1 in_session sh -c 'for i in 1 2 3; do cat /etc/shadow; done'
session_stop
finish
