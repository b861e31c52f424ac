#!/usr/bin/env bash
# timeout: 600
# Opens of virtual files in the middle of each other, and a table that changes under its readers.
. "$(dirname "$0")/lib.sh"

check 'the program builds' cc -O1 -Wall -o signals "$SOURCE/tests/session/signals.c" -pthread
session_start
check 'a node' hirsel settrans --session t -c greet hello
check 'handlers without SA_RESTART, threads, fork, vfork' in_session ./signals greet $'Hello, world!\n'
check 'handlers with SA_RESTART' in_session ./signals greet $'Hello, world!\n' restart
mkdir target place && echo bound >target/file && mkdir hidden && echo seen >hidden/file
check 'the same where names are shadowed' hirsel bind --session t "$WORK/target" "$WORK/place"
check 'and once more' in_session ./signals greet $'Hello, world!\n'

# A handler that leaves a call by longjmp: nothing of what the shim held is lost.
check 'the second program builds' cc -O1 -Wall -o leave "$SOURCE/tests/session/leave.c" -pthread
mkfifo target/fifo
check 'calls are left' in_session timeout 280 ./leave place/fifo greet $'Hello, world!\n'

# A reader never sees a table that is half written, whatever becomes of it meanwhile.
cat >reader.py <<'P'
import os
reads = 0
while not os.path.exists("enough"):
    assert open("place/file").read() == "bound\n"
    assert not os.path.exists("place/none")
    try:
        assert open("hidden/file").read() == "seen\n"
    except FileNotFoundError:
        pass
    reads += 1
print(reads)
P
in_session python3 reader.py >read 2>&1 &
reader=$!
changes=0
while ((changes < 150)) && kill -0 $reader 2>/dev/null; do
    hirsel bind --session t --hide "$WORK/hidden" && hirsel unbind --session t "$WORK/hidden" || break
    changes=$((changes + 1))
done
touch enough
if wait $reader && ((changes == 150)); then ok "$(<read) reads through $changes changes"; else not_ok "reads while the table changed $changes times" && show read; fi
session_stop
finish
