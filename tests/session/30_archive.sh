#!/bin/bash
# A real .tar.xz, a Debian source tarball, behind a node, used by real programs, against the same
# archive unpacked: newlib's, and binutils' with LONG (or what HIRSEL_TEST_TARBALL names).
. "$(dirname "$0")/lib.sh"

tarball() {
    local tarball=${HIRSEL_TEST_TARBALL:-}
    if [[ -z $tarball ]]; then
        set -- /usr/src/newlib/newlib-*.tar.xz
        [[ -n $LONG ]] && set -- /usr/src/binutils/binutils-*.tar.xz
        tarball=$1
    fi
    check "the tarball $tarball" cp "$tarball" source.tar.xz
}

# The first C files of the current folder that compile without being configured.
compilable() {
    local file count=0
    while read -r file && ((count < 5)); do
        if gcc -w -c "${includes[@]}" -o "$WORK/x.o" "$file" 2>/dev/null; then
            echo "$file"
            count=$((count + 1))
        fi
    done
}

# What every real tarball may lack, in a second archive: odd links, modes, names, sizes.
oddities() {
    local tree=odd
    mkdir -p $tree/{bin,src,deep/er/and/deeper,empty,py/package}
    c_project $tree/project 12
    printf '#!/bin/sh\necho "script $0 $# $1"\n' >$tree/bin/script
    printf '#!/usr/bin/python3\nimport sys\nprint(sys.argv[1:])\n' >$tree/bin/script.py
    chmod 755 $tree/bin/script*
    cp /usr/bin/echo $tree/bin/elf
    gcc -static -o $tree/bin/static -x c - <<<'#include <stdio.h>
int main(void) { puts("static"); return 0; }'
    gcc -O1 -shared -fPIC -o $tree/bin/libnumber.so -x c - <<<'int number(void) { return 41; }'
    printf 'import package.part\nVALUE = package.part.VALUE + 1\n' >$tree/py/module.py
    echo 'VALUE = 6' >$tree/py/package/part.py && : >$tree/py/package/__init__.py
    seq 1000000 >$tree/big && truncate -s 40M $tree/sparse
    printf x | dd of=$tree/sparse bs=1 seek=30000000 conv=notrunc status=none
    ln $tree/big $tree/deep/hard
    ln -s ../bin/script $tree/deep/to_script && ln -s deep/er/and $tree/to_folder && ln -s nowhere $tree/dangling
    ln -s /etc/hostname $tree/absolute && ln -s ../../outside $tree/deep/outside && ln -s ../../../outside $tree/deep/out && ln -s loop $tree/loop
    mkfifo -m 640 $tree/fifo && touch -d '2002-02-02 02:02:02' $tree/fifo
    : >$tree/nothing && echo private >$tree/private && chmod 600 $tree/private
    chmod 2750 $tree/deep/er && chmod 555 $tree/empty
    printf a >"$tree/$(printf 'new\nline')" && printf b >$tree/$'bytes\xff\xfe' && printf c >"$tree/ space "
    printf d >"$tree/$(printf 'n%.0s' $(seq 255))"
    touch -h -d '2001-02-03 04:05:06' $tree/deep/to_script $tree/big && touch -d '1999-01-01' $tree/deep/er $tree/empty
    tar c --format=pax -f odd.tar $tree
    tar cJf implied.tar.xz $tree/bin/script && touch -d '2005-05-05 05:05:05.5' implied.tar.xz
    xz -0 -k odd.tar && gzip -k odd.tar && bzip2 -k odd.tar
    (cd $tree/py && zip -qr "$WORK/py.zip" .)
    (cd $tree && zip -qry "$WORK/odd.zip" project deep/er)
    ar rc parts.a $tree/big $tree/private
    chmod 755 $tree/empty && rm -rf $tree
}

# How a folder looks, without what is the file system's own (a folder's size and link count).
looks() {
    (cd "$1" && find . -mindepth 1 -type d -printf '%p d %m %U %T@\n' -o -printf '%p %y %m %n %s %U %T@ %l\n' | LC_ALL=C sort)
}

listed() {
    (cd "$1" && ls -AlR --time-style=full-iso | grep -v '^total ' | awk '/^d/ { $2 = $5 = "-" } { $1 = $1; print }')
}

# agree NAME COMMAND: run in the unpacked tree natively and below the node in the session.
agree() {
    local name=$1 command=$2 native status
    (cd "$plain" && bash -c "$command") >"$WORK/n.out" 2>&1 </dev/null
    native=$?
    (cd / && in_session bash -c "cd '$node' && $command") >"$WORK/s.out" 2>&1 </dev/null
    status=$?
    sed -i "s,$plain,HERE,g" "$WORK/n.out"
    sed -i "s,$node,HERE,g" "$WORK/s.out"
    if ((status == native)) && cmp -s "$WORK/n.out" "$WORK/s.out"; then
        ok "$name (status $native, $(wc -l <"$WORK/n.out") lines)"
    else
        not_ok "$name"
        echo "#   status $status, natively $native"
        diff -a "$WORK/n.out" "$WORK/s.out" | head -12 | sed 's/^/#   /'
    fi
}
export -f looks listed

tarball
oddities
mkdir unpacked plain
tar xf source.tar.xz -C unpacked
# A folder that has no entry of its own has the archive's time.
tar tf source.tar.xz | grep -q '^[^/]*/$' || touch -r source.tar.xz unpacked/*
tar xf odd.tar -C plain
echo 'outside of it' >outside && cp outside plain/outside

session_start
node=$WORK/node plain=$WORK/unpacked
check 'settrans of a real .tar.xz' hirsel settrans --session t -c "$node" archive "$WORK/source.tar.xz"
in_session ls -l "$WORK" >list 2>&1
if grep -q '^d.* node$' list; then ok 'ls -l shows a directory'; else not_ok 'ls -l shows a directory' && show list; fi
if [[ -z $(server_pid archive) ]]; then ok 'ls -l did not start it'; else not_ok 'ls -l did not start it'; fi
prints 'showtrans' "archive $WORK/source.tar.xz" hirsel showtrans --session t "$node"

agree 'find' 'find . | LC_ALL=C sort'
agree 'ls -lR' 'listed .'
agree 'modes, owners, sizes, times, links' 'looks .'
agree 'contents' 'find . -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum'
check 'cp -a out of it' in_session cp -a "$node" "$WORK/copied"
looks unpacked >a && looks copied >b
check 'the copy looks the same' cmp a b
check 'the copy is the same' diff -r --no-dereference unpacked copied
check 'diff -r against the unpacked tree' in_session diff -r --no-dereference "$node" unpacked
agree 'tar c' 'tar c --sort=name --numeric-owner * | sha256sum'
agree 'grep -r' 'grep -rIc the . | LC_ALL=C sort'
agree 'du of files, wc' 'find . -type f -print0 | LC_ALL=C sort -z | xargs -0 wc -c | tail -n 1'

# In its top folder: programs that work where a source tree lies.
top=$(cd unpacked && echo *)
plain=$WORK/unpacked/$top node=$WORK/node/$top
mapfile -t includes < <(cd "$plain" && find . -type d -name include | LC_ALL=C sort | head -n 20 | sed 's/^/-I/')
mapfile -t sources < <(cd "$plain" && find . -name '*.c' | LC_ALL=C sort | head -n 400 | compilable)
if ((${#sources[@]} > 0)); then ok "files to compile: ${sources[*]}"; else not_ok 'no file in it compiles'; fi
agree 'gcc -c of files in it' "for f in ${sources[*]}; do gcc -w -c ${includes[*]} -o '$WORK/x.o' \$f && nm '$WORK/x.o' || exit 1; done"
agree 'gcc -c in their folder' "cd \$(dirname ${sources[0]}) && gcc -w -c ${includes[*]/-I./-I$plain} -o '$WORK/x.o' \$(basename ${sources[0]}) && nm '$WORK/x.o'"
agree 'scripts of it run' './config.guess; ./config.sub amd64-linux; sh ./install-sh --version; $PWD/config.guess --version'
agree 'dirfds in it' 'python3 -c "
import os
d = os.open(\".\", os.O_RDONLY | os.O_DIRECTORY)
for top, folders, files, fd in os.fwalk(\".\", dir_fd=d):
    for f in sorted(files):
        s = os.stat(f, dir_fd=fd, follow_symlinks=False); print(top, f, s.st_size, s.st_nlink)
        e = os.open(f, os.O_RDONLY | os.O_NOFOLLOW, dir_fd=fd) if s.st_mode & 0o170000 == 0o100000 else -1
        if e >= 0: print(sum(os.read(e, 4096))); os.close(e)
" | LC_ALL=C sort | sha256sum'
ln -s "node/$top" in_node && ln -s "unpacked/$top" in_plain
node=$WORK/in_node plain=$WORK/in_plain
agree 'through a host symlink' 'listed . | sha256sum; ./config.guess; cd ..; ls -d "$OLDPWD"; cd - >/dev/null; cd -P .; ls | wc -l; find -L . -name "*.h" | LC_ALL=C sort | sha256sum'
in_session bash -c "cd '$WORK' && cat node/'$top'/*.sh node/../in_node/config.guess ./in_node/../'$top'/config.sub in_node/*/Makefile.in" >a 2>/dev/null
cat "$WORK/unpacked/$top"/*.sh in_plain/config.guess in_plain/config.sub in_plain/*/Makefile.in >b 2>/dev/null
check 'by relative paths' cmp a b

node=$WORK/odd plain=$WORK/plain/odd
check 'settrans of a .tar' hirsel settrans --session t -c "$node.node" archive "$WORK/odd.tar.xz"
node=$WORK/odd.node/odd
agree 'odd things look the same' 'looks .'
agree 'odd things hold the same' 'find . -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum'
agree 'tar c of odd things' 'tar c --sort=name --numeric-owner * | sha256sum'
prints 'a FIFO can be seen' 'fifo 640 1 2002-02-02 02:02:02.000000000 +0000' in_session stat -c '%F %a %h %y' "$node/fifo"
status_is 'and not opened' 1 in_session bash -c "timeout 60 cat '$node/fifo' 2>&1 | grep -q 'No such device or address' && exit 1; exit 2"
status_is 'nor executed' 13 in_session python3 -c 'import os, sys
try:
    os.execv(sys.argv[1], sys.argv[1:])
except OSError as error:
    sys.exit(error.errno)' "$node/fifo"
check 'and copied' in_session bash -c "cp -a '$node/fifo' copied_fifo && test -p copied_fifo"
agree 'a script runs' 'bin/script one two; ./bin/script.py a; deep/to_script x; sh bin/script'
agree 'ELF files run' 'bin/elf hello && bin/static'
agree 'a library from inside' 'python3 -c "import ctypes; print(ctypes.CDLL(\"$PWD/bin/libnumber.so\").number())"'
agree 'gcc -c of a file inside' 'gcc -O1 -Iproject/include -c -o "$WORK/x.o" project/src/part_3.c && nm "$WORK/x.o"'
agree 'make of the project, out of tree' 'make -s -f project/Makefile -C project -n | md5sum'
agree 'python imports from it' 'PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=py python3 -c "import module, package; print(module.VALUE, module.__file__)"'
agree 'mmap, seek, pread' 'python3 -c "
import mmap, os
f = open(\"sparse\", \"rb\"); m = mmap.mmap(f.fileno(), 0, prot=mmap.PROT_READ)
print(len(m), m.find(b\"x\")); f.seek(30000000); print(f.read(3)); print(os.pread(f.fileno(), 2, 29999999))
f = open(\"big\", \"rb\"); f.seek(-8, 2); print(f.read())"'
agree 'lstat, fstat and readdir agree' 'python3 -c "
import os
def identity(s): return s.st_dev, s.st_ino
for root, folders, files in os.walk(\".\"):
    for e in sorted(os.scandir(root), key=lambda e: e.name):
        a = os.lstat(e.path); assert e.inode() == a.st_ino, e.path
        if e.is_file(follow_symlinks=False) or e.is_dir(follow_symlinks=False):
            fd = os.open(e.path, os.O_RDONLY); assert identity(os.fstat(fd)) == identity(a), e.path; os.close(fd)
assert identity(os.stat(\"big\")) == identity(os.stat(\"deep/hard\")) and os.stat(\"big\").st_nlink == 2
print(\"agree\")"'
agree 'symlinks out of it and beyond' 'cat absolute dangling loop 2>&1; readlink absolute deep/outside to_folder; realpath to_folder; ls to_folder/; stat -c %F to_folder to_folder/.'
prints 'a relative symlink that leads out' 'outside of it' in_session cat "$WORK/odd.node/odd/deep/out"
agree 'cwd inside' 'cd deep/er && pwd && ls -a && cat ../../private && cd and && pwd -P && cd ../../.. && pwd && readlink /proc/self/cwd && cd to_folder && pwd && pwd -P && cd .. && pwd -P'
agree 'dirfds inside' 'python3 -c "
import os
d = os.open(\"deep\", os.O_RDONLY | os.O_DIRECTORY)
print(sorted(os.listdir(d)), os.stat(\"hard\", dir_fd=d).st_size, os.readlink(\"to_script\", dir_fd=d))
print(os.read(os.open(\"../private\", os.O_RDONLY, dir_fd=d), 9)); e = os.open(\"er\", os.O_RDONLY, dir_fd=d)
os.fchdir(e); print(os.getcwd(), os.stat(\"..\").st_ino == os.fstat(d).st_ino, os.path.samefile(\"and/..\", \".\"))
print(os.readlink(f\"/proc/self/fd/{e}\"))
import ctypes; b = ctypes.create_string_buffer(4096); ctypes.CDLL(None).readlink(b\"/proc/self/cwd\", b, 4096); print(b.value)
if os.fork() == 0: print(os.listdir(\".\"), flush=True); os._exit(0)
os.wait()"'
agree 'errors' 'cat none; cat big/x; ls big/; cd big; cat deep; cat "$(printf "n%.0s" $(seq 256))"; test -w private; bin/none; ./big; rmdir none'
node=$WORK/odd.node/odd
for change in 'touch new' 'mkdir new' 'rm -f big' 'rm -rf deep' 'mv big other' 'chmod 700 big' 'truncate -s 0 big' 'ln big other' 'ln -s a other' 'touch big' 'sh -c "echo x >>big"' 'rmdir empty'; do
    in_session bash -c "cd '$node' && $change" >out 2>&1
    status=$?
    if ((status)) && grep -q 'Read-only file system' out; then
        ok "read-only: $change"
    else
        not_ok "read-only: $change"
        show out
    fi
done
status_is 'mv out of it copies and then fails to remove' 1 in_session mv "$node/private" "$WORK/moved_out"
prints 'mv out of it left a copy' private cat "$WORK/moved_out"

ln -s odd.node/odd/deep host_link
ln -s "../${WORK##*/}/./odd.node/odd/to_folder/.." host_link2
prints 'through a host symlink' 1000000 in_session tail -n 1 host_link/hard
prints 'through a host symlink and ..' 1000000 in_session tail -n 1 host_link/../big
prints 'through two kinds of symlinks' 'deeper' in_session ls host_link/../to_folder
prints 'by a relative path' private in_session cat odd.node/odd/private
prints 'a host symlink, then a symlink inside' 'er hard out outside to_script' in_session bash -c "cd host_link && echo *"
prints 'find -L through it' 1 in_session bash -c 'find -L host_link -name deeper | wc -l'

# What libarchive reads, as the tools that are at home with it pack it. (rar: no free tool packs it.
# mtree is text that names files of the host, and not read.)
formats() {
    local i name
    mkdir -p f/sub/deep f/empty && seq 1000 >f/file && echo hello >f/sub/small && head -c 300000 /dev/urandom >f/sub/random
    printf '#!/bin/sh\n' >f/script && chmod 755 f/script && chmod 600 f/sub/small && : >f/nothing
    ln -s ../file f/sub/link && ln f/file f/sub/hard && cp -a f flat && rm flat/sub/link flat/sub/hard && cp -a flat bare && rm bare/nothing
    mkfifo -m 640 f/fifo
    mkdir p
    for name in v7 ustar oldgnu gnu posix; do tar cf p/all.$name --format=$name f; done
    for name in bin odc newc crc hpbin hpodc; do find f | cpio --quiet -o -H $name >p/all.cpio-$name; done
    for name in lzma uuencode b64encode zstd lz4 lzip compress; do bsdtar -cf p/all.tar-$name --format=pax --$name f; done
    bsdtar -cf p/all.xar --format=xar f
    (cd f && genisoimage -quiet -R -o ../p/top.iso .)
    (cd flat && genisoimage -quiet -J -o ../p/flat.joliet .)
    for name in lzma2 ppmd bzip2 deflate copy; do 7z a -bd -m0=$name p/flat.7z-$name ./flat/* >7z.out 2>&1 && mv p/flat.7z-$name* p/flat-$name.7z; done
    for name in deflate bzip2 lzma; do (cd flat && 7z a -bd -tzip -mm=$name ../p/flat-$name.zip . >../7z.out 2>&1); done
    (cd flat && gcab -c ../p/bare.cab file sub/small sub/random script && gcab -zc ../p/bare-z.cab file sub/small sub/random script)
    (cd bare && bsdtar -cf ../p/bare.warc --format=warc file script sub 2>/dev/null)
    python3 - <<'END'
import gzip, struct
def checksum(data):
    c = 0
    for b in data:
        c ^= b
        for _ in range(8):
            c = c >> 1 ^ 0xA001 if c & 1 else c >> 1
    return c
out = b""
for name in ("file", "script", "sub/small", "sub/random"):
    data = open("flat/" + name, "rb").read()
    head = b"-lh0-" + struct.pack("<IIIBBB", len(data), len(data), 0x3E44A0C5, 0x20, 0, len(name)) + name.encode()
    head += struct.pack("<H", checksum(data))
    out += bytes([len(head), sum(head) & 255]) + head + data
open("p/bare.lzh", "wb").write(out + b"\0")
part = b"\x8e\xad\xe8\x01" + bytes(12)
lead = b"\xed\xab\xee\xdb\x03\0\0\0\0\x01" + b"name".ljust(66, b"\0") + struct.pack(">HH", 1, 5) + bytes(16)
open("p/all.rpm", "wb").write(lead + part + part + gzip.compress(open("p/all.cpio-newc", "rb").read()))
END
}
sums() { (cd "$1" && find . -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum); }
export -f sums manifest
formats
manifest f >all.wanted && cp all.wanted top.wanted
grep -v ' p ' all.wanted >v7.wanted
sums flat >flat.wanted && sums bare >bare.wanted
for file in p/*; do
    name=${file#p/}
    hirsel settrans --session t -c "$name.node" archive "$WORK/$file" >out 2>&1
    # all, top: names, modes, links, sizes, contents; flat, bare (no empty file): contents.
    case $name in
    all.*) in_session bash -c "manifest $name.node/f" >found 2>&1 ;;
    top.*) in_session bash -c "manifest $name.node" >found 2>&1 ;;
    *) in_session bash -c "sums $name.node" >found 2>&1 ;;
    esac
    wanted=${name%%[.-]*}.wanted
    [[ $name == all.v7 ]] && wanted=v7.wanted
    if [[ -s $wanted ]] && cmp -s $wanted found; then ok "as packed by its own tool: $name ($(wc -l <found) lines)"; else
        not_ok "as packed by its own tool: $name"
        diff -a $wanted found >out
        show out
    fi
done

check 'settrans of an archive without entries for its folders' hirsel settrans --session t -c implied.node archive "$WORK/implied.tar.xz"
prints 'they have its time' '2005-05-05 05:05:05.500000000 +0000' in_session stat -c %y implied.node/odd/bin

for format in odd.tar odd.tar.gz odd.tar.bz2; do
    check "settrans of $format" hirsel settrans --session t -c "$WORK/n.$format" archive "$WORK/$format"
    check "$format holds the same" in_session diff -r --no-dereference "$WORK/n.$format/odd/project" plain/odd/project
done
check 'settrans of a .zip' hirsel settrans --session t -c zip.node archive "$WORK/py.zip"
prints 'python imports a module from inside a .zip' 7 in_session env PYTHONDONTWRITEBYTECODE=1 PYTHONPATH="$WORK/zip.node" python3 -c 'import module; print(module.VALUE)'
check 'a .zip with symlinks' hirsel settrans --session t -c zip2.node archive "$WORK/odd.zip"
check 'its contents' in_session diff -r --no-dereference zip2.node/project plain/odd/project
check 'settrans of an ar archive' hirsel settrans --session t -c ar.node archive "$WORK/parts.a"
prints 'its contents' private in_session cat ar.node/private

# Life: asked to go it goes, and comes back on the next use.
prints 'it answers' 'VALUE = 6' in_session cat zip.node/package/part.py
running() { hirsel ps --session t --servers | grep -c archive; }
before=$(running)
check 'it runs once it was used' test "$before" -gt 0
check 'settrans -a -g' hirsel settrans --session t -a -g "$WORK/zip.node"
fewer() { [[ $(running) == $((before - 1)) ]]; }
if await 5 fewer; then ok 'it went away'; else not_ok 'it went away'; fi
prints 'and it starts again' 'VALUE = 6' in_session cat zip.node/package/part.py
if [[ $(readlink zip.node) == /.hirsel/1/*/d/archive/* ]]; then ok 'outside it is one dangling symlink'; else not_ok "outside it is one dangling symlink: $(readlink zip.node)"; fi
session_stop
session_start again
check 'the node is there in the next session' in_session test -f zip.node/module.py
check 'settrans of the node alone takes it away' hirsel settrans --session again "$WORK/zip.node"
status_is 'it is gone' 1 test -L zip.node
check 'outside, rm takes a node away' rm zip2.node
status_is 'and it is gone in the session' 2 in_session ls zip2.node
session_stop again
finish
