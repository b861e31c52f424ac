# What the session tests share. Each test is a script that runs alone as well as below tests/run:
#     . "$(dirname "$0")/lib.sh"
# Every check prints one line, "ok - …", "not ok - …" or "skip - …"; the script ends with `finish`.
# shellcheck shell=bash
set -u

SOURCE=${SOURCE:-$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)}
BUILD=${BUILD:-$SOURCE/build}
LONG=${LONG:-}
if [[ -z ${SCRATCH:-} ]]; then
    scratch_remove() {
        local session
        for session in "$SCRATCH"/run/hirsel/*/; do
            [[ -d $session ]] && XDG_RUNTIME_DIR=$SCRATCH/run hirsel stop "$(basename "$session")" >/dev/null 2>&1
        done
        cd /
        chmod -R u+rwX "$SCRATCH"
        rm -rf "$SCRATCH"
    }
    # Short: a socket's path has 107 bytes.
    SCRATCH=$(mktemp -d /tmp/hs.XXXX)
    mkdir -p "$SCRATCH"/{home,tmp,run,work}
    export HOME=$SCRATCH/home TMPDIR=$SCRATCH/tmp XDG_RUNTIME_DIR=$SCRATCH/run LC_ALL=C.UTF-8 TZ=UTC
    export PATH=$BUILD/bin:$PATH
    trap scratch_remove EXIT
    trap 'exit 130' INT TERM HUP
fi
export SOURCE BUILD SCRATCH LONG
unset XDG_CACHE_HOME XDG_STATE_HOME XDG_CONFIG_HOME HIRSEL_DIR
WORK=$SCRATCH/work
export WORK
cd "$WORK" || exit 1

SESSION=t
failures=0

ok() {
    echo "ok - $*"
}

not_ok() {
    echo "not ok - $*"
    failures=$((failures + 1))
}

skip() {
    echo "skip - $*"
}

# brief WORD…: on one line, and not endless.
brief() {
    local text=$*
    text=${text//$'\n'/ }
    echo "${text:0:300}"
}

# show FILE…: what a failed check has to say, kept from being counted.
show() {
    local file
    for file; do
        [[ -s $file ]] && head -c 4000 "$file" | head -40 | sed 's/^/#   /'
    done
}

# check NAME COMMAND…: passes by exit status 0.
check() {
    local name=$1 out=$SCRATCH/tmp/check.out
    shift
    if "$@" >"$out" 2>&1 </dev/null; then
        ok "$name"
    else
        local status=$?
        not_ok "$name"
        echo "#   status $status of: $(brief "$@")"
        show "$out"
        return 1
    fi
}

# status_is NAME STATUS COMMAND…
status_is() {
    local name=$1 wanted=$2 out=$SCRATCH/tmp/check.out
    shift 2
    "$@" >"$out" 2>&1 </dev/null
    local status=$?
    if ((status == wanted)); then
        ok "$name"
    else
        not_ok "$name"
        echo "#   status $status, wanted $wanted, of: $(brief "$@")"
        show "$out"
        return 1
    fi
}

# prints NAME TEXT COMMAND…: exit status 0 and exactly this on standard output.
prints() {
    local name=$1 wanted=$2 out=$SCRATCH/tmp/check.out err=$SCRATCH/tmp/check.err
    shift 2
    "$@" >"$out" 2>"$err" </dev/null
    local status=$?
    if ((status == 0)) && [[ $(<"$out") == "$wanted" ]]; then
        ok "$name"
    else
        not_ok "$name"
        echo "#   status $status of: $(brief "$@"); wanted: $(brief "$wanted")"
        show "$out" "$err"
        return 1
    fi
}

# await [SECONDS] COMMAND…: until it succeeds; a minute, or more, as other work may be done beside it.
await() {
    local until=$((SECONDS + 61))
    if [[ $1 =~ ^[0-9]+$ ]]; then
        (($1 > 60)) && until=$((SECONDS + $1 + 1))
        shift
    fi
    until "$@" >/dev/null 2>&1; do
        ((SECONDS < until)) || return 1
        sleep 0.02
    done
}

gone() {
    ! kill -0 "$1" 2>/dev/null
}

# RUN_OPTIONS: further options of hirsel run.
in_session() {
    # shellcheck disable=SC2086
    hirsel run --session "$SESSION" ${RUN_OPTIONS:-} -- "$@"
}

session_start() {
    SESSION=${1:-$SESSION}
    check "session $SESSION starts" hirsel start "$SESSION"
}

session_stop() {
    check "session ${1:-$SESSION} stops" hirsel stop "${1:-$SESSION}"
}

# Where the session lives, found from outside.
session_directory() {
    echo "$XDG_RUNTIME_DIR/hirsel/${1:-$SESSION}"
}

# server_pid NAME: of a server or translator.
server_pid() {
    hirsel ps --session "$SESSION" --servers | awk -v name="$1" '$1 ~ /^[1-9][0-9]*$/ && $2 == name { print $1; exit }'
}

no_session() {
    ! ls -d "$XDG_RUNTIME_DIR"/hirsel/*
}

# A manifest of a tree: what two equal trees have in common, byte for byte.
manifest() {
    (
        cd "$1" || exit 1
        # A directory's size is its file system's business; an index of git holds inode numbers.
        find . -type d -printf '%p d %m\n' -o -type l -printf '%p l %l\n' \
            -o -type f -printf '%p f %m %s %n\n' -o -printf '%p %y %m\n' | LC_ALL=C sort
        find . -type f ! -path '*/.git/index' ! -path '*/.git/worktrees/*/index' -print0 | LC_ALL=C sort -z | xargs -0r sha256sum
    )
}

# same NAME FUNCTION: run a function of this script natively and in the session, in a folder of
# the same name, and compare what it printed, its exit status and what it left in the folder.
same() {
    local name=$1 function=$2 place=$WORK/same how status
    local program
    program="$(declare -f "$function"); cd '$place' && $function"
    for how in native session; do
        rm -rf "$place"
        mkdir -p "$place" "$WORK/$how"
        if [[ $how == native ]]; then
            bash -c "$program" >"$WORK/$how/out" 2>"$WORK/$how/err" </dev/null
        else
            in_session bash -c "$program" >"$WORK/$how/out" 2>"$WORK/$how/err" </dev/null
        fi
        status=$?
        echo "status $status" >>"$WORK/$how/out"
        manifest "$place" >"$WORK/$how/tree" 2>&1
    done
    if ! grep -qx 'status 0' "$WORK/native/out"; then
        not_ok "$name: the native run failed"
        show "$WORK/native/out" "$WORK/native/err"
        return 1
    fi
    local part good=1
    for part in out err tree; do
        if ! cmp -s "$WORK/native/$part" "$WORK/session/$part"; then
            ((good)) && not_ok "$name"
            good=0
            echo "#   $part differs (< native, > session):"
            diff -a "$WORK/native/$part" "$WORK/session/$part" | head -20 | sed 's/^/#   /'
        fi
    done
    ((good)) && ok "$name ($(wc -l <"$WORK/native/out") lines, $(wc -l <"$WORK/native/tree") entries compared)"
}

# storm NAME COMMAND…: in session t, while the test's function `killer` kills in a shell of its own, until
# the file `calm` is there; whom it hit it writes to the file `hits`.
storm() {
    local name=$1
    shift
    rm -f calm
    killer 2>killer.err &
    local killer_pid=$!
    await test -s hits
    check "$name" timeout 200 hirsel run --session t -- "$@"
    touch calm
    wait $killer_pid
    cat hits >>all_hits
}

# Ends the test where nothing can be confined, with what hirsel says of it.
confine_needed() {
    local why=$SCRATCH/tmp/why
    hirsel run --confine -- true 2>"$why" && return
    skip "confined programs: $(head -n 1 "$why")"
    finish
}

# A project of $2 C files below folder $1, with a Makefile that builds a program of them.
c_project() {
    local folder=$1 count=$2 i
    mkdir -p "$folder"/{src,include}
    {
        echo 'CFLAGS = -O1 -g -Wall -Iinclude'
        echo 'OBJECTS = $(patsubst src/%.c,out/%.o,$(sort $(wildcard src/*.c)))'
        echo 'program: $(OBJECTS)'
        printf '\t%s\n' 'rm -f out/libparts.a' 'ar rcsD out/libparts.a $(filter-out out/main.o,$(OBJECTS))' \
            '$(CC) -o $@ out/main.o out/libparts.a'
        echo 'out/%.o: src/%.c'
        printf '\t%s\n' '@mkdir -p out' '$(CC) $(CFLAGS) -MMD -c -o $@ $<'
        echo '-include $(OBJECTS:.o=.d)'
    } >"$folder/Makefile"
    for ((i = 0; i < count; i++)); do
        echo "int part_$i(int x);" >"$folder/include/part_$i.h"
        {
            echo "#include <stdio.h>"
            echo "#include <stdlib.h>"
            echo "#include <string.h>"
            echo "#include \"part_$i.h\""
            echo "#include \"part_$(((i + 1) % count)).h\""
            echo "int part_$i(int x) { char t[64]; snprintf(t, sizeof t, \"%d\", x + $i); return x > 100000 ? x : (int)strlen(t) + part_$(((i + 1) % count))(x * 2 + $i); }"
        } >"$folder/src/part_$i.c"
    done
    printf '%s\n' '#include <stdio.h>' '#include "part_0.h"' \
        'int main(void) { printf("%d\n", part_0(1)); return 0; }' >"$folder/src/main.c"
}
export -f c_project

# End of a script: its exit status is whether a check failed.
finish() {
    ((failures == 0))
    exit
}
