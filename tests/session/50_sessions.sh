#!/bin/bash
# Sessions by name, two at once, joined from a second terminal and by hand; name spaces that hold
# for a process tree; exit statuses.
. "$(dirname "$0")/lib.sh"

mkdir -p here there data
echo one >here/file
echo two >there/file

# Exit statuses, as env(1)'s.
for n in 0 1 77; do status_is "exit status $n" $n hirsel run -- sh -c "exit $n"; done
status_is 'ended by a signal' 143 hirsel run -- sh -c 'kill -TERM $$'
status_is 'killed' 137 hirsel run -- sh -c 'kill -KILL $$'
status_is 'not found' 127 hirsel run -- "$WORK/no-such-command"
status_is 'not found on PATH' 127 hirsel run -- no-such-command
echo data >data/not_executable
status_is 'not executable' 126 hirsel run -- "$WORK/data/not_executable"
status_is 'a folder' 126 hirsel run -- "$WORK/data"
status_is 'no such session' 125 hirsel run --session none -- true
status_is 'an unknown option' 125 hirsel run --no-such-option -- true
status_is 'an unknown command' 125 hirsel no-such-verb
prints 'arguments pass through' "$(printf '%s\n' a 'b  c' '' '-x' --)" hirsel run -- printf '%s\n' a 'b  c' '' -x --
prints 'standard input passes through' 3 bash -c 'seq 3 | hirsel run -- tail -n 1'
prints 'without --' word hirsel run echo word
hirsel run -- sh -c 'trap "exit 9" TERM; echo ready >ready; while :; do sleep 0.05; done' &
runner=$!
if await 10 test -s ready; then
    kill -TERM $runner
    await 10 gone $runner || kill -9 $runner
    wait $runner
    status=$?
    if ((status == 9)); then ok 'a signal passes through'; else not_ok "a signal passes through: status $status"; fi
else
    not_ok 'a signal passes through: the command did not start'
    kill -9 $runner
fi
check 'nothing is left of those sessions' bash -c '! ls -d "$XDG_RUNTIME_DIR"/hirsel/*'

for verb in run start stop list attach settrans showtrans fsysopts bind unbind ps kill log doctor; do
    hirsel $verb --help >help 2>&1
    status=$?
    if ((status == 0)) && grep -q "hirsel $verb" help; then ok "hirsel $verb --help"; else not_ok "hirsel $verb --help: status $status" && show help; fi
done
check 'hirsel --help' hirsel --help
check 'hirsel doctor' bash -c 'hirsel doctor; (($? < 2))'

# Two sessions at once.
check 'start work' hirsel start work
check 'start play' hirsel start play
status_is 'start work again' 125 hirsel start work
hirsel list >list
if grep -qw work list && grep -qw play list; then ok 'list names both'; else not_ok 'list names both' && show list; fi
check 'a bind in one' hirsel bind --session work "$WORK/there" "$WORK/here"
prints 'is seen in it' two hirsel run --session work -- cat "$WORK/here/file"
prints 'and by a second program' two hirsel run --session work -- cat here/file
prints 'and not in the other' one hirsel run --session play -- cat "$WORK/here/file"
prints 'nor outside' one cat "$WORK/here/file"
check 'an active translator in one' hirsel settrans --session work -a -c "$WORK/greet" hello
check 'answers in it' hirsel run --session work -- cat greet
status_is 'and is not there in the other' 1 hirsel run --session play -- cat greet
status_is 'nor outside' 1 cat greet

# From a second terminal.
printf 'cat here/file\nexit 5\n' | TERM=dumb script -qec 'hirsel attach work' /dev/null >typed 2>&1
if tr -d '\r' <typed | grep -qx two; then ok 'attach opens a shell in it'; else not_ok 'attach opens a shell in it' && show typed; fi
hirsel env work >door
if [[ $(wc -l <door) -ge 1 ]] && grep -q '^LD_' door; then ok 'hirsel env prints the door'; else not_ok 'hirsel env prints the door' && show door; fi
prints 'a program that goes in by hand' two bash -c 'env $(hirsel env work) cat here/file'
prints 'and its children' two bash -c 'env $(hirsel env work) sh -c "sh -c \"cat here/file\""'
prints 'inside, the command speaks to its own session' work hirsel run --session work -- bash -c 'basename "$(readlink /.hirsel/session)"'
check 'a bind from inside' hirsel run --session play -- hirsel bind "$WORK/there" "$WORK/data"
prints 'shows in that session' two hirsel run --session play -- cat data/file
status_is 'and not in the other' 1 hirsel run --session work -- cat data/file
check 'unbind' hirsel unbind --session play "$WORK/data"
prints 'takes it away' data hirsel run --session play -- cat data/not_executable

# A name space for one tree.
cat >spaces <<END
# How this tree sees its files.
bind $WORK/there $WORK/data
bind --hide $WORK/here/file
END
prints 'a namespace file' two hirsel run --session play --namespace spaces -- cat data/file
status_is 'hides' 1 hirsel run --session play --namespace spaces -- cat here/file
hirsel run --session play --namespace spaces -- sh -c 'echo up >up; until [ -e go ]; do sleep 0.02; done; cat data/file >seen
    (setsid sh -c "(env -i /bin/sh -c \"cat data/file >seen.far; /bin/ls here >>seen.far\" &)" &) ; until [ -e far ]; do sleep 0.02; done' &
holder=$!
await 10 test -s up
status_is 'its siblings do not see it' 1 hirsel run --session play -- cat data/file
prints 'nor do they miss anything' one hirsel run --session play -- cat here/file
touch go
await 10 test -s seen.far
touch far
wait $holder
prints 'the tree sees it' two cat seen
prints 'a double fork with an empty environment changes nothing' two cat seen.far
echo 'frobnicate x y' >bad
status_is 'a namespace file with a mistake' 125 hirsel run --session play --namespace bad -- true
hirsel run --session play --namespace bad -- true 2>err
if [[ $(wc -l <err) == 1 ]] && grep -q 'bad' err && grep -q '1' err; then ok 'is told in one line, with where'; else not_ok 'is told in one line, with where' && show err; fi
status_is 'a namespace file that is not there' 125 hirsel run --namespace none -- true

# What does not hold is said as long as it does not.
hirsel run --session work --no-trap -- sh -c 'echo up >untrapped.up; until [ -e untrapped.go ]; do sleep 0.02; done' &
holder=$!
await 10 test -s untrapped.up
hirsel list >list
if grep -w work list | grep -q 'without the trap server'; then ok 'list tells of a tree without the trap server'; else not_ok 'list tells of a tree without the trap server' && show list; fi
touch untrapped.go
wait $holder
complete() { ! hirsel list | grep -w work | grep -q incomplete; }
check 'and no longer when it has ended' await 5 complete

# ps, kill, log.
hirsel run --session work -- sh -c 'exec sleep 1000' &
sleeper=$!
# In the middle of an exec it has no words: one look must tell both.
sleeper_found() {
    pid=$(hirsel ps --session work | awk '/sleep 1000/ && $1 ~ /^[0-9]+$/ { print $1; exit }')
    [[ -n $pid ]]
}
check 'ps shows a program' await 10 sleeper_found
status_is 'kill of a stranger' 1 hirsel kill --session work $$
check "a signal that is none is called so" bash -c "hirsel kill --session work -FOO 1 2>&1 | grep -q \"'FOO' is no signal\""
check 'kill' hirsel kill --session work "${pid:-none}"
wait $sleeper
status=$?
if ((status == 143)); then ok 'ends it'; else not_ok "ends it: status $status"; kill -9 $sleeper 2>/dev/null; fi
hirsel ps --session work --servers >servers
for name in init fs proc net; do
    if awk -v n=$name '$1 ~ /^[0-9]+$/ && $2 == n { found = 1 } END { exit !found }' servers; then ok "ps --servers names $name"; else not_ok "ps --servers names $name" && show servers; fi
done
check 'log' hirsel log --session work

# stop ends what runs.
hirsel run --session work -- sleep 1000 &
sleeper=$!
await 10 bash -c 'hirsel ps --session work | grep -q "sleep 1000"'
check 'stop' hirsel stop work
if await 15 gone $sleeper; then ok 'stop ends the programs'; else not_ok 'stop ends the programs'; kill -9 $sleeper; fi
wait $sleeper 2>/dev/null
hirsel list >list
if ! grep -qw work list && grep -qw play list; then ok 'list no longer names it'; else not_ok 'list no longer names it' && show list; fi
status_is 'stop of what is not there' 125 hirsel stop work
status_is 'list of what is not there' 125 hirsel list work
check 'stop the other' hirsel stop play
check 'nothing is left' bash -c '! ls -d "$XDG_RUNTIME_DIR"/hirsel/*'
finish
