#!/bin/bash
# Listings of directories that the table has names for: more than a buffer holds, from any position
# on, while the table changes; and by which name a directory was reached.
. "$(dirname "$0")/lib.sh"
session_start

cat >list.py <<'END'
"""list.py CASE DIRECTORY"""
import ctypes, errno, os, random, struct, subprocess, sys

libc = ctypes.CDLL(None, use_errno=True)
libc.getdents64.restype = ctypes.c_ssize_t
libc.opendir.restype = libc.readdir.restype = ctypes.c_void_p
libc.opendir.argtypes = [ctypes.c_char_p]
libc.telldir.restype = ctypes.c_long
for name in ("readdir", "telldir", "rewinddir", "closedir"):
    getattr(libc, name).argtypes = [ctypes.c_void_p]
libc.seekdir.argtypes = [ctypes.c_void_p, ctypes.c_long]


def entries(data):
    at = 0
    while at < len(data):
        inode, offset, length, kind = struct.unpack_from("<QqHB", data, at)
        yield data[at + 19:at + length].split(b"\0")[0], inode, offset, kind
        at += length


def piece(descriptor, size):
    buffer = ctypes.create_string_buffer(size)
    got = libc.getdents64(descriptor, buffer, ctypes.c_size_t(size))
    if got < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return list(entries(buffer.raw[:got]))


def whole(descriptor, size):
    found = []
    while True:
        got = piece(descriptor, size)
        if not got:
            return found
        found += got


def read(stream):
    at = libc.readdir(stream)
    return ctypes.string_at(at + 19) if at else None


case, directory = sys.argv[1:3]
descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
names = sorted(e[0] for e in whole(descriptor, 1 << 20))
assert len(set(names)) == len(names), "a name comes twice"
assert whole(descriptor, 4096) == [], "something comes after the end"
os.lseek(descriptor, 0, os.SEEK_SET)
if case == "names":
    sys.stdout.buffer.write(b"".join(n + b"\n" for n in names))
elif case == "buffers":
    for size in (300, 301, 512, 777, 4096, 32768):
        os.lseek(descriptor, 0, os.SEEK_SET)
        assert sorted(e[0] for e in whole(descriptor, size)) == names, size
    # One descriptor's position is that of its duplicates, in another process too.
    os.lseek(descriptor, 0, os.SEEK_SET)
    found = piece(descriptor, 2048)
    while True:
        r, w = os.pipe()
        if os.fork() == 0:
            os.write(w, b"\n".join(e[0] for e in piece(os.dup(descriptor), 2048)))
            os._exit(0)
        os.close(w)
        with open(r, "rb") as pipe:
            got = pipe.read()
        os.wait()
        if not got:
            break
        found += [(n,) for n in got.split(b"\n")]
    assert sorted(e[0] for e in found) == names
elif case == "small":
    sizes = set()
    for size in (0, 1, 19, 24):
        os.lseek(descriptor, 0, os.SEEK_SET)
        try:
            whole(descriptor, size)
        except OSError as e:
            sizes.add(e.errno)
    assert sizes == {errno.EINVAL}, sizes
    # A buffer that is no memory, at the host's names and at the others.
    for skipped in (0, len(names) - 1):
        os.lseek(descriptor, 0, os.SEEK_SET)
        all_of_them = whole(descriptor, 400)
        os.lseek(descriptor, 0 if skipped == 0 else all_of_them[skipped - 1][2], os.SEEK_SET)
        assert libc.getdents64(descriptor, ctypes.c_void_p(8), ctypes.c_size_t(4096)) == -1
        assert ctypes.get_errno() == errno.EFAULT, ctypes.get_errno()
elif case == "seek":
    stream = libc.opendir(os.fsencode(directory))
    positions, order = [], []
    while True:
        positions.append(libc.telldir(stream))
        name = read(stream)
        if name is None:
            break
        order.append(name)
    assert sorted(order) == names and len(set(positions)) == len(positions)
    numbers = list(range(len(positions)))
    random.Random(1).shuffle(numbers)
    for number in numbers:
        libc.seekdir(stream, positions[number])
        assert read(stream) == (order + [None])[number], number
        if number % 7 == 0:
            libc.rewinddir(stream)
            assert read(stream) == order[0]
    libc.seekdir(stream, positions[len(order) // 2])
    rest = []
    while name := read(stream):
        rest.append(name)
    assert rest == order[len(order) // 2:]
    libc.closedir(stream)
elif case == "change":
    # Names come and go while it is listed: those that stay come once each.
    found, step = [], 0
    while got := piece(descriptor, 1500):
        found += [e[0] for e in got]
        if step < 40:
            subprocess.run(["hirsel", "bind", "--symlink", "x", f"{directory}/come{step}"], check=True)
            subprocess.run(["hirsel", "unbind", f"{directory}/go{step:02}"], check=True)
            step += 1
    stay = [n for n in names if not n.startswith(b"go")]
    assert sorted(n for n in found if not n.startswith((b"go", b"come"))) == stay
    assert len(set(found)) == len(found)
elif case == "numbers":
    # A descriptor's number is one directory's and then another's, read to its middle or not at all.
    plain = sys.argv[3]

    def take(how):
        """The directory at the number of one without names of the table, which was listed."""
        number = os.open(plain, os.O_RDONLY | os.O_DIRECTORY)
        os.fstat(number)
        assert {e[0] for e in whole(number, 4096)} >= {b".", b".."}
        if how == "dup2":
            os.dup2(descriptor, number)
        elif how == "dup3":
            assert libc.dup3(descriptor, number, 0) == number
        else:
            {"close": lambda: os.close(number), "range": lambda: libc.close_range(number, number, 0)}[how]()
            taken = os.dup(descriptor) if how == "close" else os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
            assert taken == number
        return number

    for how in ("dup2", "dup3", "close", "range"):
        os.lseek(descriptor, 0, os.SEEK_SET)
        number = take(how)
        assert sorted(e[0] for e in whole(number, 4096)) == names, how
        os.close(number)
        os.lseek(descriptor, 0, os.SEEK_SET)
        found = piece(descriptor, 300)
        if how != "range":
            number = take(how)
            found += whole(number, 4096)
            assert sorted(e[0] for e in found) == names, how
            os.close(number)
    # And the name space changes between two pieces.
    number = os.open(plain, os.O_RDONLY | os.O_DIRECTORY)
    found = piece(number, 64)
    subprocess.run(["hirsel", "bind", "--symlink", "x", f"{plain}/new"], check=True)
    found += whole(number, 64)
    assert b"new" in [e[0] for e in found], found
elif case == "agree":
    # A listing and a look at what it lists are of one mind.
    kinds = {4: 0o040000, 8: 0o100000, 10: 0o120000}
    for name, inode, _, kind in whole(descriptor, 32768):
        if name not in (b".", b".."):
            for status in (os.stat(name, dir_fd=descriptor, follow_symlinks=False),
                           os.lstat(os.path.join(os.fsencode(directory), name))):
                assert status.st_mode & 0o170000 == kinds[kind], name
                assert status.st_ino == inode, (name, status.st_ino, inode)
END
listing() {
    in_session python3 "$WORK/list.py" "$@"
}

mkdir -p many/host{1..9} place target/inner
touch many/shadowed many/hidden target/file many/file{1..50}
echo text >place/text
{
    for i in $(seq 300); do printf 'bind --symlink x %s/many/%s%0200d\n' "$WORK" name "$i"; done
    printf 'bind %s/place %s/many/place\nbind %s/place %s/many/shadowed\nbind --hide %s/many/hidden\n' \
        "$WORK" "$WORK" "$WORK" "$WORK" "$WORK"
} >names
# The same names, as the host would have them.
mkdir alike
(cd alike && mkdir host{1..9} place shadowed && touch file{1..50} && for i in $(seq 300); do ln -s x "$(printf 'name%0200d' "$i")"; done)
python3 list.py names alike >wanted
while read -r words; do echo "hirsel $words"; done <names >commands
check 'binds 300 names of 200 bytes' in_session sh commands
prints 'the names of a directory with 300 more than the host has' "$(<wanted)" listing names many
for case in buffers small seek; do
    check "by the kernel alone: $case" python3 list.py $case alike
    check "in the session: $case" listing $case many
done
in_session hirsel settrans -a many/node hello
in_session hirsel settrans -c many/record hello
check 'types and inode numbers agree with stat' listing agree many
in_session sh -c 'for i in $(seq -w 0 39); do hirsel bind --symlink x many/go$i; done'
check 'names come and go while they are listed' listing change "$WORK/many"
mkdir plain
touch plain/{1..9}
check "a descriptor's number is another directory's later" listing numbers "$WORK/many" "$WORK/plain"
touch many/later
in_session hirsel bind --symlink x many/before
touch many/before
prints 'a name that the host gets later comes once' 1 in_session sh -c 'ls many | grep -c "^before$"'

# A directory below itself. It has one name, its bind's, as getcwd says; and below that name the
# table has nothing.
mkdir self
touch self/one self/two
check 'binds a directory below itself' hirsel bind --session t "$WORK/self" "$WORK/self/q"
prints 'its listing by the bind' $'one\ntwo' in_session ls self/q
prints 'and by its own name' $'one\ntwo' in_session ls self
prints 'its name' "$WORK/self/q" in_session sh -c 'cd self && /bin/pwd'
check 'what is listed is there' listing agree "$WORK/self/q"
status_is 'it is not below itself twice' 1 in_session test -e self/q/q
check 'a walk ends' timeout 60 hirsel run --session t -- find self -type d

# Two names of one directory: what the table has below one of them is below that alone.
mkdir -p two/a two/b
hirsel bind --session t "$WORK/target" "$WORK/two/a"
hirsel bind --session t "$WORK/place" "$WORK/two/a/more"
hirsel bind --session t --hide "$WORK/two/a/file"
prints 'under a bind' $'inner\nmore' in_session ls two/a
prints 'by a descriptor, the bind too' $'inner\nmore' in_session ls target
hirsel bind --session t --hide "$WORK/target/inner"
prints 'what is hidden below the other name' $'inner\nmore' in_session ls two/a
status_is 'and is found by the first' 0 in_session test -d two/a/inner
status_is 'is hidden there alone' 1 in_session test -e target/inner
session_stop
finish
