#!/bin/bash
# Programs that no shim is in, and those that shed it, see the session's names: static ones of three
# kinds, bare system calls, an empty environment, ld.so and ldconfig; and python, node, cargo, and
# programs under gdb and strace. Without the trap server the same programs see the host.
. "$(dirname "$0")/lib.sh"
. "$SOURCE/tests/session/trap.sh"
trap_needed

program names names gcc -static
program names.musl names musl-gcc -static
program names.raw names gcc -static -DNAMES_RAW
program names.dynamic names gcc
program names.dynamic_raw names gcc -DNAMES_RAW
export GOCACHE=$SCRATCH/tmp/go GO111MODULE=off GOFLAGS=-p=1
if type go >/dev/null 2>&1; then
    CGO_ENABLED=0 go build -o "$BARE/names.go" "$PROGRAMS/names.go" || not_ok 'the Go program is built'
else
    skip 'go is not installed'
fi

place_make "$PLACE"
cp -a "$PLACE" "$WORK/native"
cp -a "$PLACE" "$WORK/untrapped"
session_start
place_table "$PLACE"

cat >looks.go <<'END'
read greet: Hello, world!
read node/tree/f1: virtual 1
read node/none: ENOENT
read bound/place/x: bound
read bound_file: one file
read hidden/x: ENOENT
read hidden_file: ENOENT
read way/f2: virtual 2
read node/tree/inner: virtual 2
read plain: of the host
stat node/tree/f1: 10 bytes, 644, is what is opened
stat node/tree: a folder
stat bound/place: a folder
stat bound/place/x: 6 bytes, 644, is what is opened
stat bound_file: 9 bytes, 644, is what is opened
stat hidden: ENOENT
stat plain: 12 bytes, 644, is what is opened
link node/tree/inner: f2, a symlink
link way: node/tree, a symlink
list .: bound bound_file greet node plain program target_file way
list node/tree: f1 f2 f3 inner program sub
list bound/place: program script x
list bound: place target
list hidden: ENOENT
END
sed '/^link way/a access node/tree/f1: done\naccess hidden_file: ENOENT' looks.go >looks
printf '%s\n' 'read f3: virtual 3' 'list sub: deep' >>looks
cat >acts <<'END'
write node/tree/f1: EROFS
write node/tree/new: EROFS
write bound/place/new: done
write bound/place/new: EEXIST
read bound/target/new: new
chmod bound/place/new: done
truncate bound/place/new: done
stat bound/place/new: 2 bytes, 640, is what is opened
mkdir bound/place/folder: done
rename bound/place/new: done
rename bound/place/folder/moved to plain2: EXDEV
rename node/tree/f1: EXDEV
link bound/place/folder/moved: done
symlink bound/place/symlink: done
link bound/place/symlink: ../../node/tree/f2, a symlink
read bound/place/symlink: virtual 2
list bound/target: folder link program script symlink x
unlink bound/place/symlink: done
unlink bound/place/link: done
unlink bound/place/folder/moved: done
rmdir bound/place/folder: done
unlink node/tree/f1: EROFS
unlink hidden_file: ENOENT
mkdir hidden: EPERM
rmdir bound/place: EBUSY
chdir bound/place: done
here: bound/place
read x: bound
read ../../plain: of the host
chdir ..: done
here: bound
chdir back: done
chdir node/tree/sub: done
here: node/tree/sub
read deep: deep
read ../f1: virtual 1
list .: deep
chdir ..: done
here: node/tree
chdir back: done
here: HERE
chdir hidden: ENOENT
run: bound
run: bound, by its whole name
run: script
run hidden/program: ENOENT
run: of the host
END
cat >acts.go <<'END'
write node/tree/f1: EROFS
write node/tree/new: EROFS
write bound/place/new: done
write bound/place/new: EEXIST
read bound/target/new: new
chmod bound/place/new: done
truncate bound/place/new: done
stat bound/place/new: 2 bytes, 640, is what is opened
mkdir bound/place/folder: done
rename bound/place/new: done
unlink bound/place/folder/moved: done
rmdir bound/place/folder: done
unlink node/tree/f1: EROFS
chdir bound/place: done
here: bound/place
read x: bound
chdir back: done
chdir node/tree/sub: done
here: node/tree/sub
read ../f1: virtual 1
chdir back: done
here: HERE
run: bound
run hidden/program: ENOENT
END

# What `names acts` says, but for its last line, which is about running the archive's program: that
# runs, or an error says that it can't.
virtual_run() {
    "$@" acts "$PLACE" program >acts.out 2>&1 || return
    tail -n 1 acts.out >acts.last
    sed '$d' acts.out
    grep -qE '^run: virtual$|^run node/tree/program: [A-Z]+$' acts.last
}
export -f virtual_run

for name in names names.musl names.raw names.dynamic names.dynamic_raw; do
    told "$name looks" looks in_session "$BARE/$name" looks "$PLACE"
    told "$name acts" acts bash -c 'virtual_run hirsel run --session t -- "$@"' x "$BARE/$name"
    echo "# $name, the archive's program: $(<acts.last)"
done
if [[ -x $BARE/names.go ]]; then
    told 'a Go program looks' looks.go in_session "$BARE/names.go" looks "$PLACE"
    told 'a Go program acts' acts.go in_session "$BARE/names.go" acts "$PLACE" program
fi

# ---- it is the trap server that does this ----
untrapped() {
    hirsel run --no-trap --session "$SESSION" -- "$@"
}
for name in names names.musl names.go; do
    [[ -x $BARE/$name ]] || continue
    "$BARE/$name" looks "$WORK/native" >native.out
    told "without the trap server $name sees the host" native.out untrapped "$BARE/$name" looks "$WORK/untrapped"
    "$BARE/$name" looks "$PLACE" >native.out
    if cmp -s native.out looks; then not_ok "natively $name sees something else"; else ok "natively $name sees something else"; fi
done

# ---- busybox ----
cd "$PLACE" || exit 1
busy() {
    in_session /bin/busybox "$@"
}
prints 'busybox ls of a virtual folder' "$(printf '%s\n' f1 f2 f3 inner program sub)" busy ls node/tree
in_session /bin/busybox ls -l node/tree | awk '$9 == "f1" { print $1, $5, $9 }' >../ls.out
prints 'busybox ls -l of it' '-rw-r--r-- 10 f1' cat ../ls.out
prints 'busybox cat' "$(printf '%s\n' 'Hello, world!' 'virtual 1' bound)" busy cat greet node/tree/f1 bound/place/x
status_is 'busybox cat of what is hidden' 1 busy cat hidden/x
busy find node/tree | LC_ALL=C sort >../find.out
prints 'busybox find' "$(printf '%s\n' node/tree node/tree/f1 node/tree/f2 node/tree/f3 node/tree/inner node/tree/program node/tree/sub node/tree/sub/deep)" \
    cat ../find.out
check 'busybox cp -r out of an archive' busy cp -r node/tree ../copied
check 'and it is whole' in_session diff -r node/tree ../copied
check 'busybox cp into a bind' busy cp node/tree/f2 bound/place/copy
prints 'it is there' 'virtual 2' cat bound/target/copy
check 'busybox mv within a bind' busy mv bound/place/copy bound/place/moved
check 'busybox mv out of a bind' busy mv bound/place/moved moved
prints 'it is there too' 'virtual 2' cat moved
check 'busybox rm' busy rm moved
check 'busybox rm -r' busy rm -r ../copied
check 'all is gone' test ! -e moved -a ! -e ../copied -a ! -e bound/target/moved
prints 'busybox sh goes into folders' "$(printf '%s\n' "$PLACE/node/tree/sub" deep "$PLACE/bound/place" bound "$PLACE/bound" /)" busy sh -c '
    cd node/tree/sub && pwd && cat deep && cd ../../../bound/place && pwd && cat x && cd .. && /bin/busybox pwd && cd / && pwd'
prints 'busybox sh makes and tests' made busy sh -c 'cd bound/place && echo made >new && test -f ../target/new && cat ../target/new && rm new && test ! -e ../target/new'
prints 'busybox runs what is behind a bind' 'run: by busybox' busy sh -c './bound/place/program "by busybox"'
busy sh -c 'cd node && exec /bin/busybox tar cf - tree' 2>../tar.err | tar tf - 2>>../tar.err | LC_ALL=C sort >../tar.out
prints 'busybox tar of a virtual folder' "$(printf '%s\n' tree/ tree/f1 tree/f2 tree/f3 tree/inner tree/program tree/sub/ tree/sub/deep)" cat ../tar.out ||
    show ../tar.err
cd "$WORK" || exit 1

# ---- nothing in the environment, nothing of libc ----
told 'env -i, a static program' looks in_session env -i "$BARE/names" looks "$PLACE"
told 'env -i, a dynamic one' looks in_session env -i "$BARE/names.dynamic" looks "$PLACE"
prints 'env -i twice' 'Hello, world!' in_session env -i /usr/bin/env -i /bin/sh -c 'exec /usr/bin/env -i /bin/cat place/greet'
prints 'a static program starts a dynamic one with no environment' 'Hello, world!' \
    in_session /bin/busybox env -i /bin/cat place/greet
prints 'which has no variable of ours' '' in_session /bin/busybox env -i /usr/bin/env
prints 'one with another LD_LIBRARY_PATH' 'Hello, world!' in_session env LD_LIBRARY_PATH=/nowhere cat place/greet
cat >asan.c <<'END'
#include <stdio.h>
int main(void)
{
    char line[64] = "nothing\n";
    FILE *file = fopen("place/greet", "r");
    if (file && fgets(line, sizeof line, file))
        fclose(file);
    fputs(line, stdout);
    return 0;
}
END
gcc -O1 -fsanitize=address -o asan asan.c
prints 'a program with AddressSanitizer' 'Hello, world!' in_session ./asan
prints 'and without an environment' 'Hello, world!' in_session env -i ./asan

# ---- ld.so and ldconfig ----
mkdir library
gcc -shared -fPIC -o library/libextra.so -Wl,-soname,libextra.so -x c - <<<'int extra(void) { return 42; }'
printf '%s\n' "$WORK/library" /lib/x86_64-linux-gnu /usr/lib/x86_64-linux-gnu >ld.so.conf
/sbin/ldconfig -X -f "$WORK/ld.so.conf" -C "$WORK/ld.so.cache" 2>ldconfig.err || show ldconfig.err
printf 'bind %s /etc/ld.so.cache\n' "$WORK/ld.so.cache" >cache.namespace
in_cache() {
    hirsel run --session "$SESSION" --namespace "$WORK/cache.namespace" -- "$@"
}
in_cache /sbin/ldconfig -p >ldconfig.out
prints 'ldconfig -p reads the bound cache' 1 grep -c "libextra.so .*$WORK/library" ldconfig.out || show ldconfig.out
prints 'natively it does not' 0 bash -c '/sbin/ldconfig -p | grep -c libextra; true'
gcc -o needs_extra -x c - -Llibrary -lextra <<<'int extra(void); int main(void) { return extra(); }'
status_is 'natively a program misses its library' 127 ./needs_extra
status_is 'ld.so finds it by the bound cache' 42 in_cache ./needs_extra
tar cf lib.tar library
check 'a library in an archive' hirsel settrans --session t -c libs archive "$WORK/lib.tar"
status_is 'ld.so finds it behind a translator' 42 in_session env LD_LIBRARY_PATH="$WORK/libs/library" ./needs_extra
gcc -o needs_rpath -x c - -Llibrary -lextra -Wl,-rpath,"$WORK/libs/library" <<<'int extra(void); int main(void) { return extra(); }'
status_is 'with no environment too' 42 in_session env -i ./needs_rpath

# ---- python, node, cargo ----
cat >see.py <<'END'
import os, sys
os.chdir("place")
print(open("greet").readline().strip(), open("node/tree/f1").read().strip(), open("bound/place/x").read().strip())
print(sorted(os.listdir("node/tree")), os.path.exists("hidden"), os.stat("node/tree/f1").st_size)
os.chdir("node/tree/sub"); print(os.path.relpath(os.getcwd(), sys.argv[1])); print(os.listdir("."))
END
printf '%s\n' 'Hello, world! virtual 1 bound' "['f1', 'f2', 'f3', 'inner', 'program', 'sub'] False 10" place/node/tree/sub "['deep']" >see.wanted
told python see.wanted in_session python3 see.py "$WORK"
told 'python with no environment' see.wanted in_session env -i /usr/bin/python3 -I see.py "$WORK"
told 'python below busybox' see.wanted in_session /bin/busybox env /usr/bin/python3 -I see.py "$WORK"
if type node >/dev/null 2>&1; then
    prints node "Hello, world! virtual 1 bound f1,f2,f3,inner,program,sub false $PLACE/node/tree/sub" in_session node -e '
        const fs = require("fs"); process.chdir("place"); const line = p => fs.readFileSync(p, "utf8").split("\n")[0];
        const told = [line("greet"), line("node/tree/f1"), line("bound/place/x"), fs.readdirSync("node/tree").join(), fs.existsSync("hidden")];
        process.chdir("node/tree/sub"); told.push(process.cwd()); console.log(told.join(" "))'
else
    skip 'node is not installed'
fi
if [[ -x /usr/bin/cargo ]]; then
    mkdir -p crate/src part/src
    printf '[package]\nname = "crate"\nversion = "0.1.0"\nedition = "2021"\n[dependencies]\npart = { path = "../part" }\n' >crate/Cargo.toml
    printf '[package]\nname = "part"\nversion = "0.1.0"\nedition = "2021"\n' >part/Cargo.toml
    echo 'pub fn told() -> String { std::fs::read_to_string("place/greet").unwrap_or_else(|e| e.to_string()) }' >part/src/lib.rs
    echo 'fn main() { print!("{}", part::told()); }' >crate/src/main.rs
    (cd crate && CARGO_HOME=$SCRATCH/tmp/cargo /usr/bin/cargo generate-lockfile --offline -q 2>/dev/null)
    tar cf crates.tar crate part && rm -r crate part
    check 'sources in an archive' hirsel settrans --session t -c crates archive "$WORK/crates.tar"
    prints 'cargo builds them and the program runs' 'Hello, world!' in_session \
        env CARGO_HOME="$SCRATCH/tmp/cargo" /usr/bin/cargo run --offline --locked -q -j1 \
        --manifest-path crates/crate/Cargo.toml --target-dir "$WORK/cargo.out"
else
    skip 'cargo is not installed'
fi

# Go's own tools are Go programs, too: they build what lies in an archive.
if [[ -x $BARE/names.go ]]; then
    mkdir source && cp "$PROGRAMS/names.go" source && printf 'module names\ngo 1.19\n' >source/go.mod
    tar cf source.tar source && rm -r source
    check 'Go sources in an archive' hirsel settrans --session t -c sources archive "$WORK/source.tar"
    check 'go builds them' in_session env GO111MODULE=on CGO_ENABLED=0 sh -c 'cd sources/source && exec go build -o "$WORK/names.built" .'
    told 'and what it built sees them' looks.go in_session ./names.built looks "$PLACE"
fi

# ---- under a debugger ----
for name in names names.musl names.dynamic; do
    in_session gdb -q -nx -batch -ex run -ex 'quit $_exitcode' --args "$BARE/$name" looks "$PLACE" 2>gdb.err |
        grep -E '^(read|stat|link|access|list) ' >gdb.out
    told "$name under gdb sees the session" looks cat gdb.out || show gdb.err
    told "$name under strace sees the session" looks in_session strace -f -o strace.out "$BARE/$name" looks "$PLACE"
    check 'and strace saw it' grep -q 'tree/f1' strace.out
done
in_session gdb -q -nx -batch -ex 'run "by gdb"' place/bound/place/program >gdb.out 2>&1
prints 'gdb runs a program behind a bind' 'run: by gdb' grep '^run:' gdb.out || show gdb.out
# A traced thread can't be guided: it is told so, and does not go somewhere else.
in_session strace -f -o strace.out "$BARE/names" acts "$PLACE" program >traced.out 2>&1
if grep -A1 '^chdir node/tree/sub: ' traced.out | tr '\n' ' ' | grep -qE 'sub: done here: node/tree/sub|sub: (EOPNOTSUPP|EPERM|EBUSY) here: HERE'; then
    ok "a traced static program goes into a virtual folder: $(grep '^chdir node/tree/sub' traced.out)"
else
    not_ok 'a traced static program goes into a virtual folder' && show traced.out
fi

# ---- descriptors that mean more than the kernel knows ----
inherit='import os, sys
descriptor = os.open("place/node/tree", os.O_RDONLY | os.O_DIRECTORY)
os.dup2(descriptor, 9); os.execv(sys.argv[1], sys.argv[1:])'
prints 'a virtual folder inherited by a static program' "$(printf '%s\n' f1 f2 f3 inner program sub)" \
    in_session python3 -c "$inherit" /bin/busybox ls /proc/self/fd/9/
cat >told.c <<'END'
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
int main(int count, char **words)
{
    struct stat named, opened;
    if (count < 2 || stat(words[1], &named) != 0 || fstat(open(words[1], O_RDONLY | O_DIRECTORY), &opened) != 0)
        return 1;
    return named.st_mode != opened.st_mode || named.st_uid != opened.st_uid || named.st_mtime != opened.st_mtime || named.st_mtim.tv_nsec != opened.st_mtim.tv_nsec;
}
END
gcc -static -O1 -o told told.c
check 'fstat tells a static program a virtual folder as stat does' in_session ./told place/node/tree
check 'of another mode and time, too' in_session ./told place/node/tree/sub
begun=$SECONDS
status_is 'without the trap server it fails' 1 untrapped python3 -c "$inherit" /bin/busybox cat /proc/self/fd/9/f1
if ((SECONDS - begun < 20)); then ok 'at once'; else not_ok "after $((SECONDS - begun)) s"; fi
check 'a node of a command' hirsel settrans --session t -c place/date -- echo of a command
prints 'a static program reads it' 'of a command' in_session /bin/busybox cat place/date
status_is 'and is told that it cannot be written' 1 in_session /bin/busybox sh -c 'echo x >>place/date'
check 'a device' hirsel settrans --session t -c place/null null
check 'a static program writes to it' in_session /bin/busybox sh -c 'echo x >place/null'

# ---- the libc copy is handed over at an exec: nobody notices ----
fds='import os; print(sorted(int(fd) for fd in os.listdir("/proc/self/fd"))[:-1])'
prints 'no descriptor comes along' "$(python3 -c "$fds")" in_session sh -c "python3 -c '$fds'"
prints 'nor behind another libc path' "$(python3 -c "$fds")" in_session sh -c "LD_LIBRARY_PATH=/nowhere python3 -c '$fds'"
prints 'nor to a script, nor by env -i' "$(python3 -c "$fds")" in_session sh -c "printf '#!/usr/bin/python3\n$fds\n' >fds && chmod +x fds && env -i ./fds"
prints 'nothing is left of an exec that fails' same in_session python3 -c '
import os
before = os.listdir("/proc/self/fd")
open("broken", "w").write("\x7fELF"); os.chmod("broken", 0o755); os.chmod("plain_file", 0o644) if os.path.exists("plain_file") else None
for i in range(300):
    for path in ("/none", "/usr", "/etc/passwd", "./broken"):
        try:
            os.execv(path, [path])
        except OSError:
            pass
    try:
        os.execve("/bin/true", ["true", "x" * 3000000], {})
    except OSError:
        pass
print("same" if os.listdir("/proc/self/fd") == before else os.listdir("/proc/self/fd"))'
prints 'many at the same time' 1200 in_session sh -c 'for i in 1 2 3 4; do (j=0; while [ $j -lt 300 ]; do /bin/echo x; j=$((j + 1)); done) & done | wc -l; wait'

# ---- ld.so's own files: bound from the start, they count ----
cat >spoken.c <<'END'
#include <unistd.h>
__attribute__((constructor)) static void speak(void)
{
    if (write(1, "preloaded\n", 10) < 0)
        _exit(1);
}
END
gcc -shared -fPIC -o spoken.so spoken.c && echo "$WORK/spoken.so" >preload
echo "bind $WORK/preload /etc/ld.so.preload" >preloading
prints 'a bound ld.so.preload is read' preloaded hirsel run --session "$SESSION" --namespace preloading -- /bin/true

# ---- a network of its own ----
in_private() {
    hirsel run --session "$SESSION" --net private -- "$@"
}
prints 'static server and client in a private network' 'of the host' in_private /bin/busybox sh -c '
    /bin/busybox httpd -f -p 127.0.0.1:80 -h place & server=$!
    for i in $(seq 600); do
        /bin/busybox wget -q -O - http://127.0.0.1/plain && break
        /bin/busybox sleep 0.1
    done
    kill $server'

log=$(session_directory)/log
if grep -qiE 'abort|assert|signal 11|sanitizer|killed' "$log"; then not_ok 'no server stumbled' && show "$log"; else ok 'no server stumbled'; fi
session_stop
if await 5 trap_gone; then ok 'no trap server is left'; else not_ok 'no trap server is left'; fi
finish
