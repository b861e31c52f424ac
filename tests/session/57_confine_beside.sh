#!/bin/bash
# hirsel run --confine, typed in a session: the confined tree begins beside the one it is started in,
# and is to its front what a child would be. And where it may not begin so.
. "$(dirname "$0")/lib.sh"
. "$SOURCE/tests/session/trap.sh"

mkdir -p project out
echo outside >out/file
echo inside >project/file
cd project || exit 1
confine_needed
nested() { hirsel run -- hirsel run --confine "$@"; }

# What a child has by birth: of the same that starts it, outside of a session and in one.
cat >report.py <<'END'
import os, resource, signal, stat
print("directory", os.getcwd())
print("limits", [resource.getrlimit(n) for n in range(16)])
print("niceness", os.getpriority(os.PRIO_PROCESS, 0))
print("processors", sorted(os.sched_getaffinity(0)))
print("ignored", sorted(map(int, (n for n in signal.valid_signals() if signal.getsignal(n) == signal.SIG_IGN))))
print("blocked", sorted(map(int, signal.pthread_sigmask(signal.SIG_BLOCK, []))))
before = os.umask(0)
print("umask", before)
for name in sorted(os.environ):
    if name != "TMPDIR" and name != "SHLVL":
        print("variable", name, os.environ[name])
for number in range(200):
    try:
        s = os.fstat(number)
    except OSError:
        continue
    what = "a pipe" if stat.S_ISFIFO(s.st_mode) else os.readlink("/proc/self/fd/%d" % number)
    print("descriptor", number, what, os.get_inheritable(number))
print("session", os.getsid(0) == int(os.environ["LC_TIME"]), "group", os.getpgrp() == int(os.environ["LC_NAME"]))
END
cat >prepare <<'END'
# Variables that are let through say what is to be compared with.
export LC_TIME=$(ps -o sid= -p $$ | tr -d ' ') LC_NAME=$(ps -o pgid= -p $$ | tr -d ' ') LANG=x
umask 027
ulimit -Sn 150
ulimit -Hc 0
ulimit -Ss 4096
trap '' USR1 CHLD
exec 7<file 9>>appended 130<file
exec taskset -c 0 nice -n 3 "$@"
END
for input in pipe closed; do
    for how in outside inside; do
        session=()
        [[ $how == inside ]] && session=(hirsel run --)
        if [[ $input == pipe ]]; then
            echo | "${session[@]}" bash prepare hirsel run --confine -- python3 report.py 2>&1 | cat >"$how"
        else
            "${session[@]}" bash prepare sh -c 'exec hirsel run --confine -- python3 report.py 0<&-' 2>&1 | cat >"$how"
        fi
        sed -i 's/^variable LC_\(TIME\|NAME\) .*//' "$how"
    done
    if grep -q '^descriptor 130' inside && grep -q '^session True group True' inside && cmp -s outside inside; then
        ok "input $input: a child could not have more of its front ($(wc -l <inside) lines compared)"
    else
        not_ok "input $input: what it has of its front differs"
        diff outside inside | head -30 | sed "s/^/#   /"
        show inside
    fi
done

# What passes between the two.
status_is 'its exit status' 7 nested -- sh -c 'exit 7'
status_is 'its death' 143 nested -- sh -c 'kill -TERM $$'
status_is 'no such program' 127 nested -- ./no-such
prints 'a pipe' 'through and through' bash -c 'echo through | hirsel run -- hirsel run --confine -- sed "s/$/ and through/"'
hirsel run -- sh -c 'hirsel run --confine -- sh -c "trap \"echo told; exit 3\" TERM; echo up; while :; do sleep 0.05; done" & echo $! >front; wait $!' >signalled 2>&1 &
runner=$!
await 10 grep -q up signalled
await test -s front
kill -TERM "$(cat front)"
wait $runner
if (($? == 3)) && grep -q told signalled; then ok 'a signal'; else not_ok 'a signal' && show signalled; fi
status_is 'it is confined' 1 nested -- cat "$WORK/out/file"
prints 'and may do what it may' inside nested -- cat file
prints 'two levels down' inside hirsel run -- hirsel run -- hirsel run --confine -- cat file
status_is 'and is confined there' 1 hirsel run -- hirsel run -- hirsel run --confine -- cat "$WORK/out/file"
check 'many at the same time' hirsel run -- sh -c 'for i in 1 2 3 4 5 6 7 8; do hirsel run --confine -- cat file >got.$i & done; wait; for i in 1 2 3 4 5 6 7 8; do cmp file got.$i || exit 1; done'

# Names: what a bind leads to is what is allowed, not what is hidden behind it.
session_start
mkdir -p place target/deeper
echo hidden >place/file
echo shown >target/file
(cd "$WORK/out" && mkdir -p hidden shown && echo hidden >hidden/file && echo shown >shown/file)
check 'a bind outside' hirsel bind --session t "$WORK/out/shown" "$WORK/out/hidden"
for cat in cat '/bin/busybox cat'; do
    # shellcheck disable=SC2086
    prints "$cat: what a bind shows" shown hirsel run --session t -- hirsel run --confine --allow-read "$WORK/out/hidden" -- $cat "$WORK/out/hidden/file"
    # shellcheck disable=SC2086
    prints "$cat: from within it" shown hirsel run --session t -- sh -c "cd $WORK/out/hidden && hirsel run --confine -- $cat file"
done
check 'stat and chmod there' hirsel run --session t -- sh -c "cd $WORK/out/hidden && hirsel run --confine -- sh -c 'stat file && chmod 600 file && chmod 644 file && touch file new && rm new'"
session_stop

# A session that was entered from within another one.
check 'another session' hirsel start inner
prints 'in a session in a session' inside hirsel run -- hirsel run --session inner -- hirsel run --confine -- cat file
status_is 'it is confined there' 1 hirsel run -- hirsel run --session inner -- hirsel run --confine -- cat "$WORK/out/file"
prints 'into another session' inside hirsel run -- hirsel run --session inner --confine -- cat file
hirsel stop inner

# The terminal: job control as outside, and without any in another session of terminals.
cat >terminal.py <<'END'
import os, pty, select, sys, time

def start(*words):
    pid, master = pty.fork()
    if pid == 0:
        os.execvp(words[0], words)
    return pid, master

def until(master, text, seconds=60):
    seen, end = b"", time.monotonic() + seconds
    while text.encode() not in seen:
        left = end - time.monotonic()
        if left <= 0 or not select.select([master], [], [], left)[0]:
            sys.exit("no %r in %r" % (text, seen))
        try:
            chunk = os.read(master, 4096)
        except OSError:
            chunk = b""
        if not chunk:
            sys.exit("it ended: no %r in %r" % (text, seen))
        seen += chunk
    return seen

def foreground(master, name, seconds=60):
    """Until the terminal is a program's of this name that waits for something."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            with open("/proc/%d/stat" % os.tcgetpgrp(master)) as stat:
                who, state = stat.read().split("(", 1)[1].rsplit(") ", 1)
            if who == name and state[0] == "S":
                return
        except OSError:
            pass
        time.sleep(0.01)
    sys.exit("%s is not in the foreground" % name)

# No shell that makes children: one that was stopped on its way to exec keeps it from stopping.
COUNT = "sh -c 'echo u\"\"p; exec sleep 1000'"
if sys.argv[1] == "jobs":
    os.environ["TERM"] = "dumb"
    pid, master = start("hirsel", "run", "--", "bash", "--norc", "-i")
    send = lambda text: os.write(master, text.encode())
    send("PS1='$ '; hirsel run --confine -- %s\n" % COUNT); until(master, "up\r")
    send("\x1a"); until(master, "Stopped")
    send("echo o\"\"n\n"); until(master, "on\r")
    send("fg\n"); until(master, "run --confine"); foreground(master, "hirsel")
    send("\x03"); send("echo status $?\n"); until(master, "status 130")
    send("hirsel run --confine -- bash --norc -i\n")
    send("echo tty $(tty) $(ps -o tpgid= -p $$) $(ps -o pgid= -p $$)\n"); until(master, "tty /dev/pts/")
    send("sleep 100\n"); foreground(master, "sleep")
    send("\x1a"); until(master, "Stopped")
    send("kill %1; wait %1; exit\n"); until(master, "exit\r")
    send("echo b\"\"ack\n"); until(master, "back\r")
    send("exit\n")
else:
    # What tmux does: a terminal of its own, inside of the session.
    pid, master = start("hirsel", "run", "--confine", "--", "sh", "-c", "echo up; exec sleep 1000")
    until(master, "up")
    os.write(master, b"\x03")
    status = os.waitpid(pid, 0)[1]
    if os.waitstatus_to_exitcode(status) != 130:
        sys.exit("status %d" % status)
END
check 'job control: stop, go on, interrupt, an interactive shell' python3 terminal.py jobs
check 'another session of terminals: interrupt' hirsel run -- python3 terminal.py apart
prints 'no terminal at all' inside hirsel run -- setsid --wait hirsel run --confine -- cat file

# Deaths.
deaths() {
    rm -f pids front
    hirsel run -- sh -c 'hirsel run --confine -- sh -c "sleep 1000 & echo \$\$ \$! >pids; wait" & echo $! >front; wait $!; echo $? >status' >killed 2>&1 &
    runner=$!
    await 10 test -s pids
    await test -s front
    read -r command child <pids
}
ended() { gone "$command" && gone "$child"; }
deaths
kill -KILL "$(ps -o ppid= -p "$command" | tr -d ' ')"
check 'its root killed: all of it ends' await 10 ended
wait $runner
if [[ $(<status) == 125 ]] && grep -q 'root was killed' killed; then ok 'and its front says so'; else not_ok "and its front says so: $(<status)" && show killed; fi
deaths
kill -KILL "$(<front)"
check 'its front killed: the command ends' await 10 gone "$command"
wait $runner
check 'and with the session what it left' await 10 gone "$child"

check 'hirsel doctor finds its place' sh -c "hirsel run -- hirsel doctor | grep -q '^ok *confinement .*beside the filter'"

# Where what starts it has less authority than the session it does not begin outside of that.
refused() {
    local name=$1 status
    shift
    "$@" >said 2>&1
    status=$?
    if ((status == 125)) && (($(wc -l <said) == 1)) && grep -q 'cannot confine' said; then ok "refused: $name: $(<said)"; else
        not_ok "refused: $name: status $status" && show said
    fi
}
program refuse refuse gcc -static
refused 'below another filter' hirsel run -- "$BARE/refuse" reading -- hirsel run --confine -- cat file
if unshare -Ur true 2>/dev/null; then
    refused 'in another user name space' hirsel run -- unshare -Ur hirsel run --confine -- cat file
else
    skip 'user name spaces are not allowed here'
fi
cat >landlocked.py <<'END'
import ctypes, os, struct, sys
libc = ctypes.CDLL(None, use_errno=True)
rules = libc.syscall(444, struct.pack("Q", 1 << 6), 8, 0)
if rules < 0 or libc.prctl(38, 1, 0, 0, 0) != 0 or libc.syscall(446, rules, 0) != 0:
    sys.exit("no Landlock")
os.execvp(sys.argv[1], sys.argv[1:])
END
refused 'below Landlock' hirsel run -- python3 landlocked.py hirsel run --confine -- cat file
check 'but with --best-effort' hirsel run -- python3 landlocked.py hirsel run --confine --best-effort -- cat file
status_is 'no tree begins beside a confined one' 125 nested --allow-exec "$BUILD" --allow-write "$XDG_RUNTIME_DIR" -- "$BUILD/bin/hirsel" run --confine --allow-read "$WORK/out" -- cat "$WORK/out/file"
finish
