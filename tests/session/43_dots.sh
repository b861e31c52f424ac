#!/bin/bash
# Paths that end with "." and the like, to calls that make, take away and rename: which error it is
# depends on what is in front of that, be it in a node, behind a forged record or behind a symlink
# whose way is known, not known or known no more. As natively, in a copy of the same tree.
. "$(dirname "$0")/lib.sh"

cat >ask.py <<'END'
import errno, os, sys, time
base = sys.argv[1]

def said(call, *arguments):
    try:
        call(*arguments)
        return "done"
    except OSError as error:
        # A node is a file system of its own, and one that changes nothing.
        return {errno.EXDEV: "busy", errno.EBUSY: "busy", errno.EPERM: "busy"}.get(error.errno, errno.errorcode[error.errno])

def ask(name, path):
    made = os.O_RDWR | os.O_CREAT
    print(name, said(os.unlink, path), said(os.rmdir, path), said(os.mkdir, path), said(os.symlink, "x", path), said(os.mknod, path),
          said(os.rename, path, base + "/plain/renamed"), said(os.rename, base + "/plain", path), said(os.link, path, base + "/plain/linked"),
          said(os.open, path, os.O_RDONLY), said(os.open, path, made), said(os.open, path, made | os.O_EXCL))

names = ["node/missing", "node/file", "node/deep", "node/inner", "node/dead", "node/outer", "node/file/x", "node/deep/er", "node/outer/sub",
         "tonode/missing", "tonode/deep", "tonode/file", "tomissing", "tohidden", "tohiddenx", "hidden", "hidden/x", "plain", "plain/none",
         "toplain", "toplain/sub", "toplain/none", "forged", "toforged", "forged/x", "none", "file", "tofile", "loop"]
ends = ["/.", "/./", "/.//./", "/..", "/../"]
for start in "/", base, base + "/toplain":
    os.chdir(start)
    before = base + "/" if start == "/" else "" if start == base else "../"
    for name in names:
        for end in ends:
            # Once where nothing is known of the way, once where it is.
            ask(name + end, before + name + end)
            said(os.stat, before + name + end)
            ask(name + end, before + name + end)
if os.path.isdir(base + "/node"):
    os.chdir(base + "/node")
    for name in "missing", "file", "deep", "inner", "dead", "outer", "deep/er":
        for end in ends:
            ask("from the node: " + name + end, name + end)

# What is known gets wrong, and old.
os.chdir(base)
for seconds in 0, 0.15:
    for end in ends[:3]:
        os.symlink("plain", "changing")
        ask("led to a folder", "changing" + end)
        os.unlink("changing")
        os.symlink("hidden", "changing")
        ask("led to what is hidden", "changing" + end)
        time.sleep(seconds)
        ask("led to what is hidden", "changing" + end)
        os.symlink("node/deep", "other")
        os.rename("other", "changing")
        ask("led into the node", "changing" + end)
        os.symlink("node/missing", "other")
        os.rename("other", "changing")
        ask("led to nothing there", "changing" + end)
        os.unlink("changing")
        ask("gone", "changing" + end)
        os.mkdir("changing")
        ask("a folder", "changing" + end)
        os.rmdir("changing")
        time.sleep(seconds)
        ask("no folder", "changing" + end)
        os.mkdir("changing")
        os.mkdir("changing/x")
        here = os.open(".", os.O_RDONLY)
        os.chdir("changing/x")
        ask("in a folder", "." + end)
        os.rmdir("../x")
        ask("in one that was removed", "." + end)
        os.fchdir(here)
        os.close(here)
        os.rmdir("changing")
END

for place in native place; do
    mkdir -p $place/{plain/sub,tree/deep/er}
    echo x >$place/tree/file
    ln -s deep $place/tree/inner
    ln -s nowhere $place/tree/dead
    ln -s ../plain $place/tree/outer
    ln -s node $place/tonode
    ln -s "$WORK/$place/node/missing" $place/tomissing
    ln -s hidden $place/tohidden
    ln -s hidden/x $place/tohiddenx
    ln -s "$WORK/$place/plain" $place/toplain
    ln -s "/.hirsel/1/$(printf %064d 0)/f/hello" $place/forged
    ln -s forged $place/toforged
    : >$place/file
    ln -s file $place/tofile
    ln -s loop $place/loop
done
mv native/tree native/node
tar cf place/.tar -C place/tree . && rm -r place/tree
mkdir -p place/away/x
python3 ask.py "$WORK/native" >native.out 2>&1
check 'natively' grep -q '^no folder' native.out
session_start
check 'an archive' hirsel settrans --session t -c "$WORK/place/node" archive "$WORK/place/.tar"
modes=('')
hirsel run --confine -- true 2>/dev/null && modes+=(--confine)
for what in 'nothing is shadowed' 'a hidden folder'; do
    if [[ $what == 'a hidden folder' ]]; then
        mv place/away place/hidden
        check "$what" hirsel bind --session t --hide "$WORK/place/hidden"
    fi
    for mode in "${modes[@]}"; do
        RUN_OPTIONS=$mode in_session python3 ask.py "$WORK/place" >session.out 2>&1
        cp native.out wanted.out
        # Of what was removed a confined program is told that nothing is there.
        [[ $mode ]] && sed -i '/^in one that was removed/d' wanted.out session.out
        if cmp -s wanted.out session.out; then ok "as natively ($(wc -l <native.out) lines), $what${mode:+, confined}"; else
            not_ok "$what${mode:+, confined}"
            diff wanted.out session.out >difference
            show difference
        fi
    done
done
session_stop
finish
