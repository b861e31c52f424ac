#!/bin/bash
# Nothing leaks: no descriptor of ours into programs, none and no memory in the servers.
. "$(dirname "$0")/lib.sh"
opens=10000
[[ $LONG ]] && opens=100000

mkdir tree && for i in $(seq 50); do seq 100 >tree/f$i; done && tar cf tree.tar tree
mkdir -p bound/target bound/place && echo x >bound/target/x
session_start
hirsel bind --session t "$WORK/bound/target" "$WORK/bound/place"
check 'a node' hirsel settrans --session t -c node archive "$WORK/tree.tar"
check 'a greeting' hirsel settrans --session t -c greet hello
check 'they answer' in_session cat greet node/tree/f1

# What a program inherits: 0, 1, 2. ls has one more of its own, for the folder.
descriptors='echo $(ls /proc/self/fd)'
prints 'a program inherits no descriptor' "$(sh -c "$descriptors" </dev/null)" in_session sh -c "$descriptors"
prints 'nor after its parent used nodes' "$(python3 -c 'import os; os.execlp("sh", "sh", "-c", "echo $(ls /proc/self/fd)")' </dev/null)" \
    in_session python3 -c 'import os; open("node/tree/f1").read(); open("greet").read(); os.listdir("node/tree"); os.execlp("sh", "sh", "-c", "echo $(ls /proc/self/fd)")'
prints 'nor a child that does not exec' "$(python3 -c 'import os; print(sorted(os.listdir("/proc/self/fd"), key=int))' </dev/null)" \
    in_session python3 -c 'import os; print(sorted(os.listdir("/proc/self/fd"), key=int))'
in_session python3 -c '
import os
used = lambda: len(os.listdir("/proc/self/fd"))
open("node/tree/f1").read(); before = used()
for i in range(2000):
    open("node/tree/f%d" % (i % 50 + 1)).close(); os.stat("greet"); os.listdir("node/tree")
    try: open("node/none")
    except OSError: pass
assert used() == before, (used(), before)
os.open("node/tree/f1", os.O_RDONLY)
assert used() == before + 1' >out 2>&1
if (($? == 0)); then ok 'a program keeps its count of descriptors'; else not_ok 'a program keeps its count of descriptors' && show out; fi
in_session python3 -c '
import os
os.closerange(3, 1024); open("node/tree/f1").read()
fd = os.open("node/tree/f2", os.O_RDONLY); assert fd < 20, fd
for i in range(3, 64):
    try: os.close(i)
    except OSError: pass
assert open("node/tree/f3").readline() == "1\n"; print(os.stat("greet").st_mode)' >out 2>&1
if (($? == 0)); then ok 'a program may close everything'; else not_ok 'a program may close everything' && show out; fi

weigh() {
    hirsel ps --session t --servers | awk '$1 ~ /^[0-9]+$/ { print $1, $2 }' | while read -r pid name; do
        echo "$name $pid $(ls "/proc/$pid/fd" | wc -l) $(awk '/^Pss_Anon:/ { print $2 }' "/proc/$pid/smaps_rollup")"
    done
}
work() {
    in_session python3 - "$1" <<'END'
import os, sys
for i in range(int(sys.argv[1]) // 5):
    open("node/tree/f%d" % (i % 50 + 1)).close()
    open("greet").close()
    open("bound/place/x").close()
    os.close(os.open("node/tree", os.O_RDONLY))
    try:
        open("node/tree/none")
    except FileNotFoundError:
        pass
    if i % 10 == 0:
        os.listdir("node/tree")
END
}
check 'warming up' work 2000
# The last connections close when their threads' descriptors do.
weigh >/dev/null
await 5 true
weigh >before
check "$opens opens and closes" work "$opens"
# Fewer is fine: when it was weighed first, a server may have held what it was about to close.
settled() { weigh >after && paste -d ' ' before after | awk '$1 != $5 || $7 > $3 { more = 1 } END { exit more }'; }
if await 5 settled; then ok "every server's descriptor count is where it was"; else
    not_ok "every server's descriptor count is where it was"
    paste before after | sed 's/^/#   /'
fi
while read -r name pid _ kib _ _ _ after; do
    if ((after - kib <= 192)); then ok "memory of $name: $kib KiB, then $after KiB"; else not_ok "memory of $name: $kib KiB, then $after KiB"; fi
done < <(paste -d ' ' before after)

# 300 short programs, sessions of trees, name spaces.
check '100 runs' bash -c 'for i in $(seq 100); do hirsel run --session t -- true || exit 1; done'
echo "bind $WORK/bound/target $WORK/tree" >spaces
check '30 runs with a name space each' bash -c 'for i in $(seq 30); do hirsel run --session t --namespace spaces -- cat tree/x || exit 1; done'
if await 10 settled; then ok 'the counts are where they were'; else
    not_ok 'the counts are where they were'
    paste before after | sed 's/^/#   /'
fi
spaces_left() { [[ $(ls "$(session_directory)/spaces") == 0 ]]; }
if await 10 spaces_left; then ok 'the name spaces are gone'; else not_ok "the name spaces are gone: $(ls "$(session_directory)/spaces" | wc -l) left"; fi
hirsel ps --session t --servers | awk '$1 ~ /^[0-9]+$/ { print $1 }' >pids
session_stop
while read -r pid; do
    await 5 gone "$pid" || not_ok "process $pid stayed"
done <pids
check 'no file stays' bash -c '! ls -d "$XDG_RUNTIME_DIR"/hirsel/*'
if [[ -z $(find "$SCRATCH/tmp" -mindepth 1 ! -name 'check.*') ]]; then ok 'nor in the temporary folder'; else not_ok 'nor in the temporary folder'; fi
finish
