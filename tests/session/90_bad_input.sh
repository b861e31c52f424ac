#!/bin/bash
# timeout: 600
# Hostile and broken input: the server goes on, the one caller gets the right errno within a
# bounded time, nothing is lost, one line stands in the log.
. "$(dirname "$0")/lib.sh"
. "$SOURCE/tests/session/trap.sh"

hostile=$SOURCE/tests/session/hostile.py
pids() { hirsel ps --session t --servers | awk '$2 ~ /^(init|fs|proc|net|trap)$/ { print $1, $2 }' | LC_ALL=C sort; }

mkdir -p tree place && seq 100 >tree/file && tar cf tree.tar tree
session_start
check 'a node' hirsel settrans --session t -c node archive "$WORK/tree.tar"
check 'answers' in_session cat node/tree/file
pids >before

# Messages, to each server.
directory=$(session_directory)
servers=(fs proc net init)
[[ -n $(server_pid trap) ]] && servers+=(trap)
for server in "${servers[@]}"; do
    for case in truncated empty short_body long_body version no_hello kind operation body handle reply memfd descriptors deaf drop hold privilege; do
        check "$server: $case" timeout 90 python3 "$hostile" client "$directory/$server" $case
    done
done
pids >after
check 'no server was restarted' cmp before after
prints 'and all is served' "$(seq 100)" in_session cat node/tree/file
hirsel log --session t >log
if grep -q 'fs' log; then ok 'the log has lines about it'; else not_ok 'the log has lines about it' && show log; fi
if [[ $(wc -c <log) -lt 2000000 ]]; then ok 'and not too many'; else not_ok "the log has $(wc -c <log) bytes"; fi

# Names.
in_session python3 - <<'END' >out 2>&1
import errno, os
def fails(error, call, *arguments):
    try:
        call(*arguments)
    except OSError as e:
        assert e.errno == error, (call, arguments[0][:40], e)
        return
    raise SystemExit(f"no error: {call} {arguments[0][:40]!r}")
for base in (b"", b"node/", b"node/tree/"):
    fails(errno.ENAMETOOLONG, os.stat, base + b"x" * 256)
    fails(errno.ENAMETOOLONG, os.stat, base + b"x/" * 2100)
    fails(errno.ENAMETOOLONG, os.stat, base + b"y" * 5000)
    fails(errno.ENAMETOOLONG, os.open, base + b"y" * 100000, os.O_RDONLY)
    fails(errno.ENOENT, os.stat, base + b"\xff\xfe\n\x01")
    fails(errno.ENOENT, os.stat, base + b"x" * 255)
    fails(errno.ENOENT, os.readlink, base + b"new\nline")
long = b"node/" + b"./" * 2030 + b"tree/file"
assert len(long) < 4096 and os.stat(long).st_size == 292
deep = b"node/tree" + b"/../tree" * 400 + b"/file"
assert os.stat(deep).st_size == 292
fails(errno.ENOTDIR, os.stat, b"node/tree/file/x")
fails(errno.ENOTDIR, os.stat, b"node/tree/file/")
END
if (($? == 0)); then ok 'names'; else not_ok 'names' && show out; fi
# The same asked by a program without the shim, which the trap server answers.
program walker walker gcc -static
asked() {
    printf 'op=%s\tpath=%s\n' "$@" | in_session "$BARE/walker" 2>&1 | python3 -c 'import errno, json, sys
for line in sys.stdin:
    answer = json.loads(line)
    print(errno.errorcode[answer["error"]] if "error" in answer else "found")' | uniq
}
long=$(printf 'node/%s' "$(printf './%.0s' $(seq 2030))tree/file")
for base in '' node/ node/tree/; do
    prints "too long, static: '$base'" ENAMETOOLONG asked stat "$base$(printf 'x%.0s' $(seq 256))" lstat "$base$(printf 'x/%.0s' $(seq 2100))" \
        unlink "$base$(printf 'y%.0s' $(seq 5000))" list "$base$(printf 'y%.0s' $(seq 100000))" chdir "$base$(printf 'x%.0s' $(seq 256))"
    prints "not there, static: '$base'" ENOENT asked stat "$base$(printf '\xff\xfe\x01')" readlink "$base$(printf 'x%.0s' $(seq 255))"
done
prints 'a long path that leads there, static' found asked stat "$long" stat "node/tree$(printf '/../tree%.0s' $(seq 400))/file"
prints 'a file is no folder, static' ENOTDIR asked stat node/tree/file/x stat node/tree/file/

odd=$(printf 'place/odd\nname \xff')
check 'a bind of an odd name' hirsel bind --session t "$WORK/tree" "$WORK/$odd"
prints 'shows' "$(seq 100)" in_session cat "$odd/file"
check 'a node of an odd name' hirsel settrans --session t -c "$odd.node" hello
check 'answers' in_session cat "$odd.node"
check 'the list of servers keeps to its lines' bash -c "hirsel ps --session t --servers | awk 'NR > 1 && \$1 !~ /^[0-9]+\$/ { exit 1 }'"
long=$(printf 'x%.0s' $(seq 5000))
in_session hirsel bind "$WORK/tree" "/$long" >out 2>&1
status=$?
if ((status)) && [[ $(wc -l <out) == 1 ]]; then ok 'a bind with too long a name is told in one line'; else not_ok "a bind with too long a name: $status" && show out; fi
check 'settrans with 2,000 words is refused or works' bash -c 'hirsel settrans --session t -c many echo $(seq 2000); s=$?; ((s < 126))'

# More binds than a table holds: refused, and what was there stays.
in_session bash -c 'cd place && for i in $(seq 400); do hirsel bind "$PWD" "$PWD/$(printf "%s-%0240d" bind $i)" || exit 7; done' >out 2>&1
status=$?
if ((status == 0 || status == 7)); then ok "many long binds (status $status)"; else not_ok "many long binds (status $status)" && show out; fi
prints 'all is served after it' "$(seq 100)" in_session cat node/tree/file

# Translators that hang, lie and die.
for case in exits dies lies garbage entries redirect no_descriptor strange_tag floods; do
    for kind in '' d_; do
        printf '#!/bin/sh\nexec python3 %s translator %s%s "$@"\n' "$hostile" "$kind" $case >bad_$kind$case
        chmod +x bad_$kind$case
        hirsel settrans --session t -c "n_$kind$case" "$WORK/bad_$kind$case" >out 2>&1 ||
            hirsel settrans --session t -a "n_$kind$case" "$WORK/bad_$kind$case" >>out 2>&1
        timeout 90 hirsel run --session t -- sh -c "cat n_$kind$case; ls n_$kind$case/; stat n_$kind$case/x/y; cat n_$kind$case/f" >out 2>&1
        status=$?
        if ((status != 124)); then ok "a translator, $kind$case: an answer in bounded time"; else not_ok "a translator, $kind$case: no answer in 90 s" && show out; fi
    done
done
for case in never_answers hangs; do
    printf '#!/bin/sh\nexec python3 %s translator %s "$@"\n' "$hostile" $case >bad_$case
    chmod +x bad_$case
    hirsel settrans --session t -c -t 3 "n_$case" "$WORK/bad_$case" >out 2>&1
    rm -f in_hand
    # A script's children in the background ignore SIGINT.
    env --default-signal=INT hirsel run --session t -- cat n_$case >out 2>&1 &
    waiter=$!
    check "a translator, $case: it is asked" await 30 test -e in_hand
    # Sooner than fs ends what hangs.
    prints "a translator, $case: others are served meanwhile" "$(seq 100)" timeout 19 hirsel run --session t -- cat node/tree/file
    kill -INT $waiter
    await 30 gone $waiter || kill -9 $waiter
    wait $waiter
    status=$?
    if ((status == 130)); then ok "a translator, $case: its caller can be interrupted"; else not_ok "a translator, $case: its caller can not be interrupted: status $status" && show out; fi
done
pids >after
check 'no server was restarted' cmp before after

# Hostile archives.
python3 - <<'END'
import io, tarfile
def add(tar, name, data=b"", type_=tarfile.REGTYPE, target="", mode=0o644):
    i = tarfile.TarInfo(name); i.type = type_; i.linkname = target; i.mode = mode; i.size = len(data)
    tar.addfile(i, io.BytesIO(data))
with tarfile.open("hostile.tar", "w", format=tarfile.PAX_FORMAT, errors="surrogateescape") as t:
    add(t, "../escape", b"escaped"); add(t, "a/../../escape2", b"escaped"); add(t, "/absolute/name", b"inside")
    add(t, "ok/file", b"fine\n"); add(t, "ok/file/below", b"a file as a folder")
    add(t, "twice", b"first"); add(t, "twice", b"second\n")
    add(t, "loop1", type_=tarfile.SYMTYPE, target="loop2"); add(t, "loop2", type_=tarfile.SYMTYPE, target="loop1")
    add(t, "self", type_=tarfile.SYMTYPE, target="self/self"); add(t, "hard", type_=tarfile.LNKTYPE, target="nowhere")
    add(t, "hardloop", type_=tarfile.LNKTYPE, target="hardloop"); add(t, "up", type_=tarfile.SYMTYPE, target="../" * 100 + "etc/hostname")
    add(t, "forged", type_=tarfile.SYMTYPE, target="/.hirsel/1/" + "0" * 64 + "/f/exec/touch/%2Ftmp%2Fpwned")
    add(t, "setuid", b"#!/bin/sh\n", mode=0o6755); add(t, "new\nline", b"x"); add(t, "bytes\udcff", b"x")
    add(t, "device", type_=tarfile.CHRTYPE); add(t, "./././dots//file", b"x"); add(t, "..", b""); add(t, ".", type_=tarfile.DIRTYPE, mode=0o755)
    add(t, "n" * 300, b"x"); add(t, "deep/" * 500 + "file", b"x"); add(t, "", b"x")
with tarfile.open("bomb.tar.xz", "w:xz", preset=0) as t:
    class Zeros(io.RawIOBase):
        def read(self, n=-1): return bytes(n)
    i = tarfile.TarInfo("bomb"); i.size = 3 << 30; t.addfile(i, Zeros())
    add(t, "after", b"after\n")
open("cut.tar", "wb").write(open("tree.tar", "rb").read()[:700])
open("noise.tar", "wb").write(bytes(range(256)) * 100)
open("empty.tar", "wb").close()
END
check 'a hostile archive is served' hirsel settrans --session t -c hostile archive "$WORK/hostile.tar"
check 'its listing ends' timeout 90 hirsel run --session t -- bash -c 'find hostile >listing; find -L hostile >/dev/null 2>&1; true'
prints 'what is well formed in it' fine in_session cat hostile/ok/file
prints 'the later of two' second in_session cat hostile/twice
check 'nothing got out' bash -c '! test -e escape && ! test -e ../escape && ! test -e ../escape2 && ! test -e /absolute'
status_is 'symlink loops give ELOOP' 1 in_session bash -c 'cat hostile/loop1 2>&1 | grep -q "Too many levels" && exit 1; exit 0'
prints 'a symlink with many .. ends at the root' "$(cat /etc/hostname)" in_session cat hostile/up
rm -f /tmp/pwned
in_session cat hostile/forged >out 2>&1
in_session bash -c 'cp -a hostile/forged forged; cat forged' >out 2>&1
check 'a forged node starts nothing' bash -c '! test -e /tmp/pwned'
# The bomb opens into 3 GiB: it is listed, and what is small beside it can be read.
check 'a bomb is listed' hirsel settrans --session t -c bomb archive "$WORK/bomb.tar.xz"
prints 'within time' 3221225472 timeout 120 hirsel run --session t -- stat -c %s bomb/bomb
prints 'and read past' after timeout 120 hirsel run --session t -- cat bomb/after
for bad in cut noise empty; do
    hirsel settrans --session t -c $bad archive "$WORK/$bad.tar" >out 2>&1
    timeout 90 hirsel run --session t -- sh -c "ls $bad/; cat $bad/tree/file" >out 2>&1
    status=$?
    if ((status != 0 && status != 124)); then ok "an archive that is $bad gives an error"; else not_ok "an archive that is $bad: status $status" && show out; fi
done
rm -rf "$directory"/nodes/*/tree/bomb

# EMFILE, in the program and in the servers.
in_session bash -c 'ulimit -n 40; python3 -c "
import errno, os
held = []
try:
    while True: held.append(os.open(\"node/tree/file\", os.O_RDONLY))
except OSError as e:
    assert e.errno == errno.EMFILE, e
assert len(held) > 25, len(held)
for fd in held: os.close(fd)
print(open(\"node/tree/file\").readline(), end=\"\")"' >out 2>&1
if [[ $? == 0 && $(<out) == 1 ]]; then ok 'EMFILE in a program'; else not_ok 'EMFILE in a program' && show out; fi
pids >after
check 'still no server was restarted' cmp before after
session_stop

# Servers with so few hear of what tests beside this one have in flight (tests/unit/msg_support.h): these
# take turns.
exec {turn}</tmp
flock $turn
(
    exec {turn}<&-
    ulimit -n 40
    hirsel start few
)
hirsel settrans --session few -c few.node archive "$WORK/tree.tar"
directory=$(session_directory few)
check 'servers with 40 descriptors: 1,000 connections held at once' timeout 90 python3 "$hostile" client "$directory/fs" hold
prints 'and all is served after it' "$(seq 100)" hirsel run --session few -- cat few.node/tree/file
# The kernel holds what all of the user's processes have in flight against these servers' limit of 40
# (ETOOMANYREFS): they wait for it.
# flight_start FILE: 60 for two seconds, from when FILE is there; $flight ends with them.
flight_start() {
    python3 -c '
import array, socket, sys, time
one, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
one.sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [0] * 60))])
open(sys.argv[1], "w").close()
time.sleep(2)' "$1" &
    flight=$!
    await 10 test -e "$1"
}
flight_start flying
prints 'and while others have more descriptors in flight than they may have' "$(seq 100)" hirsel run --session few -- cat few.node/tree/file
wait $flight
flight_start flying.again
prints 'nor is the start of a program lost that may have few' started timeout 60 bash -c 'ulimit -Sn 40 && exec hirsel run --session few -- echo started'
wait $flight
check 'stop' hirsel stop few
exec {turn}<&-

# A full disk: the session's folder on a file system of 2 MiB, where this user may mount one.
mkdir small
full='mount -t tmpfs -o size=2M none small && mkdir -m 700 small/run && export XDG_RUNTIME_DIR=$PWD/small/run && . "$SOURCE/tests/session/full_disk.sh"'
if unshare -Um --map-current-user --keep-caps sh -c 'mount -t tmpfs none small' 2>/dev/null; then
    unshare -Um --map-current-user --keep-caps bash -c "$full" >full.out 2>&1
    grep -aE '^(ok|not ok|skip) - |^#' full.out
    if grep -aq '^not ok' full.out || ! grep -aq '^ok' full.out; then
        failures=$((failures + 1))
        show full.out
    fi
else
    skip 'a full disk: this user may mount nothing here'
fi
# Without a mount: a limit on the size of files does the same to a backing file.
seq 400000 >tree/large && tar cf large.tar tree
(
    ulimit -f 1024
    hirsel start limited
)
hirsel settrans --session limited -c large.node archive "$WORK/large.tar"
in_session2() { timeout 90 hirsel run --session limited -- "$@"; }
in_session2 cat large.node/tree/large >out 2>err
status=$?
if ((status == 1)) && grep -qE 'File too large|No space|Input/output' err; then ok 'a backing file that can not be written: the caller gets the error'; else not_ok "a backing file that can not be written: status $status" && show err; fi
prints 'and others are served' "$(seq 100)" in_session2 cat large.node/tree/file
check 'stop' hirsel stop limited
finish
