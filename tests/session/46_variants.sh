#!/bin/bash
# timeout: 600
# The same on other kernels and in other containers: where seccomp is refused (the shim alone),
# Landlock is not there, nobody reads another's memory or traces (Yama), somebody else's listener is
# above, inside a user namespace, and inside other sessions. What a session can't do there it says
# in one line; programs of the foundation's tests print and leave what they do natively.
. "$(dirname "$0")/lib.sh"
. "$SOURCE/tests/session/trap.sh"
trap_needed
export PYTHONDONTWRITEBYTECODE=1

program names names gcc -static
program names.musl names musl-gcc -static
program names.dynamic names gcc
program refuse refuse gcc -static
refuse=$BARE/refuse
place_make "$PLACE"
"$BARE/names" looks "$PLACE" >looks.native

# again VARIANT TEST WRAPPER…: another test of this folder below a wrapper, in a scratch of its own.
again() {
    local variant=$1 test=$2 scratch=$SCRATCH/v
    shift 2
    mkdir -p "$scratch"/{home,tmp,run,work}
    (
        export SCRATCH=$scratch HOME=$scratch/home TMPDIR=$scratch/tmp XDG_RUNTIME_DIR=$scratch/run
        "$@" bash "$SOURCE/tests/session/$test.sh" >"$scratch/out" 2>&1 </dev/null
    )
    local status=$?
    sed "s/^\(ok\|not ok\|skip\) - /\1 - $variant, $test: /" "$scratch/out"
    ((status == 0)) || failures=$((failures + 1))
    chmod -R u+rwX "$scratch" && rm -rf "$scratch"
}

# The names in a session of its own below a wrapper: what a static and a dynamic program see, and
# what is said at the start. START: what the session itself is started below, if it is something else.
SESSION=v
names_below() {
    local variant=$1 static=$2 lines=$3 name
    shift 3
    check "$variant: a session starts" ${START:-"$@"} hirsel start v
    if ! [[ -e looks ]]; then
        place_table "$PLACE" >table.out
        grep '^not ok' table.out && failures=$((failures + 1))
        hirsel run --session v -- "$BARE/names.dynamic" looks "$PLACE" >looks 2>/dev/null
        check 'what the session shows is not what the host has' bash -c '! cmp -s looks looks.native'
    else
        hirsel bind --session v "$PLACE/bound/target" "$PLACE/bound/place"
        hirsel bind --session v "$PLACE/target_file" "$PLACE/bound_file"
        hirsel bind --session v --hide "$PLACE/hidden"
        hirsel bind --session v --hide "$PLACE/hidden_file"
    fi
    told "$variant: a dynamic program" looks "$@" hirsel run --session v -- "$BARE/names.dynamic" looks "$PLACE"
    for name in names names.musl; do
        if [[ $static == session ]]; then
            told "$variant: $name, static" looks "$@" hirsel run --session v -- "$BARE/$name" looks "$PLACE"
        else
            "$@" hirsel run --session v -- "$BARE/$name" looks "$PLACE" >static.out 2>/dev/null
            "$BARE/$name" looks "$PLACE" >static.wanted
            told "$variant: $name, static, sees the host" static.wanted cat static.out
        fi
    done
    "$@" hirsel run --session v -- true 2>said
    if (($(wc -l <said) == lines)); then ok "$variant: $lines lines are said at the start"; else
        not_ok "$variant: $(wc -l <said) lines are said at the start, not $lines" && show said
    fi
    sed 's/^/#   /' said
    "$@" hirsel run --session v --no-trap -- true 2>said
    if [[ -s said ]]; then not_ok "$variant: --no-trap says nothing" && show said; else ok "$variant: --no-trap says nothing"; fi
    session_stop v
}

names_below 'as it is here' session 0 env
names_below 'seccomp refused' host 1 "$refuse" seccomp --
names_below 'Landlock refused' session 0 "$refuse" landlock --
names_below 'memory read by ancestors only' session 0 "$refuse" reading --
names_below 'a foreign listener' host 1 "$refuse" listener --
user=(unshare -Ur)
"${user[@]}" true 2>/dev/null || user=()
if ((${#user[@]})); then
    START=env names_below 'in a user namespace' session 0 "${user[@]}"
    # The trap server may not look into these itself: the root of their tree does.
    START=${user[*]} names_below 'in none, and the session in one' session 0 env
    START=${user[*]} names_below 'in another one than the session' session 0 "${user[@]}"
else
    skip 'user namespaces are not allowed here'
fi

# ---- what can't be done is an error at the call ----
check 'a session where nobody may trace' "$refuse" reading ptrace -- hirsel start v
hirsel bind --session v "$PLACE/bound/target" "$PLACE/bound/place"
"$refuse" reading ptrace -- hirsel run --session v -- "$BARE/names" acts "$PLACE" program >acts.out 2>acts.said
grep -A1 '^chdir node/tree/sub: \|^chdir bound/place: ' acts.out | paste -sd' ' >moved
if grep -qE 'place: E[A-Z]+ here: HERE .*sub: E[A-Z]+ here: HERE' moved; then
    ok "where nobody may trace, a static program is told that it can't go: $(<moved)"
else
    not_ok 'where nobody may trace, a static program is told that it cannot go' && show moved acts.out acts.said
fi
prints 'a dynamic one goes' "$PLACE/node/tree/sub" "$refuse" reading ptrace -- hirsel run --session v -- sh -c "cd $PLACE/node/tree/sub && pwd"
session_stop v
check 'a session' hirsel start v
hirsel bind --session v "$PLACE/bound/target" "$PLACE/bound/place"
chmod 111 "$BARE/names.musl"
check 'a program that nobody can read ends' timeout 60 hirsel run --session v -- "$BARE/names.musl" looks "$PLACE"
prints 'the log says that it has the names of the host' 1 grep -c "names.musl) has the host's names" "$(session_directory v)/log"
chmod 755 "$BARE/names.musl"
for what in seccomp listener; do
    "$refuse" $what -- hirsel run --session v --confine -- true 2>said
    status=$?
    if ((status == 125)) && (($(wc -l <said) == 1)); then ok "with $what refused --confine does not start: $(<said)"; else
        not_ok "with $what refused --confine does not start: status $status" && show said
    fi
done
"$refuse" landlock -- hirsel run --session v --confine -- true 2>said
status=$?
if ((status == 125)) && (($(wc -l <said) == 1)); then ok "without Landlock --confine does not start: $(<said)"; else
    not_ok "without Landlock --confine does not start: status $status" && show said
fi
check 'but with --best-effort' "$refuse" landlock -- hirsel run --session v --confine --best-effort -- true

# The trap server's user name space is beside the program's: what no thread must be led for works.
if ((${#user[@]})); then
    program sockets sockets gcc -static
    program walker walker gcc -static
    check 'a session in a user name space' "${user[@]}" hirsel start w
    hirsel bind --session w "$PLACE/bound/target" "$PLACE/bound/place"
    mkfifo "$PLACE/bound/target/pipe"
    beside() { (cd "$PLACE/bound" && "${user[@]}" hirsel run --session w -- "$@"); }
    beside "$BARE/sockets" "$PLACE/bound/place" >sockets.out 2>&1
    check 'sockets are bound behind a bind' test -S "$PLACE/bound/target/server" -a -S "$PLACE/bound/target/stream" -a ! -e "$PLACE/bound/place/server"
    check 'and say their name' grep -qxE "the server's name: [0-9]+ $PLACE/bound/place/server" sockets.out
    check 'a datagram socket is connected there' grep -qx 'heard: connected, from me' sockets.out
    for what in 'sendto' 'sendmsg' 'sendmmsg' 'connect'; do
        check "$what is told that it can't" grep -qx "$what: Operation not permitted" sockets.out
    done
    beside sh -c "printf 'op=stat\\thow=2\\tpath=place/x\\n' | '$BARE/walker'" >place.out
    check 'a place is opened' grep -q '"value": \[33188,' place.out
    for what in 'cd place' '. place/pipe' 'exec place/program' 'exec place/script'; do
        beside timeout 20 /bin/busybox sh -c "$what" >sibling.out 2>&1
        check "$what is told that it can't" grep -q 'Operation not permitted' sibling.out
    done
    rm "$PLACE/bound/target"/{pipe,server,client,stream}
    session_stop w
fi

# ---- a session in a session ----
"$BARE/names" looks "$PLACE" >looks.host
check 'an inner session starts' hirsel start inner
mkdir -p "$WORK/inner" && echo inner >"$WORK/inner/x"
check 'with a bind of its own' hirsel bind --session inner "$WORK/inner" "$PLACE/bound/place"
for program in names names.musl names.dynamic; do
    hirsel run --session v -- hirsel run --session inner -- "$BARE/$program" looks "$PLACE" >nested.out 2>nested.said
    if grep -qx 'read bound/place/x: inner' nested.out && grep -qx 'read hidden/x: secret' nested.out; then
        ok "$program in a session in a session sees the inner one's names"
    else
        not_ok "$program in a session in a session sees the inner one's names" && show nested.out nested.said
    fi
    if [[ -s nested.said ]]; then not_ok 'nothing is said of it' && show nested.said; else ok 'nothing is said of it'; fi
done
prints 'back and forth' "$(printf '%s\n' bound inner bound inner)" hirsel run --session v -- /bin/busybox sh -c "
    cd '$PLACE'; cat bound/place/x; hirsel run --session inner -- /bin/busybox cat bound/place/x
    /bin/busybox cat bound/place/x; hirsel run --session inner -- cat bound/place/x"
prints 'three deep' "$(printf '%s\n' inner bound inner)" hirsel run --session inner -- /bin/busybox sh -c "
    cd '$PLACE'; /bin/busybox cat bound/place/x
    hirsel run --session v -- /bin/busybox sh -c 'cat bound/place/x; hirsel run --session inner -- /bin/busybox cat bound/place/x'"
prints 'a new session in one' 'Hello, world!' hirsel run --session v -- hirsel run -- /bin/busybox sh -c \
    "hirsel settrans -c '$WORK/nested.greet' hello && /bin/busybox cat '$WORK/nested.greet' && rm '$WORK/nested.greet'"
prints 'the same session in itself' bound hirsel run --session v -- hirsel run --session v -- /bin/busybox cat "$PLACE/bound/place/x"
prints 'the outer one lives on' bound hirsel run --session v -- /bin/busybox sh -c "
    hirsel run --session inner -- /bin/true; exec /bin/busybox cat '$PLACE/bound/place/x'"
session_stop inner
prints 'when the inner one has ended' bound hirsel run --session v -- /bin/busybox cat "$PLACE/bound/place/x"
if ((${#user[@]})); then
    prints 'a user namespace inside a session' bound hirsel run --session v -- "${user[@]}" /bin/busybox cat "$PLACE/bound/place/x"
fi
session_stop v

# ---- the foundation's programs and walks ----
export PARTS="git make bash"
[[ $LONG ]] && unset PARTS
export RUN_OPTIONS=--no-trap # what it would say is none of the program's output
again 'seccomp refused' 20_programs "$refuse" seccomp --
unset RUN_OPTIONS
PARTS="bash files python" again 'Landlock refused' 20_programs "$refuse" landlock --
PARTS="git bash threads" again 'memory read by ancestors only' 20_programs "$refuse" reading --
((${#user[@]})) && PARTS="bash make python" again 'in a user namespace' 20_programs "${user[@]}"
export HIRSEL_TEST_SEED=17 HIRSEL_TEST_QUERIES=1500
again 'seccomp refused' 40_walks "$refuse" seccomp --
again 'memory read by ancestors only' 45_trap_walks "$refuse" reading --
((${#user[@]})) && again 'in a user namespace' 45_trap_walks "${user[@]}"


# In another session, all of it.
PARTS="bash make python" again 'in a session' 20_programs hirsel run --
program walker walker gcc -static
hirsel start outer
rm -rf "$PLACE" # its nodes would be news to the reference walk
mkdir -p walk outer hidden
hirsel bind --session outer "$WORK/inner" "$WORK/outer"
hirsel bind --session outer --hide "$WORK/hidden"
for agents in "$BARE/walker,python" python,python; do
    if timeout 250 python3 "$SOURCE/tests/session/walks/compare.py" "$WORK/walk" --seed 19 --queries 1500 \
        --around outer --agents "$agents" >out 2>&1; then
        ok "in a session: $(sed -n 's/^# //p' out)"
    else
        not_ok "in a session: a walk by $agents"
        grep -av ': up;' out | head -40 | cut -c1-600
    fi
    chmod -R u+rwX walk && rm -rf walk/w19
done
session_stop outer
finish
