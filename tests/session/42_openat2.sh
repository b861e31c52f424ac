#!/bin/bash
# openat2 with its restrictions, in the session's view: binds and nodes are mounts, a node is no
# symlink, what a translator tells of is one, and nobody is led to the host's names behind what is
# shadowed. By a program with the shim and by one that goes through the trap server.
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
    for who in walker.dynamic walker; do
        got=$({
            printf 'op=directory\tpath=%s\tnumber=1\n' "$folder"
            for line in "$@"; do
                read -r path resolve _ <<<"$line"
                printf 'op=read\thow=2\tat=1\tpath=%s\tresolve=%s\n' "$path" "$resolve"
            done
        } | in_session "$BARE/$who" 2>&1 | tail -n +2 | short 2>&1)
        got=$(paste -d' ' <(cut -d' ' -f1,2 <<<"$wanted") - <<<"$got")
        if [[ $got == "$wanted" ]]; then
            ok "from $(basename "$folder"): $# opens, $who"
        else
            not_ok "from $(basename "$folder"), $who"
            diff <(echo "$wanted") <(echo "$got")
        fi
    done
}

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

for who in wide.dynamic wide; do
    for path in place/plain/file place/bound/file; do
        said=$([[ $path == *bound* ]] && echo inside || echo plain)
        told=$(for words in '24 0 0' '24 8 0' '32 8 0' '4096 8 0' '32 8 1' '16 0 0' '0 0 0' '8000 8 0'; do
            # shellcheck disable=SC2086
            in_session "$BARE/$who" "$path" $words
        done | tr '\n' ' ')
        check "$who: sizes of the struct, $path" test "$told" = "$said $said $said $said E2BIG EINVAL EINVAL E2BIG "
    done
    in_session timeout 60 "$BARE/$who" place/bound/pipe 24 8 0 >"$who.out" &
    in_session timeout 60 "$BARE/$who" place/bound/pipe 24 8 0 write
    wait $!
    check "$who: a FIFO behind the bind is waited at" test "$(<"$who.out")" = told
done
session_stop
finish
