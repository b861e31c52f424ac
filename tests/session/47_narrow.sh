#!/bin/bash
# What servers and translators have given up: calls are made in them, as one would who had taken
# them over.
. "$(dirname "$0")/lib.sh"

OPEN=2 SOCKET=41 CLONE=56 EXECVE=59 KILL=62 PTRACE=101 BPF=321

# holds NAME PID FILE… -- FILE…: what it can still open, what it can't, and what it can't do.
holds() {
    local name=$1 pid=$2 calls=() wanted=() results
    shift 2
    while [[ $1 != -- ]]; do
        calls+=("$OPEN $1 0") wanted+=(done)
        shift
    done
    shift
    for file; do
        calls+=("$OPEN $file 0") wanted+=(EACCES)
    done
    # Of the last two Landlock and the filter both have a say.
    calls+=("$SOCKET 16 3 0" "$CLONE 17 0 0 0 0" "$EXECVE /bin/true 0 0" "$PTRACE 16 1 0 0" "$BPF 0 0 0"
        "$OPEN /tmp/taken-over 0101 0600" "$KILL 1 0")
    wanted+=(EPERM EPERM EPERM EPERM EPERM EACCES EPERM)
    mapfile -t results < <(./inject "$pid" "${calls[@]}" 2>inject.err)
    show inject.err
    for i in "${!calls[@]}"; do
        if [[ ${results[i]-} == "${wanted[i]}" ]]; then
            ok "$name: ${calls[i]}: ${wanted[i]}"
        else
            not_ok "$name: ${calls[i]}: ${results[i]-nothing}, not ${wanted[i]}"
        fi
    done
    check "$name goes on" kill -0 "$pid"
}

gcc -O1 -D_GNU_SOURCE -o inject "$SOURCE/tests/session/inject.c" || not_ok "inject is built"
sleep 20 &
sleeper=$!
./inject $sleeper 39 >/dev/null 2>&1
looked=$?
kill $sleeper
if ((looked != 0)); then
    skip "no process can be looked into here"
    finish
fi
if ! "$BUILD/tests/escape/refuse" memory -- true 2>/dev/null || ! hirsel doctor | grep -q '^ok *landlock'; then
    skip "no process can narrow itself here: $(hirsel doctor | grep -m 1 '^[a-zA-Z]* *\(seccomp\|landlock\)')"
    finish
fi
session_start
directory=$(session_directory)
mkdir -p tree/inside && echo text >tree/inside/file && tar cJf archive.tar.xz tree && rm -r tree
check "an archive is attached" in_session hirsel settrans -c packed archive "$PWD/archive.tar.xz"
check "hello is attached" in_session hirsel settrans -c greet hello
prints "the archive is read" text in_session cat packed/tree/inside/file
prints "hello is read" "Hello, world!" in_session cat greet

archive=$(server_pid archive)
hello=$(server_pid hello)
check "the translators are known" test -n "$archive" -a -n "$hello"
node=$(tr '\0' '\n' <"/proc/$archive/environ" | sed -n 's/^HIRSEL_NODE_DIRECTORY=//p')
greeting=$(tr '\0' '\n' <"/proc/$hello/environ" | sed -n 's/^HIRSEL_NODE_DIRECTORY=//p')
holds archive "$archive" "$node/tree" -- /etc/passwd "$PWD/archive.tar.xz" "$directory/spaces/0/table" \
    "$greeting" "$HOME" /proc/1/status
holds hello "$hello" "$greeting" -- /etc/passwd "$node" "$directory/log"
holds net "$(server_pid net)" "$directory/spaces/0/table" /proc/1/stat -- /etc/passwd "$HOME"
holds proc "$(server_pid proc)" "$directory/log" /proc/1/stat -- /etc/passwd "$HOME"
check "nothing was made" test ! -e /tmp/taken-over

prints "the archive is still read" text in_session cat packed/tree/inside/file
prints "hello is still read" "Hello, world!" in_session cat greet
session_stop
finish
