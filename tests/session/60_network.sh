#!/bin/bash
# Networks: three sessions with the same port, none, the host's; real servers and clients.
. "$(dirname "$0")/lib.sh"

# What runs inside a session: the page on port 80 of 127.0.0.1, fetched by several clients.
cat >serve.py <<'END'
"""Serve the folder on port 80 of an address until told to end."""
import functools, http.server, sys
handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=sys.argv[1])
server = http.server.ThreadingHTTPServer((sys.argv[2], 80), handler)
print(server.socket.getsockname(), flush=True)
server.serve_forever()
END

cat >asyncio_fetch.py <<'END'
"""Non-blocking connects, many at once."""
import asyncio, sys
async def fetch(host):
    reader, writer = await asyncio.open_connection(host, 80)
    writer.write(b"GET /page HTTP/1.0\r\n\r\n")
    body = (await reader.read()).split(b"\r\n\r\n", 1)[1]
    writer.close()
    return body
async def main():
    hosts = ["127.0.0.1", "localhost"] * 10
    bodies = await asyncio.gather(*(fetch(host) for host in hosts))
    assert len(set(bodies)) == 1, bodies
    sys.stdout.write(bodies[0].decode())
asyncio.run(main())
END

cat >asyncio_server.py <<'END'
"""A server and its client in one loop; refused connections are told."""
import asyncio
async def main():
    async def answer(reader, writer):
        writer.write((await reader.readline()).upper())
        await writer.drain()
        writer.close()
    server = await asyncio.start_server(answer, None, 443)
    for _ in range(50):
        reader, writer = await asyncio.open_connection("127.0.0.1", 443)
        writer.write(b"hello\n")
        assert await reader.read() == b"HELLO\n"
        writer.close()
    server.close()
    await server.wait_closed()
    for _ in range(20):
        try:
            await asyncio.open_connection("127.0.0.1", 443)
            raise SystemExit("connected to nothing")
        except ConnectionRefusedError:
            pass
asyncio.run(main())
END

cat >names.py <<'END'
"""What sockets call themselves, as natively."""
import errno, socket
for bound, asked in (("127.0.0.1", "127.0.0.1"), ("0.0.0.0", "127.0.0.1"), ("0.0.0.0", "127.0.1.1")):
    server = socket.create_server((bound, 21))
    assert server.getsockname() == (bound, 21), server
    client = socket.create_connection((asked, 21))
    assert client.getpeername() == (asked, 21), client
    accepted, peer = server.accept()
    assert peer == client.getsockname() == accepted.getpeername(), (peer, client)
    assert peer[0] == "127.0.0.1", peer
    assert accepted.getsockname() == (asked, 21), accepted
    server.close()
try:
    socket.create_connection(("192.0.2.1", 80), 5)
    raise SystemExit("the world is there")
except OSError as error:
    assert error.errno == errno.ENETUNREACH, error
try:
    socket.socket(socket.AF_INET6)
    raise SystemExit("IPv6 is there")
except OSError as error:
    assert error.errno == errno.EAFNOSUPPORT, error
END

cat >datagrams.py <<'END'
"""Question and answer over UDP, on a name server's port."""
import socket
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind(("127.0.0.1", 53))
server.settimeout(60)
client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
client.settimeout(60)
for _ in range(10):
    client.sendto(b"who", ("127.0.0.1", 53))
    question, asker = server.recvfrom(100)
    server.sendto(question.upper(), asker)
    answer, answerer = client.recvfrom(100)
    assert (answer, answerer) == (b"WHO", ("127.0.0.1", 53)), (answer, answerer)
END

cat >node_net.js <<'END'
// node's net: a server on every address, clients by address and by name, a refusal.
const net = require('net');
const server = net.createServer(socket => socket.end('hello\n')).listen(80, () => {
    const fetch = host => new Promise((done, failed) => {
        let text = '';
        net.connect({host, port: 80, family: 4}).on('data', data => text += data)
            .on('end', () => done(text)).on('error', failed);
    });
    Promise.all(['127.0.0.1', 'localhost', '127.0.0.1'].map(fetch)).then(texts => {
        if (texts.some(text => text !== 'hello\n')) throw new Error(texts);
        server.close(() => net.connect(80, '127.0.0.1')
            .on('connect', () => { throw new Error('connected to nothing'); })
            .on('error', error => console.log(error.code)));
    });
});
END

# in_private CMD…: in a session of its own with a private network.
in_private() {
    timeout 100 hirsel run --net private -- "$@"
}

# Three sessions, one port.
session_with_server() {
    local name=$1 address=$2
    mkdir -p "page.$name"
    echo "this is $name" >"page.$name/page"
    check "session $name starts" hirsel start "$name"
    hirsel run --session "$name" --net private -- bash -c "
        python3 '$WORK/serve.py' '$WORK/page.$name' $address >served.$name 2>serve.log.$name & server=\$!
        until [[ -s served.$name ]] || ! kill -0 \$server; do sleep 0.05; done
        touch up.$name
        until [[ -e all.up ]]; do sleep 0.05; done
        for url in http://127.0.0.1/page http://127.0.0.1:80/page http://localhost/page; do
            curl -sS --max-time 60 \$url
            curl -4 -sS --max-time 60 \$url
        done >curl.$name 2>&1
        python3 '$WORK/asyncio_fetch.py' >asyncio.$name 2>&1
        curl -6 -sS --max-time 60 'http://[::1]/page' >curl6.$name 2>&1; echo \$? >curl6.status.$name
        touch done.$name
        until [[ -e all.done ]]; do sleep 0.05; done
        kill \$server" >"out.$name" 2>&1 &
}
all_there() {
    [[ -e $1.red && -e $1.green && -e $1.blue ]]
}
session_with_server red 127.0.0.1
session_with_server green 127.0.0.1
session_with_server blue 0.0.0.0
if await 30 all_there up; then ok 'three servers on port 80'; else not_ok 'three servers on port 80'; show out.* serve.log.*; fi
touch all.up
if await 60 all_there 'done'; then ok 'fetched'; else not_ok 'fetched'; show out.* curl.* asyncio.*; fi
for name in red green blue; do
    if [[ $(sort -u "curl.$name") == "this is $name" && $(wc -l <"curl.$name") == 6 ]]; then ok "curl gets the page of $name"; else not_ok "curl gets the page of $name"; show "curl.$name"; fi
    if [[ $(<"asyncio.$name") == "this is $name" ]]; then ok "asyncio gets the page of $name"; else not_ok "asyncio gets the page of $name"; show "asyncio.$name"; fi
    if [[ $(<"curl6.status.$name") != 0 ]]; then ok "there is no IPv6 in $name"; else not_ok "there is no IPv6 in $name"; fi
done
prints 'a server on 127.0.0.1 knows its name' "('127.0.0.1', 80)" cat served.red
prints 'a server on 0.0.0.0 knows its name' "('0.0.0.0', 80)" cat served.blue
hirsel net --session red >net.red
hirsel net --session green >net.green
slice() {
    awk '$2 == "private" { print $3 }' "net.$1"
}
if [[ -n $(slice red) && -n $(slice green) && $(slice red) != "$(slice green)" ]]; then ok 'hirsel net shows two slices'; else not_ok 'hirsel net shows two slices'; show net.red net.green; fi
# From outside and from a sibling the port is not there; the host's own loopback is another.
status_is 'the port is not there outside' 7 curl -sS --max-time 60 http://127.0.0.1:80/page
status_is 'nor in a network of one'"'"'s own beside it' 7 hirsel run --session red --net private -- curl -sS --max-time 60 http://127.0.0.1/page
touch all.done
wait
for name in red green blue; do
    check "session $name stops" hirsel stop "$name"
done

# What listens on all of the host's addresses is not the session's.
cat >hosts.py <<'END'
"""A server of the host, over TCP and UDP, on all addresses: its port, then how often it was reached."""
import select, socket
server = socket.create_server(("0.0.0.0", 0))
port = server.getsockname()[1]
datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
datagrams.bind(("0.0.0.0", port))
server.setblocking(False)
print(port, flush=True)
while True:
    for ready in select.select([server, datagrams], [], [])[0]:
        # Who connected before a datagram was sent is noted before that.
        while True:
            try:
                server.accept()[0].close()
            except BlockingIOError:
                break
            print("reached", flush=True)
        if ready is datagrams:
            print("told", ready.recv(9).decode(), flush=True)
END
cat >reach.py <<'END'
"""What a program is told that connects there: by both protocols; waiting and not; then its own server, elsewhere."""
import errno, socket, sys
port = int(sys.argv[1])
for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
    for address in sys.argv[2:]:
        for waits in (True, False):
            client = socket.socket(socket.AF_INET, kind)
            client.setblocking(waits)
            error = client.connect_ex((address, port))
            print("connected" if error in (0, errno.EINPROGRESS) else errno.errorcode[error])
try:
    socket.create_server(("127.0.0.1", port))
except OSError as error:
    print(errno.errorcode[error.errno])
server = socket.create_server(("0.0.0.0", 0))
socket.create_connection(("127.0.0.1", server.getsockname()[1]))
print("connected to its own")
END
python3 hosts.py >hosts.out &
hosts=$!
await 10 test -s hosts.out
port=$(head -n 1 hosts.out)
refused=$(printf 'ECONNREFUSED\n%.0s' {1..8}; echo EADDRINUSE; echo 'connected to its own')
prints 'natively it is reached' 'connected connected connected connected EADDRINUSE connected to its own' \
    sh -c "python3 reach.py $port 127.0.0.1 | paste -sd' '"
heard() {
    python3 -c 'import socket, sys; socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(sys.argv[2].encode(), ("127.0.0.1", int(sys.argv[1])))' "$port" "$1"
    await grep -q "^told $1" hosts.out
}
heard first
native=$(wc -l <hosts.out)
prints 'a server of the host on all addresses is not reached' "$refused" in_private python3 reach.py "$port" 127.0.0.1 0.0.0.0
if hirsel run --net private --confine -- true 2>/dev/null; then
    prints 'nor confined' "$refused" timeout 100 hirsel run --net private --confine -- python3 reach.py "$port" 127.0.0.1 0.0.0.0
    prints 'nor by an address of the slice itself, nor by a datagram' 'ECONNREFUSED ECONNREFUSED ECONNREFUSED' timeout 100 hirsel run --net private --confine -- python3 -c '
import errno, os, socket, struct, sys
space = os.path.dirname(os.readlink("/.hirsel/door"))
table = open(space + "/table", "rb").read(4096)
slice = struct.unpack_from("<II", table, 2048)[1]
told = []
for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
    told.append(socket.socket(socket.AF_INET, kind).connect_ex((socket.inet_ntoa(struct.pack(">I", slice | 1)), int(sys.argv[1]))))
try:
    socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", ("127.0.0.1", int(sys.argv[1])))
    told.append(0)
except OSError as error:
    told.append(error.errno)
print(*(errno.errorcode.get(number, "sent") for number in told))' "$port"
fi
heard last
if (($(wc -l <hosts.out) == native + 1)); then ok 'it heard nothing'; else not_ok 'it heard something' && show hosts.out; fi
kill $hosts

# Programs in one private network.
check 'names are as natively' in_private python3 names.py
check 'asyncio serves and is refused' in_private python3 asyncio_server.py
check 'datagrams' in_private python3 datagrams.py
if type node >/dev/null 2>&1; then
    prints 'node serves and is refused' ECONNREFUSED in_private node node_net.js
else
    skip 'node is not installed'
fi
# redis-tools has the server's program under another name, which its first argument tells, and no
# service that would start with it.
prints 'redis answers' PONG in_private bash -c '
    (exec -a redis-server redis-check-rdb --port 6379 --save "" >redis.log 2>&1) & server=$!
    until redis-cli ping 2>/dev/null; do kill -0 $server || exit; sleep 0.05; done; kill $server; wait'
prints 'a port in use is told, whichever address has it' "$(printf '%s\n' EADDRINUSE EADDRINUSE)" in_private python3 -c '
import errno, socket
for one, other in (("127.0.0.1", "0.0.0.0"), ("0.0.0.0", "127.0.0.1")):
    held = socket.create_server((one, 80))
    try:
        socket.create_server((other, 80))
    except OSError as error:
        print(errno.errorcode[error.errno])
    held.close()'

# Descendants have it too; a network of one's own is asked for inside.
prints 'descendants have it, whatever their environment' 'refused' in_private env -i PATH="$PATH" bash -c '
    (setsid python3 -c "
import socket
try: socket.create_connection((\"127.0.0.1\", 9))
except ConnectionRefusedError: print(\"refused\")")'
prints 'a space made inside has the same network' same in_private bash -c '
    python3 -c "
import socket, time
server = socket.create_server((\"127.0.0.1\", 80)); open(\"inside\", \"w\").close(); server.accept()[0].sendall(b\"same\")" &
    until [[ -e inside ]]; do sleep 0.05; done
    hirsel run -- python3 -c "
import socket; print(socket.create_connection((\"127.0.0.1\", 80)).recv(10).decode())"; wait'
status_is 'it can be narrowed inside' 7 in_private hirsel run --net none -- curl -sS --max-time 60 http://127.0.0.1/
status_is 'it cannot be widened inside' 125 in_private hirsel run --net host -- true

# None: refused at once.
none() {
    hirsel run --net none -- "$@"
}
python3 -c '
import http.server, os
server = http.server.HTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler)
print(server.server_port, file=open("port.new", "w"), flush=True)
os.rename("port.new", "port")
server.serve_forever()' 2>host.log &
host_server=$!
await 10 test -e port
port=$(<port)
status_is 'none: curl is refused' 7 none curl -sS --max-time 60 "http://127.0.0.1:$port/"
status_is 'none: by name too' 7 none curl -sS --max-time 60 "http://localhost:$port/"
status_is 'none: the world is not reached' 7 none curl -sS --max-time 60 http://192.0.2.1/
prints 'none: nothing is bound' EADDRNOTAVAIL none python3 -c '
import errno, socket
try: socket.socket().bind(("127.0.0.1", 0))
except OSError as error: print(errno.errorcode[error.errno])'
check 'none: Unix sockets work' none python3 -c '
import socket
a, b = socket.socketpair(); a.sendall(b"x"); assert b.recv(1) == b"x"
server = socket.socket(socket.AF_UNIX); server.bind("unix.socket"); server.listen()
client = socket.socket(socket.AF_UNIX); client.connect("unix.socket"); server.accept()'

# Host: native.
check 'host: the host'"'"'s server is reached' hirsel run --net host -- curl -sS --max-time 60 -o /dev/null "http://127.0.0.1:$port/"
check 'and without --net' hirsel run -- curl -sS --max-time 60 -o /dev/null "http://127.0.0.1:$port/"
status_is 'private: the host'"'"'s server is not' 7 in_private curl -sS --max-time 60 "http://127.0.0.1:$port/"
kill $host_server

# net is killed again and again: nobody sees it; the slice stays.
session_start storm
hirsel run --session storm --net private -- bash -c '
    python3 serve.py page.red 0.0.0.0 >served.storm 2>/dev/null & server=$!
    until [[ -s served.storm ]]; do sleep 0.05; done
    hirsel net >net.before
    for ((i = 0; i < 100; i++)); do curl -sS --max-time 60 http://127.0.0.1/page || break; done >curl.storm 2>&1
    hirsel net >net.after
    kill $server; touch done.storm' >out.storm 2>&1 &
kills=0
until [[ -e done.storm ]] || ((kills > 200)); do
    pid=$(SESSION=storm server_pid net)
    [[ -n $pid ]] && kill -9 "$pid" && kills=$((kills + 1))
    sleep 0.2
done
wait
if [[ $(sort -u curl.storm) == 'this is red' && $(wc -l <curl.storm) == 100 ]] && ((kills > 0)); then ok "net killed $kills times: no connection fails"; else not_ok "net killed $kills times: no connection fails"; show out.storm curl.storm; fi
if cmp -s net.before net.after && grep -q private net.before; then ok 'and the slice stays'; else not_ok 'and the slice stays'; show net.before net.after; fi
session_stop storm

finish
