#!/bin/bash
# Programs that know nothing of it work in a confined tree as they do natively, where all that they
# work on is the current directory.
. "$(dirname "$0")/lib.sh"

confine_needed
session_start
in_session() {
    hirsel run --session "$SESSION" --confine -- "$@"
}

links_work() {
    mkdir -p a/b && echo text >a/file && ln -s a/file link && ln -s nowhere dangling && ln -s a folder
    realpath link folder/../a/file a/b/.. && readlink -f link folder/b && readlink a/file
    readlink '' && readlink a
    sed -i --follow-symlinks s/text/other/ link && cat a/file && test -L link
    tar cf all.tar a link dangling folder && mkdir out && tar xpf all.tar -C out && ls out
    cp -a a link dangling folder copy 2>/dev/null || mkdir copy && cp -a a link dangling folder copy && ls copy
    python3 -c '
import os
print(os.path.realpath("folder/file"), os.path.realpath("/bin/sh"))
for path in ("a", "a/file", "", "none"):
    try:
        os.readlink(path)
    except OSError as error:
        print(error)
try:
    os.chmod("link", 0o600, follow_symlinks=False)
except (OSError, NotImplementedError) as error:
    print(type(error))'
    rm all.tar
}

socket_work() {
    python3 -c '
import multiprocessing, os, socket, stat, tempfile
def meet(name):
    server = socket.socket(socket.AF_UNIX)
    server.bind(name)
    server.listen()
    client = socket.socket(socket.AF_UNIX)
    client.connect(name)
    client.send(b"through")
    print(server.getsockname() == name, client.getpeername() == name, server.accept()[0].recv(9))
os.umask(0o27)
os.mkdir("d")
os.mkdir("e")
for name in ("name", "d/name", os.getcwd() + "/e/name", "x" * 107):
    meet(name)
    print(oct(os.stat(name).st_mode))
os.chdir("e")
meet("../d/from")
meet(tempfile.mkdtemp() + "/there")
for name in ("name", "none/name", "../d/from/name", "y" * 200):
    try:
        socket.socket(socket.AF_UNIX).bind(name)
    except OSError as error:
        print(error)
os.chdir("..")
with multiprocessing.Manager() as manager:
    names = manager.dict()
    names["a"] = 1
    print(names)'
}

descriptor_work() {
    # The file is outside of what it may read; it was given it.
    cat /dev/stdin && cat /proc/self/fd/0 && cat /dev/fd/0 && stat -Lc %F%s /dev/stdin
    bash -c 'cat <(echo substituted) && exec 7<&0 && cat /proc/self/fd/7'
    head -c 4 /dev/stdin >part
    cp /dev/stdin whole
}

terminal_work() {
    python3 -c '
import os, pty
made, other = pty.openpty()
again = os.open(os.ttyname(other), os.O_RDWR | os.O_NOCTTY)
print(os.isatty(again), os.stat(os.ttyname(other)).st_rdev == os.fstat(other).st_rdev)
os.write(again, b"over")
print(os.read(made, 9))
pid, terminal = pty.fork()
if pid == 0:
    os.execvp("sh", ["sh", "-c", "test -n \"$(tty)\" && echo seen >/dev/tty && echo seen >$(tty)"])
text = b""
while text.count(b"seen") < 2:
    text += os.read(terminal, 99)
os.waitpid(pid, 0)
print(text)
# Its maker may look at it and set its mode before anybody has opened the other end: that is no end
# of it, as it would be if somebody had opened and closed it.
import fcntl, struct
made = os.open("/dev/ptmx", os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
fcntl.ioctl(made, 0x40045431, struct.pack("i", 0)) # TIOCSPTLCK
name = "/dev/pts/%d" % struct.unpack("I", fcntl.ioctl(made, 0x80045430, b"1234")) # TIOCGPTN
os.chmod(name, 0o620)
print(oct(os.stat(name).st_mode))
try:
    os.read(made, 1)
except OSError as error:
    print(error)'
    script -qc 'test -t 1 && echo on a terminal' /dev/null
    tmux -S "$PWD/socket" -f /dev/null new-session -d 'tty | cut -c1-8 >part && mv part told'
    until [[ -e told ]]; do sleep 0.05; done
    cat told
    rm -f socket
}

# Python's handlers have no SA_RESTART, and it expects EINTR of no such call.
signal_work() {
    python3 -c '
import os, signal
count = 0
def come(number, frame):
    global count
    count += 1
signal.signal(signal.SIGALRM, come)
signal.setitimer(signal.ITIMER_REAL, 0.0003, 0.0003)
for i in range(1000):
    os.mkdir("d")
    os.chdir("d")
    os.stat(".")
    os.chdir("..")
    os.symlink("d", "l")
    os.readlink("l")
    os.rename("l", "m")
    os.chmod("d", 0o700)
    os.unlink("m")
    os.rmdir("d")
signal.setitimer(signal.ITIMER_REAL, 0)
print(count > 10)'
}

# Memory and semaphores by name; what else there is at /dev/shm natively is others'.
memory_work() {
    cat >work.py <<'END'
import multiprocessing, os
from multiprocessing import shared_memory

def work(lock, count, name):
    for i in range(100):
        with lock:
            count.value += 1
    shared = shared_memory.SharedMemory(name)
    shared.buf[0] = 7
    shared.close()

if __name__ == "__main__":
    lock, count = multiprocessing.Lock(), multiprocessing.Value("i", 0)
    shared = shared_memory.SharedMemory(create=True, size=100)
    workers = [multiprocessing.Process(target=work, args=(lock, count, shared.name)) for i in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    print(count.value, shared.buf[0])
    shared.close()
    shared.unlink()
    with multiprocessing.Pool(2) as pool:
        print(pool.map(abs, [-1, 2, -3]))
    made = "/dev/shm/hirsel-test-%d" % os.getpid()
    with open(made, "x") as file:
        file.write("by name")
    try:
        open(made, "x")
    except OSError as error:
        print(error.strerror)
    os.rename(made, made + ".moved")
    os.link(made + ".moved", made)
    os.mkdir(made + ".d")
    print(os.stat(made).st_nlink, os.path.realpath(made) == made, os.path.basename(made) in os.listdir("/dev/shm"))
    os.truncate(made, 2)
    print(open(made).read())
    os.rmdir(made + ".d")
    os.unlink(made)
    os.unlink(made + ".moved")
    print(os.path.exists(made))
END
    python3 work.py
}

# Descriptors of directories that may not be read: rsync's and systemd's way to walk.
place_work() {
    python3 -c '
import os
for path in ("/", "..", ".", "/etc"):
    for flags in (os.O_PATH, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW):
        place = os.open(path, flags)
        told = os.fstat(place)
        print(path, place, told.st_ino == os.stat(path).st_ino, os.get_inheritable(place))
        os.fchdir(place)
        os.close(place)
        os.chdir(os.environ["PWD"])
place = os.open("/", os.O_PATH)
for name in os.getcwd().split("/")[1:]:
    next = os.open(name, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=place)
    os.close(place)
    place = next
os.mkdir("made", dir_fd=place)
print(os.stat(place).st_ino == os.stat(".").st_ino, os.listdir("."))
try:
    os.open("made/", os.O_PATH | os.O_DIRECTORY)
    os.open("/etc/passwd", os.O_PATH | os.O_DIRECTORY)
except OSError as error:
    print(error)
import resource
free = os.open("made", os.O_PATH)
os.close(free)
resource.setrlimit(resource.RLIMIT_NOFILE, (free, free))
try:
    os.open("/", os.O_PATH)
except OSError as error:
    print(error)'
}

debugger_work() {
    printf 'int doubled(int x) { return 2 * x; }\nint main(void) { return doubled(21); }\n' >main.c
    gcc -g -o main main.c
    gdb -q -nx -batch -ex 'break doubled' -ex run -ex 'print x' -ex 'set var x = 4' -ex continue ./main 2>&1 | grep -v '^\[Thread debugging\|^Using host\|process [0-9]'
    rm main main.c
}

same 'symlinks and what is none' links_work
same 'Unix sockets' socket_work
same 'signals in the middle of calls' signal_work
same 'terminals that it makes' terminal_work
same 'memory by name' memory_work
same 'directories on the way' place_work
if type gdb >/dev/null 2>&1; then same 'a debugger' debugger_work; else skip 'gdb is not installed'; fi
# The same where the name space has names that hide the host's.
mkdir -p shadowed shown
printf 'bind %s %s\n' "$WORK/shown" "$WORK/shadowed" >names
in_session() {
    hirsel run --session "$SESSION" --namespace "$WORK/names" --confine -- "$@"
}
same 'with a bind: symlinks and what is none' links_work
same 'with a bind: Unix sockets' socket_work
same 'with a bind: signals in the middle of calls' signal_work
same 'with a bind: memory by name' memory_work
in_session() {
    hirsel run --session "$SESSION" --confine -- "$@"
}
echo 'given to it' >given
for how in native session; do
    rm -rf same && mkdir -p same "$how"
    work="$(declare -f descriptor_work); cd '$WORK/same' && descriptor_work"
    if [[ $how == native ]]; then
        bash -c "$work" <given >"$how/out" 2>&1
    else
        (cd same && in_session bash -c "$work") <given >"$how/out" 2>&1
    fi
    manifest same >>"$how/out"
done
if cmp -s native/out session/out && grep -q 'given to it' native/out; then
    ok 'what it was given open it can open again'
else
    not_ok 'what it was given open it can open again'
    diff native/out session/out | sed 's/^/#   /'
fi
cd same || exit 1
status_is 'and nothing beside it' 1 in_session cat "$WORK/given"
cd ..
check 'a file in /dev/shm' sh -c 'echo "of others" >/dev/shm/hirsel-test-$0' $$
status_is 'is not there' 1 in_session cat "/dev/shm/hirsel-test-$$"
status_is 'nor for a static program' 1 in_session /bin/busybox cat "/dev/shm/hirsel-test-$$"
rm "/dev/shm/hirsel-test-$$"
prints 'what a static program makes there' 'made made' in_session /bin/busybox sh -c \
    'cd /dev/shm && echo made >hirsel-left && cat hirsel-left | tr "\n" " " && cat /dev/shm/hirsel-left'
check 'goes with it' test ! -e /dev/shm/hirsel-left
status_is 'unless it was given that directory' 0 sh -c 'hirsel run --session t --confine --allow-write /dev/shm -- touch /dev/shm/hirsel-given-$0 && rm /dev/shm/hirsel-given-$0' $$
prints 'the memory of what it does not trace is closed' 'Permission denied' in_session python3 -c '
import os, subprocess
child = subprocess.Popen(["sleep", "10"])
open("/proc/self/mem", "r+b").close()
try:
    open("/proc/%d/mem" % child.pid, "r+b")
except OSError as error:
    print(error.strerror)
child.kill()'
prints 'of other processes not even where they are' '' in_session sh -c \
    'for link in cwd root exe fd/0; do readlink "/proc/$PPID/$link" "/proc/self/../$PPID/$link"; test ! -L "/proc/$PPID/$link" || echo there; done; true'
session_stop
finish
