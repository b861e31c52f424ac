#!/bin/bash
# kill -9 of `hirsel run`, at any instant of its start, leaves nothing: no command, no server, no
# directory.
. "$(dirname "$0")/lib.sh"

count=60
[[ -n $LONG ]] && count=1000
cat >storm.py <<'END'
import glob, os, random, signal, subprocess, sys, time

count, mark = int(sys.argv[1]), "86399.%d" % os.getpid()
base = os.environ["XDG_RUNTIME_DIR"] + "/hirsel"
seed = int(os.environ.get("SEED", time.time_ns() % 1000000))
random.seed(seed)
print("# seed", seed)

def left():
    """What there still is of any of these runs."""
    found = glob.glob(base + "/*")
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            with open("/proc/%s/cmdline" % entry, "rb") as cmdline:
                words = cmdline.read()
        except OSError:
            continue
        if mark.encode() in words.split(b"\0") or (base + "/").encode() in words:
            found.append(words.replace(b"\0", b" ").decode())
    return found

for i in range(count):
    run = subprocess.Popen(["hirsel", "run", "--", "sleep", mark], stdin=subprocess.DEVNULL)
    # Most of what there is to hit lies in the first milliseconds; a few come later.
    time.sleep(random.random() * (0.03 if i % 4 else 0.15))
    run.send_signal(signal.SIGKILL)
    run.wait()
until = time.monotonic() + 60
while left() and time.monotonic() < until:
    time.sleep(0.02)
found = left()
for line in found:
    print("# left:", line)
sys.exit(1 if found else 0)
END
# The copy of the C library is made before: that alone takes longer than all the rest.
check 'a run that nobody kills' hirsel run -- true
check "$count runs that are killed leave nothing" python3 storm.py $count

# Killed while it makes the name space, long after the session is up: there was no tree yet.
mkfifo slow
hirsel run --namespace slow -- sleep 86399 &
runner=$!
await 10 bash -c 'ls "$XDG_RUNTIME_DIR"/hirsel/*/fs'
kill -9 $runner
wait $runner 2>/dev/null
check 'a session that had no tree ends with its maker' await no_session
finish
