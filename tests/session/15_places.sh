#!/bin/bash
# hirsel finds its parts from where it is: copied elsewhere, called by a symlink, by a relative
# path, with a session's folder of each kind.
. "$(dirname "$0")/lib.sh"

mkdir -p "elsewhere/some where"
cp -r "$BUILD/bin" "$BUILD/libexec" "$BUILD/lib" "elsewhere/some where"
ln -s "../work/elsewhere/some where/bin/hirsel" "$WORK/command"
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
finish
