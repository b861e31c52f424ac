#!/bin/bash
# openat2 with its restrictions, in the session's view: binds and nodes are mounts, a node is no
# symlink, what a translator tells of is one, and nobody is led to the host's names behind what is
# shadowed. By a program with the shim and by one that goes through the trap server, and by both
# confined.
. "$(dirname "$0")/lib.sh"
. "$SOURCE/tests/session/trap.sh"

program walker.dynamic walker gcc
program walker walker gcc -static
program wide.dynamic wide gcc
program wide wide gcc -static

mkdir -p place/{bound,veiled,plain/deep,tree/sub} inside top/place
echo host >place/bound/file
echo secret >place/veiled/file
echo plain >place/plain/file
echo inside >inside/file
echo top >top/place/file
echo virtual >place/tree/file
echo deep >place/tree/sub/file
mkfifo inside/pipe
ln -s sub/file place/tree/inner
ln -s ../plain/file place/tree/outer
tar cf place/.tar -C place/tree . && rm -r place/tree
ln -s ../bound/file place/plain/across
ln -s /place/file place/rooted
ln -s "$WORK/place/bound" place/far
ln -s ../.. place/plain/deep/up
ln -s "/.hirsel/1/$(printf %064d 0)/f/hello" place/forged
session_start
check 'a folder is bound over' hirsel bind --session t "$WORK/inside" "$WORK/place/bound"
check 'another is hidden' hirsel bind --session t --hide "$WORK/place/veiled"
check 'an archive' hirsel settrans --session t -c "$WORK/place/node" archive "$WORK/place/.tar"
check 'a symlink of the table' hirsel bind --session t --symlink bound/file "$WORK/place/told"

short() {
    python3 -c 'import errno, json, sys
for line in sys.stdin:
    answer = json.loads(line)
    print(errno.errorcode[answer["error"]] if "error" in answer else answer["value"][1].strip() or "folder")'
}

# opens FOLDER "PATH RESOLVE WANTED"…: what each path gives from there.
opens() {
    local folder=$1 line who got wanted
    shift
    wanted=$(printf '%s\n' "$@" | cut -d' ' -f1-3)
    for who in walker.dynamic walker 'walker.dynamic confined' 'walker confined'; do
        # A confined program does not get to read the root.
        if [[ $who == *confined && (-z $CONFINED || $folder == /) ]]; then continue; fi
        [[ $who == *confined ]] && RUN_OPTIONS=--confine || RUN_OPTIONS=
        got=$({
            printf 'op=directory\tpath=%s\tnumber=1\n' "$folder"
            for line in "$@"; do
                read -r path resolve _ <<<"$line"
                printf 'op=read\thow=2\tat=1\tpath=%s\tresolve=%s\n' "$path" "$resolve"
            done
        } | in_session "$BARE/${who% *}" 2>&1 | tail -n +2 | short 2>&1)
        got=$(paste -d' ' <(cut -d' ' -f1,2 <<<"$wanted") - <<<"$got")
        if [[ $got == "$wanted" ]]; then
            ok "from $(basename "$folder"): $# opens, $who"
        else
            not_ok "from $(basename "$folder"), $who"
            diff <(echo "$wanted") <(echo "$got")
        fi
    done
}

CONFINED=
if hirsel run --confine -- true 2>why; then CONFINED=yes; else skip "confined programs: $(head -n 1 why)"; fi
xdev=1 magic=2 links=4 beneath=8 root=16 cached=32
opens "$WORK/place" \
    "plain/file $xdev plain" "plain/file $links plain" "plain/file $beneath plain" "plain/file $root plain" \
    "bound/file $xdev EXDEV" "bound/file $links inside" "bound/file $beneath inside" "bound/file $root inside" \
    "/bound/file $root inside" "/bound/../bound/file $root inside" "../../bound/file $root inside" \
    "bound/../plain/file $xdev EXDEV" "bound/../plain/file $beneath plain" \
    "veiled/file $links ENOENT" "veiled/file $beneath ENOENT" "/veiled/file $root ENOENT" "veiled $xdev ENOENT" \
    "plain/across $links ELOOP" "plain/across $beneath inside" "plain/across $root inside" "plain/across $xdev EXDEV" \
    "plain/deep/up/bound/file $beneath inside" "plain/deep/up/veiled/file $beneath ENOENT" \
    "../place/plain/file $beneath EXDEV" "$WORK/place/plain/file $beneath EXDEV" "$WORK/place/plain/file $root ENOENT" \
    "$WORK/place/bound/file $links inside" "$WORK/place/bound/file $xdev EXDEV" \
    "far/file $beneath EXDEV" "far/file $magic inside" "far/file $links ELOOP" \
    "told $links ELOOP" "told $beneath inside" "told $root inside" \
    "node/file $links virtual" "node/file $beneath virtual" "node/file $root virtual" "node/file $xdev EXDEV" \
    "node/file $cached EAGAIN" "node/inner $beneath deep" "node/inner $links ELOOP" \
    "node/outer $beneath plain" "node/outer $root plain" "node/../plain/file $xdev EXDEV" \
    "forged $links ENOENT" "forged $root ENOENT" \
    "/proc/self/cwd $magic ELOOP" "/proc/self/cwd/plain $links ELOOP" \
    "plain/file 24 EINVAL" "plain/file 64 EINVAL" "bound/file 64 EINVAL"
opens "$WORK/place/bound" \
    "file $xdev inside" "../plain/file $xdev EXDEV" "../plain/file $beneath EXDEV" "../file $root inside" \
    "../plain/file $links plain"
opens "$WORK/place/node" \
    "file $xdev virtual" "inner $xdev deep" "inner $beneath deep" "outer $beneath EXDEV" "outer $root ENOENT" \
    "../node/file $beneath EXDEV" "../file $root virtual" "outer $xdev EXDEV" "sub/../file $beneath virtual"
opens "$WORK/top" "../place/file $root top" "place/file $root top" "/place/file $root top"
opens / "proc/self/root/etc $beneath EXDEV" "proc/self/cwd $root EXDEV" ".hirsel/none $beneath ENOENT"
ln -s /place/file top/rooted
opens "$WORK/top" "rooted $root top" "rooted $beneath EXDEV"

# What it makes and opens anew, as python, which has the shim, is told.
cat >makes.py <<'END'
import ctypes, errno, os, struct, sys
libc = ctypes.CDLL(None, use_errno=True)
def opened(path, flags, mode=0, resolve=0, at=-100):
    how = struct.pack("QQQ", flags, mode, resolve)
    fd = libc.syscall(437, at, path.encode(), how, len(how))
    return fd if fd >= 0 else errno.errorcode[ctypes.get_errno()]
def shown(what, *arguments, **more):
    fd = opened(*arguments, **more)
    if not isinstance(fd, int):
        print(what, fd)
        return None
    status = os.fstat(fd)
    print(what, oct(status.st_mode), oct(libc.fcntl(fd, 3) & 0o30003003), os.get_inheritable(fd))
    return fd
os.umask(0o27)
there = os.open("place", os.O_RDONLY | os.O_DIRECTORY)
for folder in "plain", "bound":
    name = folder + "/made"
    fd = shown("made", name, os.O_CREAT | os.O_RDWR | os.O_EXCL, 0o666, 8, there)
    os.write(fd, b"text")
    print("made once", opened(name, os.O_CREAT | os.O_RDWR | os.O_EXCL, 0o666, 8, there))
    again = shown("opened anew", "/proc/self/fd/%d" % fd, os.O_RDONLY | os.O_CLOEXEC)
    print(os.read(again, 10), shown("not by that", "/proc/self/fd/%d" % fd, os.O_RDONLY, resolve=2))
    shown("its place", name, 0o10000000, 0, 4, there)
    shown("nameless", folder, 0o20200000 | os.O_RDWR, 0o600, 8, there)
    shown("emptied", name, os.O_WRONLY | os.O_TRUNC, 0, 16, there)
    print(os.stat("place/" + name).st_size)
    print("a mode without use", opened(name, os.O_RDONLY, 0o600, 8, there))
    os.unlink("place/" + name)
    shown("a pipe", "../inside/pipe", os.O_RDWR, 0, 0, there)
for path in "/dev/null", "/dev/tty", "/proc/self/status", "/proc/self/comm":
    shown(path, path, os.O_RDWR)
name = "/dev/shm/hirsel-openat2-%d" % os.getpid()
print("shared memory", isinstance(opened(name, os.O_CREAT | os.O_RDWR, 0o600), int))
os.unlink(name)
print(opened("place/plain/file", 0, at=999), opened("plain/file", 0, at=999), opened("", 0), opened("place/" + "n" * 256, 0))
print(libc.syscall(437, -100, None, struct.pack("QQQ", 0, 0, 0), 24), errno.errorcode[ctypes.get_errno()])
print(libc.syscall(437, -100, b"place", None, 24), errno.errorcode[ctypes.get_errno()])
END
in_session python3 makes.py >made.plain 2>&1
check 'what it makes' grep -q '^shared memory True' made.plain
if [[ $CONFINED ]]; then
    RUN_OPTIONS=--confine in_session python3 makes.py >made.confined 2>&1
    if cmp -s made.plain made.confined; then ok "what it makes, confined ($(wc -l <made.plain) lines)"; else
        not_ok 'what it makes, confined'
        diff made.plain made.confined >difference
        show difference
    fi
fi

for who in wide.dynamic wide 'wide.dynamic confined' 'wide confined'; do
    if [[ $who == *confined && -z $CONFINED ]]; then continue; fi
    [[ $who == *confined ]] && RUN_OPTIONS=--confine || RUN_OPTIONS=
    for path in place/plain/file place/bound/file; do
        said=$([[ $path == *bound* ]] && echo inside || echo plain)
        told=$(for words in '24 0 0' '24 8 0' '32 8 0' '4096 8 0' '32 8 1' '16 0 0' '0 0 0' '8000 8 0'; do
            # shellcheck disable=SC2086
            in_session "$BARE/${who% *}" "$path" $words
        done | tr '\n' ' ')
        check "$who: sizes of the struct, $path" test "$told" = "$said $said $said $said E2BIG EINVAL EINVAL E2BIG "
    done
    for resolve in 0 8; do
        in_session timeout 60 "$BARE/${who% *}" place/bound/pipe 24 $resolve 0 >pipe.out &
        in_session timeout 60 "$BARE/${who% *}" place/bound/pipe 24 $resolve 0 write
        wait $!
        check "$who: a FIFO behind the bind is waited at" test "$(<pipe.out)" = told
    done
    [[ $who == *confined ]] || continue
    for path in /etc/shadow "$HOME" "$(session_directory)/lock"; do
        told=$(in_session "$BARE/${who% *}" "$path" 24 0 0)
        check "$who: nothing that it is not allowed: $(basename "$path")" test "$told" = 'Permission denied' -o "$told" = 'No such file or directory'
    done
done
session_stop
finish
