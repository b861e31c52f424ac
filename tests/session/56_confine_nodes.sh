#!/bin/bash
# Programs that lie in a translator's tree run in a confined tree as they do outside of one, where the
# policy allows to execute what has their name; and where it does not they do not. By a program that
# has the shim and a static one.
. "$(dirname "$0")/lib.sh"
. "$SOURCE/tests/session/trap.sh"
trap_needed
confine_needed

program executes.dynamic executes gcc
program executes executes gcc -static

# What is in the node of folder $1.
tree_make() {
    mkdir -p "$1/tree"/{bin,kept,data} "$1"/{use,bound}
    cp "$BARE/executes.dynamic" "$1/tree/bin/dynamic"
    cp "$BARE/executes" "$1/tree/bin/static"
    cp "$BARE/executes" "$1/tree/kept/static"
    cp "$BARE/executes" "$1/tree/bin/not"
    chmod 644 "$1/tree/bin/not"
    printf '#!/bin/sh\necho "script $0 $*"\n' >"$1/tree/bin/script"
    printf '#!%s told\n' "$1/node/bin/dynamic" >"$1/tree/bin/inner"
    printf '#!%s\n' "$1/node/bin/inner" >"$1/tree/bin/twice"
    printf '#!%s\n' "$1/outside" >"$1/tree/bin/outside"
    chmod 755 "$1/tree/bin"/{script,inner,twice,outside}
    echo data >"$1/tree/data/file"
    tar czf "$1/tree.tar" -C "$1/tree" bin kept data
    rm -r "$1/tree"
    check "a node in $(basename "$1")" hirsel settrans --session t -cp "$1/node" archive "$1/tree.tar"
}

session_start
tree_make "$WORK/project"
tree_make "$WORK/store"
cp "$BARE"/executes* project
cd project || exit 1
confined() { hirsel run --session t --confine "$@"; }
# The session's own names of a confined tree.
scratch=$(session_directory)/scratch

# Every way of executing everything that is there, by $1.
ways() {
    local program way
    for program in dynamic static script inner twice; do
        for way in path descriptor link; do
            # Not confined, the kernel looks for the interpreter of what is open.
            [[ $way == descriptor && $program =~ inner|twice ]] && continue
            echo "$program by $way:"
            # Of a descriptor's name in procfs the program's own is another one, and newer kernels
            # have another one for descriptors, too.
            "./$1" "$way" "node/bin/$program" told word 2>&1 | sed "s/, called .*, and/ and/"
        done
    done
    "./$1" path node/bin/dynamic told
    "./$1" path node/bin/static told
    "./$1" closing node/bin/dynamic told 2>&1 | sed 's/, called .*, and/ and/'
    "./$1" path node/bin/dynamic again told
    "./$1" path node/bin/static again told
    (cd node/bin && "../../$1" path ./dynamic told && ./static told && ./script told && pwd)
    env -i node/bin/dynamic told && env -i node/bin/script word
    PATH=$PWD/node/bin:$PATH dynamic told && PATH=$PWD/node/bin:$PATH script word
    ln -sf "$PWD/node/bin/static" use/symlink && use/symlink told
    python3 -c 'import subprocess, sys
for name in "dynamic", "script":
    print(subprocess.run(["node/bin/" + name, "told", "of python"], capture_output=True))'
    # What can't be.
    local name
    for name in not outside ../data/file ../data none ''; do
        "./$1" path "node/bin/$name" told
        bash -c '"$0" told' "node/bin/$name"
    done 2>&1
    test -x node/bin/static && test -x node/bin && ! test -x node/bin/not && echo access
}

for caller in executes.dynamic executes; do
    what=$(declare -f ways)\;"ways $caller"
    hirsel run --session t -- bash -c "$what" >"$WORK/free" 2>&1
    confined -- bash -c "$what" >"$WORK/confined" 2>&1
    if cmp -s "$WORK/free" "$WORK/confined" && (($(grep -c 'can be opened' "$WORK/free") > 20)); then
        ok "$caller: what is in a node is executed as outside of confinement"
    else
        not_ok "$caller: what is in a node is executed as outside of confinement"
        diff "$WORK/free" "$WORK/confined" >"$WORK/difference"
        show "$WORK/difference"
    fi
done
prints 'the command itself' "node/bin/static is $PWD/node/bin/static, called static, and can be opened" \
    confined -- node/bin/static told
prints 'the command, found in $PATH' 'script '"$PWD/node/bin/script word" \
    env PATH="$PWD/node/bin:$PATH" hirsel run --session t --confine -- script word

# ---- what the policy allows, by the name in the session ----
store=$WORK/store/node
refused() {
    local caller way
    for caller in executes.dynamic executes; do
        for way in path descriptor closing link; do
            if [[ $("./$caller" "$way" "$1" told) != 'Permission denied' ]]; then
                echo "$caller $way"
                return 1
            fi
        done
    done
    ! test -x "$1" && test -r "$1"
}
runs() {
    local caller way
    for caller in executes.dynamic executes; do
        for way in path descriptor closing link; do
            [[ $("./$caller" "$way" "$1" told) == "$1 is $1, called "* ]] || return 1
        done
    done
    test -x "$1"
}
allowed() {
    local name=$1 what
    what=$(declare -f refused runs)
    shift
    check "$name" confined "${@:2}" -- bash -c "$what; $1"
}
allowed 'what may be read only is not executed' "refused $store/bin/static && refused $store/bin/dynamic" --allow-read "$WORK/store"
allowed 'nor is a script, nor something by an interpreter there' "refused $store/bin/script && refused $store/bin/inner &&
    printf '#!$store/bin/static told\n' >use/there && chmod +x use/there && ! use/there" --allow-read "$WORK/store"
allowed 'what may be executed is' "runs $store/bin/static && runs $store/bin/dynamic" --allow-exec "$WORK/store"
allowed 'a part of a node that may be executed, and no other' "runs $store/bin/static && refused $store/kept/static" \
    --allow-read "$WORK/store" --allow-exec "$store/bin"
allowed 'a file of a node' "runs $store/bin/static && refused $store/bin/dynamic" --allow-read "$WORK/store" --allow-exec "$store/bin/static"
allowed 'a part of a node that may be read, and no other is there' "cat $store/data/file && ! test -e $store/kept && refused $store/data/file" \
    --allow-read "$WORK/store/tree.tar" --allow-read "$store/data"
RUN_OPTIONS='' check 'the same, typed in the session' in_session hirsel run --confine --allow-read "$WORK/store" --allow-exec "$store/bin/static" -- \
    bash -c "$(declare -f refused runs); runs $store/bin/static && refused $store/bin/dynamic"
check 'a bind that leads to what may be read only' hirsel bind --session t "$WORK/store" "$WORK/project/bound"
allowed 'what it is called there allows nothing' "refused $PWD/bound/node/bin/static" --allow-read "$WORK/store"
allowed 'with the place it does' "runs $PWD/bound/node/bin/static" --allow-exec "$WORK/store"
status_is 'what leads nowhere is allowed nobody' 125 confined --allow-exec "$WORK/store/none/bin" -- true
status_is 'nor what leads out of a node again' 125 confined --allow-exec "$store/../.." -- true

# ---- who does not ask in earnest ----

# By the file that the translator keeps, whose name a program can guess; by the name that another
# tree has for it; by that which it has itself.
guessing() {
    python3 - "$@" <<'END'
import ctypes, errno, glob, os, sys
store, session, other = sys.argv[1:]
COOKIE = 0x6C616E654869726C
libc = ctypes.CDLL(None, use_errno=True)
def execute(path, *rest):
    pid = os.fork()
    if pid == 0:
        words = (ctypes.c_char_p * 3)(path.encode(), b"told", None)
        libc.syscall(59, path.encode(), words, None, 0, 0, *rest)
        os._exit(ctypes.get_errno())
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
def fails(call, *words):
    try:
        call(*words)
    except OSError as error:
        return error.errno
    return 0
assert open(store + "/bin/static", "rb").read(4) == b"\x7fELF"
for node in range(1, 100):
    path = "%s/nodes/%d/tree/bin/static" % (session, node)
    assert execute(path, ctypes.c_ulong(COOKIE)) and execute(path), path
assert execute(other, ctypes.c_ulong(COOKIE)) and execute(other), other
for name in store + "/bin/static", store + "/../node/bin/static", other:
    assert fails(os.readlink, "/.hirsel/program" + name), name
own = os.readlink("/.hirsel/program" + os.getcwd() + "/node/bin/static")
assert execute(own, ctypes.c_ulong(COOKIE)) == 0
assert os.stat(own).st_ino == os.stat("node/bin/static").st_ino, "a copy"
folder = os.path.dirname(own)
denied = (errno.EACCES, errno.EPERM, errno.EXDEV)
def renamed(name):
    os.rename(name, "mine")
for call in (lambda: open(own, "r+b"), lambda: os.chmod(own, 0o777), lambda: os.unlink(own),
             lambda: os.truncate(own, 0), lambda: os.rename(own, "mine"), lambda: os.link(own, "mine"),
             lambda: os.rename("executes", own), lambda: os.link("executes", folder + "/new"),
             lambda: os.mkdir(folder + "/new"), lambda: os.symlink("/etc", folder + "/new"),
             lambda: os.open(folder, os.O_TMPFILE | os.O_RDWR)):
    assert fails(call) in denied, call
print("held")
END
}
confined -- bash -c 'node/bin/static told >/dev/null && echo now >use/begun; until [[ -e use/done ]]; do sleep 0.05; done' &
await test -s use/begun
other=$(echo "$scratch"/*/nodes/*/tree/bin/static)
check 'the other tree has a name for it' test -f "$other"
prints 'what is guessed is refused, and what was given for executing is for nothing else' "$(printf '%s is %s, called static, and can be opened\nheld' X Y)" \
    bash -c "$(declare -f guessing confined); confined --allow-read '$WORK/store' -- bash -c \"\$(declare -f guessing); guessing '$store' '$(session_directory)' '$other'\" | sed 's,^.* is [^ ]*\, called,X is Y\, called,'"
touch use/done
wait
racing() {
    for caller in executes.dynamic executes; do
        "./$caller" race "$1/kept/static" "$1/bin/dynamic" >use/race || return 1
        grep -q 'called static,' use/race || return 1
        ! grep -q 'called dynamic,' use/race || return 1
    done
}
check 'a name that is changed while it is asked about' confined --allow-read "$WORK/store" --allow-exec "$store/kept" -- \
    bash -c "$(declare -f racing); racing $store"

# ---- a translator that ends, and one that has something else ----
ending() {
    local i
    for i in 1 2 3 4; do
        ./executes path node/bin/dynamic told && ./executes.dynamic path node/bin/static told || return 1
        touch "use/turn$i"
        until [[ -e use/killed$i ]]; do
            ./executes path node/bin/dynamic told && ./executes.dynamic path node/bin/script || return 1
        done
    done
}
confined -- bash -c "$(declare -f ending); ending" >"$WORK/ended" 2>&1 &
tree=$!
for i in 1 2 3 4; do
    await test -e "use/turn$i"
    for pid in $(hirsel ps --session t --servers | awk '$2 == "archive" { print $1 }'); do
        kill -KILL "$pid" 2>/dev/null
    done
    touch "use/killed$i"
done
check 'a translator that is killed' wait "$tree"
changing() {
    node/bin/script old && ./executes path node/bin/script old || return 1
    cp "$1" tree.tar && touch use/changed
    until [[ -e use/ended ]]; do sleep 0.05; done
    node/bin/script new && ./executes path node/bin/script new && node/bin/static/now
}
mkdir -p other/bin/static && printf '#!/bin/sh\necho "other $*"\n' >other/bin/script && cp other/bin/script other/bin/static/now && chmod 755 other/bin/script other/bin/static/now
tar czf use/other.tar -C other bin && touch -d '2001-02-03' use/other.tar
confined -- bash -c "node/bin/static told >/dev/null; $(declare -f changing); changing use/other.tar" >"$WORK/changed" 2>&1 &
tree=$!
await test -e use/changed
for pid in $(hirsel ps --session t --servers | awk '$2 == "archive" { print $1 }'); do
    kill -KILL "$pid" 2>/dev/null
done
touch use/ended
wait "$tree"
prints 'another archive in its place' "$(printf 'script node/bin/script old\nscript node/bin/script old\nother new\nother new\nother')" \
    sed 's/ $//' "$WORK/changed"
check 'nothing is left of the trees' await 20 bash -c "! ls -A '$scratch' | grep -q ."
session_stop
finish
