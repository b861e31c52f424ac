#!/bin/bash
# timeout: 120
# Programs that know nothing of it work in a confined tree as they do natively, where all that they
# work on is the current directory.
. "$(dirname "$0")/lib.sh"

if ! hirsel run --confine -- true 2>why; then
    skip "confined programs: $(cat why)"
    finish
fi
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
print(text)'
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

same 'symlinks and what is none' links_work
same 'Unix sockets' socket_work
same 'signals in the middle of calls' signal_work
same 'terminals that it makes' terminal_work
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
prints 'of other processes not even where they are' '' in_session sh -c \
    'for link in cwd root exe fd/0; do readlink "/proc/$PPID/$link" "/proc/self/../$PPID/$link"; test ! -L "/proc/$PPID/$link" || echo there; done; true'
session_stop
finish
