#!/bin/bash
# hirsel run --confine: the default profile, what is allowed beyond it, and when it refuses. The ways
# out of it are tests/escape's. With NESTED set all is typed in a session: the confined tree then begins
# beside the one that it is started in.
. "$(dirname "$0")/lib.sh"

# started [--session NAME] OPTION… : hirsel run with these.
started() {
    local outer=()
    if [[ -z ${NESTED:-} ]]; then
        hirsel run "$@"
        return
    fi
    if [[ $1 == --session ]]; then
        outer=("$1" "$2")
        shift 2
    fi
    hirsel run "${outer[@]}" -- hirsel run "$@"
}
# confined [--session NAME] OPTION…
confined() {
    if [[ $1 == --session ]]; then started "$1" "$2" --confine "${@:3}"; else started --confine "$@"; fi
}

if ! confined -- true 2>why; then
    if grep -q 'cannot confine here' why; then
        ok 'refuses where it could not hold, in one line'
        skip "confinement: $(cat why)"
        check 'but with --best-effort' confined --best-effort -- true
    else
        not_ok 'a confined command runs' && show why
    fi
    finish
fi
mkdir -p project out/deeper
echo outside >out/file
echo deeper >out/deeper/file
cd project || exit 1

# The default profile: gcc, git and python on the current directory.
c_project tree 5
check 'make and gcc' confined -- make -s -C tree
check 'what they made runs, too' confined -- ./tree/program
check 'git' confined -- sh -c 'git init -q repository && cd repository && echo x >a && git add a && git -c user.name=a -c user.email=a@b commit -q -m a && git log --oneline'
prints 'python' '[1, 2]' confined -- python3 -c 'import json, tempfile; tempfile.TemporaryFile(); print(json.loads("[1,2]"))'
prints 'pipes and here-documents' b confined -- bash -c 'cat <<END | tr a b
a
END'

# And nothing else.
status_is 'reads nothing outside' 1 confined -- cat "$WORK/out/file"
status_is 'lists nothing outside' 2 confined -- ls "$WORK/out"
status_is 'makes nothing outside' 1 confined -- touch "$WORK/out/new"
status_is 'removes nothing outside' 1 confined -- rm -f "$WORK/out/file"
status_is 'nor in the home folder' 1 confined -- touch "$HOME/new"
status_is 'nor in /tmp' 1 confined -- touch "/tmp/hirsel-confine.$$"
check 'the files are as they were' test "$(cat "$WORK/out/file")" = outside -a ! -e "$WORK/out/new"
prints 'it has a TMPDIR of its own' yes confined -- bash -c 'touch "$TMPDIR/a" && [[ -e $TMPDIR/a && $TMPDIR != "'"$TMPDIR"'" ]] && echo yes'
SECRET=token confined -- env >variables
if ! grep -q SECRET variables && grep -q '^PATH=' variables; then ok 'the environment is filtered'; else not_ok 'the environment is filtered' && show variables; fi

# What is allowed.
prints '--allow-read' outside confined --allow-read "$WORK/out" -- cat "$WORK/out/file"
status_is 'is not to write' 1 confined --allow-read "$WORK/out" -- touch "$WORK/out/new"
prints 'goes for all below' deeper confined --allow-read "$WORK/out" -- cat "$WORK/out/deeper/file"
prints 'of one file' outside confined --allow-read "$WORK/out/file" -- cat "$WORK/out/file"
status_is 'is of no other' 1 confined --allow-read "$WORK/out/file" -- cat "$WORK/out/deeper/file"
check '--allow-write' confined --allow-write "$WORK/out/deeper" -- sh -c "echo new >$WORK/out/deeper/new"
status_is 'is of no other' 1 confined --allow-write "$WORK/out/deeper" -- touch "$WORK/out/new"
cp /bin/true "$WORK/out/program"
status_is 'no program outside' 126 confined --allow-read "$WORK/out" -- "$WORK/out/program"
check '--allow-exec' confined --allow-exec "$WORK/out" -- "$WORK/out/program"
ln -s "$WORK/out" link
prints 'a symlink is followed at the start' outside confined --allow-read link -- cat "$WORK/out/file"
SECRET=token prints '--env' token confined --env SECRET -- sh -c 'echo $SECRET'
confined -- python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print("bound")' >bound 2>/dev/null
if [[ ! -s bound ]]; then ok 'binds no port'; else not_ok 'binds no port'; fi
python3 -c '
import socket
s = socket.socket(); s.bind(("127.0.0.1", 0)); s.listen()
open("port", "w").write("%d\n" % s.getsockname()[1])
while True:
    c, _ = s.accept(); c.send(b"hello"); c.close()' &
server=$!
await 10 test -s port
connect='import socket, sys
s = socket.create_connection(("127.0.0.1", int(sys.argv[1])), 5); print(s.recv(10).decode())'
status_is 'connects nowhere' 1 confined -- python3 -c "$connect" "$(cat port)"
prints '--allow-connect' hello confined --allow-connect "127.0.0.1:$(cat port)" -- python3 -c "$connect" "$(cat port)"
status_is 'is of no other port' 1 confined --allow-connect 127.0.0.1:1 -- python3 -c "$connect" "$(cat port)"
kill $server
wait $server 2>/dev/null
check '--allow-bind' confined --allow-bind '127.0.0.1:*' -- python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); s.listen()'

# Mistakes are told in one line.
refused() {
    local name=$1
    shift
    started "$@" -- true >out 2>err
    local status=$?
    if ((status == 125)) && [[ $(grep -c . err) -le 2 ]]; then ok "refused: $name"; else not_ok "refused: $name: status $status" && show err; fi
}
refused 'a path that is not there' --confine --allow-read /no/such/path
refused 'no port' --confine --allow-connect localhost
refused 'a port that is none' --confine --allow-bind 127.0.0.1:http-or-so
refused 'a name that is none' --confine --env A=b
refused '--allow without --confine' --allow-read /
refused '--no-trap with it' --confine --no-trap

# In a session that has a name, and what is below it.
cd "$WORK/project" || exit 1
tar cf tree.tar tree
session_start
# Names of the session, by a program that meets the shim and by a static one. A translator that a
# confined program has started, by a look or by setting it, has no more authority than it.
check 'a node that the user wrote down' hirsel settrans --session t -cp node archive "$WORK/project/tree.tar"
check 'another one' hirsel settrans --session t -cp telling exec /bin/cat "$WORK/out/file"
check 'a bind' hirsel bind --session t "$WORK/project/tree" "$WORK/project/view"
part=$(<tree/src/part_1.c)
for cat in cat '/bin/busybox cat'; do
    # shellcheck disable=SC2086
    prints "$cat: a file behind a translator" "$part" confined --session t -- $cat node/tree/src/part_1.c
    # shellcheck disable=SC2086
    prints "$cat: a file behind a bind" "$part" confined --session t -- $cat view/src/part_1.c
    # shellcheck disable=SC2086
    confined --session t -- $cat telling >told 2>&1
    if ! grep -q outside told; then ok "$cat: what tells a secret does not tell it"; else not_ok "$cat: what tells a secret does not tell it"; fi
done
prints 'lists them' 'part_0.h part_1.h part_2.h part_3.h part_4.h' confined --session t -- sh -c 'echo $(ls node/tree/include)'
prints 'the user is told it all the same' outside in_session cat telling
confined --session t --allow-exec "$BUILD" -- sh -c "$BUILD/bin/hirsel settrans -ac own exec /bin/echo mine && cat own
    $BUILD/bin/hirsel settrans -ac thief exec /bin/cat $WORK/out/file && cat thief
    $BUILD/bin/hirsel settrans -cp later exec /bin/cat $WORK/out/file" >set 2>&1
if grep -qx mine set; then ok 'sets a translator of its own'; else not_ok 'sets a translator of its own' && show set; fi
if ! grep -q outside set; then ok 'which has no more authority'; else not_ok 'which has no more authority' && show set; fi
if [[ ! -L later ]] && grep -q later set; then ok 'writes none down for others'; else not_ok 'writes none down for others' && show set; fi
prints 'in a session' in confined --session t -- echo in
status_is 'is confined as well' 1 confined --session t -- cat "$WORK/out/file"
status_is 'may not end the session' 125 confined --session t --allow-exec "$BUILD" -- "$BUILD/bin/hirsel" stop t
status_is 'nor open a tree in its default name space' 125 confined --session t --allow-exec "$BUILD" -- "$BUILD/bin/hirsel" run --session t -- cat "$WORK/out/file"
check 'the session lives' in_session true
left() { [[ -z $(ls "$(session_directory)/scratch") ]]; }
check 'no TMPDIR is left' await 5 left
session_stop
finish
