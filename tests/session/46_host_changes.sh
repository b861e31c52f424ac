#!/bin/bash
# What somebody outside of a session does to names of its table: made where nothing was, taken away,
# their directory replaced. The session's view stays; what the table says of the host is kept true.
. "$(dirname "$0")/lib.sh"
session_start
directory=$(session_directory)

# The flags of the table's active snapshot (shim/core/space.h).
flags() {
    python3 -c 'import struct, sys
table = open(sys.argv[1], "rb").read()
print(struct.unpack_from("<I", table, struct.unpack_from("<Q", table, 32)[0] + 8)[0])' "$directory/spaces/0/table"
}
shadows() {
    (($(flags) & 1))
}
no_shadows() {
    ! shadows
}
shows() {
    [[ $(in_session cat "$2" 2>/dev/null) == "$1" ]]
}

mkdir -p place tree/busy
echo inside >place/file
check 'binds a name that is not there' hirsel bind --session t "$WORK/place" "$WORK/tree/name"
check 'a symlink too' hirsel bind --session t --symlink place/file "$WORK/link"
check 'and a node' hirsel settrans --session t -ca "$WORK/tree/node" hello
check 'they shadow nothing' no_shadows

mkdir tree/name
echo outside >tree/name/file
check 'made outside, it is noticed as shadowed' await 5 shadows
prints 'and the session shows its own' inside in_session cat tree/name/file
prints 'once' 1 in_session sh -c 'ls tree | grep -c name'
rm -r tree/name
check 'taken away outside, it is noticed too' await 5 no_shadows
prints 'and the session shows its own' inside in_session cat tree/name/file
echo outside >link
check 'a symlink of the table' await 5 shows inside link
echo outside >tree/node
check 'a node of the table' await 5 shows 'Hello, world!' tree/node
rm link tree/node
check 'all are gone again' await 5 no_shadows

# Their directory exchanged for another one.
mv tree tree.old
mkdir -p tree/name
check 'another directory in the place of theirs' await 5 shadows
prints 'its listing has the names' $'name\nnode' in_session ls tree
prints 'which lead where they led' inside in_session cat tree/name/file

# After fs has been killed.
rm -r tree/name
check 'nothing is shadowed' await 5 no_shadows
kill -9 "$(server_pid fs)"
in_session true
mkdir tree/name
check 'a successor of fs notices it as well' await 5 shadows
rm -r tree/name
check 'and that it is gone' await 5 no_shadows

# Where much happens, fs has little to do.
switches() {
    awk '/^voluntary_ctxt/ { print $2 }' "/proc/$(server_pid fs)/status"
}
before=$(switches)
begun=$SECONDS
for ((i = 0; i < 3000; i++)); do : >tree/x$i; done
rm tree/x*
after=$(switches)
# It looks once a second.
if ((after - before < 40 + 5 * (SECONDS - begun))); then ok "6,000 changes cost fs $((after - before)) wake-ups"; else not_ok "6,000 changes cost fs $((after - before)) wake-ups"; fi
mkdir tree/name
check 'and notices what concerns it still' await 5 shadows
rm -r tree/name
session_stop
finish
