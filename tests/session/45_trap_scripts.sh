#!/bin/bash
# What static programs name that only the session has, and that the kernel would look for on the
# host: interpreters of scripts, and Unix sockets behind a bind.
. "$(dirname "$0")/lib.sh"
. "$SOURCE/tests/session/trap.sh"
trap_needed

cat >words.c <<'E'
#include <stdio.h>
int main(int count, char **words)
{
    for (int i = 0; i < count; i++)
        printf("[%s]", words[i]);
    puts("");
    return 0;
}
E
gcc -static -O1 -o words words.c || not_ok 'a program is built'
mkdir -p target/folder place hidden folder
cp words target/words
printf '#!%s/place/words  -a  b \n' "$WORK" >script
printf '#!%s/place/words\n' "$WORK" >none
printf '#!%s/script -c\n' "$WORK" >second
printf '#!place/words\n' >relative
printf '#!/bin/busybox sh\necho "run $0 $1"\n' >target/shell
printf '#!%s/nowhere\n' "$WORK" >nowhere
printf '#!%s/loop\n' "$WORK" >loop
printf '#!%s/place/locked\n' "$WORK" >locked
cp words target/locked
printf '#!%s/place/script\n' "$WORK" >target/script.unmarked
chmod +x script none second relative target/shell nowhere loop locked
chmod -x target/locked
cp script "script with $(printf 'n%.0s' {1..150})"
session_start
check 'a bind' hirsel bind --session t "$WORK/target" "$WORK/place"
status_is 'natively there is no such interpreter' 127 /bin/busybox sh -c 'exec ./script'

busy() {
    in_session /bin/busybox sh -c "$@"
}
W=$WORK/place/words
prints 'an interpreter behind a bind' "[$W][-a  b][./script][x][y z]" busy './script x "y z"'
prints 'by exec' "[$W][-a  b][$WORK/script]" busy "exec '$WORK/script'"
prints 'by a name that is longer than most' "[$W][-a  b][$(echo "./script with"*)]" busy './"script with"*'
prints 'with no argument' "[$W][./none][1]" busy './none 1'
prints 'by a script' "[$W][-a  b][$WORK/script][-c][./second][1]" busy './second 1'
prints 'by a relative name' '[place/words][./relative]' busy ./relative
prints 'from another folder' "[$W][-a  b][../script]" busy 'cd folder && ../script'
prints 'a script behind a bind' 'run place/shell x' busy 'place/shell x'
prints 'which is there by its own name' "run $WORK/place/shell " busy "exec '$WORK/place/shell'"
prints 'found by PATH' "[$W][-a  b][$WORK/script]" busy "PATH=$WORK; script"
prints 'with many arguments' 20003 busy "./script \$(seq 20000) | tr -cd '[' | wc -c"
for name in script none second relative; do
    in_session sh -c "./$name x" >shim.out 2>&1
    prints "$name: as a program with the shim starts it" "$(<shim.out)" busy "./$name x"
done
status_is 'an interpreter that is nowhere' 127 busy 'exec ./nowhere'
status_is 'that is not executable' 126 busy 'exec ./locked'
status_is 'a loop' 127 busy 'exec ./loop'
status_is 'a script that is not executable' 126 busy 'exec place/script.unmarked'
check 'a hidden folder' hirsel bind --session t --hide "$WORK/hidden"
cp words hidden && printf '#!%s/hidden/words\n' "$WORK" >script.hidden && chmod +x script.hidden
status_is 'an interpreter that the session hides' 127 busy 'exec ./script.hidden'
prints 'by bare calls' "[$W][-a  b][./script][x]" in_session python3 -c '
import ctypes
libc = ctypes.CDLL(None)
words = (ctypes.c_char_p * 3)(b"dropped", b"x", None)
libc.syscall(322, -100, b"./script", words, None, 0)'
# Confined: an interpreter that may be started, and one that may not.
if hirsel run --confine -- true 2>/dev/null; then
    mkdir -p inside outside && cp words outside
    printf 'bind %s %s\n' "$WORK/outside" "$WORK/inside/place" >names
    mkdir -p inside/place
    printf '#!%s/inside/place/words\n' "$WORK" >inside/closed
    chmod +x inside/closed
    prints 'confined' "[$W][-a  b][./script]" hirsel run --session t --namespace names --confine -- /bin/busybox sh -c ./script
    status_is 'confined, one outside' 126 sh -c 'cd inside && exec hirsel run --session t --namespace ../names --confine -- /bin/busybox sh -c "exec ./closed"'
fi

# ---- Unix sockets ----
cat >local.c <<'E'
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* local serve|reach PATH */
int main(int count, char **words)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int descriptor = socket(AF_UNIX, SOCK_STREAM, 0);
    char text[64] = "";
    if (count < 3)
        return 2;
    strncpy(address.sun_path, words[2], sizeof address.sun_path - 1);
    alarm(100);
    if (strcmp(words[1], "serve") == 0) {
        if (bind(descriptor, (struct sockaddr *)&address, sizeof address) != 0 || listen(descriptor, 1) != 0) {
            puts(strerror(errno));
            return 1;
        }
        descriptor = accept(descriptor, NULL, NULL);
        return write(descriptor, "reached", 7) != 7;
    }
    while (connect(descriptor, (struct sockaddr *)&address, sizeof address) != 0) {
        if (errno == ECONNREFUSED) { /* it has its name, and does not listen yet */
            usleep(10000);
            continue;
        }
        puts(strerror(errno));
        return 1;
    }
    if (read(descriptor, text, sizeof text - 1) < 0)
        return 1;
    puts(text);
    return 0;
}
E
gcc -static -O1 -o local local.c || not_ok 'a program is built'
# meets NAME SERVER CLIENT: what each is told to be at, and how it is started.
meets() {
    local name=$1 server=$2 client=$3
    eval "$server" &
    local pid=$!
    await 10 test -S target/socket
    prints "$name" reached eval "$client"
    wait $pid
    rm -f target/socket
}
meets 'a server of the host, behind a bind' './local serve target/socket' 'in_session ./local reach place/socket'
meets 'by its whole name' './local serve target/socket' 'in_session ./local reach "$WORK/place/socket"'
meets 'a server of the session, reached from the host' 'in_session ./local serve place/socket' './local reach target/socket'
meets 'both in the session' 'in_session ./local serve "$WORK/place/socket"' 'in_session sh -c "cd place && exec ../local reach socket"'
ln -s place way
meets 'by a symlink' './local serve target/socket' 'in_session ./local reach way/socket'
prints 'one that is not there' 'No such file or directory' in_session sh -c './local reach place/socket; true'
prints 'one below what is hidden' 'No such file or directory' in_session sh -c './local serve hidden/socket; true'
prints 'a name that is taken' 'Address already in use' in_session sh -c './local serve place/words; true'
meets 'where no name is touched' 'in_session ./local serve target/socket' 'in_session ./local reach target/socket'
meets 'where the path is long' './local serve target/socket' \
    "in_session ./local reach $WORK/$(printf './%.0s' {1..16})place/socket"
session_stop
finish
