#!/bin/bash
# timeout: 600
# kill -9 of fs, proc, net and the archive translator, one every 200 ms, while real programs work:
# no program fails, nothing is done twice, the work finishes.
. "$(dirname "$0")/lib.sh"
rounds=1
[[ $LONG ]] && rounds=8

mkdir source
cp -r /usr/include/linux source/headers
c_project source/project 36
XZ_OPT=-0 tar cJf source.tar.xz source
GIT_CONFIG_GLOBAL=/dev/null
export GIT_CONFIG_GLOBAL
(cd source && git init -q -b main . && git add -A && git -c user.name=S -c user.email=s@e commit -q -m all)
mkdir -p bound/target bound/place hidden
seq 300000 >page

session_start
hirsel bind --session t "$WORK/bound/target" "$WORK/bound/place"
hirsel bind --session t --hide "$WORK/hidden"
check 'the archive' hirsel settrans --session t -c node archive "$WORK/source.tar.xz"
in_session ls node >/dev/null

# The storm: its own shell, until the file `calm` is there; it writes down whom it hit.
killer() {
    local names=(fs archive proc net) i name pid
    : >hits
    for ((i = 0; ; i++)); do
        [[ -e calm ]] && return
        name=${names[i % 4]}
        pid=$(server_pid "$name")
        [[ $pid ]] && kill -9 "$pid" 2>/dev/null && echo "$name" >>hits
        sleep 0.2
    done
}

: >all_hits
for ((round = 0; round < rounds; round++)); do
    rm -rf build clone copied got
    cp -r source/project build
    storm 'make -j2' bash -c 'cd build && make -s -j2 && ./program >result && make -q'
    storm 'git clone, commit, log' bash -c 'set -e; git clone -q source clone; cd clone; for i in 1 2 3 4 5; do echo $i >>new; git add new; git -c user.name=S -c user.email=s@e commit -q -m $i; done; test $(git log --oneline | wc -l) = 6; git fsck --no-progress; git status --short'
    storm 'cp -a out of the archive' bash -c 'for i in 1 2 3; do rm -rf copied && cp -a node/source copied || exit 1; done'
    check 'the copy is whole' diff -r --no-dereference -x .git source copied
    # Not tar of the node itself: between two lives of its translator fs tells of it, and knows no times of
    # the archive's. tar would say that it has changed.
    storm 'find, diff -r, tar in the archive' bash -c 'for i in 1 2 3; do find node -type f | wc -l >count && diff -r --no-dereference -x .git node/source source && tar cf /dev/null node/source || exit 1; done'
    storm 'gcc of files in the archive' bash -c 'for i in 1 2 3 4 5 6 7 8; do gcc -Inode/source/project/include -c -o x.o node/source/project/src/part_$i.c || exit 1; done'
    storm 'curl downloads' bash -c '
        python3 -u -m http.server --bind 127.0.0.1 0 >server.log 2>&1 & server=$!
        trap "kill $server" EXIT
        until port=$(sed -n "s/.*port \([0-9]*\).*/\1/p" server.log) && [ -n "$port" ]; do sleep 0.02; done
        for i in $(seq 60); do curl -sf -o got "http://127.0.0.1:$port/page" && cmp got page || exit 1; done'
    storm 'mkdir and rename storms' python3 -c '
import os, sys, threading
def work(base):
    os.makedirs(base)
    for i in range(4000):
        d = f"{base}/d{i}"
        os.mkdir(d)                                  # EEXIST here: done twice
        fd = os.open(f"{d}/f", os.O_CREAT | os.O_EXCL | os.O_WRONLY)
        os.write(fd, b"x"); os.close(fd)
        os.rename(f"{d}/f", f"{d}/g"); os.rename(d, f"{base}/e{i}")  # ENOENT here: done twice
        assert os.stat(f"{base}/e{i}/g").st_size == 1
        os.unlink(f"{base}/e{i}/g"); os.rmdir(f"{base}/e{i}")
    os.rmdir(base)
failed = []
def run(base):
    try: work(base)
    except BaseException as e: failed.append(e); print(base, repr(e))
ts = [threading.Thread(target=run, args=(b,)) for b in ("storm", "bound/place/storm")]
[t.start() for t in ts]; [t.join() for t in ts]; sys.exit(len(failed))'
    storm 'binds and nodes, each made and unmade once' bash -c '
        for i in $(seq 25); do
            hirsel settrans -x -c made$i hello && test -n "$(cat made$i)" && rm made$i && hirsel bind "$PWD/bound/target" "$PWD/b$i" && hirsel unbind "$PWD/b$i" || { echo "at $i"; exit 1; }
        done'
    storm 'opens of a virtual file' python3 -c '
import time
end = time.monotonic() + 6
n = 0
while time.monotonic() < end:
    assert open("node/source/project/src/main.c").read().startswith("#include")
    n += 1
print(n)'
done
for name in fs archive proc net; do
    hits=$(grep -cx $name all_hits)
    if ((hits > 5)); then ok "$name was killed $hits times"; else not_ok "$name was killed only $hits times"; fi
done
prints 'the session is as it was' 0 in_session bash -c 'ls bound/place | wc -l'
status_is 'what was hidden is hidden' 2 in_session ls hidden
session_stop
finish
