#!/bin/bash
# The C library is replaced under a running session, as an upgrade does it: by a rename. What runs
# goes on, what starts afterwards is in the session with a copy of the new one.
. "$(dirname "$0")/lib.sh"

libc=$(ldd "$BUILD/bin/hirsel" | awk '$1 == "libc.so.6" { print $3 }')
# A library of the session's own: the one that init runs with is the one that programs get.
mkdir lib there here
echo there >there/file
echo here >here/file
cp "$libc" lib/libc.so.6
old_path=${LD_LIBRARY_PATH-}
export LD_LIBRARY_PATH=$WORK/lib
session_start
check 'a bind' hirsel bind --session t "$WORK/there" "$WORK/here"
# One name space made before: it has a door of its own.
hirsel run --session t -- bash -c 'echo up >up; until [[ -e go ]]; do sleep 0.02; done; cat here/file' >first.out 2>&1 &
first=$!
echo "# its own" >spaces
hirsel run --session t --namespace spaces -- bash -c 'echo up >up2; until [[ -e go ]]; do sleep 0.02; done; cat here/file' >second.out 2>&1 &
second=$!
await 10 test -s up
await 10 test -s up2
doors() {
    for door in "$(session_directory)"/spaces/*/lib/libc.so.6 "$(session_directory)"/spaces/*/lib/glibc-hwcaps/*/libc.so.6; do
        readlink "$door"
    done | sort -u
}
before=$(doors)
if [[ $(wc -l <<<"$before") == 1 && -s $before ]]; then ok 'all doors lead to one copy'; else not_ok "doors lead to $before"; fi
check 'a program starts' in_session cat here/file

cp "$libc" lib/libc.so.6.new
mv lib/libc.so.6.new lib/libc.so.6
turned() { [[ $(doors | wc -l) == 1 && $(doors) != "$before" ]]; }
if await 20 turned; then ok 'all doors lead to a new copy'; else not_ok 'all doors lead to a new copy' && doors | sed 's/^/#   /'; fi
if [[ -s $before ]]; then ok 'the old one is still there for others'; else not_ok 'the old one is still there for others'; fi
prints 'a program that starts now is in the session' there hirsel run --session t -- cat here/file
maps=$(in_session grep -o '/[^ ]*hirsel-libc[^ ]*' /proc/self/maps | sort -u)
if [[ $maps == "$(doors)" ]]; then ok 'with the new copy'; else not_ok "with the new copy: $maps"; fi
touch go
check 'what ran went on' wait $first
check 'in a name space of its own too' wait $second
prints 'and starts programs in the session' there cat first.out
prints 'so does the other' there cat second.out
tells() { hirsel log t 2>&1 | grep -q 'was replaced'; }
if await tells; then ok 'the log tells'; else not_ok 'the log tells' && hirsel log t | tail -5; fi

# A libc that no copy can be made of: programs run as without a session, and the next one is taken.
echo 'no library' >lib/libc.so.6.new
unset LD_LIBRARY_PATH
mv lib/libc.so.6.new lib/libc.so.6
told() { hirsel log t 2>&1 | grep -q 'no copy could be made'; }
check 'a library that is none is told of' await 20 told
cp "$libc" lib/libc.so.6.new
now=$(doors)
mv lib/libc.so.6.new lib/libc.so.6
replaced() { [[ $(doors | wc -l) == 1 && $(doors) != "$now" ]]; }
check 'and the next one is copied again' await 20 replaced
prints 'and works' there hirsel run --session t -- cat here/file
session_stop
[[ -n $old_path ]] && export LD_LIBRARY_PATH=$old_path
finish
