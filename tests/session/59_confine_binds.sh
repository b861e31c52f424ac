#!/bin/bash
# What a confined program may do by renames, links and the like is said by the bind that its names go
# through, and by the policy's word about the host's folder that this leads to: the same folder bound
# twice, once for reading only; binds in binds; one folder bound with parts that have other rights. And
# with races: names that are exchanged all the while. By a program that has the shim and a static one.
. "$(dirname "$0")/lib.sh"
. "$SOURCE/tests/session/trap.sh"
trap_needed
confine_needed

program walker.dynamic walker gcc
program walker walker gcc -static
program swing.dynamic swing gcc -pthread
program swing swing gcc -pthread -static

mkdir -p project/{rw,ro,reading,mix,plain} store/{sub,inner,opened} deep own outer/sub mix/{full,noexec,reading} pristine
for folder in store store/sub deep own outer outer/sub mix/full mix/noexec mix/reading project/plain; do
    echo "$folder" >"$folder/file"
    mkdir "$folder/folder"
done
session_start
check 'a folder' hirsel bind --session t "$WORK/store" "$WORK/project/rw"
check 'the same for reading only' hirsel bind --session t -r "$WORK/store" "$WORK/project/ro"
check 'one that may only be read, for writing' hirsel bind --session t "$WORK/outer" "$WORK/project/reading"
check 'a folder with parts of other rights' hirsel bind --session t "$WORK/mix" "$WORK/project/mix"
check 'in the first one that may only be read' hirsel bind --session t "$WORK/deep" "$WORK/project/rw/inner"
check 'in the second one that may be written' hirsel bind --session t "$WORK/own" "$WORK/project/ro/opened"
cp "$BARE"/{walker,swing}* project
cd project || exit 1
rights=(--allow-write "$WORK/store" --allow-write "$WORK/own" --allow-read "$WORK/deep" --allow-read "$WORK/outer"
    --allow-read "$WORK/mix" --allow-write "$WORK/mix/noexec" --allow-write "$WORK/mix/full" --allow-exec "$WORK/mix/full")
confined() { hirsel run --session t --confine "${rights[@]}" -- "$@"; }

short() {
    python3 -c 'import errno, json, sys
for line in sys.stdin:
    answer = json.loads(line)
    print(errno.errorcode[answer["error"]] if "error" in answer else "done")'
}
# asks WHO "OP PATH [PATH2] [FLAGS] WANTED"…: one after the other.
asks() {
    local who=$1 line op path path2 flags got wanted
    shift
    got=$(for line in "$@"; do
        read -r op path path2 flags _ <<<"$line"
        case $op in
            exchange) printf 'op=rename\tpath=%s\tpath2=%s\tflags=2\n' "$path" "$path2" ;;
            rename | link) printf 'op=%s\tpath=%s\tpath2=%s\n' "$op" "$path" "$path2" ;;
            symlink) printf 'op=symlink\tpath=%s\ttext=x\n' "$path" ;;
            make) printf 'op=make\tpath=%s\ttext=x\n' "$path" ;;
            *) printf 'op=%s\tpath=%s\n' "$op" "$path" ;;
        esac
    done | confined "./$who" 2>&1 | short 2>&1)
    wanted=$(for line in "$@"; do echo "${line##* }"; done)
    if [[ $got == "$wanted" ]]; then ok "$who: $# calls"; else
        not_ok "$who"
        paste -d' ' <(printf '%s\n' "$@") <(echo "$got") | awk '$NF != $(NF - 1)' | sed 's/^/#   /' | head -40
    fi
}

for who in walker.dynamic walker; do
    asks "$who" \
        "rename rw/file rw/new done" "rename rw/new rw/file done" "link rw/file rw/new done" "unlink rw/new done" "symlink rw/new done" \
        "exchange rw/new rw/file done" "exchange rw/new rw/file done" "unlink rw/new done" "rename rw/file rw/sub/new done" "rename rw/sub/new rw/file done" \
        "rename ro/file ro/new EROFS" "link ro/file ro/new EROFS" "symlink ro/new EROFS" "unlink ro/file EROFS" "rmdir ro/folder EROFS" \
        "mkdir ro/new EROFS" "exchange ro/file ro/sub/file EROFS" "rename ro/sub/file ro/sub/new EROFS" "make ro/new EROFS" \
        "rename rw/file ro/new EXDEV" "rename ro/file rw/new EXDEV" "link ro/file rw/new EXDEV" "link rw/file ro/new EROFS" "exchange rw/file ro/file EXDEV" \
        "rename rw/folder rw/sub/folder/x done" "rename rw/sub/folder/x rw/folder done" \
        "rename rw/inner rw/away EBUSY" "exchange rw/inner rw/sub EBUSY" "rmdir rw/inner EBUSY" "rename rw/file rw/inner/new EXDEV" "link rw/inner/file rw/new EXDEV" \
        "rename rw/inner/file rw/inner/new EACCES" "link rw/inner/file rw/inner/new EACCES" "symlink rw/inner/new EACCES" "unlink rw/inner/file EACCES" \
        "mkdir rw/inner/new EACCES" "make rw/inner/new EACCES" "exchange rw/inner/file rw/inner/folder EACCES" \
        "rename ro/opened/file ro/opened/new done" "rename ro/opened/new ro/opened/file done" "link ro/opened/file ro/opened/new done" \
        "unlink ro/opened/new done" "symlink ro/opened/new done" "unlink ro/opened/new done" "rename ro/opened/file ro/new EXDEV" "link ro/file ro/opened/new EXDEV" \
        "rename ro/opened ro/away EROFS" "rename ro/opened/file rw/new EXDEV" "exchange ro/opened/file rw/file EXDEV" \
        "rename reading/file reading/new EACCES" "unlink reading/file EACCES" "rename reading/sub/file reading/new EACCES" "symlink reading/sub/new EACCES" \
        "rename reading/file plain/new EXDEV" "link reading/file plain/new EXDEV" "rename plain/file reading/new EXDEV" "rename plain/file rw/new EXDEV" \
        "rename mix/full/file mix/noexec/new done" "rename mix/noexec/new mix/full/file EXDEV" "link mix/noexec/file mix/full/new EXDEV" \
        "exchange mix/noexec/file mix/noexec/new done" "exchange mix/full/folder mix/noexec/folder EXDEV" "rename mix/reading/file mix/full/new EACCES" \
        "rename mix/full/folder mix/reading/new EACCES" "link mix/noexec/file mix/noexec/second done" "unlink mix/noexec/second done" \
        "rename mix/noexec/folder mix/full/new EXDEV" "unlink mix/noexec/new done"
    cp ../pristine/* . 2>/dev/null
    echo mix/full >"$WORK/mix/full/file"
    echo mix/noexec >"$WORK/mix/noexec/file"
done

# ---- races ----

# What may only be read, as it is.
held_is() {
    (cd "$WORK" && find deep outer mix/reading -printf '%p %y %m %n %s %T@ %i\n' && find deep outer mix/reading -type f -exec sha256sum {} +) | LC_ALL=C sort
}
held_is >../held
# race NAME ONE OTHER FROM TO…: by both programs. `turns`: how its word begins.
turns=[1-9]
race() {
    local name=$1 who said
    shift
    for who in swing.dynamic swing; do
        said=$(confined "./$who" 1 "$@" 2>&1)
        if [[ $said == exchanged\ $turns* ]]; then ok "$name, $who: $said"; else not_ok "$name, $who: $said"; fi
    done
    if held_is | cmp -s - ../held; then ok "$name: what may only be read is as it was"; else
        not_ok "$name: what may only be read was changed"
        held_is | diff ../held - | head -10 | sed 's/^/#   /'
    fi
}
# Folders of one bind.
mkdir "$WORK"/store/{one,other}
touch "$WORK"/store/{one,other}/moved
race 'folders of a bind' rw/one rw/other rw/one/moved rw/other/moved
# A folder, and a symlink that leads to what may only be read: by a bind in that bind, by another bind
# of the folder, by another one.
for leads in inner ../ro ../reading ../mix/reading "$WORK/project/reading"; do
    mkdir -p "$WORK/store/way"
    rm -rf "$WORK/store/led"
    ln -s "$leads" "$WORK/store/led"
    touch "$WORK/store/thing"
    race "a symlink to $leads" rw/way rw/led rw/thing rw/way/landed
    check "a symlink to $leads: nothing came to where nothing can be changed" test ! -e "$WORK/store/landed"
    race "a symlink to $leads, from there" rw/way rw/led rw/way/file rw/landed
    rm -rf "$WORK"/store/{way,led,landed,thing}
done
# Rights to execute: what has none gets none, by no name.
for i in 1 2; do
    mkdir -p "$WORK"/mix/full/way "$WORK/mix/noexec/way"
    echo noexec >"$WORK/mix/noexec/tool"
    cp "$WORK/mix/noexec/tool" "$WORK/mix/noexec/way/tool"
    if ((i == 1)); then
        rm -f "$WORK/mix/full/led" && ln -s ../noexec "$WORK/mix/full/led"
        race 'from where nothing is executed' mix/full/way mix/full/led mix/full/way/tool mix/full/tool
    else
        turns='0 times, renamed 0, linked 0, exchanged 0,'
        race 'a folder that nothing is executed in' mix/full/way mix/noexec/way mix/noexec/tool mix/full/way/tool
    fi
    check 'nothing from there may be executed' test -z "$(grep -rl noexec "$WORK/mix/full" 2>/dev/null)"
    rm -rf "$WORK"/mix/full/{way,led,tool} "$WORK"/mix/noexec/{way,led,tool}
done
# What a bind lies in keeps its name.
mkdir -p "$WORK"/store/{above/bind,beside}
check 'a bind further below' hirsel bind --session t "$WORK/deep" "$WORK/project/rw/above/bind"
race 'a folder above a bind' rw/above rw/beside rw/above/bind/file rw/beside/file
session_stop
finish
