#!/bin/bash
# A file that has no name, or another one, is given one by way of its descriptor: where the session's
# name leads, be that behind a bind, and nowhere else. By a program with the shim and by one that goes
# through the trap server, and by both confined.
. "$(dirname "$0")/lib.sh"
. "$SOURCE/tests/session/trap.sh"

program publish.dynamic publish gcc
program publish publish gcc -static

mkdir -p place/{plain,bound,narrow} inside/deep other outside
echo named >inside/named
echo plain >place/plain/named
echo outside >outside/named
session_start
check 'a folder is bound over' hirsel bind --session t "$WORK/inside" "$WORK/place/bound"
check 'another one, where nothing can be changed' hirsel bind --session t -r "$WORK/other" "$WORK/place/narrow"
modes=('')
if hirsel run --confine -- true 2>why; then modes+=(--confine); else skip "confined programs: $(head -n 1 why)"; fi
# The descriptor alone is enough for who opened it since Linux 6.10.
hows=(procfs below)
[[ $("$BARE/publish" other other/tried empty) == 'linked, 1' ]] && hows+=(empty)
rm -f other/tried

# publishes WANTED FROM TO: by all programs and ways.
publishes() {
    local wanted=$1 from=$2 to=$3 who how mode got bad=
    for mode in "${modes[@]}"; do
        for who in publish.dynamic publish; do
            for how in "${hows[@]}"; do
                got=$(RUN_OPTIONS=$mode in_session "$BARE/$who" "$from" "$to" "$how" 2>&1)
                [[ $got == "$wanted" ]] || bad+="$who $mode, $how: $got; "
                [[ $to == *new ]] || continue
                if [[ $wanted == linked* && $(cat "${to/place\/bound/inside}" 2>/dev/null) != published ]]; then
                    bad+="$who $mode, $how: it is not there; "
                fi
                rm -f "${to/place\/bound/inside}"
                [[ -z $(ls place/bound) ]] || bad+="$who $mode, $how: it is in the host's folder; "
                rm -f place/bound/*
            done
        done
    done
    if [[ -z $bad ]]; then ok "$from to $to: $wanted"; else not_ok "$from to $to: wanted $wanted; $bad"; fi
}

publishes 'linked, 1' place/plain place/plain/new
publishes 'linked, 1' place/bound place/bound/new
publishes 'linked, 1' place/bound/deep place/bound/new
publishes 'linked, 1' place/bound "$WORK/place/bound/deep/new"
publishes 'File exists' place/bound place/bound/named
publishes 'No such file or directory' place/bound place/bound/missing/new
publishes 'Invalid cross-device link' place/plain place/bound/new
publishes 'Invalid cross-device link' place/bound place/plain/new
publishes 'Read-only file system' place/plain place/narrow/new
publishes 'Read-only file system' place/bound place/narrow/new
rm -f place/bound/* inside/new inside/deep/new

# A named one has a second name then.
for mode in "${modes[@]}"; do
    for who in publish.dynamic publish; do
        for how in "${hows[@]}"; do
            got=$(RUN_OPTIONS=$mode in_session "$BARE/$who" place/bound/named place/bound/second "$how" 2>&1)
            check "a second name, $who $mode, $how: $got" test "$got" = 'linked, 2' -a inside/named -ef inside/second
            rm -f inside/second
        done
    done
done

# What a confined program was given open for reading it does not get a name of.
if [[ ${modes[1]:-} ]]; then
    mkdir -p held && mv place inside held
    check 'bound anew' hirsel bind --session t "$WORK/held/inside" "$WORK/held/place/bound"
    cp "$BARE"/publish* held
    for who in publish.dynamic publish; do
        for how in "${hows[@]}"; do
            got=$(cd held && RUN_OPTIONS=--confine in_session "./$who" @9 place/bound/taken "$how" 9<"$WORK/outside/named" 2>&1)
            check "nothing from outside, $who, $how: $got" test ! -e held/inside/taken -a ! -e held/place/bound/taken
        done
    done
fi
session_stop
finish
