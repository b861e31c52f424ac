#!/bin/bash
# The ways out of hirsel run --confine (tests/escape), each tried twice: by a program that meets the
# shim, and by a static one that has the trap server alone. What they say is not taken on trust: what
# is outside is looked at as well. And so that this shows something: of the ways that are natural each
# is tried without a confinement first, and must lead out there. docs/security.md has them all.
# timeout: 600
. "$(dirname "$0")/lib.sh"

# With NESTED set they are typed in a session: the confined tree begins beside the one it is started in.
start=(hirsel run --session own)
own=(hirsel run)
if [[ ${NESTED:-} ]]; then
    start+=(-- hirsel run)
    own+=(-- hirsel run)
fi
tool=$BUILD/tests/escape
mkdir -p tool
cp "$tool/escape" "$tool/escape-static" tool

# target NAME [SESSION GUARD OTHER HIRSEL]: a fresh place outside, and one to be confined to.
target() {
    local name=$1
    shift
    mkdir -p "$name"/{allowed/window,outside}
    local run=()
    # Where there is a session it is in it, in a tree of its own.
    (($#)) && run=(hirsel run --session own --)
    ESCAPE_SECRET="the secret is out" "${run[@]}" tool/escape --target "$WORK/$name/allowed" "$WORK/$name/outside" "$WORK/$name/allowed/settings" "$@" >"$name/target.log" 2>&1 &
    target_pid=$!
    if await 10 test -s "$name/allowed/settings"; then ok "$name: the target is up"; else not_ok "$name: the target is up" && show "$name/target.log"; fi
}

target_end() {
    # What was sent last is on its way still.
    sleep 0.2
    kill "$target_pid"
    wait "$target_pid" 2>/dev/null
}

# What is outside, all of it, and not when it was last read.
outside_is() {
    (
        cd "$1" || exit 1
        find outside outside.readable ! -name events -printf '%p %y %m %n %s %T@ %C@ %l\n' | LC_ALL=C sort
        find outside outside.readable -type f ! -name events -print0 | LC_ALL=C sort -z | xargs -0r sha256sum
        getfattr -Rd outside outside.readable 2>/dev/null | LC_ALL=C sort
    )
}

# inherited NAME COMMAND…: with a directory and a file of what is outside, open for reading.
inherited() {
    local name=$1
    shift
    "$@" 7<"$name/outside" 8<"$name/outside/victims/inherited-reopen" </dev/null
}

# Nodes of the user's own that tell the secret: one that is sealed and was not used yet, where the
# confined can see it; and one outside that runs.
nodes_make() {
    check "$1: a sealed node" hirsel settrans --session own -cp "$WORK/$1/allowed/passive" exec -- /bin/cat "$WORK/$1/outside/secret"
    check "$1: a running one" hirsel settrans --session own -cap "$WORK/$1/outside/told" exec -- /bin/cat "$WORK/$1/outside/secret"
    prints "$1: it tells" 'the secret is out' hirsel run --session own -- cat "$WORK/$1/outside/told"
}

# The page has all of them, and no others.
tool/escape --list | awk '{ print $2 }' | LC_ALL=C sort >listed
sed -n '/^## The ways out/,/^## Not claimed/p' "$SOURCE/docs/security.md" | awk -F'|' '/^\| `/ { print $2 }' | grep -o '`[^`]*`' | tr -d '`' | LC_ALL=C sort >documented
check "docs/security.md has the $(wc -l <listed) ways" diff listed documented

# Natively: no session, no fence.
target native
cp tool/escape native/allowed/escape
# Not ask-stop, which ends the session, nor kill-all, which would reach the targets of other tests.
harmless=$(tool/escape --list | awk '$2 != "ask-stop" && $2 != "kill-all" { print $2 }')
# shellcheck disable=SC2086 # the names are words
inherited native timeout 100 native/allowed/escape native/allowed/settings $harmless >native.out 2>&1
target_end
events=$(wc -l <native/outside/events)

# In a session that does not confine.
session_start own
check 'another session' hirsel start other
sessions=$XDG_RUNTIME_DIR/hirsel
guard=$(server_pid init)
target plain "$sessions/own" "$guard" "$sessions/other" "$BUILD/bin/hirsel"
cp tool/escape plain/allowed/escape
nodes_make plain
# shellcheck disable=SC2086
inherited plain timeout 100 hirsel run --session own -- plain/allowed/escape plain/allowed/settings $harmless >plain.out 2>&1
target_end
natural=0
# What the container holds already, whatever is confined.
closed=
"$tool/refuse" memory -- true 2>/dev/null || closed+=' own-filter '
hirsel doctor | grep -q '^ok *seccomp' || closed+=' own-listener '
grep -q '^NoNewPrivs:.*1' /proc/self/status && closed+=' new-privileges '
while read -r family way kind; do
    [[ $kind == natural ]] || continue
    if [[ $closed == *" $way "* ]]; then
        skip "$family: $way: this container holds it"
        continue
    fi
    if grep -q "^ESCAPED $way:" native.out plain.out; then natural=$((natural + 1)); else
        not_ok "$family: $way leads out where nothing is confined"
        grep -h " $way:" native.out plain.out | sed 's/^/#   /'
    fi
done < <(tool/escape --list)
if ((natural > 100)); then ok "$natural ways lead out where nothing is confined, and the target noted $events events"; else not_ok "only $natural ways lead out where nothing is confined"; fi
if ((events > 10)); then ok 'the target notes what reaches it'; else not_ok "the target noted $events events"; fi

if [[ ${ESCAPE_NO_CONFINE:-} ]] || ! "${own[@]}" --confine -- true 2>why; then
    skip "the ways out of a confinement: $(cat why)"
    hirsel stop own
    hirsel stop other
    finish
fi

servers() { hirsel ps --session own --servers | awk '$2 ~ /^(init|fs|proc|net|trap)$/ { print $1, $2 }' | LC_ALL=C sort; }

# refusals SESSION: how many calls of confined trees the trap server has refused, as it counts them.
cat >refusals.py <<'END'
import os, sys
sys.path.insert(0, os.environ["SOURCE"] + "/tests/session")
import hostile

def fields(data):
    at = 0
    def number():
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]; at += 1
            value |= (byte & 127) << shift; shift += 7
            if byte < 128:
                return value
    while at < len(data):
        key = number()
        if key & 7 == 2:
            length = number()
            yield key >> 3, data[at:at + length]
            at += length
        else:
            yield key >> 3, number()

s = hostile.connect(sys.argv[1] + "/trap")
s.send(hostile.packet(hostile.REQUEST, 128, tag=1))
reply = s.recv(1 << 17)[hostile.HEADER.size:]
total, calls = 0, set()
for _, tree in fields(reply):
    tree = list(fields(tree))
    if (4, 1) in tree:
        for field, count in tree:
            if field == 8:
                count = dict(fields(count))
                if count.get(4, 0):
                    total += count[4]; calls.add(count.get(1, 0))
print(total, len(calls))
END

# try NAME PROGRAM OPTION… -- WAY…: the ways (none: all), confined, and what is then said.
try() {
    local name=$1 program=$2 options=() status held counted calls
    shift 2
    while [[ $1 != -- ]]; do
        options+=("$1")
        shift
    done
    shift
    cp "tool/$program" "$name/allowed/escape"
    hirsel bind --session other "$WORK/$name/outside" "$WORK/$name/allowed/window" >out 2>&1
    nodes_make "$name"
    outside_is "$name" >before
    servers >servers.before
    (
        cd "$name/allowed" || exit 1
        # shellcheck disable=SC2016
        inherited .. timeout 250 "${start[@]}" --confine --allow-read "$BUILD" --allow-exec "$BUILD" --allow-read "$WORK/$name/outside.readable" "${options[@]}" -- \
            sh -c './escape settings "$@" >said 2>&1; echo $? >status; until [ -e go ]; do sleep 0.05; done' sh "$@"
    ) >"$name.out" 2>&1 &
    local runner=$!
    ended() { [[ -s $name/allowed/status ]] || gone $runner; }
    await 250 ended
    read -r counted calls < <(python3 refusals.py "$sessions/own" 2>&1)
    touch "$name/allowed/go"
    wait $runner
    status=$(cat "$name/allowed/status" 2>/dev/null)
    outside_is "$name" >after
    servers >servers.after
    target_end
    while IFS= read -r line; do
        case $line in
            held\ *) ok "$name: $line" ;;
            ESCAPED\ *) not_ok "$name: $line" ;;
            untried\ *) skip "$name: $line" ;;
        esac
    done <"$name/allowed/said"
    held=$(grep -c '^held ' "$name/allowed/said")
    if [[ $status == 0 ]] && ((held >= 20)); then ok "$name: $held ways were held"; else
        not_ok "$name: $held ways were held, status ${status:-none}"
        show "$name.out"
    fi
    # What a server refuses is in its log, not among these.
    if ((counted > held / 4)); then ok "$name: $counted refusals of $calls calls were counted"; else not_ok "$name: $counted refusals of $calls calls were counted"; fi
    if cmp -s before after; then ok "$name: nothing outside was changed"; else
        not_ok "$name: what is outside was changed"
        diff before after | head -20 | sed 's/^/#   /'
    fi
    if [[ ! -s $name/outside/events ]]; then ok "$name: nothing reached the target"; else
        not_ok "$name: something reached the target"
        sort "$name/outside/events" | uniq -c | sed 's/^/#   /'
    fi
    # What is made in passing, natively, by another test like this is taken away again.
    none_made() { [[ -z $(compgen -G '/dev/shm/hirsel-escape-*-made') ]]; }
    if await none_made; then ok "$name: nothing was made in /dev/shm"; else
        not_ok "$name: something was made in /dev/shm"
    fi
    if cmp -s servers.before servers.after; then ok "$name: no server was ended"; else
        not_ok "$name: servers were ended"
        diff servers.before servers.after | sed 's/^/#   /'
    fi
}

target shim "$sessions/own" "$guard" "$sessions/other" "$BUILD/bin/hirsel"
try shim escape --
target static "$sessions/own" "$guard" "$sessions/other" "$BUILD/bin/hirsel"
try static escape-static --
# Where one port may be reached and another be served, no other may.
target ports "$sessions/own" "$guard" "$sessions/other" "$BUILD/bin/hirsel"
port=$(tool/escape --port ports/allowed/settings)
ways=$(tool/escape --list | awk '$1 == "network" || $1 == "races" { print $2 }')
# shellcheck disable=SC2086
try ports escape-static --allow-connect "127.0.0.1:$port" --allow-bind 127.0.0.1:1 -- $ways

# Where the session's sockets may be reached, the servers themselves must see who asks.
target bus "$sessions/own" "$guard" "$sessions/other" "$BUILD/bin/hirsel"
ways=$(tool/escape --list | awk '$1 == "servers" && $2 !~ /^(name-table|libc-copy|session-door)$/ { print $2 }')
sockets=()
for server in init fs proc net trap; do sockets+=(--allow-write "$sessions/own/$server"); done
# shellcheck disable=SC2086
try bus escape "${sockets[@]}" -- $ways

# And what is not a way out works: the program's own files by their descriptors.
mkdir mine
cd mine || exit 1
echo mine >file
prints 'what is open can be opened again by its descriptor' mine "${own[@]}" --confine -- sh -c 'exec 5<file && cat /proc/self/fd/5'
prints 'and by /dev/fd' mine "${own[@]}" --confine -- sh -c 'exec 5<file && cat /dev/fd/5'
prints 'for writing as well' new "${own[@]}" --confine -- sh -c 'exec 5<file && echo new >/proc/self/fd/5 && cat file'
prints 'a deleted one' new "${own[@]}" --confine -- sh -c 'cp file gone && exec 5<gone && rm gone && cat /proc/self/fd/5'
prints 'a pipe' piped "${own[@]}" --confine -- sh -c 'echo piped | cat /proc/self/fd/0'
prints 'what it made itself in memory' '#!' "${own[@]}" --confine -- python3 -c '
import os
fd = os.memfd_create("x"); os.write(fd, b"#!")
print(open("/proc/self/fd/%d" % fd).read())'
prints 'its own children are its own' 'traced and read 15' "${own[@]}" --confine -- python3 -c '
import os, signal, subprocess
child = subprocess.Popen(["sleep", "100"])
open("/proc/%d/mem" % child.pid, "rb").close()
os.readlink("/proc/%d/cwd" % child.pid)
os.setpriority(os.PRIO_PROCESS, child.pid, 5); os.sched_setaffinity(child.pid, os.sched_getaffinity(0))
child.send_signal(signal.SIGTERM)
print("traced and read", -child.wait())'
prints 'Unix sockets of its own' over "${own[@]}" --confine -- python3 -c '
import socket
s = socket.socket(socket.AF_UNIX); s.bind("own"); s.listen()
c = socket.socket(socket.AF_UNIX); c.connect("own"); c.send(b"over")
print(s.accept()[0].recv(10).decode())'
check 'a node where it works' hirsel settrans --session own -cp greet hello
prints 'is seen' 'Hello, world!' hirsel run --session own --confine -- cat greet
cp ../tool/escape-static .
prints 'by a static program too' 'Hello, world!' hirsel run --session own --confine -- ./escape-static --tell greet
# Of the terminals of /dev/pts the one that it was given.
cat >terminal.py <<'END'
import os, pty, subprocess, sys
pid, master = pty.fork()
if pid == 0:
    os.execvp("hirsel", ["hirsel", "run", "--confine", "--", "sh", "-c", 'tty >name && exec 5<>"$(cat name)" && tty <&5'])
text = b""
try:
    while chunk := os.read(master, 1000):
        text += chunk
except OSError:
    pass
sys.stdout.write(text.decode().replace("\r", ""))
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
END
check 'its own terminal by name' python3 terminal.py
check 'which was one' grep -q '^/dev/pts/' name
cd "$WORK" || exit 1
hirsel stop own
hirsel stop other
finish
