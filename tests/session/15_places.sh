#!/bin/bash
# hirsel finds its parts from where it is: copied elsewhere, called by a symlink, by a relative
# path, with a session's folder of each kind.
. "$(dirname "$0")/lib.sh"

mkdir -p "elsewhere/some where"
cp -r "$BUILD/bin" "$BUILD/libexec" "$BUILD/lib" "elsewhere/some where"
ln -s "../${WORK##*/}/elsewhere/some where/bin/hirsel" "$WORK/command"
program='hirsel settrans -c greet hello && cat greet && rm greet'
for command in "$WORK/elsewhere/some where/bin/hirsel" "./elsewhere/some where/bin/hirsel" ./command; do
    prints "as $command" 'Hello, world!' env PATH="$WORK/elsewhere/some where/bin:$PATH" "$command" run -- sh -c "$program"
done
mkdir -m 700 own
prints 'with HIRSEL_DIR' 'Hello, world!' env HIRSEL_DIR="$WORK/own" hirsel run -- sh -c "$program"
prints 'without a cache folder that can be written' 'Hello, world!' env HOME=/nonexistent hirsel run -- sh -c "echo 'Hello, world!'"
mkdir -m 755 open
status_is 'a folder that others can read is refused' 125 env HIRSEL_DIR="$WORK/open" hirsel run -- true
long=$WORK/$(printf 'x%.0s' $(seq 100))
mkdir -m 700 "$long"
status_is 'a folder with too long a name for a socket is refused' 125 env HIRSEL_DIR="$long" hirsel run -- true

# ld.so takes blanks and colons in a variable for the ends of names, a shell quotes.
odd="$WORK/my 'own': home"
mkdir -p "$odd/parts" && cp -r "$BUILD/bin" "$BUILD/libexec" "$BUILD/lib" "$odd/parts"
at_home() {
    env -u XDG_CACHE_HOME HOME="$odd" "$@"
}
prints 'with blanks, a colon and quotes in HOME' 'Hello, world!' at_home hirsel run -- sh -c "$program; hirsel log >log"
check 'the libc copy is in its cache' compgen -G "$odd/.cache/hirsel/hirsel-libc-*"
check 'and nothing had to be said' test "$(wc -l <log)" = 1
check 'installed at such a place, and doctor finds the copy' grep -q '^ok *libc' <(at_home "$odd/parts/bin/hirsel" doctor)

# What keeps the copy from being made is said as it is.
too_large() {
    trap '' XFSZ
    ulimit -S -f 1900
    env -u XDG_CACHE_HOME HOME="$WORK/small" "$@"
}
mkdir small
prints 'where a libc copy can not be written programs run all the same' runs too_large hirsel run -- echo runs
check 'and why is said' grep -q 'no copy of .*libc.so.6: File too large' "$SCRATCH/tmp/check.err"
check 'by doctor, too' grep -q '^less *libc .*File too large' <(too_large hirsel doctor)

mkdir gone && cd gone && rmdir "$WORK/gone"
status_is 'nothing is confined to a directory that is gone' 125 hirsel run --confine --best-effort -- true
cp "$SCRATCH/tmp/check.out" "$SCRATCH/tmp/said"
check 'which is said' grep -q "to the current directory: No such file" "$SCRATCH/tmp/said"
cd "$WORK" || exit 1
finish
