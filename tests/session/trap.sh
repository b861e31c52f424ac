# What the tests of the trap server share: programs that no shim is in, and a place whose names a
# session sees otherwise than the host. To be read after lib.sh.
# shellcheck shell=bash

PROGRAMS=$SOURCE/tests/session/programs
PROGRAM_FLAGS=(-std=gnu17 -O1 -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes -Werror)
BARE=$WORK/bare
PLACE=$WORK/place
export PLACE BARE

# For tests of what the trap server does: where this system has none all is skipped.
trap_needed() {
    local why=$SCRATCH/tmp/why
    hirsel run -- true 2>"$why" && [[ ! -s $why ]] && return
    skip "no trap server here: $(head -n 1 "$why")"
    finish
}

# program NAME SOURCE COMPILER…: build programs/SOURCE.c as $BARE/NAME.
program() {
    local name=$1 source=$2
    shift 2
    mkdir -p "$BARE"
    [[ -x $BARE/$name ]] && return
    "$@" "${PROGRAM_FLAGS[@]}" -o "$BARE/$name" "$PROGRAMS/$source.c" || not_ok "program $name is built"
}

# The names that 45_trap looks at: $1 has a bind's target, a bound and a hidden file, a greeting and
# an archive, and `names` as a program in each of them.
place_make() {
    local place=$1
    mkdir -p "$place"/{bound/{target,place},hidden,tree/sub}
    echo of the host >"$place/plain"
    echo bound >"$place/bound/target/x"
    echo native >"$place/bound/place/x"
    echo one file >"$place/target_file"
    echo native >"$place/bound_file"
    echo secret >"$place/hidden/x"
    echo secret >"$place/hidden_file"
    for name in 1 2 3; do echo "virtual $name" >"$place/tree/f$name"; done
    ln -s f2 "$place/tree/inner"
    echo deep >"$place/tree/sub/deep"
    cp "$BARE/names" "$place/bound/target/program"
    cp "$BARE/names" "$place/hidden/program"
    cp "$BARE/names" "$place/tree/program"
    cp "$BARE/names" "$place/program"
    printf '#!/bin/sh\necho "run: $1"\n' >"$place/bound/target/script"
    chmod +x "$place/bound/target/script"
    ln -s node/tree "$place/way"
    chmod 750 "$place/tree/sub" && touch -d '2001-02-03 04:05:06' "$place/tree/sub"
    tar cf "$place/.tar" -C "$place" tree
    rm -r "$place/tree"
}

place_table() {
    local place=$1
    check 'a bind' hirsel bind --session "$SESSION" "$place/bound/target" "$place/bound/place"
    check 'a bind of a file' hirsel bind --session "$SESSION" "$place/target_file" "$place/bound_file"
    check 'a hidden folder' hirsel bind --session "$SESSION" --hide "$place/hidden"
    check 'a hidden file' hirsel bind --session "$SESSION" --hide "$place/hidden_file"
    check 'a greeting' hirsel settrans --session "$SESSION" -c "$place/greet" hello
    check 'an archive' hirsel settrans --session "$SESSION" -c "$place/node" archive "$place/.tar"
}

# told NAME WANTED COMMAND…: exactly this on standard output, told as a difference if not.
told() {
    local name=$1 wanted=$2 out=$SCRATCH/tmp/told.out err=$SCRATCH/tmp/told.err
    shift 2
    "$@" >"$out" 2>"$err" </dev/null
    local status=$?
    if ((status == 0)) && diff -a "$wanted" "$out" >"$SCRATCH/tmp/told.diff"; then
        ok "$name ($(wc -l <"$out") lines)"
    else
        not_ok "$name"
        echo "#   status $status of: $*; < wanted, > told:"
        show "$SCRATCH/tmp/told.diff" "$err"
        return 1
    fi
}

# Nothing of a trap server is left: what a session's end must see to.
trap_gone() {
    ! pgrep -u "$(id -u)" -f "^trap $(session_directory)" >/dev/null
}
