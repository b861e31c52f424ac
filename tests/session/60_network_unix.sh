#!/bin/bash
# Unix sockets whose names go through a bind: the same calls say the same as natively.
. "$(dirname "$0")/lib.sh"
. "$SOURCE/tests/session/trap.sh"

# Everything that takes or tells a socket's name, in the folder place/. Prints what it saw.
cat >names.py <<'END'
import array, ctypes, errno, os, socket, struct, sys
UNIX, STREAM, DGRAM = socket.AF_UNIX, socket.SOCK_STREAM, socket.SOCK_DGRAM
libc = ctypes.CDLL(None, use_errno=True)
place = os.getcwd() + "/place/"

def said(what, call, *arguments):
    try:
        result = call(*arguments)
        print(what, "ok" if result is None else result)
        return result
    except OSError as error:
        print(what, errno.errorcode[error.errno])

def new(kind=STREAM, name=None):
    s = socket.socket(UNIX, kind)
    s.settimeout(10)
    if name is not None:
        s.bind(name)
    return s

# Streams: each end says both names.
for name in place + "server", os.getcwd() + "/way/server2":
    server = new(STREAM, name)
    server.listen()
    client = new(STREAM, name + ".client")
    client.connect(name)
    accepted, peer = server.accept()
    print("accept", os.path.basename(peer))
    if "way" not in name:  # its name is the bind's, whichever way one came
        print(server.getsockname(), client.getsockname(), client.getpeername(), accepted.getpeername(), accepted.getsockname())
    client.sendall(b"x")
    print(accepted.recv(1))
    said("connect again", new().connect, name)
    said("bind again", new().bind, name)
print(sorted(os.listdir("place")))

# Datagrams: by sendto and sendmsg, with and without a name, answered by recvfrom and recvmsg.
one, other = new(DGRAM, place + "one"), new(DGRAM, place + "other")
for send, receive in ((one.sendto, other.recvfrom), (lambda data, to: one.sendmsg([data], [], 0, to), lambda size: other.recvmsg(size)[::3])):
    said("send", send, b"hello", place + "other")
    print(receive(100))
    os.chdir("place")
    said("relative", send, b"hello", "other")
    print(receive(100))
    os.chdir("..")
    said("across", send, b"hello", "place/other")
    print(receive(100))
    said("through a link", send, b"hello", "way/other")
    print(receive(100))
    said("missing", send, b"hello", place + "missing")
    said("a file", send, b"hello", place + "file")
one.connect(place + "other")
one.send(b"connected")
print(other.recvfrom(100), one.getpeername())

# With a descriptor beside the name.
read, write = os.pipe()
one.sendmsg([b"take"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [write]))], 0, place + "other")
data, control, flags, sender = other.recvmsg(100, 100)
fd = struct.unpack("i", control[0][2])[0]
os.write(fd, b"written")
print(data, sender, os.read(read, 10))

# sendmmsg, recvmmsg.
class iovec(ctypes.Structure):
    _fields_ = [("base", ctypes.c_char_p), ("length", ctypes.c_size_t)]
class msghdr(ctypes.Structure):
    _fields_ = [("name", ctypes.c_void_p), ("namelen", ctypes.c_uint), ("parts", ctypes.POINTER(iovec)), ("count", ctypes.c_size_t),
                ("control", ctypes.c_void_p), ("controllen", ctypes.c_size_t), ("flags", ctypes.c_int)]
class mmsghdr(ctypes.Structure):
    _fields_ = [("header", msghdr), ("length", ctypes.c_uint)]
def address(path):
    return ctypes.create_string_buffer(struct.pack("H", UNIX) + path.encode() + b"\0", 110), 2 + len(path) + 1
def messages(data, names):
    list_ = (mmsghdr * len(data))()
    keep = []
    for i, (text, (buffer, length)) in enumerate(zip(data, names)):
        parts = iovec(text, len(text))
        keep.append((parts, buffer))
        list_[i].header = msghdr(ctypes.cast(buffer, ctypes.c_void_p) if buffer else None, length, ctypes.pointer(parts), 1, None, 0, 0)
    return list_, keep
third = new(DGRAM)
out, keep = messages([b"first", b"second", b"lost", b"never"], [address(place + "other"), address(place + "other"), address(place + "missing"), (None, 0)])
third.bind(place + "third")
print("sendmmsg", libc.sendmmsg(third.fileno(), out, 4, 0), [m.length for m in out[:2]])
room = [(ctypes.create_string_buffer(110), 110), (ctypes.create_string_buffer(110), 110)]
into, keep = messages([b"." * 20, b"." * 20], room)
print("recvmmsg", libc.recvmmsg(other.fileno(), into, 2, 0, None))
for i in range(2):
    print(into[i].header.namelen, room[i][0].raw[2:into[i].header.namelen], into[i].length)

# Too little room for the name, and no memory at all.
for size in 0, 2, 5, 20, 110:
    buffer, length = ctypes.create_string_buffer(b"\xee" * 110, 110), ctypes.c_uint(size)
    print("room", size, libc.getsockname(other.fileno(), buffer, ctypes.byref(length)), length.value,
          buffer.raw[:size] if size < 100 else buffer.raw[:length.value], buffer.raw[size:] == b"\xee" * (110 - size))
for call in libc.getsockname, libc.bind, libc.connect:
    for bad in 0, 1, 4096:
        print("bad", call(other.fileno(), ctypes.c_void_p(bad), ctypes.c_void_p(bad) if call == libc.getsockname else 110), errno.errorcode[ctypes.get_errno()])
print("bad", libc.sendmsg(other.fileno(), ctypes.c_void_p(4096), 0), errno.errorcode[ctypes.get_errno()])
print("bad", libc.recvmsg(other.fileno(), ctypes.c_void_p(4096), socket.MSG_DONTWAIT), errno.errorcode[ctypes.get_errno()])

# Errors and odd names.
for name in "missing/socket", "file/socket", "new/", "file", "", "folder", "folder/", "dangling":
    said("bind " + name, new().bind, place + name)
    said("connect " + name, new().connect, place + name)
said("abstract", new().bind, "\0abstract" + place)
said("nameless", new().getsockname)
os.chmod("place/closed", 0o555)
said("closed", new().bind, place + "closed/s")
os.unlink(place + "server")
said("unlinked", new().connect, place + "server")
said("bound anew", new().bind, place + "server")
END

# A name as long as it can be.
cat >longest.py <<'END'
import errno, os, socket
name = os.path.join(os.getcwd(), "native/place/").ljust(107, "l")
try:
    server = socket.socket(socket.AF_UNIX)
    server.bind(name)
    server.listen()
    socket.socket(socket.AF_UNIX).connect(name)
    print(server.getsockname() == name, os.path.exists(name))
except OSError as error:
    print(errno.errorcode[error.errno])
END

# A target so deep that no socket's name would have room for it.
deep=$(printf 'very-long-folder-name-%02d/' 1 2 3 4 5 6)
mkdir -p native "in/$deep/place" in/short
for target in native/place "in/$deep/place" in/short; do
    mkdir -p "$target/folder" "$target/closed"
    echo >"$target/file"
    ln -s nowhere "$target/dangling"
done
ln -s place native/way
run_natively() {
    (cd native && python3 ../names.py >../native.out)
}
check 'natively' run_natively
prints 'the longest name, natively' 'True True' python3 longest.py
# The same names in a session: where the folder was, there is a bind now.
chmod -R u+w native && rm -rf native/place && mkdir native/place
session_start
for target in "in/$deep/place" in/short; do
    echo "bind $WORK/$target $WORK/native/place" >space
    for network in host private none; do
        hirsel run --session t --net "$network" --namespace space -- sh -c 'cd native && exec python3 ../names.py' >session.out 2>&1
        what="network $network, a target of $((${#WORK} + ${#target} + 1)) bytes"
        if cmp -s native.out session.out; then ok "in a session: $what"; else
            not_ok "in a session: $what"
            diff native.out session.out >difference
            show difference
        fi
        find "$WORK/$target" -type s -delete
    done
done
prints 'the longest name' 'True True' hirsel run --session t --namespace space -- python3 longest.py
echo "bind $WORK/in/$deep/place $WORK/native/place" >space
prints 'that has no room for a deep target is said to be too long' ENAMETOOLONG hirsel run --session t --namespace space -- python3 longest.py
hirsel bind --session t -r "$WORK/in/short" "$WORK/native/place"
prints 'a socket can not be made where nothing can be changed' EROFS in_session python3 -c '
import errno, socket
try: socket.socket(socket.AF_UNIX).bind("native/place/new")
except OSError as error: print(errno.errorcode[error.errno])'

# The same calls by a program in C that has the shim, and by one that goes through the trap server.
program sockets.dynamic sockets gcc
program sockets sockets gcc -static
mkdir -p static/place/sub in/static/sub
: >static/place/file
: >in/static/file
ln -s "$WORK/static/place" static/way
(cd static && exec "$BARE/sockets" "$WORK/static/place") >native.out 2>&1
rm static/place/{server,client,stream,client-of-stream,other}
check 'natively' grep -q 'heard: one of, from me' native.out
echo "bind $WORK/in/static $WORK/static/place" >space
for network in host private; do
    for who in sockets.dynamic sockets; do
        (cd static && exec hirsel run --session t --net "$network" --namespace ../space -- "$BARE/$who" "$WORK/static/place") >session.out 2>&1
        if cmp -s native.out session.out; then ok "$who, network $network: as natively ($(wc -l <native.out) lines)"; else
            not_ok "$who, network $network"
            diff native.out session.out >difference
            show difference
        fi
        check "$who: no socket is where the bind is" test -z "$(find static/place -type s)"
        find "$WORK/in/static" -type s -delete
    done
done
session_stop
finish
