#!/bin/bash
# Programs with the setuid bit have no more rights below a filter than their user: the session says
# so when one is started, on a terminal once for each tree, and else in its log alone.
. "$(dirname "$0")/lib.sh"
. "$SOURCE/tests/session/trap.sh"
trap_needed

if grep -q '^NoNewPrivs:.*1' /proc/self/status; then
    skip 'setuid programs: here they have no rights without a session'
    finish
fi
# One of root's, on a file system that minds the bit.
program=
for file in /usr/bin/{su,passwd,mount,chsh,chfn,newgrp,sudo}; do
    [[ -u $file && -x $file && $(stat -c %u "$file") != "$(id -u)" ]] || continue
    findmnt -no OPTIONS -T "$file" | grep -qw nosuid && continue
    program=$file
    break
done
if [[ -z $program ]]; then
    skip 'setuid programs: there is none'
    finish
fi
echo "# it is $program"
name=${program##*/}
line="'$name' has no more rights here than you: setuid programs work with hirsel run --no-trap"
log=$XDG_RUNTIME_DIR/hirsel/t/log

# told TIMES NAME COMMAND…: how often the user hears of it on a terminal.
told() {
    local times=$1 what=$2 count
    shift 2
    script -qec "$(printf '%q ' "$@")" /dev/null >terminal </dev/null
    count=$(grep -cF "$line" terminal)
    if ((count == times)); then ok "$what: told $count times"; else not_ok "$what: told $count times" && show terminal; fi
}
# A program that no shim is in.
cat >start.c <<'E'
#include <unistd.h>
int main(int count, char **words)
{
    return count > 1 ? execv(words[1], words + 1) : 1;
}
E
gcc -static -O1 -o start start.c || not_ok 'a program is built'

session_start
told 1 'a command' hirsel run --session t -- "$program" --version
told 1 'several, in one tree' hirsel run --session t -- sh -c "$program --version; $program --help; (exec $program --version)"
told 1 'by a static program' hirsel run --session t -- ./start "$program" --version
told 1 'by busybox' hirsel run --session t -- /bin/busybox sh -c "$program --version; true"
told 1 'with no environment' hirsel run --session t -- env -i "$program" --version
ln -s "$program" link
told 1 'by a symlink' hirsel run --session t -- ./link --version
told 0 'without the trap server' hirsel run --session t --no-trap -- "$program" --version
told 0 'confined' hirsel run --session t --confine -- sh -c "$program --version; true"
told 0 'what is not one' hirsel run --session t -- true
cp /bin/true own && chmod u+s own
told 0 'one of the own user' hirsel run --session t -- ./own
count=$(grep -cF "$program (setuid) has no more rights" "$log")
if ((count == 6)); then ok 'the log has it once for each tree'; else not_ok "the log has it $count times, not 6" && show "$log"; fi
hirsel run --session t -- "$program" --version >out 2>err </dev/null
"$program" --version >native 2>&1 </dev/null
prints 'a pipe has what the program says' "$(<native)" cat out
if [[ -s err ]]; then not_ok 'and nothing else' && show err; else ok 'and nothing else'; fi
told 1 'a new session' hirsel run -- "$program" --version
told 1 'in a session in a session' hirsel run --session t -- hirsel run -- "$program" --version
session_stop
finish
