#!/bin/bash
# Real programs in a session whose table holds a bind, a hidden path and a translator: what they
# print and what they leave is byte for byte what it is natively.
. "$(dirname "$0")/lib.sh"

export GIT_AUTHOR_NAME=Shepherd GIT_AUTHOR_EMAIL=shepherd@example.org
export GIT_COMMITTER_NAME=Shepherd GIT_COMMITTER_EMAIL=shepherd@example.org
export GIT_AUTHOR_DATE='2024-01-02T03:04:05Z' GIT_COMMITTER_DATE='2024-01-02T03:04:05Z'
export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_NOSYSTEM=1

git_work() {
    set -e
    mkdir up && cd up && git init -q -b main .
    for i in $(seq 1 60); do
        mkdir -p "d$((i % 7))"
        seq "$i" $((i * 3)) >"d$((i % 7))/f$i"
    done
    ln -s d1/f1 link
    printf '#!/bin/sh\necho ran\n' >run.sh && chmod +x run.sh
    git config gc.auto 0
    git add -A && git commit -q -m 'The first'
    cd .. && git clone -q up down && cd down
    ./run.sh
    git checkout -q -b work
    echo more >>d1/f1 && git mv d2/f2 d2/moved && rm d3/f3
    git add -A && git commit -q -m 'Change some'
    git status --short && git log --stat --format='%H %s' && git diff HEAD~1 --stat
    git worktree add -q --detach ../tree main && git -C ../tree log --format=%H
    git checkout -q main && git merge -q --no-ff -m Merge work && git push -q origin work
    git -c pack.threads=1 gc -q && git fsck --no-progress && git rev-parse HEAD
    git stash list && git grep -n 17 | head -20
    git archive HEAD | tar t | LC_ALL=C sort
    # Names of packs' indexes and reflogs are settled by content; times in them are not compared.
    rm -rf .git/objects/info/commit-graphs
    git -C ../up log --format='%H %s' work
}

make_work() {
    c_project . 40
    make -j2 -s 2>&1 && ./program && touch -d '2001-01-01' src/part_3.c && make -s -q && echo 'up to date'
    echo 'int part_3_more;' >>src/part_3.c
    make -j2 2>&1 | grep -c 'cc -O1' && ./program && make -n | wc -l
    gcc -O1 -shared -fPIC -o libx.so -x c - <<<'int x(void){return 42;}'
    gcc -o usex -x c - -L. -lx -Wl,-rpath,'$ORIGIN' <<<'int x(void); int main(void){return x();}'
    ./usex
    echo $?
}

python_work() {
    mkdir -p pkg/sub tree/{a,b/c}
    echo 'VALUE = 7' >pkg/sub/mod.py && touch pkg/__init__.py pkg/sub/__init__.py
    for i in 1 2 3; do echo "$i" >tree/a/$i && ln -s ../a/$i tree/b/l$i; done
    cat >script.py <<'END'
import asyncio, ast, collections, concurrent.futures, csv, ctypes, decimal, email, fcntl, glob, gzip
import hashlib, http.client, http.server, importlib, io, json, locale, mmap, multiprocessing, os, pathlib
import pickle, select, shutil, signal, socket, sqlite3, ssl, stat, subprocess, sys, tempfile, threading
import time, unittest, urllib.request, uuid, venv, xml.dom.minidom, zipfile, zipimport, zlib
sys.dont_write_bytecode = True
import pkg.sub.mod
print(pkg.sub.mod.VALUE, pkg.sub.mod.__file__)
for folder, names, files in sorted(os.walk("tree", followlinks=True)):
    print(folder, sorted(names), sorted(files), [open(os.path.join(folder, f)).read() for f in sorted(files)])
print(os.getcwd(), os.path.realpath("tree/b/l1"), pathlib.Path("tree/b/l2").resolve())
print(sorted(glob.glob("tree/**", recursive=True)))
print(sys.executable, os.readlink("/proc/self/exe"), os.readlink("/proc/self/cwd"))
for i in range(5):
    print(subprocess.run(["sh", "-c", f"echo {i}; exit {i}"], capture_output=True))
print(subprocess.run("pwd; ls", shell=True, cwd="tree", capture_output=True).stdout)
try:
    subprocess.run(["/nonexistent/program"])
except OSError as e:
    print(e)
lock, total = threading.Lock(), collections.Counter()
def work(n):
    for k in range(20):
        with open(f"t{n}", "a") as f:
            f.write(f"{k}\n")
        with lock:
            total[os.stat(f"t{n}").st_size] += 1
threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
[t.start() for t in threads]; [t.join() for t in threads]
print(sorted(total.items()))
def square(n):
    return n * n, os.path.exists("tree/a/1")
if __name__ == "__main__":
    with multiprocessing.Pool(2) as pool:
        print(pool.map(square, range(6)))
    with concurrent.futures.ThreadPoolExecutor(4) as ex:
        print(list(ex.map(lambda n: open("tree/a/1").read(), range(4))))
    async def both():
        p = await asyncio.create_subprocess_exec("cat", "tree/a/2", stdout=subprocess.PIPE)
        print((await p.communicate())[0], p.returncode)
    asyncio.run(both())
    shutil.copytree("tree", "copy", symlinks=True); shutil.move("copy", "moved")
    with tempfile.TemporaryDirectory(dir=".") as d, tempfile.TemporaryFile(dir=".") as f, \
            tempfile.NamedTemporaryFile(dir=d) as n:
        f.write(b"x"); print(os.fstat(f.fileno()).st_size, os.path.exists(n.name))
    fd = os.open("tree", os.O_RDONLY); print(sorted(os.listdir(fd)), os.stat("a/1", dir_fd=fd).st_size)
    os.fchdir(fd); print(os.getcwd()); os.chdir("..")
    with open("m", "w+b") as f:
        f.truncate(4096); m = mmap.mmap(f.fileno(), 4096); m[:3] = b"abc"; m.flush()
    print(open("m", "rb").read(4))
    with zipfile.ZipFile("z.zip", "w") as z:
        z.writestr(zipfile.ZipInfo("zmod.py"), "W = 9\n")
    sys.path.insert(0, "z.zip"); print(importlib.import_module("zmod").W)
    r, w = os.pipe()
    if os.fork() == 0:
        os.chdir("tree"); os.write(w, os.getcwd().encode()); os._exit(3)
    print(os.wait()[1], os.read(r, 999))
    for call in (lambda: open("no/such"), lambda: os.mkdir("tree"), lambda: os.rmdir("tree"),
                 lambda: open("tree"), lambda: os.open("m", os.O_CREAT | os.O_EXCL), lambda: os.readlink("m"),
                 lambda: os.stat("m/x"), lambda: os.stat("x" * 300), lambda: os.stat("y/" * 3000)):
        try:
            call()
        except OSError as e:
            print(e.errno, e.strerror)
END
    touch -d 2020-01-01 script.py pkg/*.py pkg/sub/*.py
    python3 script.py 2>&1 | sed "s/tmp[a-z0-9_]*/TMP/g"
    rm -rf pkg/__pycache__ pkg/sub/__pycache__
}

bash_work() {
    cat >jobs.sh <<'END'
set -m
sleep 100 & one=$!
sleep 100 & two=$!
jobs -l | sed "s/  *[0-9]\{2,\}/ PID/"
kill -STOP $one; until [[ $(jobs %1) == *Stopped* ]]; do :; done; echo stopped
kill -CONT $one; until [[ $(jobs %1) == *Running* ]]; do :; done; kill $one; wait $one; echo "one: $?"
kill -9 $two; wait $two 2>/dev/null; echo "two: $?"
(exit 7) & wait $!; echo "$?"
trap 'echo usr1' USR1; kill -USR1 $$; trap 'echo bye' EXIT
coproc cat; echo coproc >&"${COPROC[1]}"; read -r line <&"${COPROC[0]}"; echo "$line"; eval "exec ${COPROC[1]}>&-"; wait
diff <(seq 5) <(seq 6); while read -r n; do echo "<$n>"; done < <(seq 3)
cat <<< here; exec 5>five; echo to five >&5; exec 5>&-; cat five
shopt -s globstar nullglob; mkdir -p a/b/c; touch a/b/c/d a/x; echo **; cd a/b; pwd; cd -; cd ../"${PWD##*/}"; pwd -P
(cd a && cd .. && pwd); echo {1..5}; mapfile -t l < five; echo "${#l[@]}"; ulimit -c; umask 027; : >masked; stat -c %a masked
timeout 0.2 sleep 9; echo "timeout: $?"; ( kill -TERM $BASHPID ); echo "term: $?"
nosuchcommand; echo "$?"; ./five; echo "$?"; test -x five; echo $?; type -t ls; command -v sh
for i in $(seq 20); do /bin/true || echo bad; done; yes 2>/dev/null | head -c 100000 | wc -c; seq 1000 | sort -rn | tail -1
read -t 0.1 -r x < <(exec sleep 100); echo "read: $?"; kill $!; fg 2>&1 | sed 's/line [0-9]*/line/'
END
    bash jobs.sh 2>&1
}

files_work() {
    set -e
    mkdir -p src/deep/er
    cp -r /usr/include/linux src/inc
    printf 'name with\nnewline' >$'src/new\nline'
    printf x >$'src/bytes\xff\xfe'
    ln -s nowhere src/dangling && ln -s deep/er src/link && ln src/inc/fs.h src/deep/hard && mkfifo src/fifo
    chmod 640 src/inc/fs.h && touch -d 2011-11-11 src/deep/er && : >src/empty && truncate -s 1M src/sparse
    cp -a src copy && diff -r --no-dereference src copy -x fifo && stat -c '%n %a %h' copy/inc/fs.h copy/deep/hard && stat -c %y copy/deep/er
    tar cf a.tar --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner src && sha256sum a.tar && mkdir out && tar xf a.tar -C out
    tar tvf a.tar | grep -v /inc/
    diff -r --no-dereference src out/src -x fifo
    tar c src | xz -0 | tar xJO --wildcards 'src/inc/f*' | md5sum
    find src -newermt 2011-11-12 -type f -size +4k | LC_ALL=C sort
    find src -name '*.h' -exec grep -l define {} + | LC_ALL=C sort | md5sum
    grep -rn O_CREAT src | LC_ALL=C sort && grep -rc include src/inc 2>&1 | LC_ALL=C sort | tail -5
    du -s --apparent-size src/inc/fs.h && ls -lR --time-style=+%s src/deep | sed 's/ [0-9]\{10\} / T /' && ls -q src
    find src/inc/fs.h src/deep -exec touch -h -d 2012-01-01 {} + && zip -qXr z.zip src/inc/fs.h src/deep -y && unzip -qd u z.zip && diff -r --no-dereference src/deep u/src/deep
    gzip -nk src/inc/fs.h && zcat src/inc/fs.h.gz | cmp - src/inc/fs.h
    mv copy moved && rm -r moved && ls && rmdir src 2>&1 || true
    (cd src/link && pwd && pwd -P && ls .. && cat ../hard | wc -l)
    realpath src/link src/dangling && readlink -f src/link/../hard && test -e src/dangling || echo dangling
    install -m 751 -D src/inc/fs.h i/j/k.h && stat -c %a i/j/k.h && dd if=src/sparse of=dd bs=4k count=3 status=none
    split -b 1000 src/inc/fs.h part. && cat part.* | cmp - src/inc/fs.h && rm -rf out src/fifo u
    chmod 000 i/j/k.h; cat i/j/k.h 2>&1 || true; chmod 600 i/j/k.h; truncate -s 5 i/j/k.h; cat i/j/k.h
    flock i/j/k.h -c 'flock -n i/j/k.h true || echo locked'
}

sqlite_work() {
    sqlite3 db <<'END'
pragma journal_mode=wal;
create table sheep(id integer primary key, name text, mark blob);
begin;
with recursive n(i) as (select 1 union all select i+1 from n where i<5000) insert into sheep select i, 'ewe '||i, x'00ff'||i from n;
commit;
create index by_name on sheep(name);
delete from sheep where id % 3 = 0; update sheep set name='tup' where id % 100 = 1;
select count(*), sum(length(name)) from sheep; select * from sheep where name='tup' limit 3;
vacuum into 'copy.db'; pragma integrity_check; attach 'copy.db' as c; select count(*) from c.sheep;
.output dump.sql
.dump
END
    sqlite3 copy.db 'select md5 from (select count(*) as md5 from sheep)'
    (for i in 1 2 3 4; do sqlite3 -cmd '.timeout 60000' db "insert into sheep(name) values('writer')" & done; wait)
    sqlite3 db "select count(*) from sheep where name='writer'; pragma wal_checkpoint(truncate); pragma journal_mode=delete"
    rm -f db
}

perl_work() {
    mkdir -p t/{a,b} && touch t/a/1 t/b/2
    perl -MFile::Find -MFile::Temp=tempfile -MCwd=getcwd,abs_path -MFile::Copy -MFile::Path=make_path,remove_tree \
        -MIO::Socket::INET -MPOSIX -MStorable -MData::Dumper -e '
        find({wanted => sub { push @f, $File::Find::name }, no_chdir => 0}, "t"); print join(" ", sort @f), "\n";
        print getcwd, " ", abs_path("t/../t/a"), "\n"; copy("t/a/1", "t/a/c"); make_path("x/y/z"); remove_tree("x");
        my $pid = fork // die; if (!$pid) { chdir "t"; print "child ", getcwd, "\n"; exit 5 } waitpid $pid, 0; print $? >> 8, "\n";
        open my $p, "-|", "ls t" or die; print <$p>; close $p; print `pwd`; print join(",", sort <t/*/*>), "\n";
        my ($fh, $n) = tempfile(DIR => "."); print $fh "x"; close $fh; print -s $n, "\n"; unlink $n;
        rename "t/a/c", "t/b/c" or die; symlink "b", "t/s"; print readlink "t/s", "\n"; opendir my $d, "t/s"; print sort grep !/^\./, readdir $d; print "\n";
        print -e "t/none" ? 1 : 0, $!, "\n"; mkdir "t" or print "$!\n"; system "exit 3"; print $? >> 8, "\n"; local $SIG{ALRM} = sub { die "alarm\n" }; alarm 1; eval { POSIX::pause() }; print $@;
        exec "sh", "-c", "echo last; exit 0"'
}

node_work() {
    mkdir -p d/e && echo hello >d/e/f && echo 'module.exports = 5' >d/mod.js
    node -e '
    const fs=require("fs"),cp=require("child_process"),path=require("path"),{Worker}=require("worker_threads");
    console.log(process.cwd(), fs.readdirSync("d"), fs.statSync("d/e/f").size, fs.realpathSync("d/../d/e"), require("./d/mod.js"));
    fs.symlinkSync("e","d/l"); console.log(fs.readlinkSync("d/l"), fs.readFileSync("d/l/f","utf8"), fs.existsSync("nope"));
    console.log(cp.execFileSync("sh",["-c","pwd; exit 0"]).toString(), cp.spawnSync("sh",["-c","exit 4"]).status);
    try { fs.openSync("no/such") } catch (e) { console.log(e.code) }
    const net=require("net"); const s=net.createServer(c=>c.end("from server")).listen(path.resolve("sock"),()=>{
      net.connect("sock").on("data",b=>console.log(b.toString())).on("end",()=>{ s.close();
        new Worker("const{parentPort}=require(\"worker_threads\");parentPort.postMessage(require(\"fs\").readFileSync(\"d/e/f\",\"utf8\"))",{eval:true}).on("message",m=>console.log(m));
        fs.promises.readdir("d").then(async l=>{console.log(l); for(let i=0;i<50;i++) await fs.promises.writeFile("w"+i,""+i); console.log((await Promise.all([...Array(50).keys()].map(i=>fs.promises.readFile("w"+i,"utf8")))).join(""))});
        cp.exec("ls d",(e,o)=>console.log(o)); }) });' 2>&1 | LC_ALL=C sort
}

vim_work() {
    seq 100 >text
    printf '%s\n' '%s/^5/five /' 'g/7$/d' 'normal Gosome text' 'w! out' 'r !pwd' 'w! out2' \
        'saveas! third' 'e! text' '1,50d' 'w' 'call writefile(readdir("."), "names")' 'qa!' >edit.vim
    vim -u NONE -N -n -i NONE -es -S edit.vim
    echo $?
    md5sum <out
    tail -n 3 out2 third text && cat names
}

tmux_work() {
    export TMUX_TMPDIR=$PWD
    tmux -f /dev/null -L s new-session -d -x 80 -y 24 'PS1="> " sh'
    tmux -L s send-keys 'cd /usr/include && pwd && echo done > '"$PWD/flag" Enter
    for _ in $(seq 3000); do [ -s flag ] && break; sleep 0.02; done
    for _ in $(seq 3000); do tmux -L s capture-pane -p | grep -o '/usr/include$' && break; sleep 0.02; done
    tmux -L s new-window -d -n second 'sleep 60' && tmux -L s list-windows -F '#{window_index} #{window_name}' | sed 's/^0 .*/0/'
    tmux -L s display-message -p '#{pane_current_path}'
    tmux -L s kill-server
    for _ in $(seq 3000); do tmux -L s ls 2>/dev/null || break; sleep 0.02; done
    rm -rf tmux-*
}

other_work() {
    curl -s "file://$PWD/../no" || echo "curl $?"
    seq 10 >ten && curl -s "file://$PWD/ten" | tail -1
    python3 -c '
import http.server, threading, urllib.request, subprocess
h = http.server.ThreadingHTTPServer(("127.0.0.1", 0), type("H", (http.server.SimpleHTTPRequestHandler,), {"log_message": lambda *a: None}))
threading.Thread(target=h.serve_forever, daemon=True).start()
print(urllib.request.urlopen(f"http://127.0.0.1:{h.server_port}/ten").read())
print(subprocess.run(["curl", "-s", f"http://localhost:{h.server_port}/ten"], capture_output=True).stdout)
print(h.server_address[0])'
    env -i /bin/sh -c 'echo bare; /usr/bin/env; cat ten | wc -l'
    env | grep -E '^(LD_|HIRSEL)' || echo 'nothing of ours in the environment'
    tr '\0' '\n' </proc/self/environ | grep -E '^(LD_PRELOAD|HIRSEL)' || echo 'nor at exec'
    awk 'BEGIN { while (("ls" | getline l) > 0) print l; print "x" > "awk.out"; system("pwd") }'
    id -un && getent hosts localhost | head -1 && date -d @0 && hostname >/dev/null && echo resolved
    ls -l /proc/self/fd | awk 'NR > 1 && $9 <= 2 { print $9 }' && readlink /proc/self/cwd && readlink -f .
    setsid sh -c 'echo in a session of its own' && nice -n 5 nice && nohup sh -c 'echo nohup' 2>/dev/null
    strace -o trace -f -e trace=none true 2>/dev/null; echo "strace $?"; rm -f trace
    script -qec 'echo tty; tty | sed s/[0-9]*$//' /dev/null | tr -d '\r'
    xargs -P4 -n1 sh -c 'echo $0 > x$0' < <(seq 20) && cat x? x?? | sort -n | md5sum
}

threads_work() {
    gcc -O1 -o calls "$SOURCE/tests/session/calls.c" -pthread -ldl && ./calls 2>&1
    gcc -O1 -fsanitize=address -o calls.asan "$SOURCE/tests/session/calls.c" -pthread -ldl && ASAN_OPTIONS=detect_leaks=0 ./calls.asan 2>&1 | sed 's/calls.asan/calls/'
    rm -f calls calls.asan
}

mkdir -p "$WORK"/table/{bound,hidden,target}
echo bound >"$WORK/table/target/file"
session_start
check 'a bind' hirsel bind --session "$SESSION" "$WORK/table/target" "$WORK/table/bound"
check 'a hidden path' hirsel bind --session "$SESSION" --hide "$WORK/table/hidden"
check 'a translator' hirsel settrans --session "$SESSION" -c "$WORK/table/greet" hello
prints 'the bind shows' bound in_session cat "$WORK/table/bound/file"
status_is 'the hidden path is not there' 2 in_session ls "$WORK/table/hidden"
check 'the translator answers' in_session cat "$WORK/table/greet"

for part in ${PARTS:-git make python bash files sqlite perl node vim tmux other threads}; do
    same "$part" "${part}_work"
done

session_stop
finish
