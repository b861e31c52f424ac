#!/bin/bash
# kill -9 of init: the servers end, programs get errors and no hangs, `hirsel list` says what
# happened, nothing of the session is left behind.
. "$(dirname "$0")/lib.sh"

mkdir tree && seq 100 >tree/file && tar cf tree.tar tree
session_start
check 'a translator' hirsel settrans --session t -c node archive "$WORK/tree.tar"
check 'answers' in_session cat node/tree/file
hirsel ps --session t --servers | awk '$1 ~ /^[0-9]+$/ { print $1 }' >pids
init=$(server_pid init)
# A program that works before, through and after.
hirsel run --session t -- python3 -c '
import os, time
open("works", "w").close()
while not os.path.exists("killed"):
    open("node/tree/file").close(); time.sleep(0.01)
worst = 0
for i in range(20):
    start = time.monotonic()
    try:
        open("node/tree/none%d" % i)
    except OSError as e:
        print(e.strerror)
    open("host_file", "w").close(); os.stat("tree/file")
    worst = max(worst, time.monotonic() - start)
print("worst %.1f s" % worst)
open("went_on", "w").close()' >program.out 2>&1 &
program=$!
# One that asks the trap server about every name: it hears that nobody answers, and goes on.
hirsel run --session t -- /bin/busybox sh -c 'read -r line <node/tree/file && echo "$line" >static.works
    while read -r line <tree/file; do :; done
    echo end >&3' 3>static.end 2>static.out &
static=$!
await 10 test -e works
if await 10 test -s static.works; then ok 'a static program works'; else not_ok 'a static program works' && show static.out; fi
check 'kill -9 of init' kill -9 "$init"
touch killed
while read -r pid; do
    if await 10 gone "$pid"; then ok "server $pid ended"; else not_ok "server $pid ended: $(tr '\0' ' ' <"/proc/$pid/cmdline")"; fi
done <pids
if await 30 gone $program; then ok 'the program ended'; else
    not_ok 'the program ended'
    kill -9 $program
fi
wait $program
show program.out
if await 10 gone $static && [[ -s static.end ]]; then ok 'a static program gets an error, and goes on'; else
    not_ok 'a static program gets an error, and goes on'
    show static.out
    kill -9 $static 2>/dev/null
fi
wait $static
hirsel list >list 2>&1
if grep -qw t list && grep -qiE 'died|dead|killed|ended|gone' list; then ok 'list says what happened'; else not_ok 'list says what happened' && show list; fi
status_is 'run in it fails' 125 hirsel run --session t -- true
check 'nothing of it is left behind' bash -c '! ls -d "$XDG_RUNTIME_DIR"/hirsel/*'
check 'a session of that name starts again' hirsel start t
check 'and works' in_session cat node/tree/file
session_stop

# The command's own end, however it comes, ends a session made by run.
hirsel run -- sh -c 'sleep 1000 & echo $! >left; echo up' >out
if await 10 gone "$(cat left)"; then ok 'a session ends with its command, its programs too'; else not_ok 'a session ends with its command, its programs too'; fi
hirsel run -- sleep 1000 &
runner=$!
await 10 bash -c 'ls "$XDG_RUNTIME_DIR"/hirsel/*/fs'
kill -9 $runner
wait $runner 2>/dev/null
check 'kill -9 of hirsel run leaves nothing' await no_session
finish
