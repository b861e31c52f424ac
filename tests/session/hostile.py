"""Peers that do not keep to the protocol. As a client of a session's servers:
    hostile.py client SOCKET CASE      exits 0 if the server did what it should
and as a translator, by `settrans -c NODE python3 hostile.py …` through a two-line script:
    hostile.py translator CASE         serves descriptor 3
"""
import array
import os
import resource
import select
import socket
import struct
import sys
import time

HEADER = struct.Struct("<HHIQQIiIHHQ")
HELLO, WELCOME, REQUEST, REPLY, NOTICE, CANCEL = range(1, 7)
LONG = 1


def packet(kind, operation=0, object_=0, request=0, tag=0, error=0, body=b"", version=1, length=None,
           descriptors=0, flags=0):
    return HEADER.pack(version, kind, operation, object_, request, tag, error,
                       len(body) if length is None else length, descriptors, flags, 0) + body


def hello(low=1, high=1):
    return packet(HELLO, body=struct.pack("<HHIQ", low, high, 0, 0))


def connect(path, greet=True):
    s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    s.settimeout(30)
    s.connect(path)
    if greet:
        s.send(hello())
        kind = HEADER.unpack_from(s.recv(4096))[1]
        assert kind == WELCOME, kind
    return s


def send_descriptors(s, data, fds):
    s.sendmsg([data], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))])


def reply_of(s):
    """(error, tag) of the next reply; None: the server hung up."""
    while True:
        try:
            data = s.recv(1 << 17)
        except ConnectionResetError:
            return None
        if not data:
            return None
        fields = HEADER.unpack_from(data)
        if fields[1] == REPLY:
            return fields[6], fields[5]


def is_served(path):
    """Whether a new connection gets its answer. False: it was refused; that may show anywhere up to
    the answer, as the refusal is sent before the connection is closed."""
    try:
        s = connect(path)
        s.send(packet(REQUEST, 9999, tag=5))
        answer = reply_of(s)
    except (ConnectionResetError, BrokenPipeError):
        return False
    assert answer in (None, (ENOSYS, 5)), answer
    return answer is not None


def hung_up(s):
    try:
        return reply_of(s) is None
    except TimeoutError:
        return False


EBADMSG, ENOSYS, EBADF, EPERM, EINVAL = 74, 38, 9, 1, 22

# What a node request looks like: translator 999 (field 1), path "x" (field 3).
NODE_STAT = b"\x08\xe7\x07\x1a\x01x"


def client(path, case):
    if case == "truncated":
        for size in (1, 10, 47):
            s = connect(path, greet=size % 2 == 0)
            s.send(packet(REQUEST, 34, tag=1)[:size])
            assert hung_up(s), size
    elif case == "empty":
        s = connect(path)
        s.send(b"")
        hung_up(s)
    elif case == "short_body":
        s = connect(path)
        s.send(packet(REQUEST, 34, tag=1, body=b"abc", length=4000))
        assert hung_up(s)
    elif case == "long_body":
        s = connect(path)
        s.send(packet(REQUEST, 34, tag=1, body=b"abc", length=1))
        assert hung_up(s)
    elif case == "version":
        s = connect(path, greet=False)
        s.send(hello(7, 9))
        assert hung_up(s)
        s = connect(path)
        s.send(packet(REQUEST, 34, tag=1, version=2))
        assert hung_up(s)
    elif case == "no_hello":
        s = connect(path, greet=False)
        s.send(packet(REQUEST, 34, tag=1))
        assert hung_up(s)
    elif case == "kind":
        for kind in (0, 7, 65535):
            s = connect(path)
            s.send(packet(kind, 34, tag=1))
            assert hung_up(s), kind
    elif case == "operation":
        s = connect(path)
        for operation in (0, 15, 9999, 0xFFFFFFFF):
            s.send(packet(REQUEST, operation, tag=operation & 255))
            assert reply_of(s) == (ENOSYS, operation & 255), operation
    elif case == "body":
        s = connect(path)
        # Every operation of every server, with bytes that no message unpacks from. Those that are
        # asked with an empty body do not look at it.
        for operation in list(range(16, 40)) + list(range(64, 68)) + list(range(96, 99)) + [112, 113]:
            s.send(packet(REQUEST, operation, tag=operation, body=b"\xff" * 40))
            error, tag = reply_of(s)
            assert tag == operation and (error != 0 or operation in (38, 64, 96, 98)), (operation, error)
    elif case == "handle":
        s = connect(path)
        for handle in (1, 2, 1 << 63, (1 << 64) - 1):
            s.send(packet(REQUEST, 17, object_=handle, tag=3, body=NODE_STAT))
            error, _ = reply_of(s)
            assert error != 0
    elif case == "reply":
        s = connect(path)
        for tag in range(20):
            s.send(packet(REPLY, 16, tag=tag, body=b"unasked"))
            s.send(packet(CANCEL, tag=tag))
            s.send(packet(NOTICE, 16, tag=tag))
    elif case == "memfd":
        # A long message that lies about its length, is not sealed, is no memory at all.
        for length in (1 << 20, 70 << 20, 0xFFFFFFFF):
            s = connect(path)
            fd = os.memfd_create("x")
            os.ftruncate(fd, 10)
            try:
                send_descriptors(s, packet(REQUEST, 16, tag=1, length=length, descriptors=1, flags=LONG), [fd])
            except (BrokenPipeError, ConnectionResetError):
                pass
            answer = reply_of(s)
            assert answer is None or answer[0] != 0
        s = connect(path)
        r, w = os.pipe()
        send_descriptors(s, packet(REQUEST, 16, tag=1, length=100, descriptors=1, flags=LONG), [r])
        answer = reply_of(s)
        assert answer is None or answer[0] != 0
        s = connect(path)
        s.send(packet(REQUEST, 16, tag=1, length=100, descriptors=1, flags=LONG))
        answer = reply_of(s)
        assert answer is None or answer[0] != 0
    elif case == "descriptors":
        s = connect(path)
        r, w = os.pipe()
        for _ in range(20):
            try:
                send_descriptors(s, packet(REQUEST, 9999, tag=1, descriptors=253), [r] * 253)
            except (BrokenPipeError, ConnectionResetError):
                break
            if reply_of(s) is None:
                s = connect(path)
        s = connect(path)
        send_descriptors(s, packet(REQUEST, 9999, tag=1, descriptors=0), [r] * 10)
        reply_of(s)
    elif case == "deaf":
        # Asks and asks and never reads; the server must drop it or stop reading, and serve others.
        s = connect(path)
        s.setblocking(False)
        sent, end = 0, time.monotonic() + 5
        while time.monotonic() < end and sent < 200000:
            try:
                s.send(packet(REQUEST, 9999, tag=sent & 0xFFFFFFFF))
                sent += 1
            except BlockingIOError:
                if not select.select([], [s], [], 0.5)[1]:
                    break
            except (BrokenPipeError, ConnectionResetError):
                break
        assert is_served(path)
    elif case == "drop":
        for i in range(1000):
            s = connect(path, greet=False)
            if i % 3 == 0:
                s.send(hello())
            if i % 5 == 0:
                s.send(packet(REQUEST, 34, tag=1))
            s.close()
        assert is_served(path)
    elif case == "hold":
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4096), hard))
        held = []
        for i in range(1000):
            s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            s.setblocking(False)
            try:
                s.connect(path)
                s.send(hello())
            except (BlockingIOError, BrokenPipeError, ConnectionResetError):
                pass
            held.append(s)
        del held
        # While the server still clears away what was held it may refuse; then it serves again.
        end = time.monotonic() + 30
        while not is_served(path):
            assert time.monotonic() < end
            time.sleep(0.05)
    elif case == "privilege":
        # What only init's own children may ask, over the session's sockets.
        s = connect(path)
        for operation in (39, 80, 81, 82, 83, 84, 85, 90, 91, 92):
            s.send(packet(REQUEST, operation, tag=operation, body=b"\x08\x01"))
            error, _ = reply_of(s)
            assert error != 0, operation
    else:
        sys.exit(f"no such case: {case}")


def in_hand():
    """Somebody waits now: told by a file in the node's directory."""
    open("in_hand", "w").close()


def translator(case):
    if len(sys.argv) > 3 and sys.argv[3] == "--describe" or "--describe" in sys.argv:
        print("directory" if case.startswith("d_") else "file")
        return
    case = case.removeprefix("d_")
    listener = socket.socket(fileno=3)
    listener.setblocking(True)
    if case == "exits":
        sys.exit(3)
    if case == "never_answers":
        in_hand()
        time.sleep(1000)
    while True:
        s, _ = listener.accept()
        while True:
            data = s.recv(1 << 17)
            if not data:
                break
            version, kind, operation, object_, request, tag, *_ = HEADER.unpack_from(data)
            if kind == HELLO:
                s.send(packet(WELCOME, body=struct.pack("<HHIQ", 1, 1, 0, 0)))
                continue
            if kind != REQUEST:
                continue
            if case == "hangs":
                in_hand()
                time.sleep(1000)
            elif case == "dies":
                os._exit(1)
            elif case == "lies":
                s.send(packet(REPLY, operation, tag=tag, body=b"\x0a\x02\x08\x01", length=60000))
            elif case == "garbage":
                s.send(packet(REPLY, operation, tag=tag, body=b"\xff" * 100))
            elif case == "entries":
                # Directory records whose lengths lead out of the buffer.
                record = struct.pack("<QqHB", 1, 1, 65535, 8) + b"name"
                s.send(packet(REPLY, operation, tag=tag, body=b"\x2a" + bytes([len(record)]) + record))
            elif case == "redirect":
                # "Go on there", beyond the path and for ever.
                s.send(packet(REPLY, operation, tag=tag, body=b"\x12\x01x\x18\x01\x20\xff\xff\x03"))
            elif case == "no_descriptor":
                s.send(packet(REPLY, operation, tag=tag, body=b""))
            elif case == "strange_tag":
                s.send(packet(REPLY, operation, tag=tag + 77, body=b""))
                s.send(packet(REPLY, operation, tag=tag, error=-5))
                s.send(packet(REPLY, operation, tag=tag, error=5))
            elif case == "floods":
                for _ in range(100000):
                    s.send(packet(REPLY, operation, tag=tag, error=5))


if __name__ == "__main__":
    if sys.argv[1] == "client":
        client(sys.argv[2], sys.argv[3])
    else:
        translator(sys.argv[2])
