#!/bin/bash
# hirsel doctor: ten lines of what this kernel and container allow, here and where something is
# refused; and what hirsel run says of the same.
. "$(dirname "$0")/lib.sh"

refuse=$BUILD/tests/escape/refuse

# told NAME GRADE STATUS LINE [WORD…]: with these refused the line has this grade.
told() {
    local name=$1 grade=$2 wanted=$3 line=$4 status
    shift 4
    "$refuse" "$@" -- hirsel doctor >out 2>err
    status=$?
    if ((status == wanted)) && grep -q "^$grade *$line " out && [[ $(wc -l <out) == 10 ]]; then ok "$name"; else
        not_ok "$name: status $status"
        show out err
    fi
}

hirsel doctor >here 2>err
status=$?
if [[ $(wc -l <here) == 10 ]]; then ok 'ten lines'; else not_ok 'ten lines' && show here err; fi
if grep -q '^BAD' here; then not_ok 'nothing is bad' && show here; else ok 'nothing is bad'; fi
if ((status == $(grep -c '^less' here | sed 's/[1-9][0-9]*/1/'))); then ok "status $status goes with them"; else not_ok "status $status" && show here; fi
hirsel doctor --json >json
prints 'the same as JSON' "$(awk '{ print $2, $1 }' here)" python3 -c '
import json
for f in json.load(open("json")): print(f["name"], f["grade"]), f["text"]'

if grep -q '^ok *seccomp' here && ! "$refuse" seccomp -- "$refuse" seccomp -- true 2>/dev/null; then
    told 'seccomp refused' less 1 seccomp seccomp
    told 'then programs without libc pass by' less 1 coverage seccomp
    told 'and no confinement holds' less 1 confinement seccomp
    told 'but the copy of libc works' ok 1 libc seccomp
    told 'listeners refused' less 1 seccomp listener
    told 'then no confinement holds' less 1 confinement listener
    told 'tracing refused' less 1 memory trace
    "$refuse" seccomp -- hirsel run -- echo runs >out 2>err
    if [[ $? == 0 && $(<out) == runs && $(wc -l <err) == 1 ]]; then ok 'a session runs without seccomp, and says so in one line'; else not_ok 'a session without seccomp' && show out err; fi
    "$refuse" seccomp -- hirsel run --confine -- echo runs >out 2>err
    status=$?
    if [[ $status == 125 && ! -s out && $(wc -l <err) == 1 ]]; then ok 'but not confined, in one line'; else not_ok "a confined one without seccomp: $status" && show out err; fi
else
    skip 'seccomp refused: it is refused here already'
fi
if ! "$refuse" memory -- true 2>/dev/null; then
    skip 'what else may be refused: filters are, here'
    finish
fi
if grep -q '^ok *landlock' here; then
    told 'Landlock refused' less 1 landlock landlock
    told 'then no confinement holds' less 1 confinement landlock
    told 'both refused' less 1 confinement landlock seccomp
    "$refuse" landlock -- hirsel run --confine -- echo runs >out 2>err
    status=$?
    if [[ $status == 125 && ! -s out && $(wc -l <err) == 1 ]]; then ok 'and hirsel run says so in one line'; else not_ok "a confined one without Landlock: $status" && show out err; fi
else
    skip 'Landlock refused: it is not here'
fi
if grep -q '^ok *confinement' here; then
    # The server then reads by what the root of the tree opens for it.
    told "a sibling's memory refused" ok 0 memory memory
    told 'that is no loss' ok 0 confinement memory
fi
hirsel run -- hirsel doctor >out 2>err
if [[ $(wc -l <out) == 10 ]] && ! grep -q '^BAD' out; then ok 'inside a session'; else not_ok 'inside a session' && show out err; fi
finish
