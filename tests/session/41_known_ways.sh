#!/bin/bash
# What a program has learned of one path must not speak of another: each question here comes within
# moments of one that makes the way to it known. Asked by a program with the shim and by one that
# goes through the trap server, each with and without the other's knowledge.
. "$(dirname "$0")/lib.sh"
. "$SOURCE/tests/session/trap.sh"

program walker.dynamic walker gcc
program walker walker gcc -static

# place/bound, place/veiled and place/shown are the host's; the first is bound over with `inside`,
# which has other files, the second is hidden. All that `link` and `again` lead to is the host's own.
umask 022
mkdir -p place/{bound,veiled,plain} inside apart/bound other/place
echo host >place/bound/file
echo host >place/veiled/file
echo host >place/plain/file
echo apart >apart/bound/file
echo inside >inside/file
echo more >inside/more
ln -s place link
ln -s "$WORK/place" again
ln -s ../place/bound other/way
ln -s "$WORK/place/veiled" other/veil
session_start
check 'a folder is bound over' hirsel bind --session t "$WORK/inside" "$WORK/place/bound"
check 'another is hidden' hirsel bind --session t --hide "$WORK/place/veiled"

# request OP PATH [FIELD=VALUE…]: a line of a walker's input.
request() {
    local fields
    fields=$(printf '\t%s' "${@:3}")
    printf 'op=%s\tpath=%s%s\n' "$1" "$2" "${fields%$'\t'}"
}
# What an answer says, shortened: a file's text, a size, an error's name.
short() {
    python3 -c 'import errno, json, sys
for line in sys.stdin:
    answer = json.loads(line)
    value = answer.get("value")
    if "error" in answer:
        print(errno.errorcode[answer["error"]])
    elif isinstance(value, list) and len(value) == 2 and isinstance(value[1], str):
        print(value[1].strip())
    elif isinstance(value, list) and len(value) == 6 and isinstance(value[0], int):
        print("inode", value[2])
    else:
        print(value)'
}
inode() {
    echo "inode $(stat -c %i "$1")"
}

# known NAME WARMING QUESTION WANTED: the answer to the question's last line, alone and after the
# warming, ten times over.
known() {
    local name=$1 warming=$2 question=$3 wanted=$4 who got turn lines
    lines=$(wc -l <<<"$question")
    for who in walker.dynamic walker; do
        got=$({
            printf '%s\n' "$question"
            for ((turn = 0; turn < 10; turn++)); do
                printf '%s\n' "$warming" "$question"
            done
        } | in_session "$BARE/$who" 2>&1 | short 2>&1 |
            awk -v lines="$lines" -v step="$(($(wc -l <<<"$warming") + lines))" '(NR - lines) % step == 0' | sort -u)
        if [[ $got == "$wanted" ]]; then
            ok "$name, $who"
        else
            not_ok "$name, $who: $(tr '\n' ' ' <<<"$got"), wanted $wanted"
        fi
    done
}

# behind LINK WARMING [HOW…]
behind() {
    local link=$1 warming=$2 warm how
    shift 2
    # shellcheck disable=SC2086
    warm=$(request $warming)
    for how in "${@:-0}"; do
        known "$link/bound ($how) behind ${warming//$WORK\//}" "$warm" \
            "$(request stat "$WORK/$link/bound" how="$how")" "$(inode inside)"
        known "a file in it" "$warm" "$(request read "$WORK/$link/bound/file" how="$how")" inside
    done
    known "$link/veiled" "$warm" "$(request lstat "$WORK/$link/veiled")" ENOENT
    known "a file in it" "$warm" "$(request read "$WORK/$link/veiled/file")" ENOENT
    known "access to it" "$warm" "$(request access "$WORK/$link/veiled")" ENOENT
    known "what only the bound one has" "$warm" "$(request read "$WORK/$link/bound/more")" more
    known "its list" "$warm" "$(request list "$WORK/$link/bound")" "[['file', 'f'], ['more', 'f']]"
}
behind link "stat $WORK/link/plain" 0 1 2
behind link "read $WORK/link/plain/file"
behind link "stat $WORK/link/missing"
behind link "list $WORK/link"
behind again "stat $WORK/again/plain"

# A call that is about the name itself does not follow it, with a slash behind it either.
for way in way veil; do
    wanted=ENOENT
    [[ $way == way ]] && wanted=inside
    for op in mkdir rmdir unlink; do
        known "$op other/$way/" "$(request "$op" "$WORK/other/$way/")" "$(request read "$WORK/other/$way/file")" "$wanted"
        known "$op other/$way" "$(request "$op" "$WORK/other/$way/.")" "$(request read "$WORK/other/$way/file")" "$wanted"
        known "$op $way/ from there" "$(request chdir "$WORK/other"; request "$op" "$way/")" \
            "$(request chdir "$WORK/other"; request "$op" "$way/"; request read "$way/file")" "$wanted"
    done
    known "a symlink other/$way/" "$(request symlink "$WORK/other/$way/" text=x)" "$(request read "$WORK/other/$way/file")" "$wanted"
done

# procfs leads each process elsewhere, and at each time.
for way in /proc/self/cwd /proc/thread-self/cwd /proc/self/root/proc/self/cwd /dev/fd/../cwd; do
    for path in "$way/bound/file" "$way/bound/" "$way/" "$way/bound/."; do
        known "$way behind ${path#"$way"}" \
            "$(request chdir "$WORK/apart"; request stat "$path")" \
            "$(request chdir "$WORK/place"; request read "$way/bound/file")" inside
    done
    known "$way/ is a folder" "$(request chdir "$WORK/apart"; request stat "$way/")" \
        "$(request chdir "$WORK/place"; request stat "$way/")" "$(inode place)"
done

# What is changed is the session's.
known 'a mode is changed behind a symlink' "$(request stat "$WORK/link/plain")" "$(request chmod "$WORK/link/bound" mode=448)" None
check "it is the bound folder's" test "$(stat -c %a place/bound inside)" = $'755\n700'
known 'a mount point is renamed' "$(request stat "$WORK/link/plain")" "$(request rename "$WORK/link/bound" "path2=$WORK/link/new")" EBUSY
check 'it is where it was' test -d place/bound

# What was not there a moment ago, and neither was the directory that it would be in. Natively `more`
# is nowhere: only the session's walk through `link` comes to it.
cat >missing.py <<'END'
import os, subprocess, sys, time
top, outside = sys.argv[1:]
LOOKS = (os.stat, os.lstat, lambda p: os.close(os.open(p, os.O_RDONLY)), lambda p: os.listxattr(p),
         lambda p: os.access(p, os.R_OK) or os.stat(p + ".missing"))


def answers(path):
    """How many looks find it; each by a relative and by an absolute name."""
    found = 0
    for look in LOOKS:
        for name in (path, f"{top}/{path}"):
            try:
                look(name)
                found += 1
            except FileNotFoundError:
                pass
    return found


def rename(make):
    make("made")
    os.rename("made", "gone")


def folder(at):
    os.mkdir(at)
    os.symlink("../place", f"{at}/way")


MAKERS = {
    "here": ("gone/bound/more", lambda: os.symlink("place", "gone")),
    "by another": ("gone/bound/more", lambda: subprocess.run(["ln", "-s", "place", "gone"], check=True)),
    "renamed": ("gone/bound/more", lambda: rename(lambda at: os.symlink("place", at))),
    "a folder renamed": ("gone/way/bound/more", lambda: rename(folder)),
    "in a new folder": ("gone/way/bound/more", lambda: (os.mkdir("gone"), answers("gone/way/bound/more"), os.symlink("../place", "gone/way"))),
    "a linked folder": ("link/absent/../bound/more", lambda: os.mkdir("place/absent")),
}
os.chdir(top)
for name, (path, make) in MAKERS.items():
    for _ in range(3):
        assert answers(path) == 0, name
    make()
    assert answers(path) == 2 * len(LOOKS), (name, answers(path))
    subprocess.run(["rm", "-rf", "gone", "made", "place/absent"], check=True)
    assert answers(path) == 0, name
# By somebody outside of the session: a moment later.
assert answers("gone/bound/more") == 0
open(outside, "w").close()
end = time.monotonic() + 10
while answers("gone/bound/more") != 2 * len(LOOKS):
    assert time.monotonic() < end
END
for how in '' --no-trap; do
    rm -rf gone asked
    (await 30 test -e asked && ln -s place gone) &
    check "what was missing is found when it is there ${how:-with trap}" hirsel run --session t $how -- python3 missing.py "$WORK" "$WORK/asked"
    wait $!
done
session_stop

# Wherever the text of a path lies. The two names differ by a letter whose bits the eighth behind it has.
plain=aoooooooooooooooooooooooo
bound=hoooooooooooooooooooooooo
mkdir place/$plain place/$bound
echo host | tee place/$plain/file >place/$bound/file
check 'a program with paths at the end of a page builds' cc -O1 -Wall -o crossing "$SOURCE/tests/session/programs/crossing.c"
session_start
check 'one of two folders is bound over' hirsel bind --session t "$WORK/inside" "$WORK/place/$bound"
check 'a path may lie across the end of a page' in_session ./crossing "$WORK/place/$plain/file" "$WORK/place/$bound/file"
check 'and valgrind finds nothing behind its end' hirsel run --session t --no-trap -- valgrind -q --error-exitcode=9 ./crossing "$WORK/place/$plain" "$WORK/place/$bound"
session_stop

# A node is a node to who opens the name itself, too, whatever way leads there; also where nothing is
# shadowed.
mkdir nodes
ln -s "$WORK/nodes" tonodes
session_start
check 'a node' hirsel settrans --session t -c "$WORK/nodes/greet" hello
for way in nodes tonodes; do
    prints "a node's name is opened at $way" 'file file' in_session python3 -c '
import os, stat, sys
def kind(status):
    return "file" if stat.S_ISREG(status.st_mode) else oct(status.st_mode)
path = sys.argv[1]
print(kind(os.fstat(os.open(path, os.O_PATH | os.O_NOFOLLOW))), kind(os.lstat(path)))' "$WORK/$way/greet"
done
session_stop
finish
