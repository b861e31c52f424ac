#!/bin/bash
# Translators that die with requests in hand: by accident, which no program notices, and again and
# again, which gives EIO within bounded time and a line in the log.
. "$(dirname "$0")/lib.sh"
session_start
directory=$(session_directory)

# A translator that counts its processes in NODE.count and does in each what LIFE's next word says:
# serve; exit, crash or kill itself, at its start (start:…) or with all opens in hand that came within
# 0.3 s; writer: answer these one by one until one wants to write, and crash then. The last word stays.
cat >mortal.py <<'END'
import os, signal, socket, struct, sys, time
sys.path.insert(0, os.environ["HOSTILE"])
from hostile import HEADER, HELLO, REPLY, REQUEST, WELCOME, packet, send_descriptors

def varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at

def flags_of(data):
    at = flags = 0
    while at < len(data):
        key, at = varint(data, at)
        value, at = varint(data, at)
        if key & 7 == 2:
            at += value
        elif key == 5 << 3:
            flags = value
    return flags

def end(how):
    if how == "crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    if how == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    os._exit(3)

node, life = sys.argv[1], sys.argv[2:]
with open(node + ".count", "a") as count:
    count.write("x")
born = os.path.getsize(node + ".count")
how = life[min(born, len(life)) - 1]
if how.startswith("start:"):
    end(how.removeprefix("start:"))
OPEN, NODE_OPEN = os.O_ACCMODE, 17
s, _ = socket.socket(fileno=3).accept()
asked, since = [], None
s.settimeout(0.02)
while True:
    try:
        data = s.recv(1 << 17)
        if not data:
            break
    except TimeoutError:
        data = None
    if data:
        kind, operation, tag, length = (HEADER.unpack_from(data)[i] for i in (1, 2, 5, 7))
        if kind == HELLO:
            s.send(packet(WELCOME, body=struct.pack("<HHIQ", 1, 1, 0, 0)))
        elif kind == REQUEST and operation == NODE_OPEN:
            asked.append((tag, flags_of(data[HEADER.size:HEADER.size + length])))
            since = since or time.monotonic()
        elif kind == REQUEST:
            s.send(packet(REPLY, operation, tag=tag))
    if asked and (how == "serve" or time.monotonic() > since + 0.3):
        if how not in ("serve", "writer"):
            end(how)
        for tag, flags in asked:
            if how == "writer" and flags & OPEN:
                end("crash")
            send_descriptors(s, packet(REPLY, NODE_OPEN, tag=tag, descriptors=1), [os.open(node + ".text", os.O_RDWR)])
        asked, since = [], None
END
# shellcheck disable=SC2016
printf '#!/bin/sh\n[ "$1" = --describe ] && { echo file; exit; }\nHOSTILE=%s exec python3 %s/mortal.py "$@"\n' \
    "$SOURCE/tests/session" "$WORK" >mortal
chmod +x mortal
export PYTHONDONTWRITEBYTECODE=1

# mortal NODE LIFE…
mortal() {
    local node=$1
    shift
    rm -f "$node.count"
    echo "text of $node" >"$node.text"
    check "settrans $node" hirsel settrans --session t -c "$node" "$WORK/mortal" "$WORK/$node" "$@"
}

counted() {
    local name=$1 wanted=$2 found
    found=$(stat -c %s "$name.count")
    if ((found == wanted)); then ok "$name took $wanted processes"; else not_ok "$name took $found processes, not $wanted"; fi
}

mortal twice exit exit serve
prints 'two ends with the same request in hand are not noticed' 'text of twice' timeout 60 hirsel run --session t -- cat twice
counted twice 3
mortal crash crash crash crash serve
prints 'nor are three crashes' 'text of crash' timeout 60 hirsel run --session t -- cat crash
counted crash 4
mortal race exit start:exit start:crash start:exit serve
prints 'nor are those of a start that follows' 'text of race' timeout 60 hirsel run --session t -- cat race
counted race 5
mortal born start:crash start:kill serve
prints 'nor are crashes at the first start' 'text of born' timeout 60 hirsel run --session t -- cat born
counted born 3

mortal never start:exit
status_is 'one that says that it can not start gives an error' 1 timeout 60 hirsel run --session t -- cat never
counted never 1

mortal always exit
started=$SECONDS
timeout 60 hirsel run --session t -- cat always >out 2>err
status=$?
if ((status == 1 && SECONDS - started < 55)) && grep -q 'Input/output error' err; then
    ok "one that always ends gives EIO, after $((SECONDS - started)) s"
else
    not_ok "one that always ends: status $status after $((SECONDS - started)) s"
    show out err
fi
found=$(stat -c %s always.count)
if ((found >= 3 && found <= 10)); then ok "it took $found processes"; else not_ok "it took $found processes"; fi
check 'the log says so in one line' bash -c "[[ \$(grep -c 'always) ended $found times with the same request in hand' '$directory/log') == 1 ]]"

# A request that is a translator's end does not take those beside it along.
mortal beside writer
hirsel run --session t -- sh -c 'echo x >beside' >out 2>err &
writer=$!
readers=()
for i in 1 2 3 4; do
    timeout 60 hirsel run --session t -- cat beside >reader.$i 2>&1 &
    readers+=($!)
done
good=0
for reader in "${readers[@]}"; do wait "$reader" && good=$((good + 1)); done
if ((good == 4)); then ok 'those who only read are served'; else not_ok "of 4 who only read $good are served" && show reader.*; fi
if wait $writer; then not_ok 'the one that is its end succeeds'; else ok 'the one that is its end gets an error'; fi

# What waits for a moment between two starts can be interrupted, and its node taken away.
mortal waits exit
timeout -s INT 1 hirsel run --session t -- cat waits >out 2>&1
mortal goes exit
hirsel run --session t -- cat goes >out 2>&1 &
waiter=$!
await 10 test -e goes.count
check 'a node whose translator dies again and again can be taken away' timeout 60 hirsel settrans --session t -fg goes
wait $waiter

# What a directory's node is does not depend on whether its translator runs: killed, again and again,
# in the middle of other programs' looks, and fs with it.
mkdir root && touch -d '2001-02-03 04:05:06.123456789' root/file && chmod 0750 root && touch -d '1999-01-02 03:04:05' root
tar cf root.tar -C root . && touch -d '2011-01-02 03:04:05' root.tar
check 'settrans of an archive' hirsel settrans --session t -c archived archive "$WORK/root.tar"
# shellcheck disable=SC2016
cat >looking.py <<'END'
import os, subprocess, sys, time
node, seen, found = sys.argv[1], {}, None
until = time.monotonic() + 3
while time.monotonic() < until:
    s = os.stat(node)
    what = (s.st_dev, s.st_ino, oct(s.st_mode), s.st_nlink, s.st_uid, s.st_gid, s.st_size, s.st_mtime_ns, s.st_ctime_ns, os.access(node, os.R_OK | os.X_OK))
    seen[what] = seen.get(what, 0) + 1
for what in seen:
    print(*what)
END
prints 'it is started' file in_session ls archived
in_session stat -c '%i %a %Y %n' archived >before
in_session python3 looking.py archived >looked 2>looking.err &
looking=$!
kills=0
while kill -0 $looking 2>/dev/null; do
    pid=$(server_pid archive)
    if [[ -n $pid ]]; then kill -9 "$pid" 2>/dev/null && kills=$((kills + 1)); fi
    if ((kills == 3)); then kill -9 "$(server_pid fs)"; fi
    in_session ls archived >/dev/null
done
wait $looking
if (($(wc -l <looked) == 1 && kills >= 3)); then ok "a directory's node is always the same one ($kills lives)"; else
    not_ok "of $kills lives"
    show looked looking.err
fi
kill -9 "$(server_pid archive)"
in_session stat -c '%i %a %Y %n' archived >between
in_session ls archived >/dev/null
in_session stat -c '%i %a %Y %n' archived >after
check 'between two lives it has the mode and time that it had' cmp before between
check 'and after them' cmp before after
check 'which are those of the archive' grep -q ' 750 915246245 ' after
session_stop
finish
