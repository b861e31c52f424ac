#!/bin/bash
# The tour of README.md runs, and its answers are right.
. "$(dirname "$0")/lib.sh"

"$SOURCE/tests/tour" "$BUILD" >tour.out 2>&1
status=$?
if ((status == 0)); then ok 'the tour ends well'; else not_ok "the tour: status $status" && tail -n 30 tour.out | sed 's/^/#   /'; fi
told() {
    if grep -q -- "$1" tour.out; then ok "the tour: $2"; else not_ok "the tour: $2"; fi
}
told '^Hello' 'the greeting'
told "^$(date +%A)$" 'a command behind a node'
told "^$(ls /usr/include/linux | wc -l)$" 'the archive has its files'
told "^$(sha256sum </usr/include/linux/fs.h | cut -d' ' -f1)" 'their contents'
told "^no such thing as mine" 'a hidden path'
told "DOCTYPE" 'a network of its own'
finish
