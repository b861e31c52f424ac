#!/bin/bash
# A small stack, which the servers, the translators and the programs of a session have by inheritance.
. "$(dirname "$0")/lib.sh"
. "$SOURCE/tests/session/trap.sh"
ulimit -S -s 128

mkdir -p tree/inside target place/deep && echo text >tree/inside/file && tar cJf archive.tar.xz tree
echo target >target/file && echo hidden >place/hidden
session_start
for server in init fs proc net; do
    pid=$(server_pid $server)
    check "$server has it" grep -q '^Max stack size *131072 ' "/proc/${pid:-$PPID}/limits"
done
check 'an archive is attached' in_session hirsel settrans -c packed archive "$PWD/archive.tar.xz"
check 'hello is attached' in_session hirsel settrans -c greet hello
check 'exec is attached' in_session hirsel settrans -c counted exec -- seq 40000
touch place/greet
check 'an active one' in_session hirsel settrans -a place/greet hello
prints 'the archive is read' text in_session cat packed/tree/inside/file
prints 'hello is read' 'Hello, world!' in_session cat greet
prints 'the active one is read' 'Hello, world!' in_session cat place/greet
prints 'exec is read, in pieces' 228894 in_session sh -c 'cat counted | wc -c'

# The longest names that there are, bound, hidden and walked.
long=place
for i in {1..15}; do long+=/$(printf 'x%.0s' {1..240}); done
mkdir -p "$long"
check 'bind' in_session hirsel bind "$WORK/target" "$WORK/place/deep"
check 'a long name' in_session hirsel bind "$WORK/target" "$WORK/$long"
check 'hide' in_session hirsel bind --hide "$WORK/place/hidden"
prints 'behind the bind' target in_session cat place/deep/file
prints 'behind the long name' target in_session cat "$long/file"
check 'nothing is where it is hidden' in_session test ! -e place/hidden
check 'rename across, with both names walked' in_session sh -c "cp place/deep/file place/deep/other && mv place/deep/other '$long/third' && rm target/third"
check 'list' in_session hirsel list
check 'ps' hirsel ps --session t --servers
check 'log' hirsel log --session t
check 'unbind' in_session hirsel unbind "$WORK/$long"
check 'fs killed' kill -9 "$(server_pid fs)"
prints 'its next life reads the tables' target in_session cat place/deep/file

# What comes round the shim, networks, confinement.
program sockets sockets gcc -static
check 'a static program' in_session "$BARE/sockets" "$WORK/place/deep"
rm -f target/{server,client,stream,client-of-stream,other}
check 'with a network of its own' hirsel run --session t --net private -- "$BARE/sockets" "$WORK/target"
check 'a script and its interpreter' in_session bash -c 'printf "#!/bin/sh\necho ran\n" >target/script && chmod +x target/script && place/deep/script'
check 'python' in_session python3 -c 'import os, subprocess; subprocess.run(["cat", "place/deep/file"], check=True); list(os.walk("."))'
if hirsel doctor | grep -q '^ok *seccomp'; then
    check 'confined' hirsel run --session t --confine --allow-read "$WORK" -- cat place/deep/file
    check 'confined, with a translator' hirsel run --session t --confine --allow-read "$WORK" -- cat greet
fi
check 'a session made for a command' hirsel run -- cat target/file
check 'the log says nothing of accidents' bash -c "! grep -E 'signal|SEGV|ended' '$(session_directory)/log' | grep -v 'SIGKILL\|signal 9'"
session_stop
finish
